"""Whether Numba is ready on a GPU, over a stand-in for numba.cuda: an empty kernel says so, and no warning is seen."""

import importlib
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib.machinery import ModuleSpec

import numpy as np
import pytest

pytest.importorskip("numba")

import numba

from edcore_numba import BACKEND
from edcore_numba.gpu import compiler
from edcore_numba.gpu.probe import unavailable

ROW_STACK = "module 'numpy' has no attribute 'row_stack'"
NO_NVVM = 'Failure finding "libnvvm.so.4": No such file: libnvvm.so.4\n  listdir("lib"):\n    libnvrtc.so.13'
NO_LIBDEVICE = "Missing libdevice file.\n``cuda-nvcc`` and ``cuda-nvrtc`` are required:\n"
TOO_OLD = "CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported toolchain."


class Device(nullcontext):
    """A device of the stand-in, and the current one while it is open."""

    def __init__(self, cuda, index):
        super().__init__()
        self.cuda, self.index = cuda, index

    def __enter__(self):
        self.cuda.current = self.index


class Numba:
    """numba.cuda with two devices; `compile` is done to each kernel, and `compiled` are the devices of all."""

    def __init__(self):
        self.gpus, self.compile, self.compiled = [Device(self, 0), Device(self, 1)], lambda: None, []

    def jit(self, signature):
        def decorate(function):
            self.compiled.append(self.current)
            self.compile()

        return decorate


@pytest.fixture
def cuda(monkeypatch):
    stand_in = Numba()
    monkeypatch.setattr(compiler, "cuda", stand_in)
    monkeypatch.setattr(compiler, "_tried", set())
    monkeypatch.setattr(compiler, "fix_numpy", lambda: None)
    return stand_in


def fails_with(error):
    def fail():
        raise error

    return fail


def test_a_device_is_ready_when_an_empty_kernel_has_been_compiled_for_it_once(cuda):
    for device in ("cuda", "cuda:0", None, "cuda:1", "cuda", "cuda:1"):
        assert unavailable(device) == ""
    assert cuda.compiled == [0, 1]
    assert unavailable("cuda:2") == "Numba sees 2 CUDA devices here, so there is no 'cuda:2'"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AttributeError(ROW_STACK), ["AttributeError", ROW_STACK]),
        (RuntimeError(NO_NVVM), ["libnvvm.so.4", "CUDA_HOME", "numba-cuda[cu13]", "nvidia-nvvm", "nvidia-cuda-nvcc"]),
        (RuntimeError(NO_LIBDEVICE), ["Missing libdevice file", "CUDA_HOME", "numba-cuda[cu13]"]),
        (RuntimeError(TOO_OLD), ["CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the driver is older", "nvidia-smi"]),
        (RuntimeError(), ["RuntimeError: no message"]),
    ],
)
def test_a_kernel_that_does_not_compile_gives_the_reason_and_what_to_do(cuda, error, said):
    cuda.compile = fails_with(error)
    state = BACKEND.probe("cuda")
    assert not state.ok
    assert state.reason.startswith("Numba does not work on 'cuda' here (")
    assert "\n" not in state.reason
    for part in said:
        assert part in state.reason


def test_what_failed_is_tried_again(cuda):
    cuda.compile = fails_with(MemoryError())
    assert unavailable("cuda") != ""
    cuda.compile = lambda: None
    assert unavailable("cuda") == ""
    assert cuda.compiled == [0, 0]


def test_nothing_is_compiled_without_a_device(cuda):
    cuda.gpus = []
    assert unavailable("cuda") == "Numba sees 0 CUDA devices here, so there is no 'cuda'"
    assert cuda.compiled == []


def test_the_trial_neither_warns_nor_fails_by_a_warning(cuda):
    cuda.compile = lambda: warnings.warn("nvjitlink is not available", RuntimeWarning, stacklevel=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert unavailable("cuda") == ""


def test_threads_wait_for_one_trial(cuda):
    cuda.compile = lambda: time.sleep(0.05)
    together = threading.Barrier(4)

    def ask(number):
        together.wait()
        return unavailable("cuda")

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(4))) == {""}
    assert cuda.compiled == [0]


def test_the_import_of_numba_cuda_neither_warns_nor_fails_by_a_warning(monkeypatch):
    class Finder:
        """Finds a numba.cuda that warns when it is imported, as numba-cuda does under NumPy 2.5."""

        def find_spec(self, name, path, target=None):
            return ModuleSpec(name, self) if name == "numba.cuda" else None

        def create_module(self, spec):
            return None

        def exec_module(self, module):
            warnings.warn("The 'generic' unit for NumPy timedelta is deprecated", DeprecationWarning, stacklevel=1)

    monkeypatch.setattr(numba, "cuda", None)
    monkeypatch.delattr(numba, "cuda")
    monkeypatch.setitem(sys.modules, "numba.cuda", None)
    monkeypatch.delitem(sys.modules, "numba.cuda")
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    spec = importlib.util.spec_from_file_location("compiler_again", compiler.__file__)
    again = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec.loader.exec_module(again)
    assert isinstance(again.cuda.__spec__.loader, Finder)


@pytest.fixture
def without_row_stack(monkeypatch):
    if hasattr(np, compiler.REMOVED):
        monkeypatch.delattr(np, compiler.REMOVED)


def test_numpy_has_row_stack_while_numba_cuda_looks_for_it_and_no_longer(monkeypatch, without_row_stack):
    found = []

    def look(name):
        found.append((name, getattr(np, compiler.REMOVED)([[1], [2]]).shape))

    monkeypatch.setattr(importlib, "import_module", look)
    compiler.fix_numpy()
    assert found == [("numba.cuda.np.arrayobj", (2, 1))]
    assert not hasattr(np, compiler.REMOVED)


def test_a_numpy_that_has_row_stack_keeps_it(monkeypatch):
    monkeypatch.setattr(np, compiler.REMOVED, "its own", raising=False)
    monkeypatch.setattr(importlib, "import_module", pytest.fail)
    compiler.fix_numpy()
    assert getattr(np, compiler.REMOVED) == "its own"


def test_a_numba_that_does_not_look_for_row_stack_is_left_alone(monkeypatch, without_row_stack):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    compiler.fix_numpy()
    assert not hasattr(np, compiler.REMOVED)
