"""Scale features to 0…1, and targets to mean 0 and standard deviation 1, on any array library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from edcore.arrays import Array, like, to_numpy
from edcore.errors import InputError, shown

ROUNDING = 1e-6
"""The most, as a share of its range, by which a feature or a target may be rounded when it becomes float64."""

LEAST = 1e-150
"""The least standard deviation of which float64 holds the square with all digits."""

FORMS = "'data', None, or a pair (low, high) with low < high, each a number or one number a feature"


def span_of(input_range: Any, x: Array) -> tuple[Array, Array] | None:
    """Return the lowest and the highest value of each feature, given or found in x; None for no scaling."""
    if input_range is None:
        return None
    xp = array_namespace(x)
    if isinstance(input_range, str):
        if input_range != "data":
            raise InputError("input_range", repr(input_range), FORMS)
        low, high = xp.min(x, axis=0), xp.max(x, axis=0)
    else:
        with np.errstate(over="ignore"):
            low, high = (xp.asarray(end, dtype=x.dtype, device=device(x)) for end in _pair(input_range, x.shape[1]))
        if not bool(xp.all((low < high) & xp.isfinite(low) & xp.isfinite(high))):
            given = f"{shown(input_range)}, of which {x.dtype}, the precision of X, cannot tell or hold both ends"
            raise InputError("input_range", given, FORMS, "Convert X to float64, or widen the range.")
    if bool(xp.any(high / 2 - low / 2 > xp.finfo(x.dtype).max / 2)):  # halves, as high - low may overflow
        raise InputError("X", f"a feature whose range is too wide for {x.dtype}", "a range that it can hold")
    return low, high


def _pair(given: Any, features: int) -> list[Any]:
    """Return both ends of a given range, each as a NumPy array (features,)."""
    try:
        # A set has no order, and a generator is used up by the first fit.
        ends = [np.asarray(end) for end in (given if isinstance(given, Sequence | np.ndarray) else ())]
        if not all(end.dtype.kind in "iuf" for end in ends) or any(map(np.ma.isMaskedArray, [given, *given])):
            raise TypeError
        low, high = (np.broadcast_to(end.astype(np.float64), (features,)).copy() for end in ends)
    except (TypeError, ValueError):
        raise InputError("input_range", shown(given), FORMS) from None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise InputError("input_range", shown(given), FORMS)
    return [low, high]


def check_inside(x: Array, span: tuple[Array, Array]) -> None:
    """Refuse training samples outside the user's own range, which may belong to other data."""
    xp, (low, high) = array_namespace(x), (like(end, x) for end in span)
    if bool(xp.any(x < low)) or bool(xp.any(x > high)):
        given = f"values from {float(xp.min(x)):g} to {float(xp.max(x)):g}, some outside input_range"
        raise InputError("X", given, "values in input_range", "Widen it, or write input_range='data'.")


def check_same_range(input_range: Any, span: tuple[Array, Array] | None, x: Array) -> None:
    """Refuse another range than the one with which a network was trained, where it goes on."""
    new = span_of(input_range, x)
    same = (new is None) == (span is None)
    if same and span is not None and new is not None and not isinstance(input_range, str):
        same = all(np.array_equal(to_numpy(one), to_numpy(other)) for one, other in zip(new, span, strict=True))
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
    if not (objects or whole) and (xp.isdtype(given.dtype, "bool") or xp.finfo(given.dtype).bits <= 64):
        return
    low, high = xp.min(kept, axis=0), xp.max(kept, axis=0)
    if not bool(xp.all(xp.isfinite(low) & xp.isfinite(high))):
        raise InputError(name, f"values too large for {kept.dtype}", "what it can hold", f"Rescale {name}.")
    most, digits = xp.maximum(xp.abs(low), xp.abs(high)), xp.finfo(kept.dtype)
    coarse = most * digits.eps >= ROUNDING * (high - low)
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


def scale(x: Array, span: tuple[Array, Array] | None) -> Array:
    """Return x scaled to 0…1, feature by feature, and clipped; a feature with a single value is 0 whatever comes."""
    if span is None:
        return x
    xp = array_namespace(x)
    low, high = (like(end, x) for end in span)
    width = high - low
    with np.errstate(over="ignore"):  # far beyond the range: clipped
        scaled = xp.clip((x - low) / nonzero(width), 0.0, 1.0)
    return xp.where(width > 0, scaled, xp.zeros_like(scaled))


def moments(y: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the mean and the standard deviation of each target (samples, targets)."""
    constant = y.min(axis=0) == y.max(axis=0)  # whose deviation, as computed, need not be 0
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        mean, deviation = y.mean(axis=0), y.std(axis=0)
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
