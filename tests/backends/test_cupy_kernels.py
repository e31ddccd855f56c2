"""The kernels of narrow networks, of edcore_cupy: on the emulator of a GPU, compiled for GPUs of several ages."""

import importlib
import os

import pytest

from edcore.testing import iter_checks

EMULATED = os.environ.get("CUDA_EMULATOR") == "1"

pytestmark = [pytest.mark.emulated, pytest.mark.skipif(not EMULATED, reason="CUDA_EMULATOR is not 1")]


@pytest.fixture(params=[90])
def backend(request, monkeypatch):
    pytest.importorskip("cuda.bindings.nvrtc", reason="NVRTC's bindings, of cuda-bindings, are not installed")
    import cupy_over_emulator

    cupy_over_emulator.make(monkeypatch, request.param)
    return importlib.import_module("edcore_cupy").BACKEND.load("cuda:0")


@pytest.mark.slow
@pytest.mark.parametrize("check", [pytest.param(check, id=name) for name, check in iter_checks()])
def test_conformance(backend, check):
    check(backend)
