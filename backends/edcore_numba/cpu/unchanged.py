"""Which hidden layers an update can leave alone: their cells are all saturated, so that no bit of a weight changes.

W + d is W, to the bit, where |d| is less than half the distance from W to the numbers beside it. A layer's |d| is at
most Σ_b |rate · E_b| · max |x| · max |g|. The forward pass bounds |g| while a layer's activities are in the fastest
cache. The least |W| is known from the last time that somebody looked, as nothing but an update changes it. So an update
reads neither the weights of such a layer nor its activities.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiling import inlined
from .deltas import SIGMOID, TANH, times_slope
from .vectors import INDEX, PANEL_BYTES, VECTOR_BYTES, VECTORS, Vector, in_vectors, shifted

UNIT = 64
"""Sources of each stream for which one least weight is kept: no piece of work of an update has a part of them."""

LEAST = 2.0**-18
"""The least |W| that it is worth while to look for."""

Function = Callable[[Vector, ir.Value], ir.Value]


def bound_slopes(y, rows, cells, kind, slopes, zero):
    """Write a bound of |g| in y (rows, cells) to slopes (rows,), the same for all rows: ∞ if it is not small.

    `kind` is the number of the activation, and zero gives the type.
    """
    bound = largest_slope(y, cells, kind, zero)
    if bound < _small(zero):  # of a layer that moves, the first row is enough
        bound = largest_slope(y, rows * cells, kind, zero)
    carray(slopes, rows)[:] = bound if bound < _small(zero) else type(zero)(np.inf)


def find_unchanged(weight, bias, biases, width, low, high, slopes, rows, errors, streams, e_row, scalars, least, zero):
    """Find whether no bit of some weights of a layer can change: those from both streams' sources low to high.

    All but numbers are pointers. weight (2 · width, 2 · width) is in panels, slopes (rows,) are from `bound_slopes`,
    and errors are rate · E (streams, rows, e_row). scalars are the activity of bias cells, the sum of the errors'
    magnitudes (−1 if it is not known), and the answer. `least` has a number for each `UNIT` of sources: their least
    |W|, 0 if it is not known, less than 0 if it was too little when somebody looked. zero gives the type.
    """
    real, given, units = type(zero), carray(scalars, 3), carray(least, (high + UNIT - 1) // UNIT)[low // UNIT :]
    bound, given[2] = largest_magnitude(slopes, rows // 2 * 2, zero), 0
    if rows % 2:
        bound = max(bound, carray(slopes, rows)[rows - 1])
    if not bound < _small(zero):
        for unit in range(len(units)):
            if units[unit] != 0:  # seldom, and to write costs more than to read
                units[unit] = 0
        return
    if given[1] < 0:
        given[1] = _sum_magnitudes(errors, streams * rows, e_row, min(e_row, 2 * width))
    change = max(1.0, abs(given[0])) * given[1] * bound  # in float64, in which no product of float32 is flushed to 0
    known, is_known = real(np.inf), True
    for unit in range(len(units)):
        known, is_known = min(known, abs(units[unit])), is_known and units[unit] > 0
    if known > 0 and not change < known * _rounding(zero):
        if is_known:
            units[:] = -known  # as they change now
        return
    if not is_known:
        known = _least_weight(weight, bias, biases, width, low, high, zero)
        is_known = change < known * _rounding(zero)
        units[:] = known if is_known else -max(known, real(np.finfo(np.float32).tiny))
    given[2] = is_known


@inlined
def forget(least, head) -> None:
    """Set what is known of a head's weights to 0: they change by an update that does not call `find_unchanged`."""
    for layer in range(least.shape[1]):
        for unit in range(least.shape[2]):
            least[head, layer, unit] = 0


def bound_signature(real: Any) -> Any:
    """Return the signature of `bound_slopes`."""
    pointer, n = types.CPointer(real), types.intp
    return types.void(pointer, n, n, n, pointer, real)


def unchanged_signature(real: Any) -> Any:
    """Return the signature of `find_unchanged`."""
    pointer, n = types.CPointer(real), types.intp
    return types.void(pointer, pointer, n, n, n, n, pointer, n, pointer, n, n, pointer, pointer, real)


@inlined
def _rounding(zero) -> float:
    """Return the share of a weight below which a change is lost, halved for the rounding of sums."""
    return np.finfo(type(zero)).eps / 8.0  # of a power of 2 it would be a quarter


@inlined
def _small(zero) -> float:
    """Return the slope with which errors that add up to 1 do not change weights of at least `LEAST`."""
    return np.finfo(type(zero)).eps / 8.0 * LEAST


@inlined
def _sum_magnitudes(errors, rows, e_row, cells) -> float:
    """Return the sum of |errors| (rows, e_row) over some cells."""
    total, values = 0.0, carray(errors, rows * e_row)
    for row in range(rows):
        for cell in range(cells):
            total += abs(values[row * e_row + cell])
    return total


@inlined
def _least_weight(weight, bias, biases, width, low, high, zero) -> Any:
    """Return the least magnitude of the weights, and of the biases, which belong to the first sources."""
    cells, panel = 2 * width, PANEL_BYTES * 8 // np.finfo(type(zero)).bits
    found = least_magnitude(bias, biases * cells if low == 0 else 0, zero)
    for column in range(0, cells, panel):
        targets = min(panel, cells - column)
        for stream in range(2):
            begin = column * cells + (stream * width + low) * targets
            found = min(found, least_magnitude(shifted(weight, begin), (high - low) * targets, zero))
    return found


@intrinsic
def largest_slope(context, y, count, kind, zero):
    """Emit the largest |g(y)| of `count` cells, an even number, of the activation `kind`; NaN is the largest.

    It is for sigmoid and tanh, and zero gives the type.
    """

    def of_kind(number: int) -> Function:
        return lambda vector, value: times_slope(vector, vector.constant(1.0), value, number)

    def code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        y, count, kind, zero = arguments
        result = cgutils.alloca_once_value(builder, ir.Constant(zero.type, math.inf))
        for number in (SIGMOID, TANH):
            with builder.if_then(builder.icmp_signed("==", kind, INDEX(number))):
                builder.store(_extreme(builder, y, count, zero.type, "max", of_kind(number)), result)
        return builder.load(result)

    return zero(types.CPointer(zero), types.intp, types.intp, zero), code


@intrinsic
def largest_magnitude(context, values, count, zero):
    """Emit the largest magnitude of `count` numbers, an even number of them; zero gives the type."""
    return _extreme_magnitude(zero, "max")


@intrinsic
def least_magnitude(context, values, count, zero):
    """Emit the least magnitude of `count` numbers, an even number of them; zero gives the type."""
    return _extreme_magnitude(zero, "min")


def _extreme_magnitude(zero: Any, which: str) -> Any:
    def code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        values, count, zero = arguments
        return _extreme(builder, values, count, zero.type, which, lambda vector, value: value)

    return zero(types.CPointer(zero), types.intp, zero), code


def _extreme(
    builder: ir.IRBuilder, values: ir.Value, count: ir.Value, real: ir.Type, which: str, function: Function
) -> ir.Value:
    """Emit the max or min of |function(value)|, compared as whole numbers: in these, NaN is the largest."""
    bits, infinity = (32, 0xFF << 23) if isinstance(real, ir.FloatType) else (64, 0x7FF << 52)
    whole, positive = ir.IntType(bits), (1 << (bits - 1)) - 1
    start, sign = (0, ">") if which == "max" else (infinity, "<")
    found, lanes = {}, VECTOR_BYTES * 8 // bits
    while lanes > 1:  # the vectors that `in_vectors` uses
        found[lanes] = cgutils.alloca_once_value(builder, ir.Constant(ir.VectorType(whole, lanes), [start] * lanes))
        lanes //= 2

    def better(first: ir.Value, second: ir.Value) -> ir.Value:
        return builder.select(builder.icmp_unsigned(sign, first, second), first, second)

    def some(vectors: int) -> Callable[[Vector, ir.Value], None]:
        def emit(vector: Vector, first: ir.Value) -> None:
            for i in range(vectors):
                value = function(vector, vector.load(values, builder.add(first, INDEX(i * vector.lanes))))
                magnitude = builder.and_(builder.bitcast(value, vector.integers), vector.integer(positive))
                builder.store(better(magnitude, builder.load(found[vector.lanes])), found[vector.lanes])

        return emit

    in_vectors(builder, real, count, some(1), some(VECTORS))
    result: ir.Value = whole(start)
    for lanes, room in found.items():
        kind = ir.FunctionType(whole, [ir.VectorType(whole, lanes)])
        name = f"llvm.vector.reduce.u{which}.v{lanes}i{bits}"
        one = builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [builder.load(room)])
        result = better(one, result)
    return builder.bitcast(result, real)
