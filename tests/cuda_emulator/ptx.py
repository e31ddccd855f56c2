"""PTX text as Python values: a module's variables and functions, a function's registers, variables and instructions."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias


class PtxError(Exception):
    """PTX text that the emulator does not know. The message names what it is."""


@dataclass(frozen=True)
class Type:
    """A type of PTX: its kind (`b`its, `u`nsigned, `s`igned, `f`loat, `p`redicate) and its bits."""

    kind: str
    bits: int

    def __str__(self) -> str:
        return "pred" if self.kind == "p" else f"{self.kind}{self.bits}"

    @property
    def bytes(self) -> int:
        return self.bits // 8


PRED = Type("p", 1)
TYPES = {f"{kind}{bits}": Type(kind, bits) for kind in "bus" for bits in (8, 16, 32, 64)}
TYPES |= {"f32": Type("f", 32), "f64": Type("f", 64), "pred": PRED}

SPACES = ("global", "const", "shared", "local")


@dataclass
class Variable:
    """A variable or a parameter. `extern` is dynamic shared memory."""

    name: str
    space: str
    align: int
    bytes: int
    initial: bytes | None = None
    extern: bool = False


@dataclass
class Instruction:
    """`@!predicate opcode.modifiers operands`, where names of registers and labels are those of the whole function."""

    line: int
    text: str
    opcode: str
    modifiers: list[str]
    operands: list[str]
    predicate: str = ""
    label: str = ""

    def refuse(self, why: str) -> NoReturn:
        raise PtxError(f"line {self.line}: {self.text}: {why}")


@dataclass
class Function:
    """A kernel (entry) or a function, with its body. Without a body it is only declared."""

    name: str
    entry: bool
    line: int
    results: list[Variable]
    parameters: list[Variable]
    max_threads: int = 0
    registers: dict[str, Type] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    targets: dict[str, list[str]] = field(default_factory=dict)
    body: list[Instruction] | None = None


@dataclass
class Module:
    """What one PTX text declares."""

    variables: dict[str, Variable] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)


@dataclass(frozen=True)
class Statement:
    """Text up to a semicolon, a brace or a label's colon, which is its `end`."""

    text: str
    end: str
    line: int

    def refuse(self, why: str) -> NoReturn:
        raise PtxError(f"line {self.line}: {self.text}: {why}")


WITHOUT_SEMICOLON = re.compile(r"\s*\.(version|target|address_size|file|loc)\b")
LABEL = re.compile(r"\s*([\w$]+)\s*:(?!:)")
HEADER = re.compile(r"\.(entry|func)\b")
ENDS = re.compile(r"([{};])")
OPENS = re.compile(r"\.(entry|func|section)\b")


def statements(text: str) -> Iterator[Statement]:
    """Yield the statements of a PTX text: a brace ends one where it opens or closes a scope."""
    text = re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment[0].count("\n"), text, flags=re.DOTALL)
    words, depth, line, begin = "", 0, 0, 0
    for line, row in enumerate(text.split("\n"), 1):
        row = row.partition("//")[0]
        if WITHOUT_SEMICOLON.match(row) and not words.strip():
            if re.match(r"\s*\.address_size\s+(?!64)", row):
                raise PtxError(f"line {line}: {row.strip()}: addresses have 64 bits")
            continue
        while row:
            if not words.strip():
                begin = line
                if label := LABEL.match(row):
                    yield Statement(label[1], ":", line)
                    row = row[label.end() :]
                    continue
            more, end, row = [*ENDS.split(row, maxsplit=1), "", ""][:3]
            words += more
            # A brace in the middle of a statement opens a vector or a list of values, but after a header the body.
            scope = end == "}" or (end == "{" and (not words.strip() or OPENS.search(words) is not None))
            if not depth and (scope or end == ";"):
                if scope or words.strip():
                    yield Statement(" ".join(words.split()), end, begin)
                words = ""
            else:
                depth += {"{": 1, "}": -1}.get(end, 0)
                words += end
        words += " "
    if words.strip():
        raise PtxError(f"line {line}: {' '.join(words.split())}: it does not end")


def split(text: str) -> list[str]:
    """Return the parts between commas that are in no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts] if text.strip() else []


def number(text: str) -> int:
    """Return an integer literal: decimal, hexadecimal, octal or binary, with or without a U."""
    match = re.fullmatch(r"(-?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)U?", text.replace(" ", ""))
    if match is None:
        raise PtxError(f"{text} is no number")
    digits = match[2].lower()
    base = 16 if digits.startswith("0x") else 2 if digits.startswith("0b") else 8 if digits.startswith("0") else 10
    return int(match[1] + digits, base)


def parse(text: str) -> Module:
    """Return what a PTX text declares."""
    module = Module()
    rest = statements(text)
    for statement in rest:
        if (kind := HEADER.search(statement.text)) and statement.end in "{;":
            function = _header(statement, kind[1] == "entry")
            if statement.end == "{":
                _Body(function).read(rest)
            if function.body is not None or function.name not in module.functions:
                module.functions[function.name] = function
        elif statement.end == "{" and statement.text.startswith(".section"):
            _skip(rest)
        elif statement.end == ";" and not statement.text.startswith(".pragma"):
            found = variable(statement)
            module.variables[found.name] = found
        elif statement.end != ";":
            statement.refuse("this is not known here")
    return module


def _skip(rest: Iterator[Statement]) -> None:
    """Pass over a section of debugging data."""
    for statement in rest:
        if statement.end == "}":
            return


def variable(statement: Statement) -> Variable:
    """Return the variable that a statement declares."""
    head, _, values = statement.text.partition("=")
    pointer = r"(?:\.ptr\s+(?:\.(?:global|const|shared|local)\s+)?(?:\.align\s+\d+\s+)?)?"  # what a parameter points at
    pattern = rf"((?:\.\w+\s+(?:\d+\s+)?)*?)(?:\.v([24])\s+)?\.(\w+)\s+{pointer}([\w$%.]+)\s*((?:\[\s*\w*\s*\])*)\s*"
    match = re.fullmatch(pattern, head)
    if match is None or match[3] not in TYPES:
        statement.refuse("this declaration is not known")
    words = re.findall(r"\.(\w+)(?:\s+(\d+))?", match[1])
    kind = TYPES[match[3]]
    lanes, space, extern = int(match[2] or 1), "", False
    align = kind.bytes * lanes
    for word, value in words:
        if word == "align":
            align = int(value)
        elif word in (*SPACES, "param"):
            space = word
        elif word == "extern":
            extern = True
        elif word not in ("visible", "weak", "common", "internal"):
            statement.refuse(f".{word} is not known")
    sizes = [number(size) if size else 0 for size in re.findall(r"\[\s*(\w*)\s*\]", match[5])]
    count = lanes * math.prod(sizes)
    if not space or (extern and space != "shared"):
        statement.refuse("a variable of this kind is not known")
    dynamic = extern or (space == "shared" and not count)
    initial = _initial(statement, values, kind, count * kind.bytes) if values.strip() else None
    return Variable(match[4], space, align, count * kind.bytes, initial, dynamic)


def _initial(statement: Statement, values: str, kind: Type, size: int) -> bytes:
    """Return the bytes that a variable begins with."""
    data = b""
    for value in split(re.sub(r"[{}]", " ", values)):
        try:
            if kind.kind == "f":
                bits = number(f"0x{value[2:]}") if re.match("0[fFdD]", value) else None
                form = "<f" if kind.bits == 32 else "<d"
                data += bits.to_bytes(kind.bytes, "little") if bits is not None else struct.pack(form, float(value))
            else:
                data += (number(value) % (1 << kind.bits)).to_bytes(kind.bytes, "little")
        except (PtxError, ValueError, OverflowError):
            statement.refuse(f"the value {value} is not known")
    if len(data) > size:
        statement.refuse("there are more values than places")
    return data.ljust(size, b"\0")


def _header(statement: Statement, entry: bool) -> Function:
    """Return a function without its body."""
    pattern = (
        r"(?:\.(?:visible|weak|extern)\s+)*\.(?:entry|func)\s*(?:\.noreturn\s*)?"
        r"(\([^()]*\))?\s*([\w$]+)\s*(\([^()]*\))?\s*(.*)"
    )
    match = re.fullmatch(pattern, statement.text)
    if match is None:
        statement.refuse("this header is not known")
    results, parameters = (
        [variable(Statement(each, ";", statement.line)) for each in split((group or "()")[1:-1]) if each != "_"]
        for group in (match[1], match[3])
    )
    if any(each.space != "param" for each in results + parameters):
        statement.refuse("parameters in registers are not known")
    function = Function(match[2], entry, statement.line, results, parameters)
    for word, values in re.findall(r"\.(\w+)\s*([\d,\s]*|\"[^\"]*\")", match[4]):
        if word in ("maxntid", "reqntid"):
            sizes = [int(size) for size in split(values)]
            function.max_threads = sizes[0] * (sizes[1:2] or [1])[0] * (sizes[2:3] or [1])[0]
        elif word not in ("minnctapersm", "maxnctapersm", "maxnreg", "noreturn", "pragma"):
            statement.refuse(f".{word} is not known")
    return function


Scope: TypeAlias = "list[Statement | Scope]"
"""The statements of a scope. An inner one follows the statement that opens it."""


class _Body:
    """Reads the body of a function, and gives names of inner scopes a number, so that each name means one thing."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.scopes: list[dict[str, str]] = [{}]
        self.count = 0

    def read(self, rest: Iterator[Statement]) -> None:
        """Read up to the brace that ends the body."""
        self.function.body = self._instructions(self._scope(rest))

    def _scope(self, rest: Iterator[Statement]) -> Scope:
        """Return the statements up to the brace that ends a scope."""
        items: Scope = []
        for statement in rest:
            if statement.end == "}":
                return items
            items.append(statement)
            if statement.end == "{":
                items.append(self._scope(rest))
        raise PtxError(f"line {self.function.line}: {self.function.name}: it does not end")

    def _instructions(self, items: Scope) -> list[Instruction]:
        """Return the instructions of a scope: jumps may go to labels that come later, so labels are noted first."""
        for item in items:
            if isinstance(item, Statement) and item.end == ":":
                self.scopes[-1][item.text] = self._unique(item.text)
        found: list[Instruction] = []
        after = ""
        for item in items:
            if isinstance(item, list):
                self.count += 1
                self.scopes.append({})
                found += self._instructions(item)
                self.scopes.pop()
            elif item.end == ":":
                after = self._name(item.text)
                found.append(Instruction(item.line, f"{item.text}:", "", [], [], label=after))
            elif item.text.startswith("."):
                self._directive(item, after)
            elif item.text:
                found.append(self._instruction(item))
        return found

    def _unique(self, name: str) -> str:
        return f"{name}#{self.count}" if len(self.scopes) > 1 else name

    def _name(self, name: str) -> str:
        """Return a name of the text as the function's own name."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return name

    def _directive(self, statement: Statement, label: str) -> None:
        word = statement.text.split()[0]
        if word == ".reg":
            match = re.fullmatch(r"\.reg\s+\.(\w+)\s+(.*)", statement.text)
            if match is None or match[1] not in TYPES:
                statement.refuse("registers of this type are not known")
            for name in split(match[2]):
                self._register(statement, name, TYPES[match[1]])
        elif word == ".branchtargets":
            self.function.targets[label] = [self._name(each) for each in split(statement.text[len(word) :])]
        elif word != ".pragma":
            found = variable(statement)
            self.scopes[-1][found.name] = found.name = self._unique(found.name)
            self.function.variables[found.name] = found

    def _register(self, statement: Statement, name: str, kind: Type) -> None:
        family = re.fullmatch(r"([\w%$]+)<\s*(\d+)\s*>", name)
        if family is None and not re.fullmatch(r"[\w%$]+", name):
            statement.refuse(f"{name} is no name of a register")
        names = [f"{family[1]}{i}" for i in range(int(family[2]))] if family else [name]
        for each in names:
            self.scopes[-1][each] = self._unique(each)
            self.function.registers[self.scopes[-1][each]] = kind

    def _instruction(self, statement: Statement) -> Instruction:
        match = re.fullmatch(r"(?:@(!?\s*[\w%$]+)\s+)?([a-zA-Z]\w*)((?:\.\w+(?:::\w+)*)*)\s*(.*)", statement.text)
        if match is None:
            statement.refuse("this is no instruction")
        rename = lambda word: self._name(word[0])  # noqa: E731
        operands = [re.sub(r"[\w%$]+", rename, operand) for operand in split(match[4])]
        predicate = re.sub(r"[\w%$]+", rename, (match[1] or "").replace(" ", ""))
        modifiers = match[3].split(".")[1:]
        return Instruction(statement.line, statement.text, match[2], modifiers, operands, predicate)
