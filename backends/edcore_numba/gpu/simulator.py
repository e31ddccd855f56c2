"""Make shared arrays work in Numba's CUDA simulator, where two threads of a block could get two arrays for one."""

from __future__ import annotations

import threading
from typing import Any


class SharedArrays(dict[Any, Any]):
    """The shared arrays of a block; the first thread that misses one sets it before any other looks for it."""

    # The simulator's threads call `get`; if it returns None, they make the array and set it. In between, another thread
    # could miss it too, make a second array, and never see what the first thread writes.

    def __init__(self) -> None:
        super().__init__()
        self._making = threading.Lock()

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the array; the first thread that misses it gets None, and others wait until it has set the array."""
        self._making.acquire()
        if key not in self:
            return default  # `__setitem__` releases the lock
        self._making.release()
        return self[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self._making.release()


def fix_shared_arrays() -> None:
    """Make shared arrays work in Numba's simulator, in all blocks from now on."""
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    plain = FakeCUDAShared.__init__
    if getattr(plain, "fixed", False):
        return

    def init(self: Any, dynshared_size: int) -> None:
        plain(self, dynshared_size)
        self._allocations = SharedArrays()

    init.fixed = True  # type: ignore[attr-defined]
    FakeCUDAShared.__init__ = init
