"""The options of a sweep: those of ``edcore train`` that concern a single run, and `tolerance`, with their types."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

from edcore.arguments import real
from edcore.errors import InputError, UnknownNameError
from edcore.training.options import OPTIONS

Value: TypeAlias = str | int | float | bool

LARGEST = 2**63 - 1
"""The largest whole number in a column."""

REFUSED = {
    "seed": "Seeds are the line seeds = 10, above all tables.",
    "seeds": "It stands above all tables.",
    "eval_every": "A run of a sweep is tested once, at its end.",
}
"""Options that a single run of a sweep does not have, and what to do about each."""

TYPES: dict[str, type] = {
    name: str if option.value_type is Path else option.value_type
    for name, option in OPTIONS.items()
    if name not in REFUSED
} | {"tolerance": float}
"""The options of a run and the types of their values: str, int, float or bool."""


def checked(where: str, name: str, value: Any) -> tuple[str, Value]:
    """Return an option's name with _ between words, and its value in the option's type, or refuse them."""
    check_size(f"{where}, {name}", value)
    option = name.replace("-", "_")
    if option in REFUSED:
        raise InputError(where, repr(name), "an option of a single run", REFUSED[option])
    if option not in TYPES:
        fix = "These are the options of edcore train that concern a single run, and tolerance."
        raise UnknownNameError(where, name, TYPES, fix)
    wanted, argument = TYPES[option], f"{where}, {name}"
    if option == "classes" and isinstance(value, list) and value and all(type(item) in (int, str) for item in value):
        value = ",".join(map(str, value))
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted or not (isinstance(value, str | int | float) and str(value).isprintable()):
        accepted = {str: "a text of one line", int: "a whole number", float: "a number", bool: "true or false"}[wanted]
        raise InputError(argument, repr(value), accepted)
    return option, real(argument, value) if option == "tolerance" else value


def check_size(name: str, value: Any) -> None:
    """Refuse a whole number that is too large for a column, also within lists: Python may not even print it."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            check_size(name, item)
    elif isinstance(value, int) and abs(value) > LARGEST:
        raise InputError(name, f"a number of {value.bit_length():,} bits", f"whole numbers up to {LARGEST}")
