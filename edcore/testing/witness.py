"""A backend's numbers beside the oracle's: the worst of them, and the ratios of their changes, which tell a cause."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from edcore.arrays import HostWeights
from edcore.testing.compare import BrokenPromiseError, Place, all_close
from edcore.testing.strategies import Case


class Witness(NamedTuple):
    """A case, the oracle's activities and numbers, how far from them the backend's may be, and those it has."""

    case: Case
    activities: Any
    before: HostWeights
    expected: HostWeights
    bounds: HostWeights
    got: HostWeights

    def matches(self, numbers: HostWeights, slack: float) -> bool:
        """Return whether the backend has these numbers; NaN is one like any other."""

        def same(key: str) -> bool:
            got, wanted = self.got[key], numbers[key]
            near = np.abs(got - wanted) <= slack * self.bounds[key] + 1e-300
            return bool((near | (np.isnan(got) & np.isnan(wanted))).all())

        return all(map(same, numbers))

    @property
    def place(self) -> Place | None:
        """The number that is furthest beyond its bound, in the first array that has one; None if all are right."""
        try:
            all_close(self.got, self.expected, self.bounds, "")
        except BrokenPromiseError as error:
            return error.place
        return None

    @property
    def error(self) -> float:
        """The largest error of a number, relative to the largest magnitude of its array."""
        sizes = {key: max(float(np.abs(value).max(initial=0)), 1e-30) for key, value in self.expected.items()}
        return max(float(np.abs(self.got[key] - self.expected[key]).max(initial=0)) / sizes[key] for key in sizes)


def changes(witness: Witness) -> dict[str, float | None]:
    """Return the ratio of the changes, got by expected, by array and sign of the target cells; None if it varies."""
    ratios: dict[str, float | None] = {}
    for layer in witness.case.network.stacks:
        signs = np.array(layer.target_signs)
        for part in ("weight", "bias"):
            key = f"{layer.name}.{part}"
            step, got = (value[key] - witness.before[key] for value in (witness.expected, witness.got))
            for sign, cells in ((1, "excitatory"), (-1, "inhibitory")):
                clear = (np.abs(step) > 20 * witness.bounds[key]) & (signs == sign)
                if clear.any():
                    found = got[clear] / step[clear]
                    middle = float(np.median(found))
                    steady = float(np.abs(found - middle).max()) <= 0.02 * max(1.0, abs(middle))
                    ratios[f"{key} of {cells} cells"] = middle if steady else None
    return ratios


def by_ratio(case: Case, ratios: dict[str, float | None]) -> tuple[str, str]:
    """Return the cause and the detail that the ratios of the changes tell."""
    batch = len(case.x)
    factors = {value for value in ratios.values() if value is not None}
    if None in ratios.values() or not factors:
        return "update", ""
    low, high = min(factors), max(factors)
    if high - low > 0.02 * max(1.0, abs(high)):
        wrong = {key: value for key, value in ratios.items() if value is not None and abs(value - 1) > 0.02}
        for cause, factor in (("sign", -1.0), ("not_updated", 0.0)):
            if all(abs(value - factor) < 0.02 for value in wrong.values()):
                return cause, ", ".join(wrong)
        return "scaled_partly", ", ".join(f"{key}: {value:.4g}" for key, value in wrong.items())
    known = {
        "sign": -1.0,
        "not_updated": 0.0,
        "mean_missing": float(batch),
        "mean_twice": 1 / batch,
        "derivative_factor": 2 / case.network.u0,
    }
    for cause, factor in known.items():
        if abs(high - factor) <= 0.02 * max(1.0, abs(factor)) and factor != 1:
            return cause, ""
    return "scaled", f"{high:.4g}"
