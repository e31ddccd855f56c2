"""Check single arguments: each function returns the checked value, or raises an error that names the argument."""

from __future__ import annotations

import contextlib
import math
import operator
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from edcore.errors import AttributeRefusedError, InputError, UnknownNameError, shown

DType: TypeAlias = Literal["float32", "float64"]
DTYPES: tuple[DType, ...] = ("float32", "float64")

BITS = 128
"""Bits of the largest whole number, as many as a seed of NumPy has; Python can divide and print a product of two."""

LARGEST = 1e18
"""The largest real number; float32 holds the product of two."""


NO_NUMBERS = (str, bytes, bytearray, memoryview, np.timedelta64)
"""Kinds of values of which Python and NumPy make numbers all the same."""


def whole_number(name: str, value: Any, least: int, accepted: str = "") -> int:
    """Return `value` as an int of at least `least`; `accepted` are other words for that in an error."""
    try:
        number = least - 1 if _is_other(value) else operator.index(value)
    except Exception:  # the value's own method may raise anything
        number = least - 1
    if (bits := number.bit_length()) > BITS:  # Python may refuse to print it
        raise InputError(
            name, f"a number of {bits:,} bits", accepted or f"a whole number from {least} to 2**{BITS} - 1"
        )
    if number < least:
        raise InputError(name, shown(value), accepted or f"a whole number of at least {least}")
    return number


def real(name: str, value: Any, positive: bool = False) -> float:
    """Return `value` as a finite float of at least 0, or if `positive` above 0."""
    try:
        # NumPy's kinds of numbers; V are those of other packages, such as bfloat16.
        number_like = getattr(getattr(value, "dtype", None), "kind", "f") in "iufV"
        number = (
            float(value) if number_like and not isinstance(value, NO_NUMBERS) and not _is_other(value) else math.nan
        )
    except Exception:  # the value's own method may raise anything
        number = math.nan
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        raise InputError(name, shown(value), f"a finite number {'above' if positive else 'of at least'} 0")
    if number > LARGEST:
        raise InputError(name, shown(value), f"a number of at most {LARGEST:g}")
    return number


def check_text(name: str, text: str, kind: type[int] | type[float]) -> None:
    """Refuse a text that is no number of this kind, and say how to write the number that it seems to be."""
    number = None
    with contextlib.suppress(ValueError):
        number = float(text) if text.isascii() else None
    if number is not None and (kind is float or number.is_integer()) and (kind is float or "e" not in text.lower()):
        return
    fix, plain = "", text.strip()
    if re.fullmatch(r"[-+]?\d{0,3}(,\d{3})+", plain) and kind is int:
        fix = f"Write it without commas: {plain.replace(',', '')}."
    elif re.fullmatch(r"[-+]?\d*,\d+", plain) and kind is float:
        fix = f"Write it with a decimal point: {plain.replace(',', '.')}."
    elif re.fullmatch(r"\d+(\.\d*)?\s?%", plain) and kind is float:
        fix = f"Write {float(plain[:-1]) / 100:g}."
    elif re.fullmatch(r"0[xob][0-9a-f]{1,30}", plain, re.IGNORECASE):
        with contextlib.suppress(ValueError):
            fix = f"Write {int(plain, 0)}."
    elif number is not None and abs(number) < 2**53 and number.is_integer():
        fix = f"Write {int(number)}."
    raise InputError(name, shown(text), "a whole number" if kind is int else "a number, such as 0.5", fix)


def _is_other(value: Any) -> bool:
    """Return whether a value is a truth value, masked, or an array with axes: Python may make a number of each."""
    # Only a masked array is asked for by name, as NumPy loads that part of it at its first use.
    masked = isinstance(value, np.ndarray) and isinstance(value, np.ma.MaskedArray)
    odd = masked or isinstance(value, bool) or "bool" in str(getattr(value, "dtype", ""))
    return odd or getattr(value, "ndim", 0) != 0  # NumPy before 2.4 makes a number of an array of one element


def dtype_name(dtype: Any) -> str:
    """Return the name of an accepted dtype, given in any form that NumPy knows."""
    try:
        # NumPy reads None as float64, and a number or an array as its own dtype.
        name = "" if dtype is None or isinstance(dtype, np.generic | np.ndarray) else np.dtype(dtype).name
    except Exception:  # NumPy raises errors of several kinds, and warnings, for a text that names no dtype
        name = ""
    if name not in DTYPES:
        raise UnknownNameError("dtype", dtype, DTYPES, "float32 is the default; float64 is for checks.")
    return name


def one_of(name: str, value: Any, known: Iterable[str]) -> str:
    """Return `value`, one of the known names."""
    if not isinstance(value, str) or value not in known:
        raise UnknownNameError(name, value, known)
    return value


def yes_or_no(name: str, value: Any) -> bool:
    """Return `value` as a bool."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(name, shown(value), "True or False")
    return bool(value)


def value_range(name: str, value: Any) -> tuple[float, float] | None:
    """Return the least and the largest of some values as two finite floats, or None."""
    if value is None:
        return None
    try:
        low, high = (math.nan if isinstance(end, NO_NUMBERS) else float(end) for end in value)
    except Exception:  # what it is made of may raise anything
        low = high = math.nan
    if not -math.inf < low <= high < math.inf:
        raise InputError(name, shown(value), "None, or two finite numbers, the least and the largest")
    return low, high


def checked_path(name: str, path: Any, what: str = "file") -> Path:
    """Return a path, with the home folder in the place of a ~ at its begin, or refuse the argument `name`."""
    try:
        found = Path(os.path.expanduser(path))  # leaves the name of an unknown user as it is
    except (TypeError, ValueError):
        found = None
    if found is None or isinstance(path, bytes) or "\0" in str(found):
        raise InputError(name, shown(path), f"the path of a {what}")
    return found


def assign(frozen: object, name: str, value: object) -> None:
    """Set a field of a frozen dataclass in its `__post_init__`."""
    object.__setattr__(frozen, name, value)


class ReadOnly:
    """A base class of objects whose public attributes only they set, by `_set`: the work of others depends on them."""

    def __setattr__(self, name: str, value: object) -> None:
        if name[0] != "_":
            kind = type(self).__name__
            raise AttributeRefusedError(
                f"{kind}.{name} cannot be set. Make another {kind} with the values that it needs."
            )
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeRefusedError(f"{type(self).__name__}.{name} cannot be deleted.")

    def _set(self, **values: object) -> None:
        self.__dict__.update(values)
