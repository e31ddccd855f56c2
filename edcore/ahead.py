"""Items that a thread of its own makes ahead of whoever uses them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")


def ahead(items: Iterator[T], count: int) -> Generator[T]:
    """Yield the items, so many of them made ahead in a thread of its own, which is gone when this ends."""
    if count == 0:
        yield from items
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="edcore-read")
    try:
        pending: deque[Future[T | None]] = deque(pool.submit(next, items, None) for _ in range(count))
        while (item := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, items, None))
            yield item
            del item  # or it would be held while the next one is waited for
    finally:
        pool.shutdown(cancel_futures=True)
