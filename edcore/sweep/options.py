"""What the options of a sweep are: those of ``edcore train`` that concern a single run, with the types that it has."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any, TypeAlias, get_args, get_type_hints

from edcore.arguments import real
from edcore.errors import InputError, UnknownNameError

Value: TypeAlias = str | int | float | bool

LARGEST = 2**63 - 1
"""What a column of whole numbers holds."""

NOT_OF_A_RUN = {
    "seed": "Seeds are the line seeds = 10, above all tables.",
    "seeds": "It stands above all tables.",
    "eval_every": "A run of a sweep is tested once, at its end.",
}


def names() -> tuple[str, ...]:
    """Return the options that a run of a sweep can have."""
    return tuple(_kinds())


def kind(name: str) -> type:
    """Return the type of an option's values: str, int, float or bool."""
    return _kinds()[name]


def defaults() -> dict[str, Any]:
    """Return what ``edcore train`` takes where an option is not given."""
    from edcore.cli.train import train

    parameters = inspect.signature(train).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name != "context"}


def checked(where: str, name: str, value: Any) -> tuple[str, Value]:
    """Return an option's name and value as Python has them, or refuse them.

    Parameters
    ----------
    where : str
        Whose option it is, for the error's sentence.
    name : str
        The option, with - or _ between its words.
    value : object
        As TOML has it.

    Returns
    -------
    name : str
        With _ between its words.
    value : str, int, float or bool
        Of the option's type. Several classes are a text with commas.

    Raises
    ------
    UnknownNameError
        If a run has no such option.
    InputError
        If the value is of another type.
    """
    check_size(f"{where}, {name}", value)
    option = name.replace("-", "_")
    if option not in names():
        fix = NOT_OF_A_RUN.get(option, "They are the options of edcore train that concern a single run, and tolerance.")
        raise (
            UnknownNameError(where, name, names(), fix)
            if option not in NOT_OF_A_RUN
            else InputError(where, repr(name), "an option of a single run", fix)
        )
    wanted, argument = kind(option), f"{where}, {name}"
    if option == "classes" and isinstance(value, list) and value and all(type(item) in (int, str) for item in value):
        value = ",".join(map(str, value))
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted or not (isinstance(value, str | int | float) and str(value).isprintable()):
        accepted = {str: "a text of one line", int: "a whole number", float: "a number", bool: "true or false"}[wanted]
        raise InputError(argument, repr(value), accepted)
    return option, real(argument, value) if option == "tolerance" else value


def check_size(name: str, value: Any) -> None:
    """Refuse a whole number that no column holds, wherever in a value it is: Python may not even print it."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            check_size(name, item)
    elif isinstance(value, int) and abs(value) > LARGEST:
        raise InputError(name, f"a number of {value.bit_length():,} bits", f"whole numbers up to {LARGEST}")


@functools.cache
def _kinds() -> dict[str, type]:
    from edcore.cli.train import train
    from edcore.training.setup import OPTIONS

    hints, kinds = get_type_hints(train), {}
    for name in (*OPTIONS, "batch_size", "epochs", "backend", "device"):
        if name != "seed":
            alternatives = set(get_args(hints[name]) or (hints[name],)) - {type(None)}
            (only,) = alternatives
            kinds[name] = str if only is Path else only
    return {**kinds, "tolerance": float}
