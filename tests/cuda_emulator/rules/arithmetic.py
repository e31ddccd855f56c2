"""Sums, products, quotients, extremes and functions, of floats and of whole numbers."""

from __future__ import annotations

from collections.abc import Callable

from cuda_emulator.operands import Line, c_type, unsigned
from cuda_emulator.ptx import TYPES, Type

ROUNDINGS = ("rn", "rz", "rm", "rp")


def _float(line: Line, kind: Type) -> Callable[[str], str]:
    """Take .ftz, and return what it does to a value."""
    if kind.bits == 32 and line.take("ftz"):
        return lambda value: f"emu_flush({value})"
    return lambda value: value


def _saturate(line: Line, kind: Type, value: str) -> str:
    return f"emu_saturate_{kind}({value})" if line.take("sat") else value


def _call(line: Line, name: str, kind: Type, count: int) -> str:
    """Return a rounded operation on `count` floats."""
    flush = _float(line, kind)
    rounding = line.take(*ROUNDINGS) or "rn"
    values = ", ".join(flush(line.read(i, kind)) for i in range(1, count + 1))
    return line.write(0, kind, _saturate(line, kind, flush(f"emu_{name}_{rounding}_{kind}({values})")))


def _rounded(line: Line, name: str, kind: Type, count: int) -> str:
    """Return the same of an instruction that must say how it rounds."""
    if not set(ROUNDINGS) & set(line.modifiers):
        line.refuse("the rounding is missing")
    return _call(line, name, kind, count)


def _sum(line: Line) -> str:
    """add, sub."""
    if "cc" in line.modifiers:
        return _carry(line)
    line.expect(3)
    kind, name = line.type("usf"), line.instruction.opcode
    if kind.kind == "f":
        return _call(line, name, kind, 2)
    if kind == TYPES["s32"] and line.take("sat"):
        return line.write(0, kind, f"emu_{name}_sat({line.read(1, kind)}, {line.read(2, kind)})")
    flat = unsigned(kind)
    return line.write(0, flat, f"{line.read(1, flat)} {'+' if name == 'add' else '-'} {line.read(2, flat)}")


def _product(line: Line) -> str:
    """mul, mad."""
    add = line.instruction.opcode == "mad"
    if add and "cc" in line.modifiers:
        return _carry(line)
    line.expect(4 if add else 3)
    kind = line.type("usf")
    if kind.kind == "f":
        return _fused(line, kind) if add else _call(line, "mul", kind, 2)
    part = line.need("lo", "hi", "wide")
    if part == "wide":
        if kind.bits == 64:
            line.refuse("there is no type of 128 bits")
        kind, narrow = Type(kind.kind, 2 * kind.bits), kind
        value = f"({c_type(kind)}){line.read(1, narrow)} * {line.read(2, narrow)}"
    elif part == "hi":
        value = f"emu_high_{kind}({line.read(1, kind)}, {line.read(2, kind)})"
    else:
        value = f"{line.read(1, unsigned(kind))} * {line.read(2, unsigned(kind))}"
    if add:
        value = f"({c_type(unsigned(kind))})({value}) + {line.read(3, unsigned(kind))}"
    return line.write(0, unsigned(kind), value)


def _carry(line: Line) -> str:
    """add, sub, mad with .cc, which sets the carry, and addc, subc, madc, which add or subtract it."""
    name = line.instruction.opcode
    product, with_carry = name.startswith("mad"), name.endswith("c")
    line.expect(4 if product else 3)
    own = line.type("us", (32, 64))
    kind = unsigned(own)
    if product and line.need("lo", "hi") == "hi":
        a, b = f"emu_high_{own}({line.read(1, own)}, {line.read(2, own)})", line.read(3, kind)
    elif product:
        a, b = f"{line.read(1, kind)} * {line.read(2, kind)}", line.read(3, kind)
    else:
        a, b = line.read(1, kind), line.read(2, kind)
    sign = "-" if name.startswith("sub") else "+"
    value = f"(unsigned __int128)({c_type(kind)})({a}) {sign} {b}" + f" {sign} carry" * with_carry
    after = f" carry = wide_ >> {kind.bits} & 1;" if line.take("cc") else ""
    return f"{{ const unsigned __int128 wide_ = {value}; {line.write(0, kind, f'({c_type(kind)})wide_')}{after} }}"


def _fused(line: Line, kind: Type | None = None) -> str:
    """fma, and mad of floats."""
    line.expect(4)
    kind = kind or line.type("f")
    return _rounded(line, "fma", kind, 3)


def _quotient(line: Line) -> str:
    line.expect(3)
    kind = line.type("usf")
    if kind.kind != "f":
        return line.write(0, kind, f"emu_div_{kind}({line.read(1, kind)}, {line.read(2, kind)})")
    if kind.bits == 32 and (about := line.take("approx", "full")):
        flush = _float(line, kind)
        a, b = (flush(line.read(i, kind)) for i in (1, 2))
        return line.write(0, kind, flush(f"emu_div_{about}({a}, {b})"))
    return _rounded(line, "div", kind, 2)


def _remainder(line: Line) -> str:
    line.expect(3)
    kind = line.type("us")
    return line.write(0, kind, f"emu_rem_{kind}({line.read(1, kind)}, {line.read(2, kind)})")


def _sign(line: Line) -> str:
    """neg, abs."""
    line.expect(2)
    kind, negative = line.type("sf"), line.instruction.opcode == "neg"
    value = line.read(1, kind)
    if kind.kind == "f":
        flush = _float(line, kind)
        absolute = "fabsf" if kind.bits == 32 else "fabs"
        return line.write(0, kind, flush(f"-{value}" if negative else f"{absolute}({value})"))
    flat = line.read(1, unsigned(kind))
    return line.write(0, unsigned(kind), f"0 - {flat}" if negative else f"{value} < 0 ? 0 - {flat} : {flat}")


def _extreme(line: Line) -> str:
    """min, max."""
    line.expect(3)
    kind, name = line.type("usf"), line.instruction.opcode
    if kind.kind == "f":
        flush, nan = _float(line, kind), "nan_" * bool(line.take("NaN"))
        values = f"{flush(line.read(1, kind))}, {flush(line.read(2, kind))}"
        return line.write(0, kind, flush(f"emu_{name}_{nan}{kind}({values})"))
    a, b = line.read(1, kind), line.read(2, kind)
    return line.write(0, kind, f"{a} {'<' if name == 'min' else '>'} {b} ? {a} : {b}")


def _root(line: Line) -> str:
    line.expect(2)
    kind = line.type("f")
    if kind.bits == 32 and line.take("approx"):
        flush = _float(line, kind)
        return line.write(0, kind, flush(f"emu_sqrt_f32({flush(line.read(1, kind))})"))
    return _rounded(line, "sqrt", kind, 1)


def _reciprocal(line: Line) -> str:
    """rcp, rsqrt."""
    line.expect(2)
    kind, name = line.type("f"), line.instruction.opcode
    value = line.read(1, kind)
    if line.take("approx"):
        if kind.bits == 64:
            # Only the upper word of the result; subnormal numbers are always flushed, with or without .ftz here.
            if not line.take("ftz") and name == "rcp":
                line.refuse(".ftz is missing")
            return line.write(0, kind, f"emu_{name}_upper({value})")
        flush = _float(line, kind)
        return line.write(0, kind, flush(f"emu_{name}_f32({flush(value)})"))
    rounding = line.need(*ROUNDINGS)
    if name == "rsqrt":
        line.refuse("only the approximation is known")
    flush = _float(line, kind)
    return line.write(0, kind, flush(f"emu_div_{rounding}_{kind}(1, {flush(value)})"))


def _function(line: Line) -> str:
    """ex2, lg2, sin, cos, tanh: approximations in single precision."""
    line.expect(2)
    kind = line.type("f", (32,))
    line.need("approx")
    flush = _float(line, kind)
    return line.write(0, kind, flush(f"emu_{line.instruction.opcode}_f32({flush(line.read(1, kind))})"))


def _copysign(line: Line) -> str:
    line.expect(3)
    kind = line.type("f")
    name = "copysignf" if kind.bits == 32 else "copysign"
    return line.write(0, kind, f"{name}({line.read(2, kind)}, {line.read(1, kind)})")


def _test(line: Line) -> str:
    """testp."""
    line.expect(2)
    kind = line.type("f")
    name = line.need("finite", "infinite", "number", "notanumber", "normal", "subnormal")
    value = line.read(1, kind)
    text = {
        "finite": f"isfinite({value})",
        "infinite": f"isinf({value})",
        "number": f"!isnan({value})",
        "notanumber": f"isnan({value})",
        "normal": f"isnormal({value})",
        "subnormal": f"fpclassify({value}) == FP_SUBNORMAL",
    }[name]
    return line.write(0, TYPES["pred"], text)


def _distance(line: Line) -> str:
    """sad: c + |a - b|."""
    line.expect(4)
    kind = line.type("us")
    a, b = line.read(1, kind), line.read(2, kind)
    c, flat = line.read(3, unsigned(kind)), c_type(unsigned(kind))
    return line.write(0, unsigned(kind), f"{c} + ({a} < {b} ? ({flat}){b} - ({flat}){a} : ({flat}){a} - ({flat}){b})")


RULES = {
    **dict.fromkeys(("add", "sub"), _sum),
    **dict.fromkeys(("mul", "mad"), _product),
    **dict.fromkeys(("addc", "subc", "madc"), _carry),
    "fma": _fused,
    "div": _quotient,
    "rem": _remainder,
    **dict.fromkeys(("neg", "abs"), _sign),
    **dict.fromkeys(("min", "max"), _extreme),
    "sqrt": _root,
    **dict.fromkeys(("rcp", "rsqrt"), _reciprocal),
    **dict.fromkeys(("ex2", "lg2", "sin", "cos", "tanh"), _function),
    "copysign": _copysign,
    "testp": _test,
    "sad": _distance,
}
