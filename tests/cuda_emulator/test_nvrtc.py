"""CUDA C++ that NVRTC compiles to PTX, on the CPU and against NumPy; and CuPy's element-wise kernels of edcore."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cuda_emulator.build import c_compiler
from cuda_emulator.harness import Kernels

pytestmark = pytest.mark.emulated  # to run with the others: these need no driver

SOURCE = r"""
struct Layer { float scale[3]; int count; double shift; };
__constant__ float table[4] = {1.0f, 2.5f, -3.0f, 0.5f};
__device__ unsigned int calls;

__device__ __noinline__ double picked(Layer layer, int i) { return layer.scale[i] * layer.shift; }
template <class T> __device__ __noinline__ T twice(T x) { return x + x; }

extern "C" __global__ void functions(Layer layer, const float *__restrict__ x, double *__restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float own[8];
    for (int k = 0; k < 8; k++) own[k] = x[(i + k) % n] * table[k & 3];
    double sum = 0;
    for (int k = 0; k < layer.count; k++) sum += own[(i * k) & 7];
    y[i] = sum + picked(layer, i % 3) + twice(x[i]);
    y[n + i] = exp((double)x[i]) + pow(fabs((double)x[i]), 2.5);
    y[2 * n + i] = expf(x[i]) * sinf(x[i]) + tanhf(x[i]) + log1pf(fabsf(x[i])) + rsqrtf(1 + fabsf(x[i]));
    y[3 * n + i] = x[i] / 3.0f + floorf(x[i] * 7) + fminf(x[i], 0.25f);
    atomicAdd(&calls, 1);
}
extern "C" __global__ void whole(const int *a, const int *b, long long *out, int n) {
    int i = threadIdx.x, p = a[i], q = b[i];
    unsigned u = p, v = q;
    long long results[] = {
        p / (q | 1), p % (q | 1), (long long)p * q, p / 7, u / 7, (long long)p * 1000003 / 17, (long long)__mulhi(p, q),
        p >> (q & 31), u << (v & 31), __popc(u), __clz(p), __ffs(p), __brev(u), __byte_perm(u, v, 0x1746),
        __funnelshift_l(u, v, q), max(p, q), abs(p), (int)(short)p, (unsigned char)q, __float2int_rn(p * 0.5f),
        (int)(p * 1e3f), (long long)__uint2float_rz(u), p == q ? 3 : p < q ? 5 : 7, __sad(p, q, 9),
    };
    switch (i & 7) {
        case 0: results[0] += 1; break;
        case 1: results[0] -= 1; break;
        case 2: results[0] *= 3; break;
        case 3: results[0] ^= 5; break;
        case 5: results[0] = -results[0]; break;
        case 6: results[0] = 11; break;
    }
    for (int k = 0; k < n; k++) out[i * n + k] = results[k];
}
extern "C" __global__ void sums(const double *x, double *out, unsigned *votes) {
    __shared__ double parts[2];
    extern __shared__ double copy[];
    int i = threadIdx.x;
    copy[i] = x[i];
    __syncthreads();
    double sum = copy[63 - i];
    for (int step = 16; step; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    if (i % 32 == 0) parts[i / 32] = sum;
    int many = __syncthreads_count(x[i] > 0);
    if (i == 0) { *out = parts[0] + parts[1]; votes[0] = many; }
    unsigned positive = __ballot_sync(~0u, x[i] > 0);
    if (i % 32 == 5) votes[1 + i / 32] = positive;
    if (__any_sync(~0u, x[i] > 1e9)) atomicMax(&votes[3], 1u);
    if (__all_sync(~0u, x[i] < 1e9)) atomicOr(&votes[4], 1u << i / 32);
    double *generic = i % 2 ? copy + i : out + 1 + i;
    *generic = i;
    if (i % 2) out[1 + i] = *generic;
}
"""


def compiled(source: str, *options: str) -> str:
    """Return the PTX that NVRTC makes."""
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="NVRTC's bindings, of cuda-bindings, are not installed")
    try:
        error, program = nvrtc.nvrtcCreateProgram(source.encode(), b"test.cu", 0, [], [])
    except Exception as reason:
        pytest.skip(f"NVRTC is not installed: {reason}")
    flags = [each.encode() for each in ("--gpu-architecture=sm_90", "-std=c++17", *options)]
    (error,) = nvrtc.nvrtcCompileProgram(program, len(flags), flags)
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = bytes(size)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert not error, log.decode()
    _, size = nvrtc.nvrtcGetPTXSize(program)
    ptx = bytes(size)
    nvrtc.nvrtcGetPTX(program, ptx)
    return ptx.rstrip(b"\0").decode()


@pytest.fixture(scope="module", params=["", "--use_fast_math", "--generate-line-info", "--device-debug"])
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    if c_compiler() is None:
        pytest.skip("there is no C compiler here")
    return Kernels(compiled(SOURCE, *filter(None, [request.param])), tmp_path_factory.mktemp("kernels"))


def test_floats_structs_and_functions(kernels: Kernels) -> None:
    n = 70
    x, y = np.linspace(-2, 3, n, dtype=np.float32), np.zeros((4, n))
    layer = np.zeros((), [("scale", np.float32, 3), ("count", np.int32), ("shift", np.float64)])
    layer["scale"], layer["count"], layer["shift"] = [0.5, -1.5, 2], 11, 0.75
    kernels.run("functions", layer.tobytes(), x, y, np.int32(n), blocks=3, threads=32)
    table, at = np.float32([1, 2.5, -3, 0.5]), np.arange(n)
    own = np.stack([x[(at + k) % n] * table[k % 4] for k in range(8)], axis=1)
    sums = sum(own[at, at * k % 8].astype(float) for k in range(11))
    d = x.astype(float)
    wanted = [
        sums + np.float32([0.5, -1.5, 2])[at % 3] * 0.75 + 2 * x,
        np.exp(d) + np.abs(d) ** 2.5,
        np.exp(d) * np.sin(d) + np.tanh(d) + np.log1p(np.abs(d)) + 1 / np.sqrt(1 + np.abs(d)),
        d / 3 + np.floor(x * 7) + np.minimum(d, 0.25),
    ]
    np.testing.assert_allclose(y, wanted, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(y[1], wanted[1], rtol=1e-14)


def test_whole_numbers(kernels: Kernels) -> None:
    rng = np.random.default_rng(0)
    a, b = (
        rng.integers(-(2**31), 2**31, 64, dtype=np.int32) >> rng.integers(0, 30, 64, dtype=np.int32) for _ in range(2)
    )
    out = np.zeros((64, 24), np.int64)
    kernels.run("whole", a, b, out, np.int32(24), threads=64)
    for i, (p, q) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        u, v, odd = p % 2**32, q % 2**32, q | 1
        cut = lambda x, y: abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)  # noqa: E731
        first = cut(p, odd)
        byte = (v << 32 | u).to_bytes(8, "little")
        towards_zero = np.float32(u)
        if int(towards_zero) > u:
            towards_zero = np.nextafter(towards_zero, np.float32(0))
        wanted = [
            {0: first + 1, 1: first - 1, 2: first * 3, 3: first ^ 5, 5: -first, 6: 11}.get(i & 7, first),
            p - odd * first, p * q, cut(p, 7), u // 7, cut(p * 1000003, 17), p * q >> 32, p >> (q & 31),
            (u << (v & 31)) % 2**32, u.bit_count(), 32 - u.bit_length(), (u & -u).bit_length(),
            int(f"{u:032b}"[::-1], 2), int.from_bytes(bytes(byte[each] for each in (6, 4, 7, 1)), "little"),
            ((v << 32 | u) << (q & 31) >> 32) % 2**32, max(p, q), abs(p), int(np.int64(p).astype(np.int16)), q % 256,
            int(np.rint(np.float32(p) * np.float32(0.5))),
            min(max(int(np.float32(p) * np.float32(1e3)), -(2**31)), 2**31 - 1), int(towards_zero),
            3 if p == q else 5 if p < q else 7, (abs(p - q) + 9) % 2**32,
        ]  # fmt: skip
        np.testing.assert_array_equal(out[i], wanted)


def test_shared_memory_and_warps(kernels: Kernels) -> None:
    x, out, votes = np.random.default_rng(1).normal(size=64), np.zeros(65), np.zeros(5, np.uint32)
    kernels.run("sums", x, out, votes, threads=64, dynamic=512)
    np.testing.assert_allclose(out[0], x.sum(), rtol=1e-14)
    np.testing.assert_array_equal(out[1:], np.arange(64))
    bits = [sum(int(value > 0) << i for i, value in enumerate(half)) for half in (x[:32], x[32:])]
    assert votes.tolist() == [(x > 0).sum(), *bits, 0, 3]


@functools.cache
def cupy_source(dtype: str) -> tuple[str, list[str]]:
    """Return the kernels of edcore_cupy as CuPy hands them to NVRTC, for arrays of three axes, and its options."""
    pytest.importorskip("cupy", reason="CuPy is not installed")
    from cupy._core import _carray, _kernel, _scalar, core

    from edcore_cupy.recorded import activate, add_bias, derive

    if not hasattr(_kernel, "_get_elementwise_kernel_code"):
        pytest.skip("this CuPy does not show its source: _get_elementwise_kernel_code is missing")
    number = np.dtype(dtype)
    array, index = (1, core.ndarray, number, 3, False, True), (2, _carray.Indexer, None, 3, True, True)
    scalar = (3, _scalar.CScalar, number, 0, True, True)
    source = "".join(f"#include <{each}>\n" for each in core._cupy_header_list)
    for kernel in (activate, add_bias, derive):
        kinds = {"active": scalar, "slope": scalar, "_ind": index}
        infos = tuple(_kernel._ArgInfo(*kinds.get(each.name, array)) for each in kernel.params)
        types = _kernel._TypeMap((("T", number.type),))
        source += _kernel._get_elementwise_kernel_code(infos, types, kernel.params, kernel.operation, kernel.name, "")
    toolkit = Path(pytest.importorskip("nvidia.cu13", reason="no CUDA 13 headers").__path__[0], "include")
    return source, [f"-I{core._get_header_dir_path()}", *core._get_cccl_include_options(), f"-I{toolkit}"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_of_cupy(dtype: str, tmp_path: Path) -> None:
    source, options = cupy_source(dtype)
    kernels, number, shape = Kernels(compiled(source, *options), tmp_path), np.dtype(dtype).type, (2, 5, 8)
    rng = np.random.default_rng(0)
    y, bias, out = rng.random(shape, dtype), rng.random((2, 1, 8), dtype), np.zeros(shape, dtype)
    index = np.int64([80, *shape, 0, 0, 0]).tobytes()

    def run(name: str, *arguments: Any) -> None:
        """Run it on arrays: each is a struct of address, size, shape and strides."""
        arrays = [each for each in arguments if isinstance(each, np.ndarray)]
        wide = {id(each): np.broadcast_to(each, shape) for each in arrays}
        places = {key: np.int64([each.ctypes.data, 80, *shape, *each.strides]).tobytes() for key, each in wide.items()}
        structs = [places.get(id(each), each) for each in arguments]
        kernels.run(name, *structs, index, blocks=2, threads=32, memory=arrays)

    given = y.copy()
    run("edcore_activate", bias, number(3), number(2.5), y)
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-2.5 * (given + 3 * bias))), rtol=4 * np.finfo(number).eps)
    run("edcore_derive", given, y, out)
    np.testing.assert_allclose(out, given * y * (1 - y), rtol=4 * np.finfo(number).eps)
    run("edcore_add_bias", bias, number(3), given)
    assert (given > 0).all()
