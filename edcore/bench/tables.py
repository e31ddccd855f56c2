"""Tables of a benchmark, on the screen or in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console

from edcore.bench.setting import Work
from edcore.bench.timings import Benchmark, Timings, milliseconds
from edcore.console import ABSENT, print_numbers
from edcore.dispatch.choose import FULL


@dataclass(frozen=True, slots=True)
class NumberTable:
    """A table whose first columns hold words, on the left, and whose other columns hold numbers, on the right."""

    columns: list[str]
    rows: list[list[str]]
    words: int = 1
    title: str = ""

    def show(self, console: Console) -> None:
        """Print the table, in parts if it is wider than the console."""
        print_numbers(console, self.columns, self.rows, self.words, self.title)

    def in_markdown(self) -> list[str]:
        """Return the lines of the table in Markdown, without the title."""
        marks = ["---" if number < self.words else "---:" for number in range(len(self.columns))]
        return [f"| {' | '.join(cells)} |" for cells in (self.columns, marks, *self.rows)]


def show(benchmark: Benchmark, console: Console) -> None:
    """Print a benchmark as a table."""
    for line in _heading(benchmark):
        console.print(line, soft_wrap=True)
    console.print()
    _table(benchmark).show(console)
    for line in _notes(benchmark):
        console.print(f"\n{line}", soft_wrap=True)  # never folded, so that a command in it can be copied


def markdown(benchmark: Benchmark) -> str:
    """Return a benchmark as a Markdown table, with the setting above it and the reasons for gaps below."""
    notes = [line for note in _notes(benchmark) for line in ("", note)]
    return "\n".join(["  \n".join(_heading(benchmark)), "", *_table(benchmark).in_markdown(), *notes])


def _heading(benchmark: Benchmark) -> Iterator[str]:
    setting, where, machine = benchmark.setting, benchmark.environment, benchmark.machine
    work = Work.of(setting)
    precision = setting.dtype if setting.precision == FULL else f"{setting.dtype} as {setting.precision}"
    yield (
        f"depth {setting.depth}, width {setting.width}, batch {setting.batch}, {setting.features} features, "
        f"{setting.heads} head{'s' * (setting.heads != 1)}, {precision}, {setting.rule} rule, "
        f"{setting.repeats} repeat{'s' * (setting.repeats != 1)}"
    )
    device = f"{machine.device}, " if machine and machine.device else ""
    yield f"{setting.device}: {device}{where.machine}"
    yield where.software(benchmark.versions)
    yield (
        f"a step takes at least {_scaled(work.flop_step, 'FLOP')} of matrix products and moves at least "
        f"{_scaled(work.bytes_step, 'B')}"
    )
    if machine:
        peak, blas = machine.peak_per_s, machine.blas and f", {machine.blas}"
        registers = f"{_scaled(peak, 'FLOP/s')} (multiply-adds in registers, {machine.peak_by}), " if peak else ""
        yield (
            f"this machine: {registers}{_scaled(machine.flop_per_s, 'FLOP/s')} ({machine.product_by}'s product{blas}), "
            f"{_scaled(machine.bytes_per_s, 'B/s')} (copy by {machine.copy_by})"
        )
    *others, copy = _share_columns(benchmark)
    columns = f"{', '.join(others)} and {copy}"
    yield f"medians in milliseconds; {columns}: the share of this machine's speed that a step reaches"


def _share_columns(benchmark: Benchmark) -> list[str]:
    machine = benchmark.machine
    return ["peak", "product", "copy"] if machine and machine.peak_per_s else ["product", "copy"]


def _table(benchmark: Benchmark) -> NumberTable:
    reference = benchmark.measured[0] if benchmark.measured else None
    times = ["forward", "trace", "update", "step", "fastest … slowest"]
    first = f"× {reference.name if reference else 'first'}"
    columns = ["contender", *times, first, *_share_columns(benchmark)]
    return NumberTable(columns, [_cells(benchmark, timings, reference, columns) for timings in benchmark.timings])


def _cells(benchmark: Benchmark, timings: Timings, reference: Timings | None, columns: list[str]) -> list[str]:
    if timings.reason or reference is None:
        return [timings.name, *[ABSENT] * (len(columns) - 1)]
    medians = [milliseconds(timings.median(part)) for part in ("forward", "trace", "update", "step")]
    steps, shares = timings.seconds["step"], benchmark.shares(timings)
    spread = f"{milliseconds(min(steps))} … {milliseconds(max(steps))}"
    ratio = f"{timings.median('step') / reference.median('step'):.2f}"
    reached = [f"{share:.0%}" for share in shares.values()] if shares else [ABSENT] * 2
    return [timings.name, *medians, spread, ratio, *reached]


def _notes(benchmark: Benchmark) -> Iterator[str]:
    for timings in benchmark.timings:
        if timings.reason:
            yield f"{timings.name} was not measured: {timings.reason}."
    if benchmark.machine_reason:
        yield f"The machine's own speed was not measured: {benchmark.machine_reason}."
    machine = benchmark.machine
    if machine and not machine.peak_per_s and benchmark.setting.device_type == "cpu":
        yield "The peak of multiply-adds in registers was not measured: the package numba is not installed."
    if machine and machine.warning:
        yield machine.warning


def _scaled(value: float, unit: str) -> str:
    """Return a number of a unit with the prefix that suits it."""
    for prefix in ("", "k", "M", "G"):
        if value < 1000:
            return f"{value:.3g} {prefix}{unit}"
        value /= 1000
    return f"{value:.3g} T{unit}"
