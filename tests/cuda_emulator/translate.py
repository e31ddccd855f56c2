"""PTX text as C text: what emulator.h calls a kernel library. What is not known in it is refused by name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from cuda_emulator.operands import Layout, Line, Sites, c_name, c_register
from cuda_emulator.ptx import PRED, Function, Module, PtxError, Variable, parse
from cuda_emulator.rules.table import rule

LOCAL_ALIGN = 128
DYNAMIC_ALIGN = 16


@dataclass
class Area:
    """Memory in which variables get their places, one after another."""

    end: int = 0

    def add(self, variable: Variable) -> int:
        """Return the place of a variable."""
        place = -(-self.end // variable.align) * variable.align
        self.end = place + variable.bytes
        return place


def translate(ptx: str) -> str:
    """Return the C text of a PTX module with one or more kernels."""
    module = parse(ptx)
    defined = [each for each in module.functions.values() if each.body is not None]
    functions, kernels = ([each for each in defined if each.entry == entry] for entry in (False, True))
    if not kernels:
        raise PtxError("the module has no kernel")
    _refuse_recursion(module)
    sites, shared, local = Sites(), Area(), Area()
    common = {name: _place(variable, shared, local) for name, variable in module.variables.items()}
    text = ['#include "memory.h"', f"static const struct EmuKernel kernels[{len(kernels)}];"]
    text += [_definition(each) for each in module.variables.values() if each.space in ("global", "const")]
    text += [f"{_signature(each)};" for each in functions]
    for each in functions:
        text += [_signature(each), "{", *_body(each, _layout(each, module, common, sites, shared, local)), "}"]
    rows = []
    for index, kernel in enumerate(kernels):
        own_shared = Area(shared.end if functions or _names_shared(kernel, module) else 0)
        own_local = Area(local.end if functions else 0)
        body = _body(kernel, _layout(kernel, module, common, sites, own_shared, own_local))
        text += [
            f"static void run_{index}(Thread *thread)",
            "{",
            f"char local[{own_local.end or 1}] __attribute__((aligned({LOCAL_ALIGN})));",
            f"memset(local, 0xff, {own_local.end}); /* NaN in what nobody has written */",
            f"thread->kernel = &kernels[{index}]; thread->local = local; thread->local_bytes = {own_local.end};",
            "struct EmuCopies copies; copies.count = copies.group = 0;" * any("copies" in each for each in body),
            *body,
            "}",
        ]
        parameters, row = _row(index, kernel, module, own_shared.end, own_local.end)
        text.append(parameters)
        rows.append(row)
    return "\n".join([*text, *_tables(module, rows, sites), ""])


def _refuse_recursion(module: Module) -> None:
    """Refuse functions that call themselves: each has one place for its variables."""
    calls = {
        function.name: {word for each in function.body or () if each.opcode == "call" for word in each.operands}
        for function in module.functions.values()
    }
    while leaves := [name for name in calls if not calls[name] & calls.keys()]:
        for name in leaves:
            del calls[name]
    if calls:
        raise PtxError(f"{', '.join(calls)}: recursion is not known")


def _place(variable: Variable, shared: Area, local: Area) -> str:
    """Return where a variable is in its own space, in C."""
    if variable.space == "shared":
        return "thread->kernel->dynamic_shared" if variable.extern else f"{shared.add(variable)}ull"
    if variable.space == "local":
        return f"(thread->local + {local.add(variable)})"
    return c_name(variable.name)


def _names_shared(kernel: Function, module: Module) -> bool:
    """Return whether a kernel uses the module's shared variables."""
    operands = " ".join(operand for each in kernel.body or () for operand in each.operands)
    named = module.variables.keys() & set(re.findall(r"[\w$]+", operands))
    return any(module.variables[name].space == "shared" and not module.variables[name].extern for name in named)


def _layout(
    function: Function, module: Module, common: dict[str, str], sites: Sites, shared: Area, local: Area
) -> Layout:
    """Return a function's variables and where they are."""
    variables, places = dict(module.variables), dict(common)
    for name, variable in function.variables.items():
        variables[name], places[name] = variable, _place(variable, shared, local)
    for index, variable in enumerate(function.results + function.parameters):
        variables[variable.name] = variable
        places[variable.name] = f"((char *)thread->parameters[{index}])" if function.entry else c_name(variable.name)
    labels = {each.label for each in function.body or ()}
    return Layout(module, function, sites, variables, places, labels)


def _body(function: Function, layout: Layout) -> list[str]:
    """Return the C text of a function's instructions, behind the registers that they use."""
    lines = []
    for instruction in function.body or ():
        if instruction.label:
            lines.append(f"L_{c_name(instruction.label)}:;")
            continue
        line = Line(instruction, layout)
        text = rule(line)
        lines.append(f"if ({line.read(instruction.predicate, PRED)}) {{ {text} }}" if instruction.predicate else text)
    registers = [f"{c_register(layout.function.registers[name])} {c_name(name)} = 0;" for name in sorted(layout.used)]
    arrays = [
        f"char {c_name(each.name)}[{max(each.bytes, 1)}] __attribute__((aligned({max(each.align, 16)})));"
        for each in function.variables.values()
        if each.space == "param"
    ]
    inner = [_definition(each) for each in function.variables.values() if each.space in ("global", "const")]
    return [*registers, "unsigned carry = 0;", *arrays, *inner, *lines]


def _signature(function: Function) -> str:
    names = [f"char *{c_name(each.name)}" for each in function.results + function.parameters]
    return f"static void {c_name(function.name)}({', '.join(['Thread *thread', *names])})"


def _definition(variable: Variable) -> str:
    place = f"{c_name(variable.name)}[{max(variable.bytes, 1)}] __attribute__((aligned({variable.align})))"
    return f"static unsigned char {place} = {{{', '.join(map(str, variable.initial or bytes(1)))}}};"


def _row(index: int, kernel: Function, module: Module, shared: int, local: int) -> tuple[str, str]:
    """Return the table of a kernel's parameters, and the kernel's own row in the table of kernels."""
    area = Area()
    places = [f"{{{area.add(each)}, {each.bytes}}}" for each in kernel.parameters]
    table = f"static const struct EmuParameter parameters_{index}[] = {{{', '.join(places) or '{0, 0}'}}};"
    dynamic = [each.align for each in module.variables.values() if each.space == "shared" and each.extern]
    dynamic_begin = Area(shared).add(Variable("", "shared", max([DYNAMIC_ALIGN, *dynamic]), 0))
    numbers = [len(places), f"parameters_{index}", area.end, shared, dynamic_begin, local, kernel.max_threads]
    return table, f"{{{json.dumps(kernel.name)}, run_{index}, {', '.join(map(str, numbers))}}},"


def _tables(module: Module, rows: list[str], sites: Sites) -> list[str]:
    """Return the tables by which the stand-in finds kernels, variables and the texts of instructions."""
    variables = [each for each in module.variables.values() if each.space in ("global", "const")]
    cells = [(json.dumps(each.name), c_name(each.name), each.bytes, int(each.space == "const")) for each in variables]
    lines = [f"{{{', '.join(map(str, each))}}}," for each in cells]
    return [
        f"static const struct EmuKernel kernels[{len(rows)}] = {{",
        *rows,
        "};",
        "static const struct EmuVariable variables[] = {",
        *(lines or ["{0}"]),
        "};",
        "static const char *const sites[] = {",
        *(f"{json.dumps(each)}," for each in sites.texts or [""]),
        "};",
        "const struct EmuLibrary emu_library = {",
        f"EMU_VERSION, {len(rows)}, kernels, {len(variables)}, variables, {len(sites.texts)}, sites",
        "};",
    ]
