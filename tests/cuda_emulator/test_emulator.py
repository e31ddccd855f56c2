"""The emulator finds planted faults in kernels, and nothing in the same kernels without them."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emulated import MARKS

pytestmark = MARKS

THREADS = 64


@pytest.fixture(scope="module", autouse=True)
def numba_cuda():
    pytest.importorskip("numba_cuda", reason="the package numba-cuda is not installed")


@pytest.fixture
def findings():
    from cuda_emulator.plugin import findings

    return findings


def kernel(body, bound=1024):
    """Return a kernel of a pointer and an int, compiled from CUDA C++."""
    from cuda.core import Program, ProgramOptions

    text = f"""
    extern "C" __global__ void __launch_bounds__({bound}) planted(float *x, int n) {{
        __shared__ float s[{THREADS}];
        extern __shared__ float dynamic[];
        int i = threadIdx.x;
        {body}
    }}
    """
    return Program(text, "c++", ProgramOptions(arch="sm_90")).compile("ptx").get_kernel("planted")


def run(kernel, memory, n=0, blocks=1, threads=THREADS, shared=0):
    """Run a kernel, and wait for it."""
    from cuda.core import Device, LaunchConfig, launch

    device = Device(0)
    device.set_current()
    address = memory.__cuda_array_interface__["data"][0]
    config = LaunchConfig(grid=blocks, block=threads, shmem_size=shared)
    launch(device.default_stream, config, kernel, address, np.int32(n))
    device.default_stream.sync()


def zeros(size):
    from edcore_numba.gpu.compiler import cuda

    return cuda.to_device(np.zeros(size, np.float32))


# What is found, a kernel's body with the fault, and the same without it; there are 64 threads, and x has 128 values.
STOPS = {
    "store after the end": ("out of bounds: store of 4 bytes in global", "x[i + 65] = 1;", "x[i + 64] = 1;"),
    "load before the begin": ("out of bounds: load of 4 bytes in global", "x[i] = x[n - 1 + i];", "x[i] += x[i + n];"),
    "shared": (
        "out of bounds: store of 4 bytes at byte 256 of shared",
        "s[i + 1] = 1; x[i] = s[i + 1];",
        "s[i] = 1; x[i] = s[i];",
    ),
    "local": (
        "outside local memory",
        "float own[4] = {}; for (int k = 0; k < i; k++) own[(k + n) % 5] += k; x[i] = own[n];",
        "float own[4] = {}; for (int k = 0; k < i; k++) own[(k + n) % 4] += k; x[i] = own[n];",
    ),
    "misaligned load": (
        "misaligned: load of 8 bytes",
        "x[i] = *(double *)(x + n + 65);",
        "x[i] = *(double *)(x + n + 66);",
    ),
    "misaligned vector": (
        "misaligned: store of 16",
        "((float4 *)(x + 2))[i / 4] = {};",
        "if (i < 16) ((float4 *)x)[i] = {};",
    ),
    "trap": ("trap", "if (n == 0) __trap();", "if (n == 1) __trap();"),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_stops_a_kernel_is_found_and_the_context_is_dead(name, findings):
    words, faulty, right = STOPS[name]
    x = zeros(128)
    run(kernel(right), x)
    assert findings() == []
    with pytest.raises(Exception, match=r"ILLEGAL_ADDRESS|MISALIGNED_ADDRESS|LAUNCH_FAILED") as first:
        run(kernel(faulty), x)
    with pytest.raises(Exception, match="ILLEGAL_ADDRESS|MISALIGNED_ADDRESS|LAUNCH_FAILED") as second:
        x.copy_to_host()
    assert str(first.value).split("_ERROR_")[1][:10] == str(second.value).split("_ERROR_")[1][:10]
    (found,) = findings()
    assert words in found
    assert found.startswith("planted: ")
    assert "thread (" in found
    x.copy_to_host()  # all works again


SILENT = "x[i] = s[63 - i];"
GOES_ON = {
    "shared, load after store": (
        "race in shared memory, a load",
        f"s[i] = i; {SILENT}",
        f"s[i] = i; __syncthreads(); {SILENT}",
    ),
    "shared, store after load": (
        "race in shared memory, a store to what another thread loads",
        "s[i] = i; __syncthreads(); x[i] = s[63 - i]; s[i] = x[i];",
        "s[i] = i; __syncthreads(); x[i] = s[63 - i]; __syncthreads(); s[i] = x[i];",
    ),
    "shared, two stores": (
        "race in shared memory, a store to what another thread stores",
        "s[i / 2] = i; x[i] = s[i / 2];",
        "s[i] = i; x[i] = s[i];",
    ),
    "bytes of a word": (
        "race in shared memory",
        "((char *)s)[i] = 1; x[i] = ((char *)s)[i ^ 1];",
        "((char *)s)[i] = 1; x[i] = ((char *)s)[i];",
    ),
    "lanes of a warp": (
        "race in shared memory, a load",
        "s[i] = i; x[i] = s[i ^ 1];",
        "s[i] = i; __syncwarp(); x[i] = s[i ^ 1];",
    ),
    "warps": (
        "race in shared memory, a load",
        "s[i] = i; __syncwarp(); x[i] = s[i ^ 32];",
        "s[i] = i; __syncthreads(); x[i] = s[i ^ 32];",
    ),
    "global, in a block": (
        "race in global memory",
        "x[i] = x[(i + 1) % 64];",
        "float y = x[(i + 1) % 64]; __syncthreads(); x[i] = y;",
    ),
    "global, between blocks, two stores": (
        "race in global memory, a store to what another thread stores",
        "x[i] = blockIdx.x;",
        "x[i + 64 * blockIdx.x] = blockIdx.x;",
    ),
    "global, between blocks, load": (
        "race in global memory",
        "x[i + 64 * blockIdx.x] = x[(i + 64) % 128];",
        "x[i + 64 * blockIdx.x] *= 2;",
    ),
    "atomic": ("race in global memory", "x[0] += i;", "atomicAdd(x, i);"),
    "read-only cache": (
        "read-only cache, a load of what this launch has stored",
        "x[i] = 1; __syncthreads(); x[i + 64] = __ldg(x + (i ^ 1));",
        "x[i + 64] = __ldg(x + i);",
    ),
    "barrier after an end": ("divergent barrier", "if (i < 32) __syncthreads();", "if (n < 32) __syncthreads();"),
    "barriers at two places": (
        "divergent barrier",
        "if (i < 32) { __syncthreads(); x[i] = s[0]; } else { s[i] = 1; __syncthreads(); x[i] = 2; }",
        "if (n < 32) { __syncthreads(); x[i] = 1; } else { s[i] = 1; __syncthreads(); x[i] = 2; }",
    ),
    "shuffle": (
        "divergent warp",
        "if (i % 32 < 16) x[i] = __shfl_sync(~0u, x[i], 0); else { __syncwarp(); __syncthreads(); }",
        "x[i] = __shfl_sync(~0u, x[i], 0); __syncthreads();",
    ),
}


@pytest.mark.parametrize("name", GOES_ON)
def test_what_a_gpu_lets_pass_is_found(name, findings):
    words, faulty, right = GOES_ON[name]
    x = zeros(128)
    run(kernel(right), x, blocks=2 if "blocks" in name else 1)
    assert findings() == []
    run(kernel(faulty), x, blocks=2 if "blocks" in name else 1)
    found = findings()
    assert any(words in finding for finding in found), found
    assert all("planted" in finding and "line" in finding for finding in found)
    x.copy_to_host()


def test_memory_that_is_freed_is_not_used(findings):
    from cuda.bindings import driver

    planted, (_, address) = kernel("x[i] = i;"), driver.cuMemAlloc(512)
    memory = SimpleNamespace(__cuda_array_interface__={"data": (int(address), False)})
    run(planted, memory)
    assert findings() == []
    driver.cuMemFree(address)
    with pytest.raises(Exception, match="ILLEGAL_ADDRESS"):
        run(planted, memory)
    (found,) = findings()
    assert "use after free: store of 4 bytes in global memory, byte 0 of 512, which is freed" in found
    driver.cuMemFree(address)
    (found,) = findings()
    assert found.startswith("free of ")
    assert found.endswith(": byte 0 of 512, which is freed")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"threads": 1025}, "more threads than a block has"),
        ({"threads": 65}, "more threads than the kernel is compiled for"),
        ({"shared": 48 * 1024 + 4}, "more dynamic shared memory than the kernel may have"),
    ],
)
def test_a_launch_that_no_gpu_makes_is_found(findings, sizes, words):
    bounded = kernel("x[i] = 1;", bound=64 if sizes == {"threads": 65} else 1024)
    with pytest.raises(Exception, match="INVALID_VALUE"):
        run(bounded, zeros(2048), **sizes)
    assert words in "".join(findings())


def test_a_launch_of_no_block_is_found(findings):
    from cuda.bindings import driver

    function = driver.CUfunction(int(kernel("x[i] = 1;").handle))
    (result,) = driver.cuLaunchKernel(function, 0, 1, 1, 64, 1, 1, 0, 0, 0, 0)
    assert result == driver.CUresult.CUDA_ERROR_INVALID_VALUE
    assert findings() == [
        "planted: bad launch: a size of 0 (grid 0, 1, 1, block 64, 1, 1, 0 bytes of dynamic shared memory)"
    ]


def test_copies_beyond_the_end_are_found(findings):
    from cuda.bindings import driver

    x, host = zeros(4), np.zeros(5, np.float32)
    address = x.__cuda_array_interface__["data"][0]
    (result,) = driver.cuMemcpyDtoH(host.ctypes.data, address, 20)
    assert result == driver.CUresult.CUDA_ERROR_INVALID_VALUE
    (result,) = driver.cuMemcpyHtoD(address, host.ctypes.data, 20)
    assert result == driver.CUresult.CUDA_ERROR_INVALID_VALUE
    assert [finding.split(":")[0] for finding in findings()] == [
        "a copy from the device of 20 bytes",
        "a copy to the device of 20 bytes",
    ]


def test_events_that_cannot_be_recorded_or_measured_are_errors(findings):
    from cuda.bindings import driver

    zeros(1)  # which makes a context current
    (_, one), (_, other) = driver.cuEventCreate(0), driver.cuEventCreate(0)
    for event in (one, other):
        assert driver.cuEventRecord(event, 0) == (driver.CUresult.CUDA_SUCCESS,)
    result, milliseconds = driver.cuEventElapsedTime(one, other)
    assert result == driver.CUresult.CUDA_SUCCESS
    assert milliseconds >= 0
    with ThreadPoolExecutor(1) as thread:  # where no context is current
        assert thread.submit(driver.cuEventRecord, one, 0).result() == (driver.CUresult.CUDA_ERROR_INVALID_CONTEXT,)
    assert findings() == []
    for pair in ((one, None), (None, other)):
        assert driver.cuEventElapsedTime(*pair)[0] == driver.CUresult.CUDA_ERROR_INVALID_HANDLE
        assert [finding[:16] for finding in findings()] == ["use of the event"]


def test_new_memory_is_nan(findings):
    from edcore_numba.gpu.compiler import cuda

    x = cuda.device_array(64, np.float32)
    assert np.isnan(x.copy_to_host()).all()
    run(kernel("x[i] = s[i];"), x)
    assert np.isnan(x.copy_to_host()).all()
    run(kernel("dynamic[i] = 1; __syncthreads(); x[i] = dynamic[63 - i];"), x, shared=256)
    assert (x.copy_to_host() == 1).all()


def test_a_kernel_of_numbas_is_named_in_a_finding(findings):
    from edcore_numba.gpu.compiler import cuda

    @cuda.jit
    def beyond(x, offset):
        x[cuda.grid(1) + offset] = 1

    x = zeros(64 * 200)
    beyond[200, 64](x, 0)
    assert (x.copy_to_host() == 1).all()
    assert findings() == []
    with pytest.raises(Exception, match="ILLEGAL_ADDRESS"):
        beyond[200, 64](x, 1)
    (found,) = findings()
    assert "beyond: out of bounds: store of 4 bytes in global memory, 0 bytes after the end" in found
    assert "block (199, 0, 0), thread (63, 0, 0)" in found


def test_a_kernel_of_numbas_is_built_once_whatever_was_compiled_before(monkeypatch, tmp_path):
    from edcore_numba.gpu.compiler import cuda

    monkeypatch.setenv("CUDA_EMULATOR_CACHE", str(tmp_path))

    def put(value):
        @cuda.jit(device=True)
        def constant():
            return value

        @cuda.jit
        def kernel(x):
            x[cuda.grid(1)] = constant()

        x = zeros(64 * 200)
        kernel[200, 64](x)
        assert (x.copy_to_host() == value).all()
        return len(list(tmp_path.glob("*.so")))

    assert [put(3), put(3), put(4)] == [1, 1, 2]


def test_numbas_backend_raises_the_first_error_of_a_context_that_dies(findings):
    from edcore import Network, Rule
    from edcore.testing.strategies import drawn_case
    from edcore_numba.gpu.backend import NumbaCUDA

    backend, small = NumbaCUDA("cuda"), drawn_case(Network(2, 3), Rule(), batch=2, scale=1.0, seed=0)
    own = backend.from_host(small.weights)
    with pytest.raises(Exception, match="ILLEGAL_ADDRESS") as first:
        backend.forward(Network(2, 3, depth=5000), own, small.x)  # reads beyond the weights and their padding
    (note,) = first.value.__notes__
    assert "what ends the call failed as well" in note
    assert "cuEventRecord" in note
    assert findings()[0].startswith("edcore_numba::gpu::kernels_forward::")
    backend.forward(small.network, own, small.x)


FAILS = """
from cuda_emulator.test_emulator import kernel, run, zeros

def test_races():
    run(kernel("s[i] = i; x[i] = s[63 - i];"), zeros(128))

def test_is_right():
    run(kernel("x[i] = i;"), zeros(128))
"""


def test_a_finding_fails_its_test_alone(tmp_path):
    (tmp_path / "test_planted.py").write_text(FAILS)
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([*map(str, (tests, tests / "helpers")), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "cuda_emulator.plugin",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert "1 failed, 1 passed" in done.stdout
    assert "planted: race in shared memory, a load of what another thread stores" in done.stdout
