"""The CuPy backend: narrow networks by kernels of its own, all others by batched products."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.adapters.in_place import InPlaceBackend
from edcore.adapters.operations import Operations
from edcore.arrays import Array, HostWeights
from edcore.contract.backend import BackendInfo, fills_errors, takes_weights
from edcore.contract.steps import Schedule
from edcore.core.activations import SOFTMAX
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore_cupy.layout import is_narrow, shapes_of
from edcore_cupy.narrow import Narrow, Packed


class CuPyBackend(InPlaceBackend):
    """The contract met on an NVIDIA GPU.

    Parameters
    ----------
    namespace, device, info, operations
        As for `InPlaceBackend`.
    narrow : Narrow
        The kernels of narrow networks.
    """

    def __init__(self, namespace: Any, device: Any, info: BackendInfo, operations: Operations, narrow: Narrow) -> None:
        super().__init__(namespace, device, info, operations)
        self._narrow = narrow

    def from_host(self, weights: HostWeights) -> Any:
        """Return a copy on the device, in the form of its kernels."""
        if not is_narrow(shapes_of(weights), weights["input.weight"].dtype.itemsize):
            return super().from_host(weights)
        with self._computing():
            return self._narrow.pack(weights)

    def to_host(self, weights: Any) -> HostWeights:
        """Return the weights as NumPy arrays."""
        if not isinstance(weights, Packed):
            return super().to_host(weights)
        with self._computing():
            return self._narrow.unpack(weights)

    def copy(self, weights: Any) -> Any:
        """Return weights to learn with, such that those given keep their values."""
        if not isinstance(weights, Packed):
            return super().copy(weights)
        with self._computing():
            return self._narrow.copy(weights)

    def forward(self, network: Network, weights: Any, x: Array) -> Array:
        """Return the outputs."""
        if not isinstance(weights, Packed):
            return super().forward(network, weights, x)
        with self._computing():
            return self._read_out(network, self._narrow.forward(network, weights, self._whole(x)))

    def trace(self, network: Network, weights: Any, x: Array) -> tuple[Array, Any]:
        """Return the outputs, and what `update` will need."""
        if not isinstance(weights, Packed):
            return super().trace(network, weights, x)
        with self._computing():
            own = self._whole(x)  # for NumPy's x that is a copy; to another the caller may write before the update
            sums, record = self._narrow.trace(network, weights, own if isinstance(x, np.ndarray) else own.copy())
            return self._read_out(network, sums), record

    def update(self, network: Network, rule: Rule, weights: Any, trace: Any, error: Array) -> Any:
        """Return the same weights after an update in place."""
        if not isinstance(weights, Packed):
            return super().update(network, rule, weights, trace, error)
        with self._computing():
            return self._narrow.update(network, rule, weights, trace, self._whole(error))

    @takes_weights
    @fills_errors
    def fit(
        self, network: Network, rule: Rule, weights: Any, x: Array, target: Array, schedule: Schedule
    ) -> tuple[Any, npt.NDArray[np.intp]]:
        """Run all epochs; samples with weights, and by softmax outputs, are learnt batch by batch."""
        by_batches = schedule.weights is not None or network.output_activation == SOFTMAX
        if by_batches or not isinstance(weights, Packed):
            return super().fit(network, rule, weights, x, target, schedule)
        with self._computing():
            return self._narrow.fit(network, rule, weights, self._whole(x), self._whole(target), schedule)

    def _read_out(self, network: Network, y: Array) -> Array:
        """Return the outputs (batch, columns) for those that the kernels have computed cell by cell."""
        if network.output_activation != SOFTMAX:
            return y
        return self._ops.softmax(y.reshape(len(y), network.heads, network.outputs)).reshape(y.shape)

    def _whole(self, array: Array) -> Array:
        """Return the array on the device, row after row, as kernels read it."""
        return self.namespace.ascontiguousarray(self.on_device(array))
