"""Text on a terminal: plain lines, tables, JSON, and a progress bar.

What is printed has texts of files in it, which may be anybody's: all of it goes through `printable`.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column, Table
from rich.text import Text

from edcore.errors import printable

ABSENT = "–"
"""The cell of a table where a number would be, and there is none."""

FIXED = "\N{NO-BREAK SPACE}"
"""Between words of a cell that shall stay in one line."""

WIDTH = 110
"""Columns of a table in a text, a file or a pipe, about as many as a screen has."""

NARROW = 70
"""Columns below which the help has no tables, and names and values that do not fit beside each other are in lines."""

_stdout: TextIO | None = None  # in a block of `only_own_output`


@contextlib.contextmanager
def only_own_output() -> Iterator[None]:
    """Keep stdout for what this module prints, in a block: what others print, as a module on its import, is on stderr.

    So what is on stdout is one JSON object, or one CSV. Warnings are printable in the block.
    """
    global _stdout
    before, _stdout = _stdout, sys.stdout if _stdout is None else _stdout
    usual = warnings.formatwarning
    warnings.formatwarning = lambda *about, **line: printable(usual(*about, **line), "\n")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _stdout, warnings.formatwarning = before, usual


def write(text: str) -> None:
    """Write a text to stdout as it is."""
    file = _stdout or sys.stdout
    if file is not None:  # as under pythonw, where print drops its text too
        file.write(text)
        file.flush()


def say(line: str, *, stderr: bool = False) -> None:
    """Print a line, on stderr with the name of the program."""
    if stderr:
        print(f"edcore: {printable(line)}", file=sys.stderr, flush=True)
    else:
        write(f"{printable(line)}\n")


def print_json(value: Any) -> None:
    """Print a value as one line of JSON, which is valid and gives each text back unchanged."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except ValueError:  # NaN and infinity are no JSON
        text = json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None), ensure_ascii=False)
    unicode = "utf" in (getattr(_stdout or sys.stdout, "encoding", None) or "").lower()

    def escaped(found: re.Match[str]) -> str:
        sign = found[0]
        units = sign.encode("utf-16-be", "surrogatepass").hex()
        plain = unicode and printable(sign) == sign
        return sign if plain else "".join(f"\\u{units[n : n + 4]}" for n in range(0, len(units), 4))

    write(re.sub("[^ -~]", escaped, text) + "\n")


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
        _print_whole(console, table, sum(_widths(table)))


def print_words(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of words, row by row where the console is too narrow for them: no name, option or path is cut."""
    rows = [tuple(map(printable, row)) for row in rows]
    cells = zip(*rows, strict=True) if rows else ((),) * len(columns)
    table = plain_table(
        *(replace(column, min_width=_longest(words)) for column, words in zip(columns, cells, strict=True))
    )
    for row in rows:
        table.add_row(*row)
    needed = [max(column.min_width or 0, cell_len(str(column.header))) + 2 for column in table.columns]
    if sum(needed) <= console.width + 2:
        console.print(table)
        return
    for first, *others in rows:
        console.print(first, soft_wrap=True)
        for column, cell in zip(columns[1:], others, strict=True):
            if cell:
                console.print(f"  {column.header}: {cell}", soft_wrap=True)


def print_pairs(console: Console, pairs: Mapping[str, str]) -> None:
    """Print a table of names, in bold, and their values, whose words are not cut; in lines on a narrow console."""
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    pairs = {printable(name): printable(value) for name, value in pairs.items()}
    for name, value in pairs.items():
        table.add_row(name, value)
    wanted = max(map(cell_len, pairs), default=0) + 3 + _longest(pairs.values())
    if console.width >= min(wanted, NARROW):
        _print_whole(console, table, wanted)
        return
    for name, value in pairs.items():
        console.print(f"{name}: {value}", soft_wrap=True)


def _longest(texts: Iterable[str]) -> int:
    """Return the width of the longest word of some texts."""
    return max((cell_len(word) for text in texts for word in text.split()), default=0)


def _print_whole(console: Console, table: Table, wanted: int) -> None:
    """Print a table in at least the wanted width, if need be beyond the edge of the terminal."""
    width = console.width
    console.width = max(width, wanted)
    console.print(table, crop=False)
    console.width = width


def _widths(table: Table) -> list[int]:
    """Return the width of each column of a table that holds texts, with the gap to the next."""
    cells = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    return [max(map(cell_len, column)) + 2 for column in cells]


def plain_console(*, stderr: bool = False, piped_width: int | None = None) -> Console:
    """Return a console that prints text without markup, in `piped_width` columns if stdout is a pipe or a file."""
    file = sys.stderr if stderr else _stdout or sys.stdout
    width = piped_width if piped_width and not file.isatty() else None
    # No markup and no emoji: Rich would take edcore[cupy] and cuda:1 for such.
    return _Printable(markup=False, emoji=False, highlight=False, file=file, width=width)


def in_text(show: Callable[[Console], None]) -> str:
    """Return what a function prints on a console, without blanks at the ends of lines."""
    text = io.StringIO()
    show(_Printable(markup=False, emoji=False, highlight=False, file=text, width=WIDTH))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


class _Printable(Console):
    """A console each text of which, also in a cell of a table, is printable; our own lines have line breaks."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text as Rich prints it."""
        return super().render_str(printable(text, "\n"), **options)


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
