"""The contract met with the CPU kernels."""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import get_num_threads, set_num_threads

from edcore.backend import Array, Backend, HostWeights, Schedule, Supported, classic, fits
from edcore.libraries import to_numpy
from edcore.network import Network
from edcore.rule import Rule

from . import BACKEND, WEIGHTS, epochs, kernels_cpu

__all__ = ["NumbaCPU"]

TILE = 128
"""Most rows that a thread takes through all layers at once: two layers' activities of them stay in its cache."""

SMALL = 2**21
"""Multiplications of a batch below which a head is left to one thread: sharing it would cost more than it gains."""

LITTLE = 2**23
"""Multiplications of a pass below which this thread makes it alone: others take a tenth of a millisecond to start."""

MANY = 8
"""With so many heads for each thread it does not matter if one thread has a head more than another."""

POOL = 1024
"""Most threads of ours: enough for all calls that are made at the same time."""

Activities = list[npt.NDArray[Any]]
"""A trace: x, the activities of the inner layers and those of the output layer; emptied when it has been used."""


class NumbasThreads:
    """Numba's own threads, which are entered by one call at a time, and not by a process that forked after they were.

    Only `epochs.fit_batches` needs them, as it goes from one thread to many inside compiled code.
    """

    _lock = threading.Lock()
    _used_by: int | None = None

    @classmethod
    def usable(cls) -> bool:
        """Return False in a process that was forked from one that used them: there they would end it."""
        return cls._used_by in (None, os.getpid())

    def __enter__(self) -> None:
        self._lock.acquire()
        type(self)._used_by = os.getpid()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()


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
        if (reason := classic(network, rule)) is not True:
            return reason
        return fits(network, self.memory())

    def from_host(self, weights: HostWeights) -> HostWeights:
        """Return a contiguous copy."""
        return {key: np.array(value, order="C") for key, value in weights.items()}

    def to_host(self, weights: HostWeights) -> HostWeights:
        """Return a copy."""
        return self.from_host(weights)

    def forward(self, network: Network, weights: HostWeights, x: Array) -> Array:
        """Return the outputs, with room for the activities of two layers."""
        if len(x) == 0:
            return np.empty((0, network.heads), network.dtype)
        x = np.require(to_numpy(x), requirements=["C", "W"])
        layers = np.empty((network.heads, 2, len(x), 2 * network.width), x.dtype)  # used in turn
        return self._run(network, weights, x, layers)[:, :, 0].T.copy()

    def trace(self, network: Network, weights: HostWeights, x: Array) -> tuple[Array, Activities]:
        """Return the outputs and the activities of all layers."""
        own = np.array(to_numpy(x), order="C")
        hidden = self._room((network.heads, network.depth + 1, len(x), 2 * network.width), own.dtype)
        outputs = self._run(network, weights, own, hidden)
        return outputs[:, :, 0].T.copy(), [own, hidden, outputs]

    def update(
        self, network: Network, rule: Rule, weights: HostWeights, trace: Activities, error: Array
    ) -> HostWeights:
        """Return the weights, updated in place."""
        x, hidden, outputs = trace
        parts = len(x) if rule.reduction == "mean" else 1
        rates = tuple(x.dtype.type(rate / parts) for rate in (rule.alpha, rule.alpha_output))
        errors, split = np.array(to_numpy(error).T, order="C"), rule.error == "split"
        shares = kernels_cpu.share(errors, len(x), rates, split)
        arguments = _ordered(weights), _all(network), x, hidden, outputs, shares, split
        self._spread(kernels_cpu.update_part, arguments, network, len(x))
        trace.clear()
        self._spare = [hidden]
        return weights

    def fit(
        self, network: Network, rule: Rule, weights: HostWeights, x: Array, target: Array, schedule: Schedule
    ) -> tuple[HostWeights, npt.NDArray[np.intp]]:
        """Return the weights and when each head stopped, after one compiled call for all epochs.

        The threads share out the heads where the network is small or heads come out even, else each batch. It can be
        interrupted at the end of each batch: the call is made on other threads, which are told to return.
        """
        learned, stopped = self.from_host(weights), np.zeros(network.heads, np.intp)
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
            split=rule.error == "split",
            tolerance=schedule.tolerance,
            tile=_tile(network, size),
            workers=threads,
        )
        # Read-only, whatever was given: kernels are compiled for each kind of array.
        x, target = (np.ascontiguousarray(to_numpy(array)).view() for array in (x, target))
        x.flags.writeable = target.flags.writeable = False
        cancelled = np.zeros(1, np.bool_)

        def run(kernel: Any, heads: npt.NDArray[np.intp]) -> None:
            kernel(_ordered(learned), x, target, orders, heads, plan, _scale(network), stopped, cancelled)

        def run_batches() -> None:
            set_num_threads(threads)
            run(epochs.fit_batches, heads)

        if by_head:
            kernel = epochs.fit_heads_online if size == 1 else epochs.fit_heads
            calls = [functools.partial(run, kernel, heads[i::threads].copy()) for i in range(threads)]
            _on_threads(calls[: len(heads)], cancelled)
        else:
            with NumbasThreads():
                _on_threads([run_batches], cancelled)
        return learned, stopped

    def _run(self, network: Network, weights: HostWeights, x: Array, hidden: Array) -> npt.NDArray[Any]:
        """Return the activities of the output layer, and fill in the others."""
        outputs = np.empty((network.heads, len(x), 2), x.dtype)
        arguments = _ordered(weights), _all(network), x, hidden, outputs, _tile(network, len(x)), _scale(network)
        self._spread(kernels_cpu.trace_part, arguments, network, len(x))
        return outputs

    def _spread(self, kernel: Any, arguments: tuple[Any, ...], network: Network, batch: int) -> None:
        """Run a kernel's shares on all threads, or on this one where there is little to do."""
        workers = get_num_threads()
        if workers == 1 or network.parameters * batch <= LITTLE:
            kernel(*arguments, 0, 1)
        else:
            _on_threads([functools.partial(kernel, *arguments, worker, workers) for worker in range(workers)])

    def _room(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return memory for the activities of a trace."""
        try:
            spare = self._spare.pop()
        except IndexError:
            return np.empty(shape, dtype)
        return spare if spare.shape == shape and spare.dtype == dtype else np.empty(shape, dtype)


def _on_threads(calls: Sequence[Callable[[], None]], cancelled: npt.NDArray[np.bool_] | None = None) -> None:
    """Make the calls, each on a thread of its own, and have them return early when this thread is interrupted."""
    running: list[Future[None]] = []
    try:
        for call in calls:
            running.append(_pool(os.getpid()).submit(call))  # noqa: PERF401 -- an interrupt must find those that run
        while wait(running, timeout=0.1).not_done:
            pass  # on some platforms, and in some threads, a wait with no end hears of a signal only afterwards
    except BaseException:
        if cancelled is not None:
            cancelled[0] = True
        wait([future for future in running if not future.cancel()])
        raise
    for future in running:
        future.result()


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return this process's threads; a forked process has none of its parent's. Idle ones are taken again first."""
    return ThreadPoolExecutor(POOL, "edcore")


def _ordered(weights: HostWeights) -> tuple[npt.NDArray[Any], ...]:
    return tuple(weights[key] for key in WEIGHTS)


def _all(network: Network) -> npt.NDArray[np.intp]:
    return np.arange(network.heads)


def _scale(network: Network) -> Any:
    """Return the factor that makes f(z) = 1 / (1 + 2**(factor · z))."""
    return np.dtype(network.dtype).type(-2 / network.u0 / math.log(2))


def _tile(network: Network, batch: int) -> int:
    """Return how many rows a thread takes at once: as few tiles as give all threads the same work."""
    threads = get_num_threads()
    tiles = threads // math.gcd(network.heads, threads)
    rows = -(-batch // tiles)
    return min(TILE, -(-rows // 4) * 4)
