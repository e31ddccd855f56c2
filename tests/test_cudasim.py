"""What must hold under Numba's CUDA simulator. Runs in a process of its own, with NUMBA_ENABLE_CUDASIM=1."""

import os

import pytest

import edcore

pytestmark = [
    pytest.mark.cudasim,
    pytest.mark.skipif(os.environ.get("NUMBA_ENABLE_CUDASIM") != "1", reason="NUMBA_ENABLE_CUDASIM is not 1"),
]


def test_the_simulator_looks_like_a_gpu_and_auto_stays_away_from_it(fresh_registry):
    cuda = pytest.importorskip("numba.cuda")
    assert cuda.is_available()  # which is why no probe may trust it
    ed = edcore.ED(2, seed=0)
    ed([[0, 1]])
    assert (ed.backend, ed.device) == ("numpy", "cpu")


def test_the_simulator_by_name_says_what_is_missing(fresh_registry):
    message = "backend='numba' cannot run here: .*this version of edcore does not contain the Numba kernels yet"
    with pytest.raises(edcore.BackendUnavailableError, match=message):
        edcore.ED(2, backend="numba", device="cudasim")
