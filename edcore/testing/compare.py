"""The assertions of the suite, with messages that name the place and the difference, and the cause if it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edcore.arrays import Array, HostWeights


@dataclass(frozen=True)
class Place:
    """The number that is furthest beyond its bound.

    Parameters
    ----------
    what : str
        The array: a key of the weights, or ``"outputs"``.
    index : tuple of int
        Its place in the array.
    got, expected, bound : float
        The backend's number, the oracle's, and by how much they may differ.
    """

    what: str
    index: tuple[int, ...]
    got: float
    expected: float
    bound: float


class BrokenPromiseError(AssertionError):
    """A backend breaks a promise of the contract.

    Parameters
    ----------
    message : str
        What is broken.
    cause : str
        The name of the likely cause in `edcore.testing.hints`; empty if the numbers have to tell.
    place : Place, optional
        Where a number is wrong.
    """

    def __init__(self, message: str, cause: str = "", place: Place | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.place = place


def require(condition: object, message: str, cause: str = "") -> None:
    """Raise AssertionError unless a condition holds, also under ``python -O``, which leaves out each `assert`."""
    if not condition:
        raise BrokenPromiseError(message, cause)


def same_bits(got: HostWeights, expected: HostWeights, what: str, cause: str = "") -> None:
    """Assert that the weights are the same in every bit, dtype and shape."""
    require(got.keys() == expected.keys(), f"the keys are {sorted(got)}", "keys")
    for key, value in expected.items():
        require(got[key].dtype == value.dtype, f"{key} has dtype {got[key].dtype}", "dtype")
        require(got[key].shape == value.shape, f"{key} has shape {got[key].shape}, and not {value.shape}", "shape")
        require(got[key].tobytes() == value.tobytes(), f"{key} has other bits {what}", cause)


def all_close(got: HostWeights, expected: HostWeights, bounds: HostWeights | None, what: str) -> None:
    """Assert that each weight is within its bound of the expected one."""
    if bounds is None:
        raise AssertionError(f"there is nothing to compare {what}")
    for key, value in expected.items():
        close(got[key], value, bounds[key], f"{key} {what}", key)


def close(got: Array, expected: Array, bound: Any, what: str, key: str = "outputs") -> None:
    """Assert that each value is within its bound of the expected one; a NaN never is."""
    require(got.shape == expected.shape, f"{what}: shape {got.shape}, not {expected.shape}", "shape")
    if not got.size:
        return
    off = np.abs(got.astype(np.float64) - expected)
    if (off <= bound).all():
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        worst = np.unravel_index(np.argmax(np.nan_to_num(off / bound, nan=np.inf)), off.shape)
    at = tuple(int(i) for i in worst)
    message = f"{what} at {list(at)}: {got[at]:.9g}, but the oracle has {expected[at]:.17g}"
    place = Place(key, at, float(got[at]), float(expected[at]), float(bound[at]))
    raise BrokenPromiseError(f"{message}; {off[at]:.3g} apart, where the bound is {bound[at]:.3g}", place=place)
