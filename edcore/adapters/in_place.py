"""The method in place: whole stacks of layers, in memory that stays where it is, for libraries that write into arrays.

It computes the formulas of `edcore.core.method`, with no new array for each result: a device can then record the work
of all layers once and replay it. The few operations whose form differs between libraries are `Operations`; all else is
the same for PyTorch, for CuPy, and for NumPy, over which the tests run it.

Inside, the layers are the first axis, then the heads, so that a layer's weights lie together. The input layer and the
output layer are stacks of one layer.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from edcore.adapters.array_api import ArrayAPIBackend
from edcore.adapters.in_place_memory import ForwardPass, PassPool, Stack, StackedWeights
from edcore.adapters.operations import Operations
from edcore.arrays import Array, HostWeights, to_numpy
from edcore.contract.backend import BackendInfo
from edcore.core.network import SHARED, Layer, Network
from edcore.core.rule import MEAN, SPLIT, Rule
from edcore.interrupts import uninterrupted


class InPlaceBackend(ArrayAPIBackend):
    """The contract met in place.

    Parameters
    ----------
    namespace, device, info
        As for `ArrayAPIBackend`.
    operations : Operations
        The library's operations on that device.
    """

    has_several_widths = True

    def __init__(self, namespace: Any, device: Any, info: BackendInfo, operations: Operations) -> None:
        super().__init__(namespace, device, info)
        self._ops = operations
        self.activations = operations.activations

    def from_host(self, weights: HostWeights) -> StackedWeights:
        """Return a copy on the device, the layers first."""
        with self._computing():
            arrays = {key: self.on_device(_layers_first(key, value)) for key, value in weights.items()}
            return StackedWeights(self.namespace, arrays)

    def to_host(self, weights: StackedWeights) -> HostWeights:
        """Return the weights as NumPy arrays."""
        with self._computing():
            host = {key: to_numpy(value) for key, value in weights.arrays.items()}
        return {
            key: np.array(value.swapaxes(0, 1) if key in SHARED else value[0], order="C") for key, value in host.items()
        }

    def copy(self, weights: StackedWeights) -> StackedWeights:
        """Return the weights where they are, with the graphs that were recorded there; those given go on in a copy."""
        with self._computing():
            return weights.hand_over()

    def forward(self, network: Network, weights: StackedWeights, x: Array) -> Array:
        """Return the outputs; the memory of two layers takes turns."""
        with self._computing():
            outputs, used = self._run(network, weights, x, traced=False)
            weights.passes.give_back(used)
        return outputs

    def trace(self, network: Network, weights: StackedWeights, x: Array) -> tuple[Array, _Lent]:
        """Return the outputs, and the pass with the activities of all layers."""
        with self._computing():
            outputs, used = self._run(network, weights, x, traced=True)
        return outputs, _Lent(used, weights.passes)

    def update(
        self, network: Network, rule: Rule, weights: StackedWeights, trace: _Lent, error: Array
    ) -> StackedWeights:
        """Return the same weights after an update in place."""
        with self._computing():
            # All memory is taken before the first weight changes: if there is too little, no weight has changed.
            parts = list(self._parts(network, rule, weights, trace.used, self.on_device(error)))
            with uninterrupted():  # half an update would be neither the weights before nor those after it
                try:
                    for part in parts:
                        self._learn(part)
                finally:
                    weights.add_up_biases()
        trace.pool.give_back(trace.used)
        return weights

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        with self.exact(), self._ops.computing():
            yield

    def _run(self, network: Network, weights: StackedWeights, x: Array, traced: bool) -> tuple[Array, ForwardPass]:
        forward = weights.passes.borrow(network, x.shape[0], traced)
        if forward is None:
            forward = ForwardPass(self.namespace, self._ops, network, weights, x.shape[0], traced)
        return forward(self.on_device(x)), forward

    def _parts(
        self, network: Network, rule: Rule, weights: StackedWeights, used: ForwardPass, error: Array
    ) -> Iterator[_Part]:
        """Yield the synapses that learn from one E: of each stack of layers, those of all sources, or of one sign."""
        xp, e = self.namespace, self._errors(network, rule, error)
        for stack in used.stacks:
            layer, y = stack.layer, stack.y
            alpha = rule.alpha_output if layer.name == "output" else rule.alpha
            layers = min(len(y), max(1, self._ops.slab // math.prod(y.shape[1:])))
            weight, bias = weights.arrays[f"{layer.name}.weight"], weights.arrays[f"{layer.name}.bias"]
            delta, rows = self._empty(y, layers), self._empty(y[:, :, :1, :], layers)
            product = self._empty(weight, layers) if self._ops.needs_product_memory(used.batch) else None
            ops = self._ops.with_memory(layers * math.prod(stack.x.shape[1:]), math.prod(delta.shape))
            for sign, credited in _errors_by_source(xp, rule, e):
                errors = credited if stack.teachers is None else xp.take(credited, stack.teachers, axis=-1)
                factor = errors * (alpha * stack.signs)
                runs = _runs(layer.source_signs, sign), _runs(network.bias_signs, sign)
                limits = [] if rule.floor is None else self._limits(layer, sign, rule.floor, weight)
                yield _Part(stack, factor, weight, bias, network.bias, *runs, limits, delta, product, rows, ops)

    def _errors(self, network: Network, rule: Rule, error: Array) -> Array:
        """Return the errors that are added up over the batch, as (1, heads, batch, outputs)."""
        if rule.centred:
            error = error - self.namespace.mean(error, axis=0, keepdims=True)
        e = error / len(error) if MEAN[rule.reduction] else error
        return e.reshape(1, len(error), network.heads, network.outputs).swapaxes(1, 2)

    def _limits(self, layer: Layer, sign: int, floor: float, weight: Array) -> list[_Limit]:
        """Return the limits that keep the weights of sources of this sign (0: of all) at the floor or beyond it."""
        xp = self.namespace
        return [
            _Limit(
                *(sources, targets, xp.maximum if s_i == s_j else xp.minimum),
                xp.full((), s_i * s_j * floor, dtype=weight.dtype, device=self._device),
            )
            for s_i, s_j in itertools.product((sign,) if sign else (1, -1), (1, -1))
            for sources in _runs(layer.source_signs, s_i)
            for targets in _runs(layer.target_signs, s_j)
        ]

    def _empty(self, like: Array, layers: int) -> Array:
        return self.namespace.empty((layers, *like.shape[1:]), dtype=like.dtype, device=self._device)

    def _learn(self, part: _Part) -> None:
        """Add the batch's part to the weights, a slab of layers at a time."""
        stack = part.stack
        for start in range(0, len(stack.y), max(1, len(part.delta))):
            slab = slice(start, start + len(part.delta))
            x, y, weight, bias = stack.x[slab], stack.y[slab], part.weight[slab], part.bias[slab]
            delta, rows = part.delta[: len(y)], part.rows[: len(y)]
            self._ops.delta(stack.layer.activation, part.factor, y, delta)
            if stack.slopes is not None:
                delta *= stack.slopes[slab]
            for cells in part.sources:
                product = None if part.product is None else part.product[: len(y), :, cells, :]
                part.ops.accumulate(x[..., cells], delta, product, weight[:, :, cells, :])
            for limit in part.limits:
                block = weight[:, :, limit.sources, limit.targets]
                limit.further(block, limit.bound, out=block)
            for cells in part.bias_cells:
                self.namespace.sum(delta, axis=-2, keepdims=True, out=rows)
                if part.active != 1:
                    rows *= part.active
                learning = bias[:, :, cells, :]
                learning += rows


class _Lent(NamedTuple):
    """The pass that an update reads, and the pool to which it goes back."""

    used: ForwardPass
    pool: PassPool


class _Limit(NamedTuple):
    """A block of a layer's weights, and how they are kept from coming closer to 0 than a bound."""

    sources: slice
    targets: slice
    further: Any  # the larger or the smaller of two, element by element
    bound: Array


class _Part(NamedTuple):
    """Some synapses of a stack of layers: the factor of g(y), and the sources that learn."""

    stack: Stack
    factor: Array
    weight: Array
    bias: Array
    active: float  # the activity of the bias cells
    sources: list[slice]
    bias_cells: list[slice]
    limits: list[_Limit]
    # Memory for a slab of layers.
    delta: Array
    product: Array | None
    rows: Array
    ops: Operations  # with memory of their own


def _errors_by_source(xp: Any, rule: Rule, e: Array) -> list[tuple[int, Array]]:
    """Return E for the sources of each sign; a sign of 0 stands for all of them."""
    if not SPLIT[rule.error]:
        return [(0, e)]
    zero = xp.zeros_like(e)
    return [(1, xp.maximum(e, zero)), (-1, xp.minimum(e, zero))]


def _runs(signs: tuple[int, ...], sign: int) -> list[slice]:
    """Return the runs of cells of this sign; of all cells for a sign of 0."""
    if sign == 0:
        return [slice(None)]
    runs, start = [], 0
    for value, cells in itertools.groupby(signs):
        stop = start + len(list(cells))
        if value == sign:
            runs.append(slice(start, stop))
        start = stop
    return runs


def _layers_first(key: str, value: Array) -> Array:
    """Return weights (heads, layers, …) or (heads, …) as (layers, heads, …)."""
    return value.swapaxes(0, 1) if key in SHARED else value[None]
