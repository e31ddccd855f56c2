"""The command line: its commands, of which ``info`` and ``check`` stand here, and its exit codes.

Values of options are checked by the library alone. Its errors become one line on stderr in one place, `main`.
"""

from __future__ import annotations

import inspect
import io
import json as json_format
import platform
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, NoReturn

import numpy as np
import typer

import edcore
from edcore import registry
from edcore.backend import Backend
from edcore.cli_bench import bench
from edcore.cli_info import backends_as_dict, show_backends, show_choice
from edcore.cli_kaneko import kaneko
from edcore.cli_options import DeviceOption, JsonOption, backend_names, plain_console
from edcore.cli_reproduce import reproduce
from edcore.cli_saved import inspect as inspect_file
from edcore.cli_saved import predict
from edcore.cli_start import DEPTH, WIDTH
from edcore.cli_sweep import sweep
from edcore.cli_train import train
from edcore.errors import EDCoreError, InputError, UnknownNameError
from edcore.network import Network
from edcore.rule import Rule
from edcore.select import bind, requested

__all__ = ["app", "main"]

CHECK_FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 1, 2, 130, 143
EXIT_CODES = (
    f"Exit codes: 0 all is well; {CHECK_FAILED} a check failed, or runs of a sweep; {BAD_INPUT} a bad option, bad "
    f"input, or a backend that cannot run here; {INTERRUPTED} stopped with Ctrl-C, {TERMINATED} with SIGTERM (train "
    "and sweep still sum up and save)."
)

DIGIT_FEATURES = 64  # of a sample of the default data set

OPTIONS = {"hidden_width": "width", "hidden_depth": "depth", "in_": "features"}
"""Options of train and bench whose names differ from those of the library's arguments."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Networks that learn without back-propagation, by Kaneko's ED method (error diffusion).",
    epilog=EXIT_CODES,
)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the program with its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments. Left out, those of the program.

    Raises
    ------
    SystemExit
        Always: 0 if all is well, 1 if a check failed or runs of a sweep, 2 for a bad option, bad input or a backend
        that cannot run here, 130 for Ctrl-C, 143 for SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may have what cannot be printed
            stream.reconfigure(errors="backslashreplace")
    try:
        app(argv, prog_name="edcore")
    except EDCoreError as error:
        sentence = _in_options(error)
    except MemoryError:
        sentence = "there is not enough memory. Give a smaller --depth, --width or --batch-size."
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        sentence = f"{file}{error.strerror or error}. Check the names of files and folders."
    print(f"edcore: {sentence}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def _in_options(error: EDCoreError) -> str:
    """Return the error's sentence, with the option in place of the argument of Python that it names."""
    sentence = " ".join(str(error).split())
    if not isinstance(error, InputError):
        return sentence
    option = OPTIONS.get(error.argument, error.argument)
    if not any(
        option in inspect.signature(command).parameters
        for command in (train, predict, info, bench, kaneko, reproduce, sweep)
    ):
        return sentence
    return f"--{option.replace('_', '-')}{sentence.removeprefix(error.argument)}"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edcore {edcore.__version__}")
        raise typer.Exit


@app.callback()
def _edcore(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None: ...


EXAMPLES = {
    "train": (
        "edcore train",
        "edcore train --dataset xor --rule split --width 8 --depth 0",
        "edcore train --dataset mnist --checkpoint run.safetensors",
        "edcore train --resume run.safetensors",
        "edcore train --config run.toml --report run.html",
    ),
    "sweep": (
        "edcore sweep xor.toml",
        "edcore sweep xor.toml --out xor.parquet --jobs 4",
        "edcore sweep xor.toml --dask tcp://10.0.0.1:8786",
    ),
    "predict": ("edcore predict run.safetensors digits", "edcore predict run.safetensors new.csv --out told.csv"),
    "inspect": ("edcore inspect run.safetensors", "edcore inspect run.safetensors --json"),
    "info": ("edcore info", "edcore info --explain 784 32 4096"),
    "check": ("edcore check numba", "edcore check torch --device cuda"),
    "bench": ("edcore bench numba article --depth 64", "edcore bench --device cuda --json found.json"),
    "kaneko": ("edcore kaneko --inputs 2 --hidden 8", "edcore kaneko --inputs 2 --teacher 0,0,0,1 --json"),
    "reproduce": ("edcore reproduce kaneko-xor --quick", "edcore reproduce mnist --data-dir data"),
}


def _epilog(command: str) -> str:
    """Return the examples of a command; typer keeps only paragraphs apart."""
    return "\n\n".join(["Examples:", *EXAMPLES[command]])


app.command(epilog=_epilog("train"))(train)
app.command(epilog=_epilog("sweep"))(sweep)
app.command(epilog=_epilog("predict"))(predict)
app.command("inspect", epilog=_epilog("inspect"))(inspect_file)


@app.command(epilog=_epilog("info"))
def info(
    explain: Annotated[
        tuple[int, int, int] | None,
        typer.Option(metavar="IN WIDTH DEPTH", help="Say what auto takes for a network of this shape, and why."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the backends: which can run here, why the others cannot, and how to install them."""
    network = _shape(explain) if explain else Network(DIGIT_FEATURES, WIDTH, DEPTH)
    if json:
        typer.echo(json_format.dumps(backends_as_dict(network, Rule())))
        return
    console = plain_console()
    console.print(f"edcore {edcore.__version__}, Python {platform.python_version()}, NumPy {np.__version__}\n")
    if explain:
        show_choice(network, Rule(), console)
        return
    show_backends(console)
    chosen = bind(requested("auto", None), network, Rule())
    console.print(f"\nauto takes {chosen.info.name} on {chosen.device} for the default network of edcore train.")


@app.command(epilog=_epilog("check"))
def check(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A backend that edcore info lists.", autocompletion=backend_names),
    ],
    device: DeviceOption = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the examples and smaller sizes, as for a simulator.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Run the conformance suite on a backend, ours or anybody's."""
    if name not in registry.installed():  # auto is a choice among backends, and none itself
        raise UnknownNameError("NAME", name, registry.installed(), "`edcore info` lists the backends.")
    backend = bind(requested(name, device), Network(in_=2), Rule())
    console = plain_console(stderr=json)
    failed, passed = {}, []
    for check_name, error in _checks(backend, quick):
        if error is None:
            passed.append(check_name)
            console.print(f"ok      {check_name}")
        else:
            failed[check_name] = error
            console.print(f"FAILED  {check_name}: {error}", soft_wrap=True)
    console.print(f"{len(passed)} passed, {len(failed)} failed: {backend.info.name} on {backend.device}")
    if json:
        told = {"backend": backend.info.name, "device": backend.device, "passed": passed, "failed": failed}
        typer.echo(json_format.dumps(told))
    raise typer.Exit(CHECK_FAILED if failed else 0)


app.command(epilog=_epilog("bench"))(bench)
app.command(epilog=_epilog("kaneko"))(kaneko)
app.command(epilog=_epilog("reproduce"))(reproduce)


def _checks(backend: Backend, quick: bool) -> Iterator[tuple[str, str | None]]:
    """Run all checks, and yield the name of each, with the first line of the error where it fails."""
    try:
        from edcore.testing import iter_checks
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        fix = 'Install it with: pip install "edcore[testing]".'
        raise EDCoreError(f"check: the suite needs the package hypothesis, which is not installed. {fix}") from error
    for name, run in iter_checks(quick):
        try:
            run(backend)
        except Exception as error:  # a backend can raise anything
            yield name, _first_line(error)
        else:
            yield name, None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _shape(explain: tuple[int, int, int]) -> Network:
    """Return the network that --explain asks about."""
    try:
        return Network(*explain)
    except InputError:
        given, accepted = " ".join(map(str, explain)), "IN and WIDTH of at least 1, DEPTH of at least 0"
        raise InputError("explain", given, accepted) from None
