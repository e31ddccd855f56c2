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
from edcore_numba.gpu.tiles import ACTIVATIONS, ForwardTile

U = np.uint64


def activity(activation: Activation, dtype: str) -> Any:
    """Return f of a sum and a scale, which only the sigmoid uses. A NaN stays one."""
    real = np.dtype(dtype).type
    zero, one, six = real(0), real(1), real(6)
    # Below, y is as good as 0. So the denominator stays far from overflow: near there, a reciprocal takes a hundred
    # instructions.
    least = real(-44 if dtype == "float32" else -354)

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


def weight_loads(tile: ForwardTile, n_bias: int, dtype: str) -> tuple[Any, Any]:
    """Return the functions that load the weights and the biases of chunk q of a head into a thread's registers."""
    real = np.dtype(dtype).type
    zero = real(0)
    even = tile.even
    cells, columns, groups, steps, per_thread = map(
        U, (tile.cells, tile.columns, tile.groups, tile.steps, tile.per_thread)
    )
    threads, chunk, chunks, pitch = map(U, (tile.threads, tile.chunk, tile.chunks, tile.pitch))
    per_thread, biases = map(U, (tile.per_thread, n_bias))

    @cuda.jit(device=True)
    def load_weights(w, weights, q, input_chunks, sources, hidden_at, head, depth, t):
        if q < input_chunks:
            base = (head * sources + q * chunk) * cells
            left = sources - q * chunk
        else:
            within = (q - input_chunks) % chunks * chunk
            base = hidden_at + ((head * depth + (q - input_chunks) // chunks) * cells + within) * cells
            left = cells - within
        first = t // groups * steps
        at = base + first * cells + t % groups
        if even and left >= chunk:
            for k in range(steps):
                for m in range(columns):
                    w[k * columns + m] = weights[at + k * cells + m * groups]
        else:
            for k in range(steps):
                for m in range(columns):
                    inside = first + k < left and t % groups + m * groups < cells
                    w[k * columns + m] = weights[at + k * cells + m * groups] if inside else zero

    @cuda.jit(device=True)
    def load_biases(b, weights, q, input_chunks, sources, hidden_at, head, depth, heads, t):
        if q < input_chunks:
            base = heads * sources * cells + head * biases * cells
        else:
            layer = head * depth + (q - input_chunks) // chunks
            base = hidden_at + heads * depth * cells * cells + layer * biases * cells
        for e in range(per_thread):
            j = (t + e * threads) % pitch
            for n in range(biases):
                b[e * biases + n] = weights[base + n * cells + j] if even or j < cells else zero

    return load_weights, load_biases


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
