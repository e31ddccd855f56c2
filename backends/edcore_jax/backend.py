"""The JAX backend: the contract met with compiled functions."""

from __future__ import annotations

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from edcore import arrays as libraries
from edcore.adapters.array_api import ArrayAPIBackend
from edcore.arrays import Array, HostWeights, to_numpy
from edcore.contract.backend import BackendInfo, fills_errors, takes_weights
from edcore.contract.compilation import clock
from edcore.contract.steps import Schedule
from edcore.core.activations import FUNCTIONS, SOFTMAX
from edcore.core.network import SHARED, Network
from edcore.core.rule import MEAN, SPLIT, Rule
from edcore.errors import BackendUnavailableError, said
from edcore.interrupts import uninterrupted

from . import compiled
from .method import Activities, Arrays, LayerState, Scalars, States, Variant

JaxWeights: TypeAlias = list[Arrays]
"""A list of one dictionary, which an update replaces."""

SHORT_RUN = 0.1
"""Seconds of a compiled run of batches below which the next run has twice as many. Ctrl-C works between two runs."""

ANY_RULE = Rule()
"""Outputs do not depend on the rule: they are computed under this one, with one program for all rules."""


class JaxBackend(ArrayAPIBackend):
    """The method compiled by XLA, on one device."""

    # JAX's arrays cannot be written to, but a compiled function may take the memory of its arguments for its results.
    # So `update` replaces the weights by others in the same memory, and the next trace gets the memory of one that was
    # learnt from.

    has_several_widths = True

    def __init__(self, device: str, info: BackendInfo) -> None:
        super().__init__(libraries.namespace_of(jax), libraries.native_device("jax", device), info)
        self._spare: list[States] = []  # memory for the hidden states of a trace

    def fault(self, activation: str, network: Network) -> tuple[str, str] | None:
        """Return what fails, also where the functions are compiled, which see no values."""
        if wrong := super().fault(activation, network):
            return wrong
        function, real = FUNCTIONS[activation], np.dtype(network.dtype).type
        try:
            jax.eval_shape(lambda z, u0: function.g(function.f(z, u0)), np.ones(1, network.dtype), real(network.u0))
        except Exception as error:  # other people's code
            return "f or g", f"raises {said(error)}"
        return None

    def from_host(self, weights: HostWeights) -> JaxWeights:
        """Return the weights on the device, layers first."""
        with self.exact():
            return [super().from_host({key: _swapped(key, value) for key, value in weights.items()})]

    def to_host(self, weights: JaxWeights) -> HostWeights:
        """Return the weights as NumPy arrays."""
        return {key: np.array(_swapped(key, to_numpy(value)), order="C") for key, value in weights[0].items()}

    def forward(self, network: Network, weights: JaxWeights, x: Array) -> Array:
        """Return the outputs of a scan over the layers."""
        with self.exact():
            outputs = compiled.forward(weights[0], self.on_device(x), *_arguments(network))
        self._latest = outputs
        return outputs

    def trace(self, network: Network, weights: JaxWeights, x: Array) -> tuple[Array, Activities]:
        """Return the outputs of a scan over the layers, and all cells."""
        arguments = _arguments(network)
        with self.exact():
            room = self._room(network, len(x))
            outputs, trace = compiled.trace(room, weights[0], self.on_device(x), *arguments)
        self._latest = outputs
        return outputs, trace

    def update(self, network: Network, rule: Rule, weights: JaxWeights, trace: Any, error: Array) -> JaxWeights:
        """Return the weights, updated in their own memory."""
        arguments = _arguments(network, rule, len(error))
        with self.exact(), uninterrupted():  # the call consumes the old weights
            weights[0] = compiled.update(weights[0], trace, self.on_device(error), *arguments)
        self._spare = [trace.hidden]
        self._latest = weights
        return weights

    def copy(self, weights: JaxWeights) -> JaxWeights:
        """Return a copy on the device, as an update consumes the weights that it is given."""
        with self.exact():
            return [compiled.copy(weights[0])]

    @takes_weights
    @fills_errors
    def fit(
        self, network: Network, rule: Rule, weights: JaxWeights, x: Array, target: Array, schedule: Schedule
    ) -> tuple[JaxWeights, npt.NDArray[np.intp]]:
        """Return the weights and when each head stopped, after compiled runs of many batches each."""
        if schedule.weights is not None:  # there are no kernels for them
            return super().fit(network, rule, weights, x, target, schedule)
        with self.exact():
            return self._run(network, rule, weights, x, target, schedule)

    def _run(
        self, network: Network, rule: Rule, weights: JaxWeights, x: Array, target: Array, schedule: Schedule
    ) -> tuple[JaxWeights, npt.NDArray[np.intp]]:
        """Return what `fit` returns."""
        size = rule.samples_per_update(schedule.batch_size)
        learning, stopped = schedule.learning.copy(), np.zeros(network.heads, np.intp)
        x, target = self.on_device(x), self.on_device(target)
        [learned] = self.copy(weights)
        most = 1  # batches in one compiled run
        for epoch, order in enumerate(schedule.orders, 1):
            if not learning.any():
                break
            taught = np.repeat(learning, network.outputs).astype(network.dtype)
            visits, mask = self.on_device(order.astype(np.int32)), self.on_device(taught)
            total = self.on_device(np.zeros(network.columns, network.dtype))
            first = 0
            while first < len(order):
                rows = min(size, len(order) - first)  # fewer in the last batch
                batches = min(most, (len(order) - first) // rows)
                state = learned, total, self._room(network, rows)
                samples = x, target, visits, np.int32(first), np.int32(batches)
                start = clock()
                learned, total, room = compiled.run(*state, *samples, mask, *_arguments(network, rule, rows))
                jax.block_until_ready(total)
                self._spare = [room]
                if clock() - start < SHORT_RUN:
                    most = max(most, 2 * batches)
                first += rows * batches
            if schedule.counts_errors:
                sums = to_numpy(total).reshape(network.heads, network.outputs).sum(axis=1)
                schedule.end_epoch(epoch, sums, learning, stopped)
        self._latest = learned
        return [learned], stopped

    def on_device(self, array: Array) -> Array:
        """Return the array as one of JAX, on this device; a NumPy array as a copy, whose memory JAX may share."""
        return jax.device_put(np.array(array, order="C") if isinstance(array, np.ndarray) else array, self._device)

    def _room(self, network: Network, batch: int) -> States:
        """Return memory for the hidden states of a trace."""
        one = isinstance(network.width, int)  # asked in each step: there may be thousands of layers
        layers, widths = ((network.depth + 1,), (network.widest,)) if one else ((), network.widths)
        shapes = [(*layers, network.heads, batch, 2 * width) for width in widths]
        each = 2 if network.rms else 1
        parts = [(shape, network.dtype) for shape in shapes for _ in range(each)]
        try:
            spare = self._spare.pop()
        except IndexError:
            spare = None
        if spare is not None and [(part.shape, part.dtype) for part in jax.tree.leaves(spare)] == parts:
            return spare
        arrays = [jnp.empty(*part, device=self._device) for part in parts]
        states = tuple(LayerState(*arrays[first : first + each]) for first in range(0, len(arrays), each))
        return states[0] if one else states


def _arguments(network: Network, rule: Rule = ANY_RULE, batch: int = 1) -> tuple[Scalars, Variant]:
    """Return the arguments of a compiled function beside its arrays; refuse float64 that is switched off by now."""
    if network.dtype == "float64" and not jax.config.jax_enable_x64:
        reason = libraries.missing_dtype("jax", network.dtype)
        fix = "and so does jax.enable_x64(True) around this call"
        raise BackendUnavailableError(f"jax cannot go on with this network, which is of float64: {reason}, {fix}.")
    real, parts = np.dtype(network.dtype).type, batch if MEAN[rule.reduction] else 1
    rates = real(rule.alpha / parts), real(rule.alpha_output / parts)
    scalars = Scalars(real(network.u0), real(network.bias), *rates, real(rule.floor or 0))
    fields = network.outputs, FUNCTIONS[network.activation], FUNCTIONS[network.output_cells], network.rms
    learning, softmax = (SPLIT[rule.error], rule.centred, rule.floor is not None), network.output_activation == SOFTMAX
    return scalars, Variant(*fields, *learning, network.one_hot, softmax)


def _swapped(key: str, array: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return weights (heads, layers, …) as (layers, heads, …), and the other way round."""
    return array.swapaxes(0, 1) if key in SHARED else array
