"""The command ``edcore reproduce``: its options, and the files that it leaves."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edcore.cli.options import BackendOption, ConfigOption, check_package, completed, nearest
from edcore.errors import InputError

WIDE = 160  # of a table in a file or a pipe, where nothing need be folded


def _names() -> Iterable[str]:
    from edcore.reproduce.catalogue import NAMES

    return NAMES


def reproduce(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="kaneko-xor, kaneko-parity, article-mnist01, edla-digits, edla-polynomial or mnist.",
            autocompletion=completed(_names),
        ),
    ],
    seeds: Annotated[
        int | None, typer.Option(help="Seeds of each setting.", show_default="as the published result asks for")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A look, with fewer seeds, epochs or settings.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for NAME.md, NAME.json and NAME.png.")] = Path("results"),
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder that holds MNIST/raw, for article-mnist01 and mnist.")
    ] = None,
    backend: BackendOption = "auto",
    config: ConfigOption = None,
) -> None:
    """Repeat a published result, beside back-propagation and direct feedback alignment."""
    # Here and not above: the other commands need none of it.
    from edcore.reproduce import catalogue, page
    from edcore.reproduce.options import Options

    _check(out)
    options = Options(seeds=seeds, quick=quick, data_dir=data_dir, backend=backend, announce=_announce)
    outcome = catalogue.reproduce(name, options)
    columns = None if sys.stdout.isatty() else WIDE
    page.show(outcome, Console(markup=False, emoji=False, highlight=False, width=columns))
    from edcore.reproduce.picture import png

    files = {
        "md": page.markdown(outcome).encode(),
        "json": (json.dumps(outcome.as_dict(), indent=1) + "\n").encode(),
        "png": png(outcome),
    }
    _write({out / f"{name}.{ending}": content for ending, content in files.items()})
    typer.echo(f"\nwritten: {', '.join(str(out / f'{name}.{ending}') for ending in files)}")


def _check(out: Path) -> None:
    """Refuse, before minutes of computing, what could not be written after them."""
    there = nearest(out)
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError("out", repr(str(out)), "a folder to write to, there already or not")
    check_package("matplotlib", "plots", "reproduce")


def _write(files: dict[Path, bytes]) -> None:
    """Write files whole: each under another name first, and all of them before the first takes its place."""
    written: dict[Path, Path] = {}
    try:
        for file, content in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            written[file] = file.with_name(f".{file.name}.{os.getpid()}")
            written[file].write_bytes(content)
        for file, other in written.items():
            other.replace(file)
    except OSError as error:
        raise InputError("out", str(error), "a folder to write to") from error
    finally:
        for other in written.values():
            other.unlink(missing_ok=True)


def _announce(line: str) -> None:
    """Tell on stderr what goes on: whoever waits for minutes wants to know, in a log as well."""
    print(line, file=sys.stderr)
