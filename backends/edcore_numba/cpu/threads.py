"""Run one kernel on several threads."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import get_num_threads

from edcore.core.network import Network
from edcore.interrupts import uninterrupted

SMALL = 2**21
"""Multiplications of a batch below which a head is left to one thread: sharing it would cost more than it gains."""
LITTLE = 2**23
"""Multiplications of a pass below which this thread makes it alone: others take a tenth of a millisecond to start."""
MANY = 8
"""With so many heads for each thread it does not matter if one thread has a head more than another."""
POOL = 1024
"""Most threads of ours: enough for all calls that are made at the same time."""


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


def spread(kernel: Any, arguments: tuple[Any, ...], network: Network, batch: int, whole: bool = False) -> None:
    """Run a kernel's shares on all threads, or on this one where there is little to do; all of them, if `whole`."""
    workers = get_num_threads()
    if workers == 1 or network.parameters * batch <= LITTLE:
        kernel(*arguments, 0, 1)
    else:
        with uninterrupted() if whole else contextlib.nullcontext():
            _on_threads([functools.partial(kernel, *arguments, worker, workers) for worker in range(workers)])


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
