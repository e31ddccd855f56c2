"""Seeded weights, the same bits for every backend."""

from __future__ import annotations

import numpy as np

from edcore.backend import HostWeights, fits, host_memory
from edcore.errors import EDCoreError
from edcore.network import Network
from edcore.randomness import BIASES, WEIGHTS, half_normal, uniform

__all__ = ["initialise"]


def initialise(network: Network, seed: int) -> HostWeights:
    """Draw the article's initial weights: s_i · s_j · |N(0, 1)|, and biases s_b · s_j · U(0, 1).

    Parameters
    ----------
    network : Network
        The shape of the weights.
    seed : int
        The seed, at least 0. Each head and layer has a stream of its own, so the first heads of a network with many are
        those of a network with few.

    Returns
    -------
    dict of str to ndarray
        The weights under the keys and in the shapes of ``network.weight_shapes``, in its dtype.

    Raises
    ------
    EDCoreError
        If they do not fit into this machine's memory.

    Examples
    --------
    >>> from edcore import Network
    >>> from edcore.initialise import initialise
    >>> initialise(Network(in_=1, width=1, dtype="float64"), seed=0)["input.weight"].round(3).tolist()
    [[[1.325, -1.302], [-0.3, 0.151]]]
    """
    if (reason := fits(network, host_memory())) is not True:
        raise EDCoreError(f"initialise: the weights are drawn on the host, which is too small: {reason}.")
    weights = {key: np.empty(shape, network.dtype) for key, shape in network.weight_shapes.items()}
    for head in range(network.heads):
        for number, layer in enumerate(network.layers):
            for key, signs, draw, purpose in (
                ("weight", layer.source_signs, half_normal, WEIGHTS),
                ("bias", network.bias_signs, uniform, BIASES),
            ):
                sign = np.outer(signs, layer.target_signs)
                drawn = draw(seed, purpose, head, number, sign.size).reshape(sign.shape)
                weights[f"{layer.name}.{key}"][layer.where(head)] = sign * drawn
    return weights
