"""The assertions of the suite, with messages that name the place and the difference."""

from __future__ import annotations

from typing import Any

import numpy as np

from edcore.arrays import Array, HostWeights


def require(condition: object, message: str) -> None:
    """Raise AssertionError unless a condition holds, also under ``python -O``, which leaves out each `assert`."""
    if not condition:
        raise AssertionError(message)


def same_bits(got: HostWeights, expected: HostWeights, what: str) -> None:
    """Assert that the weights are the same in every bit, dtype and shape."""
    require(got.keys() == expected.keys(), f"the keys are {sorted(got)}")
    for key, value in expected.items():
        require(got[key].dtype == value.dtype, f"{key} has dtype {got[key].dtype}")
        require(got[key].shape == value.shape, f"{key} has shape {got[key].shape}")
        require(got[key].tobytes() == value.tobytes(), f"{key} has other bits {what}")


def all_close(got: HostWeights, expected: HostWeights, bounds: HostWeights | None, what: str) -> None:
    """Assert that each weight is within its bound of the expected one."""
    if bounds is None:
        raise AssertionError(f"there is nothing to compare {what}")
    for key, value in expected.items():
        close(got[key], value, bounds[key], f"{key} {what}")


def close(got: Array, expected: Array, bound: Any, what: str) -> None:
    """Assert that each value is within its bound of the expected one; a NaN never is."""
    require(got.shape == expected.shape, f"{what}: shape {got.shape}, not {expected.shape}")
    if not got.size:
        return
    off = np.abs(got.astype(np.float64) - expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        worst = np.unravel_index(np.argmax(np.nan_to_num(off / bound, nan=np.inf)), off.shape)
    message = f"{what} at {[int(i) for i in worst]}: {got[worst]:.9g}, but the oracle has {expected[worst]:.17g}"
    require((off <= bound).all(), f"{message}; {off[worst]:.3g} apart, where the bound is {bound[worst]:.3g}")
