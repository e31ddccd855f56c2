"""The summary of a sweep: for each combination of its options, means over the seeds and their intervals."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from edcore.arguments import checked_path
from edcore.console import ABSENT, in_text, print_numbers
from edcore.errors import InputError, shown
from edcore.sweep.options import TYPES, Value
from edcore.sweep.plan import Sweep
from edcore.sweep.statistics import Mean, mean_of
from edcore.sweep.tables import read_rows

MOST = 100
"""The most combinations in that table."""

FOUND = ("accuracy", "learnt_epochs")
"""What there are means of."""


@dataclass(frozen=True, slots=True)
class Point:
    """What the runs of one combination of options have found; means leave out the runs that failed.

    Attributes
    ----------
    options : mapping of str to value
        The options by which it differs from the others.
    runs, failed : int
        Runs that were made, and how many of them failed.
    accuracy, learnt_epochs : Mean or None
        The mean over the seeds, `value`, with its interval of 95 % by Student's t from `low` to `high`, None of a
        single run; None without a run.
    """

    options: Mapping[str, Value | None]
    runs: int
    failed: int
    accuracy: Mean | None
    learnt_epochs: Mean | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The points of a sweep, as `summarise` returns them. `print` shows them as a table.

    Attributes
    ----------
    by : tuple of str
        The options by which the points differ.
    points : tuple of Point
        A point for each combination of these options, in the order of the runs.
    """

    by: tuple[str, ...]
    points: tuple[Point, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of the table."""
        return (*self.by, "runs", "failed", "accuracy", "± 95 %", "learnt epochs", "± 95 %")

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Rows of the table, one for each point."""
        return [
            (
                *(ABSENT if point.options[name] is None else str(point.options[name]) for name in self.by),
                f"{point.runs:,}",
                f"{point.failed:,}",
                *_cells(point.accuracy, ".4f"),
                *_cells(point.learnt_epochs, ",.1f"),
            )
            for point in self.points
        ]

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the points as values that JSON and `pandas.DataFrame` take."""
        return [
            dict(point.options)
            | {"runs": point.runs, "failed": point.failed}
            | {
                f"{name}{end}": None if mean is None else getattr(mean, field)
                for name, mean in (("accuracy", point.accuracy), ("learnt_epochs", point.learnt_epochs))
                for end, field in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
            for point in self.points
        ]

    def show(self, console: Console) -> None:
        """Print the table, of many points the first ones."""
        rows = self.rows
        print_numbers(console, self.columns, rows[:MOST], words=max(1, len(self.by)))
        if len(rows) > MOST:
            more = f"{len(rows) - MOST:,} more: edcore.sweep.summarise in Python has all, and so has --json"
            console.print(f"… and {more}", soft_wrap=True)

    def plot(self, ax: Any = None) -> Any:
        """Draw the means and their intervals, as `edcore.plots.sweep` does; return matplotlib's figure."""
        return importlib.import_module("edcore.plots").sweep(self, ax=ax)  # by its name, as it stands on a floor above

    def __str__(self) -> str:
        return in_text(self.show)


def summarise(rows: str | os.PathLike[str] | Iterable[Mapping[str, Any]], sweep: Sweep | None = None) -> Summary:
    """Return the means over seeds, for each combination of options of a sweep.

    Parameters
    ----------
    rows : path or iterable of dict
        The file of a sweep, a .csv or a .parquet, also of one that is not finished. Or the rows that `Sweep.rows`
        yields.
    sweep : Sweep, optional
        The sweep. With it there is a point for each combination of its grid, also without a run. Left out, the points
        are those of the rows, and differ by the options that differ in them.

    Returns
    -------
    Summary
        The points. `print` shows a table.

    Raises
    ------
    InputError
        If the rows are those of no sweep or of another one, or a run or a seed has two.
    DataFileError
        If the file cannot be read, or is damaged other than by a last line that was cut short.

    Notes
    -----
    An interval has the level 95 %, by Student's t over the seeds: mean ± t · s / √n. Runs that failed are counted, and
    left out of the means.

    Examples
    --------
    >>> from edcore.sweep import Sweep, summarise
    >>> options = {"dataset": "xor", "rule": "kaneko", "epochs": 300, "tolerance": 0.1, "backend": "numpy"}
    >>> found = summarise(Sweep(options, {"width": [2, 4]}, seeds=3).rows(n_jobs=1))
    >>> [(point.options["width"], point.runs, point.accuracy.value) for point in found.points]
    [(2, 3, 1.0), (4, 3, 1.0)]
    """
    if sweep is not None and not isinstance(sweep, Sweep):
        raise InputError("sweep", shown(sweep), "an edcore.sweep.Sweep(…), or None")
    listed = _checked(rows)
    if sweep is None:
        names = [name for name in TYPES if name != "device" and len({row.get(name) for row in listed}) > 1]
        order = list(listed[0]) if listed else []
        names.sort(key=lambda name: order.index(name) if name in order else len(order))  # as in the table
        groups: dict[Any, list[Mapping[str, Any]]] = {}
        for row in listed:
            groups.setdefault(tuple(row.get(name) for name in names), []).append(row)
        return Summary(
            tuple(names), tuple(_point(dict(zip(names, key, strict=True)), found) for key, found in groups.items())
        )
    groups = {number: [] for number in range(len(sweep.points))}
    for row in listed:
        if row["sweep"] != sweep.fingerprint or not 0 <= row["run"] < len(sweep):
            raise InputError("rows", f"run {row['run']} of sweep {row['sweep']!r:.30}", "rows of this sweep")
        groups[row["run"] % len(sweep.points)].append(row)
    points = zip(sweep.points, groups.values(), strict=True)
    return Summary(tuple(sweep.grid), tuple(_point(options, found) for options, found in points))


def _checked(rows: Any) -> list[Mapping[str, Any]]:
    """Return the rows, each of another run, or refuse what has not the columns of a sweep."""
    if isinstance(rows, str | os.PathLike):
        rows = read_rows(checked_path("rows", rows))
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        raise InputError("rows", shown(rows), "the file of a sweep, or the rows that Sweep.rows yields")
    listed: dict[tuple[Any, int], Mapping[str, Any]] = {}
    for row in rows:
        try:
            found = {**row, "run": int(row["run"])}
            if not row["failed"]:
                found |= {name: float(row[name]) for name in FOUND}
            key = row["sweep"], found["run"]
            found["seed"] = int(row["seed"])
            {*found.values()}
        except (TypeError, ValueError, KeyError):
            raise InputError("rows", shown(row), "rows of Sweep.rows or of its file") from None
        if key in listed:
            raise InputError("rows", f"two rows of run {key[1]}", "one row for each run", "Remove one of them.")
        listed[key] = found
    return sorted(listed.values(), key=lambda row: int(row["run"]))


def _point(options: Mapping[str, Value | None], rows: list[Mapping[str, Any]]) -> Point:
    seeds = {row["seed"] for row in rows}
    if len(seeds) < len(rows):  # as of two sweeps: the same run twice would make the interval too narrow
        same = ", ".join(f"{name} {value}" for name, value in options.items())
        given = f"{len(rows):,} runs of {len(seeds):,} seeds{' with ' * bool(same)}{same}"
        raise InputError("rows", given, "one run for each seed and combination", "Summarise each sweep alone.")
    good = [row for row in rows if not row["failed"]]
    means = [mean_of([row[name] for row in good]) for name in FOUND]
    return Point(dict(options), len(rows), len(rows) - len(good), *means)


def _cells(mean: Mean | None, form: str) -> Iterator[str]:
    """Yield a mean and half its interval."""
    for value in (None, None) if mean is None else (mean.value, mean.half):
        yield ABSENT if value is None else f"{value:{form}}" if abs(value) < 1e7 else f"{value:.3g}"
