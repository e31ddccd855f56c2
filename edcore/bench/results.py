"""What a benchmark found, with all that is needed to judge it: raw timings, sizes, versions, the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import edcore
from edcore.bench.machine import Machine
from edcore.bench.setting import Setting, Work

__all__ = ["Environment", "Results", "Row", "here", "milliseconds"]


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
class Environment:
    """Where and when it was measured, and by which edcore.

    Parameters
    ----------
    date : str
        Date and time, in UTC.
    edcore, python, numpy : str
        Versions.
    commit : str
        The commit of edcore's checkout, with "-dirty" if files differ from it; empty if it is no git checkout.
    system, cpu : str
        Operating system and model of the processor.
    cores : int
        Cores that the system shows.
    """

    date: str
    edcore: str
    python: str
    numpy: str
    commit: str
    system: str
    cpu: str
    cores: int


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


def here() -> Environment:
    """Return where and when this is."""
    return Environment(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        edcore=edcore.__version__,
        python=platform.python_version(),
        numpy=np.__version__,
        commit=_commit(Path(edcore.__file__).parents[1]),
        system=f"{platform.system()} {platform.machine()}",
        cpu=_cpu(Path("/proc/cpuinfo")),
        cores=os.cpu_count() or 1,
    )


def _commit(root: Path) -> str:
    if not (root / ".git").exists():  # an installed edcore may lie in the checkout of something else
        return ""
    git = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git
        return ""


def _cpu(linux: Path) -> str:
    try:
        lines = linux.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
