"""Jumps, calls and the end of a thread."""

from __future__ import annotations

from cuda_emulator.operands import U32, Line, c_name
from cuda_emulator.ptx import split


def _branch(line: Line) -> str:
    line.expect(1)
    line.take("uni")
    return f"goto {c_label(line, line.operands[0])};"


def c_label(line: Line, name: str) -> str:
    """Return a label in C, where there is one of this name."""
    if name not in line.layout.labels:
        line.refuse(f"there is no label {name}")
    return f"L_{c_name(name)}"


def _indexed(line: Line) -> str:
    """brx.idx: a jump to one of a list of labels."""
    line.expect(2)
    line.need("idx")
    line.take("uni")
    targets = line.layout.function.targets.get(line.operands[1])
    if targets is None:
        line.refuse(f"there is no list of labels {line.operands[1]}")
    cases = " ".join(f"case {i}: goto {c_label(line, target)};" for i, target in enumerate(targets))
    fault = f'thread->api->fault(thread, "a jump beyond its list of labels", {line.site()}); return;'
    return f"switch ({line.read(0, U32)}) {{ {cases} default: {fault} }}"


def _call(line: Line) -> str:
    operands = line.instruction.operands
    line.expect(1, 2, 3)
    line.take("uni")
    results = operands.pop(0) if operands[0].startswith("(") else "()"
    name, parameters = operands[0], operands[1] if len(operands) > 1 else "()"
    if name == "__assertfail":
        return f'thread->api->fault(thread, "an assertion does not hold", {line.site()}); return;'
    function = line.layout.module.functions.get(name)
    if function is None or function.entry or function.body is None:
        line.refuse(f"the function {name} is not known here")
    given = [each for group in (results, parameters) for each in split(group.strip()[1:-1])]
    wanted = function.results + function.parameters
    if len(given) != len(wanted):
        line.refuse(f"{name} has {len(wanted)} results and parameters")
    for text, parameter in zip(given, wanted, strict=True):
        variable = line.layout.variables.get(text)
        if variable is None or variable.space != "param" or variable.bytes != parameter.bytes:
            line.refuse(f"{text} is not what {name} takes")
    return f"{c_name(name)}({', '.join(['thread', *(f'(char *)({line.layout.places[text]})' for text in given)])});"


def _return(line: Line) -> str:
    line.expect(0)
    line.take("uni")
    return "return;"


def _exit(line: Line) -> str:
    line.expect(0)
    if not line.layout.function.entry:
        line.refuse("only a kernel may exit")
    return "return;"


def _trap(line: Line) -> str:
    line.expect(0)
    return f'thread->api->fault(thread, "trap", {line.site()}); return;'


def _sleep(line: Line) -> str:
    """nanosleep: a thread that waits for another one."""
    line.expect(1)
    line.need("u32")
    return f"thread->api->yield(thread, {line.site()});"


def _nothing(line: Line) -> str:
    """setmaxnreg: registers cost nothing here."""
    line.expect(1)
    for names in (("inc", "dec"), ("sync",), ("aligned",), ("u32",)):
        line.need(*names)
    return ";"


RULES = {
    "bra": _branch,
    "brx": _indexed,
    "call": _call,
    "ret": _return,
    "exit": _exit,
    "trap": _trap,
    "nanosleep": _sleep,
    "setmaxnreg": _nothing,
}
