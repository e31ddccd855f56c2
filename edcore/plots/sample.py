"""One sample in a network: the activities of its cells, the error, and the step that ED and a gradient make of it."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arguments import whole_number
from edcore.arrays import HostWeights, to_numpy
from edcore.core.network import Network
from edcore.diagnostics.gradient import (
    backward_activation,
    backward_weights,
    descent,
    forward,
    layer_part,
    output_signal,
    outputs,
    read_out,
)
from edcore.errors import InputError, shown
from edcore.model.ed import ED

Floats: TypeAlias = npt.NDArray[Any]


class LayerWeights(NamedTuple):
    """The weights of one layer of one head, or their changes."""

    weight: Floats  # (sources, targets)
    bias: Floats  # (bias cells, targets)


class Pass(NamedTuple):
    """One sample's way through a head: forward, and what the learning method makes of the error."""

    activities: list[Floats]  # of the input cells, then of each layer
    error: Floats  # target − output, one for each output of the head
    arriving: list[Floats]  # at the cells of each layer: the error itself, or what back-propagation makes of it
    changes: list[LayerWeights]  # of each layer


def checked_head(network: Network, head: int) -> int:
    """Return the number of a head that exists."""
    head = whole_number("head", head, 0)
    if head >= network.heads:
        raise InputError("head", str(head), f"0 to {network.heads - 1}, as there are {network.heads} heads")
    return head


def one_sample(name: str, values: Any, features: int) -> Floats:
    """Return one sample as a row of finite numbers; it may be given as a row, or as an array of one row."""
    try:
        row = to_numpy(values) if hasattr(values, "shape") else np.asarray(values)
        row = row.reshape(1, -1) if row.ndim < 2 else row
        fine = row.shape == (1, features) and row.dtype.kind in "biuf" and bool(np.isfinite(row).all())
    except Exception:  # of what is no array, NumPy and other libraries raise errors of many kinds
        fine = False
    if not fine:
        given = f"shape {tuple(values.shape)}" if hasattr(values, "shape") else shown(values)
        numbers = f"{features} finite numbers" if features > 1 else "1 finite number"
        raise InputError(name, given, f"one sample, {numbers}", "Pick one: x[0] is the first of a batch.")
    return row.astype(np.float64)


def weights_of(network: Network, weights: HostWeights, head: int) -> list[LayerWeights]:
    """Return the weights of each layer of a head."""
    return [
        LayerWeights(*(layer_part(weights, layer, part)[head].astype(np.float64) for part in ("weight", "bias")))
        for layer in network.layers
    ]


def activities(network: Network, weights: HostWeights, x: Floats, head: int) -> list[Floats]:
    """Return the activities of the input cells and of each layer of a head, for one sample."""
    states = forward(network, weights, x.astype(network.dtype))
    layers = [*(state.y for state in states[1:-1]), read_out(network, states[-1].y)]
    return [states[0].y[0, 0].astype(np.float64), *(y[head, 0].astype(np.float64) for y in layers)]


def copy_of(ed: ED) -> ED:
    """Return a network with the same weights, for a picture to train, on the backend that is always there."""
    return ED.from_network(ed.network, ed.rule, seed=ed.seed, weights=ed.weights, epochs=ed.epochs, backend="numpy")


def ed_pass(ed: ED, x: Floats, target: Floats, head: int) -> Pass:
    """Return the step that ED makes."""
    network = ed.network
    if ed.rule.centred:
        fix = "Its errors less their mean are 0: take a copy with another rule."
        raise InputError("ed", "a network with a centred rule", "one that learns from a single sample", fix)
    changes = weights_of(network, ed.updates(x, target[:, 0] if network.columns == 1 else target), head)
    cells = [layer[head, 0].astype(np.float64) for layer in ed.activities(x).values()]
    error = _of_head(network, target, head) - cells[-1][: network.outputs]
    arriving = [error[list(layer.teachers)] for layer in network.layers]
    return Pass(cells, error, arriving, changes)


def gradient_pass(ed: ED, x: Floats, target: Floats, head: int) -> Pass:
    """Return the step of plain gradient descent on L = ½ Σ_k (target_k − output_k)², at the rates of ED's rule."""
    network = ed.network
    weights = {key: value.astype(np.float64) for key, value in ed.weights.items()}
    states = forward(network, weights, x)
    error = target - outputs(network, states)
    step = descent(network, weights, states, error)
    rates = {key: ed.rule.alpha_output if key.startswith("output") else ed.rule.alpha for key in step}
    changes = weights_of(network, {key: rates[key] * value for key, value in step.items()}, head)
    signals = [output_signal(network, error)]
    for number in reversed(range(1, len(network.layers))):
        layer = network.layers[number]
        sums = backward_activation(network, layer, states[number + 1], signals[0])
        signals.insert(0, backward_weights(layer, weights, sums))
    arriving = [signal[head, 0] for signal in signals]
    return Pass(activities(network, weights, x, head), _of_head(network, error, head), arriving, changes)


def _of_head(network: Network, error: Floats, head: int) -> Floats:
    return error.reshape(network.heads, network.outputs)[head]
