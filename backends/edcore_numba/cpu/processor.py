"""What kernels ask of the processor beside arithmetic: to flush subnormal numbers, and to wait for other threads."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

IS_X86 = binding.get_process_triple().startswith(("x86_64", "i686", "i386"))

YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
"""The system's function that lets other threads run."""

SPINS = 2**8
"""Looks at a counter before a thread lets others run: some tens of microseconds."""

ARRIVED, CANCELLED, PLACES = 0, 8, 16  # in cache lines of their own


def new_meeting() -> npt.NDArray[np.int64]:
    """Return what threads need for `meet`: the number of arrivals, and at CANCELLED whether nobody is to wait."""
    return np.zeros(PLACES, np.int64)


@intrinsic
def meet(context, meeting, workers):
    """Wait until all workers have come here; do not wait once the meeting is cancelled."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        index, first = arguments[1].type, context.make_array(signature.args[0])(context, builder, arguments[0]).data
        cancelled = builder.gep(first, [index(CANCELLED)])
        before = builder.atomic_rmw("add", first, index(1), "seq_cst")
        goal = builder.mul(builder.add(builder.sdiv(before, arguments[1]), index(1)), arguments[1])
        start, wait, pause = builder.block, builder.append_basic_block("wait"), builder.append_basic_block("pause")
        let, done = builder.append_basic_block("yield"), builder.append_basic_block("met")
        builder.branch(wait)
        builder.position_at_end(wait)
        spins = builder.phi(index)
        arrived = builder.icmp_signed(">=", builder.load_atomic(first, "acquire", 8), goal)
        off = builder.icmp_signed("!=", builder.load_atomic(cancelled, "acquire", 8), index(0))
        builder.cbranch(builder.or_(arrived, off), done, pause)
        builder.position_at_end(pause)
        if IS_X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        more = builder.add(spins, index(1))
        builder.cbranch(builder.icmp_signed(">=", more, index(SPINS)), let, wait)
        builder.position_at_end(let)
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, YIELD), [])
        builder.branch(wait)
        for value, block in ((index(0), start), (more, pause), (index(SPINS), let)):
            spins.add_incoming(value, block)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(meeting, types.intp), code


@intrinsic
def flush_subnormals(context, on):
    """Let this thread's processor take numbers next to 0 for 0, and return its mode from before, for `restore_mode`.

    Saturated cells are as near to 0 as a sigmoid can be, and so are products with them. Many processors take a hundred
    times as long for subnormal numbers; ARM's do not.
    """

    def code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        if not IS_X86:
            return ir.IntType(32)(0)
        mode = cgutils.alloca_once(builder, ir.IntType(32))
        builder.call(_control(builder, "stmxcsr"), [builder.bitcast(mode, ir.IntType(8).as_pointer())])
        before = builder.load(mode)
        _set_mode(builder, builder.or_(before, ir.IntType(32)(0x8040)))  # results, and operands
        return before

    return types.uint32(on), code


@intrinsic
def restore_mode(context, mode):
    """Give this thread's processor back the mode that `flush_subnormals` returned."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        if IS_X86:
            _set_mode(builder, arguments[0])
        return context.get_dummy_value()

    return types.void(types.uint32), code


def _set_mode(builder: ir.IRBuilder, mode: ir.Value) -> None:
    place = cgutils.alloca_once_value(builder, mode)
    builder.call(_control(builder, "ldmxcsr"), [builder.bitcast(place, ir.IntType(8).as_pointer())])


def _control(builder: ir.IRBuilder, name: str) -> ir.Function:
    """Return the instruction that stores or loads the control register of floating-point arithmetic."""
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
    return cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
