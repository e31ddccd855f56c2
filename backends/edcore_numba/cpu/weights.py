"""Weights and outputs as the CPU kernels have them, with − output cells, whether a network has them or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.core.network import Network
from edcore_numba import WEIGHTS


class Own(dict[str, npt.NDArray[Any]]):
    """Weights under the keys of `Network.weight_shapes`.

    The kernels want − output cells: where a network has none, some are added at its first pass, and never read.
    """

    added = 0
    """How many."""

    def completed(self, network: Network) -> tuple[npt.NDArray[Any], ...]:
        """Return the arrays in the kernels' order, with − output cells."""
        for key in ("output.weight", "output.bias"):
            if self[key].shape[-1] == network.outputs:
                self[key] = np.concatenate([self[key], np.zeros_like(self[key])], axis=-1)
                self.added = network.outputs
        return tuple(self[key] for key in WEIGHTS)


def columns(network: Network, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the excitatory output cells of (heads, batch, cells) as (batch, columns)."""
    read = outputs[:, :, : network.outputs]
    return np.array(read.swapaxes(0, 1), order="C").reshape(read.shape[1], network.columns)
