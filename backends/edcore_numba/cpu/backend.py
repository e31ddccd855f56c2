"""The CPU backend: the contract met with the compiled kernels."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from edcore.adapters.array_api import ArrayAPIBackend
from edcore.arrays import Array, HostWeights, to_numpy
from edcore.contract.backend import ANY, Backend, fills_errors, known, takes_weights
from edcore.contract.memory import Supported, fits
from edcore.contract.stages import Stage, StageWorker
from edcore.contract.steps import Schedule
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore_numba import BACKEND

from . import epochs, kernels
from .processor import CANCELLED, new_meeting
from .stage import NumbaStage
from .threads import Limits, number_of_threads, run_kernel, run_on_threads
from .variants import NUMBERS, OF_OUTPUTS, variant_of
from .vectors import PANEL_BYTES
from .weights import NumbaWeights, copied, empty, in_columns, in_panels, join_heads

FEW = 64
"""Rows below which the weights take longer to read than to multiply."""

TILE = 128
"""Most rows that a thread takes through all layers at once: two layers' activities of them stay in its cache."""

Activities = list[npt.NDArray[Any]]
"""A trace: x, the activities of the inner layers, their slopes and the activities of the output layer. An update
empties it."""


class NumbaCPU(Backend):
    """The fused kernels, on all threads that Numba may use (``NUMBA_NUM_THREADS``, ``numba.set_num_threads``).

    Results do not depend on the number of threads. Weights are updated in place. The kernels are for layers of one
    width: those of several are computed as by the backend numpy, by NumPy's products.
    """

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008 -- it is immutable
        self.info = BACKEND
        self.device = "cpu"
        self.limits = limits
        # Fresh memory costs as much as the pass that fills it, so an update keeps its trace's for the next trace.
        self._spare: list[tuple[tuple[Network, int], Activities]] = []
        self._several = ArrayAPIBackend(array_namespace(np.empty(0)), info=BACKEND)

    def supports(self, network: Network, rule: Rule) -> Supported:
        """Return True unless it lacks a value of a field, or the network is larger than memory."""
        has = known(network, rule, activation=NUMBERS, output_activation=OF_OUTPUTS, one_hot=ANY, width=ANY)
        return fits(network, self.memory()) if has is True else has

    def from_host(self, weights: HostWeights) -> Any:
        """Return a copy in panels."""
        if "hidden.weight" not in weights:
            return self._several.from_host(weights)
        return NumbaWeights({key: in_panels(key, value) for key, value in weights.items()})

    def to_host(self, weights: Any) -> HostWeights:
        """Return a copy, without the cells that were added."""
        if not isinstance(weights, NumbaWeights):
            return self._several.to_host(weights)
        cells = {key: value.shape[-1] - weights.added * key.startswith("output") for key, value in weights.items()}
        # `in_columns` copies, so what has no cells added is not copied again: it may be most of the machine's memory.
        return {key: np.ascontiguousarray(in_columns(key, value)[..., : cells[key]]) for key, value in weights.items()}

    def copy(self, weights: Any) -> Any:
        """Return a copy."""
        if not isinstance(weights, NumbaWeights):
            return self._several.copy(weights)
        return NumbaWeights({key: copied(value) for key, value in weights.items()}, weights.added, weights.least.copy())

    def forward(self, network: Network, weights: Any, x: Array) -> Array:
        """Return the outputs, with room for the activities of two layers of a few rows."""
        if not isinstance(weights, NumbaWeights):
            return self._several.forward(network, weights, x)
        if len(x) == 0:
            return np.empty((0, network.columns), network.dtype)
        x = to_numpy(x)
        if not x.flags.carray:  # contiguous and writeable: kernels are compiled for each kind of array
            x = np.array(x, order="C")
        workers = self._workers(weights, len(x))
        tile, parts = _shares(network, len(x), workers)
        layers = empty((1, 2, workers // parts * tile, 2 * network.widest), x.dtype)  # used in turn
        outputs = np.empty((network.heads, len(x), 2 * network.outputs), x.dtype)
        self.run(network, weights, [x, layers, layers[:, :0], outputs], 0, len(x), kept=False)
        return join_heads(network, outputs)

    def trace(self, network: Network, weights: Any, x: Array) -> tuple[Array, Any]:
        """Return the outputs and the activities of all layers."""
        if not isinstance(weights, NumbaWeights):
            return self._several.trace(network, weights, x)
        x = np.array(to_numpy(x), order="C")
        outputs = np.empty((network.heads, len(x), 2 * network.outputs), x.dtype)
        trace = [x, *self.room(network, len(x)), outputs]
        self.run(network, weights, trace, 0, len(x))
        return join_heads(network, outputs), trace

    def update(self, network: Network, rule: Rule, weights: Any, trace: Any, error: Array) -> Any:
        """Return the weights, updated in place."""
        if not isinstance(weights, NumbaWeights):
            return self._several.update(network, rule, weights, trace, error)
        x, hidden, slopes, outputs = trace
        errors = np.array(to_numpy(error).T, order="C").reshape(network.heads, network.outputs, len(x))
        arrays, variant = weights.arguments(network), variant_of(network, rule)
        arguments = arrays, weights.heads, x, hidden, slopes, outputs, errors, variant
        brief = weights.count * len(x) <= self.limits.brief
        run_kernel(kernels.update_part, arguments, self._workers(weights, len(x)), to_the_end=True, brief=brief)
        trace.clear()
        self._spare = [((network, len(x)), [hidden, slopes])]
        return weights

    def stage(self, stage: Stage, weights: HostWeights) -> StageWorker:
        """Return the stage, with the same kernels."""
        if not isinstance(stage.network.width, int):
            return self._several.stage(stage, weights)
        return NumbaStage(stage, weights, self)

    @takes_weights
    @fills_errors
    def fit(
        self, network: Network, rule: Rule, weights: Any, x: Array, target: Array, schedule: Schedule
    ) -> tuple[Any, npt.NDArray[np.intp]]:
        """Return the weights and when each head stopped, after one compiled call for all epochs.

        The threads share out the heads where the network is small or heads come out even, else each batch. An interrupt
        ends it after the batch: compiled code hears of none, so it runs on other threads and looks at a flag.
        """
        if not isinstance(weights, NumbaWeights):
            return self._several.fit(network, rule, weights, x, target, schedule)
        if schedule.weights is not None:  # there are no kernels for them
            return super().fit(network, rule, weights, x, target, schedule)
        learned, stopped = self.copy(weights), np.zeros(network.heads, np.intp)
        count, samples = schedule.orders.shape
        if count == 0:
            return learned, stopped
        repeated = schedule.orders.strides[0] == 0
        orders = np.array(schedule.orders[:1] if repeated else schedule.orders, order="C").reshape(-1)
        size = min(rule.samples_per_update(schedule.batch_size), max(samples, 1))
        heads, threads, limits = np.flatnonzero(schedule.learning), number_of_threads(), self.limits
        small = network.parameters // network.heads * size <= limits.one_batch
        even = len(heads) % threads == 0 or len(heads) >= limits.heads_per_thread * threads
        stride = 0 if repeated else samples
        tile, parts = _shares(network, size, threads)
        plan = epochs.Plan(count, samples, stride, size, schedule.tolerance, tile, parts, threads)
        # All read-only, as some may be: kernels are compiled for each kind of array.
        x, target = (np.ascontiguousarray(to_numpy(array)).view() for array in (x, target))
        x.flags.writeable = target.flags.writeable = False
        meeting, arrays = new_meeting(), learned.arguments(network)
        cancelled = meeting[CANCELLED : CANCELLED + 1]
        online = (small or even) and size == 1 and _is_classic(network, rule)
        variant = variant_of(network, rule, calls=not online)
        kernel: Any
        if small or even:
            kernel = epochs.fit_heads_online if online else epochs.fit_heads
            shares = [heads[i::threads].copy() for i in range(min(threads, len(heads)))]
            rest: list[tuple[Any, ...]] = [(meeting,)] * len(shares)
        else:
            kernel, shares, room = epochs.fit_batches, [heads] * threads, self._batch(network, size)
            rest = [(room, meeting, worker) for worker in range(threads)]
        # Without room from the caller all epochs share a row: a small network may learn a million of them in a call.
        sums = np.zeros((1, network.heads)) if schedule.errors is None else schedule.errors
        same = plan, variant, stopped, sums
        calls = [
            functools.partial(kernel, arrays, x, target, orders, share, *same, *others)
            for share, others in zip(shares, rest, strict=True)
        ]
        run_on_threads(calls, cancelled, network.parameters * samples * count <= limits.brief)
        return learned, stopped

    def run(
        self, network: Network, weights: NumbaWeights, trace: Activities, start: int, stop: int, kept: bool = True
    ) -> None:
        """Fill in the activities of the rows of x from start to stop, or only the outputs."""
        workers = self._workers(weights, stop - start)
        tile, parts = _shares(network, stop - start, workers)
        shape, meeting = (start, stop, tile, variant_of(network), parts, kept), new_meeting()
        arguments = weights.arguments(network), weights.heads, *trace, *shape, meeting
        brief = weights.count * (stop - start) <= self.limits.brief
        run_kernel(kernels.trace_part, arguments, workers, cancelled=meeting[CANCELLED:], brief=brief)

    def room(self, network: Network, batch: int) -> Activities:
        """Return memory for the activities and the slopes of a trace's inner layers."""
        try:
            key, room = self._spare.pop()  # in one step, as calls may come from several threads
        except IndexError:
            key = None
        if key == (network, batch):
            return room
        shape = network.heads, network.depth + 1, batch, 2 * network.widest
        hidden = empty(shape, network.dtype)
        return [hidden, empty(shape if network.rms else (*shape[:-1], 1), network.dtype)]

    def _batch(self, network: Network, batch: int) -> tuple[npt.NDArray[Any], ...]:
        """Return the room that `epochs.fit_batches` needs."""
        heads, count, dtype = network.heads, network.outputs, network.dtype
        shapes = (heads, batch, 2 * count), (heads, count, batch)
        outputs, errors = (np.empty(shape, dtype) for shape in shapes)
        return np.empty((batch, network.features), dtype), *self.room(network, batch), outputs, errors

    def _workers(self, weights: NumbaWeights, rows: int) -> int:
        """Return the number of threads for one pass."""
        return 1 if weights.count * rows <= self.limits.one_pass else number_of_threads()


def _is_classic(network: Network, rule: Rule) -> bool:
    """Return whether cells are of the kind for which `one_sample` has code."""
    sigmoid = network.activation == network.output_activation == "sigmoid" and network.outputs == 1
    plain = not network.rms and not network.one_hot
    return sigmoid and plain and rule.floor is None and not rule.centred


def _shares(network: Network, rows: int, workers: int) -> tuple[int, int]:
    """Return how many rows of a head are taken through all layers at once, and by how many workers.

    One worker takes as many rows as give all workers the same work. If these are few and layers wide, all share the
    cells instead, so that each has to read a part of the weights only; they wait for one another after each layer.
    """
    tiles = workers // math.gcd(network.heads, workers)
    tile = min(TILE, _fours(-(-rows // tiles)))
    panels = 2 * network.widest * np.dtype(network.dtype).itemsize // PANEL_BYTES
    fused = network.activation == "sigmoid" and not network.rms
    if fused and tile < min(rows, FEW) and panels >= 8 * workers:
        return min(TILE, _fours(rows)), workers
    return tile, 1


def _fours(rows: int) -> int:
    return -(-rows // 4) * 4
