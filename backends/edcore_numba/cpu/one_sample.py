"""One layer's activities and update for one sample, in LLVM's vectors: for training sample by sample.

The arithmetic is that of `vectors` for a batch of one, to the bit, without the code that cuts a batch into tiles.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import INDEX, PANEL_BYTES, SLICE, Vector, function_of, in_vectors


@intrinsic
def activate_one(context, x, weight, sources, streams, bias, biases, activity, y, targets, scale):
    """Emit y = 1 / (1 + 2**(scale · (bias cells + x weight))), for an even number of targets and a weight in panels.

    Bias cells have the activity `activity`. x has `sources` activities; where the weights are those of two `streams` of
    them, the sum of both counts.
    """
    pointer, n = types.CPointer(scale), types.intp

    def body(builder: ir.IRBuilder, arguments: Any) -> None:
        x, weight, sources, streams, bias, biases, activity, y, targets, scale = arguments

        def columns(vector: Vector, column: ir.Value) -> None:
            b = vector.builder
            second = b.select(b.icmp_signed(">", biases, INDEX(1)), INDEX(1), INDEX(0))
            total = vector.load(bias, column)
            with_second = b.fadd(total, vector.load(bias, b.add(b.mul(second, targets), column)))
            total = b.select(b.icmp_signed(">", biases, INDEX(1)), with_second, total)
            z = b.fmul(vector.splat(activity), total)
            first, width = _in_panel(vector, weight, b.mul(sources, streams), column, targets)
            result = cgutils.alloca_once_value(b, z)
            with b.if_else(b.icmp_signed(">", streams, INDEX(1))) as (two, one):
                with two:  # slice by slice, as the kernels do
                    slices = b.sdiv(b.add(sources, INDEX(SLICE - 1)), INDEX(SLICE))
                    with cgutils.for_range(b, slices) as part:
                        start = b.mul(part.index, INDEX(SLICE))
                        left = b.sub(sources, start)
                        count = b.select(b.icmp_signed("<", left, INDEX(SLICE)), left, INDEX(SLICE))
                        plus, minus = (b.gep(first, [b.mul(b.add(start, of), width)]) for of in (INDEX(0), sources))
                        total = _sum(vector, b.gep(x, [start]), (plus, minus), width, count)
                        b.store(b.fadd(b.load(result), total), result)
                with one:
                    b.store(b.fadd(z, _sum(vector, x, (first,), width, sources)), result)
            z = b.load(result)
            vector.store(vector.sigmoid(z, vector.splat(scale)), y, column)

        in_vectors(builder, scale.type, targets, columns)

    signature = types.void(pointer, pointer, n, n, pointer, n, scale, pointer, n, scale)
    return signature, function_of("activate_one", scale, body)


@intrinsic
def update_one(context, x, shift, weight, sources, bias, biases, activity, y, targets, plus, minus):
    """Emit weight += x_i E_i g(y_j) s_j and bias likewise, for `sources` sources of each stream and all targets.

    `plus` and `minus` are the rate times E of the two streams' sources; the second one's activities lie `shift` behind.
    Bias cells have the activity `activity`.
    """
    pointer, n = types.CPointer(plus), types.intp

    def body(builder: ir.IRBuilder, arguments: Any) -> None:
        x, shift, weight, sources, bias, biases, active, y, targets, plus, minus = arguments

        def columns(vector: Vector, column: ir.Value) -> None:
            b = vector.builder
            activity, one = vector.load(y, column), vector.constant(1.0)
            signs = vector.signs(column, targets)
            first, width = _in_panel(vector, weight, b.mul(sources, INDEX(2)), column, targets)
            for stream, error in enumerate((plus, minus)):
                signed = b.fmul(vector.splat(error), signs)
                delta = b.fmul(b.fmul(signed, activity), b.fsub(one, activity))
                start = b.gep(x, [b.mul(shift, INDEX(stream))])
                with cgutils.for_range(b, sources) as source:
                    at = b.mul(b.add(source.index, b.mul(sources, INDEX(stream))), width)
                    value = vector.splat(b.load(b.gep(start, [source.index])))
                    vector.store(b.fadd(vector.load(first, at), b.fmul(value, delta)), first, at)
                with b.if_then(b.icmp_signed(">", biases, INDEX(stream))):
                    at = b.add(b.mul(INDEX(stream), targets), column)
                    change = b.fmul(vector.splat(active), delta)
                    vector.store(b.fadd(vector.load(bias, at), change), bias, at)

        in_vectors(builder, plus.type, targets, columns)

    signature = types.void(pointer, n, pointer, n, pointer, n, plus, pointer, n, plus, plus)
    return signature, function_of("update_one", plus, body)


def _in_panel(
    vector: Vector, weight: ir.Value, sources: ir.Value, column: ir.Value, targets: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """Emit where a column of a matrix in panels starts, and how wide its panel is."""
    b, full = vector.builder, INDEX(PANEL_BYTES * 8 // vector.bits)
    low = b.mul(b.sdiv(column, full), full)
    left = b.sub(targets, low)
    width = b.select(b.icmp_signed("<", left, full), left, full)
    return b.gep(weight, [b.add(b.mul(low, sources), b.sub(column, low))]), width


def _sum(vector: Vector, x: ir.Value, weights: tuple[ir.Value, ...], width: ir.Value, count: ir.Value) -> ir.Value:
    """Emit Σ_i x_i weight_i over `count` rows of a panel, or of the sum of two; 0 for none."""
    b = vector.builder
    before, loop, done = b.block, b.append_basic_block("sum"), b.append_basic_block("sum.done")
    zero = ir.Constant(vector.type, None)
    b.cbranch(b.icmp_signed(">", count, INDEX(0)), loop, done)
    b.position_at_end(loop)
    i, total = b.phi(INDEX), b.phi(vector.type)
    active, row = vector.splat(b.load(b.gep(x, [i]))), b.mul(i, width)
    weight = functools.reduce(b.fadd, [vector.load(part, row) for part in weights])
    new = vector.multiply_add(active, weight, total)
    following = b.add(i, INDEX(1))
    for phi, first, later in ((i, INDEX(0), following), (total, zero, new)):
        phi.add_incoming(first, before)
        phi.add_incoming(later, loop)
    b.cbranch(b.icmp_signed("<", following, count), loop, done)
    b.position_at_end(done)
    result = b.phi(vector.type)
    result.add_incoming(zero, before)
    result.add_incoming(new, loop)
    return result
