"""What tests on the emulator of a GPU share: marks, a stand-in for CuPy, and faults in the kernels of edcore_cupy."""

import importlib
import os

import pytest

EMULATED = os.environ.get("CUDA_EMULATOR") == "1"
MARKS = [pytest.mark.emulated, pytest.mark.skipif(not EMULATED, reason="CUDA_EMULATOR is not 1")]


def stand_in(monkeypatch, capability):
    """Return what stands for CuPy, on GPUs of this compute capability."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="NVRTC's bindings, of cuda-bindings, are not installed")
    import cupy_over_emulator

    return cupy_over_emulator.make(monkeypatch, capability)


def load_cupy(monkeypatch, capability):
    """Return the backend cupy on such a GPU."""
    stand_in(monkeypatch, capability)
    return importlib.import_module("edcore_cupy").BACKEND.load("cuda:0")


def plant(monkeypatch, right, faulty):
    """Put a fault into the kernels that are compiled from now on; return a list of the sources that get it."""
    programs = importlib.import_module("edcore_cupy.programs")
    plain, planted = programs.source, []

    def source(name):
        text = plain(name)
        planted.extend([name] * text.count(right))
        return text.replace(right, faulty)

    monkeypatch.setattr(programs, "source", source)
    return planted
