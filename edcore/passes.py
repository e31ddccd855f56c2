"""The memory of `edcore.stacked`: the weights by layer, and forward passes that are made once and run many times."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from array_api_compat import device as array_device

from edcore.backend import Array
from edcore.network import Network

if TYPE_CHECKING:
    from edcore.stacked import Operations

__all__ = ["Pass", "Passes", "StackedWeights"]

LAYERS = ("input", "hidden", "output")

KEPT = 2
"""Batch sizes whose memory is kept: that of most batches, and that of an epoch's last one."""


class StackedWeights:
    """Weights of shape (layers, heads, sources, targets), and the passes that read them.

    Parameters
    ----------
    xp : module
        The array library's namespace.
    arrays : dict of str to array
        The weights, under the keys of `Network.weight_shapes`.
    """

    def __init__(self, xp: Any, arrays: dict[str, Array]) -> None:
        self.xp, self.arrays, self.passes = xp, arrays, Passes()
        biases = {name: arrays[f"{name}.bias"] for name in LAYERS}
        # A layer adds one bias to each cell: where there are two bias cells, the sum of theirs.
        self._sums = {
            name: bias if bias.shape[-2] == 1 else xp.sum(bias, axis=-2, keepdims=True) for name, bias in biases.items()
        }
        # The weights and the biases of each layer, made once for all passes: views take as much as narrow layers do.
        self.layers = [
            (_one(weight), _one(bias))
            for name in LAYERS
            for weight, bias in zip(arrays[f"{name}.weight"], self._sums[name], strict=True)
        ]

    def add_up_biases(self) -> None:
        """Renew the sums, after the biases have learnt; with no new memory."""
        for name, total in self._sums.items():
            bias = self.arrays[f"{name}.bias"]
            if bias.shape[-2] > 1:
                total[...] = bias[:, :, :1, :]
                for cell in range(1, bias.shape[-2]):
                    total += bias[:, :, cell : cell + 1, :]

    def moved(self) -> StackedWeights:
        """Return weights with this one's memory and passes, and go on with a copy."""
        copies = {key: self.xp.asarray(value, copy=True) for key, value in self.arrays.items()}
        other = StackedWeights(self.xp, copies)
        self.__dict__, other.__dict__ = other.__dict__, self.__dict__
        return other


class Pass:
    """A forward pass of one batch size, in memory of its own.

    Parameters
    ----------
    xp : module
        The array library's namespace.
    ops : Operations
        The library's operations.
    network : Network
        The shape.
    weights : StackedWeights
        The weights, whose memory it reads.
    batch : int
        Samples in a batch.
    traced : bool
        Keep the activities of all layers, and not of two in turn.

    Attributes
    ----------
    x, hidden, y : array
        The activities of the input cells, of the input layer and the hidden layers, and of the output layer, of shape
        (layers, heads, batch, cells).
    signs : dict of str to array
        The signs of the target cells of each stack of layers.
    """

    def __init__(
        self, xp: Any, ops: Operations, network: Network, weights: StackedWeights, batch: int, traced: bool
    ) -> None:
        self.network, self.batch, self.traced = network, batch, traced
        like = weights.arrays["input.weight"]

        def empty(layers: int, heads: int, cells: int) -> Array:
            return xp.empty((layers, heads, batch, cells), dtype=like.dtype, device=array_device(like))

        layers, heads = network.depth + 1, network.heads
        self._x = empty(1, 1, len(network.input_signs))
        self.x = xp.broadcast_to(self._x, (1, heads, batch, len(network.input_signs)))
        self.hidden = empty(layers if traced else min(layers, 2), heads, len(network.hidden_signs))
        self.y = empty(1, heads, len(network.output_signs))
        self._first, self._last = _one(self.x[0, ...]), _one(self.y[0, ...])
        self._places, self._weights = [_one(place) for place in self.hidden], weights.layers
        self.signs = {
            name: xp.asarray(signs, dtype=like.dtype, device=array_device(like))
            for name, signs in zip(
                LAYERS, (network.hidden_signs, network.hidden_signs, network.output_signs), strict=True
            )
        }
        self._xp, self._layer, self._slope, self._play = xp, ops.layer, 2 / network.u0, ops.player()

    def __call__(self, x: Array) -> Array:
        """Return the outputs (batch, heads), which stay as they are when the pass is run again."""
        both_streams = self._x[0, 0, ...]
        both_streams[:, : self.network.in_] = x
        both_streams[:, self.network.in_ :] = x
        if self.batch:
            self._play(self._through_the_layers)
        return self._xp.asarray(self.y[0, :, :, 0].T, copy=True)

    def _through_the_layers(self) -> None:
        layer, slope, x = self._layer, self._slope, self._first
        hidden = itertools.islice(itertools.cycle(self._places), self.network.depth + 1)
        for (weight, bias), y in zip(self._weights, itertools.chain(hidden, [self._last]), strict=True):
            layer(x, weight, bias, slope, y)
            x = y


class Passes:
    """Passes whose memory waits for the next batch of their size."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Network, int, bool], Pass] = {}

    def take(self, network: Network, batch: int, traced: bool) -> Pass | None:
        """Return a pass that nobody uses, if there is one."""
        return self._waiting.pop((network, batch, traced), None)

    def put(self, made: Pass) -> None:
        """Keep a pass; of each kind, those of the sizes that were last used."""
        self._waiting[made.network, made.batch, made.traced] = made
        alike = [key for key in list(self._waiting) if key[2] == made.traced]
        for key in alike[:-KEPT]:
            self._waiting.pop(key, None)


def _one(array: Array) -> Array:
    """Return an array (heads, …) without the axis of a single head: a plain product takes less time to start."""
    return array[0] if array.shape[0] == 1 else array
