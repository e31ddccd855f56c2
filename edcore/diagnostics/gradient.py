"""The true gradient of an ED network, by back-propagation: what diagnostics compare ED's update with.

It is written apart from `edcore.core`, over NumPy alone, and shares no code with it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arrays import HostWeights
from edcore.core.network import Activation, Layer, Network

Floats: TypeAlias = npt.NDArray[Any]

RMS_EPS = 1e-5
"""As Fujita (2025) has it."""


class Passed(NamedTuple):
    """A layer after a forward pass, each array (heads, batch, cells)."""

    z: Floats  # what the activation was given
    y: Floats
    root: Floats | None  # what the sums were divided by, (heads, batch, 1)


def descent(network: Network, weights: HostWeights, x: Floats, error: Floats) -> HostWeights:
    """Return the direction of steepest descent, −∂L/∂W, for the loss L = ½ mean_b Σ_k (target_bk − output_bk)².

    The − output cells are not read, so their weights have no part in L.

    Parameters
    ----------
    network : Network
        The network.
    weights : dict of str to ndarray
        Its weights, as `ED.weights` has them, in any precision, which is that of the result.
    x : ndarray, shape (batch, in_)
        The inputs.
    error : ndarray, shape (batch, columns)
        target − output, for the outputs of these weights.

    Returns
    -------
    dict of str to ndarray
        Under the keys and in the shapes of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from edcore import Network
    >>> from edcore.diagnostics.gradient import descent, outputs, passed
    >>> from edcore.core.weights import initialise
    >>> network = Network(2, 3, dtype="float64")
    >>> weights, x, target = initialise(network, 1), np.ones((1, 2)), np.ones((1, 1))
    >>> error = target - outputs(network, passed(network, weights, x))
    >>> descent(network, weights, x, error)["output.weight"].shape
    (1, 6, 2)
    """
    cells = passed(network, weights, x)
    result = {key: np.zeros_like(value) for key, value in weights.items()}
    blame = at_outputs(network, error) / len(x)  # −∂L/∂y of the layer's cells
    for number in reversed(range(len(network.layers))):
        layer = network.layers[number]
        sums = through(network, layer, cells[number + 1], blame)
        own(result, layer, "weight")[...] = cells[number].y.swapaxes(-1, -2) @ sums
        own(result, layer, "bias")[...] = network.bias * sums.sum(axis=1, keepdims=True)
        if number:
            blame = back(layer, weights, sums)
    return result


def passed(network: Network, weights: HostWeights, x: Floats) -> list[Passed]:
    """Return the input cells, then those of each layer in turn, after a forward pass of x (batch, in_)."""
    cells = [entered(x)]
    for layer in network.layers:
        cells.append(onward(network, layer, weights, cells[-1]))
    return cells


def entered(x: Floats) -> Passed:
    """Return the input cells for x (batch, in_): both streams of it, for all heads."""
    both = np.concatenate([x, x], axis=1)[None]
    return Passed(both, both, None)


def onward(network: Network, layer: Layer, weights: HostWeights, sources: Passed) -> Passed:
    """Return the cells of a layer after those of the layer before it."""
    z = sources.y @ own(weights, layer, "weight")
    z = z + network.bias * own(weights, layer, "bias").sum(axis=1, keepdims=True)
    root = None
    if layer.rms:
        root = np.sqrt(np.square(z).mean(axis=-1, keepdims=True) + RMS_EPS)
        z = z / root
    return Passed(z, _activity(layer.activation, z, network.u0), root)


def outputs(network: Network, cells: list[Passed]) -> Floats:
    """Return the outputs (batch, columns) of a forward pass."""
    y = cells[-1].y[..., : network.outputs]
    return y.swapaxes(0, 1).reshape(y.shape[1], network.columns)


def at_outputs(network: Network, error: Floats) -> Floats:
    """Return the errors (batch, columns) at the output cells that they are of; 0 at the − cells, which are not read."""
    blame = np.zeros((network.heads, len(error), len(network.output_signs)), error.dtype)
    blame[..., : network.outputs] = error.reshape(len(error), network.heads, network.outputs).swapaxes(0, 1)
    return blame


def through(network: Network, layer: Layer, cells: Passed, blame: Floats) -> Floats:
    """Return −∂L/∂(x W + bias) for −∂L/∂y: back through the activation, and the division by the root."""
    z, _, root = cells
    inner = blame * derivative(layer.activation, cells, network.u0)
    if root is None:
        return inner
    # z_j = a_j / r depends on all sums of the layer: ∂z_k/∂a_j = (δ_jk − z_j z_k / n) / r.
    return (inner - z * np.mean(inner * z, axis=-1, keepdims=True)) / root


def back(layer: Layer, weights: HostWeights, sums: Floats) -> Floats:
    """Return −∂L/∂y of a layer's sources, for that of its sums."""
    return np.asarray(sums @ own(weights, layer, "weight").swapaxes(-1, -2))


def own(weights: HostWeights, layer: Layer, part: str) -> Floats:
    """Return the view of a layer's weights, or biases, of all heads: (heads, sources, targets)."""
    value = weights[f"{layer.name}.{part}"]
    return value if layer.position is None else value[:, layer.position]


def _activity(activation: Activation, z: Floats, u0: float) -> Floats:
    match activation:
        case "sigmoid":
            decay = np.exp(-2 * abs(z) / u0)
            return np.where(z < 0, decay, 1) / (1 + decay)
        case "tanh":
            return np.tanh(z)
        case "relu":
            return z * (z > 0)
        case "relu6":
            return np.clip(z, 0, 6)
        case "linear":
            return z


def derivative(activation: Activation, cells: Passed, u0: float) -> Floats:
    """Return df/dz, the sigmoid's factor 2 / u0 included."""
    z, y, _ = cells
    match activation:
        case "sigmoid":
            # From z: y (1 − y) would be 0 wherever y is rounded to 1, and the gradient behind such a layer with it.
            decay = np.exp(-2 * abs(z) / u0)
            return 2 / u0 * decay / np.square(1 + decay)
        case "tanh":
            return 1 - y * y
        case "relu":
            return (y > 0).astype(y.dtype)
        case "relu6":
            return ((y > 0) & (y < 6)).astype(y.dtype)
        case "linear":
            return np.ones_like(y)
