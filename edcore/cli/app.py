"""The command line: its commands, of which ``info`` and ``check`` stand here, and its exit codes.

Values of options are checked by the library alone. Its errors become one line on stderr in one place, `main`.
"""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from edcore.cli.backends import CHECK_FAILED, check, info
from edcore.cli.bench import bench
from edcore.cli.kaneko import kaneko
from edcore.cli.reproduce import reproduce
from edcore.cli.saved import inspect as inspect_file
from edcore.cli.saved import predict
from edcore.cli.sweep import sweep
from edcore.cli.train import train
from edcore.environment import VERSION
from edcore.errors import EDCoreError, InputError

BAD_INPUT, INTERRUPTED, TERMINATED = 2, 130, 143
EXIT_CODES = (
    f"Exit codes: 0 all is well; {CHECK_FAILED} a check failed, or runs of a sweep; {BAD_INPUT} a bad option, bad "
    f"input, or a backend that cannot run here; {INTERRUPTED} stopped with Ctrl-C, {TERMINATED} with SIGTERM (train "
    "and sweep still sum up and save)."
)

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
        typer.echo(f"edcore {VERSION}")
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


app.command(epilog=_epilog("info"))(info)
app.command(epilog=_epilog("check"))(check)
app.command(epilog=_epilog("bench"))(bench)
app.command(epilog=_epilog("kaneko"))(kaneko)
app.command(epilog=_epilog("reproduce"))(reproduce)
