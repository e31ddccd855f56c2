"""Values of estimators as strict JSON and arrays of plain numbers, and back.

A number, a text, None, a truth value and a list stand as they are. All else is an object with one key, its kind.
"""

from __future__ import annotations

import math
import re
from collections import UserList
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import is_array_api_obj

from edcore.arguments import BITS
from edcore.arrays import HOST, Place, to_numpy
from edcore.core.network import Initial
from edcore.core.rule import Rule
from edcore.files.container import Arrays
from edcore.model.ed import ED

PREFIX = "estimator."
"""Begin of the keys of an estimator's arrays."""

DEPTH = 100
"""Levels of values in values: ten ColumnTransformers in each other have fewer."""

NUMBERS, DTYPE = "biuf", r"[<>|][biufUO]\d{0,6}"
"""NumPy's kinds of dtypes of which a file has arrays, and the form of the dtypes of numbers, texts and objects."""

FEW = 16
"""Numbers of an array that stands in the tree: thousands of such arrays would burst the file's header."""

TYPES: dict[str, type] = {
    **{kind.__name__: kind for kind in (bool, int, float, str, object)},
    **{f"numpy.{kind.__name__}": kind for kind in np.sctypeDict.values()},
    **{f"numpy.{kind.__name__}": kind for kind in (np.number, np.integer, np.floating, np.inexact, np.character)},
}
"""The classes that may be a value, such as the dtype of an encoder. None of them does anything but convert."""

INFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

NETWORK = object()
"""Stands for the network, which the rest of the file has."""


class UnknownValueError(ValueError):
    """A value that has no form in a file."""


class Encoder:
    """Makes JSON of values, and puts their arrays into `arrays`; `parts_of` returns name and state of an object."""

    def __init__(self, parts_of: Callable[[Any, str], tuple[str, dict[str, Any]] | None]) -> None:
        self.arrays: Arrays = {}
        self._parts_of = parts_of

    def encode(self, value: Any, where: str) -> Any:
        """Return a value as JSON; `where` names it in the error for a value that has no form."""
        if value is None or isinstance(value, bool) or (type(value) is int and value.bit_length() <= BITS):
            return value
        if type(value) is str:
            try:
                value.encode()
            except UnicodeEncodeError:  # half of a UTF-16 pair
                raise UnknownValueError(f"{where} is {value!r:.50}, which is no text in UTF-8") from None
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if type(value) is list or isinstance(value, UserList):  # a list of scikit-learn 1.6 that warns if it is read
            return self._all(getattr(value, "data", value), where)
        for kind, form in (
            (tuple, lambda: {"tuple": self._all(value, where)}),
            (dict, lambda: {"dict": [self._all(pair, where) for pair in value.items()]}),
            (slice, lambda: {"slice": self._all((value.start, value.stop, value.step), where)}),
            (Place, lambda: {"place": None}),
            (Rule, lambda: {"rule": asdict(value)}),
            (Initial, lambda: {"initial": asdict(value)}),
            (ED, lambda: {"network": None}),
        ):
            if type(value) is kind:
                return form()
        if isinstance(value, type) and (named := [name for name in TYPES if TYPES[name] is value]):
            return {"type": named[0]}
        if isinstance(value, np.dtype) and value.kind in f"{NUMBERS}UO":
            return {"dtype": value.str}
        if isinstance(value, np.generic) and (value.dtype.kind == "U" or _is_plain(value.dtype)):
            return {"scalar": [value.dtype.str, self.encode(value.item(), where)]}
        if type(value).__module__.partition(".")[0] == "pandas" and hasattr(
            value, "tolist"
        ):  # columns, as df.columns[:3]
            return self._all(value.tolist(), where)
        if is_array_api_obj(value) and not isinstance(value, np.ndarray | np.generic):
            value = np.asarray(to_numpy(value))
        if type(value) is np.ndarray and (array := self._array(value, where)) is not None:
            return array
        if (parts := self._parts_of(value, where)) is not None:
            name, state = parts
            return {"step": [name, {key: self.encode(state[key], f"{where}.{key}") for key in state}]}
        raise UnknownValueError(f"{where} is {_described(value)}, which has no form in a file that nothing is run from")

    def _all(self, values: Any, where: str) -> list[Any]:
        return [self.encode(value, where) for value in values]

    def _array(self, array: npt.NDArray[Any], where: str) -> dict[str, Any] | None:
        if array.dtype.kind in "UO":
            return {"objects": [array.dtype.kind, list(array.shape), self._all(array.ravel().tolist(), where)]}
        if not _is_plain(array.dtype):
            return None
        if array.size <= FEW and array.flags.c_contiguous:
            return {"numbers": [array.dtype.str, list(array.shape), self._all(array.ravel().tolist(), where)]}
        # The order of a matrix in memory decides how its products are summed, and so their last bits.
        columns_first = array.flags.f_contiguous and not array.flags.c_contiguous
        self.arrays[key := f"{PREFIX}{len(self.arrays)}"] = array.astype(array.dtype.newbyteorder("="))
        return {"array": [key, "F" if columns_first else "C"]}


class Decoder:
    """Makes values of what `Encoder` wrote; `make` returns the object of a name and a state.

    A document may come from anybody: what is wrong in it is a KeyError, a TypeError or a ValueError.
    """

    def __init__(self, arrays: Arrays, make: Callable[[str, dict[str, Any]], Any]) -> None:
        self._arrays, self._make = dict(arrays), make
        self._kinds: dict[str, Callable[[Any, int], Any]] = {
            "float": lambda text, depth: INFINITE[text],
            "tuple": lambda values, depth: tuple(self._all(values, depth)),
            "dict": self._dict,
            "slice": self._slice,
            "place": lambda nothing, depth: HOST,
            "rule": lambda values, depth: Rule(**values),
            "initial": lambda values, depth: Initial(**values),
            "network": lambda nothing, depth: NETWORK,
            "type": lambda name, depth: TYPES[name],
            "dtype": lambda text, depth: _dtype(text),
            "scalar": self._scalar,
            "array": self._array,
            "numbers": self._numbers,
            "objects": self._objects,
            "step": self._step,
        }

    def decode(self, tree: Any, depth: int = 0) -> Any:
        """Return the value of a tree."""
        if depth > DEPTH:
            raise ValueError(f"values in more than {DEPTH} levels")
        if isinstance(tree, list):
            return self._all(tree, depth)
        if not isinstance(tree, dict):
            return tree
        if len(tree) != 1:
            raise ValueError(f"an object with the keys {sorted(tree)!r:.100}")
        ((kind, value),) = tree.items()
        return self._kinds[kind](value, depth)

    def _all(self, values: Any, depth: int) -> list[Any]:
        if not isinstance(values, list):
            raise TypeError(f"no list: {values!r:.50}")
        return [self.decode(value, depth + 1) for value in values]

    def _dict(self, pairs: Any, depth: int) -> dict[Any, Any]:
        return {key: value for key, value in self._all(pairs, depth)}  # noqa: C416  # each must have two

    def _slice(self, ends: Any, depth: int) -> slice:
        start, stop, step = self._all(ends, depth)
        return slice(start, stop, step)

    def _scalar(self, given: Any, depth: int) -> Any:
        text, value = given
        dtype, found = _dtype(text), self.decode(value, depth + 1)
        if dtype.kind == "O" or type(found) not in (bool, int, float, str):
            raise TypeError(f"no scalar of {dtype}: {found!r:.50}")
        with np.errstate(over="ignore"):
            return (np.str_ if dtype.kind == "U" else dtype.type)(found)

    def _array(self, given: Any, depth: int) -> npt.NDArray[Any]:
        key, order = given
        array = self._arrays.pop(key)  # once, or many references would need much memory
        if order not in ("C", "F"):
            raise ValueError(f"the order {order!r:.50}")
        return np.asfortranarray(array) if order == "F" else array

    def _numbers(self, given: Any, depth: int) -> npt.NDArray[Any]:
        text, shape, values = given
        dtype, found = _dtype(text), self._all(values, depth)
        if not _is_plain(dtype) or not all(type(value) in (bool, int, float) for value in found):
            raise TypeError(f"no numbers of {dtype}: {values!r:.50}")
        with np.errstate(over="ignore"):
            return np.array(found, dtype).reshape(_sizes(shape, len(found)))

    def _objects(self, given: Any, depth: int) -> npt.NDArray[Any]:
        kind, shape, values = given
        found = self._all(values, depth)
        sizes = _sizes(shape, len(found))
        if kind == "U":
            if not all(isinstance(value, str) for value in found):
                raise TypeError("a value that is no text")
            longest = max(map(len, found), default=0)
            if longest * len(found) > 100 * sum(map(len, found)) + 2**20:
                raise ValueError(f"texts of which the longest has {longest} characters")
            return np.array(found, np.str_).reshape(sizes)
        if kind != "O":
            raise ValueError(f"objects of the kind {kind!r:.50}")
        array = np.empty(len(found), object)
        for place, value in enumerate(found):
            array[place] = value
        return array.reshape(sizes)

    def _step(self, given: Any, depth: int) -> Any:
        name, state = given
        if not isinstance(name, str) or not isinstance(state, dict):
            raise TypeError(f"no step: {given!r:.50}")
        return self._make(name, {key: self.decode(state[key], depth + 1) for key in state})


def _is_plain(dtype: np.dtype[Any]) -> bool:
    """Return whether files have this dtype of numbers, which longdouble is not."""
    return dtype.kind in NUMBERS and dtype.itemsize <= 8


def _sizes(shape: Any, values: int) -> list[int]:
    """Return the shape of an array with this many values."""
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise ValueError(f"the shape {shape!r:.50}")
    if math.prod(shape) != values or len(shape) > 8:
        raise ValueError(f"{values} values of shape {shape!r:.50}")
    return shape


def _dtype(text: Any) -> np.dtype[Any]:
    if not re.fullmatch(DTYPE, text):
        raise ValueError(f"the dtype {text!r:.50}")
    return np.dtype(text)


def _described(value: Any) -> str:
    """Return what a value is, in words."""
    if isinstance(value, np.ndarray | np.generic):
        return f"{type(value).__name__} of {value.dtype}"
    name = getattr(value, "__qualname__", None)
    return f"the {type(value).__name__} {name}" if isinstance(name, str) else f"of the class {type(value).__name__}"
