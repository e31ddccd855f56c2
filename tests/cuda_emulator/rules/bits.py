"""Instructions on bits: logic, shifts, fields of bits."""

from __future__ import annotations

from cuda_emulator.operands import B32, S32, U32, Line, c_type, unsigned
from cuda_emulator.ptx import PRED

OPERATORS = {"and": "&", "or": "|", "xor": "^"}


def _logic(line: Line) -> str:
    """and, or, xor."""
    line.expect(3)
    kind = line.type("bp")
    return line.write(0, kind, f"{line.read(1, kind)} {OPERATORS[line.instruction.opcode]} {line.read(2, kind)}")


def _not(line: Line) -> str:
    line.expect(2)
    kind = line.type("bp")
    return line.write(0, kind, f"{'!' if kind == PRED else '~'}{line.read(1, kind)}")


def _is_zero(line: Line) -> str:
    """cnot."""
    line.expect(2)
    kind = line.type("b")
    return line.write(0, kind, f"{line.read(1, kind)} == 0")


def _shift(line: Line) -> str:
    """shl, shr: by as many bits as there are, or by more, all leave."""
    line.expect(3)
    left = line.instruction.opcode == "shl"
    kind = line.type("b" if left else "bus")
    name = f"shl_{kind.bits}" if left else f"shr_{kind if kind.kind == 's' else unsigned(kind)}"
    return line.write(0, kind, f"emu_{name}({line.read(1, kind)}, {line.read(2, U32)})")


def _funnel(line: Line) -> str:
    """shf: a shift of two words."""
    line.expect(4)
    kind = line.type("b", (32,))
    side = "left" if line.need("l", "r") == "l" else "right"
    count = line.read(3, U32)
    count = f"{count} & 31" if line.need("wrap", "clamp") == "wrap" else f"{count} < 32 ? {count} : 32"
    return line.write(0, kind, f"emu_funnel_{side}({line.read(1, kind)}, {line.read(2, kind)}, {count})")


def _extract(line: Line) -> str:
    """bfe."""
    line.expect(4)
    kind = line.type("us", (32, 64))
    values = ", ".join([line.read(1, unsigned(kind)), line.read(2, U32), line.read(3, U32)])
    return line.write(0, unsigned(kind), f"emu_extract({values}, {kind.bits}, {int(kind.kind == 's')})")


def _insert(line: Line) -> str:
    """bfi."""
    line.expect(5)
    kind = line.type("b", (32, 64))
    values = ", ".join([line.read(1, kind), line.read(2, kind), line.read(3, U32), line.read(4, U32)])
    return line.write(0, kind, f"emu_insert({values}, {kind.bits})")


def _find(line: Line) -> str:
    """bfind."""
    line.expect(2)
    kind = line.type("us", (32, 64))
    flags = f"{int(kind.kind == 's')}, {int(bool(line.take('shiftamt')))}"
    return line.write(0, U32, f"emu_find({line.read(1, unsigned(kind))}, {kind.bits}, {flags})")


def _count(line: Line) -> str:
    """popc, clz."""
    line.expect(2)
    kind = line.type("b", (32, 64))
    value = f"(unsigned long long){line.read(1, kind)}"
    if line.instruction.opcode == "popc":
        return line.write(0, U32, f"__builtin_popcountll({value})")
    return line.write(0, U32, f"{line.read(1, kind)} ? __builtin_clzll({value}) - {64 - kind.bits} : {kind.bits}")


def _reverse(line: Line) -> str:
    """brev."""
    line.expect(2)
    kind = line.type("b", (32, 64))
    return line.write(0, kind, f"({c_type(kind)})emu_reverse({line.read(1, kind)}, {kind.bits})")


def _permute(line: Line) -> str:
    """prmt, without its modes."""
    line.expect(4)
    kind = line.type("b", (32,))
    return line.write(0, kind, f"emu_permute({line.read(1, kind)}, {line.read(2, kind)}, {line.read(3, kind)})")


def _table(line: Line) -> str:
    """lop3."""
    line.expect(5)
    kind = line.type("b", (32,))
    values = ", ".join([*(line.read(i, B32) for i in (1, 2, 3)), line.read(4, S32)])
    return line.write(0, kind, f"emu_logic({values})")


RULES = {
    **dict.fromkeys(OPERATORS, _logic),
    "not": _not,
    "cnot": _is_zero,
    **dict.fromkeys(("shl", "shr"), _shift),
    "shf": _funnel,
    "bfe": _extract,
    "bfi": _insert,
    "bfind": _find,
    **dict.fromkeys(("popc", "clz"), _count),
    "brev": _reverse,
    "prmt": _permute,
    "lop3": _table,
}
