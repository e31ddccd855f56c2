"""The tests that need a GPU, as the one command for a GPU runs them: their outcomes, also where processes crash."""

from collections import Counter
from importlib.util import find_spec

import pytest

from benchmarks import gpu_first, gpu_tests

TESTS = """
import os, pytest
pytestmark = pytest.mark.gpu

@pytest.mark.parametrize("library", ["cupy", "torch"])
def test_one(library): pass

def test_two(): pytest.skip("the | is away")

@pytest.fixture
def broken():
    yield
    raise ValueError("at the end")

def test_three(broken): pass

def test_four(): assert 1 == 2, "one is not two"
"""


@pytest.fixture
def folder(tmp_path):
    """Return a function that makes a folder with this one file of tests."""

    def folder(text):
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests" / "test_some.py").write_text(text)
        return tmp_path / "tests"

    return folder


def test_each_test_that_needs_a_gpu_is_selected_once():
    names = [
        "tests/backends/test_gpu.py::test_fit[cupy]",
        "tests/backends/test_gpu.py::test_a_stream_of_its_own[torch]",
    ]
    names += ["tests/backends/test_numba_gpu.py::test_it[torch]", "tests/backends/test_gpu_here.py::test_ready[jax]"]
    chosen = [f"{gpu_first.of_library(name)} and not {gpu_first.TIMED}" for name in gpu_first.LIBRARIES]
    for name in names:
        words = {word: word in name for word in (*gpu_first.LIBRARIES, gpu_first.TIMED)}
        assert sum(eval(select, {}, words) for select in (*chosen, gpu_first.OTHERS)) == 1


def test_outcomes_of_tests(folder):
    outcomes = gpu_tests.run(100, folder(TESTS))
    told = gpu_tests.markdown(outcomes)
    assert (outcomes.collected, len(outcomes.found), outcomes.trouble, outcomes.good) == (5, 5, "", False)
    assert "test_some.py | cupy | 1 | 0 | 0 |\n" in told
    assert "test_some.py | – | 0 | 2 | 1 |\n" in told
    assert "test_three`: ValueError: at the end\n" in told
    assert "test_four`: AssertionError: one is not two assert 1 == 2\n" in told
    assert told.endswith("1 skipped:\n\n- 1: the | is away")


def test_what_was_known_before_a_crash_is_told(folder):
    crash = "\ndef test_five(): os._exit(9)\n\ndef test_six(): pass\n"
    outcomes = gpu_tests.run(100, folder(TESTS + crash))
    assert (outcomes.collected, len(outcomes.found), outcomes.good) == (7, 5, False)
    told = gpu_tests.markdown(gpu_tests.together({"jax": outcomes}))
    assert "**5 of the 7 tests that were read came to their end. Jax: pytest ended with exit code 9: " in told
    assert outcomes.trouble.endswith("test_five` ran")


def test_a_file_that_cannot_be_read_is_a_failure(folder):
    outcomes = gpu_tests.run(100, folder("1 / 0"))
    assert not outcomes.good
    assert "division by zero" in gpu_tests.markdown(outcomes)


@pytest.mark.skipif(find_spec("xdist") is None, reason="pytest-xdist is not installed")
def test_outcomes_of_several_processes_are_told_once_and_a_crash_is_a_failure(folder, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")  # as where this test runs in a worker itself
    outcomes = gpu_tests.run(300, folder(TESTS + "\ndef test_five(): os._exit(9)\n"), workers=2)
    assert (outcomes.collected, len(outcomes.found), outcomes.trouble) == (6, 6, "")
    assert Counter(outcome for outcome, _ in outcomes.found.values()) == {"passed": 2, "failed": 3, "skipped": 1}
    assert "crashed while running" in next(why for test, (_, why) in outcomes.found.items() if "five" in test)


def test_outcomes_of_a_part_and_of_the_rest_are_the_whole(folder):
    here = folder(TESTS)
    parts = {select: gpu_tests.run(100, here, select=select) for select in ("torch or two", "not torch and not two")}
    whole = gpu_tests.together(parts)
    assert [len(part.found) for part in (*parts.values(), whole)] == [2, 3, 5]
    assert whole.collected == 5
    assert "test_four" in whole.printed


def test_no_test_at_all_is_not_good(folder):
    none = gpu_tests.run(100, folder(TESTS), select="nothing")
    assert none.trouble.startswith("pytest ended with exit code 5: 5 deselected")
    passed = gpu_tests.Outcomes({"tests/test_a.py::test_one": ("passed", "")}, 1)
    assert not gpu_tests.together({"jax": none, "torch": passed}).good


def test_a_pytest_that_does_not_start_is_not_good(folder, monkeypatch):
    here = folder(TESTS)
    (here.parent / "broken.py").write_text("raise SystemExit('it is broken')")
    monkeypatch.setenv("PYTHONPATH", str(here.parent))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p broken")
    outcomes = gpu_tests.run(100, here)
    assert outcomes.trouble == "pytest ended with exit code 1: it is broken, before they were read"


def test_tests_that_take_too_long_are_ended(folder):
    outcomes = gpu_tests.run(0, folder(TESTS))
    assert outcomes.trouble == "the tests were not done after 0 seconds, when their time was up, before they were read"
    assert not outcomes.good
