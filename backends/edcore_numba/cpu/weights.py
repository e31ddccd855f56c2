"""Weights and outputs in the form of the CPU kernels, which expect output cells of both signs."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.core.network import WEIGHTS, Network


class NumbaWeights(dict[str, npt.NDArray[Any]]):
    """Weights under the keys of `Network.weight_shapes`, and the arguments that kernels take of them.

    A network without − output cells gets some at its first pass, which are never read, so that all share one code.
    """

    _first_pass = threading.Lock()  # in each of two passes at once, other arrays would learn than those that are read

    def __init__(self, arrays: dict[str, npt.NDArray[Any]], added: int = 0) -> None:
        super().__init__(arrays)
        self.added = added
        """Output cells that the network does not have."""
        self.heads = np.arange(len(arrays["input.weight"]))
        self.count = sum(array.size for array in arrays.values())
        self._arguments: tuple[npt.NDArray[Any], ...] = ()

    def arguments(self, network: Network) -> tuple[npt.NDArray[Any], ...]:
        """Return the arrays in the kernels' order."""
        if not self._arguments:
            with self._first_pass:
                self._add_cells(network.outputs)
                self._arguments = tuple(self[key] for key in WEIGHTS)
        return self._arguments

    def _add_cells(self, outputs: int) -> None:
        for key in ("output.weight", "output.bias"):
            if self[key].shape[-1] == outputs:
                self[key] = np.concatenate([self[key], np.zeros_like(self[key])], axis=-1)
                self.added = outputs


def join_heads(network: Network, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the excitatory output cells of (heads, batch, cells) as a copy of shape (batch, columns)."""
    return outputs[:, :, : network.outputs].swapaxes(0, 1).copy().reshape(outputs.shape[1], network.columns)
