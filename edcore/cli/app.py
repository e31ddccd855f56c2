"""The commands of the command line, its exit codes, and how errors become one line on stderr."""

from __future__ import annotations

import ast
import contextlib
import errno
import io
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from inspect import getdoc, getsource, signature, unwrap
from typing import Annotated, Any, NoReturn, cast, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from edcore.arguments import check_text
from edcore.cli.backends import info
from edcore.cli.bench import bench
from edcore.cli.check import CHECK_FAILED, check
from edcore.cli.compare import compare
from edcore.cli.kaneko import kaneko
from edcore.cli.options import prepared
from edcore.cli.play import play
from edcore.cli.plot import plot, report
from edcore.cli.predict import predict
from edcore.cli.reproduce import reproduce
from edcore.cli.saved import inspect
from edcore.cli.sweep import sweep
from edcore.cli.train import train
from edcore.cli.write import write
from edcore.console import NARROW, say
from edcore.contract.compilation import compiling_on_stderr
from edcore.environment import VERSION, missing_for
from edcore.errors import EDCoreError, InputError
from edcore.training.options import OF_ARGUMENTS, as_options, typed

UNWRITTEN, BAD_INPUT, INTERRUPTED, TERMINATED = 1, 2, 130, 143
FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF
EXIT_CODES = (
    f"Exit codes: 0 all is well; {CHECK_FAILED} a check failed, or runs of a sweep, or stdout takes nothing; "
    f"{BAD_INPUT} a bad option, bad input, or a backend that cannot run here; {INTERRUPTED} stopped with Ctrl-C, "
    f"{TERMINATED} with SIGTERM, 128 + n with another signal n, as SIGHUP or SIGUSR1 (train and sweep still sum up and "
    "save)."
)

EXAMPLES = {
    "train": (
        "edcore train",
        "edcore train --dataset xor --rule split --width 8 --depth 0",
        "edcore train --dataset mnist --checkpoint run.safetensors",
        "edcore train --resume run.safetensors",
        "edcore train --data people.csv --target income --checkpoint model.safetensors",
        "edcore train --text book.txt --checkpoint model.safetensors",
        "edcore train --config run.toml --report run.html",
    ),
    "sweep": (
        "edcore sweep xor.toml",
        "edcore sweep xor.toml --out xor.parquet --jobs 4",
        "edcore sweep xor.toml --dask tcp://10.0.0.1:8786",
    ),
    "plot": (
        "edcore plot run.safetensors",
        "edcore plot run.safetensors --kind mistakes --out mistakes.svg",
    ),
    "report": ("edcore report run.safetensors", "edcore report run.safetensors --out report.html --force"),
    "predict": ("edcore predict run.safetensors digits", "edcore predict model.safetensors new.csv --proba"),
    "write": (
        'edcore write model.safetensors --start "The " --length 500',
        "edcore write model.safetensors --temperature 0.5 --seed 1",
    ),
    "inspect": ("edcore inspect run.safetensors", "edcore inspect run.safetensors --json"),
    "info": ("edcore info", "edcore info --explain 784 32 4096"),
    "check": (
        "edcore check numba",
        "edcore check torch --device cuda",
        "edcore check mine --check check_forward",
    ),
    "bench": ("edcore bench numba article --depth 64", "edcore bench --device cuda --json found.json"),
    "kaneko": ("edcore kaneko --inputs 2 --hidden 8", "edcore kaneko --inputs 2 --teacher 0,0,0,1 --json"),
    "compare": (
        "edcore compare digits --quick",
        "edcore compare people.csv --target income --seeds 20 --plot compare.png",
        "edcore compare digits --methods ED,bp,frozen --depth 2 --out digits.json",
    ),
    "reproduce": ("edcore reproduce kaneko-xor --quick", "edcore reproduce mnist --data-dir data"),
    "play": ("edcore play", "edcore play --language ja", "edcore play --out play.html"),
}


class PlainIfNarrow:
    """Has the help without tables on a narrow terminal, where Typer's would cut the names of options."""

    rich_markup_mode: Any
    help: str | None

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        if shutil.get_terminal_size().columns < NARROW:
            self.rich_markup_mode, self.help = None, str(self.help).replace("\\[", "[")
        cast(Any, super()).format_help(ctx, formatter)


class CheckedCommand(PlainIfNarrow, TyperCommand):
    """A command that refuses an option which is typed twice (Typer takes the last), and shows a wrong number."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments that are left over, as click does."""
        if not ctx.resilient_parsing:  # as it is while a shell completes a line
            values, _, order = self.make_parser(ctx).parse_args(list(args))
            for parameter, count in Counter(order).items():
                if count > 1 and parameter.param_type_name == "option" and not getattr(parameter, "multiple", False):
                    raise InputError(str(parameter.name), f"{count} times", "each option once", "Give it once.")
            declared = signature(cast(Any, self.callback), eval_str=True).parameters
            for option in [str(parameter.name) for parameter in order if parameter.name in declared]:
                declared_as = str(get_args(declared[option].annotation)[0])
                kinds = [kind for kind in (int, float) if re.search(rf"\b{kind.__name__}\b", declared_as)]
                for text in values[option] if isinstance(values[option], tuple) else (values[option],):
                    for kind in [int] if option == "width" and "," not in text else kinds:
                        check_text(option, text, kind)
        return list(super().parse_args(ctx, args))


class Group(PlainIfNarrow, TyperGroup):
    """The commands."""


def _help_of(command: Callable[..., Any]) -> str | None:
    """Return a command's help, which `python -OO` drops from the program, but not from its source."""
    if command.__doc__ is None:
        with contextlib.suppress(OSError):  # there is no source, as in a program of PyInstaller
            [function] = ast.parse(getsource(unwrap(command))).body
            return ast.get_docstring(function) if isinstance(function, ast.FunctionDef) else None
    return getdoc(command)


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Networks that learn without back-propagation, by Kaneko's ED method (error diffusion).",
    epilog=EXIT_CODES,
)
COMMANDS: tuple[Callable[..., Any], ...] = (
    train,
    sweep,
    plot,
    report,
    predict,
    write,
    inspect,
    info,
    check,
    bench,
    kaneko,
    compare,
    reproduce,
    play,
)
for command in COMMANDS:
    name = command.__name__
    # Typer keeps only paragraphs apart, so each example is one.
    examples = "\n\n".join(["Examples:", *EXAMPLES[name]])
    app.command(name, cls=CheckedCommand, help=_help_of(command), epilog=examples)(prepared(command))


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, by default with the program's arguments, and exit with one of the `EXIT_CODES`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the name of a file may have characters that cannot be printed
            stream.reconfigure(errors="backslashreplace")
    if not os.environ.get("COLUMNS", "").strip("0"):  # 0 columns are none that Rich could fill
        os.environ.pop("COLUMNS", None)
    code = BAD_INPUT
    try:
        with compiling_on_stderr():
            app(argv, prog_name="edcore")
    except EDCoreError as error:
        sentence = _in_options(error, argv)
    except ImportError as error:
        if not (reason := missing_for(error)):
            raise
        sentence = f"{reason}."
    except MemoryError:
        fix = "or a table with fewer rows or texts: a column of texts becomes up to 100 features"
        sentence = f"there is not enough memory. Give a smaller --depth, --width or --batch-size, {fix}."
    except OSError as error:
        file, fix = f"{error.filename}: " if error.filename else "", " Check the names of files and folders."
        if not error.filename and error.errno == errno.ENOENT:  # of os.getcwd: calls that are given a name have it
            file, fix = "the current folder: ", " It was removed: go to another one, or make it again and cd to it."
        if not error.filename and error.errno in FULL:  # the error for a file that cannot be written has its name
            file, fix, code = "standard output: ", "", UNWRITTEN
            _drop_stdout()
        sentence = f"{file}{error.strerror or error}.{fix}"
    with contextlib.suppress(OSError):  # stderr may be a full disk too
        say(sentence, stderr=True)
    sys.exit(code)


def _drop_stdout() -> None:
    """Drop what waits in stdout, which takes nothing: Python would complain of it at the end."""
    with contextlib.suppress(OSError):  # a stream of Python's own has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _in_options(error: EDCoreError, argv: Sequence[str] | None) -> str:
    """Return the error's message on one line, with options of the command in place of Python's arguments."""
    word = next(iter(sys.argv[1:] if argv is None else argv), "")
    known = {option for command in COMMANDS if command.__name__ == word for option in signature(command).parameters}
    sentence, option = " ".join(str(error).split()), ""
    if isinstance(error, InputError) and (name := OF_ARGUMENTS.get(error.argument, error.argument)) in known:
        sentence, option = sentence.removeprefix(error.argument), typed(name)
    return option + as_options(sentence, known)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edcore {VERSION}")
        raise typer.Exit


@app.callback()
def _edcore(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None: ...
