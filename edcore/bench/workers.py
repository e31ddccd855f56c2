"""Worker processes: each holds one task, runs it on request, and is idle in between.

The idle threads of PyTorch and JAX disturb other timings in their process, so each contender has its own process.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from edcore.errors import EDCoreError
from edcore.interrupts import uninterrupted

Task: TypeAlias = Callable[[], Any]

GRACE = 5
"""Seconds that a process has to end before it is killed."""


class WorkerError(Exception):
    """A worker cannot go on; the text is the reason, without a full stop."""


class LateError(WorkerError):
    """A worker's time is up."""


class Worker:
    """A process in which ``make(*arguments)`` makes a task and a description of it; both are sent by name (pickle)."""

    def __init__(self, make: Callable[..., tuple[Task, Any]], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would share the thread pools of this process
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        with uninterrupted(), _no_ctrl_c():
            self._process.start()
        theirs.close()  # so that the end of the process is the end of the connection

    def wait_until_ready(self, seconds: float | None = None) -> Any:
        """Return the description of the task once it is made; raise LateError after `seconds`."""
        return self._answer(seconds)

    def run(self, seconds: float | None = None) -> Any:
        """Run the task once and return its result; raise LateError after `seconds`."""
        with contextlib.suppress(OSError):  # it has died; the answer says how
            self._connection.send(True)
        return self._answer(seconds)

    def end(self) -> None:
        """End the process, even in the middle of its task."""
        self._process.terminate()
        self._process.join(GRACE)
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _answer(self, seconds: float | None) -> Any:
        try:
            if not self._connection.poll(seconds):
                self.end()  # or it would go on beside what is timed next
                raise LateError(f"it was not done after {seconds:.3g} seconds, when its time was up")
            done, answer = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(GRACE)
            raise WorkerError(f"its process ended with exit code {self._process.exitcode}") from None
        if not done:
            raise WorkerError(answer)
        return answer


@contextlib.contextmanager
def worker_pool() -> Iterator[list[Worker]]:
    """Yield a list for workers, and end all of them when the block is left, even by Ctrl-C."""
    started: list[Worker] = []
    try:
        yield started
    finally:
        for worker in started:
            worker.end()


@contextlib.contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Hold Ctrl-C back in this thread, and for good in processes that start meanwhile."""
    # A terminal sends it to all processes. A new one that has not come to `_serve` yet would print a traceback. So it
    # would if this process ended before it has handed over the task: `uninterrupted` sees to that, as the signal may
    # come through another thread, one of a library's. This process ends the others itself.
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it lets Ctrl-C through again if it starts only now
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, make: Callable[..., tuple[Task, Any]], arguments: tuple[Any, ...]) -> None:
    """Make the task, and run it on each request until the other side is gone."""
    sys.stdout = sys.stderr  # that of the command has its results alone, whatever a library prints
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    try:
        task, description = make(*arguments)
        connection.send((True, description))
        while connection.recv():
            connection.send((True, task()))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:  # a library can raise anything
        connection.send((False, _reason(error)))


def _reason(error: Exception) -> str:
    sentence = " ".join(str(error).split()).rstrip(".")
    return sentence if isinstance(error, EDCoreError) else f"{type(error).__name__}: {sentence or 'no message'}"
