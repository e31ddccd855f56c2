"""One GPU: its memory, the arrays that are copied to it and from it, and the stream that orders the work."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba import cuda

from edcore.arrays import Array, detached, to_numpy
from edcore.contract.memory import Memory

KEPT = 8
"""Buffers that are kept for later calls: to free one waits for the whole device."""

FEW_BLOCKS = 128
"""Numba warns of a grid with fewer blocks."""

LEGACY = 1
"""The legacy default stream in `__cuda_array_interface__`, where 0 is not allowed; the driver calls it 0."""


class Device:
    """A device, its spare buffers, and the order of the work on it.

    A call's work goes to the stream that is current in the caller's library, so that it runs after the caller's earlier
    work there and before the later. The device waits there for work that this backend has put on another stream.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self._spare: list[Any] = []
        self._latest: Any = None
        self._handle = 0

    @contextmanager
    def call(self, array: Array = None) -> Iterator[Call]:
        """Open a call that was given this array; None stands for an array of NumPy."""
        with cuda.gpus[self.index]:
            library = self.library(array)
            handle = _stream_handle(library, array)
            call = Call(self, library, array, cuda.external_stream(handle) if handle else 0)
            if self._latest is None:
                self._latest = cuda.event()
            elif handle or self._handle:  # another stream's handle may be used again for a new stream
                self._latest.wait(call.stream)
            try:
                yield call
            finally:
                # Recorded now: at the next call, the caller's stream may be gone.
                self._latest.record(call.stream)
                self._handle = handle
                self._spare += call.borrowed
                del self._spare[:-KEPT]

    def library(self, array: Array) -> str:
        """Return the library of an array that is on this device, else "numpy"."""
        if not hasattr(detached(array), "__cuda_array_interface__"):
            return "numpy"
        library = type(array).__module__.partition(".")[0]
        index = {"torch": "index", "cupy": "id"}.get(library)
        return library if index is None or getattr(array.device, index) == self.index else "numpy"

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return uninitialised memory, from the spare buffers if one fits."""
        for place, spare in enumerate(self._spare):
            if spare.shape == shape and spare.dtype == dtype:
                return self._spare.pop(place)
        try:
            return cuda.device_array(shape, dtype)
        except Exception:
            if not self._spare:
                raise
            self._spare.clear()  # the spare buffers may be the memory that is missing
            return cuda.device_array(shape, dtype)

    def give_back(self, memory: Any) -> None:
        """Keep memory for later calls; work that was launched before may still use it."""
        self._spare.append(memory)

    def total_memory(self) -> Memory:
        """Return the device's memory."""
        with cuda.gpus[self.index]:
            return Memory(*map(int, cuda.current_context().get_memory_info()))

    def synchronize(self) -> None:
        """Wait until the device has finished all work."""
        with cuda.gpus[self.index]:
            cuda.synchronize()


class Call:
    """One call of the backend: the stream for its work, and the memory that it borrows until its end."""

    def __init__(self, device: Device, library: str, array: Array, stream: Any) -> None:
        self.device, self.library, self.stream = device, library, stream
        self.borrowed: list[Any] = []
        self._array = array

    def borrow(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return memory for this call alone."""
        memory = self.device.allocate(shape, dtype)
        self.borrowed.append(memory)
        return memory

    def on_device(self, array: Array) -> Any:
        """Return the array as kernels take it: without a copy if it is on the device in the call's library."""
        if self.library != "numpy" and self.device.library(array) == self.library:
            # Without waiting for the stream that the array names: this call's work goes to that stream.
            return cuda.as_cuda_array(detached(array), sync=False)
        host = np.ascontiguousarray(to_numpy(array))
        memory = self.borrow(host.shape, host.dtype)
        self.upload(memory, host)
        return memory

    def upload(self, memory: Any, host: Array) -> None:
        """Copy an array from the host, and wait until it may be written to again."""
        memory.copy_to_device(host, stream=self.stream)
        self._wait()

    def outputs(self, shape: tuple[int, ...], dtype: str) -> tuple[Array, Any]:
        """Return memory for outputs, as an array of the caller's library (None for NumPy) and as kernels take it."""
        if self.library not in ("torch", "cupy"):
            return None, self.borrow(shape, dtype)
        library = importlib.import_module(self.library)
        if self.library == "torch":
            outputs = library.empty(shape, dtype=getattr(library, dtype), device=self._array.device)
        else:
            with library.cuda.Device(self.device.index):
                outputs = library.empty(shape, dtype)
        return outputs, cuda.as_cuda_array(outputs, sync=False)

    def launch(self, kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
        """Put a kernel on the stream."""
        with warnings.catch_warnings():
            if blocks < FEW_BLOCKS:  # the user could do nothing about it
                warnings.filterwarnings("ignore", "Grid size")  # by its text: numba-cuda has a class of its own for it
            configured = kernel[blocks, threads, self.stream]
        configured(*arguments)

    def to_numpy(self, memory: Any) -> Array:
        """Return a copy on the host, after waiting for it."""
        host = memory.copy_to_host(stream=self.stream)
        self._wait()
        return host

    def _wait(self) -> None:
        """Wait for a copy from or to the host; the default stream does so by itself."""
        if self.stream:
            self.stream.synchronize()


def _stream_handle(library: str, array: Array) -> int:
    """Return the driver's handle of the stream that is current in the library; 0 is the default stream."""
    match library:
        case "numpy":
            return 0
        case "torch":
            return int(importlib.import_module("torch").cuda.current_stream(array.device).cuda_stream)
        case "cupy":
            return int(importlib.import_module("cupy").cuda.get_current_stream().ptr)
        case _:
            handle = array.__cuda_array_interface__.get("stream")
            return 0 if handle in (None, LEGACY) else int(handle)
