"""The values of an array of any library, or the refusal of what has none: of what is sparse, traced, lazy or lost."""

from __future__ import annotations

import sys
from numbers import Real
from typing import Any, NoReturn

import numpy as np
from array_api_compat import is_array_api_obj

from edcore.arrays import Located, detached, locate, to_numpy
from edcore.errors import EDCoreError, InputError, OutOfMemoryError, said, shown
from edcore.model.out_of_memory import is_out_of_memory

TRACED = {
    "jax": "jax.jit, jax.vmap or jax.grad",
    "jaxlib": "jax.jit, jax.vmap or jax.grad",
    "torch": "torch.compile, torch.func.vmap or torch.func.grad",
}
"""The functions of a library inside which arrays have no values yet."""

NUMBERS = {bool, int, float}
"""Python's own numbers: a list of them alone is not looked through."""


def located(name: str, value: Any) -> Located:
    """Return the value of an argument with its library and device; as a NumPy array if it is of no library."""
    if "torch._dynamo" in sys.modules and _is_compiled():
        raise unreadable(name, value)
    if type(value) is np.ndarray:
        return locate(value)
    try:
        if is_masked(value):
            raise InputError(name, "a masked array", "an array with no mask", f"Fill it: {name}.filled(…).")
        check_dense(name, value)
        if is_array_api_obj(value) and not isinstance(value, np.ndarray | type):
            return locate(detached(value))
        return locate(as_numpy(name, value))
    except EDCoreError:
        raise
    except Exception as error:  # of what is no array, NumPy and an __array__ of others raise errors of many kinds
        raise unreadable(name, value, error) from error


def on_host(name: str, value: Any) -> np.ndarray[Any, Any]:
    """Return the value of an argument as a NumPy array."""
    found = located(name, value)
    try:
        return to_numpy(found.array)
    except Exception as error:
        raise unreadable(name, value, error) from error


def is_masked(value: Any) -> bool:
    """Return whether a value is a masked array of NumPy, or a list with one in it, of which NumPy drops the mask."""
    if isinstance(value, np.ma.MaskedArray):
        return True
    if isinstance(value, np.ndarray):
        return value.dtype == object and value.ndim > 0 and any(map(is_masked, value))
    return isinstance(value, list | tuple) and not set(map(type, value)) <= NUMBERS and any(map(is_masked, value))


def as_numpy(name: str, value: Any) -> np.ndarray[Any, Any]:
    """Return a value of no array library as a NumPy array."""
    array = np.asarray(value)
    if array.dtype == object and not array.ndim:  # NumPy has wrapped something that it does not know
        ways = [way for way in ("collect", "compute") if hasattr(value, way)]
        fix = f"Compute it first: {name}.{ways[0]}()." if ways else ""
        raise InputError(name, kind_of(value), "an array of numbers", fix)
    return array


def check_dense(name: str, value: Any) -> None:
    """Refuse sparse arrays, tensors of several shapes, and what JAX and PyTorch hand to functions that they trace."""
    if getattr(value, "is_nested", False):
        fix = f"Pad it: torch.nested.to_padded_tensor({name}, 0.0)."
        raise InputError(name, f"{kind_of(value)}, which has several shapes", "an array of one shape", fix)
    ways = [way for way in ("toarray", "todense") if hasattr(value, way)]
    if "sparse" in str(getattr(value, "layout", "")).lower():
        ways = ["to_dense"]
    if ways:
        raise InputError(name, f"{kind_of(value)}, which is sparse", "a dense array", f"Write {name}.{ways[0]}().")
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(value, jax.core.Tracer):
        raise unreadable(name, value)
    if library_of(value) == "dask" and any(size != size for size in value.shape):  # NaN, as after a selection
        fix = f"Call {name}.compute_chunk_sizes() first."
        raise InputError(name, f"an array of dask of shape {value.shape}", "a known number of samples", fix)
    if getattr(getattr(value, "device", None), "type", "") == "meta":
        raise InputError(name, f"{kind_of(value)} on the device 'meta', which has no values", "an array with values")


def unreadable(name: str, value: Any, error: Exception | None = None) -> EDCoreError:
    """Return the refusal of an argument whose values cannot be read, which another library's error has shown."""
    if error and is_out_of_memory(error):
        return OutOfMemoryError(f"{name}: there is no memory to read {kind_of(value)} ({said(error)}).")
    reason, fix = f" ({said(error)})" if error else "", ""
    if error is None and library_of(value) == "numpy":  # inside torch.compile
        return InputError(name, kind_of(value), "a call outside functions of torch.compile", "They replace NumPy.")
    if "inhomogeneous" in reason:
        return InputError(name, "rows of different lengths", "rows of one length")
    if functions := TRACED.get(library_of(value)):
        fix = f"Inside functions of {functions} arrays have no values: call edcore outside them."
    return InputError(name, f"{kind_of(value)} whose values cannot be read{reason}", "an array of numbers", fix)


def refuse_dtype(name: str, array: Any) -> NoReturn:
    """Raise the error of an array that does not hold real numbers, with advice for what it holds."""
    given, texts = f"dtype {array.dtype}", getattr(array.dtype, "kind", "?") in "SUT"
    fix = f"Convert it to numbers first, as with {name}.astype('float64')."
    if array.dtype == object:
        other = next(((at, each) for at, each in np.ndenumerate(array) if not isinstance(each, Real | np.bool_)), None)
        if other is not None:
            at, each = other
            given += f", with {shown(each)} at [{', '.join(map(str, at))}]"
            texts = isinstance(each, str | bytes)
            fix = "Leave it out, or put a number in its place."
    if texts:
        fix = "Encode texts as numbers, as with sklearn.preprocessing.OrdinalEncoder or OneHotEncoder."
        if name == "y":
            fix = "EDClassifier learns labels."
        if name == "target":
            fix = "numpy.unique(labels, return_inverse=True) makes numbers of labels."
    elif "complex" in given:
        fix = f"Take {name}.real, or abs({name})."
    raise InputError(name, given, "real numbers", fix)


def refuse_non_finite(name: str, array: np.ndarray[Any, Any]) -> NoReturn:
    """Raise the error of an array with values that are NaN or infinite, which says where the first one is."""
    bad = ~np.isfinite(array)
    first = ", ".join(map(str, np.argwhere(bad)[0]))
    raise InputError(
        name, f"{bad.sum()} NaN or infinite values, the first at [{first}]", "finite values", "Clean it first."
    )


def _is_compiled() -> bool:
    """Return whether this runs inside a function of torch.compile, which replaces NumPy's functions by PyTorch's."""
    torch = sys.modules["torch"]
    # While PyTorch looks at this function it says so; where it gives up and calls it, its hook for frames is still set.
    return torch.compiler.is_compiling() or callable(torch._C._dynamo.eval_frame.get_eval_frame_callback())


def library_of(value: Any) -> str:
    """Return the name of the package that a value's type is from."""
    return type(value).__module__.partition(".")[0]


def kind_of(value: Any) -> str:
    """Return what a value is, for a sentence."""
    if value is None:
        return "None"
    library = library_of(value)
    return f"a value of type {type(value).__name__}" + (
        f" of {library}" if library not in ("builtins", "numpy") else ""
    )
