"""The matrix products of a training step and nothing else, by NumPy: what the products leave for all the rest."""

from __future__ import annotations

import numpy as np

from edcore.backend import Array, HostWeights
from edcore.network import Network

__all__ = ["Products"]


class Products:
    """One product for each layer, forward and in the update, with the calls of `edcore.ED`; nothing is learnt.

    Each layer has activities of its own, between 0 and 1, that stay as they are, so that no number gets out of hand.

    Parameters
    ----------
    network : Network
        The shape.
    weights : dict of str to ndarray
        Its weights.
    batch : int
        Samples in each batch.
    """

    def __init__(self, network: Network, weights: HostWeights, batch: int) -> None:
        random = np.random.default_rng(0)
        self._heads, self._batch = network.heads, batch
        self._layers = []
        for head in range(network.heads):
            for layer in network.layers:
                weight = weights[f"{layer.name}.weight"][layer.where(head)]
                sources, targets = ((batch, count) for count in weight.shape)
                x, g = (random.random(shape).astype(network.dtype) for shape in (sources, targets))
                self._layers.append((x, weight, np.empty_like(g), g, np.empty_like(weight)))

    def __call__(self, x: Array) -> Array:
        """Multiply activities by weights in all layers; return zeros (batch, heads)."""
        for own_x, weight, y, _, _ in self._layers:
            np.matmul(own_x, weight, out=y)
        return np.zeros((self._batch, self._heads), x.dtype)

    predict = __call__

    def update(self, error: Array) -> None:
        """Multiply activities by the factors of their targets in all layers."""
        for own_x, _, _, g, change in self._layers:
            np.matmul(own_x.T, g, out=change)

    def synchronize(self) -> None:
        """Do nothing: NumPy is never ahead of the clock."""
