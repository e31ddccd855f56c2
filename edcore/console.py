"""Text on a terminal: plain lines, tables, and a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column, Table


def plain_table(*columns: Column | str) -> Table:
    """Return a table without lines."""
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))


def pairs_table(pairs: Mapping[str, str]) -> Table:
    """Return a table of names, in bold, and their values."""
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    for name, value in pairs.items():
        table.add_row(name, value)
    return table


def plain_console(*, stderr: bool = False, piped_width: int | None = None) -> Console:
    """Return a console that prints text unchanged, in `piped_width` columns if stdout is a pipe or a file."""
    width = piped_width if piped_width and not sys.stdout.isatty() else None
    # No markup and no emoji: Rich would take edcore[cupy] and cuda:1 for such.
    return Console(markup=False, emoji=False, highlight=False, stderr=stderr, width=width)


def bar(console: Console) -> Bar:
    """Return a progress bar with the time left. It shows nothing unless the console is a terminal."""
    return Bar(
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (console.file.isatty() and console.is_interactive),
    )
