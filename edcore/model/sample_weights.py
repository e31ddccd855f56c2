"""The weights of samples: checked, divided by their mean, and those of 0 left out with their samples."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, Located, rows, to_numpy
from edcore.core.rule import MEAN, Rule
from edcore.errors import InputError
from edcore.model.inputs import checked
from edcore.model.values import on_host


def weighed(
    x: Located, target: Array, sample_weight: Any, rule: Rule, dtype: str
) -> tuple[Located, Array, npt.NDArray[np.floating] | None, float]:
    """Return the samples whose weight is not 0, their weights as `Schedule.weights`, and by what these were divided.

    That is their mean, if the rule takes means: so the same weights, but for a factor, learn the same. It is the mean
    over all samples, not over each batch, as a batch of light samples shall learn less. Weights of 1 are None.
    """
    if sample_weight is None:
        return x, target, None, 1.0
    samples = x.array.shape[0]
    given = checked_weights_of(sample_weight, samples)
    weights, scale = factors_of("sample_weight", given, dtype, bool(MEAN[rule.reduction]))
    kept = np.flatnonzero(weights)
    if len(kept) < samples:
        weights, target, x = weights[kept], rows(target, kept), x._replace(array=rows(x.array, kept))
    return x, target, None if (weights == 1).all() else weights, scale


def checked_weights_of(sample_weight: Any, samples: int) -> npt.NDArray[np.float64]:
    """Return the weights of some samples in float64, or refuse them."""
    name = "sample_weight"
    host = on_host(name, sample_weight)
    given = to_numpy(checked(name, host, (samples,), "float64", ", one for each sample").array)
    if (given < 0).any():
        raise InputError(name, f"{float(given.min())!r}, at [{given.argmin()}]", "values of at least 0")
    return given


def factors_of(
    name: str, weights: npt.NDArray[np.float64], dtype: str, relative: bool
) -> tuple[npt.NDArray[np.floating], float]:
    """Return weights of at least 0 in this dtype, divided by the mean of those above 0 if relative, and that mean."""
    scale = 1.0
    if relative and weights.any():
        share = weights / weights.max()  # whose sum cannot overflow
        mean = share[share > 0].mean()
        weights, scale = share / mean, max(float(weights.max() * mean), sys.float_info.min)
    with np.errstate(over="ignore"):
        factors = weights.astype(dtype)
        total = factors.sum()
    if not 0 < total < math.inf:
        given = f"values that are all zero in {dtype}" if not total else f"values whose sum in {dtype} is {total:g}"
        raise InputError(name, given, "a finite sum above zero")
    return factors, scale
