"""The factors of a change of weights that depend on its target cells, in LLVM's vectors."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import INDEX, Vector, code_of, in_vectors

SIGMOID, TANH, RELU, RELU6, LINEAR, SOFTMAX = range(6)
"""The numbers of the activations, and of softmax, whose cells learn as linear ones."""


@intrinsic
def compute_sigmoid_delta(context, errors, y, y_row, delta, rows, columns, first, cells, zero):
    """Emit delta_bj = errors_b s_j g(y_bj) for a panel, the `columns` cells from `first` on; zero gives the type.

    Of all cells of the layer the first half is excitatory. delta is (rows, columns).
    """

    def body(builder: ir.IRBuilder, arguments: Any) -> None:
        errors, y, y_row, delta, rows, columns, first, cells, _ = arguments

        def emit(vector: Vector, column: ir.Value) -> None:
            signs = vector.signs(builder.add(first, column), cells)
            with cgutils.for_range(builder, rows) as row:
                error = vector.splat(builder.load(builder.gep(errors, [row.index])))
                activity = vector.load(y, builder.add(builder.mul(row.index, y_row), column))
                value = times_slope(vector, builder.fmul(error, signs), activity, SIGMOID)
                vector.store(value, delta, builder.add(builder.mul(row.index, columns), column))

        in_vectors(builder, arguments[-1].type, columns, emit)

    return sigmoid_delta_signature(zero), code_of(body)


@intrinsic
def compute_delta(context, errors, e_row, y, slopes, y_row, delta, rows, columns, first, cells, kind, rms, zero):
    """Emit the same for any activation, its number `kind`, with slopes (rows, cells) as a factor where rms is not 0.

    Rows of errors are `e_row` apart. If that is 1 all cells of a row learn from one error, else each from its own.
    """

    def body(builder: ir.IRBuilder, arguments: Any) -> None:
        errors, e_row, y, slopes, y_row, delta, rows, columns, first, cells, kind, rms, _ = arguments

        def emit(vector: Vector, column: ir.Value) -> None:
            b = builder
            signs, room = vector.signs(b.add(first, column), cells), cgutils.alloca_once(b, vector.type)
            with cgutils.for_range(b, rows) as row:
                of_row, place = b.gep(errors, [b.mul(row.index, e_row)]), b.add(b.mul(row.index, y_row), column)
                with b.if_else(b.icmp_signed("==", e_row, INDEX(1))) as (one, several):
                    with one:
                        b.store(vector.splat(b.load(of_row)), room)
                    with several:
                        b.store(vector.load(of_row, b.add(first, column)), room)
                value, activity = b.fmul(b.load(room), signs), vector.load(y, place)
                b.store(value, room)
                for number in (SIGMOID, TANH, RELU, RELU6):  # the slope of others is 1
                    with b.if_then(b.icmp_signed("==", kind, INDEX(number))):
                        b.store(times_slope(vector, value, activity, number), room)
                with b.if_then(b.icmp_signed("!=", rms, INDEX(0))):
                    b.store(b.fmul(b.load(room), vector.load(slopes, place)), room)
                vector.store(b.load(room), delta, b.add(b.mul(row.index, columns), column))

        in_vectors(builder, arguments[-1].type, columns, emit)

    return delta_signature(zero), code_of(body)


def sigmoid_delta_signature(real: Any) -> Any:
    """Return the signature of `compute_sigmoid_delta`."""
    pointer, n = types.CPointer(real), types.intp
    return types.void(pointer, pointer, n, pointer, n, n, n, n, real)


def delta_signature(real: Any) -> Any:
    """Return the signature of `compute_delta`."""
    pointer, n = types.CPointer(real), types.intp
    return types.void(pointer, n, pointer, pointer, n, pointer, n, n, n, n, n, n, real)


def times_slope(vector: Vector, value: ir.Value, y: ir.Value, activation: int) -> ir.Value:
    """Emit value · g(y)."""
    b, zero, one = vector.builder, vector.constant(0.0), vector.constant(1.0)
    if activation == SIGMOID:
        return b.fmul(b.fmul(value, y), b.fsub(one, y))
    if activation == TANH:
        return b.fmul(value, b.fsub(one, b.fmul(y, y)))
    value = b.select(b.fcmp_ordered(">", y, zero), value, zero)
    return b.select(b.fcmp_ordered("<", y, vector.constant(6.0)), value, zero) if activation == RELU6 else value
