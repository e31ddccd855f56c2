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
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILE = "EDCORE_GPU_TESTS"
LIBRARIES = ("numba", "cupy", "torch", "jax")
NORMAL_ENDS = (0, 1)  # of pytest: all passed, or some failed
LONGEST = 300  # characters of a reason


@dataclass
class Outcomes:
    """The outcome of each test ("passed", "failed" or "skipped") with the reason."""

    found: dict[str, tuple[str, str]] = field(default_factory=dict)
    collected: int = 0
    trouble: str = ""
    printed: str = ""  # by pytest

    @property
    def good(self) -> bool:
        """Whether all tests ended, and none failed."""
        return not self.trouble and all(outcome != "failed" for outcome, _ in self.found.values())


def run(seconds: float, folder: Path = TESTS, *, select: str = "", workers: int = 1) -> Outcomes:
    """Run the tests of a folder, or those that pytest's -k selects, for at most `seconds`, in some processes."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-m", "gpu", "-k", select]
    command += ["--continue-on-collection-errors", "-p", "benchmarks.gpu_tests", *marked_files(folder)]
    if workers > 1 and find_spec("xdist"):
        command += ["-n", str(workers), "--dist", "worksteal"]
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    # JAX would take most of the GPU's memory, which the others need too.
    environment = {**os.environ, "PYTHONPATH": path, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    with tempfile.TemporaryDirectory() as place:
        file, log, trouble = Path(place, "outcomes"), Path(place, "log"), ""
        environment[FILE] = str(file)
        with log.open("w", encoding="utf-8") as printed:
            try:
                options = {"cwd": TESTS.parent, "env": environment, "stdout": printed, "stderr": printed}
                code = subprocess.run(command, timeout=seconds, check=False, **options).returncode
            except subprocess.TimeoutExpired:
                code = None
                trouble = f"the tests were not done after {seconds:.0f} seconds, when their time was up"
        said = log.read_text(encoding="utf-8", errors="replace")
        written = file.read_text(encoding="utf-8") if file.exists() else ""
        if code not in (None, *NORMAL_ENDS) or (code and '"failed"' not in written):  # 1 is also that of a bad start
            last = (said.strip().splitlines() or ["it printed nothing"])[-1]
            trouble = f"pytest ended with exit code {code}: {last}"
        outcomes = read(written, trouble)
        outcomes.printed = said
        return outcomes


def marked_files(folder: Path) -> list[str]:
    """Return the files of tests that speak of the mark: to read all others takes longer than some of the tests."""
    found = [path for path in sorted(folder.rglob("test_*.py")) if "mark.gpu" in path.read_text(encoding="utf-8")]
    return [str(path) for path in found or [folder]]


def together(parts: dict[str, Outcomes]) -> Outcomes:
    """Return the outcomes of several runs, by their names, as one."""
    whole = Outcomes()
    for name, part in parts.items():
        whole.found |= part.found
        whole.collected += part.collected
        if part.trouble:
            whole.trouble += f"{'; ' if whole.trouble else ''}{name}: {part.trouble}"
        whole.printed += part.printed
    return whole


def read(text: str, trouble: str) -> Outcomes:
    """Return the outcomes that the plug-in wrote; `trouble` is why its process failed, if it did."""
    outcomes, started = Outcomes(trouble=trouble), {}
    for line in text.splitlines():
        match json.loads(line):
            case {"collected": count}:
                outcomes.collected = count
            case {"started": test}:
                started[test] = True
            case {"test": test, "outcome": outcome, "reason": reason}:
                if outcomes.found.get(test, ("passed",))[0] == "passed":  # a test that passed can fail in its teardown
                    outcomes.found[test] = (outcome, reason)
    if trouble and not outcomes.collected:
        outcomes.trouble += ", before they were read"
    if trouble and (running := [f"`{test}`" for test in started if test not in outcomes.found]):
        outcomes.trouble += f", while {' and '.join(running)} ran"
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
        known = f"{len(outcomes.found)} of the {outcomes.collected} tests that were read came to their end"
        lines += ["", f"**{known}. {outcomes.trouble[0].upper()}{outcomes.trouble[1:]}.**"]
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
    return file, next((name for name in parameters if name in LIBRARIES), "–")


# Below: code that runs in pytest's process.


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # xdist's workers tell its own process what they do
        config.pluginmanager.register(Recorder())


class Recorder:
    """Writes down what happens."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.items:  # not where xdist's workers have them
            _record(collected=len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        _record(collected=len(ids))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            _record(test=report.nodeid, outcome="failed", reason=_reason(report))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        _record(started=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
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
