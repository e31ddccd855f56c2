"""The GPU backend: the contract met with CUDA kernels, on an NVIDIA GPU or in Numba's simulator of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, HostWeights
from edcore.contract.backend import Backend, fills_errors, known, takes_weights
from edcore.contract.memory import Memory, Supported, fits, host_memory, traced
from edcore.contract.steps import Schedule
from edcore.core.activations import SOFTMAX
from edcore.core.network import WEIGHTS, Network
from edcore.core.rule import MEAN, SPLIT, Rule
from edcore_numba.gpu.probe import SIMULATOR, simulated
from edcore_numba.gpu.simulator import fix_shared_arrays
from edcore_numba.gpu.tiles import (
    ACTIVATIONS,
    FEW_BLOCKS,
    PADDING,
    ROWS,
    SAMPLES,
    WIDEST,
    Variant,
    forward_tile,
    still_share,
    update_tile,
)

Arrays = tuple[Any, ...]


@dataclass(slots=True)
class _Weights:
    """All weights in one array on the device, and the shapes of their parts, in the caller's order.

    Each block of an update leaves the size of its smallest weight (0 at first) for the next update with the same floor,
    which may then find that no weight of the block can change.
    """

    flat: Any
    shapes: dict[str, tuple[int, ...]]
    smallest: Any
    floors: tuple[float | None, ...] = ()
    """The floor of the last update, once there was one."""


@dataclass(frozen=True, slots=True)
class _Record:
    """The activities and slopes of a forward pass, in one array on the device."""

    array: Any
    batch: int


class NumbaCUDA(Backend):
    """The contract met with one kernel for all layers of a forward pass, and one for all layers of an update."""

    # For an x on this device, outputs are arrays of x's library, and nothing waits for the device. The host waits for
    # copies only: of a NumPy x or error, of the outputs for a NumPy x, in `to_host`; in `fit`, of each epoch's order,
    # and with a tolerance of the sums of its errors.

    _skips = True  # tests compare with an update of all weights

    def __init__(self, device: str | None = None) -> None:
        from edcore_numba import BACKEND
        from edcore_numba.gpu import kernels_errors, kernels_forward, kernels_update
        from edcore_numba.gpu.compiler import fix_numpy
        from edcore_numba.gpu.device import Device

        self.info = BACKEND
        self._forward, self._update, self._errors = kernels_forward, kernels_update, kernels_errors
        index = int((device or "").partition(":")[2] or 0)
        self.device = SIMULATOR if simulated() else f"cuda:{index}"
        if self.device == SIMULATOR:
            fix_shared_arrays()
        else:
            fix_numpy()
        self._device = Device(index)
        self._all_learn: dict[int, Any] = {}

    def supports(self, network: Network, rule: Rule) -> Supported:
        """Return True, or what it lacks: a value of a field, threads for a layer, or memory."""
        has = known(network, rule, activation=ACTIVATIONS, output_activation=(*ACTIVATIONS, SOFTMAX))
        if has is not True:
            return has
        if 2 * network.widest > WIDEST:
            return f"a block of threads holds layers of width {WIDEST // 2} at most, not {network.widest}"
        return fits(network, self.memory())

    def from_host(self, weights: HostWeights) -> _Weights:
        """Return a copy on the device."""
        shapes = {key: value.shape for key, value in weights.items()}
        places, size = _places(shapes)
        size += PADDING // weights["input.weight"].itemsize
        with self._device.call() as call:
            flat = call.allocate((size,), weights["input.weight"].dtype)
            for key, place in places.items():
                if weights[key].size:
                    call.upload(flat[place], np.ascontiguousarray(weights[key]).reshape(-1))
            return _Weights(flat, shapes, self._no_sizes(call, shapes, flat.dtype))

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
                self._run_forward(call, network, "forward", (weights.flat, call.on_device(x), memory), x.shape[0])
                self._read_out(call, network, memory, x.shape[0])
            return call.to_numpy(memory) if outputs is None else outputs

    def trace(self, network: Network, weights: _Weights, x: Array) -> tuple[Array, _Record]:
        """Return the outputs and a record of every cell's activity."""
        with self._device.call(x) as call:
            outputs, memory = call.outputs((x.shape[0], network.columns), network.dtype)
            record = call.allocate(_record_shape(network, x.shape[0]), network.dtype)
            self._run_forward(call, network, "trace", (weights.flat, call.on_device(x), memory, record), x.shape[0])
            self._read_out(call, network, memory, x.shape[0])
            return call.to_numpy(memory) if outputs is None else outputs, _Record(record, x.shape[0])

    def update(self, network: Network, rule: Rule, weights: _Weights, trace: _Record, error: Array) -> _Weights:
        """Return the same weights, all layers updated in place by one launch."""
        with self._device.call(error) as call:
            if (learns := self._all_learn.get(network.heads)) is None:
                learns = call.allocate((network.heads,), np.uint8)
                call.upload(learns, np.ones(network.heads, np.uint8))
                self._all_learn[network.heads] = learns  # only now, as another thread may look for it
            centred = call.borrow((trace.batch, network.columns), network.dtype) if rule.centred else None
            if weights.floors not in ((), (rule.floor,)):
                weights.smallest = self._no_sizes(call, weights.shapes, network.dtype)
            weights.floors = (rule.floor,)
            arrays = (weights.flat, weights.smallest, trace.array, call.on_device(error), learns, centred)
            self._run_update(call, network, rule, arrays, trace.batch, 0)
        self._device.give_back(trace.array)
        return weights

    @takes_weights
    @fills_errors
    def fit(
        self, network: Network, rule: Rule, weights: _Weights, x: Array, target: Array, schedule: Schedule
    ) -> tuple[_Weights, npt.NDArray[np.intp]]:
        """Run all epochs with the samples on the device, where kernels gather their rows and compute their errors."""
        if schedule.weights is not None:  # there are no kernels for them
            return super().fit(network, rule, weights, x, target, schedule)
        samples, heads = x.shape[0], network.heads
        size = min(rule.samples_per_update(schedule.batch_size), max(samples, 1))
        learning, stopped = schedule.learning.copy(), np.zeros(heads, np.intp)
        with self._device.call(x) as call:
            flat = call.allocate(weights.flat.shape, network.dtype)
            flat.copy_to_device(weights.flat, stream=call.stream)  # the given weights keep their values
            weights = _Weights(flat, weights.shapes, self._no_sizes(call, weights.shapes, network.dtype), (rule.floor,))
            if not samples:
                return weights, stopped
            xs, targets = call.on_device(x), call.on_device(target)
            order, learns = call.borrow((samples,), np.int64), call.borrow((heads,), np.uint8)
            errors, sums = call.borrow((samples, network.columns), network.dtype), call.borrow((heads,), np.float64)
            record = call.borrow(_record_shape(network, size), network.dtype)
            centred = call.borrow((size, network.columns), network.dtype) if rule.centred else None
            call.upload(learns, learning.astype(np.uint8))
            for epoch, rows in enumerate(schedule.orders, 1):
                if not learning.any():
                    break
                if epoch == 1 or schedule.orders.strides[0]:  # a stride of 0 repeats one order
                    call.upload(order, np.ascontiguousarray(rows, np.int64))
                for start in range(0, samples, size):
                    batch = min(size, samples - start)
                    self._run_forward(
                        call, network, "step", (flat, xs, targets, order, learns, errors, record), batch, start
                    )
                    self._read_errors(call, network, record, batch, (errors, start, targets, order, learns))
                    updated = (flat, weights.smallest, record, errors, learns, centred)
                    self._run_update(call, network, rule, updated, batch, start)
                if schedule.counts_errors:
                    kernel = self._errors.error_sums(network.outputs)
                    call.launch(kernel, heads, self._errors.SUM_THREADS, errors, sums)
                    if schedule.end_epoch(epoch, call.to_numpy(sums), learning, stopped):
                        call.upload(learns, learning.astype(np.uint8))
        return weights, stopped

    def memory(self) -> Memory:
        """Return the device's memory; buffers that are kept for later calls count as used."""
        return host_memory() if self.device == SIMULATOR else self._device.total_memory()

    def synchronize(self) -> None:
        """Wait for the device."""
        self._device.synchronize()

    def _run_forward(self, call: Any, network: Network, form: str, arrays: Arrays, batch: int, *start: int) -> None:
        """Launch the forward pass in one of its forms, `ForwardKernels`."""
        real = np.dtype(network.dtype).type
        few = network.heads * -(-batch // ROWS) <= FEW_BLOCKS
        tile = forward_tile(2 * network.widest, real().itemsize, few, adds_slices=not simulated())
        kernels = self._forward.forward_kernels(tile, Variant.of(network))
        sizes = (network.in_, network.depth, batch, *start, real(2 / network.u0))
        blocks = network.heads * -(-batch // tile.rows)
        call.launch(getattr(kernels, form), blocks, tile.threads, *arrays, *sizes)

    def _read_out(self, call: Any, network: Network, outputs: Any, batch: int) -> None:
        """Turn the sums of output cells in outputs (batch, columns) into their softmax, if that is asked for."""
        if network.output_activation == SOFTMAX:
            sums = outputs.ravel(), 0, network.outputs, network.columns
            self._run_softmax(call, network, sums, batch, (outputs, 0))

    def _read_errors(self, call: Any, network: Network, record: Any, batch: int, results: Arrays) -> None:
        """Write the errors of softmax outputs, whose sums are in the record, over those of the sums."""
        if network.output_activation == SOFTMAX:
            at = batch * (network.in_ + network.heads * 2 * network.hidden_count)
            cells = len(network.output_signs)
            self._run_softmax(call, network, (record, at, batch * cells, cells), batch, results)

    def _run_softmax(self, call: Any, network: Network, sums: Arrays, batch: int, results: Arrays) -> None:
        kernel = self._errors.softmax(network.outputs, network.dtype, learning=len(results) > 2)
        threads = self._errors.SUM_THREADS
        call.launch(kernel, -(-batch * network.heads // threads), threads, *sums, network.heads, batch, *results)

    def _no_sizes(self, call: Any, shapes: dict[str, tuple[int, ...]], dtype: Any) -> Any:
        """Return sizes of 0 of the smallest weights, one for each block of an update."""
        sizes = call.allocate((_update_blocks(shapes),), dtype)
        call.upload(sizes, np.zeros(sizes.shape, dtype))
        return sizes

    def _run_update(self, call: Any, network: Network, rule: Rule, arrays: Arrays, batch: int, start: int) -> None:
        """Launch the update, after a kernel that centres the errors if the rule asks for it."""
        flat, smallest, record, errors, learns, centred = arrays
        if centred is not None:
            kernel, threads = self._errors.centre, self._errors.SUM_THREADS
            call.launch(kernel, network.columns, threads, errors, centred, start, batch)
            errors, start = centred, 0
        real, cells = np.dtype(network.dtype).type, 2 * network.widest
        variant, tile = Variant.of(network), update_tile(cells)
        kernel = self._update.update_kernel(tile, variant, SPLIT[rule.error], rule.floor, self._skips)
        share = 1 / batch if MEAN[rule.reduction] else 1.0
        rates = (real(rule.alpha * share), real(rule.alpha_output * share), real(still_share(variant, batch)))
        sizes = (network.in_, cells, network.depth, batch, start)
        call.launch(kernel, smallest.size, tile.threads, flat, smallest, record, errors, learns, *sizes, *rates)


def _update_blocks(shapes: dict[str, tuple[int, ...]]) -> int:
    """Return the number of blocks of an update of these weights."""
    heads, sources, cells = shapes["input.weight"]
    tile = update_tile(cells)
    tiles = tile.tiles(sources, cells) + shapes["hidden.weight"][1] * tile.tiles(cells, cells)
    return heads * (tiles + tile.tiles(cells, shapes["output.weight"][2]))


def _places(shapes: dict[str, tuple[int, ...]]) -> tuple[dict[str, slice], int]:
    """Return the place of each part of the weights in one array, and the array's size."""
    places, start = {}, 0
    for key in WEIGHTS:
        size = math.prod(shapes[key])
        places[key] = slice(start, start + size)
        start += size
    return places, start


def _record_shape(network: Network, batch: int) -> tuple[int]:
    """Return the shape of a batch's record, with room behind for samples that an update reads and does not use."""
    room = SAMPLES * max(network.in_, 2 * network.widest, len(network.output_signs))
    return (batch * (network.in_ + traced(network)) + room,)
