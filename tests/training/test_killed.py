"""Runs that are killed with SIGKILL and resumed end with the same bits as a run that nobody disturbed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 30


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path):
    program = [
        sys.executable,
        str(Path(__file__).parents[1] / "helpers" / "killed.py"),
        str(tmp_path),
        str(KILLS),
        "numpy",
    ]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["killed"] == KILLS
    assert result["runs"] >= 1
    assert result["different"] == 0
    assert len(set(result["starts"])) >= 5  # killed at many places, and not always before the first batch
