"""What must hold under Numba's CUDA simulator. Runs in a process of its own, with NUMBA_ENABLE_CUDASIM=1.

The simulator is for users without CUDA's compilers. The kernels themselves are tested by test_numba_kernels.py, on the
emulator: that runs what Numba compiles, and sees races and accesses out of bounds.
"""

import os
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import edcore
from fitting import check_fit_by_head

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"

pytestmark = [
    pytest.mark.cudasim,
    pytest.mark.skipif(not SIMULATED, reason="NUMBA_ENABLE_CUDASIM is not 1"),
]


def simulator():
    pytest.importorskip("numba")
    from edcore_numba.gpu.backend import NumbaCUDA

    return NumbaCUDA("cudasim")


@pytest.fixture
def backend():
    return simulator()


@pytest.fixture(autouse=True)
def _threads_take_short_turns():
    """At each barrier one thread of the simulator's polls, and the others wait for its turn to end."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-4)
    yield
    sys.setswitchinterval(before)


def test_the_simulator_looks_like_a_gpu_and_auto_stays_away_from_it(fresh_registry):
    cuda = pytest.importorskip("numba.cuda")
    assert cuda.is_available()  # which is why no probe may trust it
    ed = edcore.ED(2, seed=0)
    ed([[0, 1]])
    assert ed.device == "cpu"


def test_the_simulator_is_there_by_name(fresh_registry):
    ed = edcore.ED(2, 2, seed=0, backend="numba", device="cudasim")
    expected = edcore.ED(2, 2, seed=0, backend="loop")
    x = np.asarray([[0, 1], [1, 1]], np.float32)
    np.testing.assert_allclose(ed(x), expected(x), rtol=1e-6)
    for model in (ed, expected):
        model.update(np.asarray([0.5, -0.25], np.float32))
    np.testing.assert_allclose(ed(x), expected(x), rtol=1e-6)
    assert (ed.backend, ed.device) == ("numba", "cudasim")


def test_what_a_device_lacks_is_said():
    pytest.importorskip("numba")
    from edcore_numba.gpu.probe import unavailable

    assert unavailable(None) == unavailable("cudasim") == ""
    assert unavailable("cuda") == unavailable("cuda:1") != ""
    assert "NUMBA_ENABLE_CUDASIM=1" in unavailable("cuda")
    assert unavailable("cudasim:1") == "Numba sees 1 CUDA device here, so there is no 'cudasim:1'"
    assert unavailable("cpu") == "Numba has no CUDA device 'cpu'"
    assert "invalid literal" in unavailable("cudasim:first")


def test_fit_stops_head_by_head_and_keeps_what_it_was_given(backend):
    check_fit_by_head(backend)


def test_threads_of_a_block_get_one_shared_array(backend, monkeypatch):
    from numba.cuda.simulator import kernelapi

    def slow_empty(shape, dtype):
        time.sleep(0.05)  # time enough for the other thread to look for it as well
        return np.zeros(shape, dtype)

    monkeypatch.setattr(kernelapi, "np", SimpleNamespace(empty=slow_empty, byte=np.byte, zeros=np.zeros))
    shared, found = kernelapi.FakeCUDAShared(0), []
    threads = [threading.Thread(target=lambda: found.append(shared.array(2, np.float32))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is found[1]
    assert found[0] is found[2]
