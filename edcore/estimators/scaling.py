"""Scale features to 0…1, and targets to mean 0 and standard deviation 1, on any array library."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from edcore.arrays import Array, like
from edcore.errors import InputError

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
        low, high = (xp.asarray(end, dtype=x.dtype, device=device(x)) for end in _pair(input_range, x.shape[1]))
    if bool(xp.any(high / 2 - low / 2 > xp.finfo(x.dtype).max / 2)):  # halves, as high - low may overflow
        raise InputError("X", f"a feature whose range is too wide for {x.dtype}", "a range that it can hold")
    return low, high


def _pair(given: Any, features: int) -> list[Any]:
    """Return both ends of a given range, each as a NumPy array (features,)."""
    try:
        low, high = (np.broadcast_to(np.asarray(end, np.float64), (features,)).copy() for end in given)
    except (TypeError, ValueError):
        raise InputError("input_range", repr(given), FORMS) from None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise InputError("input_range", repr(given), FORMS)
    return [low, high]


def check_inside(x: Array, span: tuple[Array, Array]) -> None:
    """Refuse training samples outside the user's own range, which may belong to other data."""
    xp, (low, high) = array_namespace(x), (like(end, x) for end in span)
    if bool(xp.any(x < low)) or bool(xp.any(x > high)):
        given = f"values from {float(xp.min(x)):g} to {float(xp.max(x)):g}, some outside input_range"
        raise InputError("X", given, "values in input_range", "Widen it, or write input_range='data'.")


def check_varied(name: str, low: Array, high: Array, fix: str) -> None:
    """Refuse a first batch of `partial_fit` in which nothing varies: later batches would have no range."""
    if not bool(array_namespace(low).any(low < high)):
        raise InputError(name, "a first batch in which nothing varies", "one that shows how far values range", fix)


def scale(x: Array, span: tuple[Array, Array] | None) -> Array:
    """Return x scaled to 0…1, feature by feature, and clipped; a feature with a single value is only shifted."""
    if span is None:
        return x
    xp = array_namespace(x)
    low, high = (like(end, x) for end in span)
    return xp.clip((x - low) / nonzero(high - low), 0.0, 1.0)


def moments(y: Array) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of each target (samples, targets), with 1 for a deviation of 0."""
    xp = array_namespace(y)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = xp.mean(y, axis=0), xp.std(y, axis=0)
    if not bool(xp.all(xp.isfinite(mean) & xp.isfinite(deviation))):
        raise InputError("y", f"values whose variance is too large for {y.dtype}", "smaller ones", "Rescale y.")
    return mean, nonzero(deviation)


def nonzero(width: Array) -> Array:
    """Return the widths, with 1 in place of 0."""
    return array_namespace(width).where(width > 0, width, width * 0 + 1)
