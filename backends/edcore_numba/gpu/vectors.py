"""What Numba has no words for: a copy of several neighbouring values by one instruction, and a prefetch."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from functools import cache
from typing import Any

from edcore_numba.gpu.compiler import cuda
from edcore_numba.gpu.probe import simulated

BYTES = 16
"""The most that a thread copies at once."""


@cache
def vector_copies(count: int) -> tuple[Any, Any]:
    """Return the device functions that load `count` values of an array into a local one, and store them back.

    The place in the array is a multiple of `count`, and the array itself begins at a multiple of so many bytes.
    """
    if simulated():  # its arrays have no addresses

        @cuda.jit(device=True)
        def load(values, first, array, at):
            for m in range(count):
                values[first + m] = array[at + m]

        @cuda.jit(device=True)
        def store(values, first, array, at):
            for m in range(count):
                array[at + m] = values[first + m]

        return load, store
    return _instruction(count, loads=True), _instruction(count, loads=False)


@cache
def prefetch() -> Any:
    """Return the device function that brings the line of memory with a place in an array to the L2 cache."""
    if simulated():

        @cuda.jit(device=True)
        def nothing(array, at):
            pass

        return nothing

    from llvmlite import ir
    from numba.core import types
    from numba.cuda.extending import intrinsic

    def code(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.ptrtoint(builder.gep(data, [arguments[1]]), ir.IntType(64))
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)])
        builder.call(ir.InlineAsm(kind, "prefetch.global.L2 [$0];", "l", side_effect=True), [place])
        return context.get_dummy_value()

    @intrinsic
    def prefetch(typing, array, at):
        return types.void(array, at), code

    return prefetch


def _instruction(count: int, loads: bool) -> Any:
    """Return the function of the compiler that makes a load or a store."""
    from llvmlite import ir
    from numba.core import types
    from numba.cuda.extending import intrinsic

    def code(context, builder, signature, arguments):
        values, first, array, at = arguments
        local, remote = (
            context.make_array(kind)(context, builder, each).data
            for kind, each in zip(signature.args[::2], (values, array), strict=True)
        )
        value = context.get_value_type(signature.args[0].dtype)
        vector, align = ir.VectorType(value, count), count * context.get_abi_sizeof(value)
        place = builder.bitcast(builder.gep(remote, [at]), vector.as_pointer(remote.type.addrspace))
        several = builder.load(place, align=align) if loads else ir.Constant(vector, ir.Undefined)
        for m in range(count):
            one = builder.gep(local, [builder.add(first, ir.Constant(first.type, m))])
            number = ir.Constant(ir.IntType(32), m)
            if loads:
                builder.store(builder.extract_element(several, number), one)
            else:
                several = builder.insert_element(several, builder.load(one), number)
        if not loads:
            builder.store(several, place, align=align)
        return context.get_dummy_value()

    @intrinsic
    def copy(typing, values, first, array, at):
        return types.void(values, first, array, at), code

    return copy
