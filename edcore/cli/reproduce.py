"""The command ``edcore reproduce``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edcore.cli.options import (
    BackendOption,
    ConfigOption,
    check_different,
    check_writable,
    complete_from,
    nearest_existing,
    write_files,
)
from edcore.console import plain_console
from edcore.environment import check_package
from edcore.errors import InputError, shown

if TYPE_CHECKING:
    from edcore.reproduce.outcome import Outcome

PIPED_WIDTH = 160  # columns of the table in a file or a pipe


def _names() -> Iterable[str]:
    from edcore.reproduce.catalogue import NAMES

    return NAMES


def reproduce(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="kaneko-xor, kaneko-parity, article-mnist01, edla-digits, edla-polynomial, mnist or language.",
            autocompletion=complete_from(_names),
        ),
    ],
    seeds: Annotated[
        int | None, typer.Option(help="Seeds of each setting.", show_default="as the published result asks for")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Methods to run, with commas between them; the rows of others stay as they are in --out.",
            show_default="all",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A look, with fewer seeds, epochs or settings.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for NAME.md, NAME.json and NAME.png.")] = Path("results"),
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder that holds MNIST/raw, for article-mnist01 and mnist.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="A text in UTF-8, for language.", show_default="one that Python has")
    ] = None,
    backend: BackendOption = "auto",
    config: ConfigOption = None,
) -> None:
    """Repeat a published result, beside back-propagation, direct feedback alignment and frozen hidden layers."""
    # Imported here, so that the other commands start faster.
    from edcore.reproduce import catalogue, page
    from edcore.reproduce.options import Options

    _check(out, name, config)
    chosen = None if methods is None else tuple(method.strip() for method in methods.split(","))
    kept = None if chosen is None else _read(out / f"{name}.json", quick)
    options = Options(
        seeds=seeds, quick=quick, data_dir=data_dir, text=text, backend=backend, methods=chosen, announce=_announce
    )
    outcome = catalogue.reproduce(name, options)
    if kept:
        outcome = outcome.beside(kept)
    console = plain_console(piped_width=PIPED_WIDTH)
    page.show(outcome, console)
    from edcore.plots.canvas import plain_text
    from edcore.plots.reproduction import png

    with plain_text():
        picture = png(outcome)
    files = {
        "md": page.markdown(outcome).encode(),
        "json": (json.dumps(outcome.as_dict(), indent=1) + "\n").encode(),
        "png": picture,
    }
    out.mkdir(parents=True, exist_ok=True)
    write_files("out", {out / f"{name}.{ending}": content for ending, content in files.items()})
    console.print(f"\nwritten: {', '.join(str(out / f'{name}.{ending}') for ending in files)}", soft_wrap=True)


def _check(out: Path, name: str, config: Path | None) -> None:
    """Refuse, before minutes of computing, a folder that cannot be written to, or a missing package."""
    if out.is_dir():
        for ending in ("md", "json", "png"):
            check_different(config=config, out=out / f"{name}.{ending}")
            check_writable("out", out / f"{name}.{ending}")
    folder = nearest_existing(out)
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError("out", repr(str(out)), "a folder that can be written to, which may be new")
    check_package("matplotlib", "plots", "reproduce")


def _read(file: Path, quick: bool) -> Outcome | None:
    """Return the outcome in a file, whose rows are to be kept; None if there is no file."""
    from edcore.reproduce.outcome import Outcome  # here, as above

    if not file.exists():
        return None
    try:
        kept = Outcome.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise InputError("out", shown(str(file)), "a folder with a file that `edcore reproduce` wrote") from error
    if kept.quick != quick:
        given = f"{file}, which is {'' if kept.quick else 'not '}of --quick, {'without' if kept.quick else 'with'} it"
        raise InputError("out", given, "another folder", "Rows of a quick look and others do not mix.")
    return kept


def _announce(line: str) -> None:
    """Print a line of progress on stderr, in a log as well: a reproduction takes minutes."""
    print(line, file=sys.stderr)
