"""The CUDA kernels behind a forward pass: softmax outputs and their errors, sums of errors, centred errors."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from edcore_numba.gpu.compiler import cuda

SUM_THREADS = 32
"""Threads of a block."""

U = np.uint64
U0, U1 = U(0), U(1)


@cache
def softmax(outputs: int, dtype: str, learning: bool) -> Any:
    """Return the kernel that reads softmax outputs, or with `learning` their errors; a thread has a sample of a head.

    The sums z of a head's sample `row` begin at ``at + head · by_head + row · by_row`` of a flat array. Results have
    columns for all heads, and rows from `start` on; without `learning` they may be in the same memory.
    """
    count, zero = U(outputs), np.dtype(dtype).type(0)

    @cuda.jit(device=True)
    def place(heads, at, by_head, by_row):
        e = U(cuda.blockIdx.x) * U(SUM_THREADS) + U(cuda.threadIdx.x)
        row, head = e // U(heads), e % U(heads)
        return row, head, U(at) + head * U(by_head) + row * U(by_row)

    @cuda.jit(device=True)
    def largest_and_total(sums, first):
        most = sums[first]
        for k in range(U1, count):  # a NaN beyond the first makes the total NaN
            most = sums[first + k] if sums[first + k] > most else most
        total = zero
        for k in range(count):
            total += math.exp(sums[first + k] - most)
        return most, total

    @cuda.jit
    def softmax_outputs(sums, at, by_head, by_row, heads, batch, results, start):
        row, head, first = place(heads, at, by_head, by_row)
        if row < U(batch):
            most, total = largest_and_total(sums, first)
            for k in range(count):
                results[U(start) + row, head * count + k] = math.exp(sums[first + k] - most) / total

    @cuda.jit
    def softmax_errors(sums, at, by_head, by_row, heads, batch, results, start, target, order, learns):
        row, head, first = place(heads, at, by_head, by_row)
        if row < U(batch):
            most, total = largest_and_total(sums, first)
            sample = U(order[U(start) + row])
            for k in range(count):
                column = head * count + k
                error = target[sample, column] - math.exp(sums[first + k] - most) / total
                results[U(start) + row, column] = error if learns[head] else zero

    return softmax_errors if learning else softmax_outputs


@cache
def error_sums(outputs: int) -> Any:
    """Return the kernel for heads with this number of outputs: a block for each head."""
    columns = U(outputs)

    @cuda.jit
    def error_sums(errors, sums):
        """Set sums (heads,) in float64 to the sums of |errors| (samples, heads · outputs), in a fixed order."""
        parts = cuda.shared.array(SUM_THREADS, np.float64)
        t = U(cuda.threadIdx.x)
        head = U(cuda.blockIdx.x)
        total = np.float64(0)
        for row in range(t, U(errors.shape[0]), U(SUM_THREADS)):
            for column in range(columns):
                total += np.float64(abs(errors[row, head * columns + column]))
        parts[t] = total
        cuda.syncthreads()
        if t == U0:
            for other in range(1, SUM_THREADS):
                total += parts[other]
            sums[head] = total

    return error_sums


@cuda.jit
def centre(errors, centred, start, batch):
    """Set centred (at least batch, columns) to rows of errors less their mean: a block for each column."""
    # In float64, as there may be many samples, and in a fixed order. Errors that are all 0 stay 0: a head that has
    # stopped keeps every bit.
    parts = cuda.shared.array(SUM_THREADS, np.float64)
    t, column = U(cuda.threadIdx.x), U(cuda.blockIdx.x)
    total = np.float64(0)
    for row in range(t, U(batch), U(SUM_THREADS)):
        total += np.float64(errors[U(start) + row, column])
    parts[t] = total
    cuda.syncthreads()
    total = np.float64(0)
    for part in range(SUM_THREADS):
        total += parts[part]
    mean = total / np.float64(batch)
    for row in range(t, U(batch), U(SUM_THREADS)):
        centred[row, column] = np.float64(errors[U(start) + row, column]) - mean
