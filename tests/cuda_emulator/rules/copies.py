"""Copies from global to shared memory that go on beside the threads, and mbarriers, which say when they are done."""

from __future__ import annotations

from cuda_emulator.operands import B64, U32, Line
from cuda_emulator.ptx import PRED
from cuda_emulator.rules.memory import HINTS, SHARED


def _copy(line: Line) -> str:
    """cp.async."""
    line.need("async")
    if line.take("bulk"):
        return _bulk(line)
    if not line.layout.function.entry:
        line.refuse("only a kernel may copy so")
    if line.take("commit_group"):
        line.expect(0)
        return "copies.group++;"
    if line.take("wait_all"):
        line.expect(0)
        return "emu_copies_wait_all(thread, &copies);"
    if line.take("wait_group"):
        line.expect(1)
        return f"emu_copies_wait(thread, &copies, {line.read(0, U32)});"
    count = line.expect(3, 4)
    cache = line.need("ca", "cg")
    line.need("shared::cta", "shared")
    line.need("global")
    line.take(*HINTS)
    size = line.operands[2]
    if size not in (("16",) if cache == "cg" else ("4", "8", "16")):
        line.refuse(f"a size of {size} is not known")
    given = line.read(3, U32) if count == 4 else size
    places = f"{line.address(0, 'shared')}, {line.address(1, 'global')}"
    return f"emu_copy(thread, &copies, {places}, {size}, {given}, {line.site()});"


def _bulk(line: Line) -> str:
    """cp.async.bulk: the stand-in copies to shared memory; from there all is done at once, with nothing to wait for."""
    if line.take("commit_group"):
        line.expect(0)
        return ";"
    if line.take("wait_group"):
        line.take("read")
        line.expect(1)
        return ";"
    if line.take("prefetch"):
        line.need("L2")
        line.need("global")
        line.expect(2)
        return ";"
    if line.take("bulk_group"):
        line.expect(3)
        if line.modifiers != ["global", "shared::cta"]:
            line.refuse("a copy between these spaces is not known")
        line.modifiers.clear()
        places = f"{line.address(0, 'global')}, {line.address(1, 'shared')}"
        return f"emu_bulk_store(thread, {places}, {line.read(2, U32)}, {line.site()});"
    line.expect(4)
    line.need("mbarrier::complete_tx::bytes")
    if line.modifiers not in (["shared::cluster", "global"], ["shared::cta", "global"]):
        line.refuse("a copy between these spaces is not known")
    line.modifiers.clear()
    places = f"{line.address(0, 'shared')}, {line.address(1, 'global')}, {line.read(2, U32)}"
    return f"emu_bulk_load(thread, {places}, {line.address(3, 'shared')}, {line.site()});"


def _mbarrier(line: Line) -> str:
    name = line.need("init", "inval", "arrive", "expect_tx", "test_wait", "try_wait")
    wait = name in ("test_wait", "try_wait")
    line.take("relaxed", "acquire" if wait else "release")
    line.take("cta", "cluster")
    space = "shared" if line.take(*SHARED) else "generic"
    line.need("b64")
    if name == "expect_tx":
        line.expect(2)
        return f"emu_mbarrier_expect(thread, {_address(line, 0, space)}, {line.read(1, U32)}, {line.site()});"
    if name == "arrive":
        return _arrive(line, space)
    if wait:
        parity = line.take("parity")
        line.expect(*((3, 4) if name == "try_wait" else (3,)))
        phase = line.read(2, U32) if parity else f"(uint32_t){line.read(2, B64)}"
        values = f"{_address(line, 1, space)}, {phase}, {int(name == 'try_wait')}, {line.site()}"
        return line.write(0, PRED, f"emu_mbarrier_over(thread, {values})")
    line.expect(2 if name == "init" else 1)
    if name == "inval":
        return f"emu_mbarrier_invalidate(thread, {_address(line, 0, space)}, {line.site()});"
    return f"emu_mbarrier_init(thread, {_address(line, 0, space)}, {line.read(1, U32)}, {line.site()});"


def _arrive(line: Line, space: str) -> str:
    """mbarrier.arrive, with or without .expect_tx: the second number is then bytes, else arrivals."""
    expect = line.take("expect_tx")
    count = line.expect(3) if expect else line.expect(2, 3)
    more = line.read(2, U32) if count == 3 else "1"
    numbers = f"1, {more}" if expect else f"{more}, 0"
    return line.write(0, B64, f"emu_mbarrier_arrive(thread, {_address(line, 1, space)}, {numbers}, {line.site()})")


def _address(line: Line, operand: int, space: str) -> str:
    if space == "shared":
        return line.address(operand, "shared")
    return f"{line.address(operand, 'generic')} - (uint64_t)thread->shared"


RULES = {"cp": _copy, "mbarrier": _mbarrier}
