"""Memory of the in-place backends: weights by layer, and forward passes that keep their memory between batches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from array_api_compat import device as array_device

from edcore.adapters.operations import Form, Operations
from edcore.arrays import Array
from edcore.core.activations import SOFTMAX
from edcore.core.method import RMS_EPS, expand_one_hot
from edcore.core.network import Layer, Network
from edcore.core.widths import stack_names_of

KEPT = 2
"""Batch sizes whose memory is kept: that of most batches, and that of an epoch's last one."""


class StackedWeights:
    """Weights of shape (layers, heads, sources, targets), under the usual keys, and the passes that read them."""

    def __init__(self, xp: Any, arrays: dict[str, Array]) -> None:
        self.xp, self.arrays, self.passes = xp, arrays, PassPool()
        biases = {name: arrays[f"{name}.bias"] for name in stack_names_of(arrays)}
        # A layer adds one bias to each cell: where there are two bias cells, the sum of theirs.
        self.sums = {
            name: bias if bias.shape[-2] == 1 else xp.sum(bias, axis=-2, keepdims=True) for name, bias in biases.items()
        }
        # The weights and the biases of each layer, made once for all passes: views take as much as narrow layers do.
        self.layers = [
            (_one(weight), _one(bias))
            for name in biases
            for weight, bias in zip(arrays[f"{name}.weight"], self.sums[name], strict=True)
        ]

    def add_up_biases(self) -> None:
        """Renew the sums, after the biases have learnt; with no new memory."""
        for name, total in self.sums.items():
            bias = self.arrays[f"{name}.bias"]
            if bias.shape[-2] > 1:
                total[...] = bias[:, :, :1, :]
                for cell in range(1, bias.shape[-2]):
                    total += bias[:, :, cell : cell + 1, :]

    def hand_over(self) -> StackedWeights:
        """Return weights with this one's memory and passes, and go on with a copy.

        A recorded graph reads fixed addresses, so the weights that learn next must be the ones that lie there.
        """
        copies = {key: self.xp.asarray(value, copy=True) for key, value in self.arrays.items()}
        other = StackedWeights(self.xp, copies)
        self.__dict__, other.__dict__ = other.__dict__, self.__dict__
        return other


class Stack(NamedTuple):
    """The arrays (layers, heads, batch, cells) that an update reads of equal layers; `layer` is the first of them."""

    layer: Layer
    x: Array
    y: Array
    slopes: Array | None  # the factors that g has where sums were divided by their root
    signs: Array  # of the target cells
    teachers: Array | None  # of the target cells, where there are several outputs


class ForwardPass:
    """A forward pass of one batch size, in memory that it keeps.

    A pass that is traced keeps the activities of all layers, and its `stacks` are the input layer, the hidden layers
    and the output layer. Otherwise two layers take turns.
    """

    def __init__(
        self, xp: Any, ops: Operations, network: Network, weights: StackedWeights, batch: int, traced: bool
    ) -> None:
        self.network, self.batch, self.traced = network, batch, traced
        operands = [(len(layer.source_signs), len(layer.target_signs)) for layer in network.stacks]
        ops = ops.with_memory(
            network.heads * batch * max(sources for sources, _ in operands),
            network.heads * max(sources * targets for sources, targets in operands),
        )
        self._xp, self._ops, self._run, self._weights = xp, ops, ops.runner(), weights.layers
        self._like = weights.arrays["input.weight"]
        inner, output = network.layer("input"), network.layer("output")
        self._x = self._empty(1, 1, 2 * network.in_)
        self._x_of_heads = xp.broadcast_to(self._x, (1, network.heads, batch, 2 * network.in_))
        self._hidden = self._empty_layers()
        self._y = self._empty(1, network.heads, len(output.target_signs))
        self._slopes = self._empty_layers() if traced and inner.rms else None
        self._outputs = self._y[0, :, :, : network.outputs].swapaxes(0, 1)
        self._first, self._last = _one(self._x_of_heads[0, ...]), _one(self._y[0, ...])
        self._places = [_one(place) for stack in self._hidden for place in stack]
        self._slope_places = [_one(place) for stack in self._slopes or () for place in stack] or [None]
        self._root = _one(self._empty(1, network.heads, 1)[0, ...]) if inner.rms else None
        self._inner, self._outer = _form(network, inner), _form(network, output)
        self._sums = self._inner if self._root is None else Form("linear", 1.0, network.bias)
        self._scaled: list[tuple[Array, float, Array]] = []
        if ops.scales_biases(network.heads):
            self._weights = self._with_scaled_biases(weights)
        self.stacks = tuple(self._stacks()) if traced else ()

    def __call__(self, x: Array) -> Array:
        """Return the outputs (batch, columns), which stay as they are when the pass is run again."""
        both_streams = self._x[0, 0, ...]
        x = expand_one_hot(self.network, x)
        both_streams[:, : self.network.in_] = x
        both_streams[:, self.network.in_ :] = x
        if self.batch:
            self._run(self._run_layers)
        if self.network.output_activation == SOFTMAX:
            outputs = self._ops.softmax(self._outputs)
        else:
            outputs = self._xp.asarray(self._outputs, copy=True)
        return outputs.reshape(self.batch, self.network.columns)

    def _run_layers(self) -> None:
        """Compute all layers. A graph is recorded of this, so it allocates nothing and reads no value on the host."""
        layer, form, sums, root, x = self._ops.layer, self._inner, self._sums, self._root, self._first
        for biases, factor, scaled in self._scaled:
            self._xp.multiply(biases, factor, out=scaled)
        # The output layer has the last weights, and no part in the root of its sums.
        places = zip(itertools.cycle(self._places), itertools.cycle(self._slope_places), strict=False)
        for (weight, bias), (y, slope) in zip(self._weights[:-1], places, strict=False):
            layer(x, weight, bias, sums, y)
            if root is not None:
                self._divide(y, root, slope)
                self._ops.activate(form, y)
            x = y
        layer(x, *self._weights[-1], self._outer, self._last)

    def _with_scaled_biases(self, weights: StackedWeights) -> list[tuple[Array, Array]]:
        """Return the weights of each layer, and its biases as a row that is scaled at the beginning of a pass."""
        for name, biases in weights.sums.items():
            form = self._outer if name == "output" else self._sums
            scaled = self._xp.empty_like(biases)
            self._scaled.append((biases, form.slope * form.active, scaled))
        rows = (layer[0, 0, :] for _, _, scaled in self._scaled for layer in scaled)
        return [(weight, row) for (weight, _), row in zip(weights.layers, rows, strict=True)]

    def _divide(self, sums: Array, root: Array, slope: Array | None) -> None:
        """Divide a layer's sums by the root of their mean square, and keep the factor that g has from it."""
        cells = sums.shape[-1]
        self._ops.squares(sums, root)
        root *= 1 / cells
        root += RMS_EPS
        self._xp.sqrt(root, out=root)
        # Where squares overflow sums / ∞ would be a finite wrong answer: ∞ becomes NaN here, and all else stays.
        self._xp.fmod(root, math.inf, out=root)
        sums /= root
        if slope is not None:
            self._xp.multiply(sums, sums, out=slope)
            slope *= -1 / cells
            slope += 1
            slope /= root

    def _empty(self, layers: int, heads: int, cells: int) -> Array:
        shape = layers, heads, self.batch, cells
        return self._xp.empty(shape, dtype=self._like.dtype, device=array_device(self._like))

    def _empty_layers(self) -> list[Array]:
        """Return memory for the layers of hidden cells: one array for those of one width, one for each of several."""
        network, widths = self.network, self.network.widths
        if isinstance(network.width, int):
            return [self._empty(len(widths) if self.traced else min(len(widths), 2), network.heads, 2 * network.width)]
        if self.traced:
            return [self._empty(1, network.heads, 2 * width) for width in widths]
        most = network.heads * 2 * network.widest
        turns = self._empty(2, 1, most).reshape(2, self.batch * most)  # two layers take turns
        shapes = [(1, network.heads, self.batch, 2 * width) for width in widths]
        return [turns[number % 2, : math.prod(shape)].reshape(shape) for number, shape in enumerate(shapes)]

    def _stacks(self) -> Iterator[Stack]:
        """Yield the stacks of layers, with the memory of their activities."""
        xp, dtype, device = self._xp, self._like.dtype, array_device(self._like)
        sources, targets = self._by_stack(self._hidden)
        slopes = [None] * len(targets) if self._slopes is None else self._by_stack(self._slopes)[1]
        cells = zip([self._x_of_heads, *sources], [*targets, self._y], [*slopes, None], strict=True)
        for layer, (x, y, slope) in zip(self.network.stacks, cells, strict=True):
            signs, teachers = xp.asarray(layer.target_signs, dtype=dtype, device=device), None
            if self.network.outputs > 1:
                teachers = xp.asarray(layer.teachers, dtype=xp.int64, device=device)
            yield Stack(layer, x, y, slope, signs, teachers)

    def _by_stack(self, layers: list[Array]) -> tuple[list[Array], list[Array]]:
        """Return what `_empty_layers` gave as the sources of the stacks behind the input layer, and as targets."""
        if isinstance(self.network.width, int):  # one array has all layers
            return [layers[0][:-1], layers[0][-1:]], [layers[0][:1], layers[0][1:]]
        return layers, layers


class PassPool:
    """Forward passes whose memory waits for the next batch of their size."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Network, int, bool], ForwardPass] = {}

    def borrow(self, network: Network, batch: int, traced: bool) -> ForwardPass | None:
        """Return a pass that is not in use, or None."""
        return self._waiting.pop((network, batch, traced), None)

    def give_back(self, used: ForwardPass) -> None:
        """Keep a pass; of those traced, and of the others, keep the sizes that were last used."""
        self._waiting[used.network, used.batch, used.traced] = used
        alike = [key for key in list(self._waiting) if key[2] == used.traced]
        for key in alike[:-KEPT]:
            self._waiting.pop(key, None)


def _one(array: Array) -> Array:
    """Return an array (heads, …) without the axis of a single head: a plain product starts faster than batches."""
    return array[0] if array.shape[0] == 1 else array


def _form(network: Network, layer: Layer) -> Form:
    return Form(layer.activation, 2 / network.u0 if layer.activation == "sigmoid" else 1.0, network.bias)
