"""What ED is compared with: back-propagation and direct feedback alignment, on networks of the same shape.

Both take plain gradient steps of L = ½ mean_b Σ_k (target − output)², with no momentum, over NumPy alone. Direct
feedback alignment (Nøkland 2016) differs in one thing: a hidden layer's cells are blamed with the output error times a
random matrix of their own that never changes, where back-propagation goes back through the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arrays import HostWeights
from edcore.core.network import Network
from edcore.core.randomness import permutation
from edcore.diagnostics.gradient import Passed, at_outputs, back, outputs, own, passed, through

Floats: TypeAlias = npt.NDArray[Any]
Method: TypeAlias = Literal["back-propagation", "direct feedback alignment"]
METHODS: tuple[Method, ...] = ("back-propagation", "direct feedback alignment")

START, FEEDBACK = 101, 102
"""Purposes of random numbers, beside those of `edcore.core.randomness`."""


HOW = (
    "The peers have the same cells and go through the same loop, with plain gradient steps and initial weights that "
    "suit those: of either sign, N(0, 1) · 2 u0 / √sources to hidden sigmoids, N(0, 1) · u0 / (2 √sources) to a "
    "sigmoid output, N(0, 1) / √sources else; biases like one more source, and such that they centre the sigmoids that "
    "are read. Direct feedback alignment has feedback from N(0, 1) / √outputs."
)
"""Said on every page."""


def stated(rates: Mapping[Method, tuple[float, float]]) -> str:
    """Return learning rates in words, each those of the hidden cells and of the output."""
    return ", ".join(f"{method} {hidden:g} and {output:g}" for method, (hidden, output) in rates.items())


def initial(network: Network, seed: int, gain: float = 1.0) -> HostWeights:
    """Draw weights that suit a gradient: N(0, 1) · scale / √sources, of either sign, and biases like one more source.

    The scale is 1; before a sigmoid of the output u0 / 2, in units of its width; and before a hidden sigmoid 2 u0,
    which is Glorot and Bengio's (2010) factor 4 for the logistic function: the steepest slope is then 1. Sigmoids put
    out ½ on average, so the bias of what reads them also has −½ Σ_i W_ij. Neither activities nor gradients fade or grow
    with depth, to begin with.

    Parameters
    ----------
    network : Network
        The shape of the weights.
    seed : int
        The seed.
    gain : float
        Factor of the input layer's weights and biases.

    Returns
    -------
    dict of str to ndarray
        The weights under the keys and in the shapes of ``network.weight_shapes``, in its dtype.
    """
    random = np.random.default_rng((START, seed))
    weights = {key: np.zeros(shape, network.dtype) for key, shape in network.weight_shapes.items()}
    for layer in network.layers:
        drawn = own(weights, layer, "weight")
        scale = 1.0
        if layer.activation == "sigmoid":
            scale = network.u0 / 2 if layer.name == "output" else 2 * network.u0
        scale *= (gain if layer.name == "input" else 1.0) / math.sqrt(len(layer.source_signs))
        drawn[...] = scale * random.standard_normal(drawn.shape)
        bias = own(weights, layer, "bias")[:, 0]  # of the bias cells the first does for all
        bias[...] = scale * random.standard_normal(bias.shape)
        if network.activation == "sigmoid" and layer.name != "input" and network.bias:
            bias -= drawn.sum(axis=1) / (2 * network.bias)
    return weights


def feedback(network: Network, seed: int) -> list[Floats]:
    """Draw direct feedback alignment's matrices (heads, outputs, cells), one a hidden layer: N(0, 1) / √outputs."""
    random = np.random.default_rng((FEEDBACK, seed))
    shape = (network.heads, network.outputs, len(network.hidden_signs))
    scale = 1 / math.sqrt(network.outputs)
    return [(random.standard_normal(shape) * scale).astype(network.dtype) for _ in network.layers[:-1]]


def direction(
    network: Network, weights: HostWeights, cells: list[Passed], error: Floats, random: list[Floats] | None = None
) -> HostWeights:
    """Return the direction in which the weights go, from a forward pass that is at hand.

    Parameters
    ----------
    network : Network
        The network.
    weights : dict of str to ndarray
        Its weights.
    cells : list of Passed
        The forward pass of these weights.
    error : ndarray, shape (batch, columns)
        target − output.
    random : list of ndarray, optional
        The matrices of `feedback`. Left out, it is back-propagation: the result is that of `edcore.diagnostics.gradient.descent`.

    Returns
    -------
    dict of str to ndarray
        Under the keys and in the shapes of the weights.
    """
    result = {key: np.zeros_like(value) for key, value in weights.items()}
    at_last = at_outputs(network, error / len(error))
    blame = at_last
    for number in reversed(range(len(network.layers))):
        layer = network.layers[number]
        if random is not None and number < len(random):
            blame = at_last[..., : network.outputs] @ random[number]
        sums = through(network, layer, cells[number + 1], blame)
        own(result, layer, "weight")[...] = cells[number].y.swapaxes(-1, -2) @ sums
        own(result, layer, "bias")[...] = network.bias * sums.sum(axis=1, keepdims=True)
        if random is None and number:
            blame = back(layer, weights, sums)
    return result


class Peer:
    """A network that learns by one of the two, with those calls of `edcore.ED` that the reproductions use.

    Parameters
    ----------
    network : Network
        Its shape and its cells; the initial weights are those of `initial`.
    method : {"back-propagation", "direct feedback alignment"}
        How it learns.
    rates : tuple of float
        Learning rates: that of the input layer and the hidden layers, and that of the output layer.
    seed : int
        Seed of the initial weights, the feedback and the shuffling.
    gain : float
        As for `initial`.

    Attributes
    ----------
    network : Network
        As given.
    weights : dict of str to ndarray
        Its present weights.
    epochs : ndarray of intp, shape (heads,)
        Epochs that each head has learnt.
    """

    def __init__(
        self, network: Network, method: Method, rates: tuple[float, float], seed: int, gain: float = 1.0
    ) -> None:
        self.network, self.rates, self.seed = network, rates, seed
        self.weights = initial(network, seed, gain)
        self.epochs = np.zeros(network.heads, np.intp)
        self._random = feedback(network, seed) if method == "direct feedback alignment" else None

    def predict(self, x: Floats) -> Floats:
        """Return the outputs for x (batch, in_): (batch,) for one column, else (batch, columns)."""
        found = outputs(self.network, passed(self.network, self.weights, x.astype(self.network.dtype, copy=False)))
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
    ) -> Peer:
        """Learn all samples in batches, as `edcore.ED.fit` does; each head stops by itself at the tolerance.

        Parameters
        ----------
        x : ndarray, shape (samples, in_)
            The inputs.
        target : ndarray, shape (samples,) for one column, else (samples, columns)
            What the outputs should be.
        epochs, batch_size, shuffle, tolerance
            As for `edcore.ED.fit`.

        Returns
        -------
        Peer
            The network itself.
        """
        network, weights, random, dtype = self.network, self.weights, self._random, self.network.dtype
        x, target = x.astype(dtype, copy=False), target.reshape(len(x), -1).astype(dtype, copy=False)
        heads = np.arange(network.heads)  # those that still learn; the others are left out of all that is computed
        first = int(self.epochs.max())
        for epoch in range(first, first + epochs):
            order = permutation(self.seed, epoch, len(x)) if shuffle else np.arange(len(x))
            total: Any = 0.0
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                cells = passed(network, weights, x[rows])
                error = target[rows] - outputs(network, cells)
                step = direction(network, weights, cells, error, random)
                for key, value in weights.items():
                    value += self.rates[key.startswith("output")] * step[key]
                total = total + abs(error).sum(axis=0)
            self.epochs[heads] += 1
            done = total.reshape(network.heads, -1).sum(axis=1) < tolerance
            if done.any():
                self._keep(heads, weights)
                heads, weights = heads[~done], {key: value[~done] for key, value in weights.items()}
                random = random and [matrices[~done] for matrices in random]
                target = target[:, np.repeat(~done, network.outputs)]
                if not len(heads):
                    break
                network = replace(network, heads=len(heads))
        self._keep(heads, weights)
        return self

    def _keep(self, heads: npt.NDArray[np.intp], weights: HostWeights) -> None:
        for key, value in weights.items():
            self.weights[key][heads] = value
