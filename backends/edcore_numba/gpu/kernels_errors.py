"""The CUDA kernels that add up errors: those of a head for its tolerance, and those of an output to centre them."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from edcore_numba.gpu.compiler import cuda

SUM_THREADS = 32
"""Threads of a block."""

U = np.uint64
U0 = U(0)


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
