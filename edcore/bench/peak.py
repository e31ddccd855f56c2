"""The CPU's peak: independent fused multiply-adds in registers, on all threads. Numba compiles them."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

VECTOR_BYTES = 64
SUMS = (16, 6, 3)
"""Sums side by side, in vectors of 64 bytes, which LLVM splits. Each next multiply-add of a sum waits for the last one,
so a processor needs many sums, but no more than fit into its registers: 16 for AVX-512, 6 for AVX2 and NEON, 3 for
SSE2. The fastest counts."""

MULTIPLY_ADDS = 2**27
"""Of vectors, by each thread: about 20 ms with AVX-512."""


def measure_peak(dtype: str, seconds_of: Callable[[Callable[[], object]], float]) -> tuple[float, str]:
    """Return the operations a second at best, and by what; `seconds_of` times a call."""
    real = np.dtype(dtype).type
    threads, lanes = numba.get_num_threads(), VECTOR_BYTES // np.dtype(dtype).itemsize
    speeds = []
    with ThreadPoolExecutor(threads) as pool:
        for sums in SUMS:
            rounds = MULTIPLY_ADDS // sums
            run = partial(_compiled(sums), rounds, real(0.5), real(1))
            seconds = seconds_of(partial(_on_all_threads, pool, threads, run))
            speeds.append(2 * threads * rounds * sums * lanes / seconds)
    return max(speeds), f"Numba on {threads} threads"


def _on_all_threads(pool: ThreadPoolExecutor, threads: int, run: Callable[[], object]) -> None:
    """Run a function once on each thread at the same time."""
    for task in [pool.submit(run) for _ in range(threads)]:
        task.result()


def _compiled(sums: int) -> Callable[..., float]:
    """Return a function of (rounds, a, b): in each round, every lane of the sums becomes a · itself + b."""

    @intrinsic
    def multiply_adds(context, rounds, a, b):
        return a(rounds, a, b), partial(_emit, sums)

    @numba.njit(nogil=True)
    def run(rounds, a, b):
        return multiply_adds(rounds, a, b)

    return run


def _emit(sums: int, context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
    """Emit the loop, and the total of one lane, without which LLVM would leave it out."""
    rounds, *scalars = arguments
    bits = 32 if isinstance(scalars[0].type, ir.FloatType) else 64
    lanes = VECTOR_BYTES * 8 // bits
    vector, index = ir.VectorType(scalars[0].type, lanes), ir.IntType(32)
    undefined = ir.Constant(vector, ir.Undefined)
    everywhere = ir.Constant(ir.VectorType(index, lanes), [0] * lanes)
    a, b = (
        builder.shuffle_vector(builder.insert_element(undefined, scalar, index(0)), undefined, everywhere)
        for scalar in scalars
    )
    kind = ir.FunctionType(vector, [vector] * 3)
    fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{lanes}f{bits}")
    before, loop, done = builder.block, builder.append_basic_block("rounds"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    number, old = builder.phi(rounds.type), [builder.phi(vector) for _ in range(sums)]
    new = [builder.call(fused, [one, a, b]) for one in old]
    following = builder.add(number, rounds.type(1))
    builder.cbranch(builder.icmp_signed("<", following, rounds), loop, done)
    number.add_incoming(rounds.type(0), before)
    number.add_incoming(following, loop)
    for start, (earlier, later) in enumerate(zip(old, new, strict=True)):
        earlier.add_incoming(ir.Constant(vector, [float(start)] * lanes), before)  # no two are the same, or one is left
        earlier.add_incoming(later, loop)
    builder.position_at_end(done)
    total = new[0]
    for one in new[1:]:
        total = builder.fadd(total, one)
    return builder.extract_element(total, index(0))
