"""Run the tests that are marked `gpu` in another process, and collect the outcome of each.

This module is also that process's pytest plug-in: it writes each outcome down at once, as a test on a GPU can crash its
whole process, and pytest writes its own report at the very end.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILE = "EDCORE_GPU_TESTS"
BACKENDS = ("numba", "cupy", "torch", "jax")
NORMAL_ENDS = (0, 1, 5)  # of pytest: all passed, some failed, or none was selected
LONGEST = 300  # characters of a reason


@dataclass
class Outcomes:
    """The outcome of each test ("passed", "failed" or "skipped") with the reason."""

    found: dict[str, tuple[str, str]] = field(default_factory=dict)
    collected: int = 0
    trouble: str = ""

    @property
    def good(self) -> bool:
        """Whether all tests ended, and none failed."""
        return not self.trouble and all(outcome != "failed" for outcome, _ in self.found.values())


def run(seconds: float, folder: Path = TESTS / "backends", *, select: str = "", workers: int = 1) -> Outcomes:
    """Run the tests of a folder, or those that pytest's -k selects, for at most `seconds`, in some processes."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "--continue-on-collection-errors", "-k", select]
    if workers > 1 and find_spec("xdist"):
        command += ["-n", str(workers), "--dist", "worksteal"]
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    # JAX would take most of the GPU's memory, which the others need too.
    environment = {**os.environ, "PYTHONPATH": path, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    with tempfile.TemporaryDirectory() as place:
        file, trouble = Path(place, "outcomes"), ""
        environment[FILE] = str(file)
        try:
            ended = subprocess.run(
                [*command, "-p", "benchmarks.gpu_tests", str(folder)],
                cwd=TESTS.parent,
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            )
            if ended.returncode not in NORMAL_ENDS:
                last = (ended.stdout.strip().splitlines() or ["it printed nothing"])[-1]
                trouble = f"pytest ended with exit code {ended.returncode}: {last}"
        except subprocess.TimeoutExpired:
            trouble = f"the tests were not done after {seconds:.0f} seconds, when their time was up"
        return read(file.read_text(encoding="utf-8") if file.exists() else "", trouble)


def together(parts: Iterable[Outcomes]) -> Outcomes:
    """Return the outcomes of several runs as one."""
    whole = Outcomes()
    for part in parts:
        whole.found |= part.found
        whole.collected += part.collected
        whole.trouble = "; ".join(filter(None, (whole.trouble, part.trouble)))
    return whole


def read(text: str, trouble: str) -> Outcomes:
    """Return the outcomes that the plug-in wrote; `trouble` is why its process failed, if it did."""
    outcomes, running = Outcomes(trouble=trouble), ""
    for line in text.splitlines():
        match json.loads(line):
            case {"collected": count}:
                outcomes.collected = count
            case {"started": test}:
                running = test
            case {"test": test, "outcome": outcome, "reason": reason}:
                if outcomes.found.get(test, ("passed",))[0] == "passed":  # a test that passed can fail in its teardown
                    outcomes.found[test] = (outcome, reason)
    if trouble and running and running not in outcomes.found:
        outcomes.trouble += f", while `{running}` was running"
    return outcomes


def markdown(outcomes: Outcomes) -> str:
    """Return the outcomes by file and backend, and below what failed and why others were skipped."""
    counts = {}
    for test, (outcome, _) in outcomes.found.items():
        counts.setdefault(_group(test), Counter())[outcome] += 1
    lines = ["| tests | backend or library | passed | failed | skipped |", "|---|---|---:|---:|---:|"]
    for (file, name), count in sorted(counts.items()):
        numbers = " | ".join(str(count[outcome]) for outcome in ("passed", "failed", "skipped"))
        lines.append(f"| {file} | {name} | {numbers} |")
    if outcomes.trouble:
        ended = f"{len(outcomes.found)} of {outcomes.collected} tests came to their end"
        lines += ["", f"**Only {ended}: {outcomes.trouble}.**"]
    failed = [(test, reason) for test, (outcome, reason) in outcomes.found.items() if outcome == "failed"]
    lines += ["", *([f"**{len(failed)} failed:**", ""] if failed else ["None failed."])]
    lines += [f"- `{test}`: {reason}" for test, reason in failed]
    skipped = Counter(reason for outcome, reason in outcomes.found.values() if outcome == "skipped")
    if skipped:
        lines += ["", f"{skipped.total()} skipped:", "", *(f"- {count}: {why}" for why, count in skipped.most_common())]
    return "\n".join(lines)


def _group(test: str) -> tuple[str, str]:
    file, _, rest = test.partition("::")
    parameters = rest.partition("[")[2].rstrip("]").split("-")
    return file, next((name for name in parameters if name in BACKENDS), "–")


# Below: code that runs in pytest's process. With xdist that one runs no tests; its workers tell it what they do.

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.items and WORKER in ("", "gw0"):
        _record(collected=len(session.items))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed and not WORKER:
        _record(test=report.nodeid, outcome="failed", reason=_reason(report))


def pytest_runtest_logstart(nodeid: str) -> None:
    if not WORKER:
        _record(started=nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if not WORKER and (report.when == "call" or not report.passed):
        _record(test=report.nodeid, outcome=report.outcome, reason="" if report.passed else _reason(report))


def _record(**what: str | int) -> None:
    with open(os.environ[FILE], "a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")


def _reason(report: pytest.CollectReport | pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # of a test that is skipped: file, line and reason
        reason = report.longrepr[2].removeprefix("Skipped: ")
    elif crash := getattr(report.longrepr, "reprcrash", None):
        reason = crash.message
    else:
        reason = report.longreprtext
    return " ".join(reason.split())[:LONGEST]
