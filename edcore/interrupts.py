"""Ctrl-C and SIGTERM while a run goes on: it stops between two batches, where its state is whole."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")


class Stop:
    """Holds back the first Ctrl-C or SIGTERM, until whoever works looks for it; a second one is a KeyboardInterrupt.

    Signals that were ignored before, as in a shell's background job, still are. In another thread than the main one
    nothing is held back, as Python delivers no signals there.

    Attributes
    ----------
    signal : int or None
        The signal that has come.
    ending : bool
        Set it where the work is done and only a little is left to do: then no signal ends that.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.ending = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._come)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def until(self, items: Iterable[Item]) -> Iterator[Item]:
        """Go through items until a signal has come.

        Parameters
        ----------
        items : iterable
            The items.

        Yields
        ------
        object
            Each of them; the last one is that while which the signal came.
        """
        for item in items:
            yield item
            if self.signal is not None:
                return

    def _come(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and not self.ending:
            raise KeyboardInterrupt
        self.signal = number


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C until the block is left. It must be short: whoever presses it waits as long."""
    handler = signal.getsignal(signal.SIGINT)
    # Only the main thread is interrupted; a handler that is no function of Python's interrupts no Python code.
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    kept: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: kept.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if kept:
            handler(*kept[0])
