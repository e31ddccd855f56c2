"""The widths of a network's layers, its depth and the names of its layers: checked, ordered, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from edcore.arguments import whole_number
from edcore.errors import InputError, shown

MOST_NAMED = 4
"""Widths that are named one by one."""


def cells_in_words(width: int | tuple[int, ...]) -> str:
    """Return "8 + 8 cells", or of several widths "512 + 512 and 128 + 128 cells"; of many, the extremes."""
    widths = width if isinstance(width, tuple) else (width,)
    many = len(widths) > MOST_NAMED
    words = [f"{cells:,} + {cells:,}" for cells in ((min(widths), max(widths)) if many else widths)]
    listed = " to ".join(words) if many else " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    return f"{listed} cells"


def stack_names_of(keys: Iterable[str]) -> list[str]:
    """Return the `Network.stack_names` that some keys of weights begin with: "hidden.2" of "hidden.2.bias"."""
    ends = {"input": 0.0, "output": math.inf}
    found = {key.rpartition(".")[0] for key in keys}
    return sorted(found, key=lambda name: ends.get(name, float(name.partition(".")[2] or 1)))


def checked_width(name: str, value: Any) -> int | tuple[int, ...]:
    """Return one width as an int, or several as a tuple, or refuse the argument `name`."""
    accepted = "a whole number of at least 1, or one for each layer of hidden cells, such as (512, 128)"
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1):
        if len(value):
            return tuple(whole_number(name, width, 1, accepted) for width in value)
        raise InputError(name, shown(value), accepted)
    return whole_number(name, value, 1)


def checked_depth(name: str, value: Any, width: int | tuple[int, ...]) -> int:
    """Return the depth, or refuse the argument `name`. Of None, it is that of several widths, or 1."""
    depth = None if value is None else whole_number(name, value, 0)
    if isinstance(width, int):
        return 1 if depth is None else depth
    if depth not in (None, len(width) - 1):
        widths = f"{len(width)} widths" if len(width) > 1 else "1 width"
        fix = "They are those of the input layer and of each hidden layer. Leave the depth out to have as many."
        raise InputError(name, shown(value), f"{len(width) - 1}, beside {widths}", fix)
    return len(width) - 1
