"""The method, cell by cell: simple rather than fast."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edcore.arrays import Array, HostWeights
from edcore.contract.backend import ANY, Backend, known
from edcore.contract.memory import Supported, fits
from edcore.core.activations import FUNCTIONS, SOFTMAX, ByName
from edcore.core.method import RMS_EPS
from edcore.core.network import Layer, Network
from edcore.core.rule import MEAN, SPLIT, Rule

Activities = list[list[tuple[Any, Any]]]
"""For each head, the activities (batch, cells) of the input cells and of each layer, with their slopes: under rms the
factor of g from the division by the root, else 1."""


class LoopBackend(Backend):
    """The contract met with loops. Weights and activities are rounded to the network's dtype; sums are float64."""

    def __init__(self) -> None:
        from . import BACKEND

        self.info = BACKEND
        self.device = "cpu"

    def supports(self, network: Network, rule: Rule) -> Supported:
        """Return True unless it lacks a value of a field, or the network is larger than memory."""
        outputs = (*FUNCTIONS, SOFTMAX)
        has = known(network, rule, activation=FUNCTIONS, output_activation=outputs, one_hot=ANY, width=ANY)
        return fits(network, self.memory()) if has is True else has

    def from_host(self, weights: HostWeights) -> HostWeights:
        """Return a copy."""
        return {key: value.copy() for key, value in weights.items()}

    def to_host(self, weights: HostWeights) -> HostWeights:
        """Return a copy."""
        return self.from_host(weights)

    def forward(self, network: Network, weights: HostWeights, x: Array) -> Array:
        """Return the outputs, head by head and layer by layer."""
        outputs = np.empty((len(x), network.columns), network.dtype)
        for head in range(network.heads):
            y = input_cells(network, x)
            for layer in network.layers:
                y, _ = layer_cells(network, layer, head, weights, y)
            write_outputs(network, head, y, outputs)
        return outputs

    def trace(self, network: Network, weights: HostWeights, x: Array) -> tuple[Array, Activities]:
        """Return the outputs and every cell's activity."""
        outputs = np.empty((len(x), network.columns), network.dtype)
        trace: Activities = []
        for head in range(network.heads):
            y = input_cells(network, x)
            trace.append([(y, np.ones_like(y))])
            for layer in network.layers:
                trace[head].append(layer_cells(network, layer, head, weights, trace[head][-1][0]))
            write_outputs(network, head, trace[head][-1][0], outputs)
        return outputs, trace

    def update(
        self, network: Network, rule: Rule, weights: HostWeights, trace: Activities, error: Array
    ) -> HostWeights:
        """Return the weights after ΔW_ij = α · reduce_b [ x_bi · E_bij · g(y_bj) · s_j ] for every synapse."""
        return self.update_layers(network, rule, weights, trace, [error] * len(network.layers))

    def update_layers(
        self, network: Network, rule: Rule, weights: HostWeights, trace: Activities, errors: Sequence[Array]
    ) -> HostWeights:
        """Return them where each layer has an error of its own."""
        learned = self.from_host(weights)
        for head in range(network.heads):
            for number, layer in enumerate(network.layers):
                e = errors_of_cells(network, rule, layer, errors[number], head)
                x = trace[head][number][0].tolist()
                y, slope = (part.tolist() for part in trace[head][number + 1])
                bias_cells = [[network.bias] * network.n_bias] * len(x)
                alpha = rule.alpha_output if layer.name == "output" else rule.alpha
                derive = derivative(layer.activation)
                for key, sources, signs in (
                    ("weight", x, layer.source_signs),
                    ("bias", bias_cells, network.bias_signs),
                ):
                    w = learned[f"{layer.name}.{key}"][layer.where(head)]
                    for i, s_i in enumerate(signs):
                        for j, s_j in enumerate(layer.target_signs):
                            total = 0.0
                            for b in range(len(x)):
                                g = derive(y[b][j]) * slope[b][j]
                                total += sources[b][i] * credit(rule, e[j][b], s_i) * g * s_j
                            if MEAN[rule.reduction]:
                                total /= len(x)
                            w[i, j] = float(w[i, j]) + alpha * total
                            if key == "weight" and rule.floor is not None:
                                w[i, j] = s_i * s_j * max(s_i * s_j * w[i, j], w.dtype.type(rule.floor))
        return learned


def errors_of_cells(network: Network, rule: Rule, layer: Layer, error: Array, head: int) -> list[list[float]]:
    """Return the errors (cells, batch) that the target cells of one head's layer learn from."""
    e = []
    for j, teacher in enumerate(layer.teachers):
        # (batch, columns) has that of the cell's output, (heads, batch, cells) its own.
        of_cell = error[:, head * network.outputs + teacher] if error.ndim == 2 else error[head, :, j]
        column = of_cell.tolist()
        mean = math.fsum(column) / len(column) if rule.centred else 0.0
        e.append([value - mean for value in column])
    return e


def credit(rule: Rule, e: float, source_sign: int) -> float:
    """Return E, the part of the error e that a synapse of a source with this sign learns from."""
    if not SPLIT[rule.error]:
        return e
    return max(e, 0.0) if source_sign > 0 else min(e, 0.0)


def input_cells(network: Network, x: Array) -> Array:
    """Return the activities of the input cells: x for the excitatory ones, and again for the inhibitory ones."""
    y = np.empty((len(x), 2 * network.in_), network.dtype)
    for b in range(len(x)):
        for i in range(network.in_):
            value = x[b, i // network.categories]
            if network.one_hot:  # of the inputs for which this column stands, the one of this number is 1
                value = 1.0 if value == i % network.one_hot else 0.0
            y[b, i] = value
            y[b, network.in_ + i] = value
    return y


def layer_cells(network: Network, layer: Layer, head: int, weights: HostWeights, sources: Array) -> tuple[Any, Any]:
    """Return the activities f(z) of a layer's cells, with z = x W + bias, and their slopes."""
    w = weights[f"{layer.name}.weight"][layer.where(head)].tolist()
    bias = weights[f"{layer.name}.bias"][layer.where(head)].tolist()
    y, slope = (np.empty((len(sources), len(layer.target_signs)), network.dtype) for _ in range(2))
    f = activity(layer.activation)
    for b, x in enumerate(sources.tolist()):
        sums = []
        for j in range(len(layer.target_signs)):
            z = 0.0
            for i in range(len(layer.source_signs)):
                z += x[i] * w[i][j]
            for k in range(network.n_bias):
                z += network.bias * bias[k][j]
            sums.append(z)
        root = 1.0
        if layer.rms:
            root = math.sqrt(sum(a * a for a in sums) / len(sums) + RMS_EPS)
            root = root if root < math.inf else math.nan  # squares overflow: no answer is better than a wrong one
        for j, a in enumerate(sums):
            y[b, j] = f(a / root, network.u0)
            slope[b, j] = (1.0 - a * a / (len(sums) * root * root)) / root if layer.rms else 1.0
    return y, slope


def write_outputs(network: Network, head: int, y: Array, outputs: Array) -> None:
    """Write a head's outputs: its excitatory output cells, or the softmax over them."""
    for b in range(len(y)):
        read = y[b, : network.outputs].tolist()
        if network.output_activation == SOFTMAX:
            read = softmax(read)
        for k in range(network.outputs):
            outputs[b, head * network.outputs + k] = read[k]


def softmax(z: list[float]) -> list[float]:
    """Return exp(z_k) / Σ_k exp(z_k), without overflow: the largest z is subtracted from all, which changes nothing."""
    exponentials = [math.exp(z_k - max(z)) for z_k in z]
    return [exponential / sum(exponentials) for exponential in exponentials]


def sigmoid(t: float) -> float:
    """Return 1 / (1 + exp(−t)), without overflow."""
    if t >= 0.0:
        return 1.0 / (1.0 + math.exp(-t))
    return math.exp(t) / (1.0 + math.exp(t))


ACTIVATE: ByName[Callable[[float, float], float]] = ByName(
    "activation",
    {
        "sigmoid": lambda z, u0: sigmoid(2.0 * z / u0),
        "tanh": lambda z, u0: math.tanh(z),
        "relu": lambda z, u0: max(z, 0.0),
        "relu6": lambda z, u0: min(max(z, 0.0), 6.0),
        "linear": lambda z, u0: z,
    },
)
"""f(z) of each activation of the library's own."""

DERIVE: ByName[Callable[[float], float]] = ByName(
    "activation",
    {
        "sigmoid": lambda y: y * (1.0 - y),
        "tanh": lambda y: 1.0 - y * y,
        "relu": lambda y: 1.0 if y > 0.0 else 0.0,
        "relu6": lambda y: 1.0 if 0.0 < y < 6.0 else 0.0,
        "linear": lambda y: 1.0,
    },
)
"""g(y): the derivative of f, from its value y, but for the sigmoid's factor 2 / u0."""


def activity(activation: str) -> Callable[[float, float], float]:
    """Return the f of an activation; one that was registered is called for each number alone, in float64."""
    if activation in ACTIVATE:
        return ACTIVATE[activation]
    f = FUNCTIONS[activation].f
    return lambda z, u0: alone(f, z, u0)


def derivative(activation: str) -> Callable[[float], float]:
    """Return the g of an activation, likewise."""
    if activation in DERIVE:
        return DERIVE[activation]
    g = FUNCTIONS[activation].g
    return lambda y: alone(g, y)


def alone(function: Callable[..., Any], value: float, *others: float) -> float:
    """Return the value of a function of arrays for one number."""
    with np.errstate(all="ignore"):
        return float(function(np.asarray([value]), *others)[0])
