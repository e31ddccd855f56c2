"""Text on a terminal: plain lines, tables, and a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column, Table


def plain_table(*columns: Column | str) -> Table:
    """Return a table without lines."""
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))


def number_tables(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, words: int = 1, title: str = ""
) -> Iterator[Table]:
    """Yield a table whose first columns hold words, and whose others hold numbers, on the right.

    Numbers are never folded: 1.2e-38 is not 1.2e-3. Columns that do not fit beside the words are in further tables.
    """
    widths = [max(map(cell_len, column)) + 2 for column in zip(columns, *rows, strict=True)]
    first, start = list(range(words)), words
    while start < len(columns) or start == words:
        stop, room = start, width + 2 - sum(widths[:words])
        while stop < len(columns) and (stop == start or sum(widths[start : stop + 1]) <= room):
            stop += 1
        table = plain_table()
        table.title, table.title_justify = title or None, "left"
        picked = [*first, *range(start, stop)]
        for number in picked:
            table.add_column(columns[number], justify="left" if number < words else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(row[number] for number in picked))
        yield table
        start, title = max(stop, words + 1), ""


def print_numbers(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1, title: str = ""
) -> None:
    """Print a table of numbers, in parts below each other where it is wider than the console."""
    for part, table in enumerate(number_tables(columns, rows, console.width, words, title)):
        if part:
            console.print()
        console.print(table)


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


def bar(console: Console, clock: Callable[[], float] | None = None) -> Bar:
    """Return a progress bar with the time left by this clock. It shows nothing unless the console is a terminal."""
    return Bar(
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        transient=True,
        get_time=clock,
        disable=not (console.file.isatty() and console.is_interactive),
    )
