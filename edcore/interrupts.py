"""Signals that end a run between two batches, Ctrl-C held back while memory changes, and a lock for forks."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, TypeVar

Item = TypeVar("Item")


NOTICES = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGUSR1") if hasattr(signal, name))
"""Signals that end a run and come from a machine: the terminal is lost, a cluster's time is over."""


class Stop:
    """Holds back the first Ctrl-C, SIGTERM, SIGHUP or SIGUSR1, so that a run can end after its batch.

    A second Ctrl-C or SIGTERM is a KeyboardInterrupt. Ignored signals stay ignored, as in a shell's background job or
    under nohup, and so do those that a host program handles. Only the main thread holds signals back, as Python
    delivers them to no other. Set `ending` when the work is done: then no signal interrupts the little that is left,
    but for what is done `at_once`; `late` is the latest one that came since.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.late: int | None = None
        self.ending = self._waiting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, *NOTICES):
                # None: a program in which Python is embedded handles it, and Python could not give it back.
                if (before := signal.getsignal(number)) not in (signal.SIG_IGN, None):
                    with contextlib.suppress(ValueError):  # only the main interpreter has signals
                        signal.signal(number, self._receive)
                        self._before[number] = before
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def until(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items; the last one is that during which a signal came."""
        for item in items:
            yield item
            if self.signal is not None:
                return

    @property
    def pending(self) -> int | None:
        """The signal that ends what is being done, if one has come."""
        return self.late if self.ending else self.signal

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise a KeyboardInterrupt for a signal that comes within the block, or has come before it."""
        self._waiting = True
        try:
            if self.pending is not None:
                raise KeyboardInterrupt
            yield
        finally:
            self._waiting = False

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and not self.ending:
            if number in NOTICES:  # a lost terminal sends it more than once
                return
            raise KeyboardInterrupt
        self.signal = self.signal or number
        if self.ending:
            self.late = number
        if self._waiting:
            raise KeyboardInterrupt


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C until the end of a block, which must be short, as the user waits for it."""
    handler = signal.getsignal(signal.SIGINT)
    # Only the main thread is interrupted, and only a handler written in Python can interrupt Python code.
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    received: list[tuple[int, FrameType | None]] = []
    try:
        signal.signal(signal.SIGINT, lambda number, frame: received.append((number, frame)))
    except ValueError:  # a thread of another interpreter than the main one, which has no signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if received:
            handler(*received[0])


class ForkLock:
    """A `threading.RLock` that is open in a forked process: a thread that held it is not there to release it."""

    def __init__(self) -> None:
        self._locks: dict[int, Any] = {}  # by process

    def __enter__(self) -> None:
        process = os.getpid()
        (self._locks.get(process) or self._locks.setdefault(process, threading.RLock())).acquire()

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(KeyError, RuntimeError):  # a process that was forked within the block holds none
            self._locks[os.getpid()].release()
