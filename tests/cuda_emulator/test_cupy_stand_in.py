"""The stand-in for CuPy over the emulator: it runs raw kernels, finds their faults, and refuses what CuPy refuses."""

import importlib
import os

import numpy as np
import pytest

from edcore.testing import iter_checks

EMULATED = os.environ.get("CUDA_EMULATOR") == "1"

pytestmark = [pytest.mark.emulated, pytest.mark.skipif(not EMULATED, reason="CUDA_EMULATOR is not 1")]

CAPABILITIES = (75, 80, 86, 90)


def stand_in(monkeypatch, capability):
    pytest.importorskip("cuda.bindings.nvrtc", reason="NVRTC's bindings, of cuda-bindings, are not installed")
    import cupy_over_emulator

    return cupy_over_emulator.make(monkeypatch, capability)


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


CHECKS = "check_forward", "check_update_split", "check_any_memory_layout", "check_results_stay"


@pytest.mark.parametrize("check", [pytest.param(check, id=name) for name, check in iter_checks() if name in CHECKS])
def test_edcore_takes_it_for_cupy(cupy_90, check):
    backend = importlib.import_module("edcore_cupy").BACKEND.load("cuda:1")
    assert backend.device == "cuda:1"
    check(backend)
