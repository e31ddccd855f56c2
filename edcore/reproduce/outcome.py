"""What a reproduction found: for each setting and method what was published, and what came of each of our seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from statistics import fmean, stdev
from typing import Any, TypeVar

from edcore.environment import Environment, here, versions

Item = TypeVar("Item")

EDCORE = "edcore"
"""The method of a row that is ours."""

NEAR = 2.0
"""Standard errors within which two means are called equal."""


@dataclass(frozen=True, slots=True)
class Published:
    """A figure that was published.

    Parameters
    ----------
    source : str
        By whom, short enough to head a column.
    value : float or None
        The figure; None where there is none, as for Kaneko's X.
    runs : int
        Runs of which it is the mean.
    note : str
        What stands beside it, such as its time-outs.
    same : bool
        Whether it is of the very setting of ours, so that both should agree.
    """

    source: str
    value: float | None
    runs: int = 1
    note: str = ""
    same: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One method in one setting, over all seeds.

    Parameters
    ----------
    setting : str
        The setting, within its group.
    method : str
        The method.
    values : tuple of float
        What each seed came to; those that timed out are left out, as in Kaneko's means.
    timed_out : int
        Seeds that timed out.
    seconds : float
        Seconds of training, all seeds together.
    group : str
        Settings of one group share a panel of the plot.
    published : Published or None
        What was published.
    backend : str
        What edcore computed with; empty for the others, which use NumPy.
    """

    setting: str
    method: str
    values: tuple[float, ...]
    timed_out: int = 0
    seconds: float = 0.0
    group: str = ""
    published: Published | None = None
    backend: str = ""

    @property
    def place(self) -> str:
        """Group and setting, as a sentence names them."""
        return f"{self.group}, {self.setting}" if self.group else self.setting

    @property
    def seeds(self) -> int:
        """How many seeds there were."""
        return len(self.values) + self.timed_out

    @property
    def mean(self) -> float | None:
        """The mean over the seeds that did not time out."""
        return fmean(self.values) if self.values else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation over them."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def error(self) -> float | None:
        """The standard error of the mean."""
        return None if self.deviation is None else self.deviation / math.sqrt(len(self.values))

    @property
    def z(self) -> float | None:
        """How many standard errors the mean is above the published one.

        Of a published mean nobody knows the spread. It is taken to be ours, over as many runs as it was made of.
        """
        there = self.published
        if there is None or there.value is None or not there.same or self.mean is None or not self.deviation:
            return None
        return (self.mean - there.value) / (self.deviation * math.sqrt(1 / len(self.values) + 1 / there.runs))


def apart(row: Row, other: Row) -> float | None:
    """Return how many standard errors the mean of one row is above that of another; None where one has no spread."""
    if row.mean is None or other.mean is None or not row.error or not other.error:
        return None
    return (row.mean - other.mean) / math.hypot(row.error, other.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that a reproduction found, and all that is needed to judge it.

    Parameters
    ----------
    name : str
        Its name on the command line.
    title : str
        What it reproduces.
    measure : str
        What the values are, with their unit.
    axis : str
        What the settings are.
    rows : list of Row
        The rows, methods within settings.
    notes : list of str
        How it was done, and what is remarkable: sentences in Markdown.
    digits : int
        Digits after the point of a value.
    logarithmic : bool
        Whether a plot has a logarithmic axis for them.
    quick : bool
        Whether it was but a look, with fewer seeds, epochs or settings.
    environment : Environment
        Where and when it was made, and by which edcore.
    versions : dict of str to str
        The versions of the libraries that took part.
    """

    name: str
    title: str
    measure: str
    axis: str
    rows: list[Row]
    notes: list[str]
    digits: int = 2
    logarithmic: bool = False
    quick: bool = False
    environment: Environment = field(default_factory=here)
    versions: dict[str, str] = field(default_factory=versions)

    @property
    def settings(self) -> list[tuple[str, str]]:
        """Group and setting of the rows, each once, in their order."""
        return _each_once((row.group, row.setting) for row in self.rows)

    @property
    def methods(self) -> list[str]:
        """The methods, each once, in their order."""
        return _each_once(row.method for row in self.rows)

    def row(self, group: str, setting: str, method: str) -> Row | None:
        """Return the row of a method in a setting; None where it was left out."""
        wanted = group, setting, method
        return next((row for row in self.rows if (row.group, row.setting, row.method) == wanted), None)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as values that JSON has, with the statistics of each row."""
        rows = [
            asdict(row)
            | {"values": list(row.values)}
            | {name: getattr(row, name) for name in ("mean", "deviation", "error", "z")}
            for row in self.rows
        ]
        return asdict(self) | {"rows": rows}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Outcome:
        """Return the outcome whose `as_dict` this is."""
        rows = [_row(row) for row in found["rows"]]
        return cls(**found | {"rows": rows, "environment": Environment(**found["environment"])})


def _row(found: dict[str, Any]) -> Row:
    fields = {name: found[name] for name in ("setting", "method", "timed_out", "seconds", "group", "backend")}
    there = found["published"]
    return Row(values=tuple(found["values"]), published=there and Published(**there), **fields)


def _each_once(items: Iterable[Item]) -> list[Item]:
    return list(dict.fromkeys(items))
