"""Checks on the arrays that users hand in. Bad input never gives a silent wrong answer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from array_api_compat import device as array_device

from edcore.arrays import (
    Array,
    HostWeights,
    as_array,
    has_dtype,
    library_name,
    missing_dtype,
    to_numpy,
)
from edcore.core.network import Activation, Layer, LayerName, Network
from edcore.errors import InputError

RANGES: dict[Activation, tuple[float, float]] = {
    "sigmoid": (0, 1),
    "tanh": (-1, 1),
    "relu": (0, math.inf),
    "relu6": (0, 6),
    "linear": (-math.inf, math.inf),
}
"""What output cells can put out."""

NEGATIVE = (
    "x has values below 0: under a split rule with no floor, weights may then shrink and change their sign. Scale each "
    "feature to 0 … 1, as in (x - x.min(0)) / (x.max(0) - x.min(0)), or give the rule a floor."
)


def checked(name: str, value: Any, shape: tuple[int | None, ...], meaning: str, dtype: str) -> Array:
    """Return the value as an array of its own library, in this dtype, or refuse it under its `name`.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : array_like
        What was given.
    shape : tuple of int or None
        The shape that it must have; None stands for any number.
    meaning : str
        The shape in words, such as ``"(batch, 784)"``.
    dtype : str
        The network's dtype.

    Returns
    -------
    array
        The array; all its values are finite.
    """
    array = as_array(name, value)
    xp = array_namespace(array)
    if not _is_real(xp, array.dtype):
        fix = "Convert it to numbers first; numpy.unique(labels, return_inverse=True) does so with labels."
        raise InputError(name, f"dtype {array.dtype}", "real numbers", fix)
    if len(array.shape) != len(shape) or any(
        want not in (None, size) for want, size in zip(shape, array.shape, strict=True)
    ):
        raise InputError(name, f"shape {tuple(array.shape)}", f"shape {meaning}", _shape_hint(name, array.shape, shape))
    if dtype == "float64" and not has_dtype(xp, array_device(array), dtype):
        fix = f"{missing_dtype(library_name(xp), dtype)}."
        raise InputError("dtype", repr(dtype), f"what the device of {name} has", fix)
    with np.errstate(over="ignore"):
        cast = xp.astype(array, getattr(xp, dtype), copy=False)
    if not bool(xp.all(xp.isfinite(cast))):
        if not _is_floating(xp, array.dtype) or bool(xp.all(xp.isfinite(array))):
            raise InputError(
                name, f"values too large for {dtype}", "what it can hold", "Scale them, for example to 0 … 1."
            )
        _refuse_non_finite(name, to_numpy(cast))
    return cast


def check_range(target: Array, activation: Activation, name: str = "target") -> None:
    """Refuse a checked target that output cells of this activation cannot reach."""
    xp, (low, high) = array_namespace(target), RANGES[activation]
    least, most = float(xp.min(target)), float(xp.max(target))
    if least < low or most > high:
        fix = "Write classes one-hot: numpy.eye(classes)[labels]; for other numbers there is a linear output."
        accepted = f"{low:g} to {high:g}, as the outputs are ({activation})"
        raise InputError(name, f"values from {least!r} to {most!r}", accepted, fix)


def warn_of_negative(x: Array) -> None:
    """Warn if a checked x has values below 0, which a split rule's promises exclude."""
    if bool(array_namespace(x).any(x < 0)):
        warnings.warn(NEGATIVE, stacklevel=4)


def checked_weights(
    network: Network,
    weights: Any,
    floor: float | None = None,
    name: str = "weights",
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> HostWeights:
    """Return the weights, each as a NumPy array, or refuse them for a wrong key, shape, dtype or value.

    With a floor, see `Rule`, weights whose sign or magnitude it excludes are refused too. The keys and shapes are those
    of the network, or of a part of it.
    """
    shapes = network.weight_shapes if shapes is None else shapes
    if not hasattr(weights, "keys"):
        raise InputError(name, type(weights).__name__, f"a dictionary with the keys {', '.join(shapes)}")
    missing, unknown = sorted(shapes.keys() - weights.keys()), sorted(map(str, weights.keys() - shapes.keys()))
    if missing or unknown:
        given = "; ".join(f"{what} {', '.join(keys)}" for what, keys in (("no", missing), ("also", unknown)) if keys)
        raise InputError(name, given, f"exactly the keys {', '.join(shapes)}")
    arrays = {}
    for key, shape in shapes.items():
        array = to_numpy(as_array(f"{name}[{key!r}]", weights[key]))
        if array.shape != shape:
            raise InputError(
                f"{name}[{key!r}]", f"shape {array.shape}", f"shape {shape}", "ED.weights shows the layout."
            )
        if array.dtype != network.dtype:
            fix = f"Convert it with .astype({network.dtype!r})."
            raise InputError(f"{name}[{key!r}]", f"dtype {array.dtype}", f"dtype {network.dtype}", fix)
        if not np.isfinite(array).all():
            _refuse_non_finite(f"{name}[{key!r}]", array)
        arrays[key] = array
    if floor is not None:
        names: tuple[LayerName, ...] = ("input", "hidden", "output")
        for layer in names:
            if (key := f"{layer}.weight") in arrays:
                _check_floor(f"{name}[{key!r}]", arrays[key], network.layer(layer), floor)
    return arrays


def _check_floor(argument: str, weights: Any, layer: Layer, floor: float) -> None:
    size = weights * np.outer(layer.source_signs, layer.target_signs)
    if below := int((size < weights.dtype.type(floor)).sum()):
        raise InputError(
            argument,
            f"{below} values that are below the rule's floor of {floor:g} or have not the sign s_i s_j",
            "values that the rule keeps",
            "edcore.core.weights.initialise(network, seed, floor) draws some; a Rule with no floor takes any.",
        )


def _is_real(xp: Any, dtype: Any) -> bool:
    try:
        return bool(xp.isdtype(dtype, ("bool", "integral", "real floating")))
    except (TypeError, ValueError):
        return False


def _is_floating(xp: Any, dtype: Any) -> bool:
    return bool(xp.isdtype(dtype, "real floating"))


def _shape_hint(name: str, given: tuple[int, ...], wanted: tuple[int | None, ...]) -> str:
    if len(given) > 2 and name == "x":
        return "Flatten each sample: x.reshape(len(x), -1)."
    if len(given) == 1 and len(wanted) == 2:
        return (
            "A single sample is x[None, :]."
            if name == "x"
            else "Classes are written one-hot: numpy.eye(heads)[labels]."
        )
    if len(given) == 2 and len(wanted) == 1:
        return f"One head has one axis: {name}[:, 0]; or give the network one head for each column."
    return ""


def _refuse_non_finite(name: str, array: Any) -> None:
    bad = ~np.isfinite(array)
    first = ", ".join(map(str, np.argwhere(bad)[0]))
    raise InputError(
        name, f"{bad.sum()} NaN or infinite values, the first at [{first}]", "finite values", "Clean it first."
    )
