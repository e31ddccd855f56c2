"""Loads, stores, atomic operations and fences."""

from __future__ import annotations

from cuda_emulator.operands import C_TYPES, Line, c_type
from cuda_emulator.ptx import TYPES, Type, Variable

ORDERS = ("weak", "volatile", "relaxed", "acquire", "release", "acq_rel", "sc")
SCOPES = ("cta", "cluster", "gpu", "sys", "gl")
# One block is a cluster of its own, so both names of shared memory mean the same.
SHARED = ("shared::cta", "shared::cluster", "shared")
SPACES = ("global", *SHARED, "local", "const", "param::entry", "param::func", "param")
CACHES = ("ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc")
HINTS = (
    *(f"L1::{word}" for word in ("evict_normal", "evict_unchanged", "evict_first", "evict_last", "no_allocate")),
    *(f"L2::{word}" for word in ("evict_normal", "evict_first", "evict_last", "64B", "128B", "256B")),
)
"""What says how fast an access is, or when others see it. The emulator does everything at once and in order."""


def take_space(line: Line) -> str:
    """Take what says where and how memory is used, and return the space."""
    while line.take(*ORDERS, *SCOPES, *CACHES, *HINTS):
        pass
    return (line.take(*SPACES) or "generic").partition("::")[0]


def _elements(line: Line, operand: int) -> list[str]:
    """Return the registers of a vector, or the one that is none."""
    count = int((line.take("v2", "v4") or "v1")[1:])
    names = line.parts(operand) if count > 1 else [line.operands[operand]]
    if len(names) != count:
        line.refuse(f"the vector has {len(names)} values")
    return names


def _load(line: Line) -> str:
    line.expect(2)
    access = "READ_ONLY" if "nc" in line.modifiers else "LOAD"
    kind, space = line.type("busf", (8, 16, 32, 64)), take_space(line)
    names = _elements(line, 0)
    place = _place(line, 1, space, kind, len(names), access)
    # The address is computed before a register of it may be overwritten.
    writes = (line.write(name, kind, f"(({_pointer(kind)})at_)[{i}]", wide=True) for i, name in enumerate(names))
    return f"{{ const char *at_ = {place}; {' '.join(writes)} }}"


def _store(line: Line) -> str:
    line.expect(2)
    kind, space = line.type("busf", (8, 16, 32, 64)), take_space(line)
    names = _elements(line, 1)
    place = _place(line, 0, space, kind, len(names), "STORE")
    values = (line.read(name, kind, wide=True) for name in names)
    writes = (f"(({_pointer(kind)})at_)[{i}] = {value};" for i, value in enumerate(values))
    return f"{{ char *at_ = {place}; {' '.join(writes)} }}"


def _pointer(kind: Type) -> str:
    return f"{C_TYPES[str(kind)]} *"


def _place(line: Line, operand: int, space: str, kind: Type, count: int, access: str) -> str:
    """Return where the bytes of an access are, in C."""
    size = kind.bytes * count
    if size > 16:
        line.refuse("an access of more than 16 bytes is not known")
    variable, offset = line.variable(operand)
    if space == "const" and access == "STORE":
        line.refuse("a constant is not to be written")
    if variable and variable.space == space == "param":
        return _parameter(line, variable, offset, size, access)
    return f"emu_at_{space}(thread, {line.address(operand, space)}, {size}, EMU_{access}, {line.site()})"


def _parameter(line: Line, variable: Variable, offset: int, size: int, access: str) -> str:
    """Return where a parameter's bytes are: this can be looked at before the run."""
    if offset < 0 or offset + size > variable.bytes or offset % size:
        line.refuse(f"it is outside {variable.name} or not aligned")
    if access == "STORE" and line.layout.function.entry and variable in line.layout.function.parameters:
        line.refuse("a kernel's parameter is not to be written")
    return f"(char *)({line.layout.places[variable.name]}) + {offset}"


ATOMIC = {
    "add": ("usf", "old_ + b_"),
    "and": ("b", "old_ & b_"),
    "or": ("b", "old_ | b_"),
    "xor": ("b", "old_ ^ b_"),
    "exch": ("b", "b_"),
    "min": ("us", "b_ < old_ ? b_ : old_"),
    "max": ("us", "b_ > old_ ? b_ : old_"),
    "inc": ("u", "old_ >= b_ ? 0 : old_ + 1"),
    "dec": ("u", "old_ == 0 || old_ > b_ ? b_ : old_ - 1"),
    "cas": ("b", "old_ == b_ ? c_ : old_"),
}
"""The types of an atomic operation, and what is stored."""


def _atomic(line: Line) -> str:
    """atom, and red, which returns nothing."""
    returns = line.instruction.opcode == "atom"
    name = line.need(*ATOMIC)
    kinds, value = ATOMIC[name]
    first = int(returns)
    line.expect(first + (3 if name == "cas" else 2))
    kind = line.type(kinds, (32,) if name in ("inc", "dec") else (16, 32, 64) if name == "cas" else (32, 64))
    space = take_space(line)
    if space not in ("global", "shared", "generic") or (name in ("exch", "cas") and not returns):
        line.refuse("this is not known")
    c, site = c_type(kind), line.site()
    values = f"const {c} b_ = {line.read(first + 1, kind)};"
    if name == "cas":
        values += f" const {c} c_ = {line.read(first + 2, kind)};"
    if name == "add" and kind == TYPES["f32"] and space != "shared":
        # Global memory's own adder flushes subnormal numbers, shared memory's does not.
        value = "emu_flush(emu_flush(old_) + emu_flush(b_))"
        if space == "generic":
            value = f"emu_in_shared(thread, (uint64_t)at_) ? old_ + b_ : {value}"
    elif name == "add" and kind.kind == "s":
        value = f"({c})((uint64_t)old_ + (uint64_t)b_)"
    place = f"emu_at_{space}(thread, {line.address(first, space)}, {kind.bytes}, EMU_ATOMIC, {site})"
    result = line.write(0, kind, "old_") if returns else ""
    return f"{{ {values} {c} *at_ = ({c} *){place}; const {c} old_ = *at_; *at_ = {value}; {result} }}"


def _fence(line: Line) -> str:
    """fence, membar: every access is seen at once."""
    line.expect(0)
    if line.take("proxy"):
        line.need("async", "alias", "async.global")
        line.take(*SPACES)
        return ";"
    if line.take("mbarrier_init"):
        line.need("release")
        line.need("cluster")
        return ";"
    line.take(*ORDERS)
    line.need(*SCOPES)
    return ";"


def _prefetch(line: Line) -> str:
    """prefetch, prefetchu: the address is not looked at, as on hardware."""
    line.expect(1)
    line.take("global", "local")
    line.need("L1", "L2", "L2::evict_last", "L2::evict_normal")
    return ";"


RULES = {
    **dict.fromkeys(("ld", "ldu"), _load),
    "st": _store,
    **dict.fromkeys(("atom", "red"), _atomic),
    **dict.fromkeys(("fence", "membar"), _fence),
    **dict.fromkeys(("prefetch", "prefetchu"), _prefetch),
}
