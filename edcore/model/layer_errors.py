"""Errors of each layer's own, as `ED.update` takes them in a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edcore.arrays import Located, Place, on_its_device
from edcore.contract.backend import Backend, LearnsByLayer
from edcore.core.network import Network
from edcore.errors import InputError
from edcore.model.inputs import checked


def are_of_layers(error: Sequence[Any], axes: int) -> bool:
    """Return whether a list has an array for each layer: one of them has at least the axes of the outputs.

    An element of a list of samples has fewer.
    """
    try:
        return any(np.ndim(one) >= axes for one in error)
    except Exception:  # nested lists of several lengths, and what has no axes at all
        return False


def check_layer_errors(
    errors: Sequence[Any], network: Network, shape: tuple[int, ...], place: Place, backend: Backend
) -> list[Located]:
    """Return the error of each layer, for outputs of this shape, or refuse them."""
    if not isinstance(backend, LearnsByLayer):
        given = f"a list with an error for each layer, on the backend {backend.info.name!r}"
        fix = "These take a list: numpy, loop, and other backends over NumPy-like arrays. Write ED(…, backend='numpy')."
        raise InputError("error", given, "there, one array of the outputs' shape", fix)
    layers = network.depth + 2
    if len(errors) != layers:
        hidden = f"{network.depth} hidden layer{'s' * (network.depth != 1)}"
        accepted = f"one array, or a list of {layers}: for the input layer, {hidden} and the output layer"
        raise InputError("error", f"a list of {len(errors)} arrays", accepted)
    cells = [*(2 * width for width in network.widths), len(network.output_signs)]
    found = []
    for number, error in enumerate(errors):
        if error is None:
            raise InputError(f"error[{number}]", "None", "an array", "A layer keeps its weights where its error is 0.")
        by_cell = network.heads, shape[0], cells[number]
        wanted, meaning = shape, ", that of the outputs"
        if np.ndim(error) > 2:
            wanted, meaning = by_cell, ", of heads, samples and cells of that layer"
        elif np.shape(error) == by_cell[1:] != shape:
            given, accepted = f"shape {by_cell[1:]}", f"shape {by_cell}, of heads, samples and cells of that layer"
            fix = f"Write error[{number}][None]." if network.heads == 1 else ""
            raise InputError(f"error[{number}]", given, accepted, fix)
        with on_its_device(error):
            found.append(checked(f"error[{number}]", error, wanted, network.dtype, meaning, place))
    return found
