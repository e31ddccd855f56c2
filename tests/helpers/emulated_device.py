"""Devices, streams, events and graphs of CuPy, over the driver of the CUDA emulator: a part of `cupy_over_emulator`.

All work is done when a call returns. On a stream that is captured it is noted instead, and a graph does it.
"""

import ctypes
import threading

from cuda_emulator.plugin import driver


class CUDADriverError(RuntimeError):
    """A function of the driver has failed."""


def call(name, *arguments):
    """Call a function of the driver, and raise its error."""
    if status := getattr(driver, name)(*arguments):
        words = ctypes.c_char_p()
        driver.cuGetErrorName(status, ctypes.byref(words))
        raise CUDADriverError(f"{(words.value or b'?').decode()} ({status}) of {name}")


class State(threading.local):
    """The current device of a thread, and its current stream on each device: the last ones."""

    def __init__(self):
        self.devices, self.all_streams = [0], {}

    @property
    def streams(self):
        """Those of the current device."""
        return self.all_streams.setdefault(self.devices[-1], [Stream.null])


class Device:
    """A device. In a with block it is the current one; `Device()` is that."""

    def __init__(self, index=None):
        self.id = state.devices[-1] if index is None else index.id if isinstance(index, Device) else int(index)
        call("cuDeviceGet", ctypes.byref(ctypes.c_int()), self.id)

    def __int__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self):
        return hash(self.id)

    def __repr__(self):
        return f"<CUDA Device {self.id}>"

    def __enter__(self):
        state.devices.append(self.id)
        return self

    def __exit__(self, *error):
        state.devices.pop()

    def use(self):
        """Make it the current one."""
        state.devices[-1] = self.id

    def synchronize(self):
        """Return at once: all work is done when a call returns."""
        with context(self.id):
            call("cuCtxSynchronize")

    @property
    def mem_info(self):
        """The bytes that are free, and all."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        with context(self.id):
            call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    @property
    def attributes(self):
        """The attributes by the names of CUDA's runtime, without their common beginning."""
        return {name: self._attribute(number) for name, number in ATTRIBUTES.items()}

    @property
    def compute_capability(self):
        """Such as "90"."""
        return f"{self._attribute(75)}{self._attribute(76)}"

    def _attribute(self, number: int):
        value = ctypes.c_int()
        call("cuDeviceGetAttribute", ctypes.byref(value), number, self.id)
        return value.value


ATTRIBUTES = {
    "MaxThreadsPerBlock": 1,
    "MaxGridDimX": 5,
    "MaxGridDimY": 6,
    "MaxGridDimZ": 7,
    "MaxSharedMemoryPerBlock": 8,
    "TotalConstantMemory": 9,
    "WarpSize": 10,
    "MaxRegistersPerBlock": 12,
    "ClockRate": 13,
    "MultiProcessorCount": 16,
    "MaxThreadsPerMultiProcessor": 39,
    "ComputeCapabilityMajor": 75,
    "ComputeCapabilityMinor": 76,
    "MaxSharedMemoryPerMultiprocessor": 81,
    "MaxRegistersPerMultiprocessor": 82,
    "MaxSharedMemoryPerBlockOptin": 97,
}


class context:  # noqa: N801
    """A device's context as the current one of the driver, in a block."""

    def __init__(self, device=None):
        self._device = state.devices[-1] if device is None else device

    def __enter__(self):
        own = ctypes.c_void_p()
        call("cuDevicePrimaryCtxRetain", ctypes.byref(own), self._device)
        call("cuCtxPushCurrent_v2", own)

    def __exit__(self, *error):
        call("cuCtxPopCurrent_v2", None)


class Stream:
    """A stream. While it is captured, `log` has its work, which the graph does."""

    null = None

    def __init__(self, null=False, non_blocking=False):
        self.log, self.device_id = None, -1 if null else state.devices[-1]
        address = ctypes.c_void_p()
        if not null:
            with context():
                call("cuStreamCreate", ctypes.byref(address), int(non_blocking))
        self.ptr = address.value or 0

    def __enter__(self):
        self._check_device()
        state.streams.append(self)
        return self

    def _check_device(self):
        if self.device_id not in (-1, state.devices[-1]):
            raise RuntimeError(
                f"the stream is of device {self.device_id}, and the current device is {state.devices[-1]}"
            )

    def __exit__(self, *error):
        state.streams.pop()

    def use(self):
        """Make it the current one."""
        self._check_device()
        state.streams[-1] = self
        return self

    def begin_capture(self, mode=None):
        """Note the work from now on instead of doing it."""
        if not self.ptr:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.log = []

    def end_capture(self):
        """Return the work that was noted."""
        log, self.log = self.log, None
        return Graph(log)

    def is_capturing(self):
        """Return whether work is noted."""
        return self.log is not None

    def synchronize(self):
        """Return at once."""
        refuse_in_capture("synchronize")

    def record(self, event=None):
        """Record an event."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        """Wait for an event, which has been: all work is done when a call returns."""
        with context():
            call("cuStreamWaitEvent", ctypes.c_void_p(self.ptr), event.ptr, 0)


class Graph:
    """Work of a stream, to be done again."""

    def __init__(self, log):
        self.log = log

    def launch(self, stream=None):
        """Do the work."""
        for work in self.log:
            work()

    def upload(self, stream=None):
        """Do nothing: there is no other place."""


class Event:
    """A point in a stream's work, with its time."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.ptr = ctypes.c_void_p()
        with context():
            call("cuEventCreate", ctypes.byref(self.ptr), 0)

    def record(self, stream=None):
        """Note that the stream's work so far is done."""
        with context():
            call("cuEventRecord", self.ptr, ctypes.c_void_p((stream or state.streams[-1]).ptr))

    def synchronize(self):
        """Return at once."""
        refuse_in_capture("synchronize")

    done = True


def elapsed(start, end):
    """Return the milliseconds between two events."""
    found = ctypes.c_float()
    call("cuEventElapsedTime_v2", ctypes.byref(found), start.ptr, end.ptr)
    return found.value


Stream.null = Stream(null=True)
state = State()


def do(work):
    """Do work, or note it for the graph of the stream that is captured."""
    if state.streams[-1].log is not None:
        state.streams[-1].log.append(work)
    else:
        work()


def refuse_in_capture(what):
    """Refuse what a GPU does not do, or CuPy does only by luck, while a stream is captured."""
    if state.streams[-1].log is not None:
        raise RuntimeError(f"{what} while a stream is captured")
