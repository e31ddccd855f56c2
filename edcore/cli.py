"""The command line: ``edcore train``, ``edcore info``, ``edcore check``, and ``edcore bench`` of `cli_bench`.

Values of options are checked by the library alone. Its errors become one line on stderr in one place, `main`.
"""

from __future__ import annotations

import inspect
import platform
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import numpy as np
import typer

import edcore
from edcore import registry
from edcore.backend import Backend
from edcore.cli_bench import bench
from edcore.cli_info import show_backends, show_choice
from edcore.cli_kaneko import kaneko
from edcore.cli_options import plain_console
from edcore.cli_reproduce import reproduce
from edcore.cli_saved import inspect as inspect_file
from edcore.cli_saved import predict
from edcore.cli_start import DEPTH, WIDTH
from edcore.cli_train import train
from edcore.errors import EDCoreError, InputError, UnknownNameError
from edcore.network import Network
from edcore.rule import Rule
from edcore.select import bind, requested

__all__ = ["app", "main"]

CHECK_FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 1, 2, 130, 143
EXIT_CODES = (
    f"Exit codes: 0 all is well; {CHECK_FAILED} a check failed; {BAD_INPUT} a bad option, bad input, or a backend that "
    f"cannot run here; {INTERRUPTED} stopped with Ctrl-C, {TERMINATED} with SIGTERM (train still sums up and saves)."
)

DIGIT_FEATURES = 64  # of a sample of the default data set

OPTIONS = {"hidden_width": "width", "hidden_depth": "depth", "in_": "features"}
"""Options of train and bench whose names differ from those of the library's arguments."""

app = typer.Typer(
    add_completion=False,
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
        Always: 0 if all is well, 1 if a check failed, 2 for a bad option, bad input or a backend that cannot run here,
        130 for Ctrl-C.
    """
    try:
        app(argv, prog_name="edcore")
    except EDCoreError as error:
        sentence = _in_options(error)
    except MemoryError:
        sentence = "there is not enough memory. Give a smaller --depth, --width or --batch-size."
    print(f"edcore: {sentence}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def _in_options(error: EDCoreError) -> str:
    """Return the error's sentence, with the option in place of the argument of Python that it names."""
    sentence = " ".join(str(error).split())
    if not isinstance(error, InputError):
        return sentence
    option = OPTIONS.get(error.argument, error.argument)
    if not any(
        option in inspect.signature(command).parameters for command in (train, predict, info, bench, kaneko, reproduce)
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


app.command()(train)
app.command()(predict)
app.command("inspect")(inspect_file)


@app.command()
def info(
    explain: Annotated[
        tuple[int, int, int] | None,
        typer.Option(metavar="IN WIDTH DEPTH", help="Say what auto takes for a network of this shape, and why."),
    ] = None,
) -> None:
    """List the backends: which can run here, why the others cannot, and how to install them."""
    console = plain_console()
    console.print(f"edcore {edcore.__version__}, Python {platform.python_version()}, NumPy {np.__version__}\n")
    if explain:
        show_choice(_shape(explain), Rule(), console)
        return
    show_backends(console)
    chosen = bind(requested("auto", None), Network(DIGIT_FEATURES, WIDTH, DEPTH), Rule())
    console.print(f"\nauto takes {chosen.info.name} on {chosen.device} for the default network of edcore train.")


@app.command()
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A backend that edcore info lists.")],
    device: Annotated[
        str | None, typer.Option(help="Such as cpu, cuda or cuda:1.", show_default="the backend's choice")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the examples and smaller sizes, as for a simulator.")
    ] = False,
) -> None:
    """Run the conformance suite on a backend, ours or anybody's."""
    if name not in registry.installed():  # auto is a choice among backends, and none itself
        raise UnknownNameError("NAME", name, registry.installed(), "`edcore info` lists the backends.")
    failed = _failed_checks(bind(requested(name, device), Network(in_=2), Rule()), quick)
    raise typer.Exit(CHECK_FAILED if failed else 0)


app.command()(bench)
app.command()(kaneko)
app.command()(reproduce)


def _failed_checks(backend: Backend, quick: bool) -> int:
    """Run all checks, print what comes of each, and return how many failed."""
    try:
        from edcore.testing import iter_checks
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        fix = 'Install it with: pip install "edcore[testing]".'
        raise EDCoreError(f"check: the suite needs the package hypothesis, which is not installed. {fix}") from error
    checks, failed, console = list(iter_checks(quick)), 0, plain_console()
    for name, run in checks:
        try:
            run(backend)
        except Exception as error:  # a backend can raise anything
            failed += 1
            console.print(f"FAILED  {name}: {_first_line(error)}", soft_wrap=True)
        else:
            console.print(f"ok      {name}")
    console.print(f"{len(checks) - failed} passed, {failed} failed: {backend.info.name} on {backend.device}")
    return failed


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _shape(explain: tuple[int, int, int]) -> Network:
    """Return the network that --explain asks about."""
    try:
        return Network(*explain)
    except InputError:
        given, accepted = " ".join(map(str, explain)), "IN and WIDTH of at least 1, DEPTH of at least 0"
        raise InputError("explain", given, accepted) from None
