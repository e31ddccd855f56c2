"""What a comparison has found: the values of each method and seed, means and differences, a table, and sentences."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console

from edcore.arguments import one_of
from edcore.bench.tables import NumberTable
from edcore.comparison.methods import LINEAR, SHORT
from edcore.console import ABSENT, FIXED, in_text
from edcore.environment import Environment, here, versions
from edcore.sweep.statistics import LEVEL, Mean, mean_of, paired

QUICK = "This is a quick look (--quick), with fewer seeds, epochs and samples: its figures are no comparison."


@dataclass(frozen=True, slots=True)
class Scores:
    """The values of a method, one for each seed."""

    method: str
    values: tuple[float | None, ...]  # None where it has diverged
    seconds: tuple[float, ...]  # of training
    setting: dict[str, float]  # the learning rates or the penalty that it has chosen; none if it chose nothing
    tried: int  # the settings that it chose from
    edge: bool  # whether the chosen one is the least or the largest of them
    backend: str  # what computed it
    warned: str = ""  # the first warning, and in how many runs there was one

    @property
    def found(self) -> list[float]:
        """The values of the seeds that have not diverged."""
        return [value for value in self.values if value is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The outcome of `edcore.compare`. `print` shows it as a table with sentences.

    Attributes
    ----------
    name : str
        The data.
    task : {"classification", "regression"}
        What is learnt.
    measure : {"accuracy", "R²"}
        What the values are, on the test samples.
    seeds : tuple of int
        The seeds.
    scores : list of Scores
        For each method its name (`method`), its value (`values`) and its seconds of training (`seconds`) for each seed,
        and the learning rates or the penalty that it has chosen (`setting`).
    overlap : float
        Test samples divided by training samples, which corrects the differences for training sets that overlap; 0 where
        the seeds share their test samples.
    notes : list of str
        Sentences on how it was done.
    quick : bool
        Whether it is a quick look, with fewer seeds, epochs and samples.
    command : str
        What repeats it in a shell; empty for one of `edcore.compare`.
    environment, versions
        When, where and by which versions.
    """

    name: str
    task: str
    measure: str
    seeds: tuple[int, ...]
    scores: list[Scores]
    overlap: float
    notes: list[str]
    quick: bool = False
    command: str = ""
    environment: Environment = field(default_factory=here)
    versions: dict[str, str] = field(default_factory=versions)

    def __getitem__(self, method: str) -> Scores:
        """Return the scores of a method, by its name or a shorter one that `compare` takes."""
        names = [one.method for one in self.scores]
        full = (SHORT | {"linear": LINEAR[self.task]}).get(method)
        return self.scores[names.index(full if full in names else one_of("method", method, names))]

    @property
    def first(self) -> Scores:
        """The method with which the others are compared."""
        return self.scores[0]

    def mean(self, method: str) -> Mean | None:
        """Return the mean of a method over the seeds, with its interval."""
        return mean_of(self[method].found)

    def difference(self, method: str) -> Mean | None:
        """Return by how much the first method is above another one: the mean of pairs, with its interval and test."""
        both = zip(self.first.values, self[method].values, strict=True)
        pairs = [(value, other) for value, other in both if value is not None and other is not None]
        return paired([value for value, _ in pairs], [other for _, other in pairs], self.overlap)

    def table(self) -> NumberTable:
        """Return a row for each method: mean, difference, p, and seconds of training a seed."""
        unit = " (%)" if self.task == "classification" else ""
        columns = [
            "method",
            f"{self.measure}{unit}",
            "± 95 %",
            f"{self.first.method} is above by",
            "± 95 %",
            "p",
            "seconds a seed",
        ]
        rows = []
        for one in self.scores:
            difference = None if one is self.first else self.difference(one.method)
            seconds = f"{sum(one.seconds) / len(one.seconds):,.3g}"
            rows.append([one.method, *self._cells(self.mean(one.method)), *self._cells(difference, "+")])
            rows[-1] += [_p(difference), seconds]
        return NumberTable(columns, rows)

    def sentences(self) -> Iterator[str]:
        """Yield what the differences say, a sentence for each method but the first."""
        first, unit = self.first.method, " points" if self.task == "classification" else ""
        if len(self.seeds) == 1:
            yield "One seed has no interval, and says nothing of differences: take 10."
            return
        for one in self.scores[1:]:
            found = self.difference(one.method)
            if found is None or found.half is None:
                yield f"{first} and {one.method}: too few seeds have learnt to tell a difference."
                continue
            value, half = self._number(abs(found.value)), self._number(found.half)
            if abs(found.value) > found.half:
                side = "above" if found.value > 0 else "below"
                test = "the same with each seed" if found.p is None else f"p {_p(found, equals=True)}"
                yield f"{first} is {side} {one.method} by {value} ± {half}{unit} ({test})."
            else:
                signed = self._number(found.value, "+")
                yield f"No difference between {first} and {one.method} can be seen: {signed} ± {half}{unit}."

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as values that JSON has, with the statistics of each method."""
        rows = [
            asdict(one)
            | {"values": list(one.values), "seconds": list(one.seconds)}
            | {"mean": _dict(self.mean(one.method))}
            | {"difference": None if one is self.first else _dict(self.difference(one.method))}
            for one in self.scores
        ]
        return asdict(self) | {"seeds": list(self.seeds), "scores": rows, "sentences": list(self.sentences())}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Comparison:
        """Return the comparison of which `as_dict` returned this."""
        names = Scores.__slots__
        scores = [
            Scores(
                **{name: row[name] for name in names} | {name: tuple(row[name]) for name in ("values", "seconds")},
            )
            for row in content["scores"]
        ]
        given = {name: content[name] for name in cls.__slots__}
        environment = Environment(**content["environment"])
        return cls(**given | {"seeds": tuple(content["seeds"]), "scores": scores, "environment": environment})

    def show(self, console: Console) -> None:
        """Print the table, and below it the sentences and the notes."""
        for line in self._lead():
            console.print(line, soft_wrap=True)
        console.print()
        self.table().show(console)
        for lines in (self.sentences(), [*self.notes, *self._settings(), *self._machine()]):
            console.print()
            for line in lines:
                console.print(line, soft_wrap=True)

    def markdown(self, picture: str = "") -> str:
        """Return it as a page in Markdown, with the picture of this name."""
        others, lead = len(self.scores) - 1, list(self._lead())
        title = f"{self.first.method} beside {others} other method{'s' * (others != 1)}"
        lines = [f"# {self.name}: {title}" if self.name else f"# {title}", ""]
        lines += [part for line in lead for part in (line, "")]
        lines += [f"```shell\n{self.command}\n```", ""] if self.command else []
        lines += [f"![{lead[-1][:-1]}: each method with its values and its interval]({picture})", ""] if picture else []
        lines += [*self.table().in_markdown(), "", *(f"- {line}" for line in self.sentences()), "", "## How", ""]
        lines += [f"- {line}" for line in [*self.notes, *self._settings()]]
        return "\n".join([*lines, "", "  \n".join(self._machine()), ""])

    def plot(self, ax: Any = None) -> Any:
        """Draw all values, means and intervals, as `edcore.plots.scores` does; return matplotlib's figure."""
        return importlib.import_module("edcore.plots").scores(self, ax)  # by its name, as it stands on a floor above

    def __str__(self) -> str:
        return in_text(self.show)

    def _lead(self) -> Iterator[str]:
        if self.quick:
            yield QUICK
        count = len(self.seeds)
        of = f" of {self.name}" if self.name else ""
        yield f"{self.measure[0].upper()}{self.measure[1:]}{of}, mean of {count} seed{'s' * (count != 1)}."

    def _settings(self) -> Iterator[str]:
        """Yield the settings that the methods have chosen, and what else there is to say of one."""
        for one in self.scores:
            chosen = ", ".join(f"{name} {value:.3g}" for name, value in one.setting.items())
            if one.tried > 1:
                edge = "; it is at an end of those tried, so another one may be better" if one.edge else ""
                yield f"{one.method}: {chosen}{edge}."
            if late := len(one.values) - len(one.found):
                yield f"{one.method} diverged with {late} of {len(one.values)} seeds, which its mean leaves out."
            if one.warned:
                yield f"{one.method} {one.warned}"

    def _machine(self) -> tuple[str, str]:
        return self.environment.software(self.versions), self.environment.machine

    def _cells(self, mean: Mean | None, sign: str = "") -> list[str]:
        if mean is None:
            return [ABSENT, ABSENT]
        return [self._number(mean.value, sign), ABSENT if mean.half is None else self._number(mean.half)]

    def _number(self, value: float, sign: str = "") -> str:
        if self.task == "classification":
            return f"{100 * value:{sign}.2f}"
        return f"{value:{sign}.4f}" if abs(value) < 1000 else f"{value:{sign}.3g}"  # as R² of a run that went far off


def _dict(mean: Mean | None) -> dict[str, float | None] | None:
    return (
        None if mean is None else {"value": mean.value, "low": mean.low, "high": mean.high, "p": mean.p, "level": LEVEL}
    )


def _p(mean: Mean | None, equals: bool = False) -> str:
    if mean is None or mean.p is None:
        return ABSENT
    return f"<{FIXED}0.001" if mean.p < 0.001 else f"{'= ' * equals}{mean.p:.3f}"
