"""Networks shared by processes: real processes, which exchange messages through gloo."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edcore import Network, Rule
from edcore.errors import EDCoreError
from edcore.io import load

torch = pytest.importorskip("torch")

RANKS = Path(__file__).parents[1] / "helpers" / "ranks.py"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "many-processes.md"


def run(folder, size, *scenarios):
    """Run scenarios in `size` processes; return the output and the exit code of each."""
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
    4: ("depth:numba", "language:numba", "pipeline:numba"),
}


@pytest.mark.parametrize("size", SCENARIOS)
def test_processes(size, tmp_path):
    if size == 4:
        pytest.importorskip("numba")
    logs, codes = run(tmp_path, size, *SCENARIOS[size])
    assert codes == [0] * size, "\n".join(logs)
    assert [line for line in logs[0].splitlines() if line.endswith("holds")] == [
        f"{name} holds" for name in SCENARIOS[size]
    ]


def test_no_process_group():
    from edcore.distributed import DataParallel, Pipeline

    for kind in (Pipeline, DataParallel):
        with pytest.raises(EDCoreError, match=r"torchrun .*init_process_group"):
            kind(Network(2), Rule(), seed=1)


def test_no_pytorch(monkeypatch):
    from edcore.distributed import Pipeline

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EDCoreError, match=r'PyTorch.*pip install "edcore\[torch\]"'):
        Pipeline(Network(2), Rule(), seed=1)


def examples():
    """Return the page's programs for torchrun, by name, with what they print; and the one that follows keep.py."""
    block = r"```python\n(.*?)```\n.*?```text\n(.*?)```"
    started = r"<!-- not run: torchrun starts it.*? -->\n```python\n# (\w+\.py)\n(.*?)```\n.*?```text\n(.*?)```"
    page = PAGE.read_text(encoding="utf-8")
    programs = {name: (code, printed) for name, code, printed in re.findall(started, page, re.DOTALL)}
    after = re.search(r"<!-- not run: needs the files of keep.py.*? -->\n" + block, page, re.DOTALL)
    return programs, after.groups()


def torchrun(folder, name, code):
    """Start a program in two processes of this machine; each one's prints go to a file of its own."""
    folder.mkdir()
    (folder / name).write_text(code)
    options = ("--standalone", "--nproc-per-node", "2", "--redirects", "1", "--log-dir", "logs")
    environment = os.environ | {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with (folder / "errors").open("wb") as errors:
        command = [sys.executable, "-m", "torch.distributed.run", *options, name]
        return subprocess.Popen(command, cwd=folder, stderr=errors, env=environment)


def test_examples_of_the_page(tmp_path, monkeypatch, capsys):
    programs, (after, shown_after) = examples()
    assert list(programs) == ["train.py", "samples.py", "keep.py"]
    running = {name: torchrun(tmp_path / name[:-3], name, code) for name, (code, _) in programs.items()}
    try:
        codes = {name: process.wait(timeout=200) for name, process in running.items()}
    finally:
        for process in running.values():
            process.terminate()  # torchrun, which then ends the others
    for name, (_, shown) in programs.items():
        folder = tmp_path / name[:-3]
        assert codes[name] == 0, (folder / "errors").read_text()
        printed = [line for log in (folder / "logs").rglob("stdout.log") for line in log.read_text().splitlines()]
        assert sorted(printed) == sorted(shown.splitlines())
    for folder in ("train", "samples"):
        assert load(tmp_path / folder / "network.safetensors").epochs.tolist() == [10]
    monkeypatch.chdir(tmp_path / "keep")
    exec(after, {})
    assert capsys.readouterr().out == shown_after
