"""Memory stays flat over many steps; `soak.py` takes a hundred times as many."""

import pytest

from soak import MOST, grown, soak

STEPS = 2000


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_memory_does_not_grow(backend, tmp_path):
    pytest.importorskip(backend)
    soak(backend, 100, tmp_path)  # what is compiled and loaded first
    readings, done = soak(backend, STEPS, tmp_path)
    assert grown(readings) <= MOST
    assert done == {"steps": STEPS, "fits": 40, "predictions": 200, "checkpoints": 2}


def test_a_leak_is_seen(tmp_path):
    readings, _ = soak("numpy", STEPS, tmp_path, leak=[])
    assert grown(readings) > MOST


def test_only_the_last_three_quarters_count():
    assert grown([*range(50), *[50] * 150]) == 0
    assert grown(list(range(200))) == 130
    assert grown([5, 5, 5, 500]) == 495
    assert grown([100] * 60 + [10_000] + [100] * 139) == 0  # a reading that stands out
