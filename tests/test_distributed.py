"""Networks shared among processes: real ones, that talk through gloo."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edcore import Network, Rule
from edcore.errors import EDCoreError

torch = pytest.importorskip("torch")

RANKS = Path(__file__).with_name("ranks.py")


def run(folder, size, *scenarios):
    """Run scenarios in so many processes; return what each has written and the exit codes."""
    environment = os.environ | {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    logs = [folder / f"{rank}.log" for rank in range(size)]
    processes = []
    for rank, log in enumerate(logs):
        command = [sys.executable, str(RANKS), str(rank), str(size), str(folder / "meet"), *scenarios]
        with log.open("wb") as out:
            processes.append(subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment))
    try:
        while None in (codes := [process.poll() for process in processes]) and not any(codes):
            time.sleep(0.05)  # where one has failed, the others wait for its messages
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [log.read_text() for log in logs], codes


SCENARIOS = {
    2: ("pipeline:numpy", "parallel:numpy", "runs:numpy"),
    3: ("refusals", "divergence:numpy", "saturation:numpy"),
    4: ("depth:numba", "pipeline:numba"),
}


@pytest.mark.parametrize("size", SCENARIOS)
def test_processes(size, tmp_path):
    if size == 4:
        pytest.importorskip("numba")
    told, codes = run(tmp_path, size, *SCENARIOS[size])
    assert codes == [0] * size, "\n".join(told)
    assert [line for line in told[0].splitlines() if line.endswith("holds")] == [
        f"{name} holds" for name in SCENARIOS[size]
    ]


def test_no_process_group():
    from edcore.distributed import DataParallel, Pipeline

    for kind in (Pipeline, DataParallel):
        with pytest.raises(
            EDCoreError, match=r"needs a process group: start the program with torchrun .*init_process_group"
        ):
            kind(Network(2), Rule(), seed=1)


def test_no_pytorch(monkeypatch):
    from edcore.distributed import Pipeline

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EDCoreError, match=r'needs PyTorch, which carries its messages: pip install "edcore\[torch\]"'):
        Pipeline(Network(2), Rule(), seed=1)
