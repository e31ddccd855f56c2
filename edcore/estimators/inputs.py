"""Samples, labels and random states in the forms that users have, checked before scikit-learn reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device, is_array_api_obj
from scipy.sparse import csr_array, issparse
from sklearn import get_config
from sklearn.utils import assert_all_finite, check_array, check_random_state, column_or_1d
from sklearn.utils.validation import validate_data

from edcore.arrays import Array, check_fork, detached, has_dtype, library_name, to_numpy
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.dispatch.choose import choose_backend, make_request
from edcore.errors import BackendUnavailableError, EDCoreError, InputError, shown
from edcore.estimators.refusals import refusal
from edcore.estimators.scaling import check_rounding
from edcore.model.values import as_numpy, check_dense, is_masked, refuse_dtype, unreadable


def checked_random_state(value: Any) -> np.random.RandomState:
    """Return NumPy's source of random numbers for an int, None or another source, or refuse it."""
    try:
        if isinstance(value, bool | np.bool_):
            raise ValueError
        if isinstance(value, np.random.Generator):
            return np.random.RandomState(value.bit_generator)  # of one stream with it
        return check_random_state(value)
    except Exception:  # a value's own methods may raise anything
        accepted = "None, a whole number from 0 to 2**32 - 1, or a RandomState or Generator of numpy.random"
        raise InputError("random_state", shown(value), accepted) from None


def dtype_of(x: Array) -> str:
    """Return the dtype of a network for x, which is float32 or float64 already."""
    return "float64" if x.dtype == array_namespace(x).float64 else "float32"


def readable(name: str, value: Any) -> Any:
    """Return samples or labels in a form that scikit-learn can read, or refuse what it would ignore or not know."""
    try:
        if is_masked(value):
            fix = f"Leave these samples out, or fill {name}, as with {name}.filled(…)."
            raise InputError(name, "a masked array", "an array with no mask", fix)
        if isinstance(value, np.ndarray):
            return _known_dtype(np.asarray(value) if isinstance(value, np.matrix) else value)
        if issparse(value):
            _check_places(value)
            return value
        if isinstance(value, list | tuple) or np.isscalar(value) or value is None:
            return value
        check_dense(name, value)
        if is_array_api_obj(value) and not isinstance(value, type):
            xp = array_namespace(value)
            check_fork(library_name(xp))
            value = detached(value)
            if not get_config()["array_api_dispatch"]:
                return _known_dtype(to_numpy(value))
            return xp.astype(value, xp.float32) if str(value.dtype).endswith("bfloat16") else value
        if not hasattr(value, "columns") or hasattr(value, "collect"):  # a table that is there has names to keep
            as_numpy(name, value)
    except EDCoreError:
        raise
    except Exception as error:  # of another library
        raise unreadable(name, value, error) from error
    return value


def _check_places(matrix: Any) -> None:
    """Refuse a sparse matrix with a place outside its shape, where SciPy would read and write other memory."""
    if matrix.format in ("csr", "csc", "bsr"):
        type(matrix)(matrix).check_format()  # of a copy that shares its arrays, as it replaces them
    elif matrix.format == "coo":
        for places, size in zip(matrix.coords, matrix.shape, strict=True):
            if len(places) and (places.min() < 0 or places.max() >= size):
                raise ValueError(f"indices must be from 0 to {size - 1}")


def _known_dtype(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array in a dtype that scikit-learn knows."""
    if array.dtype.kind == "T":  # NumPy's StringDType
        return array.astype(object)
    # Of other packages, such as ml_dtypes: bfloat16, float8, int4.
    foreign = array.dtype.kind == "V" and array.dtype.names is None and np.can_cast(array.dtype, np.float32)
    return array.astype(np.float32) if foreign else array


def validated_samples(estimator: Any, samples: Any, reset: bool) -> Any:
    """Return what scikit-learn makes of samples; with `reset` the estimator takes the names of their features."""
    try:
        found = validate_data(estimator, samples, accept_sparse="csr", reset=reset)
        return found.astype(np.float64) if found.dtype == object else found  # of whole numbers beyond 64 bits
    except Exception as error:
        raise refusal("X", samples, error) from error


def validated_labels(estimator: Any, labels: Any, samples: int, several: bool = False, real: bool = False) -> Any:
    """Return what scikit-learn makes of the labels of some samples: of `several` columns, or of `real` targets."""
    if labels is None:
        fix = f"{type(estimator).__name__} requires y to be passed, but the target y is None."
        raise InputError("y", "None", "a label or target for each sample", fix)
    try:
        if several:
            y = check_array(labels, accept_sparse="csr", ensure_2d=False, dtype=None, input_name="y")
            y = y.toarray() if issparse(y) else y
        else:
            y = column_or_1d(labels, warn=True)
            assert_all_finite(y, input_name="y")
        if real and y.dtype == object:
            y = y.astype(np.float64)
            assert_all_finite(y, input_name="y")
        if real and not array_namespace(y).isdtype(y.dtype, ("bool", "integral", "real floating")):
            refuse_dtype("y", y)
        given = y.shape[0] if y.ndim else 0
    except Exception as error:
        raise refusal("y", labels, error) from error
    if given != samples:
        raise InputError("y", f"shape {tuple(y.shape)}", f"{samples:,} labels or targets, as many as X has samples")
    check_one_kind("y", labels, y)
    return y


def check_one_kind(name: str, labels: Any, array: Array) -> None:
    """Refuse a list of texts and other labels, which NumPy makes texts."""
    if isinstance(labels, list | tuple) and array.ndim == 1 and array.dtype.kind in "SU":
        for label in labels:
            if not isinstance(label, str | bytes) and not np.ndim(label):
                given = f"the label {shown(label)} beside texts"
                raise InputError(name, given, "one label a sample, all numbers or all texts")


def computes_float64(backend: Any, device: Any) -> bool:
    """Return whether the backend that is asked for computes in float64: JAX does so only where it is switched on."""
    try:
        request = make_request(backend, device)
        if request.backend != "auto" or request.device:
            choose_backend(request, Network(1, 1, dtype="float64"), Rule())
    except BackendUnavailableError:  # a network will say so, if it cannot run at all
        return False
    return True


def cast(X: Array, dtype: str | None, widest: str = "float64") -> Array:  # noqa: N803
    """Return X in `dtype`; by default float32 for up to 32 bits, and `widest` for more and for whole numbers."""
    if issparse(X):
        values = cast(X.data[:, None], dtype, widest)[:, 0]
        return csr_array((values, X.indices, X.indptr), shape=X.shape)
    xp = array_namespace(X)
    if not xp.isdtype(X.dtype, ("bool", "integral", "real floating")):
        raise InputError("X", f"dtype {X.dtype}", "real numbers", "Convert it first, as with X.astype('float64').")
    learning = dtype is None
    if dtype is None:
        whole = not xp.isdtype(X.dtype, "real floating")
        wide = has_dtype(xp, device(X), "float64") if whole else xp.finfo(X.dtype).bits > 32
        dtype = widest if wide else "float32"
    with np.errstate(over="ignore"):  # the check says which, or the value is clipped
        x = xp.astype(X, getattr(xp, dtype), copy=False)
    if learning:
        check_rounding("X", X, x)
    return x
