"""Memory stays flat over many steps; `soak.py` takes a hundred times as many."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from soak import MOST, grown

SOAK = Path(__file__).parents[1] / "helpers" / "soak.py"
STEPS = 2000


def soaked(*options):
    """Soak in a process of its own: in one that has run other tests, what they have freed would take up a leak."""
    command = [sys.executable, str(SOAK), "--steps", str(STEPS), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("backend", ["numpy", "numba", "torch", "jax"])
def test_memory_does_not_grow(backend):
    pytest.importorskip(backend)
    code, told = soaked("--backend", backend)
    assert (code, told["grown"] <= MOST) == (0, True), told
    done = {name: told[name] for name in ("steps", "fits", "predictions", "checkpoints")}
    assert done == {"steps": STEPS, "fits": 40, "predictions": 200, "checkpoints": 2}


def test_a_leak_is_seen():
    code, told = soaked("--backend", "numpy", "--leak", "8192")
    assert (code, told["grown"] > MOST) == (1, True), told


def test_only_the_last_three_quarters_count():
    assert grown([*range(50), *[50] * 150]) == 0
    assert grown(list(range(200))) == 130
    assert grown([5, 5, 5, 500]) == 495
    assert grown([100] * 60 + [10_000] + [100] * 139) == 0  # a reading that stands out
