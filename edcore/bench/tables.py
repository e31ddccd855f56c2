"""Results as a table: on the screen, or in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from edcore.bench.results import Results, Row, milliseconds
from edcore.bench.setting import Work

ABSENT = "–"


def show(results: Results, console: Console) -> None:
    """Print the results as a table.

    Parameters
    ----------
    results : Results
        The results.
    console : Console
        Where to print.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    first, *others = _columns(results)
    table.add_column(first, no_wrap=True)
    for column in others:
        table.add_column(column, justify="right")
    for row in results.rows:
        table.add_row(*_cells(results, row))
    for line in _heading(results):
        console.print(line, soft_wrap=True)
    console.print()
    console.print(table)
    for line in _notes(results):
        console.print(f"\n{line}", soft_wrap=True)  # never folded, so that a command in it can be copied


def markdown(results: Results) -> str:
    """Return the results as a Markdown page's table, with what was measured above it and the reasons below."""
    columns = _columns(results)
    rows = [columns, ["---", *["---:"] * (len(columns) - 1)], *(_cells(results, row) for row in results.rows)]
    table = [f"| {' | '.join(cells)} |" for cells in rows]
    notes = [line for note in _notes(results) for line in ("", note)]
    return "\n".join(["  \n".join(_heading(results)), "", *table, *notes])


def _heading(results: Results) -> Iterator[str]:
    setting, where, work = results.setting, results.environment, Work.of(results.setting)
    yield (
        f"depth {setting.depth}, width {setting.width}, batch {setting.batch}, {setting.features} features, "
        f"{setting.heads} head{'s' * (setting.heads != 1)}, {setting.dtype}, {setting.rule} rule, "
        f"{setting.repeats} repeats"
    )
    device = f"{results.machine.device}, " if results.machine and results.machine.device else ""
    yield f"{setting.device}: {device}{where.cpu}, {where.cores} cores, {where.system}, Python {where.python}"
    commit = f" (commit {where.commit})" if where.commit else ""
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    yield f"{where.date[:10]}, {versions}{commit}"
    yield (
        f"a step takes at least {_scaled(work.flop_step, 'FLOP')} of matrix products and moves at least "
        f"{_scaled(work.bytes_step, 'B')}"
    )
    if results.machine:
        yield (
            f"this machine: {_scaled(results.machine.flop_per_s, 'FLOP/s')} ({results.machine.product_by}'s product), "
            f"{_scaled(results.machine.bytes_per_s, 'B/s')} (copy by {results.machine.copy_by})"
        )
    yield "medians in milliseconds; product and copy are the shares of this machine's that a step reaches"


def _columns(results: Results) -> list[str]:
    reference = results.measured[0].name if results.measured else "first"
    timings = ["forward", "trace", "update", "step", "fastest … slowest"]
    return ["contender", *timings, f"× {reference}", "product", "copy"]


def _cells(results: Results, row: Row) -> list[str]:
    if row.reason:
        return [row.name, *[ABSENT] * 8]
    timings = [milliseconds(row.median(what)) for what in ("forward", "trace", "update", "step")]
    steps, shares = row.seconds["step"], results.shares(row)
    ratio = row.median("step") / results.measured[0].median("step")
    reached = [f"{share:.0%}" for share in shares] if shares else [ABSENT] * 2
    return [row.name, *timings, f"{milliseconds(min(steps))} … {milliseconds(max(steps))}", f"{ratio:.2f}", *reached]


def _notes(results: Results) -> Iterator[str]:
    for row in results.rows:
        if row.reason:
            yield f"{row.name} was not measured: {row.reason}."
    if results.machine_reason:
        yield f"The machine's bounds were not measured: {results.machine_reason}."


def _scaled(value: float, unit: str) -> str:
    """Return a number of a unit with the prefix that suits it."""
    for prefix in ("", "k", "M", "G"):
        if value < 1000:
            return f"{value:.3g} {prefix}{unit}"
        value /= 1000
    return f"{value:.3g} T{unit}"
