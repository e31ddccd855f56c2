"""Comparisons, choices, moves and conversions."""

from __future__ import annotations

from cuda_emulator.operands import B64, Line, c_type
from cuda_emulator.ptx import PRED, TYPES, Type
from cuda_emulator.rules.arithmetic import ROUNDINGS

COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
UNSIGNED_COMPARISONS = {"lo": "<", "ls": "<=", "hi": ">", "hs": ">="}
TO_WHOLE = {"rni": "nearbyint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}


def _compared(line: Line, kind: Type, a: str, b: str) -> str:
    """Take a comparison, and return it in C."""
    names = dict(COMPARISONS)
    if kind.kind == "u":
        names |= UNSIGNED_COMPARISONS
    elif kind.kind == "b":
        names = {name: names[name] for name in ("eq", "ne")}
    elif kind.kind == "f":
        names |= {"num": "", "nan": "", **{f"{name}u": sign for name, sign in COMPARISONS.items()}}
    name = line.need(*names)
    if kind.kind == "f":
        if line.take("ftz"):
            a, b = f"emu_flush({a})", f"emu_flush({b})"
        if name in ("num", "nan"):
            return f"{'!' if name == 'num' else ''}isunordered({a}, {b})"
        if name == "ne":  # C's is true of NaN
            return f"(!isunordered({a}, {b}) && {a} != {b})"
        if name.endswith("u") and name != "neu":
            return f"(isunordered({a}, {b}) || {a} {names[name]} {b})"
    return f"({a} {names[name]} {b})"


def _combined(line: Line, test: str, count: int) -> tuple[str, str]:
    """Take .and, .or or .xor where there is a further predicate; return both results of setp."""
    if not count:
        return test, f"!{test}"
    sign = {"and": "&", "or": "|", "xor": "^"}[line.need("and", "or", "xor")]
    other = line.read(3, PRED)
    return f"{test} {sign} {other}", f"!{test} {sign} {other}"


def _setp(line: Line) -> str:
    more = line.expect(3, 4) == 4
    kind = line.type("busf")
    test = _compared(line, kind, line.read(1, kind), line.read(2, kind))
    results = _combined(line, test, more)
    names = line.pair(0)
    if len(names) == 1:
        return line.write(0, PRED, results[0])
    # Both are computed before one is written: the further predicate may be among them.
    rest = "".join(line.write(name, PRED, f"both_[{i}]") for i, name in enumerate(names[:2]))
    return f"{{ const int both_[] = {{{results[0]}, {results[1]}}}; {rest} }}"


def _set(line: Line) -> str:
    more = line.expect(3, 4) == 4
    kind, result = line.type("busf"), line.type("usf", (32,))
    test, _ = _combined(line, _compared(line, kind, line.read(1, kind), line.read(2, kind)), more)
    return line.write(0, result, f"({test}) ? 1.0f : 0.0f" if result.kind == "f" else f"({test}) ? ~0u : 0u")


def _selp(line: Line) -> str:
    line.expect(4)
    kind = line.type("busf")
    return line.write(0, kind, f"{line.read(3, PRED)} ? {line.read(1, kind)} : {line.read(2, kind)}")


def _slct(line: Line) -> str:
    line.expect(4)
    by, kind = line.type("sf", (32,)), line.type("busf")
    by_value = line.read(3, by)
    if line.take("ftz"):
        by_value = f"emu_flush({by_value})"
    return line.write(0, kind, f"{by_value} >= 0 ? {line.read(1, kind)} : {line.read(2, kind)}")


def _mov(line: Line) -> str:
    line.expect(2)
    kind = line.type("busfp")
    if line.operands[0].startswith("{"):
        names = line.parts(0)
        part = _part(line, kind, len(names))
        pieces = [(name, f"({c_type(part)})(whole_ >> {i * part.bits})") for i, name in enumerate(names)]
        writes = " ".join(line.write(name, part, piece) for name, piece in pieces)
        return f"{{ const {c_type(kind)} whole_ = {line.read(1, kind)}; {writes} }}"
    if line.operands[1].startswith("{"):
        names = line.parts(1)
        part = _part(line, kind, len(names))
        pieces = [f"({c_type(kind)}){line.read(name, part)} << {i * part.bits}" for i, name in enumerate(names)]
        return line.write(0, kind, " | ".join(pieces))
    return line.write(0, kind, line.read(1, kind))


def _part(line: Line, kind: Type, count: int) -> Type:
    """Return the type of an element of a vector that is one register."""
    if kind.kind != "b" or f"b{kind.bits // count}" not in TYPES or count not in (2, 4):
        line.refuse(f"{count} values in a register of type {kind} are not known")
    return TYPES[f"b{kind.bits // count}"]


def _cvt(line: Line) -> str:
    line.expect(2)
    widths = (8, 16, 32, 64)
    given, wanted = line.type("busf", widths), line.type("busf", widths)
    if "b" in (given.kind, wanted.kind):
        line.refuse("a conversion needs numbers")
    value = line.read(1, given, wide=given.kind != "f")
    flush, saturate = line.take("ftz"), line.take("sat")
    if flush and given.bits == 32 and given.kind == "f":
        value = f"emu_flush({value})"
    whole = line.take(*TO_WHOLE)
    if given.kind == wanted.kind == "f":
        value = _float_to_float(line, given, wanted, value, whole)
    elif given.kind == "f":
        value = f"{TO_WHOLE[whole or line.need(*TO_WHOLE)]}({value})"
        wide = int(64 in (given.bits, wanted.bits))
        value = f"emu_{'signed' if wanted.kind == 's' else 'unsigned'}({value}, {wanted.bits}, {wide})"
    elif wanted.kind == "f":
        if whole:
            line.refuse(f".{whole} is not known here")
        value = f"emu_from_{given.kind}_{line.need(*ROUNDINGS)}_{wanted}({value})"
    elif whole:
        line.refuse(f".{whole} is not known here")
    elif saturate:
        value = f"emu_clamp_{wanted.kind}({value}, {wanted.bits})"
    if flush and wanted == TYPES["f32"]:
        value = f"emu_flush({value})"
    if flush and TYPES["f32"] not in (given, wanted):
        line.refuse(".ftz is not known here")
    if saturate and wanted.kind == "f":
        value = f"emu_saturate_{wanted}({value})"
    return line.write(0, wanted, value, wide=wanted.kind != "f")


def _float_to_float(line: Line, given: Type, wanted: Type, value: str, whole: str) -> str:
    if whole:
        if given != wanted:
            line.refuse(f".{whole} is not known between these types")
        return f"{TO_WHOLE[whole]}({value})"
    if given.bits > wanted.bits:
        return f"emu_from_f_{line.need(*ROUNDINGS)}_{wanted}({value})"
    return value


def _cvta(line: Line) -> str:
    """Between a space's own addresses and generic ones."""
    line.expect(2)
    line.type("u", (64,))
    back = line.take("to")
    space = line.need("global", "shared", "shared::cta", "local", "const", "param", "param::entry")
    shift = "(uint64_t)thread->shared" if space.startswith("shared") else "0"
    return line.write(0, B64, f"{line.read(1, B64)} {'-' if back else '+'} {shift}")


def _isspacep(line: Line) -> str:
    line.expect(2)
    space = line.need("global", "shared", "shared::cta", "local", "param", "param::entry").partition("::")[0]
    return line.write(0, PRED, f"emu_in_{space}(thread, {line.read(1, B64)})")


RULES = {
    "setp": _setp,
    "set": _set,
    "selp": _selp,
    "slct": _slct,
    "mov": _mov,
    "cvt": _cvt,
    "cvta": _cvta,
    "isspacep": _isspacep,
}
