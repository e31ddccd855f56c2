"""Scale features robustly, and targets to mean 0 and standard deviation 1, on any array library."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from edcore.arrays import Array, like, to_numpy
from edcore.errors import InputError, shown

Floats: TypeAlias = npt.NDArray[Any]

ROUNDING = MappingProxyType({"float64": 1e-6, "float32": 1e-3})
"""The most, as a share of its range, by which a feature or a target may be rounded when it becomes of this dtype."""

LEAST = 1e-150
"""The least standard deviation of which float64 holds the square with all digits."""

FENCE = 3.0
"""Interquartile ranges beyond the quartiles, to which values farther out are clipped (Tukey 1977: they are far out)."""

SEEN = 20_000
"""Samples that the quartiles are taken of, evenly spaced where there are more."""

UNIFORM = 0.5, 12**-0.5
"""Mean and standard deviation of values that are spread evenly over 0…1."""

MOSTLY = 0.1
"""The share of values outside a given range that is worth a warning."""

FORMS = "'data', None, or a pair (low, high) with low < high, each a number or one number a feature"


def span_of(input_range: Any, x: Array, weight: Any = None) -> tuple[Array, Array] | None:
    """Return the two values between which each feature is kept, given or found in x; None for no scaling."""
    if input_range is None:
        return None
    xp = array_namespace(x)
    if isinstance(input_range, str):
        if input_range != "data":
            raise InputError("input_range", repr(input_range), FORMS)
        low, high = xp.min(x, axis=0), xp.max(x, axis=0)
        fences = (like(end, x) for end in _fences(to_numpy(x), to_numpy(low), to_numpy(high), weight))
        low, high = (xp.astype(end, x.dtype) for end in fences)
    else:
        with np.errstate(over="ignore"):
            low, high = (xp.asarray(end, dtype=x.dtype, device=device(x)) for end in _pair(input_range, x.shape[1]))
        if not bool(xp.all((low < high) & xp.isfinite(low) & xp.isfinite(high))):
            given = f"{shown(input_range)}, of which {x.dtype}, the precision of X, cannot tell or hold both ends"
            raise InputError("input_range", given, FORMS, "Convert X to float64, or widen the range.")
    if bool(xp.any(high / 2 - low / 2 > xp.finfo(x.dtype).max / 2)):  # halves, as high - low may overflow
        raise InputError("X", f"a feature whose range is too wide for {x.dtype}", "a range that it can hold")
    return low, high


def _fences(x: Floats, low: Floats, high: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
    """Return the extremes of each feature, or nearer ends that leave out what is far out; both have x's dtype."""
    every = max(1, -(-len(x) // SEEN))
    seen, weight = x[::every], None if weight is None else weight[::every]
    if not np.isfinite(seen).all() or not len(seen):
        return low, high  # the caller's checks say more
    if weight is None or not weight.any():
        first, third = (np.sort(seen, axis=0)[math.ceil(share * len(seen)) - 1] for share in (0.25, 0.75))
    else:  # the least value that has the share of the weight at or below it: the quartile of repeated samples
        order = np.argsort(seen, axis=0)
        below = np.cumsum(weight[order], axis=0)
        places = [np.argmax(below >= share * below[-1], axis=0) for share in (0.25, 0.75)]
        first, third = (np.take_along_axis(seen, np.take_along_axis(order, at[None], 0), 0)[0] for at in places)
    with np.errstate(over="ignore"):
        reach = FENCE * (third - first)
        nearer = np.maximum(low, first - reach), np.minimum(high, third + reach)
    return np.where(reach > 0, nearer[0], low), np.where(reach > 0, nearer[1], high)


def moments_of(input_range: Any, scaled: Array, weight: Any = None) -> tuple[Array, Array] | None:
    """Return mean and standard deviation of features that are scaled to 0…1; None for no scaling."""
    if input_range is None:
        return None
    if not isinstance(input_range, str):
        ones = scaled[0, ...] * 0 + 1
        return ones * UNIFORM[0], ones * UNIFORM[1]
    values = to_numpy(scaled).astype(np.float64)
    mean = np.average(values, axis=0, weights=weight)
    values -= mean  # in place, as it may be much
    values *= values
    deviation = np.sqrt(np.average(values, axis=0, weights=weight))
    xp = array_namespace(scaled)
    mean, deviation = (xp.astype(like(value, scaled), scaled.dtype) for value in (mean, deviation))
    return mean, deviation


def _pair(given: Any, features: int) -> list[Any]:
    """Return both ends of a given range, each as a NumPy array (features,)."""
    try:
        # A set has no order, and a generator is used up by the first fit.
        ends = [np.asarray(end) for end in (given if isinstance(given, Sequence | np.ndarray) else ())]
        if not all(end.dtype.kind in "iuf" for end in ends) or any(map(np.ma.isMaskedArray, [given, *given])):
            raise TypeError
        low, high = (np.broadcast_to(end.astype(np.float64), (features,)).copy() for end in ends)
    except Exception:  # what it is made of may raise anything
        raise InputError("input_range", shown(given), FORMS) from None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise InputError("input_range", shown(given), FORMS)
    return [low, high]


def warn_of_clipping(x: Array, span: tuple[Array, Array]) -> None:
    """Warn of training samples of which much is outside the user's own range, which may belong to other data."""
    xp, (low, high) = array_namespace(x), (like(end, x) for end in span)
    outside = float(xp.mean(xp.astype((x < low) | (x > high), x.dtype)))
    if outside > MOSTLY:
        warnings.warn(
            f"X: {outside:.0%} of its values, which go from {float(xp.min(x)):g} to {float(xp.max(x)):g}, are outside "
            f"input_range and are clipped to it. Widen it, or write input_range='data'.",
            UserWarning,
            stacklevel=5,
        )


def check_same_range(input_range: Any, span: tuple[Array, Array] | None, x: Array) -> None:
    """Refuse another range than the one with which a network was trained, where it goes on."""
    same = (input_range is None) == (span is None)
    if input_range != "data" if isinstance(input_range, str) else input_range is not None:
        new = span_of(input_range, x)
        same = (
            new is not None and span is not None and all(map(np.array_equal, map(to_numpy, new), map(to_numpy, span)))
        )
    if not same:
        fix = "Set warm_start=False and call fit for a new network."
        raise InputError("input_range", "another range than that of the trained network", "the same range", fix)


def check_varied(name: str, low: Array, high: Array, fix: str) -> None:
    """Refuse a first batch of `partial_fit` in which nothing varies: later batches would have no range."""
    if not bool(array_namespace(low).any(low < high)):
        raise InputError(name, "a first batch in which nothing varies", "one that shows how far values range", fix)


def check_rounding(name: str, given: Array, kept: Array) -> None:
    """Refuse values (samples, columns) whose dtype holds more digits than the one they are kept in, where it matters.

    Such are large whole numbers and NumPy's longdouble: times in nanoseconds or keys may become equal in float64.
    """
    xp, objects = array_namespace(kept), given.dtype == object
    whole = not objects and xp.isdtype(given.dtype, "integral")
    digits = xp.finfo(kept.dtype)
    if not (objects or whole) and (xp.isdtype(given.dtype, "bool") or xp.finfo(given.dtype).bits <= digits.bits):
        return
    low, high = xp.min(kept, axis=0), xp.max(kept, axis=0)
    if not bool(xp.all(xp.isfinite(low) & xp.isfinite(high))):
        raise InputError(name, f"values too large for {kept.dtype}", "what it can hold", f"Rescale {name}.")
    most = xp.maximum(xp.abs(low), xp.abs(high))
    coarse = most * digits.eps >= ROUNDING[f"float{digits.bits}"] * (high - low)
    # Python compares whole numbers with floats exactly, and array libraries do not.
    same = kept.astype(object) if objects else kept
    changed = most * digits.eps >= 2 if whole else xp.any(given != same, axis=0)
    varied = xp.any(given != given[:1, ...], axis=0)
    if bool(xp.any(coarse & changed & varied)):
        words = f"{'' if objects else f'{given.dtype} '}values whose differences {kept.dtype} rounds away"
        fix = f"Subtract an offset first: {name} - {name}.min(axis=0)."
        raise InputError(name, words, "values that it can tell apart", fix)


def check_source(name: str, source: Any, kept: Array) -> None:
    """Refuse what `check_rounding` refuses in lists, tables and arrays of objects, all of which became float64."""
    if not isinstance(kept, np.ndarray) or kept.dtype != np.float64 or not (abs(kept) >= 2.0**53).any():
        return
    if not isinstance(source, np.ndarray) or source.dtype == object:
        # A table of several dtypes would make floats of all columns first.
        given = np.asarray(source.astype(object) if hasattr(source, "iloc") else source, object)
        kept = kept.reshape(len(kept), -1)
        check_rounding(name, given.reshape(kept.shape), kept)


def scale(x: Array, span: tuple[Array, Array] | None, moments: tuple[Array, Array] | None = None) -> Array:
    """Return x clipped and scaled to 0…1, or then to mean 0 and deviation 1; a feature of a single value is 0."""
    if span is None:
        return x
    xp = array_namespace(x)
    low, high = (like(end, x) for end in span)
    varies = high > low
    with np.errstate(over="ignore"):  # far beyond the range: clipped
        scaled = xp.clip((x - low) / nonzero(high - low), 0.0, 1.0)
    if moments is not None:
        mean, deviation = (like(value, x) for value in moments)
        scaled, varies = (scaled - mean) / nonzero(deviation), varies & (deviation > 0)
    return xp.where(varies, scaled, xp.zeros_like(scaled))


def moments(
    y: npt.NDArray[np.float64], weight: npt.NDArray[np.float64] | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the mean and the standard deviation of each target (samples, targets), by the weights of the samples."""
    constant = y.min(axis=0) == y.max(axis=0)  # whose deviation, as computed, need not be 0
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if weight is None or not np.ptp(weight):
            mean, deviation = y.mean(axis=0), y.std(axis=0)
        else:
            share = weight / weight.max()
            mean = np.average(y, axis=0, weights=share)
            deviation = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=share))
    mean, deviation = np.where(constant, y[0], mean), np.where(constant, 0.0, deviation)
    for wrong, size, other in (
        (~(np.isfinite(mean) & np.isfinite(deviation)), "large", "smaller"),
        (~constant & (deviation < LEAST), "small", "larger"),
    ):
        if wrong.any():
            raise InputError("y", f"values whose variance is too {size} for float64", f"{other} ones", "Rescale y.")
    return mean, deviation


def precision_of(mean: npt.NDArray[np.float64], deviation: npt.NDArray[np.float64], least: str) -> str:
    """Return the dtype that holds targets with these moments: `least`, or float64 where float32 would round them."""
    small, large = 2.0**-100, 2.0**100
    held = (abs(mean) <= 2**13 * deviation) & (deviation >= small) & (deviation <= large)
    with np.errstate(over="ignore"):
        held |= (deviation == 0) & (mean.astype(least) == mean)
    return least if held.all() else "float64"


def nonzero(width: Array) -> Array:
    """Return the widths, with 1 in place of 0."""
    return array_namespace(width).where(width > 0, width, width * 0 + 1)
