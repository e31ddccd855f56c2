"""The command ``edcore info``: list the backends, and explain what auto chooses."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Column

from edcore.arguments import whole_number
from edcore.cli.options import JsonOption
from edcore.console import plain_console, print_json, print_words
from edcore.contract.memory import needed
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.dispatch import registry
from edcore.dispatch.calibration import USUAL_BATCH, Ranking, calibration
from edcore.dispatch.choose import choose_backend, make_request
from edcore.dispatch.explain import Verdict, choices_by_library, explain
from edcore.environment import VERSION, install_helps
from edcore.errors import InputError
from edcore.training.options import DEPTH, SCHEDULES, WIDTH, as_options

DIGIT_FEATURES = 64  # inputs of the default data set


def info(
    explain: Annotated[
        tuple[int, int, int] | None,
        typer.Option(metavar="IN WIDTH DEPTH", help="Say what auto takes for a network of this shape, and why."),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Samples of its training step.", show_default=f"{USUAL_BATCH}; else that of edcore train"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the backends: which can run here, why the others cannot, and how to install them."""
    network = _shape(explain) if explain else Network(DIGIT_FEATURES, WIDTH, DEPTH)
    usual = USUAL_BATCH if explain else SCHEDULES["digits"][1]
    batch = usual if batch is None else whole_number("batch", batch, 1)
    if json:
        print_json(backends_as_dict(network, Rule(), batch))
        return
    console = plain_console()
    console.print(f"edcore {VERSION}, Python {platform.python_version()}, NumPy {np.__version__}\n")
    if explain:
        show_choice(network, Rule(), batch, console)
        return
    show_backends(console)
    chosen = choose_backend(make_request("auto", None), network, Rule(), batch=batch)
    console.print(
        f"\nauto takes {chosen.info.name} on {chosen.device} for the default network of edcore train.", soft_wrap=True
    )


def _shape(explain: tuple[int, int, int]) -> Network:
    """Return the network that --explain asks about."""
    try:
        return Network(*explain)
    except InputError:
        given, accepted = " ".join(map(str, explain)), "IN and WIDTH of at least 1, DEPTH of at least 0"
        raise InputError("explain", given, accepted) from None


def show_backends(console: Console) -> None:
    """Print each backend with its state, and the commands that install those which are not ready."""
    states = registry.list_backends()
    columns = [Column("backend"), Column("state"), Column("devices"), Column("why not")]
    rows = [
        (one.name, "ready" if one.ready else "not ready", ", ".join(one.devices), as_options(one.reason))
        for one in states
    ]
    print_words(console, columns, rows)
    for state in states:
        if state.install and not state.ready and install_helps(state.reason):
            console.print(f"\n{state.name} needs: {state.install}", soft_wrap=True)  # one line, so it can be copied


def backends_as_dict(network: Network, rule: Rule, batch: int) -> dict[str, Any]:
    """Return the backends, and the choice of ``auto`` with all candidates in its order, as values for JSON."""
    verdicts = explain(network, rule, batch=batch)
    chosen = next((one for one in verdicts if not one.reason), None)
    return {
        "edcore": VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "backends": [asdict(state) for state in registry.list_backends()],
        "network": asdict(network),
        "batch": batch,
        "auto": chosen and {"backend": chosen.name, "device": chosen.device},
        "candidates": [asdict(one) for one in verdicts],
        "decided_by": {
            kind: {"width": row.width, "batch": row.batch, "source": source}
            for kind, row, source in _rows(verdicts, network, batch)
        },
    }


def _rows(verdicts: list[Verdict], network: Network, batch: int) -> Iterator[tuple[str, Ranking, str]]:
    """Yield each type of device that is ready and has a table, the row that decided there, and the table's source."""
    for kind in dict.fromkeys(one.device for one in verdicts if one.device and not one.reason):
        if table := calibration(kind):
            yield kind, table.nearest(network.widest, batch), table.source


def show_choice(network: Network, rule: Rule, batch: int, console: Console) -> None:
    """Print the backend that ``auto`` chooses for a network, the other candidates in order, and their speeds."""
    console.print(
        f"{network.in_:,} inputs, {network.hidden_layers}\n"
        f"{network.parameters:,} weights, {needed(network) / 2**20:,.1f} MiB; batches of {batch:,}\n"
    )
    rows = list[tuple[str, str, str, str]]()
    verdicts = explain(network, rule, batch=batch)
    chosen = next((one for one in verdicts if not one.reason), None)
    for one in verdicts:
        ms = "" if one.ms is None else f"{one.ms:,.3g}"
        verdict = as_options(one.reason) or ("taken" if one is chosen else "ready")
        rows.append((one.name, one.device, ms, verdict))
    print_words(console, [Column("backend"), Column("device"), Column("ms", justify="right"), Column("verdict")], rows)
    asked = make_request("auto", None)
    if asked.backend != "auto":
        console.print(f"\n{asked.asked_by} decides before auto does.", soft_wrap=True)
    choice = f"{chosen.name} on {chosen.device}" if chosen else "nothing"
    console.print(f"\nauto takes {choice} for NumPy arrays.", soft_wrap=True)
    for library, kind, name in choices_by_library(network, rule, batch):
        console.print(f"For arrays of {library} on {kind} it takes {name}.", soft_wrap=True)
    for kind, row, source in _rows(verdicts, network, batch):
        decided = f"width {row.width:,}, batch {row.batch:,}"
        console.print(f"\nThe order on {kind} is that of {decided}: {source}.", soft_wrap=True)
    console.print(
        "\nms: a step of a smaller network of that size. To measure this machine: edcore bench --calibrate",
        soft_wrap=True,
    )
