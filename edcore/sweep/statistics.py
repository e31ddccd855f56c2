"""Statistics over seeds: the mean, its interval by Student's t, and the test of paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

LEVEL = 0.95
"""The level of all intervals."""

ROUNDING = 1e-12
"""The spread, relative to the largest value, that is rounding alone, and no spread."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds, and its interval of 95 % by Student's t: `half` below it and as much above it."""

    value: float
    half: float | None  # None of a single seed, or of values that are not finite
    p: float | None  # of Student's two-sided test that the true mean is 0; None without a spread

    @property
    def low(self) -> float | None:
        """The lower end of the interval."""
        return None if self.half is None else self.value - self.half

    @property
    def high(self) -> float | None:
        """The upper end of the interval."""
        return None if self.half is None else self.value + self.half


def mean_of(values: Sequence[float], overlap: float = 0.0) -> Mean | None:
    """Return the mean of values of independent seeds; None of no value.

    `overlap` corrects for training sets that overlap, and so for seeds that are not independent: it is the number of
    test samples divided by that of training samples of each seed (Nadeau and Bengio 2003, the corrected resampled t).
    """
    if not values:
        return None
    value, n = fmean(values), len(values)
    if n < 2 or not all(map(math.isfinite, values)):
        return Mean(value, None, None)
    from scipy.special import stdtr, stdtrit  # here, as scipy is slow to load

    spread = stdev(values)
    if spread <= ROUNDING * max(map(abs, values)):  # as of 0.65 − 0.4 and 0.775 − 0.525, which are equal but for it
        spread = 0.0
    error = spread * math.sqrt(1 / n + overlap)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * error
    return Mean(value, half, float(2 * stdtr(n - 1, -abs(value) / error)) if error else None)


def paired(values: Sequence[float], others: Sequence[float], overlap: float = 0.0) -> Mean | None:
    """Return the mean of the differences, value − other, of the same seeds; `overlap` as for `mean_of`."""
    return mean_of([value - other for value, other in zip(values, others, strict=True)], overlap)
