"""The outcome of a reproduction: for each setting and method the published figure, and the value of each seed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean, stdev
from typing import Any

from edcore.comparison.controls import FROZEN, READOUT
from edcore.environment import Environment, here, versions

EDCORE = "edcore"
"""The name of our method in the tables."""

NEAR = 2.0
"""Two means count as equal within this many standard errors."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published figure."""

    source: str  # short enough to head a column
    value: float | None  # None if there is no figure, as for Kaneko's X
    runs: int = 1  # the runs of which it is the mean
    note: str = ""  # shown beside it, such as its time-outs
    same: bool = True  # whether it is of exactly our setting, so that both should agree


@dataclass(frozen=True, slots=True)
class Score:
    """The values of one method in one setting, over all seeds."""

    setting: str
    method: str
    values: tuple[float, ...]  # one for each seed; without time-outs, as in Kaneko's means
    timed_out: int = 0
    seconds: float = 0.0  # of training, all seeds together
    group: str = ""  # the settings of one group share a panel of the plot
    published: Published | None = None
    backend: str = ""  # of edcore; empty for the other methods, which use NumPy
    date: str = ""  # of its run, as the environment of that has it
    commit: str = ""  # of its run

    @property
    def place(self) -> str:
        """Group and setting, as a sentence names them."""
        return f"{self.group}, {self.setting}" if self.group else self.setting

    @property
    def seeds(self) -> int:
        """The number of seeds."""
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
        """The distance of the mean above the published one, in standard errors."""
        published = self.published
        if published is None or published.value is None or not published.same or not self.deviation:
            return None
        # The spread of the published runs is not known. It is taken to be ours, over as many runs as were published.
        error = self.deviation * math.sqrt(1 / len(self.values) + 1 / published.runs)
        return (fmean(self.values) - published.value) / error


def standard_errors_apart(score: Score, other: Score) -> float | None:
    """Return how many standard errors the first mean lies above the other; None if one has no spread."""
    if score.mean is None or other.mean is None or not score.error or not other.error:
        return None
    return (score.mean - other.mean) / math.hypot(score.error, other.error)


def standard_errors_below(score: Score, bound: float) -> float:
    """Return by how many standard errors a mean lies below a bound; ±infinity without a spread."""
    below = bound - fmean(score.values)
    return below / score.error if score.error else math.copysign(math.inf, below)


@dataclass(frozen=True, slots=True)
class Run:
    """Where and with what some methods ran."""

    environment: Environment
    versions: dict[str, str]  # of the libraries that took part


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All scores of a reproduction, and all that is needed to judge them."""

    name: str  # on the command line
    title: str
    measure: str  # what the values are, with their unit
    axis: str  # what the settings are
    rows: list[Score]  # methods within settings
    notes: list[str]  # sentences in Markdown on how it was done
    alike: tuple[str, str] | None = None  # two methods that should agree, as only their random numbers differ
    digits: int = 2  # of a value, after the point
    logarithmic: bool = False  # whether the plot has a logarithmic axis for the values
    quick: bool = False  # whether it had fewer seeds, epochs or settings
    curves: dict[str, list[list[float]]] = field(default_factory=dict)  # of a method: samples learnt, and the value
    texts: dict[str, str] = field(default_factory=dict)  # what a network has written, by its setting
    environment: Environment = field(default_factory=here)
    versions: dict[str, str] = field(default_factory=versions)  # of the libraries that took part
    earlier: tuple[Run, ...] = ()  # of the rows that were kept from before

    @property
    def settings(self) -> list[tuple[str, str]]:
        """Group and setting of the scores, each once, in their order."""
        return list(dict.fromkeys((score.group, score.setting) for score in self.rows))

    @property
    def methods(self) -> list[str]:
        """The methods, each once, in their order; the controls are last, though they may have more settings."""
        return _controls_last(score.method for score in self.rows)

    def score(self, group: str, setting: str, method: str) -> Score | None:
        """Return the score of a method in a setting; None if it was left out."""
        wanted = group, setting, method
        return next((one for one in self.rows if (one.group, one.setting, one.method) == wanted), None)

    def in_environment(self, environment: Environment) -> Outcome:
        """Return this outcome as one that was computed there; its rows keep date and commit."""
        rows = [replace(score, date=environment.date, commit=environment.commit) for score in self.rows]
        return replace(self, rows=rows, environment=environment)

    def beside(self, kept: Outcome) -> Outcome:
        """Return this outcome with the rows of an earlier one, those of the methods that this one has left out."""
        mine, places = set(self.methods), list(dict.fromkeys([*kept.settings, *self.settings]))
        methods = _controls_last([*kept.methods, *self.methods])
        rows = [*(score for score in kept.rows if score.method not in mine), *self.rows]
        rows.sort(key=lambda score: (places.index((score.group, score.setting)), methods.index(score.method)))
        dates = {score.date for score in rows} - {self.environment.date}
        runs = *kept.earlier, Run(kept.environment, kept.versions)
        others: dict[str, Any] = {"curves": kept.curves | self.curves, "texts": kept.texts | self.texts}
        return replace(self, rows=rows, earlier=tuple(run for run in runs if run.environment.date in dates), **others)

    @property
    def runs(self) -> list[tuple[Run, list[str]]]:
        """The runs that the rows come from, each with its methods."""
        runs = *self.earlier, Run(self.environment, self.versions)
        found = []
        for run in runs:
            of = dict.fromkeys(score.method for score in self.rows if score.date in ("", run.environment.date))
            found.append((run, list(of)))
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as values that JSON has, with the statistics of each score."""
        rows = [
            asdict(score)
            | {"values": list(score.values)}
            | {name: getattr(score, name) for name in ("mean", "deviation", "error", "z")}
            for score in self.rows
        ]
        return asdict(self) | {"rows": rows}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Outcome:
        """Return the outcome of which `as_dict` returned this."""
        environment = Environment(**content["environment"])
        earlier = tuple(Run(Environment(**one["environment"]), one["versions"]) for one in content.get("earlier", ()))
        # Files from before runs were kept apart have one run.
        of = {"date": environment.date, "commit": environment.commit}
        rows = [_score(of | row) for row in content["rows"]]
        alike = content.get("alike") and tuple(content["alike"])
        more = {"rows": rows, "environment": environment, "earlier": earlier, "alike": alike}
        return cls(**content | more)


def _controls_last(methods: Iterable[str]) -> list[str]:
    """Return the methods, each once, in their order, but the controls at the end."""
    return sorted(dict.fromkeys(methods), key=(FROZEN, READOUT).__contains__)


def _score(row: dict[str, Any]) -> Score:
    names = ("setting", "method", "timed_out", "seconds", "group", "backend", "date", "commit")
    published = row["published"]
    return Score(
        values=tuple(row["values"]),
        published=published and Published(**published),
        **{name: row[name] for name in names},
    )
