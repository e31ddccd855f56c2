"""Read machine code of NVIDIA GPUs: the path of a loop, its instructions by kind, and the cycles that they always take.

From sm_70 on an instruction has 128 bits. Bits 105 to 125 tell when the hardware may start it: the cycles until the
next instruction (4 bits), whether to yield (1), a barrier that is set until its result is there (3), one that is set
until its operands are read (3), a mask of the six barriers that it waits for (6), and which operands are kept (4).
"""

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass

PRODUCTS = "FFMA, DFMA"

KINDS = {
    PRODUCTS: ("FFMA", "DFMA"),
    "LDS": ("LDS", "LDSM"),
    "LDG, LDGSTS": ("LDG", "LDGSTS", "UBLKCP"),
    "STS": ("STS",),
    "SHFL": ("SHFL",),
    "BAR": ("BAR",),
}
"""The kinds that are counted apart; all else is `OTHER`."""

OTHER = "other"

NO_BARRIER = 7

VALUES = dict.fromkeys(("FFMA", "DFMA", "MUFU", "SHFL", "LDG", "LDGSTS", "STG"), 32) | {"BAR": -64}
"""How many instructions longer a way may be for one of these. So it has all that a hidden layer is there for, and goes
round what other layers do in the same loop."""

_LINE = re.compile(r"\s*/\*[0-9a-f]{4,}\*/\s+(.*?)\s*;\s*/\* 0x([0-9a-f]{16}) \*/")
_SECOND = re.compile(r"\s*/\* 0x([0-9a-f]{16}) \*/")
_LABEL = re.compile(r"\s*(\.L_x?_?\w+):")
_TARGET = re.compile(r"`\((\S+?)\)")


@dataclass(frozen=True)
class Instruction:
    """An instruction, and what its control bits say."""

    predicate: str
    opcode: str
    operands: str
    stall: int
    sets_until_written: int
    sets_until_read: int
    waits_for: tuple[int, ...]
    target: int | None = None
    """Where a branch goes, as a place in the list."""

    @property
    def name(self) -> str:
        """The opcode without its modifiers."""
        return self.opcode.split(".")[0]

    @property
    def never(self) -> bool:
        """Whether it only fills a place."""
        return self.predicate == "@!PT"


@dataclass(frozen=True)
class Layer:
    """What a hidden layer takes, on the path that it goes: means, where a turn of the loop has several layers."""

    instructions: float
    kinds: dict[str, float]
    stalls: float
    path: tuple[Instruction, ...]
    layers: int


def disassembled(cubin: bytes, nvdisasm: str) -> dict[str, list[Instruction]]:
    """Return the instructions of each kernel of a cubin."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [nvdisasm, "-hex", "-c", file.name]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{nvdisasm} refuses the machine code: {run.stderr.strip()}")
    sections = re.split(r"^\s*\.section\s+\.text\.([^,\s]+),.*$", run.stdout, flags=re.MULTILINE)
    return {name: _instructions(text) for name, text in zip(sections[1::2], sections[2::2], strict=True)}


def _instructions(text: str) -> list[Instruction]:
    """Return the instructions of a section."""
    found: list[tuple[str, int]] = []
    labels: dict[str, int] = {}
    lines = iter(text.splitlines())
    for line in lines:
        if label := _LABEL.match(line):
            labels[label[1]] = len(found)
        elif first := _LINE.match(line):
            found.append((first[1], int(_SECOND.match(next(lines))[1], 16)))
    return [_instruction(code, upper >> 41, labels) for code, upper in found]


def _instruction(code: str, control: int, labels: dict[str, int]) -> Instruction:
    """Return one instruction: its text, and the control bits from the lowest on."""
    predicate, opcode, operands = re.fullmatch(r"(@!?U?P\w+)?\s*(\S+)\s*(.*)", code).groups()
    target = _TARGET.search(operands) if opcode.startswith("BRA") else None
    waits = tuple(barrier for barrier in range(6) if control >> 11 + barrier & 1)
    return Instruction(
        predicate or "",
        opcode,
        operands,
        control & 15,
        control >> 5 & 7,
        control >> 8 & 7,
        waits,
        labels.get(target[1]) if target else None,
    )


def hidden_layer(instructions: list[Instruction], products: float) -> Layer:
    """Return what a hidden layer takes, in whose loop a thread has so many products for a layer.

    The loop is the shortest of those with the most products and an activation. An inner loop on the path counts once.
    """
    paths = _paths(instructions)
    path = max(paths, key=lambda path: (any(each.name == "MUFU" for each in path), _products(path), -len(path)))
    return _counted(path, products)


def innermost(instructions: list[Instruction], products: float) -> Layer:
    """Return what a turn takes in the loop with the most products for its length: a thread has so many in a turn."""
    return _counted(max(_paths(instructions), key=lambda path: _products(path) / len(path)), products)


def _paths(instructions: list[Instruction]) -> list[tuple[Instruction, ...]]:
    """Return the way through each loop."""
    backwards = [(each.target, at) for at, each in enumerate(instructions) if each.target is not None]
    paths = [_path(instructions, first, last) for first, last in backwards if first <= last]
    if not any(paths):
        raise ValueError("there is no loop in this machine code")
    return [path for path in paths if path]


def _counted(path: tuple[Instruction, ...], products: float) -> Layer:
    """Return what is on a path. The compiler may have put several layers into a turn: the products tell."""
    layers = max(1, round(_products(path) / products))
    kinds = Counter(map(_kind, path))
    means = {kind: kinds[kind] / layers for kind in (*KINDS, OTHER)}
    return Layer(len(path) / layers, means, sum(each.stall for each in path) / layers, path, layers)


def _products(path: tuple[Instruction, ...]) -> int:
    """Return how many multiply-adds are on a path."""
    return sum(_kind(each) == PRODUCTS for each in path)


def _kind(instruction: Instruction) -> str:
    """Return the kind under which an instruction is counted."""
    kinds = (kind for kind, names in KINDS.items() if instruction.name in names and not instruction.never)
    return next(kinds, OTHER)


def _path(instructions: list[Instruction], first: int, last: int) -> tuple[Instruction, ...]:
    """Return the way through a loop with the most work for its length, without calls; empty if there is none."""
    best: dict[
        int, tuple[float, int | None]
    ] = {}  # by place, backwards: the value of the rest of the way, and where it goes on
    for at in range(last, first - 1, -1):
        each = instructions[at]
        value = VALUES.get(each.name, 0) * (not each.predicate) - 1
        follow = [] if at == last else [at + 1]
        if each.name in ("BRA", "EXIT", "RET", "CALL") and not each.predicate:
            follow = []
        if each.target is not None and at < each.target <= last:
            follow.append(each.target)
        ways = [(best[place][0], place) for place in follow if place in best]
        if at == last:
            best[at] = value, None
        elif ways:
            rest, place = max(ways)
            best[at] = value + rest, place
    path, at = [], first if first in best else None
    while at is not None:
        path.append(instructions[at])
        at = best[at][1]
    return tuple(path)
