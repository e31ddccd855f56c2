"""Run compiled kernels on several threads."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edcore.interrupts import uninterrupted

MOST_THREADS = 1024
"""Threads of the pool at most: enough for all calls that are made at the same time."""


class Limits(NamedTuple):
    """The amounts of work beyond which it is shared out among threads."""

    one_pass: int = 2**23
    """Multiplications that the calling thread does alone: to start others takes a tenth of a millisecond."""

    one_batch: int = 2**21
    """Multiplications of a head's batch in `fit` that one thread does alone: to share them costs more than it gains."""

    heads_per_thread: int = 8
    """With this many heads for each thread it does not matter if one of them has a head more than another."""


class NumbaThreadLock:
    """Exclusive use of Numba's own threads, which only `epochs.fit_batches` needs.

    It goes from one thread to many inside compiled code. Everything else runs on Python's threads, which may be entered
    by several calls at the same time, survive a fork, and let Ctrl-C through.
    """

    _lock = threading.Lock()  # Numba's workqueue layer ends the process that enters it twice at the same time
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


def run_kernel(kernel: Any, arguments: tuple[Any, ...], workers: int, to_the_end: bool = False) -> None:
    """Run the shares of all workers, each on a thread; an interrupt ends them early unless `to_the_end`."""
    if workers == 1:
        kernel(*arguments, 0, 1)
        return
    # An update on some threads and not on others would leave weights that belong to no step.
    with uninterrupted() if to_the_end else contextlib.nullcontext():
        run_on_threads([functools.partial(kernel, *arguments, worker, workers) for worker in range(workers)])


def run_on_threads(calls: Sequence[Callable[[], None]], cancelled: npt.NDArray[np.bool_] | None = None) -> None:
    """Run each call on a thread, and wait for all; an interrupt sets `cancelled`, at which the calls return early.

    Kernels release the GIL, so that Python's threads run them side by side while this one waits for signals.
    """
    running: list[Future[None]] = []
    try:
        for call in calls:
            running.append(_pool(os.getpid()).submit(call))  # noqa: PERF401 -- an interrupt must find those that run
        while wait(running, timeout=0.1).not_done:
            pass  # on some platforms, and in some threads, a wait without a timeout sees a signal only afterwards
    except BaseException:
        if cancelled is not None:
            cancelled[0] = True
        # No kernel may go on writing to arrays that the caller has back.
        wait([future for future in running if not future.cancel()])
        raise
    for future in running:
        future.result()


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of this process: a forked one inherits the pool, and none of its threads."""
    return ThreadPoolExecutor(MOST_THREADS, "edcore")
