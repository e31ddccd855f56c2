"""The method, cell by cell. Nothing here is fast, and nothing is clever."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edcore.backend import Array, Backend, HostWeights, Supported, fits
from edcore.network import Layer, Network, Rule

Activities = list[list[Any]]
"""For each head, the activities of the input cells and of each layer: arrays (batch, cells)."""


class LoopBackend(Backend):
    """The contract met with loops. Weights and activities are rounded to the network's dtype, sums are not."""

    def __init__(self) -> None:
        from . import BACKEND

        self.info = BACKEND
        self.device = "cpu"

    def supports(self, network: Network, rule: Rule) -> Supported:
        """Return True unless the network is larger than memory."""
        return fits(network, self.memory())

    def from_host(self, weights: HostWeights) -> HostWeights:
        """Return a copy."""
        return {key: value.copy() for key, value in weights.items()}

    def to_host(self, weights: HostWeights) -> HostWeights:
        """Return a copy."""
        return self.from_host(weights)

    def forward(self, network: Network, weights: HostWeights, x: Array) -> Array:
        """Return the outputs, one head after another, one layer after another."""
        outputs = np.empty((len(x), network.heads), network.dtype)
        for head in range(network.heads):
            y = input_cells(network, x)
            for layer in network.layers:
                y = activities(network, layer, head, weights, y)
            outputs[:, head] = y[:, 0]
        return outputs

    def trace(self, network: Network, weights: HostWeights, x: Array) -> tuple[Array, Activities]:
        """Return the outputs and every cell's activity."""
        outputs = np.empty((len(x), network.heads), network.dtype)
        trace: Activities = []
        for head in range(network.heads):
            trace.append([input_cells(network, x)])
            for layer in network.layers:
                trace[head].append(activities(network, layer, head, weights, trace[head][-1]))
            outputs[:, head] = trace[head][-1][:, 0]
        return outputs, trace

    def update(
        self, network: Network, rule: Rule, weights: HostWeights, trace: Activities, error: Array
    ) -> HostWeights:
        """Return the weights after ΔW_ij = α · reduce_b [ x_bi · E_bij · g(y_bj) · s_j ] for every synapse."""
        learned = self.from_host(weights)
        for head in range(network.heads):
            e = error[:, head].tolist()
            for number, layer in enumerate(network.layers):
                x, y = trace[head][number].tolist(), trace[head][number + 1].tolist()
                ones = [[1.0] * network.n_bias] * len(x)  # the activity of the bias cells
                alpha = rule.alpha_output if layer.name == "output" else rule.alpha
                for key, sources, signs in (("weight", x, layer.source_signs), ("bias", ones, network.bias_signs)):
                    w = learned[f"{layer.name}.{key}"][layer.where(head)]
                    for i, s_i in enumerate(signs):
                        for j, s_j in enumerate(layer.target_signs):
                            total = 0.0
                            for b in range(len(x)):
                                g = y[b][j] * (1.0 - y[b][j])
                                total += sources[b][i] * credit(rule, e[b], s_i) * g * s_j
                            if rule.reduction == "mean":
                                total /= len(x)
                            w[i, j] = float(w[i, j]) + alpha * total
        return learned


def credit(rule: Rule, e: float, source_sign: int) -> float:
    """Return E, the part of the error e that a synapse of a source with this sign learns from."""
    if rule.error == "signed":
        return e
    return max(e, 0.0) if source_sign > 0 else min(e, 0.0)


def input_cells(network: Network, x: Array) -> Array:
    """Return the activities of the input cells: x for the excitatory ones, and again for the inhibitory ones."""
    y = np.empty((len(x), 2 * network.in_), network.dtype)
    for b in range(len(x)):
        for i in range(network.in_):
            y[b, i] = x[b, i]
            y[b, network.in_ + i] = x[b, i]
    return y


def activities(network: Network, layer: Layer, head: int, weights: HostWeights, sources: Array) -> Array:
    """Return the activities f(z) of a layer's cells, with z = x W + bias."""
    w = weights[f"{layer.name}.weight"][layer.where(head)].tolist()
    bias = weights[f"{layer.name}.bias"][layer.where(head)].tolist()
    y = np.empty((len(sources), len(layer.target_signs)), network.dtype)
    for b, x in enumerate(sources.tolist()):
        for j in range(len(layer.target_signs)):
            z = 0.0
            for i in range(len(layer.source_signs)):
                z += x[i] * w[i][j]
            for k in range(network.n_bias):
                z += bias[k][j]
            y[b, j] = sigmoid(2.0 * z / network.u0)
    return y


def sigmoid(t: float) -> float:
    """Return 1 / (1 + exp(−t)), without overflow."""
    if t >= 0.0:
        return 1.0 / (1.0 + math.exp(-t))
    return math.exp(t) / (1.0 + math.exp(t))
