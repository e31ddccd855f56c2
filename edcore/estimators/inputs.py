"""Samples, labels and random states in the forms that users have, checked before scikit-learn reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj
from scipy.sparse import csr_array, issparse
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from edcore.arrays import INHERITED, Array, check_fork, detached, has_dtype, library_name
from edcore.errors import InputError, shown
from edcore.estimators.scaling import check_rounding


def checked_random_state(value: Any) -> np.random.RandomState:
    """Return NumPy's source of random numbers for an int, None or another source, or refuse it."""
    try:
        if isinstance(value, bool | np.bool_):
            raise ValueError
        if isinstance(value, np.random.Generator):
            return np.random.RandomState(value.bit_generator)  # of one stream with it
        return check_random_state(value)
    except ValueError:
        accepted = "None, a whole number from 0 to 2**32 - 1, or a RandomState or Generator of numpy.random"
        raise InputError("random_state", shown(value), accepted) from None


def dtype_of(x: Array) -> str:
    """Return the dtype of a network for x, which is float32 or float64 already."""
    return "float64" if x.dtype == array_namespace(x).float64 else "float32"


def readable(name: str, value: Any) -> Any:
    """Return samples or labels in a form that scikit-learn can read, or refuse a mask, which it would ignore."""
    if _is_masked(value):
        fix = f"Leave these samples out, or fill {name}, as with {name}.filled(…)."
        raise InputError(name, "a masked array", "an array with no mask", fix)
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "T":  # NumPy's StringDType
            return value.astype(object)
        # Of other packages, such as ml_dtypes: bfloat16, float8, int4.
        foreign = value.dtype.kind == "V" and value.dtype.names is None and np.can_cast(value.dtype, np.float32)
        return value.astype(np.float32) if foreign else value
    if is_array_api_obj(value):
        if INHERITED:
            check_fork(library_name(array_namespace(value)))
        value = detached(value)
        if str(value.dtype).endswith("bfloat16"):
            xp = array_namespace(value)
            return xp.astype(value, xp.float32)
    return value


def validated(estimator: Any, name: str, *data: Any, **options: Any) -> Any:
    """Return what scikit-learn makes of the data of an estimator."""
    try:
        found = validate_data(estimator, *data, accept_sparse="csr", **options)
        X, *y = found if len(data) > 1 else (found,)
        y = [each.toarray() if issparse(each) else each for each in y]
        if X.dtype == object:  # of a list with whole numbers beyond 64 bits
            X = X.astype(np.float64)
        return (X, *y) if y else X
    except OverflowError as error:
        raise InputError(name, "whole numbers too large for float64", "what it can hold", "Rescale it.") from error


def cast(X: Array, dtype: str | None) -> Array:  # noqa: N803
    """Return X in `dtype`; by default float32 for up to 32 bits, and float64 for more and for whole numbers."""
    if issparse(X):
        values = cast(X.data[:, None], dtype)[:, 0]
        return csr_array((values, X.indices, X.indptr), shape=X.shape)
    xp = array_namespace(X)
    if not xp.isdtype(X.dtype, ("bool", "integral", "real floating")):
        raise InputError("X", f"dtype {X.dtype}", "real numbers", "Convert it first, as with X.astype('float64').")
    learning = dtype is None
    if dtype is None:
        whole = not xp.isdtype(X.dtype, "real floating")
        wide = has_dtype(xp, device(X), "float64") if whole else xp.finfo(X.dtype).bits > 32
        dtype = "float64" if wide else "float32"
    with np.errstate(over="ignore"):  # the check says which, or the value is clipped
        x = xp.astype(X, getattr(xp, dtype), copy=False)
    if learning:
        check_rounding("X", X, x)
    return x


def _is_masked(value: Any) -> bool:
    """Return whether a value is a masked array of NumPy, or a list with one in it."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return isinstance(value, np.ma.MaskedArray)
    if isinstance(value, list | tuple | np.ndarray):
        return isinstance(value, np.ma.MaskedArray) or any(map(_is_masked, value))
    return False
