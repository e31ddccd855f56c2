"""The outcome of a benchmark, with all that is needed to judge it: raw timings, sizes, versions, the machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from edcore.bench.machine import Machine
from edcore.bench.setting import Setting, Work
from edcore.environment import Environment


@dataclass(slots=True)
class Timings:
    """All timings of one contender, or the reason why it has none."""

    name: str
    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)  # of the array libraries that its process had loaded
    seconds: dict[str, list[float]] = field(default_factory=dict)  # of "forward", "trace", "update" and "step"
    reason: str = ""  # why it was not measured, without a full stop

    def median(self, part: str) -> float:
        """Return the median seconds of a part, such as ``"step"``."""
        return median(self.seconds[part])


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The timings of all contenders in one setting, with the environment and the machine's own speed."""

    environment: Environment
    setting: Setting
    machine: Machine | None
    machine_reason: str  # why the machine was not measured
    timings: list[Timings]  # in the order in which the contenders were named

    @property
    def measured(self) -> list[Timings]:
        """The contenders that were measured; the first is the reference."""
        return [timings for timings in self.timings if not timings.reason]

    @property
    def versions(self) -> dict[str, str]:
        """The versions of all libraries that took part."""
        loaded = {name: version for timings in self.timings for name, version in timings.versions.items()}
        return {"edcore": self.environment.edcore, "numpy": self.environment.numpy} | dict(sorted(loaded.items()))

    def shares(self, timings: Timings) -> dict[str, float] | None:
        """Return the shares of the machine's speeds that a training step reached, by the names of their columns."""
        machine = self.machine
        if machine is None or timings.reason:
            return None
        work, seconds = Work.of(self.setting), timings.median("step")
        flop_per_s, bytes_per_s = work.flop_step / seconds, work.bytes_step / seconds
        peak = {"peak": flop_per_s / machine.peak_per_s} if machine.peak_per_s else {}
        return peak | {"product": flop_per_s / machine.flop_per_s, "copy": bytes_per_s / machine.bytes_per_s}

    def as_dict(self) -> dict[str, Any]:
        """Return the benchmark as values that JSON has."""
        contenders = []
        for timings in self.timings:
            medians = {part: timings.median(part) for part in timings.seconds}
            contenders.append(asdict(timings) | {"median": medians, "shares": self.shares(timings)})
        return {
            "environment": asdict(self.environment),
            "versions": self.versions,
            "setting": asdict(self.setting) | {"parameters": self.setting.network.parameters},
            "work": asdict(Work.of(self.setting)),
            "machine": self.machine and asdict(self.machine) | {"warning": self.machine.warning},
            "machine_reason": self.machine_reason,
            "contenders": contenders,
        }


def milliseconds(seconds: float) -> str:
    """Return milliseconds with three significant digits, or all digits of a larger whole number."""
    ms = 1e3 * seconds
    return f"{ms:,.{0 if ms >= 100 else 1 if ms >= 10 else 2 if ms >= 1 else 3}f}"
