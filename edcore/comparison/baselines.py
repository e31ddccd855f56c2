"""The baselines that ED is compared with: back-propagation and direct feedback alignment, on the same networks.

Both take plain gradient steps of L = ½ mean_b Σ_k (target − output)², with no momentum, over NumPy alone. Direct
feedback alignment (Nøkland 2016) differs in one thing: the output error reaches a hidden layer through a random matrix
that never changes, where back-propagation goes back through the weights. Back-propagation can also take Adam's steps
(Kingma and Ba 2015), with their usual constants.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arrays import HostWeights
from edcore.core.network import Network
from edcore.core.randomness import permutation
from edcore.diagnostics.gradient import descent, forward, layer_part, outputs

Floats: TypeAlias = npt.NDArray[Any]
Method: TypeAlias = Literal["back-propagation", "back-propagation with Adam", "direct feedback alignment"]
METHODS: tuple[Method, ...] = ("back-propagation", "direct feedback alignment")
"""The methods with plain steps, which every reproduction has."""

DECAY, SQUARE_DECAY, EPS = 0.9, 0.999, 1e-8
"""Adam's constants: of the mean of the gradients, of the mean of their squares, and the number beside the root."""

START, FEEDBACK = 101, 102
"""Purposes of random numbers, beside those of `edcore.core.randomness`."""


HOW = (
    "The baselines have the same cells and go through the same loop, with plain gradient steps and initial weights "
    "that suit those: of either sign, N(0, 1) · 2 u0 / √sources to hidden sigmoids, N(0, 1) · u0 / (2 √sources) to a "
    "sigmoid output, N(0, 1) / √sources else; biases like one more source, and such that they centre the sigmoids that "
    "are read. Direct feedback alignment has feedback from N(0, 1) / √outputs."
)
"""A note for every page."""


def rates_in_words(rates: Mapping[Method, tuple[float, float]]) -> str:
    """Return learning rates in words, each those of the hidden cells and of the output."""
    return ", ".join(f"{method} {hidden:g} and {output:g}" for method, (hidden, output) in rates.items())


def initial_weights(network: Network, seed: int, gain: float = 1.0) -> HostWeights:
    """Draw weights that suit a gradient: N(0, 1) · scale / √sources, of either sign; `gain` scales the input layer."""
    # Before a hidden sigmoid the scale is 2 u0, which is Glorot and Bengio's (2010) factor 4 for the logistic function:
    # the steepest slope is then 1. Before a sigmoid output it is u0 / 2, else 1. So neither activities nor gradients
    # fade or grow with depth, to begin with.
    random = np.random.default_rng((START, seed))
    weights = {key: np.zeros(shape, network.dtype) for key, shape in network.weight_shapes.items()}
    for layer in network.layers:
        drawn = layer_part(weights, layer, "weight")
        scale = 1.0
        if layer.activation == "sigmoid":
            scale = network.u0 / 2 if layer.name == "output" else 2 * network.u0
        scale *= (gain if layer.name == "input" else 1.0) / math.sqrt(len(layer.source_signs))
        drawn[...] = scale * random.standard_normal(drawn.shape)
        bias = layer_part(weights, layer, "bias")[:, 0]  # of several bias cells only the first has weights
        bias[...] = scale * random.standard_normal(bias.shape)
        # Sigmoids put out ½ on average. The bias of a layer that reads them takes that away.
        if network.activation == "sigmoid" and layer.name != "input" and network.bias:
            bias -= drawn.sum(axis=1) / (2 * network.bias)
    return weights


def feedback_matrices(network: Network, seed: int) -> list[Floats]:
    """Draw direct feedback alignment's matrices (heads, outputs, cells), one a hidden layer: N(0, 1) / √outputs."""
    random = np.random.default_rng((FEEDBACK, seed))
    shapes = [(network.heads, network.outputs, 2 * width) for width in network.widths]
    scale = 1 / math.sqrt(network.outputs)
    return [(random.standard_normal(shape) * scale).astype(network.dtype) for shape in shapes]


class Learner(Protocol):
    """The calls that ED and what it is compared with have in common, so that they go through one loop."""

    def fit(
        self,
        x: npt.NDArray[Any],
        target: npt.NDArray[Any],
        *,
        epochs: int = 1,
        batch_size: int = 64,
        shuffle: bool = True,
        tolerance: float = 0.0,
    ) -> object:
        """Learn all samples in batches."""
        ...

    def predict(self, x: npt.NDArray[Any]) -> Any:
        """Return the outputs for x."""
        ...

    @property
    def epochs(self) -> npt.NDArray[np.intp]:
        """The number of epochs that each head has learnt."""
        ...


class Learning(NamedTuple):
    """The heads that still learn, as a network of their own; those that have stopped are left out of what is done."""

    network: Network
    heads: npt.NDArray[np.intp]
    weights: HostWeights  # those that are trained
    fixed: list[Floats]  # what else each head has: feedback matrices, or activities that never change

    def without(self, done: npt.NDArray[np.bool_]) -> Learning:
        """Return those that go on, of which there is one at least."""
        on = ~done
        weights = {key: value[on] for key, value in self.weights.items()}
        network = replace(self.network, heads=int(on.sum()))
        return Learning(network, self.heads[on], weights, [value[on] for value in self.fixed])


class Baseline:
    """A network that learns by one of the methods, with the calls of `edcore.ED` that the reproductions use."""

    def __init__(
        self,
        network: Network,
        method: Method,
        rates: tuple[float, float],
        seed: int,
        gain: float = 1.0,
    ) -> None:
        self.network, self.seed = network, seed
        self.rates = rates  # of all layers but the output layer, and of the output layer
        self.weights = initial_weights(network, seed, gain)
        self.epochs = np.zeros(network.heads, np.intp)  # the number that each head has learnt
        self._feedback = feedback_matrices(network, seed) if method == "direct feedback alignment" else []
        self._steps, self._moments = 0, {}  # of Adam
        if method == "back-propagation with Adam":
            self._moments = {key: (np.zeros_like(value), np.zeros_like(value)) for key, value in self.weights.items()}

    def predict(self, x: Floats) -> Floats:
        """Return the outputs for x (batch, in_): (batch,) for one column, else (batch, columns)."""
        found = outputs(self.network, forward(self.network, self.weights, x.astype(self.network.dtype, copy=False)))
        return found[:, 0] if self.network.columns == 1 else found

    def fit(
        self,
        x: Floats,
        target: Floats,
        *,
        epochs: int = 1,
        batch_size: int = 64,
        shuffle: bool = True,
        tolerance: float = 0.0,
    ) -> Baseline:
        """Learn all samples in batches, as `edcore.ED.fit` does; each head stops by itself at the tolerance."""
        dtype = self.network.dtype
        x, target = x.astype(dtype, copy=False), target.reshape(len(x), -1).astype(dtype, copy=False)
        part, first = self._begin(x), int(self.epochs.max())
        for epoch in range(first, first + epochs):
            order = permutation(self.seed, epoch, len(x)) if shuffle else np.arange(len(x))
            total: Any = 0.0
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                error = self._learn(part, x, target[rows], rows)
                total = total + abs(error).sum(axis=0)
            self.epochs[part.heads] += 1
            done = total.reshape(part.network.heads, -1).sum(axis=1) < tolerance
            if done.any():
                self._keep(part)
                if done.all():
                    return self
                target, part = target[:, np.repeat(~done, part.network.outputs)], part.without(done)
        self._keep(part)
        return self

    def _begin(self, x: Floats) -> Learning:
        """Return all heads, which are about to learn these samples."""
        return Learning(self.network, np.arange(self.network.heads), self.weights, self._feedback)

    def _learn(self, part: Learning, x: Floats, target: Floats, rows: npt.NDArray[np.intp]) -> Floats:
        """Learn some rows of x, whose targets are given; return their errors (batch, columns)."""
        states = forward(part.network, part.weights, x[rows])
        error = target - outputs(part.network, states)
        step = descent(part.network, part.weights, states, error, part.fixed or None)
        if self._moments:
            self._adam(step, part.heads)
        for key, value in part.weights.items():
            value += self.rates[key.startswith("output")] * step[key]
        return error

    def _keep(self, part: Learning) -> None:
        for key, value in part.weights.items():
            self.weights[key][part.heads] = value

    def _adam(self, step: HostWeights, heads: npt.NDArray[np.intp]) -> None:
        """Turn gradients into Adam's steps of rate 1, in place."""
        self._steps += 1
        among = heads if len(heads) < self.network.heads else slice(None)  # a slice copies nothing
        unbias, square_unbias = 1 - DECAY**self._steps, 1 - SQUARE_DECAY**self._steps
        for key, value in step.items():
            mean, square = self._moments[key]
            mean[among] += (1 - DECAY) * (value - mean[among])
            square[among] += (1 - SQUARE_DECAY) * (value * value - square[among])
            root = np.sqrt(square[among] / square_unbias)
            np.divide(mean[among] / unbias, root + EPS, out=value)
