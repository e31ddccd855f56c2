"""The JAX backend: the contract met with compiled functions."""

from __future__ import annotations

import time
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from edcore import arrays as libraries
from edcore.adapters.array_api import ArrayAPIBackend
from edcore.arrays import Array, HostWeights, to_numpy
from edcore.contract.backend import BackendInfo
from edcore.contract.steps import Schedule
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.interrupts import uninterrupted

from . import compiled
from .method import Arrays, Cells, How, Scalars, Trace

Place: TypeAlias = list[Arrays]
"""A list of one: the arrays, which an update replaces by others."""

SHORT = 0.1
"""Seconds of a compiled run of batches below which the next one has more of them. An interrupt is heard in between."""

ANY = Rule()
"""Outputs depend on no rule: they are computed under this one, with one program for all."""


class JaxBackend(ArrayAPIBackend):
    """The method compiled by XLA, on one device.

    The weights are a list with one dictionary, which `update` replaces: its arrays' memory is that of the new ones. The
    memory of a trace that was learnt from is that of the next one.

    Parameters
    ----------
    device : str
        A device string, such as ``"cpu"`` or ``"cuda:1"``.
    info : BackendInfo
        Its entry in the registry.
    """

    def __init__(self, device: str, info: BackendInfo) -> None:
        super().__init__(libraries.namespace_of(jax), libraries.native_device("jax", device), info)
        self._spare: list[Cells] = []  # room for the hidden cells of a trace

    def from_host(self, weights: HostWeights) -> Place:
        """Return the weights on the device, layers first."""
        return [super().from_host({key: _swapped(key, value) for key, value in weights.items()})]

    def to_host(self, weights: Place) -> HostWeights:
        """Return the weights as NumPy arrays."""
        return {key: np.array(_swapped(key, to_numpy(value)), order="C") for key, value in weights[0].items()}

    def forward(self, network: Network, weights: Place, x: Array) -> Array:
        """Return the outputs of a scan over the layers."""
        with libraries.exact("jax", self._device):
            outputs = compiled.forward(weights[0], self._own(x), *_given(network))
        self._latest = outputs
        return outputs

    def trace(self, network: Network, weights: Place, x: Array) -> tuple[Array, Trace]:
        """Return the outputs of a scan over the layers, and all cells."""
        with libraries.exact("jax", self._device):
            outputs, trace = compiled.trace(self._room(network, len(x)), weights[0], self._own(x), *_given(network))
        self._latest = outputs
        return outputs, trace

    def update(self, network: Network, rule: Rule, weights: Place, trace: Any, error: Array) -> Place:
        """Return the weights, learnt in their own memory."""
        given = _given(network, rule, len(error))
        error = self._own(error)
        with libraries.exact("jax", self._device), uninterrupted():  # the arrays that are given are gone with the call
            weights[0] = compiled.update(weights[0], trace, error, *given)
        self._spare = [trace.hidden]
        self._latest = weights
        return weights

    def copy(self, weights: Place) -> Place:
        """Return a copy on the device, as an update takes the memory of what it is given."""
        return [compiled.copy(weights[0])]

    def fit(
        self, network: Network, rule: Rule, weights: Place, x: Array, target: Array, schedule: Schedule
    ) -> tuple[Place, npt.NDArray[np.intp]]:
        """Return the weights and when each head stopped, after compiled runs of many batches each."""
        size = 1 if rule.order == "online" else schedule.batch_size
        learning, stopped = schedule.learning.copy(), np.zeros(network.heads, np.intp)
        x, target = self._own(x), self._own(target)
        [learned] = self.copy(weights)
        pace = 1
        for epoch, order in enumerate(schedule.orders, 1):
            if not learning.any():
                break
            taught = np.repeat(learning, network.outputs).astype(network.dtype)
            visits, mask = self._own(order.astype(np.int32)), self._own(taught)
            total = self._own(np.zeros(network.columns, network.dtype))
            first = 0
            while first < len(order):
                rows = min(size, len(order) - first)  # fewer in the last batch
                batches = min(pace, (len(order) - first) // rows)
                state = learned, total, self._room(network, rows)
                samples = x, target, visits, np.int32(first), np.int32(batches)
                start = time.perf_counter()
                with libraries.exact("jax", self._device):
                    learned, total, room = compiled.run(*state, *samples, mask, *_given(network, rule, rows))
                    jax.block_until_ready(total)
                self._spare = [room]
                if time.perf_counter() - start < SHORT:
                    pace = max(pace, 2 * batches)
                first += rows * batches
            if schedule.tolerance:
                sums = to_numpy(total).reshape(network.heads, network.outputs).sum(axis=1)
                done = learning & (sums < schedule.tolerance)
                stopped[done] = epoch
                learning &= ~done
        self._latest = learned
        return [learned], stopped

    def _own(self, array: Array) -> Array:
        """Return the array as JAX's, on this device: a NumPy array as a copy, of which JAX may share the memory."""
        return jax.device_put(np.array(array, order="C") if isinstance(array, np.ndarray) else array, self._device)

    def _room(self, network: Network, batch: int) -> Cells:
        """Return memory for the hidden cells of a trace."""
        shape = (network.depth + 1, network.heads, batch, len(network.hidden_signs))
        parts = [(shape, network.dtype)] * (2 if network.rms else 1)
        try:
            spare = self._spare.pop()
        except IndexError:
            spare = None
        if spare is not None and [(part.shape, part.dtype) for part in jax.tree.leaves(spare)] == parts:
            return spare
        return Cells(*(jnp.empty(*part, device=self._device) for part in parts))


def _given(network: Network, rule: Rule = ANY, batch: int = 1) -> tuple[Scalars, How]:
    """Return what a compiled function is given beside arrays."""
    real, parts = np.dtype(network.dtype).type, batch if rule.reduction == "mean" else 1
    rates = real(rule.alpha / parts), real(rule.alpha_output / parts)
    scalars = Scalars(real(-2 / network.u0), real(network.bias), *rates, real(rule.floor or 0))
    kind = network.outputs, network.activation, network.output_activation, network.rms
    return scalars, How(*kind, rule.error == "split", rule.centred, rule.floor is not None)


def _swapped(key: str, array: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return hidden weights (heads, layers, …) as (layers, heads, …), and the other way round."""
    return array.swapaxes(0, 1) if key.startswith("hidden") else array
