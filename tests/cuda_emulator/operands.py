"""Operands of PTX instructions as C: a register's value as a type, a value into a register, addresses."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import NoReturn

from cuda_emulator.ptx import PRED, TYPES, Function, Instruction, Module, PtxError, Type, Variable, number, split

C_TYPES = {"p": "int", "f32": "float", "f64": "double"}
C_TYPES |= {f"{kind}{bits}": f"uint{bits}_t" for kind in "bu" for bits in (8, 16, 32, 64)}
C_TYPES |= {f"s{bits}": f"int{bits}_t" for bits in (8, 16, 32, 64)}

U32, S32, B32, B64 = (TYPES[name] for name in ("u32", "s32", "b32", "b64"))

SIZES = ("tid", "ntid", "ctaid", "nctaid")

SPECIAL = {f"%{name}.{axis}": f"thread->{name}[{place}]" for name in SIZES for place, axis in enumerate("xyz")} | {
    "%laneid": "thread->lane",
    "%warpid": "thread->warp",
    "%lanemask_eq": "(1u << thread->lane)",
    "%lanemask_lt": "((1u << thread->lane) - 1)",
    "%lanemask_le": "((2u << thread->lane) - 1)",
    "%lanemask_gt": "~((2u << thread->lane) - 1)",
    "%lanemask_ge": "~((1u << thread->lane) - 1)",
    "%dynamic_smem_size": "thread->dynamic_bytes",
    "%total_smem_size": "thread->shared_bytes",
    "WARP_SZ": "32u",
}
"""Registers that the emulator sets, of 32 bits."""


def c_type(kind: Type) -> str:
    """Return the C type of values of this type."""
    return "int" if kind == PRED else C_TYPES[str(kind)]


def c_register(kind: Type) -> str:
    """Return the C type of registers of this type: whole numbers are kept without a sign."""
    return c_type(Type("u", kind.bits) if kind.kind == "s" else kind)


def unsigned(kind: Type) -> Type:
    """Return the unsigned type of the same width."""
    return Type("u", kind.bits)


def c_name(name: str) -> str:
    """Return the C name of a register, a variable or a label, one for each PTX name."""
    start = "r_" if name.startswith("%") else "n_"
    return start + name.removeprefix("%").replace("%", "_p").replace("$", "_d").replace("#", "_s")


@dataclass
class Sites:
    """The instructions that the stand-in may name in a report."""

    texts: list[str] = field(default_factory=list)

    def add(self, instruction: Instruction) -> int:
        """Return the number of an instruction."""
        self.texts.append(f"line {instruction.line}: {instruction.text}")
        return len(self.texts) - 1


@dataclass
class Layout:
    """Where the variables of a function are. `places` has the C text of an address in the variable's own space."""

    module: Module
    function: Function
    sites: Sites
    variables: dict[str, Variable]
    places: dict[str, str]
    labels: set[str]
    used: set[str] = field(default_factory=set)


class Line:
    """An instruction on its way to C. What was not asked for at the end is not known, and refused."""

    def __init__(self, instruction: Instruction, layout: Layout) -> None:
        self.instruction, self.layout = instruction, layout
        self.modifiers = list(instruction.modifiers)
        self.operands: list[str] = []

    def refuse(self, why: str) -> NoReturn:
        self.instruction.refuse(why)

    def take(self, *names: str) -> str:
        """Take the first of these modifiers that is there, or return an empty text."""
        for name in names:
            if name in self.modifiers:
                self.modifiers.remove(name)
                return name
        return ""

    def need(self, *names: str) -> str:
        """Take the one of these modifiers that must be there."""
        name = self.take(*names)
        if not name:
            self.refuse(f"{' or '.join(f'.{each}' for each in names)} is missing")
        return name

    def type(self, kinds: str = "busf", widths: tuple[int, ...] = (16, 32, 64)) -> Type:
        """Take the type, which is the last modifier."""
        name = self.modifiers.pop() if self.modifiers else ""
        kind = TYPES.get(name)
        if kind is None or kind.kind not in kinds or (kind.bits not in widths and kind != PRED):
            self.refuse(f".{name} is no type that is known here")
        return kind

    def expect(self, *counts: int) -> int:
        """Take the operands, whose count is one of these."""
        self.operands = self.instruction.operands
        if len(self.operands) not in counts:
            self.refuse(f"it has {len(self.operands)} operands")
        return len(self.operands)

    def site(self) -> int:
        """Return the number under which the stand-in names this instruction."""
        return self.layout.sites.add(self.instruction)

    def finish(self) -> None:
        """Refuse what is left over."""
        if self.modifiers:
            self.refuse(f"{', '.join('.' + name for name in self.modifiers)} is not known here")

    def register(self, name: str) -> Type | None:
        """Return the type of a register, which is declared in C from now on."""
        kind = self.layout.function.registers.get(name)
        if kind is not None:
            self.layout.used.add(name)
        return kind

    def read(self, operand: str | int, kind: Type, wide: bool = False) -> str:
        """Return an operand as a C value of this type. With `wide`, of a wider register the lower bits."""
        text = self.operands[operand] if isinstance(operand, int) else operand
        if kind == PRED:
            return self._predicate(text)
        own = self.register(text)
        if own is not None:
            return self._value(c_name(text), own, kind, wide)
        if text in SPECIAL:
            return self._value(SPECIAL[text], U32, kind, wide)
        if re.fullmatch(r"0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}", text):
            return self._literal(int(text[2:], 16), Type("f", 32 if text[1] in "fF" else 64), kind)
        if re.fullmatch(r"-?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?", text) and kind.kind == "f":
            form, whole = ("<f", "<I") if kind.bits == 32 else ("<d", "<Q")
            return self._literal(struct.unpack(whole, struct.pack(form, float(text)))[0], kind, kind)
        if re.fullmatch(r"-?\s*\d\w*", text):
            return self._whole(text, kind)
        match = re.fullmatch(r"([\w$%#]+)\s*(?:([+-])\s*(\d\w*))?", text)
        if match is None or match[1] not in self.layout.places or kind.kind not in "bus" or kind.bits not in (32, 64):
            self.refuse(f"the operand {text} is not known")
        space = self.layout.variables[match[1]].space
        if kind.bits == 32 and space != "shared":
            self.refuse(f"the address of {match[1]} has 64 bits")
        if space == "param" and not self.layout.function.entry:
            self.refuse("the address of a function's parameter is not known")
        offset = number((match[2] or "+").replace("+", "") + (match[3] or "0"))
        return f"({c_type(kind)})({self.layout.places[match[1]]} + {offset}ll)"

    def write(self, operand: str | int, kind: Type, value: str, wide: bool = False) -> str:
        """Return the C statement that puts a value of this type into a register."""
        text = self.operands[operand] if isinstance(operand, int) else operand
        if text == "_":
            return f"(void)({value});"
        own = self.register(text)
        if own is None:
            self.refuse(f"{text} is no register")
        name = c_name(text)
        if PRED in (own, kind):
            if own != kind:
                self.refuse(f"{text} is not of type {kind}")
            return f"{name} = !!({value});"
        if own.bits != kind.bits and not (wide and own.bits > kind.bits and own.kind != "f" and kind.kind != "f"):
            self.refuse(f"{text} has {own.bits} bits and the value {kind.bits}")
        if own.kind == kind.kind == "f":
            return f"{name} = {value};"
        if kind.kind == "f":
            return f"{name} = emu_bits_{kind}({value});"
        if own.kind == "f":
            return f"{name} = {'emu_float' if own.bits == 32 else 'emu_double'}(({c_type(unsigned(kind))})({value}));"
        return f"{name} = ({c_register(own)})({c_type(kind)})({value});"  # C extends it by the sign that it has

    def variable(self, operand: str | int) -> tuple[Variable | None, int]:
        """Return the variable and the offset of an address that is known before the run."""
        base, offset = self._address(operand)
        return self.layout.variables.get(base), offset

    def address(self, operand: str | int, space: str) -> str:
        """Return an address in a space, `[register+offset]` or `[variable+offset]`, as a C value of 64 bits."""
        base, offset = self._address(operand)
        variable = self.layout.variables.get(base)
        if variable:
            if space not in (variable.space, "generic") or (space == "generic" and variable.space == "shared"):
                self.refuse(f"{base} is not in {space} memory")
            return f"(uint64_t)({self.layout.places[base]} + {offset}ll)"
        if re.fullmatch(r"\d\w*", base):
            return f"{number(base) + offset}ull"
        own = self.register(base)
        if own is None or own.kind not in "bus" or own.bits not in (32, 64) or (own.bits == 32 and space != "shared"):
            self.refuse(f"{base} is no register for an address of {space} memory")
        if own.bits == 32:
            return f"(uint64_t)(uint32_t)({c_name(base)} + {offset})"
        return f"({c_name(base)} + {offset}ll)"

    def _address(self, operand: str | int) -> tuple[str, int]:
        text = self.operands[operand] if isinstance(operand, int) else operand
        match = re.fullmatch(r"\[\s*([\w$%#]+)\s*(?:\+?\s*(-?\s*\d\w*))?\s*\]", text)
        if match is None:
            self.refuse(f"the address {text} is not known")
        return match[1], number(match[2] or "0")

    def _predicate(self, text: str) -> str:
        negated = text.startswith("!")
        name = text.removeprefix("!").strip()
        if name in ("0", "1", "-1"):
            return str(int(name != "0") ^ int(negated))
        if self.register(name) != PRED:
            self.refuse(f"{name} is no predicate")
        return f"{'!' * negated}{c_name(name)}"

    def _value(self, name: str, own: Type, kind: Type, wide: bool) -> str:
        """Return the value of a register of type `own` as one of type `kind`."""
        if own == PRED or (own.bits != kind.bits and not (wide and own.bits > kind.bits and kind.kind != "f")):
            self.refuse(f"a register of type {own} is read as {kind}")
        if own.kind == kind.kind == "f":
            return name
        if kind.kind == "f":
            return f"{'emu_float' if kind.bits == 32 else 'emu_double'}({name})"
        return f"({c_type(kind)})" + (f"emu_bits_{own}({name})" if own.kind == "f" else name)

    def _literal(self, bits: int, own: Type, kind: Type) -> str:
        if own.bits != kind.bits or kind.kind not in "fb":
            self.refuse(f"a number of type {own} is read as {kind}")
        if kind.kind == "b":
            return f"({c_type(kind)}){bits:#x}ull"
        return f"emu_float({bits:#x}u)" if kind.bits == 32 else f"emu_double({bits:#x}ull)"

    def _whole(self, text: str, kind: Type) -> str:
        try:
            value = number(text)
        except PtxError as error:
            self.refuse(str(error))
        if kind.kind == "f" or not -(1 << kind.bits - 1) <= value < 1 << kind.bits:
            self.refuse(f"{text} is no number of type {kind}")
        return f"({c_type(kind)}){value % (1 << kind.bits):#x}ull"

    def pair(self, operand: int) -> list[str]:
        """Return the one or the two registers of `a|b`."""
        return [name.strip() for name in self.operands[operand].split("|")]

    def parts(self, operand: int) -> list[str]:
        """Return the elements of a vector, `{a, b}`."""
        text = self.operands[operand]
        if not (text.startswith("{") and text.endswith("}")):
            self.refuse(f"{text} is no vector")
        return split(text[1:-1])
