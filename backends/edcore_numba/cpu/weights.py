"""Weights and outputs in the form of the CPU kernels, which expect output cells of both signs.

A weight matrix lies in memory panel after panel: all sources' weights to the first few targets, then those to the next
ones (`vectors.PANEL_BYTES`), so that a product reads memory in order however wide the layer is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.core.network import WEIGHTS, Network
from edcore.interrupts import ForkLock

from .unchanged import UNIT
from .vectors import PANEL_BYTES, VECTOR_BYTES

TINY = 2**12
"""Bytes of an array below which it does not matter where it starts."""


class NumbaWeights(dict[str, npt.NDArray[Any]]):
    """Weights under the keys of `Network.weight_shapes`, and the arguments that kernels take of them.

    A network without − output cells gets some at its first pass, which are never read, so that all share one code.
    """

    _first_pass = ForkLock()  # in each of two passes at once, other arrays would learn than those that are read

    def __init__(
        self, arrays: dict[str, npt.NDArray[Any]], added: int = 0, least: npt.NDArray[Any] | None = None
    ) -> None:
        super().__init__(arrays)
        self.added = added
        """Output cells that the network does not have."""
        self.heads = np.arange(len(arrays["input.weight"]))
        self.count = sum(array.size for array in arrays.values())
        if least is None:
            heads, depth, cells = self["hidden.weight"].shape[:3]
            least = np.zeros((heads, depth, -(-cells // (2 * UNIT))), self["hidden.weight"].dtype)
        self.least = least
        """What an update knows of the hidden weights (heads, depth, units), see `unchanged.find_unchanged`."""
        self._arguments: tuple[npt.NDArray[Any], ...] = ()

    def arguments(self, network: Network) -> tuple[npt.NDArray[Any], ...]:
        """Return the arrays in the kernels' order."""
        if not self._arguments:
            with self._first_pass:
                self._add_cells(network.outputs)
                self._arguments = *(self[key] for key in WEIGHTS), self.least
        return self._arguments

    def _add_cells(self, outputs: int) -> None:
        for key in ("output.weight", "output.bias"):
            if self[key].shape[-1] == outputs:
                columns = in_columns(key, self[key])
                self[key] = in_panels(key, np.concatenate([columns, np.zeros_like(columns)], axis=-1))
                self.added = outputs


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a new array that starts at a cache line: a vector that lies in two takes twice as long to read.

    A tiny one starts anywhere, as to find such a place takes longer than to read it.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < TINY:
        return np.empty(shape, dtype)
    memory = np.empty(size + VECTOR_BYTES, np.uint8)
    start = -memory.ctypes.data % VECTOR_BYTES
    return memory[start : start + size].view(dtype).reshape(shape)


def copied(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a copy that starts at a cache line."""
    copy = empty(values.shape, values.dtype)
    copy[...] = values
    return copy


def in_panels(key: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a contiguous copy of the values of a key: matrices (…, sources, targets), each in panels; or biases."""
    if key.endswith("bias"):
        return np.array(values, order="C")
    result = empty(values.shape, values.dtype)
    for panel, columns in _panels(result):
        panel[...] = values[..., columns]
    return result


def in_columns(key: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a copy of what `in_panels` returns, in the order of before."""
    result = values.copy()
    for panel, columns in _panels(values) if key.endswith("weight") else ():
        result[..., columns] = panel
    return result


def _panels(values: npt.NDArray[Any]) -> Iterator[tuple[npt.NDArray[Any], slice]]:
    """Yield the panels of contiguous matrices as views (…, sources, width), and the columns that each has."""
    *before, sources, targets = values.shape
    flat, width = values.reshape(*before, sources * targets), PANEL_BYTES // values.itemsize
    for low in range(0, targets, width):
        high = min(low + width, targets)
        yield flat[..., low * sources : high * sources].reshape(*before, sources, high - low), slice(low, high)


def join_heads(network: Network, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the excitatory output cells of (heads, batch, cells) as a copy of shape (batch, columns)."""
    return outputs[:, :, : network.outputs].swapaxes(0, 1).copy().reshape(outputs.shape[1], network.columns)
