"""CUDA device functions: the activations and their derivatives, loads of weights, access to samples.

None uses `cuda` at run time; `kernels_forward` says why.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edcore.core.activations import Activation
from edcore_numba.gpu.compiler import cuda
from edcore_numba.gpu.probe import simulated
from edcore_numba.gpu.tiles import ACTIVATIONS, COLUMNS, ForwardTile
from edcore_numba.gpu.vectors import BYTES, vector_copies

U = np.uint64


def activity(activation: Activation, dtype: str) -> Any:
    """Return f of a sum and a scale, which only the sigmoid uses. A NaN stays one."""
    real = np.dtype(dtype).type
    zero, one, six = real(0), real(1), real(6)
    # Below, y is as good as 0. So the denominator stays far from overflow: near there, a reciprocal takes a hundred
    # instructions in float64, and is 0 in float32.
    least = real(-44 if dtype == "float32" else -354)

    if dtype == "float32" and not simulated():
        exp, divide = cuda.libdevice.fast_expf, cuda.libdevice.fast_fdividef

        def sigmoid(z, scale):  # to about 2 units of rounding, in a few instructions
            t = z * scale
            t = least if t < least else t
            return divide(one, one + exp(-t))

    else:

        def sigmoid(z, scale):
            t = z * scale
            t = least if t < least else t
            return one / (one + math.exp(-t))

    def tanh(z, scale):
        return math.tanh(z)

    def relu(z, scale):
        return zero if z < zero else z

    def relu6(z, scale):
        return six if z > six else zero if z < zero else z

    def linear(z, scale):
        return z

    functions = dict(zip(ACTIVATIONS, (sigmoid, tanh, relu, relu6, linear), strict=True))
    return cuda.jit(device=True)(functions[activation])


def slope(activation: Activation, dtype: str) -> Any:
    """Return g of an activity."""
    real = np.dtype(dtype).type
    zero, one, six = real(0), real(1), real(6)

    def sigmoid(y):
        return y * (one - y)

    def tanh(y):
        return one - y * y

    def relu(y):
        return one if y > zero else zero

    def relu6(y):
        return one if zero < y < six else zero

    def linear(y):
        return one

    functions = dict(zip(ACTIVATIONS, (sigmoid, tanh, relu, relu6, linear), strict=True))
    return cuda.jit(device=True)(functions[activation])


def weight_loads(tile: ForwardTile, dtype: str) -> tuple[Any, Any]:
    """Return two functions that load the weights from a thread's sources to its targets.

    The first takes the place of the first weight, where all are inside the layer. The second takes the places of the
    layer, of its source, and of the first targets of its vectors. It reads some place inside for a source beyond the
    last, and gives 0 for it.
    """
    real = np.dtype(dtype).type
    zero = real(0)
    count = vector_width(tile, dtype)
    load, _ = vector_copies(count)
    cells, steps, width, vectors, targets = map(U, (tile.cells, tile.steps, count, COLUMNS // count, COLUMNS))

    @cuda.jit(device=True)
    def load_inside(w, weights, at):
        for k in range(steps):
            for v in range(vectors):
                load(w, k * targets + v * width, weights, at + k * cells + v * width)

    @cuda.jit(device=True)
    def load_tested(w, weights, layer, source, columns, sources):
        for k in range(steps):
            row = layer + (source + k if source + k < sources else U(0)) * cells
            for v in range(vectors):
                load(w, k * targets + v * width, weights, row + columns[v])
        for k in range(steps):
            if source + k >= sources:
                for m in range(targets):
                    w[k * targets + m] = zero

    return load_inside, load_tested


def vector_width(tile: ForwardTile, dtype: str) -> int:
    """Return the number of weights that a thread loads at once: rows of weights begin at multiples of it."""
    return min(BYTES // np.dtype(dtype).itemsize, COLUMNS if tile.cells % COLUMNS == 0 else 2)


def sample_access(gathers: bool) -> tuple[Any, Any, Any]:
    """Return three functions: does a head learn, the row of x for a row of the batch, and the writing of a result.

    A form that gathers looks up its samples in an order, and its results are errors; else they are outputs.
    """
    if gathers:

        @cuda.jit(device=True)
        def learns(learning, head):
            return learning[head] != 0

        @cuda.jit(device=True)
        def sample(order, row):
            return U(order[row])

        @cuda.jit(device=True)
        def write_result(errors, target, order, row, column, y):
            errors[row, column] = target[U(order[row]), column] - y

    else:

        @cuda.jit(device=True)
        def learns(learning, head):
            return True

        @cuda.jit(device=True)
        def sample(order, row):
            return row

        @cuda.jit(device=True)
        def write_result(results, target, order, row, column, y):
            results[row, column] = y

    return learns, sample, write_result
