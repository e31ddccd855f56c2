"""The backend on an NVIDIA GPU, or in Numba's simulator of one.

No module of this package is named cuda or cuda_…: where numba-cuda is installed, it takes any import whose full name
has "numba.cuda" in it for one of its own, and looks for it until the stack is full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, HostWeights
from edcore.contract.backend import Backend
from edcore.contract.memory import Memory, Supported, fits, host_memory, traced
from edcore.contract.steps import Schedule
from edcore.core.network import WEIGHTS, Network
from edcore.core.rule import Rule
from edcore_numba.gpu.simulator import share_shared_arrays
from edcore_numba.gpu.tiles import WIDEST, Kind, forward_tile, update_tile

SIMULATOR = "cudasim"


def unavailable(device: str | None) -> str:
    """Return why Numba cannot compute on the device here, or an empty string where it can. Never raises.

    Parameters
    ----------
    device : str or None
        ``"cuda"``, ``"cuda:1"``, ``"cudasim"``, or None for whichever of a GPU and the simulator Numba is set to.
    """
    if find_spec("numba") is None:
        return "the package numba is not installed"
    try:
        simulated = _simulated()
        kind, _, number = (device or (SIMULATOR if simulated else "cuda")).partition(":")
        if kind not in ("cuda", SIMULATOR):
            return f"Numba has no CUDA device {device!r}"
        if kind == SIMULATOR and not simulated:
            return "the simulator is off: NUMBA_ENABLE_CUDASIM=1 must be set before Numba is first imported"
        if kind == "cuda" and simulated:
            return "NUMBA_ENABLE_CUDASIM=1 puts a simulator in the place of CUDA; device='cudasim' asks for that"
        from numba import cuda

        index, count = int(number or 0), len(cuda.gpus)
        if not 0 <= index < count:
            return f"Numba sees {count} CUDA device{'s' * (count != 1)} here, so there is no {device!r}"
        if not cuda.is_available():
            return "Numba finds no CUDA toolkit; the package numba-cuda[cu12] or numba-cuda[cu13] brings one"
    except Exception as error:  # a broken driver can raise anything
        lines = [line.strip() for line in str(error).splitlines()]
        message = next((line for line in lines if line and not line.endswith(":")), "no message").rstrip(".")
        return f"Numba does not work on {device or 'cuda'!r} here ({type(error).__name__}: {message})"
    return ""


@dataclass(frozen=True, slots=True)
class _Weights:
    """All weights in one array on the device, and the shapes of their parts, in the caller's order."""

    flat: Any
    shapes: dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Trace:
    """What an update needs of a forward pass, in one array on the device."""

    record: Any
    batch: int


class NumbaCUDA(Backend):
    """The contract met with a kernel for all layers of a forward pass, and one for all layers of an update.

    Outputs are an array of the library of x where x is on this device, and then nothing waits for the device. What
    comes from the host or goes there does: a NumPy x or error, the outputs for a NumPy x, `to_host`, `synchronize`;
    in a `fit`, each epoch's order, and with a tolerance the sums of its errors.

    Parameters
    ----------
    device : str or None
        ``"cuda"``, ``"cuda:1"``, ``"cudasim"``, or None for whichever of a GPU and the simulator Numba is set to.
    """

    def __init__(self, device: str | None = None) -> None:
        from edcore_numba import BACKEND
        from edcore_numba.gpu import kernels_errors as kernels_cuda_errors
        from edcore_numba.gpu import kernels_forward as kernels_cuda_forward
        from edcore_numba.gpu import kernels_update as kernels_cuda_update
        from edcore_numba.gpu.device import Device

        self.info = BACKEND
        self._forward, self._update, self._errors = kernels_cuda_forward, kernels_cuda_update, kernels_cuda_errors
        index = int((device or "").partition(":")[2] or 0)
        self.device = SIMULATOR if _simulated() else f"cuda:{index}"
        if self.device == SIMULATOR:
            share_shared_arrays()
        self._device = Device(index)
        self._all_learn: dict[int, Any] = {}

    def supports(self, network: Network, rule: Rule) -> Supported:
        """Return True, or that a layer is too wide for a thread block, or the network too large for the device."""
        if 2 * network.width > WIDEST:
            return f"a block of threads holds layers of width {WIDEST // 2} at most, not {network.width}"
        return fits(network, self.memory())

    def from_host(self, weights: HostWeights) -> _Weights:
        """Return a copy on the device."""
        shapes = {key: value.shape for key, value in weights.items()}
        places, size = _places(shapes)
        with self._device.call() as call:
            flat = self._device.memory((size,), weights["input.weight"].dtype)
            for key, place in places.items():
                if weights[key].size:
                    call.upload(flat[place], np.ascontiguousarray(weights[key]).reshape(-1))
        return _Weights(flat, shapes)

    def to_host(self, weights: _Weights) -> HostWeights:
        """Return a copy on the host."""
        with self._device.call() as call:
            flat = call.to_numpy(weights.flat)
        places, _ = _places(weights.shapes)
        return {key: flat[places[key]].reshape(shape) for key, shape in weights.shapes.items()}

    def forward(self, network: Network, weights: _Weights, x: Array) -> Array:
        """Return the outputs; a block takes a few samples of one head through all layers."""
        with self._device.call(x) as call:
            outputs, memory = call.outputs((x.shape[0], network.columns), network.dtype)
            if x.shape[0]:
                self._walk(call, network, "forward", (weights.flat, call.taken(x), memory), x.shape[0])
            return call.to_numpy(memory) if outputs is None else outputs

    def trace(self, network: Network, weights: _Weights, x: Array) -> tuple[Array, _Trace]:
        """Return the outputs and a record of every cell's activity."""
        with self._device.call(x) as call:
            outputs, memory = call.outputs((x.shape[0], network.columns), network.dtype)
            record = self._device.memory(_record_shape(network, x.shape[0]), network.dtype)
            self._walk(call, network, "trace", (weights.flat, call.taken(x), memory, record), x.shape[0])
            return call.to_numpy(memory) if outputs is None else outputs, _Trace(record, x.shape[0])

    def update(self, network: Network, rule: Rule, weights: _Weights, trace: _Trace, error: Array) -> _Weights:
        """Return the same weights, all layers updated in place by one launch."""
        with self._device.call(error) as call:
            if network.heads not in self._all_learn:
                self._all_learn[network.heads] = self._device.memory((network.heads,), np.uint8)
                call.upload(self._all_learn[network.heads], np.ones(network.heads, np.uint8))
            arrays = (weights.flat, trace.record, call.taken(error), self._all_learn[network.heads])
            self._learn(call, network, rule, arrays, trace.batch, 0)
        self._device.spare(trace.record)
        return weights

    def fit(
        self, network: Network, rule: Rule, weights: _Weights, x: Array, target: Array, schedule: Schedule
    ) -> tuple[_Weights, npt.NDArray[np.intp]]:
        """Run all epochs with the samples on the device, where their rows are looked up and their errors found."""
        samples, heads = x.shape[0], network.heads
        size = 1 if rule.order == "online" else min(schedule.batch_size, max(samples, 1))
        learning, stopped = schedule.learning.copy(), np.zeros(heads, np.intp)
        with self._device.call(x) as call:
            flat = self._device.memory(weights.flat.shape, network.dtype)
            flat.copy_to_device(weights.flat, stream=call.stream)  # those that were given stay whole
            if not samples:
                return _Weights(flat, weights.shapes), stopped
            xs, targets = call.taken(x), call.taken(target)
            order, learns = call.borrow((samples,), np.int64), call.borrow((heads,), np.uint8)
            errors, sums = call.borrow((samples, network.columns), network.dtype), call.borrow((heads,), np.float64)
            record = call.borrow(_record_shape(network, size), network.dtype)
            call.upload(learns, learning.astype(np.uint8))
            for epoch, rows in enumerate(schedule.orders, 1):
                if not learning.any():
                    break
                if epoch == 1 or schedule.orders.strides[0]:
                    call.upload(order, np.ascontiguousarray(rows, np.int64))
                for start in range(0, samples, size):
                    batch = min(size, samples - start)
                    self._walk(call, network, "step", (flat, xs, targets, order, learns, errors, record), batch, start)
                    self._learn(call, network, rule, (flat, record, errors, learns), batch, start)
                if schedule.tolerance:
                    kernel = self._errors.error_sums(network.outputs)
                    call.launch(kernel, heads, self._errors.SUM_THREADS, errors, sums)
                    done = learning & (call.to_numpy(sums) < schedule.tolerance)
                    if done.any():
                        stopped[done] = epoch
                        learning &= ~done
                        call.upload(learns, learning.astype(np.uint8))
        return _Weights(flat, weights.shapes), stopped

    def memory(self) -> Memory:
        """Return the device's memory; what Numba keeps for later use is not free."""
        return host_memory() if self.device == SIMULATOR else self._device.total_memory()

    def synchronize(self) -> None:
        """Wait for the device."""
        self._device.synchronize()

    def _walk(self, call: Any, network: Network, form: str, arrays: tuple[Any, ...], batch: int, *start: int) -> None:
        """Launch a form of the forward pass."""
        real = np.dtype(network.dtype).type
        tile = forward_tile(2 * network.width, real().itemsize)
        kernels = self._forward.forward_kernels(tile, Kind.of(network))
        sizes = (network.in_, network.depth, batch, *start, real(2 / network.u0))
        blocks = network.heads * -(-batch // tile.rows)
        call.launch(getattr(kernels, form), blocks, tile.threads, *arrays, *sizes)

    def _learn(self, call: Any, network: Network, rule: Rule, arrays: tuple[Any, ...], batch: int, start: int) -> None:
        """Launch the update, where the rule has it so for errors that are centred first."""
        flat, record, errors, learns = arrays
        if rule.centred:
            centred = self._device.memory((batch, network.columns), network.dtype)
            kernel, threads = self._errors.centre, self._errors.SUM_THREADS
            call.launch(kernel, network.columns, threads, errors, centred, start, batch)
            self._device.spare(centred)  # what else it is taken for comes after the update
            errors, start = centred, 0
        real, cells = np.dtype(network.dtype).type, 2 * network.width
        kind, tile = Kind.of(network), update_tile(cells)
        kernel = self._update.update_kernel(tile, kind, rule.error == "split", rule.floor)
        share = 1 / batch if rule.reduction == "mean" else 1.0
        rates = (real(rule.alpha * share), real(rule.alpha_output * share))
        tiles = tile.tiles(2 * network.in_, cells) + network.depth * tile.tiles(cells, cells)
        tiles += tile.tiles(cells, kind.output_cells)
        sizes = (network.in_, cells, network.depth, batch, start)
        call.launch(kernel, network.heads * tiles, tile.threads, flat, record, errors, learns, *sizes, *rates)


def _places(shapes: dict[str, tuple[int, ...]]) -> tuple[dict[str, slice], int]:
    """Return where each part of the weights is in the one array, and its size."""
    places, start = {}, 0
    for key in WEIGHTS:
        size = math.prod(shapes[key])
        places[key] = slice(start, start + size)
        start += size
    return places, start


def _record_shape(network: Network, batch: int) -> tuple[int]:
    """Return the shape of a record of so many samples."""
    return (batch * (network.in_ + traced(network)),)


def _simulated() -> bool:
    """Return whether Numba has a simulator in the place of CUDA."""
    from numba.core import config

    return bool(config.ENABLE_CUDASIM)
