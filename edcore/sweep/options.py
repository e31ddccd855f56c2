"""The options of a sweep: those of ``edcore train`` that concern a single run, and `tolerance`, with their types."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from edcore.arguments import check_text, real
from edcore.errors import InputError, UnknownNameError, shown
from edcore.training.options import OF_TEXTS, OPTIONS, parsed_width, width_in_words

Value: TypeAlias = str | int | float | bool

LARGEST = 2**63 - 1
"""The largest whole number in a column."""

LONGEST = 100_000
"""Characters of the longest text in a column; Python's csv reads cells of up to 131,072."""

REFUSED = {
    "seed": "Seeds are the line seeds = 10, above all tables.",
    "seeds": "It stands above all tables.",
    "eval_every": "A run of a sweep is tested once, at its end.",
    "decay": "The rates of a run of a sweep stay as they are.",
    **dict.fromkeys(OF_TEXTS, "A text is learnt by edcore train --text."),
}
"""Options that a single run of a sweep does not have, and what to do about each."""

TYPES: dict[str, type] = {
    name: str if option.value_type is Path else option.value_type
    for name, option in OPTIONS.items()
    if name not in REFUSED
} | {"tolerance": float}
"""The options of a run and the types of their values: str, int, float or bool."""

ACCEPTED: dict[type, str] = {
    str: f"a text of one line, of at most {LONGEST:,} characters",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def checked(where: str, name: Any, value: Any) -> tuple[str, Value]:
    """Return an option's name with _ between words, and its value in the option's type, or refuse them."""
    option, value = check_name(where, name), unpacked(value)
    argument = f"{where}, {name}"
    if option == "classes" and isinstance(value, list) and value and all(type(item) in (int, str) for item in value):
        check_size(argument, value)
        value = ",".join(map(str, value))
    if option == "width" and (isinstance(value, list | tuple) or (isinstance(value, str) and "," in value)):
        check_size(argument, value)
        return option, width_in_words(parsed_width(value, argument))
    value = cell(argument, value, TYPES[option])
    if value != value:
        raise InputError(argument, "nan", "a number other than NaN")
    return option, real(argument, value) if option == "tolerance" else value


def check_name(where: str, name: Any) -> str:
    """Return an option's name with _ between words, or refuse it."""
    option = name.replace("-", "_") if isinstance(name, str) else ""
    if option in REFUSED:
        raise InputError(where, repr(name), "an option of a single run", REFUSED[option])
    if option not in TYPES:
        fix = "These are the options of edcore train that concern a single run, and tolerance."
        raise UnknownNameError(where, name, TYPES, fix)
    return option


def cell(argument: str, value: Any, kind: type) -> Any:
    """Return a value of a column in the column's type, also if an array library holds it, or refuse it."""
    value = unpacked(value)
    check_size(argument, value)
    if kind is float and (type(value) is int or isinstance(value, np.floating)):  # a longdouble is in no Python type
        value = float(value)
    if isinstance(value, str) and kind in (int, float):
        check_text(argument, value, kind)
        raise InputError(argument, shown(value), ACCEPTED[kind], "Write it without quotes.")
    if type(value) is not kind or (isinstance(value, str) and not (value.isprintable() and len(value) <= LONGEST)):
        raise InputError(argument, shown(value), ACCEPTED[kind])
    return value


def unpacked(value: Any) -> Any:
    """Return the Python numbers or texts in a scalar or an array of NumPy or another library; others as they are."""
    with contextlib.suppress(Exception):  # most have no such function, and what it raises is a library's own
        return value.tolist()
    return value


def check_size(name: str, value: Any) -> None:
    """Refuse a whole number that is too large for a column, also within a list: Python may not even print it."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, int) and abs(item) > LARGEST:
            raise InputError(name, f"a number of {item.bit_length():,} bits", f"whole numbers up to {LARGEST}")
