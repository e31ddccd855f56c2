"""How each PTX instruction becomes C: a function for each opcode, found by its name."""

from __future__ import annotations

from cuda_emulator.operands import Line
from cuda_emulator.rules import arithmetic, bits, control, copies, memory, values, warp

RULES = {
    **arithmetic.RULES,
    **bits.RULES,
    **control.RULES,
    **copies.RULES,
    **memory.RULES,
    **values.RULES,
    **warp.RULES,
}


def rule(line: Line) -> str:
    """Return the C statements of an instruction, or refuse it."""
    known = RULES.get(line.instruction.opcode)
    if known is None:
        line.refuse("this instruction is not known")
    text = known(line)
    line.finish()
    return text
