"""One thread for BLAS while tasks run.

How a product of wide layers is rounded can depend on how many threads share it, and tasks run side by side anyway.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["one_thread", "one_thread_for_good"]

_lock = threading.Lock()
_inside = 0
_limit: Any = None
_hands_out = False


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread until the block is left, in all threads of this process.

    It is for the thread that hands out the tasks: OpenBLAS obeys only one at a time.
    """
    global _hands_out
    _hands_out = True
    _enter()
    try:
        yield
    finally:
        _leave()


def one_thread_for_good() -> None:
    """Limit BLAS to one thread in a process that is there for tasks, unless it is one that has handed some out.

    Such a process may have workers among its own threads, which start another task when nobody waits for it any more.
    """
    if _inside == 0 and not _hands_out:
        _enter()


def _enter() -> None:
    global _inside, _limit
    with _lock:
        if _inside == 0:
            _limit = ThreadpoolController().limit(limits=1, user_api="blas")
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0:
            _limit.__exit__(None, None, None)
