"""The contract met with the CPU kernels."""

from __future__ import annotations

import contextlib
import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import get_num_threads, set_num_threads

from edcore.arrays import Array, HostWeights, to_numpy
from edcore.contract.backend import Backend, Schedule
from edcore.contract.memory import Supported, fits
from edcore.contract.stages import Stage
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore_numba import BACKEND
from edcore_numba.cpu.threads import MANY, SMALL, NumbasThreads, _on_threads, spread

from . import epochs, kernels
from .cells import SIGMOID, Kind, kind_of
from .stage import NumbaStage
from .weights import Own, columns

TILE = 128
"""Most rows that a thread takes through all layers at once: two layers' activities of them stay in its cache."""

Activities = list[npt.NDArray[Any]]
"""A trace: x, the activities of the inner layers, their slopes and the activities of the output layer; emptied when it
has been used."""


class NumbaCPU(Backend):
    """The fused kernels, on all threads that Numba may use (``NUMBA_NUM_THREADS``, ``numba.set_num_threads``).

    Results do not depend on the number of threads. Weights are updated in place.
    """

    def __init__(self) -> None:
        self.info = BACKEND
        self.device = "cpu"
        # Fresh memory costs as much as the pass that fills it, so the latest trace that was used up lends its own.
        self._spare: Activities = []

    def supports(self, network: Network, rule: Rule) -> Supported:
        """Return True unless the network is larger than memory."""
        return fits(network, self.memory())

    def from_host(self, weights: HostWeights) -> Own:
        """Return a contiguous copy."""
        return Own({key: np.array(value, order="C") for key, value in weights.items()})

    def to_host(self, weights: Own) -> HostWeights:
        """Return a copy, without the cells that were added."""
        cells = {key: value.shape[-1] - weights.added * key.startswith("output") for key, value in weights.items()}
        return {key: np.array(value[..., : cells[key]], order="C") for key, value in weights.items()}

    def copy(self, weights: Own) -> Own:
        """Return a copy."""
        copied = Own({key: value.copy() for key, value in weights.items()})
        copied.added = weights.added
        return copied

    def forward(self, network: Network, weights: Own, x: Array) -> Array:
        """Return the outputs, with room for the activities of two layers."""
        if len(x) == 0:
            return np.empty((0, network.columns), network.dtype)
        x = np.require(to_numpy(x), requirements=["C", "W"])
        layers = np.empty((network.heads, 2, len(x), 2 * network.width), x.dtype)  # used in turn
        outputs = np.empty((network.heads, len(x), 2 * network.outputs), x.dtype)
        self.run(network, weights, [x, layers, layers[:, :0], outputs], 0, len(x))
        return columns(network, outputs)

    def trace(self, network: Network, weights: Own, x: Array) -> tuple[Array, Activities]:
        """Return the outputs and the activities of all layers."""
        own = np.array(to_numpy(x), order="C")
        trace = [own, *self.room(network, len(x)), np.empty((network.heads, len(x), 2 * network.outputs), own.dtype)]
        self.run(network, weights, trace, 0, len(x))
        return columns(network, trace[-1]), trace

    def update(self, network: Network, rule: Rule, weights: Own, trace: Activities, error: Array) -> Own:
        """Return the weights, updated in place."""
        x, hidden, slopes, outputs = trace
        parts, kind = len(x) if rule.reduction == "mean" else 1, kind_of(network, rule)
        rates = tuple(x.dtype.type(rate / parts) for rate in (rule.alpha, rule.alpha_output))
        errors = np.array(to_numpy(error).T, order="C").reshape(network.heads, network.outputs, len(x))
        shares = kernels.share(errors, len(x), network.width, rates, kind)
        arguments = weights.completed(network), _all(network), x, hidden, slopes, outputs, shares, kind
        spread(kernels.update_part, arguments, network, len(x), whole=True)
        trace.clear()
        self._spare = [hidden]
        return weights

    def stage(self, stage: Stage, weights: HostWeights) -> NumbaStage:
        """Return the stage, with the same kernels."""
        return NumbaStage(stage, weights, self)

    def fit(
        self, network: Network, rule: Rule, weights: Own, x: Array, target: Array, schedule: Schedule
    ) -> tuple[Own, npt.NDArray[np.intp]]:
        """Return the weights and when each head stopped, after one compiled call for all epochs.

        The threads share out the heads where the network is small or heads come out even, else each batch. It can be
        interrupted at the end of each batch: the call is made on other threads, which are told to return.
        """
        learned, stopped = self.copy(weights), np.zeros(network.heads, np.intp)
        count, samples = schedule.orders.shape
        if count == 0:
            return learned, stopped
        repeated = schedule.orders.strides[0] == 0
        orders = np.array(schedule.orders[:1] if repeated else schedule.orders, order="C").reshape(-1)
        size = 1 if rule.order == "online" else min(schedule.batch_size, max(samples, 1))
        heads, threads = np.flatnonzero(schedule.learning), get_num_threads()
        small = network.parameters // network.heads * size <= SMALL
        even = len(heads) % threads == 0 or len(heads) >= MANY * threads
        by_head = small or even or not NumbasThreads.usable()
        plan = epochs.Plan(
            epochs=count,
            samples=samples,
            stride=0 if repeated else samples,
            size=size,
            alpha=rule.alpha,
            alpha_output=rule.alpha_output,
            mean=rule.reduction == "mean",
            tolerance=schedule.tolerance,
            tile=_tile(network, size),
            workers=threads,
        )
        # Read-only, whatever was given: kernels are compiled for each kind of array.
        x, target = (np.ascontiguousarray(to_numpy(array)).view() for array in (x, target))
        x.flags.writeable = target.flags.writeable = False
        cancelled, kind, arrays = np.zeros(1, np.bool_), kind_of(network, rule), learned.completed(network)

        def run(kernel: Any, heads: npt.NDArray[np.intp]) -> None:
            kernel(arrays, x, target, orders, heads, plan, kind, stopped, cancelled)

        def run_batches() -> None:
            set_num_threads(threads)
            run(epochs.fit_batches, heads)

        if by_head:
            kernel = epochs.fit_heads_online if size == 1 and _as_the_articles(kind) else epochs.fit_heads
            calls = [functools.partial(run, kernel, heads[i::threads].copy()) for i in range(threads)]
            _on_threads(calls[: len(heads)], cancelled)
        else:
            with NumbasThreads():
                _on_threads([run_batches], cancelled)
        return learned, stopped

    def run(self, network: Network, weights: Own, trace: Activities, start: int, stop: int) -> None:
        """Fill in the activities of the rows of x from start to stop."""
        tile = _tile(network, stop - start)
        arguments = weights.completed(network), _all(network), *trace, start, stop, tile, kind_of(network)
        spread(kernels.trace_part, arguments, network, stop - start)

    def room(self, network: Network, batch: int) -> list[npt.NDArray[Any]]:
        """Return memory for the activities and the slopes of a trace's inner layers."""
        shape, hidden = (network.heads, network.depth + 1, batch, 2 * network.width), None
        with contextlib.suppress(IndexError):
            hidden = self._spare.pop()
        if hidden is None or hidden.shape != shape or hidden.dtype != network.dtype:
            hidden = np.empty(shape, network.dtype)
        return [hidden, np.empty(shape, network.dtype) if network.rms else hidden[:, :0]]


def _all(network: Network) -> npt.NDArray[np.intp]:
    return np.arange(network.heads)


def _as_the_articles(kind: Kind) -> bool:
    """Return whether cells are of the kind for which there is a kernel for batches of one."""
    plain = kind.activation == kind.output_activation == SIGMOID and kind.outputs == 1
    return plain and not kind.rms and kind.floor < 0 and not kind.centred


def _tile(network: Network, batch: int) -> int:
    """Return how many rows a thread takes at once: as few tiles as give all threads the same work."""
    threads = get_num_threads()
    tiles = threads // math.gcd(network.heads, threads)
    rows = -(-batch // tiles)
    return min(TILE, -(-rows // 4) * 4)
