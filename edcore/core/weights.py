"""Seeded weights, the same bits for every backend."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edcore.arguments import real, whole_number
from edcore.arrays import HostWeights
from edcore.core.activations import ByName
from edcore.core.network import Layer, Network
from edcore.core.randomness import BIASES, WEIGHTS, half_normal, uniform
from edcore.errors import InputError, shown

DISTRIBUTIONS = ByName("distribution", {"half_normal": half_normal, "uniform": uniform})
"""What draws the magnitudes of weights, by `Initial.distribution`."""


def initialise(network: Network, seed: int, floor: float | None = None) -> HostWeights:
    """Draw the initial weights, as ``network.initial`` says; the article's are s_i · s_j · abs(N(0, 1)).

    Parameters
    ----------
    network : Network
        The shape of the weights.
    seed : int
        The seed, at least 0. Each head and layer has its own stream, so the first heads of a network with many are
        those of a network with few.
    floor : float or None
        The least magnitude of a weight, see `Rule`; smaller ones are raised to it.

    Returns
    -------
    dict of str to ndarray
        The weights under the keys and in the shapes of ``network.weight_shapes``, in its dtype.

    Examples
    --------
    >>> from edcore import Network
    >>> from edcore.core.weights import initialise
    >>> initialise(Network(in_=1, width=1, dtype="float64"), seed=0)["input.weight"].round(3).tolist()
    [[[1.325, -1.302], [-0.3, 0.151]]]
    """
    if not isinstance(network, Network):
        raise InputError("network", shown(network), "an edcore.Network(…)")
    seed, floor = whole_number("seed", seed, 0), None if floor is None else real("floor", floor)
    weights = {key: np.empty(shape, network.dtype) for key, shape in network.weight_shapes.items()}
    for number, layer in enumerate(network.layers):
        for head in range(network.heads):
            weight, bias = draw_layer(network, layer, number, head, seed, floor)
            weights[f"{layer.name}.weight"][layer.where(head)] = weight
            weights[f"{layer.name}.bias"][layer.where(head)] = bias
    return weights


def draw_layer(
    network: Network, layer: Layer, number: int, head: int, seed: int, floor: float | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the initial weights (sources, targets) and biases of one head's layer, the `number`-th from the input."""
    how = network.initial
    draw = DISTRIBUTIONS[how.distribution]
    sign = np.outer(layer.source_signs, layer.target_signs)
    scale = how.weight / len(layer.source_signs) ** how.fan_in
    factor = 1.0 if layer.name == "output" else np.where(sign > 0, how.excitatory, how.inhibitory)
    size = scale * factor * draw(seed, WEIGHTS, head, number, sign.size).reshape(sign.shape)
    weight = sign * np.maximum(size, 0.0 if floor is None else floor)
    sign = np.outer(network.bias_signs, layer.target_signs)
    return weight, sign * how.bias * uniform(seed, BIASES, head, number, sign.size).reshape(sign.shape)
