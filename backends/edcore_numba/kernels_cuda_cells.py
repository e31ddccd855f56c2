"""What cells do, as CUDA device functions: f and g. None looks at `cuda`, see `kernels_cuda_forward`."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda

from edcore.network import Activation

__all__ = ["activity", "slope"]


def activity(activation: Activation, dtype: str) -> Any:
    """Return f of a sum and a scale, which only the sigmoid has a use for. A NaN stays one."""
    real = np.dtype(dtype).type
    zero, one, six = real(0), real(1), real(6)
    match activation:
        case "sigmoid":

            @cuda.jit(device=True)
            def f(z, scale):
                t = z * scale
                e = math.exp(-abs(t))  # never overflows
                return (one if t >= zero else e) / (one + e)

        case "tanh":

            @cuda.jit(device=True)
            def f(z, scale):
                return math.tanh(z)

        case "relu":

            @cuda.jit(device=True)
            def f(z, scale):
                return zero if z < zero else z

        case "relu6":

            @cuda.jit(device=True)
            def f(z, scale):
                return six if z > six else zero if z < zero else z

        case "linear":

            @cuda.jit(device=True)
            def f(z, scale):
                return z

    return f


def slope(activation: Activation, dtype: str) -> Any:
    """Return g of an activity."""
    real = np.dtype(dtype).type
    zero, one, six = real(0), real(1), real(6)
    match activation:
        case "sigmoid":

            @cuda.jit(device=True)
            def g(y):
                return y * (one - y)

        case "tanh":

            @cuda.jit(device=True)
            def g(y):
                return one - y * y

        case "relu":

            @cuda.jit(device=True)
            def g(y):
                return one if y > zero else zero

        case "relu6":

            @cuda.jit(device=True)
            def g(y):
                return one if zero < y < six else zero

        case "linear":

            @cuda.jit(device=True)
            def g(y):
                return one

    return g
