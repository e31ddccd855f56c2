"""What scikit-learn refuses, in edcore's words: the argument, what was given, what is accepted, and what to do."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import numpy as np

from edcore.errors import EDCoreError, InputError, said, shown
from edcore.model.values import kind_of, unreadable

NUMBERS = ("int", "uint", "float", "bool", "double", "sparse[")
"""The beginnings of the names that libraries of tables give to the dtypes of numbers."""


class InputTypeError(InputError, TypeError):
    """An argument of a wrong type, for callers that expect scikit-learn's TypeError."""


def refusal(name: str, value: Any, error: Exception) -> EDCoreError:
    """Return the refusal of X or y, which scikit-learn has refused with this error."""
    if isinstance(error, EDCoreError):
        return error
    if isinstance(error, MemoryError):
        return unreadable(name, value, error)
    if isinstance(error, OverflowError):
        return InputError(name, "whole numbers too large for float64", "what it can hold", "Rescale it.")
    if value is None or isinstance(value, str | bytes):
        fix = "" if value is None else "Read the file first, as with pandas.read_csv or numpy.load."
        given = "None" if value is None else f"the text {shown(value)}"
        return InputError(name, given, "an array of numbers, (samples, features)" if name == "X" else "a list", fix)
    # scikit-learn's own checks of estimators ask for these words, so they are here to stay.
    text = str(error)
    if "features as input" in text or "should match those" in text:
        return InputError(name, "other features than in fit", "the same features", text.rstrip())
    if "string names" in text:
        fix = f"Write {name}.columns = {name}.columns.astype(str)."
        return InputError(name, "names of columns that are texts and others", "names of one kind", fix)
    shape = _shape_of(value)
    if "while a minimum of" in text:
        return InputError(name, f"shape {shape}", "at least one sample, of at least one feature", text)
    if "Complex data" in text:
        fix = f"Complex data not supported: take {name}.real, or abs({name})."
        return InputError(name, "complex numbers", "real numbers", fix)
    if "NaN" in text or "infinity" in text or _is_missing(value):
        given = "values that are missing (NaN, None, NA) or infinite"
        fill = ", or fill them in, as with sklearn.impute.SimpleImputer" if name == "X" else ""
        return InputError(name, given, "finite values", f"Leave these samples out{fill}.")
    if name == "X" and shape is not None and len(shape) != 2:
        fix = "Flatten each sample: X.reshape(len(X), -1)."
        if len(shape) < 2:
            fix = "Reshape your data: numpy.reshape(X, (-1, 1)) has one feature, numpy.reshape(X, (1, -1)) one sample."
        return InputError(name, f"shape {shape}", "shape (samples, features)", fix)
    if "inhomogeneous" in text:
        return unreadable(name, value, error)
    if "Unknown label type: continuous" in text:
        fix = "EDRegressor learns numbers that are no classes."
        return InputError(name, "continuous numbers", "one label a sample, all numbers or all texts", fix)
    if "Unknown label type: unknown" in text or "represented as bytes" in text:
        given = f"labels such as {shown(np.asarray(value, object).flat[0])}"
        fix = "Unknown label type: make texts of them, numpy.asarray(y).astype(str)."
        kind = InputTypeError if isinstance(error, TypeError) else InputError
        return kind(name, given, "one label a sample, all numbers or all texts", fix)
    if name == "X" and (twice := _column_twice(value)):
        return InputError(
            name, f"the column {twice} twice", "columns of different names", "Rename one, or leave it out."
        )
    if (name == "X" or "could not convert" in text) and (given := _other_values(value)):
        fix = "Encode it first, as with sklearn.preprocessing.OneHotEncoder."
        if name == "y":
            fix = "EDClassifier learns labels."
        if any(word in given for word in ("date", "time", "duration", "period")):
            fix = "Make numbers of it, such as the days since the first date."
        return InputError(name, given, "numbers", fix)
    accepted = "numbers, (samples, features)" if name == "X" else "one label or target a sample, all of one kind"
    kind = InputTypeError if isinstance(error, TypeError) else InputError
    return kind(name, f"{kind_of(value)} that scikit-learn refuses ({said(error)})", accepted)


def _shape_of(value: Any) -> tuple[int, ...] | None:
    try:
        return tuple(map(int, value.shape if hasattr(value, "shape") else np.shape(value)))
    except Exception:  # of a ragged list, or of what is no array
        return None


def _is_missing(value: Any) -> bool:
    """Return whether a value of a table or of a list is None, NaN, NA or NaT."""
    pandas = sys.modules.get("pandas")
    try:
        values = np.asarray(value, object)
        missing = pandas.isna(values) if pandas else (values == None) | (values != values)  # noqa: E711
        return bool(np.any(missing))
    except Exception:
        return False


def _column_twice(value: Any) -> str:
    """Return a name that several columns of a table have, for a sentence."""
    try:
        return next((shown(column) for column, count in Counter(value.columns).items() if count > 1), "")
    except Exception:  # it is no table, or its own methods raise
        return ""


def _other_values(value: Any) -> str:
    """Return what is no number, for a sentence: a column of a table, or the first text of an array."""
    try:
        if not hasattr(value, "columns"):
            texts = (each for each in np.asarray(value, object).flat if isinstance(each, str | bytes))
            return f"texts, such as {shown(next(texts))}"
        dtypes = zip(value.columns, map(str, value.dtypes), strict=True)
        column, dtype = next(each for each in dtypes if not each[1].lower().startswith(NUMBERS))
        return f"the column {shown(column)} of dtype {dtype}"
    except Exception:  # there is none, or the value's own methods raise
        return ""
