"""Whole runs of small networks on a GPU: a block takes a head through all epochs, see kernels/run.cu.

A kernel cannot be interrupted. So a launch has as many epochs as take about `LONGEST` seconds, and Ctrl-C works between
launches. None follows once all heads have stopped.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edcore.contract.steps import Schedule
from edcore.core.network import Network
from edcore.core.rule import MEAN, Rule
from edcore_cupy.layout import Layout, layout_of
from edcore_cupy.programs import Options, Programs, macros, rule_macros, sigmoid_scale

LONGEST = 0.1
"""Seconds of a launch, about."""

FIRST, GROWTH = 0.25, 8.0
"""The part of that for the first launch, whose time is predicted. The others have at most so many times the epochs of
the one before, whose time shows how many there may be."""

MOST_NUMBERS = 2**22
"""Numbers of samples in a launch's orders at most, and of sums of errors."""

MOST_INT = 2**31 - 1
"""The kernel counts the numbers of a head in int."""

SCREEN = 0.2
"""Seconds of an epoch at most, as predicted, where the driver ends a kernel that keeps a screen waiting: after 2."""

MOST_THREADS = 256
"""Threads of a block at most: each then has 255 registers, and none of its values is in memory."""

CYCLE, KERNEL, MATRIX = 0.6e-9, 4e-6, 0.25e-6
"""Seconds of a cycle, of an empty kernel in a graph, and of a matrix in `chain`: what the predictions go by."""

PRODUCTS = {4: 64, 8: 32}
"""Products in a cycle of a multiprocessor, by the size of a number: half of what its arithmetic could do."""


class Plan(NamedTuple):
    """How a block goes through a run."""

    rows: int  # of the batch that a thread takes at once
    teams: int  # of warps, which take other rows
    threads: int
    weights_shared: bool
    cells_shared: bool
    shared: int  # bytes
    record: int  # numbers of a head's activities, where they are in global memory


def plan(network: Network, batch: int, limit: int) -> Plan | None:
    """Return the plan for a block that may have so many bytes of shared memory, or None if no run fits it."""
    layout = layout_of(network)
    cells, itemsize, outputs = layout.padded, layout.itemsize, len(network.output_signs)
    team, matrices = 2 * cells, layout.matrices(network)
    if team > MOST_THREADS:
        return None
    rows = 8 if itemsize == 4 and batch >= 32 else min(4, 1 << (batch - 1).bit_length())
    teams = min(-(-batch // rows), MOST_THREADS // team)

    def size(*counts: int) -> int:
        """Return the bytes of arrays of numbers, each of whole pieces of 16 bytes."""
        return sum(-(-count * itemsize // 16) * 16 for count in counts)

    layers, biases, inner = network.depth + 1, network.n_bias, (network.depth + 1) * batch * cells
    needed = team * teams + 16  # 8 bytes for each eighth thread, and whether the head goes on
    needed += size(batch * outputs, batch * network.outputs, network.rms * batch * cells // 16)
    needed += 2 * (size(batch * network.in_) + size(batch * network.outputs))
    deltas = inner if network.rms or rows > 1 else 0
    if max(matrices * cells**2, inner) > MOST_INT:
        return None
    weights = size(matrices * cells**2, layers * biases * cells, cells * outputs, biases * outputs)
    for weights_shared, cells_shared in ((True, True), (False, True), (False, False)):
        shared = needed + weights_shared * weights + cells_shared * size(inner, deltas)
        if shared <= limit:
            record = 0 if cells_shared else inner + deltas
            return Plan(rows, teams, team * teams, weights_shared, cells_shared, shared, record)
    return None


def run_macros(network: Network, rule: Rule, layout: Layout, own: Plan) -> Options:
    """Return the options for run.cu."""
    kinds = {"CENTRED": int(rule.centred), **rule_macros(rule)}
    places = {"WEIGHTS_SHARED": int(own.weights_shared), "CELLS_SHARED": int(own.cells_shared)}
    return macros(network, layout, ROWS=own.rows, TEAMS=own.teams, **kinds, **places)


def block_seconds(network: Network, own: Plan, batch: int) -> float:
    """Return a prediction of what a block takes for a batch."""
    layout = layout_of(network)
    matrix = layout.padded**2
    bytes_in_cycle = 128 if own.weights_shared else 48
    cycles = 250 + 2 * batch * matrix / PRODUCTS[layout.itemsize] + 3 * matrix * layout.itemsize / bytes_in_cycle
    return (700 + layout.matrices(network) * cycles) * CYCLE


class Runs:
    """Whole runs on one device."""

    def __init__(self, cupy: Any, device: Any, programs: Programs) -> None:
        self._cupy, self._device, self._programs = cupy, device, programs

    @functools.cached_property
    def limits(self) -> tuple[int, int]:
        """The multiprocessors, and the bytes of shared memory that a block may have."""
        attributes = self._device.attributes
        return int(attributes["MultiProcessorCount"]), int(attributes["MaxSharedMemoryPerBlockOptin"])

    @functools.cached_property
    def _longest_epoch(self) -> float:
        """The seconds that an epoch may take, as predicted."""
        return SCREEN if self._device.attributes.get("KernelExecTimeout") else math.inf

    def takes(self, network: Network, rule: Rule, samples: int, batch_size: int) -> bool:
        """Return whether a run fits blocks, and is predicted to take less time than two kernels for each batch."""
        (processors, limit), batch = self.limits, min(rule.samples_per_update(batch_size), samples)
        own = plan(network, batch, limit) if batch else None
        if own is None:
            return False
        block = block_seconds(network, own, batch)
        waves = -(-network.heads // processors)
        if -(-samples // batch) * block * waves > self._longest_epoch:
            return False
        spread = network.heads * block / processors  # the same work over all multiprocessors
        return waves * block <= 2 * KERNEL + layout_of(network).matrices(network) * MATRIX + spread

    def fit(
        self, network: Network, rule: Rule, packed: Any, x: Any, target: Any, schedule: Schedule
    ) -> tuple[Any, npt.NDArray[np.intp]]:
        """Return the packed weights after a run, in a new array, and when heads stopped, as `Backend.fit` does."""
        cupy, (processors, limit), (epochs, samples) = self._cupy, self.limits, schedule.orders.shape
        learned, state = packed.copy(), np.where(schedule.learning, 0, -1).astype(np.int32)
        if not epochs or not schedule.learning.any():
            return learned, np.zeros(network.heads, np.intp)
        batch = min(rule.samples_per_update(schedule.batch_size), samples)
        own = plan(network, batch, limit)
        if own is None:
            raise ValueError(f"no block of threads takes a batch of {batch} through {network}")
        launch = self._launcher(network, rule, own, learned, x, target, schedule, batch)
        on_device, done = cupy.asarray(state), 0
        waves = -(-network.heads // processors)
        count = int(FIRST * LONGEST / (block_seconds(network, own, batch) * -(-samples // batch) * waves))
        while done < epochs and (state == 0).any():
            count = max(1, min(count, epochs - done, MOST_NUMBERS // max(samples, network.heads)))
            start = time.perf_counter()
            sums = launch(on_device, done, count)
            state = cupy.asnumpy(on_device)
            if schedule.errors is not None:
                schedule.errors[done : done + count] = cupy.asnumpy(sums)
            done += count
            count = int(count * min(GROWTH, LONGEST / max(1e-6, time.perf_counter() - start)))
        return learned, np.maximum(state, 0).astype(np.intp)

    def _launcher(
        self, network: Network, rule: Rule, own: Plan, learned: Any, x: Any, target: Any, schedule: Schedule, batch: int
    ) -> Callable[[Any, int, int], Any]:
        """Return a function that puts some epochs on the stream, and returns the sums of their errors."""
        cupy, real, samples, orders = self._cupy, np.dtype(network.dtype).type, len(x), schedule.orders
        layout = layout_of(network)
        options = run_macros(network, rule, layout, own)
        self._programs.prepare("run", options, shared=own.shared)  # before the clock starts
        record = cupy.empty(max(1, network.heads * own.record), network.dtype)
        repeats = orders.strides[0] == 0  # one order, for all epochs
        uploaded = cupy.asarray(np.ascontiguousarray(orders[:1], np.int32)) if repeats else None
        shares = [1 / rows if MEAN[rule.reduction] else 1.0 for rows in (batch, samples % batch or batch)]
        rates = [real(rate * share) for share in shares for rate in (rule.alpha, rule.alpha_output)]
        keeps = schedule.errors is not None

        def launch(state: Any, first: int, epochs: int) -> Any:
            order = uploaded
            if order is None:
                order = cupy.asarray(np.ascontiguousarray(orders[first : first + epochs], np.int32))
            sums = cupy.zeros((epochs if keeps else 1, network.heads), "float64")
            sizes = network.in_, network.depth, samples, batch, epochs, first, 0 if repeats else samples
            self._programs.launch(
                *("run", options, network.heads, own.threads, learned, x, target, order, state, sums, record),
                *map(np.int32, (*sizes, schedule.counts_errors, keeps)),
                *(np.float64(schedule.tolerance), real(sigmoid_scale(network)), *rates),
                shared=own.shared,
            )
            return sums

        return launch
