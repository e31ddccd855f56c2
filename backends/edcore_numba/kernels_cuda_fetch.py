"""Where a block of the CUDA forward pass finds weights and samples. No function looks at `cuda`, see there."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from edcore_numba.gpu_tiles import ForwardTile

__all__ = ["fetches", "samples"]

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
