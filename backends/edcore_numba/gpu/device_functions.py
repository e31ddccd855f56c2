"""What cells do, as CUDA device functions: f and g. None looks at `cuda`, see `kernels_cuda_forward`."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda

from edcore.core.activations import Activation
from edcore_numba.gpu.tiles import ForwardTile


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


U = np.uint64


def fetches(tile: ForwardTile, n_bias: int, dtype: str) -> tuple[Any, Any]:
    """Return what takes the weights of chunk q of a head to a thread's registers, and what takes its biases there."""
    real = np.dtype(dtype).type
    zero = real(0)
    even = tile.even
    cells, columns, groups, steps, own = map(U, (tile.cells, tile.columns, tile.groups, tile.steps, tile.per_thread))
    threads, chunk, chunks, pitch, biases = map(U, (tile.threads, tile.chunk, tile.chunks, tile.pitch, n_bias))

    @cuda.jit(device=True)
    def fetch_weights(w, weights, q, input_chunks, sources, hidden_at, head, depth, t):
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
    def fetch_biases(b, weights, q, input_chunks, sources, hidden_at, head, depth, heads, t):
        if q < input_chunks:
            base = heads * sources * cells + head * biases * cells
        else:
            layer = head * depth + (q - input_chunks) // chunks
            base = hidden_at + heads * depth * cells * cells + layer * biases * cells
        for e in range(own):
            j = (t + e * threads) % pitch
            for n in range(biases):
                b[e * biases + n] = weights[base + n * cells + j] if even or j < cells else zero

    return fetch_weights, fetch_biases


def samples(gathers: bool) -> tuple[Any, Any, Any]:
    """Return whether a head learns, which row of x a row of the batch is, and what is done with an output.

    Where a form gathers, an order names the samples, and a row of the results takes an error; else an output.
    """
    if gathers:

        @cuda.jit(device=True)
        def learns(learning, head):
            return learning[head] != 0

        @cuda.jit(device=True)
        def sample(order, row):
            return U(order[row])

        @cuda.jit(device=True)
        def result(errors, target, order, row, column, y):
            errors[row, column] = target[U(order[row]), column] - y

    else:

        @cuda.jit(device=True)
        def learns(learning, head):
            return True

        @cuda.jit(device=True)
        def sample(order, row):
            return row

        @cuda.jit(device=True)
        def result(results, target, order, row, column, y):
            results[row, column] = y

    return learns, sample, result
