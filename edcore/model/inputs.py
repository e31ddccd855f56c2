"""Checks of the arrays that users hand in. Bad input never gives a silent wrong answer.

Each array is looked at once, here: `checked` returns it as a `Located` array, with its library, its device and the sum
of its squares, and the rest of the way asks for nothing again. First come the checks that need no value, of dtype and
shape, then those of the values. To read a value of a device makes the host wait for all the work that the device has
been given. So all numbers that a call needs of x and target are read at once (`Samples.checked`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace
from array_api_compat import device as array_device

from edcore import arrays as libraries
from edcore.arrays import (
    HOST,
    Array,
    HostWeights,
    Located,
    Place,
    has_dtype,
    library_name,
    like,
    missing_dtype,
    read,
    to_numpy,
)
from edcore.core.activations import Activation, readout
from edcore.core.network import Layer, Network
from edcore.core.rule import Rule
from edcore.errors import EDCoreError, InputError, shown
from edcore.model.values import located, on_host, refuse_dtype, refuse_non_finite, unreadable

NEGATIVE = (
    "x has values below 0: under a split rule with no floor, weights may then shrink and change their sign. Scale each "
    "feature to 0 … 1, as in (x - x.min(0)) / (x.max(0) - x.min(0)), or give the rule a floor."
)

DTYPES = {name: np.dtype(name) for name in ("float32", "float64")}
"""NumPy has one object for each: to compare them takes less time than to compare their names."""

VANISHED = 2.0**-126
"""The largest square that float32 may round to 0."""

ON_ONE_THREAD = 8192
"""Elements that a BLAS adds up on one thread. Several are hardly faster, and then spin in the way of the kernels'."""


class Samples(NamedTuple):
    """x and the targets of at least one sample, of one library on one device, before their values are looked at."""

    x: Located
    target: Located
    given: tuple[Array, Array]  # both before their dtype was changed
    network: Network
    rule: Rule

    def checked(self, error: Array | None = None) -> tuple[Located, Array, float]:
        """Return x, target, and at least the sum of squares of an error beside them, or refuse wrong values.

        The host waits for their device once. The error is None, and the sum infinity, where it is not needed.
        """
        x, target, given, network, rule = self
        warns, lowest, squares = rule.error == "split" and rule.floor is None, 0.0, math.inf
        try:
            if x.place.device == "cpu":
                square, host = sum_of_squares(x.array, "cpu"), to_numpy(target.array)
                least, most = np.minimum.reduce(host, axis=None), np.maximum.reduce(host, axis=None)
                if warns:
                    lowest = np.minimum.reduce(to_numpy(x.array), axis=None)
            else:
                wanted = [(libraries.squares, x.array), (libraries.least, target.array), (libraries.most, target.array)]
                wanted += [(libraries.least, x.array)] * warns
                wanted += [] if error is None else [(libraries.squares, error)]
                total, least, most, *more = read(*wanted)
                square = _at_least(total, x.array)
                lowest = more[0] if warns else 0.0
                squares = math.inf if error is None else _at_least(more[-1], error)
        except Exception as failure:
            _finite("x", x, given[0], network.dtype)  # whose values perhaps can be read
            raise unreadable("target", given[1], failure) from failure
        x = _of_inputs(_finite("x", x, given[0], network.dtype, square), network)
        if not (least > -math.inf and most < math.inf):
            _check_finite("target", target, given[1], network.dtype)
        check_range(least, most, network.output_activation)
        if warns:
            warn_of_negative(lowest)
        return x, target.array, squares


def checked_x(x: Any, network: Network, in_known: bool, follows: Place | None) -> Located:
    """Return x, checked for a network, whose place it must have if the network follows one."""
    found = checked("x", x, (None, network.features if in_known else None), network.dtype)
    _check_x(found, follows)
    return _of_inputs(found, network)


def see_samples(x: Any, target: Any, network: Network, rule: Rule, in_known: bool, follows: Place | None) -> Samples:
    """Return x and the targets of at least one sample, both of x's library, before their values are looked at."""
    dtype, refusal = network.dtype, None
    found, given = _see("x", x, (None, network.features if in_known else None), dtype)
    samples = found.array.shape[0]
    shape = (samples,) if network.columns == 1 else (samples, network.columns)
    try:
        _check_x(found, follows)
        of_target, given_target = _see("target", target, shape, dtype, ", one for each output", found.place)
        if samples == 0:
            raise InputError("x", "an empty batch", "at least one sample")
    except InputError as error:
        refusal = error
    if refusal:
        _finite("x", found, given, dtype)  # x is refused first
        raise refusal
    if of_target.place != found.place:
        try:
            of_target = found._replace(array=like(of_target.array, found.array))
        except Exception as error:
            raise unreadable("target", given_target, error) from error
    return Samples(found, of_target, (given, given_target), network, rule)


def checked(
    name: str,
    value: Any,
    shape: tuple[int | None, ...],
    dtype: str,
    meaning: str = "",
    place: Place = HOST,
) -> Located:
    """Return the value as a finite array of its own library, in this dtype, or refuse it under its `name`.

    None in the shape stands for any number; `meaning` says in an error what the shape is that of. The array must not be
    on another device than `place`, if it is of the same library.
    """
    found, given = _see(name, value, shape, dtype, meaning, place)
    return _finite(name, found, given, dtype)


def check_device(name: str, found: Located, wanted: Place, meaning: str = "x is") -> None:
    """Refuse an array that is on another device than `wanted`, in the same library; others are converted anyway."""
    given = found.place
    if given.library == wanted.library != "numpy" and given != wanted:
        fix = f"Move {name} there first: a hidden transfer would cost more than the step."
        raise InputError(name, f"an array on {given.device!r}", f"one on {wanted.device!r}, where {meaning}", fix)


def check_range(least: float, most: float, activation: Activation, name: str = "target") -> None:
    """Refuse targets from `least` to `most` that output cells of this activation cannot reach."""
    _, _, low, high, _ = readout(activation)
    if least < low or most > high:
        fix = "Write classes one-hot: numpy.eye(classes)[labels]; for other numbers there is a linear output."
        accepted = f"{low:g} to {high:g}, as the outputs are ({activation})"
        raise InputError(name, f"values from {float(least)!r} to {float(most)!r}", accepted, fix)


def warn_of_negative(least: float) -> None:
    """Warn if the least value of x is below 0, which a split rule's promises exclude."""
    if least < 0:
        warnings.warn(NEGATIVE, stacklevel=4)


def sum_of_squares(array: Array, device: str) -> float:
    """Return at least the sum of the squares of an array on this device; infinity if it is too large."""
    if device != "cpu":
        return _at_least(read((libraries.squares, array))[0], array)
    host = to_numpy(array)
    return squares_of(host) + host.size * VANISHED


def squares_of(host: npt.NDArray[Any]) -> float:
    """Return the sum of the squares of an array: by BLAS, with no temporary array, as each step asks for one."""
    if host.size <= ON_ONE_THREAD:
        return float(np.vdot(host, host))
    # The windows of a text overlap: in one row, they would take many times the memory.
    whole = host.reshape(-1) if host.flags.c_contiguous else host
    step = max(1, ON_ONE_THREAD // whole[0].size)
    parts = (whole[start : start + step] for start in range(0, len(whole), step))
    return sum(float(np.vdot(part, part)) for part in parts)


def _at_least(total: float, array: Array) -> float:
    """Return a bound on the sum of the squares, of which some may have vanished in the total."""
    return total + math.prod(array.shape) * VANISHED


def _of_inputs(x: Located, network: Network) -> Located:
    """Return x with the sum of squares of the inputs, which are not its own numbers where those are categories."""
    if not network.one_hot:
        return x
    values, size = x.array, math.prod(x.array.shape)
    if size:
        least, most, off = read((libraries.least, values), (libraries.most, values), (_farthest_from_whole, values))
        if least < 0 or most > network.one_hot - 1 or off:
            given = f"values from {float(least):g} to {float(most):g}" + ", not all of them whole" * bool(off)
            fix = "Each column of x stands for one_hot inputs."
            raise InputError("x", given, f"whole numbers from 0 to {network.one_hot - 1} (one_hot - 1)", fix)
    return x._replace(square=float(size))


def _farthest_from_whole(xp: Any, values: Array) -> Array:
    return xp.max(xp.abs(values - xp.round(values)))


def _check_x(x: Located, follows: Place | None) -> None:
    """Refuse an x without features, or one that is elsewhere than where the network follows."""
    if x.array.shape[1] == 0:
        raise InputError("x", f"shape {tuple(x.array.shape)}", "at least one feature")
    if follows is not None and x.place != follows:
        check_device("x", x, follows, "the first x was, which the network follows")


def _see(
    name: str, value: Any, shape: tuple[int | None, ...], dtype: str, meaning: str = "", place: Place = HOST
) -> tuple[Located, Array]:
    """Return the value as an array of its own library in this dtype, and as it was before; no value is looked at."""
    found = located(name, value)
    given = found.array
    try:
        if place is not HOST:
            check_device(name, found, place)
        if given.dtype is not DTYPES[dtype] or not _fits(given.shape, shape):
            found = Located(_cast(name, found, shape, meaning, dtype), found.xp, found.place)
    except EDCoreError:
        raise
    except Exception as error:  # a library's own, as for an array that it has deleted
        raise unreadable(name, given, error) from error
    return found, given


def _finite(name: str, found: Located, given: Array, dtype: str, square: float | None = None) -> Located:
    """Return the array with the sum of its squares, or refuse values that are not finite."""
    try:
        square = sum_of_squares(found.array, found.place.device) if square is None else square
        if not square < math.inf:  # NaN and infinity show in the sum, and so do large values, which are fine
            _check_finite(name, found, given, dtype)
            square = math.inf
    except EDCoreError:
        raise
    except Exception as error:
        raise unreadable(name, given, error) from error
    return Located(found.array, found.xp, found.place, square)


def _fits(given: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(given) == len(wanted) and all(
        want is None or want == size for want, size in zip(wanted, given, strict=True)
    )


def _cast(name: str, found: Located, shape: tuple[int | None, ...], meaning: str, dtype: str) -> Array:
    """Return the array in this dtype, or refuse it for its own dtype or its shape."""
    array, xp = found.array, found.xp
    if not _is_real(xp, array.dtype):
        refuse_dtype(name, array)
    if not _fits(array.shape, shape):
        first = "samples" if name == "target" else "batch"
        words = [(first, "features")[axis] if size is None else str(size) for axis, size in enumerate(shape)]
        accepted = f"shape ({', '.join(words)}{',' * (len(words) == 1)}){meaning}"
        raise InputError(name, f"shape {tuple(array.shape)}", accepted, _shape_hint(name, array.shape, shape))
    if dtype == "float64" and not has_dtype(xp, array_device(array), dtype):
        fix = f"{missing_dtype(library_name(xp), dtype)}."
        raise InputError("dtype", repr(dtype), f"what the device of {name} has", fix)
    with np.errstate(over="ignore"):  # the check of finite values finds it, and says which
        return xp.astype(array, getattr(xp, dtype), copy=False)


def _check_finite(name: str, found: Located, given: Array, dtype: str) -> None:
    if bool(found.xp.all(found.xp.isfinite(found.array))):
        return
    xp = array_namespace(given)
    if not _is_floating(xp, given.dtype) or bool(xp.all(xp.isfinite(given))):
        fix = "Scale them, for example to 0 … 1."
        raise InputError(name, f"values too large for {dtype}", "what it can hold", fix)
    refuse_non_finite(name, to_numpy(found.array))


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
    try:
        keys = set(weights.keys())
    except Exception:  # a method of that name may be anything
        raise InputError(name, type(weights).__name__, f"a dictionary with the keys {', '.join(shapes)}") from None
    missing, unknown = (
        sorted(shapes.keys() - keys),
        sorted(str(key) if isinstance(key, str) else shown(key) for key in keys - shapes.keys()),
    )
    if missing or unknown:
        given = "; ".join(f"{what} {', '.join(keys)}" for what, keys in (("no", missing), ("also", unknown)) if keys)
        raise InputError(name, given, f"exactly the keys {', '.join(shapes)}")
    arrays = {}
    for key, shape in shapes.items():
        array = on_host(f"{name}[{key!r}]", weights[key])
        if array.shape != shape:
            raise InputError(
                f"{name}[{key!r}]", f"shape {array.shape}", f"shape {shape}", "ED.weights shows the layout."
            )
        if array.dtype != network.dtype:
            fix = f"Convert it with .astype({network.dtype!r})."
            raise InputError(f"{name}[{key!r}]", f"dtype {array.dtype}", f"dtype {network.dtype}", fix)
        if not np.isfinite(array).all():
            refuse_non_finite(f"{name}[{key!r}]", array)
        arrays[key] = array
    if floor is not None:
        for layer in network.stacks:
            if (key := f"{layer.name}.weight") in arrays:
                _check_floor(f"{name}[{key!r}]", arrays[key], layer, floor)
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
    if len(given) == 2 and len(wanted) == 1 and name == "sample_weight":
        return "Drop the second axis: sample_weight[:, 0]."
    if name == "error" and given[1:] == wanted and given[:1] != wanted[:1]:
        return "An error for each layer is a list: list(error)."
    if len(given) == 2 and len(wanted) == 1:
        return f"One head has one axis: {name}[:, 0]; or give the network one head for each column."
    return ""
