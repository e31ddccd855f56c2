"""Trials of the functions of an activation that is registered: what no network can have is refused, with the reason."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arguments import LARGEST
from edcore.arrays import Array
from edcore.errors import InputError, said, shown

F: TypeAlias = Callable[[Array, float], Array]
G: TypeAlias = Callable[[Array], Array]

MOST_TRIED = 30
TRIED = np.concatenate(
    [np.linspace(-MOST_TRIED, MOST_TRIED, 61), np.linspace(-4.05, 4.21, 60), [-1e4, -1e-3, 1e-3, 1e4]]
)
"""The sums on which a function is tried when it is registered. It may be infinite beyond `MOST_TRIED`."""

WIDTHS = 0.4, 2.0
"""The u0 with which it is tried."""


def checked_bounds(lowest: Any, highest: Any, steepest: Any) -> tuple[float, float, float]:
    """Return the bounds of a function, or refuse them."""
    found = []
    for name, value in (("lowest", lowest), ("highest", highest), ("steepest", steepest)):
        fine = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not fine or LARGEST < abs(value) < math.inf or math.isnan(value):
            raise InputError(
                name, shown(value), f"a number of at most {LARGEST:g}, or math.inf where there is no bound"
            )
        found.append(float(value))
    if not found[0] < found[1]:
        raise InputError("lowest", shown(lowest), f"a number below highest={found[1]:g}")
    if not found[2] > 0:
        raise InputError("steepest", shown(steepest), "a number above 0, the largest magnitude of g")
    return found[0], found[1], found[2]


def tried(f: F, g: G, bounds: tuple[float, float, float]) -> bytes:
    """Return the values of f and g on some numbers, or refuse functions that no network can have."""
    for name, value in (("f", f), ("g", g)):
        if not callable(value):
            raise InputError(name, shown(value), "a function")
    bits = []
    with np.errstate(all="ignore"):
        for u0, dtype in itertools.product(WIDTHS, (np.float32, np.float64)):
            z = TRIED.astype(dtype).reshape(5, -1, 1)
            before = z.tobytes()
            if wrong := fault(f, g, z, u0):
                raise _refusal(*wrong)
            slope = g((y := f(z, u0)).copy())
            if z.tobytes() != before:  # here, as a function may write the same again
                raise _refusal("f", "writes to its argument")
            _check_values(bounds, z, y, slope)
            _check_alone("f", lambda z, u0=u0: f(z, u0), z, y)
            _check_alone("g", g, y, slope)
            bits += [y.tobytes(), slope.tobytes()]
    return b"".join(bits)


def fault(f: F, g: G, z: Array, u0: float) -> tuple[str, str] | None:
    """Return which of f and g cannot compute an array, and what it does instead; None if both can."""
    given = z
    for name in ("f", "g"):
        try:
            value = f(given, u0) if name == "f" else g(given)
        except Exception as error:  # other people's code
            return name, f"raises {said(error)}"
        if type(value) is not type(given):
            returned, argument = (f"{type(array).__module__}.{type(array).__name__}" for array in (value, given))
            return name, f"returns {shown(value) if np.isscalar(value) else returned} for {argument}"
        if tuple(value.shape) != tuple(given.shape):
            return name, f"returns shape {tuple(value.shape)} for shape {tuple(given.shape)}"
        if value.dtype != given.dtype:
            return name, f"returns {value.dtype} for {given.dtype}"
        given = value
    return None


def _check_values(
    bounds: tuple[float, float, float], z: npt.NDArray[Any], y: npt.NDArray[Any], g: npt.NDArray[Any]
) -> None:
    """Refuse values of f and g that are not finite, or outside the bounds."""
    usual = abs(z) <= MOST_TRIED
    for name, fine in (("f", np.where(usual, np.isfinite(y), ~np.isnan(y))), ("g", ~usual | np.isfinite(g))):
        if not fine.all():
            raise _refusal(name, f"is {'NaN or infinite' if usual[~fine].any() else 'NaN'} at z = {z[~fine][0]:g}")
    off = float(np.finfo(z.dtype).eps) * 8
    found_in = ("lowest", "f(z)", y.min()), ("highest", "f(z)", y.max()), ("steepest", "abs(g(y))", abs(g[usual]).max())
    for (name, of, found), bound in zip(found_in, bounds, strict=True):
        beyond = bound - found if name == "lowest" else found - bound
        if beyond > off * max(1.0, abs(bound)):
            fix = "Leave it out where it is not known."
            raise InputError(name, f"{bound:g}, where {of} comes to {found:g}", "a bound that holds for all z", fix)


def _check_alone(name: str, call: Callable[..., Any], given: npt.NDArray[Any], value: npt.NDArray[Any]) -> None:
    """Refuse a function that gives other values when it is called again, or for each number alone."""
    before, off = given.tobytes(), float(np.finfo(given.dtype).eps) * 64
    if call(given).tobytes() != value.tobytes() or given.tobytes() != before:
        raise _refusal(name, "writes to its argument, or returns something else at each call")
    try:
        alone = np.stack([call(given[i, j : j + 1]) for i, j in np.ndindex(given.shape[:2])])
    except Exception as error:  # other people's code
        raise _refusal(name, f"raises {said(error)} for an array of one number") from error
    if alone.shape[1:] != (1, 1) or not np.allclose(alone.ravel(), value.ravel(), rtol=off, atol=off, equal_nan=True):
        raise _refusal(name, "depends on the other numbers of the array")


def _refusal(name: str, does: str) -> InputError:
    of = "z, u0" if name == "f" else "y"
    accepted = f"{name}({of}) that returns an array of {of[0]}'s library, shape and dtype, number by number"
    fix = "Take exp and the like from array_api_compat.array_namespace, and write 0 * y + 1 for a constant."
    return InputError(name, f"a function that {does}", accepted, fix)
