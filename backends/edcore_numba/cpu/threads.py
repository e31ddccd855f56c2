"""Run compiled kernels on several threads."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import thread as pools
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy.typing as npt

from edcore.interrupts import uninterrupted

MOST_THREADS = 1024
"""Threads of the pool at most: enough for all calls that are made at the same time."""

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux has a container's share of time."""

MOST_WORKERS = 256
"""Threads of a call at most. Those of a batch wait for one another, so that each must get one of the pool's."""


def number_of_threads() -> int:
    """Return how many threads the user lets Numba have, without starting Numba's own: there may be none to start."""
    if getattr(pools, "_shutdown", False):  # the program is ending, and starts no threads any more
        return 1
    try:
        numba.threading_layer()  # raises until they are started, as they are by whoever sets their number
        number = numba.get_num_threads()
    except ValueError:
        number = numba.config.NUMBA_NUM_THREADS
    if number == numba.config.NUMBA_DEFAULT_NUM_THREADS:  # the user has set none
        number = min(number, _share())
    return min(int(number), MOST_WORKERS)


@functools.cache
def _share() -> int:
    """Return the cores that a container may use at a time: more threads would wait for one that is held back."""
    try:
        quota, period = CPU_MAX.read_text().split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # there is no such file, or no limit
        return MOST_WORKERS


class Limits(NamedTuple):
    """The amounts of work beyond which it is shared out among threads."""

    one_pass: int = 2**25
    """Multiplications that the calling thread does alone: to wake another takes a tenth of a millisecond, and it
    starts with an empty cache."""

    brief: int = 2**34
    """Multiplications for which nobody minds that Ctrl-C waits: some tenths of a second."""

    one_batch: int = 2**21
    """Multiplications of a head's batch in `fit` that one thread does alone: to share them costs more than it gains."""

    heads_per_thread: int = 8
    """With this many heads for each thread it does not matter if one of them has a head more than another."""


def run_kernel(
    kernel: Any,
    arguments: tuple[Any, ...],
    workers: int,
    to_the_end: bool = False,
    cancelled: npt.NDArray[Any] | None = None,
    brief: bool = False,
) -> None:
    """Run the shares of all workers, each on a thread; an interrupt ends them early unless `to_the_end`."""
    if workers == 1:
        kernel(*arguments, 0, 1)
        return
    # An update on some threads and not on others would leave weights that belong to no step.
    with uninterrupted() if to_the_end else contextlib.nullcontext():
        run_on_threads(
            [functools.partial(kernel, *arguments, worker, workers) for worker in range(workers)], cancelled, brief
        )


def run_on_threads(
    calls: Sequence[Callable[[], None]], cancelled: npt.NDArray[Any] | None = None, brief: bool = False
) -> None:
    """Run each call on a thread, and wait for all; an interrupt sets `cancelled`, at which the calls return early.

    Kernels release the GIL, so that Python's threads run them side by side while this one waits for signals. It makes
    the last call by itself if they are `brief`: that is one thread less to wake.
    """
    running: list[Future[None]] = []
    brief = brief or (len(calls) == 1 and getattr(pools, "_shutdown", False))
    try:
        for call in calls[:-1] if brief else calls:
            # One by one, as an interrupt must find those that run.
            running.append(_pool(os.getpid()).submit(_call, call, cancelled))  # noqa: PERF401
        if brief:
            calls[-1]()
        while wait(running, timeout=0.1).not_done:
            pass  # on some platforms, and in some threads, a wait without a timeout sees a signal only afterwards
    except BaseException:
        if cancelled is not None:
            cancelled[0] = 1
        # No kernel may go on writing to arrays that the caller has back.
        wait([future for future in running if not future.cancel()])
        raise
    for future in running:
        future.result()


def _call(call: Callable[[], None], cancelled: npt.NDArray[Any] | None) -> None:
    """Make the call; if it fails the others must not wait for it."""
    try:
        call()
    except BaseException:
        if cancelled is not None:
            cancelled[0] = 1
        raise


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of this process: a forked one inherits the pool, and none of its threads."""
    return ThreadPoolExecutor(MOST_THREADS, "edcore")
