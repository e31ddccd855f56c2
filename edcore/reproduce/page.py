"""An outcome as text: tables on the screen, or a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console
from rich.table import Table as Shown

from edcore.reproduce.outcome import NEAR, Outcome, Published, Row

ABSENT = "–"
QUICK = "This is a quick look (`--quick`), with fewer seeds, epochs or settings: its figures are no reproduction."


class Table(NamedTuple):
    """A table, all of whose columns but the first ones are numbers."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    words: int = 1  # columns of words


def tables(outcome: Outcome) -> list[Table]:
    """Return the tables of an outcome: the means side by side, and all figures."""
    return [_means(outcome), _all(outcome)]


def show(outcome: Outcome, console: Console) -> None:
    """Print an outcome.

    Parameters
    ----------
    outcome : Outcome
        The outcome.
    console : Console
        Where to print.
    """
    console.print(outcome.title, soft_wrap=True)
    for line in _lead(outcome):
        console.print(f"\n{line}", soft_wrap=True)
    for title, columns, rows, words in tables(outcome):
        table = Shown(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number < words else "right", no_wrap=number < words)
        for row in rows:
            table.add_row(*row)
        console.print()
        console.print(table)
    for line in [*_verdicts(outcome), *outcome.notes, *_where(outcome)]:
        console.print(f"\n{line}", soft_wrap=True)


def markdown(outcome: Outcome) -> str:
    """Return an outcome as a page in Markdown, with a picture NAME.png and all values in NAME.json beside it."""
    lines = [f"# {outcome.title}", ""]
    lines += [part for line in _lead(outcome) for part in (line, "")]
    lines += [f"```shell\nedcore reproduce {outcome.name}{' --quick' if outcome.quick else ''}\n```", ""]
    lines += [f"![{outcome.measure}, by {outcome.axis} and method]({outcome.name}.png)", ""]
    for title, columns, rows, words in tables(outcome):
        marks = ["---" if number < words else "---:" for number in range(len(columns))]
        lines += [f"## {title}", "", *(f"| {' | '.join(cells)} |" for cells in [columns, marks, *rows]), ""]
    lines += ["## How, and what to make of it", ""]
    lines += [f"- {line}" for line in [*_verdicts(outcome), *outcome.notes]]
    lines += ["", "  \n".join(_where(outcome)), "", f"Every value is in [{outcome.name}.json]({outcome.name}.json)."]
    return "\n".join(lines) + "\n"


def _lead(outcome: Outcome) -> Iterator[str]:
    if outcome.quick:
        yield QUICK
    yield f"{outcome.measure[0].upper()}{outcome.measure[1:]}, by {outcome.axis} and method."


def _means(outcome: Outcome) -> Table:
    """Return the means of all methods side by side, each source's figures before those that they are compared with."""
    columns, cells = _setting_columns(outcome), [_setting_cells(outcome, *key) for key in outcome.settings]
    words, sources = len(columns), set()
    for method in outcome.methods:
        rows = [outcome.row(*key, method) for key in outcome.settings]
        for source in dict.fromkeys(row.published.source for row in rows if row and row.published):
            if source not in sources:
                sources.add(source)
                columns.append(source)
                for line, row in zip(cells, rows, strict=True):
                    there = row.published if row else None
                    line.append(_published(outcome, there if there and there.source == source else None))
        with_z = any(row and row.z is not None for row in rows)
        columns += [method, "z"] if with_z else [method]
        for line, row in zip(cells, rows, strict=True):
            line.append(_mean(outcome, row))
            if with_z:
                line.append(_signed(row.z if row else None))
    return Table("The means", columns, cells, words)


def _all(outcome: Outcome) -> Table:
    figures = ["published", "mean", "standard deviation", "standard error", "lowest … highest"]
    columns = [*_setting_columns(outcome), "method", *figures, "time-outs", "seeds", "z", "seconds", "a seed"]
    cells = []
    for row in outcome.rows:
        lowest_highest = ABSENT
        if row.values:
            lowest_highest = " … ".join(_number(outcome, bound) for bound in (min(row.values), max(row.values)))
        numbers = [_number(outcome, value) for value in (row.mean, row.deviation, row.error)]
        counts = [str(row.timed_out), str(row.seeds), _signed(row.z)]
        times = [_seconds(row.seconds), _seconds(row.seconds / row.seeds)] if row.seconds else [ABSENT] * 2
        published = _published(outcome, row.published)
        line = [*_setting_cells(outcome, row.group, row.setting), row.method, published, *numbers, lowest_highest]
        cells.append([*line, *counts, *times])
    return Table("All figures", columns, cells, len(_setting_columns(outcome)) + 1)


def _verdicts(outcome: Outcome) -> Iterator[str]:
    """Yield for each method how many of its means are within what sampling explains; nothing for a quick look."""
    if outcome.quick:
        return
    for method in outcome.methods:
        judged = [(row, row.z) for row in outcome.rows if row.method == method and row.z is not None]
        if judged:
            far = [f"{row.place} (z {z:+.1f})" for row, z in judged if abs(z) > NEAR]
            where = f"; apart: {'; '.join(far)}" if far else ""
            near = f"{len(judged) - len(far)} of {len(judged)}"
            yield f"{method}: {near} means lie within {NEAR:g} standard errors of what was published{where}."
    if any(row.z is not None for row in outcome.rows):
        yield (
            "z is the difference to the published figure in standard errors of both. The spread of the published runs "
            "is not known and taken to be ours."
        )


def _where(outcome: Outcome) -> Iterator[str]:
    here = outcome.environment
    commit = f" (commit {here.commit})" if here.commit else ""
    libraries = {"edcore": here.edcore, **outcome.versions}
    yield f"{here.date[:10]}, {', '.join(f'{name} {version}' for name, version in libraries.items())}{commit}"
    backends = ", ".join(dict.fromkeys(row.backend for row in outcome.rows if row.backend))
    yield f"backend {backends} on {here.cpu}, {here.cores} cores, {here.system}, Python {here.python}"


def _setting_columns(outcome: Outcome) -> list[str]:
    return ["", outcome.axis] if any(group for group, _ in outcome.settings) else [outcome.axis]


def _setting_cells(outcome: Outcome, group: str, setting: str) -> list[str]:
    return [group, setting] if any(group for group, _ in outcome.settings) else [setting]


def _mean(outcome: Outcome, row: Row | None) -> str:
    if row is None:
        return ABSENT
    late = f" ({row.timed_out} time-out{'s' * (row.timed_out != 1)})" if row.timed_out else ""
    return f"{_number(outcome, row.mean)}{late}"


def _published(outcome: Outcome, there: Published | None) -> str:
    if there is None:
        return ABSENT
    value = "" if there.value is None else _number(outcome, there.value)
    return f"{value} ({there.note})" if value and there.note else value or there.note


def _number(outcome: Outcome, value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.{outcome.digits}f}"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.3g}" if seconds < 999.5 else f"{seconds:,.0f}"


def _signed(z: float | None) -> str:
    return ABSENT if z is None else f"{z:+.1f}"
