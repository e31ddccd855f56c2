"""The command ``edcore kaneko``."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from typing import Annotated, Any

import typer

from edcore.cli.options import ConfigOption, complete_from
from edcore.console import print_json, say
from edcore.errors import InputError, shown
from edcore.kaneko import Parameters, Program
from edcore.kaneko.teacher import KINDS


def kaneko(
    seed: Annotated[int, typer.Option(help="Seed of the C library's random numbers.")] = 1,
    inputs: Annotated[int, typer.Option(help="Inputs.")] = 4,
    patterns: Annotated[
        int | None,
        typer.Option(help="Patterns; input i is bit i of the pattern's number.", show_default="2^inputs"),
    ] = None,
    outputs: Annotated[int, typer.Option(help="Outputs, each with its own network.")] = 1,
    random_inputs: Annotated[
        bool, typer.Option("--random-inputs", help="Draw each input of each pattern from 0 to 1.")
    ] = False,
    teacher: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(KINDS)}, or the targets, pattern after pattern: 0,1,1,1. Or a kind for each output, by "
            "name or by its targets: parity,real or parity,0,1,1,1.",
            autocompletion=complete_from(lambda: KINDS),
        ),
    ] = "parity",
    hidden: Annotated[int, typer.Option(help="Hidden cells, + and − together.")] = 8,
    hidden2: Annotated[int, typer.Option(help="Hidden cells of a second group; they read both groups.")] = 0,
    steps: Annotated[int, typer.Option(help="Time steps of a pattern; 3 or more with a second group.")] = 2,
    weight_range: Annotated[float, typer.Option(help="Initial weights lie between 0 and this.")] = 1.0,
    threshold_range: Annotated[float, typer.Option(help="The same, from threshold cells.")] = 1.0,
    f3: Annotated[int, typer.Option(help="1: no cell has a synapse onto itself.")] = 1,
    f6: Annotated[int, typer.Option(help="1: no loops, and each pattern starts afresh.")] = 1,
    f7: Annotated[int, typer.Option(help="1: the output reads no inputs.")] = 1,
    f10: Annotated[int, typer.Option(help="0: learn with the split error; 1: with the signed one.")] = 0,
    f11: Annotated[int, typer.Option(help="1: thresholds and inputs have − cells too.")] = 1,
    u0: Annotated[float, typer.Option(help="Width of the activation.")] = 0.4,
    u1: Annotated[float, typer.Option(help="Factor of the error at hidden cells.")] = 1.0,
    alpha: Annotated[float, typer.Option(help="Learning rate.")] = 0.8,
    beta: Annotated[float, typer.Option(help="Activity of the threshold cells.")] = 0.8,
    epochs: Annotated[int, typer.Option(help="Epochs after which a run has timed out.")] = 10000,
    tolerance: Annotated[float, typer.Option(help="A run stops when its sum of absolute errors is below this.")] = 0.1,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print each epoch's error on stderr.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    config: ConfigOption = None,
) -> None:
    """Run Kaneko's program of 1999 and print the epoch at which it stops: with no options, on 4-bit parity."""
    parameters = Parameters(
        seed=seed,
        inputs=inputs,
        patterns=patterns,
        random_inputs=random_inputs,
        outputs=outputs,
        teacher=parse_targets(teacher, outputs),
        hidden=hidden,
        hidden2=hidden2,
        steps=steps,
        weight_range=weight_range,
        threshold_range=threshold_range,
        f3=f3,
        f6=f6,
        f7=f7,
        f10=f10,
        f11=f11,
        u0=u0,
        u1=u1,
        alpha=alpha,
        beta=beta,
        epochs=epochs,
        tolerance=tolerance,
    )
    program = Program(parameters)
    while not program.stopped:
        epoch = program.advance()
        if verbose:
            typer.echo(f"epoch {epoch.number}: error {epoch.error:.6g}", err=True)
    epochs, error, timed_out = len(program.errors), program.errors[-1], not program.learnt
    if json:
        print_json({"epochs": epochs, "timed_out": timed_out, "error": error, "parameters": asdict(parameters)})
    elif timed_out:
        say(f"timed out after epoch {epochs}: error {error:.6g}, not below {tolerance:g}")
    else:
        say(f"stopped at epoch {epochs}: error {error:.6g}, below {tolerance:g}")


def parse_targets(teacher: str, outputs: int) -> Any:
    """Return the teacher that the text of --teacher stands for, as `Parameters` takes it."""
    items = [_name_or_number(item.strip(), teacher) for item in teacher.split(",")]
    names = sum(isinstance(item, str) for item in items)
    if names == len(items) == 1:
        return items[0]
    if not names:
        if len(items) % max(outputs, 1):  # Parameters refuses fewer outputs
            accepted = f"{outputs} for each pattern, one for each output, pattern after pattern"
            raise InputError("teacher", f"{len(items)} targets", accepted)
        return _split(items, max(outputs, 1))
    # Outputs that have no name share the numbers, the same number of targets each.
    patterns = max((len(items) - names) // max(outputs - names, 1), 1)
    kinds: list[Any] = []
    for are_names, run in itertools.groupby(items, lambda item: isinstance(item, str)):
        found = list(run)
        kinds += found if are_names else _split(found, patterns)
    return kinds


def _name_or_number(text: str, teacher: str) -> str | float:
    """Return an item of --teacher: a kind of teacher, or a target."""
    if text in KINDS:
        return text
    try:
        return float(text.replace("_", "?"))  # Python reads 0_1 as 1
    except ValueError:
        accepted = f"{', '.join(KINDS)}, or numbers from 0 to 1, pattern after pattern, with commas: 0,1,1,1"
        raise InputError("teacher", shown(teacher), accepted) from None


def _split(items: list[Any], length: int) -> list[list[Any]]:
    """Return the items in lists of this length."""
    return [items[start : start + length] for start in range(0, len(items), length)]
