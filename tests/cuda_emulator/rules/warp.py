"""What threads do together: barriers, and exchanges within a warp."""

from __future__ import annotations

from cuda_emulator.operands import B32, U32, Line
from cuda_emulator.ptx import PRED, TYPES

REDUCTIONS = {"and": "AND", "or": "OR", "popc": "POPC"}


def _barrier(line: Line) -> str:
    """bar, barrier, of a block, and bar.warp."""
    if line.take("warp"):
        line.need("sync")
        line.expect(1)
        return f"{{ uint32_t present_; emu_ballot(thread, 0, {line.read(0, U32)}, &present_, {line.site()}); }}"
    line.take("cta")
    line.take("aligned")
    kind = line.need("sync", "arrive", "red")
    if kind == "red":
        return _reduction(line)
    count = line.expect(*((1, 2) if kind == "sync" else (2,)))
    threads = line.read(1, U32) if count == 2 else "0"
    return f"thread->api->barrier(thread, {line.read(0, U32)}, {threads}, EMU_{kind.upper()}, 0, {line.site()});"


def _reduction(line: Line) -> str:
    """bar.red: a barrier that counts predicates."""
    count = line.expect(3, 4)
    name = line.need(*REDUCTIONS)
    result = TYPES[line.need("u32" if name == "popc" else "pred")]
    threads = line.read(2, U32) if count == 4 else "0"
    values = f"{line.read(1, U32)}, {threads}, EMU_{REDUCTIONS[name]}, {line.read(count - 1, PRED)}"
    return line.write(0, result, f"thread->api->barrier(thread, {values}, {line.site()})")


def _shuffle(line: Line) -> str:
    """shfl.sync."""
    line.expect(5)
    for names in (("sync",), ("b32",)):
        line.need(*names)
    mode = line.need("up", "down", "bfly", "idx")
    value, lane, limits, mask = line.read(1, B32), *(line.read(i, U32) for i in (2, 3, 4))
    names = line.pair(0)
    call = f"emu_shuffle(thread, '{mode[0]}', {value}, {lane}, {limits}, {mask}, &inside_, {line.site()})"
    inside = line.write(names[1], PRED, "inside_") if len(names) > 1 else ""
    return f"{{ int inside_; const uint32_t value_ = {call}; {line.write(names[0], B32, 'value_')} {inside} }}"


def _vote(line: Line) -> str:
    line.expect(3)
    line.need("sync")
    name = line.need("all", "any", "uni", "ballot")
    call = f"emu_ballot(thread, {line.read(1, PRED)}, {line.read(2, U32)}, &present_, {line.site()})"
    if name == "ballot":
        line.need("b32")
        result = line.write(0, B32, "votes_")
    else:
        line.need("pred")
        texts = {"all": "votes_ == present_", "any": "votes_", "uni": "!votes_ || votes_ == present_"}
        result = line.write(0, PRED, texts[name])
    return f"{{ uint32_t present_; const uint32_t votes_ = {call}; {result} }}"


def _match(line: Line) -> str:
    line.expect(3)
    line.need("sync")
    kind, name = line.type("b", (32, 64)), line.need("any", "all")
    names = line.pair(0)
    value = line.read(1, kind)
    call = f"emu_match(thread, {value}, {value}, {line.read(2, U32)}, &present_, {line.site()})"
    result = line.write(names[0], B32, "same_" if name == "any" else "same_ == present_ ? same_ : 0")
    if name == "all" and len(names) > 1:
        result += line.write(names[1], PRED, "same_ == present_")
    return f"{{ uint32_t present_; const uint32_t same_ = {call}; {result} }}"


def _redux(line: Line) -> str:
    line.expect(3)
    line.need("sync")
    name = line.need("add", "min", "max", "and", "or", "xor")
    kind = line.type("b" if name in ("and", "or", "xor") else "us", (32,))
    call = f"emu_redux_{name}_{kind}(thread, {line.read(1, B32)}, {line.read(2, U32)}, {line.site()})"
    return line.write(0, B32, call)


def _active(line: Line) -> str:
    """activemask: which lanes run together is left to hardware, and a lane alone is right too."""
    line.expect(1)
    line.need("b32")
    return line.write(0, B32, "1u << thread->lane")


def _elect(line: Line) -> str:
    """elect.sync: the lowest lane of the mask."""
    line.expect(2)
    line.need("sync")
    names = line.pair(0)
    if len(names) != 2:
        line.refuse("its predicate is missing")
    wait = f"emu_ballot(thread, 0, {line.read(1, U32)}, &present_, {line.site()});"
    leader = line.write(names[0], B32, "__builtin_ctz(present_)")
    elected = line.write(names[1], PRED, "thread->lane == __builtin_ctz(present_)")
    return f"{{ uint32_t present_; {wait} {leader} {elected} }}"


RULES = {
    **dict.fromkeys(("bar", "barrier"), _barrier),
    "shfl": _shuffle,
    "vote": _vote,
    "match": _match,
    "redux": _redux,
    "activemask": _active,
    "elect": _elect,
}
