"""A mend for Numba's CUDA simulator, in which two threads of a block could get two shared arrays instead of one."""

from __future__ import annotations

import threading
from typing import Any


class OneForAll(dict[Any, Any]):
    """The shared arrays of a block. Whoever finds that one is missing sets it before anybody else looks for it.

    The simulator's threads look with `get`, and where that gives None they make the array and set it. In between,
    another thread could find it missing too, and what the one wrote was lost for the other.
    """

    def __init__(self) -> None:
        super().__init__()
        self._making = threading.Lock()

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the array; if there is none, None to the first who asks. Others wait until that one has set it."""
        self._making.acquire()
        if key not in self:
            return default  # the lock is given back by who sets it
        self._making.release()
        return self[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self._making.release()


def share_shared_arrays() -> None:
    """Have all blocks that are simulated from now on share their arrays."""
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    plain = FakeCUDAShared.__init__
    if getattr(plain, "mended", False):
        return

    def init(self: Any, dynshared_size: int) -> None:
        plain(self, dynshared_size)
        self._allocations = OneForAll()

    init.mended = True  # type: ignore[attr-defined]
    FakeCUDAShared.__init__ = init
