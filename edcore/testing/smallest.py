"""The simplest case on which a check fails in the same way, as code that can be pasted."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.errors import EDCoreError
from edcore.testing.checks.examples import Example
from edcore.testing.strategies import Case, drawn_case

MOST_TRIES, MOST_SECONDS = 150, 20.0

SIZES = {"in_": 1, "outputs": 1, "width": 1, "depth": 0, "heads": 1, "n_bias": 1, "batch": 1}
"""The least value of each size."""

DRAWN = ("batch", "scale", "seed")
RULE = tuple(field.name for field in dataclasses.fields(Rule))
DEFAULTS: dict[str, Any] = {
    field.name: field.default
    for kind in (Network, Rule)
    for field in dataclasses.fields(kind)
    if field.name not in ("in_", "initial")
} | {"depth": Network(1).depth}
SIMPLEST: dict[str, Any] = {**DEFAULTS, **SIZES, "scale": 1.0, "seed": 0}
"""The simplest case; it is the first one tried."""


def simplest_case(example: Example, same: Callable[[Exception], bool]) -> tuple[Case, tuple[str, ...]]:
    """Return the simplest case that fails in the same way, and simpler values of its fields with which it passes."""
    given = _values(example.case)
    ends, tries = time.monotonic() + MOST_SECONDS, 0
    failing: dict[str, Any] = {}

    def fails(**changed: Any) -> bool:
        nonlocal tries
        tries += 1
        if tries > MOST_TRIES or time.monotonic() > ends:
            return False
        values = {**(failing or given), **changed}
        try:
            case = case_of(values)
        except EDCoreError:  # fields that exclude each other
            return False
        try:
            example.run(case)
        except Exception as error:
            if same(error):
                failing.update(values)
                return True
        return False

    if not example.drawn or not fails():
        return example.case, ()
    # The simplest of all first, then those with the failing rule, then field by field.
    if not fails(**SIMPLEST) and not fails(**{name: SIMPLEST[name] for name in SIMPLEST if name not in RULE}):
        fails(**SIZES)
    passes: dict[str, str] = {}
    for name in [*(name for name in SIMPLEST if name not in SIZES), *SIZES]:
        if failing[name] == SIMPLEST[name]:
            continue
        if name in ("width", "depth") and not isinstance(failing["width"], int):
            continue  # there is one case of several widths, and no order of simplicity
        if name not in SIZES:
            if not fails(**{name: SIMPLEST[name]}):
                passes[name] = f"{name}={SIMPLEST[name]!r}"
            continue
        least = max(SIMPLEST[name], failing["outputs"] if name == "width" else 0)
        for size in _between(least, lambda name=name: failing[name]):  # type: ignore[misc]
            if not fails(**{name: size}):
                passes[name] = f"{name}={size}"
    unused = ("scale", "seed")
    return case_of(failing), tuple(text for name, text in passes.items() if name not in unused)


def _between(least: int, most: Callable[[], int]) -> Iterator[int]:
    """Yield sizes below the smallest that fails: the least, then by bisection."""
    passing = least - 1
    while most() - passing > 1:
        size = least if passing < least else (passing + most()) // 2
        yield size
        if most() > size:
            passing = size


def _values(case: Case) -> dict[str, Any]:
    """Return the fields of a case's network and rule, and what drew its numbers."""
    network, rule = case.network, case.rule
    values = {name: getattr(rule if name in RULE else network, name) for name in ("in_", *DEFAULTS)}
    return values | {"batch": len(case.x), "scale": case.scale, "seed": case.seed}


def case_of(values: dict[str, Any]) -> Case:
    """Return the case of these values."""
    fields = {name: value for name, value in values.items() if name not in (*RULE, *DRAWN)}
    rule = Rule(**{name: values[name] for name in RULE})
    return drawn_case(Network(**fields), rule, values["batch"], values["scale"], values["seed"])


def as_code(case: Case) -> str:
    """Return a case as Python code, with the fields that differ from the defaults alone."""
    values = _values(case)
    network, rule = (
        ", ".join(
            f"{name}={values[name]!r}"
            for name in ("in_", *DEFAULTS)
            if (name in RULE) == of_rule
            and (name == "in_" or values[name] != DEFAULTS[name])
            and not (name == "depth" and isinstance(values["width"], tuple))
        )
        for of_rule in (False, True)
    )
    drawn = f"batch={values['batch']}, scale={values['scale']}, seed={values['seed']}"
    return f"drawn_case(Network({network}), Rule({rule}), {drawn})"
