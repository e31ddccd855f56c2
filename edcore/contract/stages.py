"""Stages: consecutive layers of a network on one device, where the whole is too large or too slow for one.

A layer of the ED method needs no more than its own activities and the error of the outputs. So a stage passes on
activities, gets one number for each sample and output back, and needs no weights of another stage.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from edcore.arguments import whole_number
from edcore.arrays import Array, HostWeights
from edcore.core.network import SHARED, Network
from edcore.core.rule import Rule
from edcore.core.weights import draw_layer
from edcore.errors import InputError


@dataclass(frozen=True, slots=True)
class Stage:
    """Consecutive layers of a network.

    Parameters
    ----------
    network : Network
        The network.
    start, stop : int
        The first of the layers, and the one after the last, where 0 is the input layer, 1 the first hidden layer and
        depth + 1 the output layer.

    Examples
    --------
    >>> from edcore import Network
    >>> from edcore.contract.stages import Stage
    >>> stage = Stage(Network(in_=784, width=32, depth=4096), 0, 1025)
    >>> stage.first, stage.last, stage.depth
    (True, False, 1024)
    >>> stage.weight_shapes["hidden.weight"]
    (1, 1024, 64, 64)
    """

    network: Network
    start: int
    stop: int

    def __post_init__(self) -> None:
        layers = self.network.depth + 2
        if not 0 <= self.start < self.stop <= layers:
            raise InputError("stage", f"layers {self.start} to {self.stop}", f"some of the network's {layers} layers")

    @property
    def first(self) -> bool:
        """Whether it has the input layer."""
        return self.start == 0

    @property
    def last(self) -> bool:
        """Whether it has the output layer."""
        return self.stop == self.network.depth + 2

    @property
    def hidden(self) -> slice:
        """Its part of the hidden stack."""
        return slice(max(self.start - 1, 0), min(self.stop - 1, self.network.depth))

    @property
    def depth(self) -> int:
        """Hidden layers that it has."""
        return self.hidden.stop - self.hidden.start

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Key → shape of its weight arrays, as `Network.weight_shapes`, with no key for a layer that it has not."""
        keys, shapes = self.network.stack_names, self.network.weight_shapes
        if isinstance(self.network.width, int):
            keys = keys[not self.first : len(keys) - (not self.last)]
        else:
            keys = keys[self.start : self.stop]
        names = [f"{key}.{part}" for key in keys for part in ("weight", "bias")]
        return {
            name: (shapes[name][0], self.depth, *shapes[name][2:]) if name in SHARED else shapes[name] for name in names
        }

    @property
    def part(self) -> Network:
        """A network of its hidden layers, with an input layer and an output layer: no stage needs more than that."""
        widths = self.network.widths[self.hidden.start : self.hidden.stop + 1]
        return replace(self.network, width=widths, depth=self.depth)

    @property
    def parameters(self) -> int:
        """Number of its weights, biases included."""
        return sum(math.prod(shape) for shape in self.weight_shapes.values())

    def of(self, weights: HostWeights) -> HostWeights:
        """Return this stage's part of all weights, as views."""
        return {key: weights[key][:, self.hidden] if key in SHARED else weights[key] for key in self.weight_shapes}


class StageWorker(Protocol):
    """A stage on a device: its weights, and the activities of the batch that goes through it.

    The first stage takes x (rows, in_), the others the activities (heads, rows, cells) of the layer before. The
    last one returns the outputs (rows, columns), the others the activities of their last layer.
    """

    def begin(self, batch: int) -> None:
        """Forget the batch before, and expect one of this many samples."""
        ...

    def forward(self, rows: slice, arriving: Array) -> Array:
        """Take some rows of the batch, the next ones in order, through the layers, and return what leaves."""
        ...

    def update(self, rule: Rule, error: Array) -> None:
        """Let all layers learn from the whole batch, for error = target − output (batch, columns)."""
        ...

    def predict(self, arriving: Array) -> Array:
        """Take rows through the layers, and keep nothing of them."""
        ...

    def to_host(self) -> HostWeights:
        """Return a copy of the weights."""
        ...


@runtime_checkable
class Staged(Protocol):
    """The method that a backend adds to `edcore.contract.backend.Backend` if it can compute a stage of a network."""

    def stage(self, stage: Stage, weights: HostWeights) -> StageWorker:
        """Return the stage on this backend's device, with a copy of these weights."""
        ...


def divide(network: Network, stages: int) -> tuple[Stage, ...]:
    """Divide a network into stages of about the same number of weights, and so of about the same work.

    There are at most depth + 2 stages, the number of layers.

    Examples
    --------
    >>> from edcore import Network
    >>> from edcore.contract.stages import divide
    >>> [stage.depth for stage in divide(Network(in_=784, width=32, depth=4096), 4)]
    [1006, 1030, 1030, 1030]
    """
    layers = network.depth + 2
    if whole_number("stages", stages, 1) > layers:
        fix = "A stage has at least one layer: use fewer processes, or a deeper network."
        raise InputError("stages", str(stages), f"at most {layers}, the layers of the network", fix)
    cells = 2 * network.in_, *(2 * width for width in network.widths), len(network.output_signs)
    sizes = [sources * targets for sources, targets in itertools.pairwise(cells)]
    before = [0, *itertools.accumulate(sizes)]
    cuts = [0]
    for number in range(1, stages):
        goal = before[-1] * number / stages
        low, high = cuts[-1] + 1, layers - (stages - number)
        cuts.append(min(range(low, high + 1), key=lambda cut: abs(before[cut] - goal)))
    return tuple(Stage(network, start, stop) for start, stop in itertools.pairwise((*cuts, layers)))


def initialise_stage(stage: Stage, seed: int, floor: float | None = None) -> HostWeights:
    """Draw the initial weights of a stage: the bits that `edcore.core.weights.initialise` draws for these layers.

    The weights have the keys and shapes of ``stage.weight_shapes``. Those of other stages are never in memory.
    """
    network = stage.network
    weights: dict[str, Any] = {key: np.empty(shape, network.dtype) for key, shape in stage.weight_shapes.items()}
    for number, layer in enumerate(network.layers[stage.start : stage.stop], stage.start):
        for head in range(network.heads):
            where = (head,) if layer.position is None else (head, number - 1 - stage.hidden.start)
            weight, bias = draw_layer(network, layer, number, head, seed, floor)
            weights[f"{layer.name}.weight"][where], weights[f"{layer.name}.bias"][where] = weight, bias
    return weights


def join_weights(parts: Sequence[HostWeights]) -> HostWeights:
    """Return all weights of a network from those of its stages, in their order. Those that layers share are copied."""
    joined = {key: value for part in parts for key, value in part.items()}
    shared = {key: np.concatenate([part[key] for part in parts], axis=1) for key in SHARED if key in joined}
    return joined | shared
