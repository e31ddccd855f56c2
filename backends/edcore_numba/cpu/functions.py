"""Products and factors as functions that are compiled once for each dtype; kernels call them by their addresses.

Inside the kernels they would be compiled again with each, and these with each kernel that calls them.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from edcore.interrupts import ForkLock

from .compiling import compiled_for_c
from .deltas import compute_delta, compute_sigmoid_delta, delta_signature, sigmoid_delta_signature
from .unchanged import bound_signature, bound_slopes, find_unchanged, unchanged_signature
from .vectors import multiply, product_signature


class Functions(NamedTuple):
    """The addresses of the functions for a dtype."""

    multiply: int
    compute_sigmoid_delta: int
    compute_delta: int
    bound_slopes: int
    find_unchanged: int


NONE = Functions(0, 0, 0, 0, 0)
"""What a kernel is given that calls none."""

_LOCK = ForkLock()
_COMPILED: dict[str, list[Any]] = {}


def functions_of(dtype: str) -> Functions:
    """Return the functions for a dtype, compiled at the first time."""
    with _LOCK:
        if dtype not in _COMPILED:
            real = numba.from_dtype(np.dtype(dtype))
            bodies: tuple[tuple[Any, Any], ...] = (
                (_multiply, product_signature),
                (_compute_sigmoid_delta, sigmoid_delta_signature),
                (_compute_delta, delta_signature),
                (bound_slopes, bound_signature),
                (find_unchanged, unchanged_signature),
            )
            _COMPILED[dtype] = [compiled_for_c(body, signature(real)) for body, signature in bodies]
        return Functions(*(function.address for function in _COMPILED[dtype]))


@intrinsic
def call(context, address, arguments):
    """Call a function of `Functions` at an address with a tuple of arguments: pointers, integers, and a last number."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        given = []
        for value, kind in zip(cgutils.unpack_tuple(builder, values[1]), signature.args[1].types, strict=True):
            integer = isinstance(kind, types.Integer | types.Boolean)
            given.append(context.cast(builder, value, kind, types.intp) if integer else value)
        pointer = ir.FunctionType(ir.VoidType(), [value.type for value in given]).as_pointer()
        builder.call(builder.inttoptr(values[0], pointer), given)
        return context.get_dummy_value()

    return types.void(types.intp, arguments), code


def _multiply(
    a, a_tile, a_row, a_k, b, b_k, k, c, c_row, y, y_row, rows, columns, soon, times, apart, activated, scale
):
    multiply(a, a_tile, a_row, a_k, b, b_k, k, c, c_row, y, y_row, rows, columns, soon, times, apart, activated, scale)


def _compute_sigmoid_delta(errors, y, y_row, delta, rows, columns, first, cells, zero):
    compute_sigmoid_delta(errors, y, y_row, delta, rows, columns, first, cells, zero)


def _compute_delta(errors, e_row, y, slopes, y_row, delta, rows, columns, first, cells, kind, rms, zero):
    compute_delta(errors, e_row, y, slopes, y_row, delta, rows, columns, first, cells, kind, rms, zero)
