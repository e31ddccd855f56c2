"""Say when a backend compiles its kernels, and keep that time out of all measured speeds."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from edcore.interrupts import ForkLock

logger = logging.getLogger("edcore.compilation")

_lock = ForkLock()
_said: set[str] = set()
_now = (0, 0.0, 0.0)  # compilations that are running, when they began, and the seconds of all before; set as one


def say_compiling(backend: str, kept: bool) -> None:
    """Log at INFO, once in a process, that a backend compiles; `kept` says that later processes need not."""
    with _lock:
        if backend in _said:
            return
        _said.add(backend)
    logger.info("compiling the kernels of %s, %s", backend, "once" if kept else "in each process")


def begin_compiling() -> None:
    """Stop the `clock`; `end_compiling` must follow. Several threads may compile at once."""
    global _now
    with _lock:
        running, since, before = _now
        _now = running + 1, since if running else time.perf_counter(), before


def end_compiling() -> None:
    """Let the `clock` go on once nothing compiles."""
    global _now
    with _lock:
        running, since, before = _now
        _now = running - 1, since, before + (0.0 if running > 1 else time.perf_counter() - since)


def add_compiling(seconds: float) -> None:
    """Take seconds off the `clock`: for a compiler that tells of them afterwards."""
    global _now
    with _lock:
        running, since, before = _now
        _now = running, since, before + seconds


def clock() -> float:
    """Return the seconds of a clock that stands still while a backend compiles, or loads what it has compiled."""
    running, since, before = _now
    return (since if running else time.perf_counter()) - before


class _OnStderr(logging.Handler):
    """Prints what is logged; of all processes that have the path `once`, the first prints."""

    def __init__(self, once: Path | None) -> None:
        super().__init__()
        self._once = once

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            if self._once:
                self._once.touch(exist_ok=False)
                if sys.stderr.isatty():  # where the other process may show a bar
                    sys.stderr.write("\r\x1b[K")
            print(f"edcore: {record.getMessage()}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def compiling_on_stderr(once: Path | None = None) -> Iterator[None]:
    """Print that a backend compiles; of all processes that share a file `once`, which is not there yet, the first does.

    Within another such block this one does nothing.
    """
    if logger.handlers:
        yield
        return
    handler, level = _OnStderr(once), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
