"""The stand-in for CuPy over the emulator: it runs raw kernels, finds their faults, and refuses what CuPy refuses."""

import importlib
import operator

import numpy as np
import pytest

from edcore.testing import iter_checks
from emulated import MARKS, stand_in

pytestmark = MARKS

CAPABILITIES = (75, 80, 86, 90)


@pytest.fixture(params=CAPABILITIES)
def cupy(request, monkeypatch):
    return stand_in(monkeypatch, request.param)


@pytest.fixture
def cupy_90(monkeypatch):
    return stand_in(monkeypatch, 90)


@pytest.fixture
def findings():
    from cuda_emulator.plugin import findings

    return findings


SCALE = """
extern "C" __global__ void scale(const REAL *x, REAL *y, REAL factor, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = factor * x[i] + __CUDA_ARCH__;
}
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_raw_kernel_runs_for_the_architecture(cupy, dtype):
    real = {"float32": "float", "float64": "double"}[dtype]
    scale = cupy.RawModule(code=SCALE, options=(f"-DREAL={real}",)).get_function("scale")
    x, y = cupy.asarray(np.arange(70, dtype=dtype)), cupy.empty(70, dtype)
    assert np.isnan(cupy.asnumpy(y)).all()
    scale((3,), (32,), (x, y, np.dtype(dtype).type(2), np.int32(70)))
    arch = 10 * int(cupy.cuda.Device().compute_capability)
    np.testing.assert_array_equal(cupy.asnumpy(y), 2 * np.arange(70) + arch)


CHECKS = "check_any_memory_layout", "check_results_stay"


@pytest.mark.parametrize(
    "check", [pytest.param(check, id=name) for name, check in iter_checks(quick=True) if name in CHECKS]
)
def test_edcore_takes_it_for_cupy(cupy_90, check):
    backend = importlib.import_module("edcore_cupy").BACKEND.load("cuda:1")
    assert backend.device == "cuda:1"
    check(backend)


@pytest.fixture
def scale(cupy_90):
    """A kernel that computes y = 2 x, of pointers, a factor in float32 and a size."""
    code = SCALE.replace("+ __CUDA_ARCH__", "")
    return cupy_90.RawModule(code=code, options=("-DREAL=float",)).get_function("scale")


def test_arguments_are_what_a_kernel_takes(cupy_90, scale, findings):
    x, y, number = cupy_90.ones(8, np.float32), cupy_90.empty((4, 2), np.float32), np.float32
    scale((1,), (32,), (x, y, number(3), np.int32(8)))
    assert (cupy_90.asnumpy(y) == 3).all()
    refused = {
        "3 are given": (x, y, number(3)),
        "NoneType": (None, y, number(3), np.int32(8)),
        "numpy.ndarray": (np.ones(8, number), y, number(3), np.int32(8)),
        "parameter 2 has 4 bytes": (x, y, 3.0, np.int32(8)),
        "parameter 3 has 4 bytes": (x, y, number(3), 8),
        "not contiguous": (x[::2], y, number(3), np.int32(4)),
    }
    for words, arguments in refused.items():
        with pytest.raises(TypeError, match=words):
            scale((1,), (32,), arguments)
    with pytest.raises(TypeError, match="tuples"):
        scale(1, 32, (x, y, number(3), np.int32(8)))
    with cupy_90.cuda.Device(1):
        elsewhere = cupy_90.ones(8, np.float32)
    with pytest.raises(RuntimeError, match="ILLEGAL_ADDRESS"):
        scale((1,), (32,), (elsewhere, y, number(3), np.int32(8)))
    assert "memory of another device" in findings()[0]
    nothing = cupy_90.empty(0, np.float32)
    assert nothing.data.ptr == 0
    scale((1,), (32,), (nothing, nothing, number(3), np.int32(0)))


def test_sources_and_names_that_are_wrong_are_errors(cupy_90, scale):
    with pytest.raises(cupy_90.cuda.compiler.CompileException, match="REAL"):
        cupy_90.RawModule(code=SCALE).get_function("scale")
    with pytest.raises(cupy_90.cuda.driver.CUDADriverError, match="NOT_FOUND"):
        scale.module.get_function("scales")
    with pytest.raises(TypeError, match="tuple"):
        cupy_90.RawModule(code=SCALE, options=["-DREAL=float"])


SHARED = """
extern "C" __global__ void fill(float *y, int n) {
    extern __shared__ float s[];
    for (int i = threadIdx.x; i < n; i += blockDim.x) s[i] = i;
    __syncthreads();
    if (threadIdx.x == 0) y[0] = s[n - 1];
}
"""


def test_shared_memory_is_that_of_the_gpu(cupy, findings):
    attributes = cupy.cuda.Device().attributes
    most, plain = attributes["MaxSharedMemoryPerBlockOptin"], attributes["MaxSharedMemoryPerBlock"]
    capability = int(cupy.cuda.Device().compute_capability)
    assert capability == 10 * attributes["ComputeCapabilityMajor"] + attributes["ComputeCapabilityMinor"]
    assert (most, plain) == ({75: 64, 80: 163, 86: 99, 90: 227}[capability] * 1024, 48 * 1024)
    kernel, y = cupy.RawModule(code=SHARED).get_function("fill"), cupy.empty(1, np.float32)
    assert kernel.attributes["max_dynamic_shared_size_bytes"] == plain
    with pytest.raises(RuntimeError, match="INVALID_VALUE"):
        kernel((1,), (32,), (y, np.int32(most // 4)), shared_mem=most)
    assert "more dynamic shared memory than the kernel may have" in findings()[0]
    kernel.max_dynamic_shared_size_bytes = most
    kernel((1,), (32,), (y, np.int32(most // 4)), shared_mem=most)
    assert float(y[0]) == most // 4 - 1
    with pytest.raises(RuntimeError, match="INVALID_VALUE"):
        kernel.max_dynamic_shared_size_bytes = most + 1
    with pytest.raises(RuntimeError, match="INVALID_VALUE"):
        kernel((1,), (32,), (y, np.int32(1)), shared_mem=most + 1)
    findings()


def test_arrays_are_the_devices_own(cupy_90, scale):
    x = cupy_90.asarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    row = x[1]
    assert row.data.ptr == x.data.ptr + 16
    row += 1
    row[0] = 9
    np.testing.assert_array_equal(x.get(), [[0, 1, 2, 3], [9, 6, 7, 8], [8, 9, 10, 11]])
    y = cupy_90.empty(12, np.float32)
    scale((1,), (32,), (cupy_90.concatenate([x, x]) * 2, y, np.float32(0.5), np.int32(12)))
    np.testing.assert_array_equal(y.get(), x.get().ravel())
    assert isinstance(x.sum(), cupy_90.ndarray)
    assert float(x.max()) == 11
    assert np.exp(x).dtype == cupy_90.exp(x).dtype == np.float32
    assert cupy_90.ascontiguousarray(x) is x
    assert cupy_90.ascontiguousarray(x.T).strides == (12, 4)
    for mixed in (
        lambda: x + np.ones(4),
        lambda: np.ones(4) + x,
        lambda: cupy_90.add(x, np.ones(4)),
        lambda: np.asarray(x),
    ):
        with pytest.raises(TypeError, match="Unsupported|Implicit"):
            mixed()
    with cupy_90.cuda.Device(1):
        assert cupy_90.zeros(1).device.id == 1
        with pytest.raises(ValueError, match="current device"):
            x + 1
        assert x.T.device.id == x[0].device.id == 0
        moved = cupy_90.asarray(x)
        assert moved.device.id == moved.data.device_id == 1
        np.testing.assert_array_equal(moved.get(), x.get())


def test_memory_is_freed_with_the_last_array(cupy_90):
    before = cupy_90.cuda.Device().mem_info[0]
    x = cupy_90.zeros((64, 1024))
    assert before - cupy_90.cuda.Device().mem_info[0] == x.nbytes
    row = x[1]
    del x
    assert cupy_90.cuda.Device().mem_info[0] < before
    del row
    assert cupy_90.cuda.Device().mem_info[0] == before


def test_work_on_a_captured_stream_is_for_the_graph(cupy_90, scale, findings):
    x, y = cupy_90.zeros(8, np.float32), cupy_90.empty(8, np.float32)
    stream = cupy_90.cuda.Stream(non_blocking=True)
    with stream:
        assert cupy_90.cuda.get_current_stream() is stream
        stream.begin_capture()
        x += 1
        scale((1,), (32,), (x, y, np.float32(2), np.int32(8)))
        x[0] = 7
        cupy_90.multiply(x, 2, out=x)
        for early in (
            lambda: x + 1,
            lambda: x.get(),
            lambda: float(x[0]),
            lambda: cupy_90.empty(1),
            stream.synchronize,
        ):
            with pytest.raises(RuntimeError, match="captured"):
                early()
        graph = stream.end_capture()
    assert (x.get() == 0).all()
    graph.launch()
    assert x.get().tolist() == [14] + 7 * [2]
    assert (y.get() == 2).all()
    graph.launch()
    assert y.get().tolist() == [30] + 7 * [6]
    del y
    with pytest.raises(RuntimeError, match="ILLEGAL_ADDRESS"):
        graph.launch()
    assert "use after free" in findings()[0]
    with pytest.raises(RuntimeError, match="default"):
        cupy_90.cuda.get_current_stream().begin_capture()


def test_streams_and_events(cupy_90):
    first, second = cupy_90.cuda.Stream(), cupy_90.cuda.Stream(non_blocking=True)
    start, end = first.record(), cupy_90.cuda.Event()
    second.wait_event(start)
    end.record(second)
    assert cupy_90.cuda.get_elapsed_time(start, end) >= 0
    cupy_90.cuda.Device().synchronize()
    with first:
        with cupy_90.cuda.Device(1):
            assert cupy_90.cuda.get_current_stream() is cupy_90.cuda.Stream.null
            with pytest.raises(RuntimeError, match="device"):
                first.use()
        assert cupy_90.cuda.get_current_stream() is first


def test_cupy_is_as_before_after_a_test():
    import sys

    import cupy_over_emulator

    before = {name: sys.modules.get(name) for name in ("cupy", "array_api_compat.cupy", "edcore_cupy.recorded")}
    with pytest.MonkeyPatch.context() as patch:
        made = cupy_over_emulator.make(patch, 75)
        assert sys.modules["cupy"] is made
        assert made.cuda.Device().compute_capability == "75"
        importlib.import_module("edcore_cupy.recorded")
    assert {name: sys.modules.get(name) for name in before} == before
    assert cupy_over_emulator.Capability().value == 90


def test_cupy_has_what_the_stand_in_has():
    real = pytest.importorskip("cupy", minversion="14", reason="CuPy 14 is not installed")
    import cupy_over_emulator

    names = {name: name.removeprefix("cupy").strip(".") for name in cupy_over_emulator._modules()}
    found = {name: operator.attrgetter(part)(real) if part else real for name, part in names.items()}
    pairs = [(name, module, found[name]) for name, module in cupy_over_emulator._modules().items()]
    pairs += [(name, getattr(cupy_over_emulator, name), getattr(real, name)) for name in ("ndarray", "RawModule")]
    cuda = cupy_over_emulator._modules()["cupy.cuda"]
    pairs += [(name, getattr(cuda, name), getattr(real.cuda, name)) for name in ("Device", "Stream", "Event", "Graph")]
    inner = {"outer", "diagonal", "tensordot", "trace"}  # of the Array API standard, in numpy.linalg
    for where, ours, theirs in pairs:
        more = {name for name in vars(ours) if name[0] != "_" and not hasattr(theirs, name)} - inner
        assert not more, where
