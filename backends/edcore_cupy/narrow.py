"""Narrow networks on a GPU: a forward pass is one launch for all layers, and an update is another."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edcore.adapters.operations import RecordedGraph, Runner, Work, run_directly
from edcore.arrays import HostWeights
from edcore.contract.steps import Schedule
from edcore.core.network import Network
from edcore.core.rule import MEAN, Rule
from edcore_cupy.layout import Layout, Shapes, shapes_of
from edcore_cupy.programs import Programs, chain_macros, sigmoid_scale, update_macros
from edcore_cupy.runs import Runs

MOST_SLOTS = 12
"""Chunks of weights on their way to a block: a GPU's memory answers after the time of about six layers."""

WARP = 32
"""Threads of the kernels that add up errors."""

FEW_PROCESSORS = 64
"""A GPU with so many or fewer has a cache that cannot feed half as many blocks again: they take more samples each."""

RESERVED = 1024
"""Bytes of shared memory that CUDA takes of each block."""

MOST_RECORDED = 2**16
"""Batches of an epoch that is recorded: each takes memory of the host and of the device."""

NOTHING = np.uint64(0)
"""A null pointer."""


@dataclass(frozen=True, slots=True)
class Packed:
    """All weights in one array on the device, and what the update notes of each tile of them, see kernels/update.cu."""

    flat: Any
    least: Any
    layout: Layout
    shapes: Shapes


@dataclass(frozen=True, slots=True)
class Record:
    """What a forward pass leaves for the update: all activities, and x."""

    array: Any
    x: Any
    batch: int


class Narrow:
    """The kernels of narrow networks on one device; ``record(work)`` returns its replay, or None if there is none."""

    def __init__(self, cupy: Any, device: Any, record: Callable[[Work], Work | None]) -> None:
        self._cupy, self._programs = cupy, Programs(cupy)
        self._record, self._runs = record, Runs(cupy, device, self._programs)

    def pack(self, weights: HostWeights) -> Packed:
        """Return a copy of the weights on the device."""
        shapes, value = shapes_of(weights), weights["input.weight"]
        layout = Layout(value.shape[-1], value.dtype.itemsize)
        heads, depth = shapes["hidden.weight"][:2]
        least = self._cupy.zeros(max(1, heads * depth * layout.tiles), value.dtype)
        return Packed(self._cupy.asarray(layout.pack(weights)), least, layout, shapes)

    def unpack(self, weights: Packed) -> HostWeights:
        """Return a copy of the weights on the host."""
        return weights.layout.unpack(self._cupy.asnumpy(weights.flat), weights.shapes)

    def copy(self, weights: Packed) -> Packed:
        """Return weights to learn with, such that those given keep their values."""
        return Packed(weights.flat.copy(), weights.least.copy(), weights.layout, weights.shapes)

    def forward(self, network: Network, weights: Packed, x: Any) -> Any:
        """Return the outputs; a block takes a few samples of one head through all layers."""
        outputs = self._cupy.empty((len(x), network.columns), network.dtype)
        if len(x):
            self._run_chain(network, weights, x, outputs, NOTHING, len(x))
        return outputs

    def trace(self, network: Network, weights: Packed, x: Any) -> tuple[Any, Record]:
        """Return the outputs and the record of a pass over an x that nobody else writes to."""
        outputs = self._cupy.empty((len(x), network.columns), network.dtype)
        record = self._cupy.empty(record_size(network, weights.layout, len(x)), network.dtype)
        self._run_chain(network, weights, x, outputs, record, len(x))
        return outputs, Record(record, x, len(x))

    def update(self, network: Network, rule: Rule, weights: Packed, record: Record, error: Any) -> Packed:
        """Return the same weights, all layers updated in place by one launch."""
        self._run_update(network, rule, weights, (record.array, record.x, NOTHING, error, NOTHING), record.batch)
        return weights

    def fit(
        self, network: Network, rule: Rule, given: Packed, x: Any, target: Any, schedule: Schedule
    ) -> tuple[Packed, npt.NDArray[np.intp]]:
        """Run all epochs, where kernels gather the samples and compute their errors.

        Small networks take many epochs in one launch. Others take two launches for each batch; from the second epoch
        on, the launches of an epoch are one CUDA graph.
        """
        cupy, samples, heads = self._cupy, len(x), network.heads
        if self._runs.takes(network, rule, samples, schedule.batch_size):
            flat, stopped = self._runs.fit(network, rule, given.flat, x, target, schedule)
            return Packed(flat, cupy.zeros(given.least.shape, network.dtype), given.layout, given.shapes), stopped
        size = min(rule.samples_per_update(schedule.batch_size), max(samples, 1))
        learning, stopped = schedule.learning.copy(), np.zeros(heads, np.intp)
        weights = self.copy(given)
        if not samples:
            return weights, stopped
        order, learns = cupy.empty(samples, np.int32), cupy.asarray(learning.astype(np.uint8))
        errors, sums = cupy.empty((samples, network.columns), network.dtype), cupy.empty(heads, np.float64)
        centred = cupy.empty((size, network.columns), network.dtype) if rule.centred else None
        record = cupy.empty(record_size(network, weights.layout, size), network.dtype)
        options = update_macros(network, rule, weights.layout)

        def run_epoch() -> None:
            for start in range(0, samples, size):
                batch = min(size, samples - start)
                self._run_chain(network, weights, x, errors, record, batch, (order, target, learns), start)
                self._run_update(network, rule, weights, (record, x, order, errors, learns), batch, start, centred)
            if schedule.counts_errors:
                self._programs.launch(
                    "error_sums", options, heads, WARP, errors, sums, np.int32(samples), file="update"
                )

        run: Runner = RecordedGraph(self._record) if -(-samples // size) <= MOST_RECORDED else run_directly
        before = None
        for epoch, rows in enumerate(schedule.orders, 1):
            if not learning.any():
                break
            if epoch == 1 or schedule.orders.strides[0]:  # a stride of 0 repeats one order
                order.set(np.ascontiguousarray(rows, np.int32))
            run(run_epoch)
            # The host is an epoch ahead at most: what has been queued cannot be interrupted.
            ended = cupy.cuda.Event()
            ended.record()
            if before is not None:
                before.synchronize()
            before = ended
            if schedule.counts_errors and schedule.end_epoch(epoch, cupy.asnumpy(sums), learning, stopped):
                learns.set(learning.astype(np.uint8))
        return weights, stopped

    def _run_chain(
        self,
        network: Network,
        weights: Packed,
        x: Any,
        results: Any,
        record: Any,
        batch: int,
        gathered: tuple[Any, Any, Any] = (NOTHING, NOTHING, NOTHING),
        start: int = 0,
    ) -> None:
        """Launch the forward pass of x, or of the samples of an order that begin at `start`."""
        layout = weights.layout
        rows, slots, shared = self._tile(network.heads, batch, network.n_bias, layout)
        options = chain_macros(network, layout, rows, slots)
        order, target, learning = gathered
        real = np.dtype(network.dtype).type
        self._programs.launch(
            *("chain", options, network.heads * -(-batch // rows), 2 * layout.padded),
            *(weights.flat, x, order, target, learning, results, record),
            *map(np.int32, (network.in_, network.depth, network.heads, batch, start)),
            real(sigmoid_scale(network)),
            shared=shared,
        )

    def _run_update(
        self,
        network: Network,
        rule: Rule,
        weights: Packed,
        arrays: tuple[Any, ...],
        batch: int,
        start: int = 0,
        centred: Any = None,
    ) -> None:
        """Launch the update, after a kernel that centres the errors if the rule asks for it."""
        record, x, order, errors, learning = arrays
        options, layout = update_macros(network, rule, weights.layout), weights.layout
        first = start
        if rule.centred:
            if centred is None:
                centred = self._cupy.empty((batch, network.columns), network.dtype)
            sizes = np.int32(batch), np.int32(start)
            self._programs.launch("centre", options, network.columns, WARP, errors, centred, *sizes, file="update")
            errors, first = centred, 0
        share = 1 / batch if MEAN[rule.reduction] else 1.0
        real, outputs = np.dtype(network.dtype).type, len(network.output_signs)
        blocks = network.heads * (layout.matrices(network) * layout.tiles + -(-outputs // 16))
        self._programs.launch(
            *("update", options, blocks, layout.update_threads),
            *(weights.flat, record, x, order, errors, learning, weights.least),
            *map(np.int32, (network.in_, network.depth, network.heads, batch, start, first)),
            *(real(rule.alpha * share), real(rule.alpha_output * share)),
        )

    def _tile(self, heads: int, batch: int, n_bias: int, layout: Layout) -> Tile:
        return chain_tile(heads, batch, n_bias, layout, *self._runs.limits)


class Tile(NamedTuple):
    """A block's samples, the slots of its ring, and its bytes of dynamic shared memory."""

    rows: int
    slots: int
    shared: int


@functools.cache
def chain_tile(heads: int, batch: int, n_bias: int, layout: Layout, processors: int, most_shared: int) -> Tile:
    """Return the tile of a block of the forward pass; bits do not depend on it.

    Few blocks take two samples each and a long ring, so that nothing waits for memory. Where there are many, a few
    share a multiprocessor, and each weight that is read is used for more samples.
    """
    # On small GPUs several blocks may not fit a multiprocessor: then each has one for itself.
    for alone, rows in itertools.product((False, True), (8, 4, 2, 1)):
        blocks = heads * -(-batch // rows)
        enough = 2 * processors if rows > 4 or processors > FEW_PROCESSORS else 1
        if rows > batch or (rows > 2 and blocks < enough):
            continue
        together = 1 if alone else min(4, -(-blocks // processors))
        layer = rows * layout.padded * layout.itemsize
        static, x = 2 * _power_of_two(layer) + layer // 8, max(1, 512 // layout.padded) * layer
        slot = layout.chunk_bytes + layout.ring_biases * n_bias * layout.itemsize
        slots = min(MOST_SLOTS, (most_shared // together - RESERVED - static - x) // slot)
        if slots >= 2:
            return Tile(rows, slots, slots * slot + x)
    raise AssertionError("a row of the widest layer fits the shared memory of every GPU")


def record_size(network: Network, layout: Layout, batch: int) -> int:
    """Return the numbers in a batch's record."""
    inner = (network.depth + 1) * layout.padded * (2 if network.rms else 1)
    return network.heads * batch * (inner + len(network.output_signs))


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
