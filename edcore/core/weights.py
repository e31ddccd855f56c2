"""Seeded weights, the same bits for every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import real, whole_number
from edcore.arrays import HostWeights
from edcore.core.activations import ByName
from edcore.core.network import Layer, Network
from edcore.core.randomness import BIASES, WEIGHTS, Floats, half_normal, uniform
from edcore.errors import InputError, shown

DISTRIBUTIONS: ByName[Callable[[Floats], Floats]] = ByName(
    "distribution", {"half_normal": half_normal, "uniform": lambda numbers: numbers}
)
"""What makes the magnitudes of weights of uniform numbers, by `Initial.distribution`."""


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
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the initial weights (sources, targets) and biases of one head's layer, the `number`-th from the input."""
    how, draw = network.initial, DISTRIBUTIONS[network.initial.distribution]
    cells = (layer.source_signs, layer.target_signs, network.bias_signs)
    sources, targets, biases = (np.array(signs, np.float64) for signs in cells)
    scale, least = how.weight / len(sources) ** how.fan_in, 0.0 if floor is None else floor
    # Excitatory sources and inhibitory ones are two parts, as two uniform numbers make a normal one of each. They are
    # drawn block by block: all at once, the weights of a wide layer would take many times their memory.
    sources, weight = sources.reshape(2, -1), np.empty((2, len(sources) // 2, len(targets)), network.dtype)
    for rows, columns, numbers in uniform(seed, WEIGHTS, head, number, weight.shape):
        sign = sources[:, rows, None] * targets[columns]
        factor = 1.0 if layer.name == "output" else np.where(sign > 0, how.excitatory, how.inhibitory)
        weight[:, rows, columns] = sign * np.maximum(scale * factor * draw(numbers), least)
    bias = np.empty((len(biases), 1, len(targets)), network.dtype)
    for rows, columns, numbers in uniform(seed, BIASES, head, number, bias.shape):
        bias[:, rows, columns] = biases[:, None, None] * targets[columns] * how.bias * numbers
    return weight.reshape(-1, len(targets)), bias.reshape(-1, len(targets))
