"""Numba's compiler for CUDA: its import without warnings, a mend for NumPy 2.5, and a trial."""

from __future__ import annotations

import importlib
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np

from edcore_numba import compile_time as compile_time  # it stops edcore's clock

_filtering = threading.Lock()


@contextmanager
def without_warnings(beginning: str = "") -> Iterator[None]:
    """Ignore warnings that begin with this text, by default all, and leave the filters as they were."""
    # The filters are the whole process's: two changes at once could stay.
    with _filtering, warnings.catch_warnings():
        warnings.filterwarnings("ignore", beginning)
        yield


with without_warnings():  # numba-cuda 0.30 calls what NumPy 2.5 deprecates
    from numba import cuda as cuda


REMOVED = "row_stack"
"""The function that NumPy 2.5 has no longer, and that numba-cuda up to 0.30.4 looks for."""


def fix_numpy() -> None:
    """Let numba-cuda compile where NumPy lacks a function; call it before the first kernel is compiled."""
    # One module of numba-cuda looks for the function, once, when it is imported. So NumPy has the name meanwhile, and
    # no longer. A numba-cuda that does without it does not look for it.
    with _fixing, without_warnings():
        if hasattr(np, REMOVED):
            return
        setattr(np, REMOVED, _row_stack)
        try:
            importlib.import_module("numba.cuda.np.arrayobj")
        except ModuleNotFoundError:
            pass  # this is Numba's own compiler for CUDA, which does not look for it
        finally:
            delattr(np, REMOVED)


def _row_stack(arrays: Any) -> Any:
    """Stand for the removed function, which no kernel of this package calls."""
    return np.vstack(arrays)


_fixing = threading.Lock()


def try_out(index: int) -> None:
    """Compile an empty kernel for a device and load it there; once in a process, if it succeeds."""
    # That a driver and a device are there says nothing about NVVM, its library, the linker, and whether they fit Numba,
    # NumPy and the driver. What fails is tried again: the device may have been out of memory.
    with _trying:
        if index not in _tried:
            fix_numpy()
            with without_warnings(), cuda.gpus[index]:
                cuda.jit(numba.void())(_nothing)
            _tried.add(index)


def _nothing() -> None:
    pass


_trying = threading.Lock()
_tried: set[int] = set()
