"""One GPU: its memory, the arrays that are copied to it and from it, and the stream that orders the work."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from edcore.arrays import Array, detached, to_numpy
from edcore.contract.memory import Memory
from edcore_numba.gpu.compiler import cuda, without_warnings

KEPT = 8
"""Buffers that are kept for later calls: to free one waits for the whole device."""

FEW_BLOCKS = 128
"""Numba warns of a grid with fewer blocks."""

LEGACY = 1
"""The legacy default stream in `__cuda_array_interface__`, where 0 is not allowed; PyTorch and CuPy call it 0."""


class Device:
    """A device, its spare buffers, and the order of the work on it.

    A call's work goes to the stream that is current in the caller's library, so that it runs after the caller's earlier
    work there and before the later. The device waits there for work that this backend has put on another stream.
    Several threads may have a call each.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self._lock = threading.Lock()  # held while what follows is read and changed
        self._spare: list[Any] = []
        self._latest: Any = None  # the event after all calls that have ended
        self._handle = 0  # the stream of the last of them
        self._ended = 0
        self._legacy: Any = None

    @contextmanager
    def call(self, array: Array = None) -> Iterator[Call]:
        """Open a call that was given this array; None stands for an array of NumPy."""
        with self._current():
            library = self.library(array)
            call = Call(self, library, array, _stream_handle(library, array))
            with self._lock:
                self._follow(call)
            with _ends(lambda: self._end(call)):
                yield call

    def stream(self, handle: int) -> Any:
        """Return the stream with this handle."""
        if handle:
            return cuda.external_stream(handle)
        if self._legacy is None:
            # By its name: where each thread has a default stream of its own, 0 stands for that one. The older simulator
            # has one kind of stream.
            self._legacy = getattr(cuda, "legacy_default_stream", cuda.stream)()
        return self._legacy

    def library(self, array: Array) -> str:
        """Return the library of an array that is on this device, else "numpy"."""
        if not hasattr(detached(array), "__cuda_array_interface__"):
            return "numpy"
        library = type(array).__module__.partition(".")[0]
        index = {"torch": "index", "cupy": "id"}.get(library)
        return library if index is None or getattr(array.device, index) == self.index else "numpy"

    def allocate(self, call: Call, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return uninitialised memory for a call's stream, from the spare buffers if one fits."""
        with self._lock:
            for place, spare in enumerate(self._spare):
                if spare.shape == shape and spare.dtype == dtype:
                    self._follow(call)  # which may have begun before the call that gave it back ended
                    return self._spare.pop(place)
        try:
            return cuda.device_array(shape, dtype)
        except Exception:
            with self._lock:
                if not self._spare:
                    raise
                self._spare.clear()  # the spare buffers may be the memory that is missing
            return cuda.device_array(shape, dtype)

    def give_back(self, memory: Any) -> None:
        """Keep memory for later calls; the work of calls that have ended may still use it."""
        with self._lock:
            self._keep([memory])

    def total_memory(self) -> Memory:
        """Return the device's memory."""
        with self._current():
            return Memory(*map(int, cuda.current_context().get_memory_info()))

    def synchronize(self) -> None:
        """Wait until the device has finished all work."""
        with self._current():
            cuda.synchronize()

    @contextmanager
    def _current(self) -> Iterator[None]:
        """Make this device the thread's current one."""
        device = cuda.gpus[self.index]
        device.__enter__()
        with _ends(lambda: device.__exit__(None, None, None)):
            yield

    def _follow(self, call: Call) -> None:
        """Let a call's stream wait for the calls that have ended since it did so last; the lock is held."""
        # Another stream's handle may be used again for a new stream; the legacy stream's is always its own.
        if call.follows != self._ended and (call.handle or self._handle):
            self._latest.wait(call.stream)
        call.follows = self._ended

    def _end(self, call: Call) -> None:
        """Mark a call's end on its stream, and keep the memory that it borrowed."""
        with self._lock:
            self._follow(call)  # so that the event also comes after the calls that ended during this one
            if self._latest is None:
                self._latest = cuda.event()
            # Recorded now: at the next call, the caller's stream may be gone.
            self._latest.record(call.stream)
            self._handle = call.handle
            self._ended += 1
            self._keep(call.borrowed)

    def _keep(self, buffers: list[Any]) -> None:
        """Keep buffers for later calls; the lock is held."""
        self._spare += buffers
        del self._spare[:-KEPT]


@contextmanager
def _ends(end: Callable[[], object]) -> Iterator[None]:
    """Run the end of a block, also after an error; that error stays the one that is raised."""
    try:
        yield
    except BaseException as error:
        try:
            end()
        except Exception as second:  # after some errors the driver refuses all that follows
            error.add_note(f"edcore: what ends the call failed as well: {second!r}")
        raise
    end()


class Call:
    """One call of the backend: the stream for its work, and the memory that it borrows until its end."""

    def __init__(self, device: Device, library: str, array: Array, handle: int) -> None:
        self.device, self.library, self.handle, self.stream = device, library, handle, device.stream(handle)
        self.follows = 0  # this many calls, with its work
        self.borrowed: list[Any] = []
        self._array = array

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return memory that outlives the call."""
        return self.device.allocate(self, shape, dtype)

    def borrow(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return memory for this call alone."""
        memory = self.allocate(shape, dtype)
        self.borrowed.append(memory)
        return memory

    def on_device(self, array: Array) -> Any:
        """Return the array as kernels take it: without a copy if it is on the device in the call's library."""
        if self.library != "numpy" and self.device.library(array) == self.library:
            # Without waiting for the stream that the array names: this call's work goes to that stream.
            return cuda.as_cuda_array(detached(array), sync=False)
        host = np.ascontiguousarray(to_numpy(array))
        if 0 in host.strides:  # of an axis of length 1, which Numba's simulator would take away
            host = host.copy()
        memory = self.borrow(host.shape, host.dtype)
        self.upload(memory, host)
        return memory

    def upload(self, memory: Any, host: Array) -> None:
        """Copy an array from the host, and wait until it may be written to again."""
        memory.copy_to_device(host, stream=self.stream)
        self.stream.synchronize()

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
        # The user could do nothing about it. By its text: numba-cuda has a class of its own for it.
        with without_warnings("Grid size") if blocks < FEW_BLOCKS else nullcontext():
            configured = kernel[blocks, threads, self.stream]
        configured(*arguments)

    def to_numpy(self, memory: Any) -> Array:
        """Return a copy on the host, after waiting for it."""
        host = memory.copy_to_host(stream=self.stream)
        self.stream.synchronize()
        return host


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
