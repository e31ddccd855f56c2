"""What a benchmark found, with all that is needed to judge it: raw timings, sizes, versions, the machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from edcore.bench.machine import Machine
from edcore.bench.setting import Setting, Work
from edcore.environment import Environment


@dataclass(slots=True)
class Row:
    """One contender.

    Parameters
    ----------
    name : str
        Its name.
    device : str
        Where it computed.
    versions : dict of str to str
        The array libraries that its process had loaded.
    seconds : dict of str to list of float
        All timings of ``"forward"``, ``"trace"``, ``"update"`` and ``"step"``; empty if it failed.
    reason : str
        Why it could not be measured, without a full stop; empty if it was.
    """

    name: str
    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    reason: str = ""

    def median(self, what: str) -> float:
        """Return the median seconds of one of the timings."""
        return median(self.seconds[what])


@dataclass(frozen=True, slots=True)
class Results:
    """A benchmark's results.

    Parameters
    ----------
    environment : Environment
        Where and when.
    setting : Setting
        What each contender was given.
    machine : Machine or None
        The bounds of the machine.
    machine_reason : str
        Why they could not be measured.
    rows : list of Row
        The contenders, in their order.
    """

    environment: Environment
    setting: Setting
    machine: Machine | None
    machine_reason: str
    rows: list[Row]

    @property
    def measured(self) -> list[Row]:
        """The contenders that were measured; the first is the reference."""
        return [row for row in self.rows if not row.reason]

    @property
    def versions(self) -> dict[str, str]:
        """The versions of all libraries that took part."""
        of_rows = {name: version for row in self.rows for name, version in row.versions.items()}
        return {"edcore": self.environment.edcore, "numpy": self.environment.numpy} | dict(sorted(of_rows.items()))

    def shares(self, row: Row) -> tuple[float, float] | None:
        """Return which shares of the product's peak and of the copy's bandwidth a training step reached."""
        if self.machine is None:
            return None
        work, seconds = Work.of(self.setting), row.median("step")
        flop_per_s, bytes_per_s = work.flop_step / seconds, work.bytes_step / seconds
        return flop_per_s / self.machine.flop_per_s, bytes_per_s / self.machine.bytes_per_s

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as values that JSON has."""
        rows = [
            asdict(row) | {"median": {what: row.median(what) for what in row.seconds}, "shares": self._shares_of(row)}
            for row in self.rows
        ]
        return {
            "environment": asdict(self.environment),
            "versions": self.versions,
            "setting": asdict(self.setting) | {"parameters": self.setting.network.parameters},
            "work": asdict(Work.of(self.setting)),
            "machine": self.machine and asdict(self.machine),
            "machine_reason": self.machine_reason,
            "contenders": rows,
        }

    def _shares_of(self, row: Row) -> dict[str, float] | None:
        shares = None if row.reason else self.shares(row)
        return shares and dict(zip(("product", "copy"), shares, strict=True))


def milliseconds(seconds: float) -> str:
    """Return milliseconds with three digits that count, or as many as a whole number takes."""
    ms = 1e3 * seconds
    return f"{ms:,.{0 if ms >= 100 else 1 if ms >= 10 else 2 if ms >= 1 else 3}f}"
