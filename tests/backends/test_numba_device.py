"""The order of calls, their memory and their errors on Numba's GPU, over a stand-in for numba.cuda."""

import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("numba")

from edcore_numba.gpu import device as gpu

LEGACY = 1


class Stream:
    """A stream; `before` is all work that comes before what is put on it next."""

    def __init__(self, handle):
        self.handle, self.before = handle, set()

    def synchronize(self):
        pass


class Event:
    def record(self, stream):
        self.before = set(stream.before)

    def wait(self, stream):
        stream.before |= self.before


class Buffer:
    """Memory of the device, whose shape takes a moment to read if it is to."""

    def __init__(self, shape, dtype="u1", slow=False):
        self._shape, self.dtype, self.slow, self.copied_on = shape, dtype, slow, []

    @property
    def shape(self):
        if self.slow:
            time.sleep(0.02)
        return self._shape

    def copy_to_device(self, host, stream):
        self.copied_on.append(stream)

    def copy_to_host(self, stream):
        self.copied_on.append(stream)


class Context:
    """A device as `numba.cuda.gpus` has it."""

    def __enter__(self):
        pass

    def __exit__(self, *error):
        pass


class OfTheCaller:
    """An array of another library, whose work is on the stream with this handle; None stands for the default one."""

    def __init__(self, handle):
        self.__cuda_array_interface__ = {"stream": handle}


@pytest.fixture
def cuda(monkeypatch):
    streams = {}

    def external_stream(handle):
        return streams.setdefault(handle, Stream(handle))

    stand_in = SimpleNamespace(
        gpus=[Context()],
        event=Event,
        device_array=Buffer,
        external_stream=external_stream,
        legacy_default_stream=lambda: external_stream(LEGACY),
        stream=None,
    )
    monkeypatch.setattr(gpu, "cuda", stand_in)
    return stand_in


@pytest.fixture
def device(cuda):
    return gpu.Device(0)


class Kernel:
    """A kernel that is configured by `configure`, and whose launches are work on the stream."""

    def __init__(self, configure=lambda blocks: None):
        self.configure, self.streams = configure, []

    def __getitem__(self, configuration):
        blocks, _, stream = configuration
        self.configure(blocks)

        def launch(*arguments):
            self.streams.append(stream)
            stream.before |= set(arguments)

        return launch


def launch(call, work):
    call.launch(Kernel(), 1, 1, work)


def test_a_call_follows_all_that_have_ended(device):
    for handles in [(7, 8, 9, 10), (None, 7, None, 7), (7, None, 7, None), (7, 7, 7, 7)]:
        first, second, third, fourth = map(OfTheCaller, handles)
        with device.call(first) as one:
            with device.call(second) as two:  # of another thread
                launch(one, "one")
                launch(two, "two")
            with device.call(third) as three:
                assert "two" in three.stream.before
                launch(three, "three")
        with device.call(fourth) as four:
            assert {"one", "two", "three"} <= four.stream.before


def test_memory_of_a_call_that_ended_meanwhile_is_used_after_it(device):
    with device.call(OfTheCaller(8)) as later:
        with device.call(OfTheCaller(7)) as first:
            memory = first.borrow((2,), "u1")
            launch(first, "first")
        assert "first" not in later.stream.before
        assert later.borrow((2,), "u1") is memory
        assert "first" in later.stream.before


def test_memory_is_borrowed_again_only_after_its_call(device):
    with device.call() as one, device.call() as two:
        memory = one.borrow((2,), "u1")
        assert two.borrow((2,), "u1") is not memory
    with device.call() as call:
        borrowed = [call.borrow((2,), "u1") for _ in range(2)]
        assert memory in borrowed
        assert borrowed[0] is not borrowed[1]


def test_two_threads_find_different_memory_of_the_shape_that_they_ask_for(device):
    for _ in range(3):
        device._spare = [Buffer((2,), slow=True), Buffer((3,), slow=True), Buffer((4,), slow=True)]

        def borrow(number):
            with device.call() as call:
                return call.allocate((2,), "u1")

        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(borrow, range(3)))
        assert [memory.shape for memory in found] == [(2,)] * 3
        assert len(set(map(id, found))) == 3


def test_work_for_the_default_stream_is_put_on_the_legacy_one(device):
    # Where CUDA_PYTHON_CUDA_PER_THREAD_DEFAULT_STREAM is 1, 0 stands for a default stream of the thread's own.
    kernel = Kernel()
    for array in (None, OfTheCaller(None), OfTheCaller(LEGACY)):
        with device.call(array) as call:
            call.launch(kernel, 1, 1)
            memory = call.borrow((2,), "u1")
            call.upload(memory, np.zeros(2))
            call.to_numpy(memory)
    assert [stream.handle for stream in kernel.streams + memory.copied_on] == [LEGACY] * 9
    with device.call(OfTheCaller(2)) as call:
        assert call.stream.handle == 2


def dead(*arguments):
    raise RuntimeError("the context is dead")


@pytest.mark.parametrize("place", ["record", "wait", "__exit__"])
def test_the_first_error_of_a_call_is_the_one_that_is_raised(device, monkeypatch, place):
    with device.call(OfTheCaller(7)):
        pass

    def fail():
        with device.call(OfTheCaller(8)) as call:
            call.borrow((2,), "u1")
            with device.call(OfTheCaller(9)):  # of another thread, which this call's end waits for
                pass
            monkeypatch.setattr(Context if place == "__exit__" else Event, place, dead)
            raise ValueError("first")

    with pytest.raises(ValueError, match="first") as raised:
        fail()
    assert "the context is dead" in "".join(raised.value.__notes__)
    assert bool(device._spare) == (place == "__exit__"), "memory is kept whose last use no event marks"
    monkeypatch.undo()


def test_an_error_at_the_end_of_a_call_is_raised(device, monkeypatch):
    monkeypatch.setattr(Event, "record", dead)
    with pytest.raises(RuntimeError, match="dead"), device.call():
        pass


class NumbaPerformanceWarning(Warning):
    """As numba-cuda has it: of a class of its own."""


def test_a_small_grid_warns_of_nothing_and_other_warnings_pass(device):
    def few(blocks):
        warnings.warn(f"Grid size {blocks} will likely result in GPU under-utilization", NumbaPerformanceWarning, 2)

    def other(blocks):
        warnings.warn("Host array used in CUDA kernel", NumbaPerformanceWarning, 2)

    with device.call() as call, warnings.catch_warnings():
        warnings.simplefilter("error")
        call.launch(Kernel(few), 4, 32)
        with pytest.raises(NumbaPerformanceWarning, match="Host array"):
            call.launch(Kernel(other), 4, 32)


def test_two_threads_leave_the_filters_of_warnings_as_they_were(device):
    within, ended = threading.Event(), threading.Event()

    def first():
        with device.call() as call:
            call.launch(Kernel(lambda blocks: within.wait(0.2)), 1, 1)
        ended.set()

    def second():
        def configure(blocks):
            within.set()
            ended.wait(0.2)

        with device.call() as call:
            call.launch(Kernel(configure), 1, 1)

    before = list(warnings.filters)
    with ThreadPoolExecutor(2) as pool:
        for work in [pool.submit(first), pool.submit(second)]:
            work.result()
    assert list(warnings.filters) == before
