"""The true gradient of an ED network, by back-propagation; diagnostics compare ED's update with it.

Over NumPy alone. It shares no code with `edcore.core` but the activations, so that the tests can compare the two.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arrays import HostWeights
from edcore.core.activations import ACTIVATIONS, SOFTMAX, Activation, activity, derivative, softmax
from edcore.core.network import Layer, Network

Floats: TypeAlias = npt.NDArray[Any]

RMS_EPS = 1e-5
"""As in Fujita (2025)."""


STEP = 6e-6
"""The cube root of float64's unit of rounding, with which a difference is closest to a derivative."""


class LayerState(NamedTuple):
    """A layer after a forward pass, each array (heads, batch, cells)."""

    z: Floats  # the input of the activation
    y: Floats  # its output
    root: Floats | None  # the root by which the sums were divided, (heads, batch, 1)


def descent(
    network: Network,
    weights: HostWeights,
    states: list[LayerState],
    error: Floats,
    feedback: list[Floats] | None = None,
) -> HostWeights:
    """Return the direction of steepest descent, −∂L/∂W, for the loss L = ½ mean_b Σ_k (target_bk − output_bk)².

    With softmax it is the cross-entropy L = −mean_b Σ_k target_bk log output_bk, for targets that add up to 1.

    With `feedback`, one matrix (heads, outputs, cells) for each layer but the last, it is the direction of direct
    feedback alignment (Nøkland 2016): the output error reaches each hidden layer through its matrix.
    """
    result = {key: np.zeros_like(value) for key, value in weights.items()}
    at_outputs = signal = output_signal(network, error) / len(error)
    for number in reversed(range(len(network.layers))):
        layer = network.layers[number]
        if feedback is not None and number < len(feedback):
            signal = at_outputs[..., : network.outputs] @ feedback[number]
        sums = backward_activation(network, layer, states[number + 1], signal)
        layer_part(result, layer, "weight")[...] = states[number].y.swapaxes(-1, -2) @ sums
        layer_part(result, layer, "bias")[...] = network.bias * sums.sum(axis=1, keepdims=True)
        if feedback is None and number:
            signal = backward_weights(layer, weights, sums)
    return result


def forward(network: Network, weights: HostWeights, x: Floats) -> list[LayerState]:
    """Return the input cells and then the state of each layer in turn, for x (batch, in_)."""
    states = [input_state(network, x)]
    for layer in network.layers:
        states.append(forward_layer(network, layer, weights, states[-1]))
    return states


def input_state(network: Network, x: Floats) -> LayerState:
    """Return the input cells for x: both streams of it, for all heads."""
    if network.one_hot:
        x = np.eye(network.one_hot, dtype=x.dtype)[x.astype(np.intp)].reshape(len(x), network.in_)
    both = np.concatenate([x, x], axis=1)[None]
    return LayerState(both, both, None)


def forward_layer(network: Network, layer: Layer, weights: HostWeights, sources: LayerState) -> LayerState:
    """Return the state of a layer, from that of the layer before it."""
    z = sources.y @ layer_part(weights, layer, "weight")
    z = z + network.bias * layer_part(weights, layer, "bias").sum(axis=1, keepdims=True)
    root = None
    if layer.rms:
        root = np.sqrt(np.square(z).mean(axis=-1, keepdims=True) + RMS_EPS)
        root = root + 0 * root  # NaN where squares overflow, as z / ∞ would be a finite wrong answer
        z = z / root
    with np.errstate(over="ignore"):  # exp of a saturated sigmoid; the activity is 0 then
        return LayerState(z, activity(layer.activation, z, network.u0), root)


def outputs(network: Network, states: list[LayerState]) -> Floats:
    """Return the outputs (batch, columns) of a forward pass."""
    y = read_out(network, states[-1].y)[..., : network.outputs]
    return y.swapaxes(0, 1).reshape(y.shape[1], network.columns)


def read_out(network: Network, y: Floats) -> Floats:
    """Return the output cells, with the excitatory ones as they are read: with softmax as probabilities."""
    if network.output_activation != SOFTMAX:
        return y
    read = network.outputs
    return np.concatenate([softmax(y[..., :read]), y[..., read:]], axis=-1)


def output_signal(network: Network, error: Floats) -> Floats:
    """Return the errors (batch, columns) at their output cells, and 0 at the − cells, which are not outputs."""
    signal = np.zeros((network.heads, len(error), len(network.output_signs)), error.dtype)
    signal[..., : network.outputs] = error.reshape(len(error), network.heads, network.outputs).swapaxes(0, 1)
    return signal


def backward_activation(network: Network, layer: Layer, state: LayerState, signal: Floats) -> Floats:
    """Return −∂L/∂(x W + bias) for −∂L/∂y: back through the activation, and the division by the root."""
    z, _, root = state
    inner = signal * slope(layer.activation, state, network.u0)
    if root is None:
        return inner
    # z_j = a_j / r depends on all sums of the layer: ∂z_k/∂a_j = (δ_jk − z_j z_k / n) / r.
    return (inner - z * np.mean(inner * z, axis=-1, keepdims=True)) / root


def backward_weights(layer: Layer, weights: HostWeights, sums: Floats) -> Floats:
    """Return −∂L/∂y of a layer's sources, for that of its sums."""
    return np.asarray(sums @ layer_part(weights, layer, "weight").swapaxes(-1, -2))


def layer_part(weights: HostWeights, layer: Layer, part: str) -> Floats:
    """Return the view of a layer's weights, or biases, of all heads: (heads, sources, targets)."""
    value = weights[f"{layer.name}.{part}"]
    return value if layer.position is None else value[:, layer.position]


def slope(activation: Activation, state: LayerState, u0: float) -> Floats:
    """Return df/dz, with the sigmoid's factor 2 / u0, which the update rule leaves out."""
    if activation == "sigmoid":
        # From z: y (1 − y) would be 0 wherever y is rounded to 1, and the gradient behind such a layer with it.
        decay = np.exp(-2 * abs(state.z) / u0)
        return 2 / u0 * decay / np.square(1 + decay)
    if activation in ACTIVATIONS:
        return np.asarray(derivative(activation, state.y))
    # The g of one that was registered need not be its derivative. Central differences are right to about 1e-10.
    z = state.z.astype(np.float64)
    step = STEP * np.maximum(abs(z), 1)
    with np.errstate(over="ignore"):
        rise = activity(activation, z + step, u0) - activity(activation, z - step, u0)
    return np.asarray(rise / (2 * step), state.z.dtype)
