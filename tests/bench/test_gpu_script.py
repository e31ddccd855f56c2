"""The one command for a GPU, as far as it shows without one: the page, its parts, and what happens where they fail."""

import functools
import os
import types

import pytest

from benchmarks import gpu, gpu_tests
from edcore.bench import machine, run
from edcore.bench.setting import Setting
from edcore.bench.timings import Benchmark, Timings
from edcore.environment import Environment

HERE = Environment("2026-01-02T03:04:05+00:00", "0.1.0", "3.11.0", "2.0.0", "abc1234", "Linux x86_64", "A CPU", 2)
MACHINE = machine.Machine("A GPU", 1e9, "PyTorch", 1e8, "PyTorch")  # TINY's 192 operations take it 192 ns
TINY = Setting(features=1, width=1, depth=1, batch=4)

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


def results(bounds=MACHINE, **seconds):
    """Return results of these contenders; one with no seconds was not measured."""
    rows = [
        Timings(name.replace("_", "-"), seconds={what: [value] for what in ("forward", "trace", "update", "step")})
        if value
        else Timings(name, reason="it is away")
        for name, value in seconds.items()
    ]
    return Benchmark(HERE, TINY, bounds, "" if bounds else "it is away", rows)


@pytest.fixture
def folder(tmp_path):
    """Return a function that makes a folder with this one file of tests."""

    def folder(text):
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests" / "test_some.py").write_text(text)
        return tmp_path / "tests"

    return folder


@pytest.fixture
def parts(monkeypatch):
    """Put quick parts, in which all is well, in the place of the real ones; a test replaces some of them."""
    monkeypatch.setattr(gpu, "looked", lambda device: {"torch": ("", "13.0"), "cupy": ("it is\n|away", "–")})
    monkeypatch.setattr(gpu, "driver", lambda: "A GPU, 580.1")
    monkeypatch.setattr(gpu, "bench", lambda names, setting, announce, seconds: results(torch=1e-3, torch_peer=6e-3))
    good = gpu_tests.Outcomes({"tests/test_a.py::test_one[cupy]": ("passed", "")}, 1)
    monkeypatch.setattr(gpu.gpu_tests, "run", lambda seconds: good)
    return monkeypatch


def page_of(tmp_path, *arguments):
    output = tmp_path / "gpu.md"
    code = gpu.main(["--output", str(output), *arguments])
    return code, output.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_dry_run(monkeypatch, folder, tmp_path, capsys):
    skipping = 'import pytest\n@pytest.mark.gpu\ndef test_one(): pytest.skip("no GPU is here")\n'
    monkeypatch.setattr(gpu.gpu_tests, "run", functools.partial(gpu_tests.run, folder=folder(skipping)))
    monkeypatch.setattr(gpu, "DRY_RUN", gpu.Plan("cpu", ("numpy", "article"), gpu.DRY_RUN.shapes))
    monkeypatch.setattr(run, "SETTLE", 0)
    monkeypatch.setattr(machine, "CPU", machine.Sizes(16, 4096, 1))
    code, page = page_of(tmp_path, "--dry-run")
    assert code == 0
    assert capsys.readouterr().out == page + "\n"
    assert page.startswith("# Measured on the CPU (dry run)\n\n**All sizes are tiny, and no GPU took part")
    assert "\n| numba | yes | – |\n" in page or "\n| numba | no: the package numba is not installed | – |\n" in page
    assert "\n1 skipped:\n\n- 1: no GPU is here\n" in page
    for title in (gpu.ARTICLE, gpu.WIDE, gpu.HEADS):
        assert f"\n## {title} (dry run)\n\ndepth " in page
    assert page.count("\n| numpy | ") == page.count("\n| article | ") == 3
    targets = page.split("\n## Targets (dry run)\n")[1]
    assert targets.count("\n| ") == 4
    assert "| Many heads | at least 5 times as fast as torch-peer | – | not judged in a dry run |" in page
    assert [path.name for path in tmp_path.glob("gpu.md*")] == ["gpu.md"]


def test_a_dry_run_overwrites_no_page_of_its_own_accord(parts, tmp_path):
    parts.setattr(gpu, "PAGE", tmp_path / "gpu.md")
    parts.setattr(gpu, "ROOT", tmp_path)
    gpu.main(["--dry-run"])
    assert list(tmp_path.iterdir()) == []
    gpu.main([])
    assert (tmp_path / "gpu.md").read_text(encoding="utf-8").startswith("# Measured on a GPU\n")


def test_a_page_where_all_is_well(parts, tmp_path):
    code, page = page_of(tmp_path)
    assert code == 0
    assert "device, driver: A GPU, 580.1\n" in page
    assert "product: 0.001 TFLOP/s\n- copy: 0.1 GB/s\n" in page
    assert "\n| torch | yes | 13.0 |\n| cupy | no: it is \\|away | – |\n" in page
    assert "\n| tests/test_a.py | cupy | 1 | 0 | 0 |\n\nNone failed.\n" in page
    assert page.count("\n| torch-peer | ") == 3
    assert "| The article's size | a step takes at most 3 ms | 1 ms | holds |" in page
    assert "| Many heads | at least 5 times as fast as torch-peer | 6 × | holds |" in page


def test_without_a_gpu_the_page_says_so(parts, tmp_path):
    parts.setattr(gpu, "looked", lambda device: {"torch": ("it is away", "–")})
    parts.setattr(gpu, "bench", None)
    code, page = page_of(tmp_path)
    assert code == 1
    assert page.count("\nNot measured: no GPU was found.\n") == 3
    assert page.count("| – | not measured: no GPU was found |") == 3


def test_a_look_that_fails_has_its_reason(parts, tmp_path):
    parts.setattr(gpu, "looked", lambda device: "its process ended with exit code -11")
    code, page = page_of(tmp_path)
    assert code == 1
    assert "Which libraries reach cuda is not known: its process ended with exit code -11." in page


def test_a_setting_that_fails_leaves_the_others(parts, tmp_path):
    def bench(names, setting, announce, seconds):
        if setting.width == 1024:
            raise MemoryError("too wide")
        return results(torch=1e-3)

    parts.setattr(gpu, "bench", bench)
    code, page = page_of(tmp_path)
    assert code == 0
    assert "## A wide network\n\nNot measured: MemoryError: too wide.\n" in page
    assert "| not measured: MemoryError: too wide |" in page
    assert page.count("\n| torch | ") == 3  # the library, and two settings


def test_a_test_that_fails_is_exit_code_1_and_on_the_page(parts, tmp_path):
    failed = gpu_tests.Outcomes({"tests/test_a.py::test_one[jax]": ("failed", "it is wrong")}, 1)
    parts.setattr(gpu.gpu_tests, "run", lambda seconds: failed)
    code, page = page_of(tmp_path)
    assert code == 1
    assert (
        "| tests/test_a.py | jax | 0 | 1 | 0 |\n\n**1 failed:**\n\n- `tests/test_a.py::test_one[jax]`: it is wrong\n"
        in page
    )


def test_time_is_shared_out_until_none_is_left(parts, tmp_path):
    given, now = [], [0.0]

    def bench(names, setting, announce, seconds):
        given.append(seconds)
        now[0] += 300  # longer than it was given
        return results(torch=1e-3)

    parts.setattr(gpu, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    parts.setattr(gpu, "bench", bench)
    code, page = page_of(tmp_path, "--minutes", "8")
    assert code == 0
    assert given == [470 / 3, 170 / 2]
    assert "## Many heads\n\nNot measured: no time left.\n" in page


def test_a_page_is_whole_or_not_there(monkeypatch, tmp_path):
    page = tmp_path / "gpu.md"
    gpu.write("old", page)
    monkeypatch.setattr(os, "replace", lambda *paths: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gpu.write("new", page)
    assert page.read_text() == "old"


def test_a_page_that_could_not_be_written_is_refused_at_once(parts, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        gpu.main(["--output", str(tmp_path / "nowhere" / "gpu.md")])
    assert end.value.code == 2
    assert "--output: there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "found", "figure", "verdict"),
    [
        (0, results(torch=2e-3, numba=4e-3, torch_peer=1e-3), "2 ms", "holds"),
        (0, results(numba=4e-3), "4 ms", "missed by 1 ms"),
        (0, results(torch_peer=1e-3), "–", "not measured: no backend was measured"),
        (0, "no time left", "–", "not measured: no time left"),
        (1, results(torch=240e-9), "80 %", "holds"),
        (1, results(torch=384e-9), "50 %", "missed by 20 percentage points"),
        (1, results(None, torch=1), "–", "not measured: the device's own speed was not measured (it is away)"),
        (1, results(numba=None), "–", "not measured: no backend was measured"),
        (2, results(cupy=1e-3, torch_peer=5e-3), "5 ×", "holds"),
        (2, results(cupy=2e-3, torch_peer=5e-3), "2.5 ×", "missed by 2.5 ×"),
        (2, results(cupy=2e-3), "–", "not measured: torch-peer was not measured"),
        (2, results(torch_peer=2e-3), "–", "not measured: no backend was measured"),
    ],
)
def test_targets(target, found, figure, verdict):
    assert gpu.TARGETS[target].row(found)[1:] == (figure, verdict)


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
    assert "**Only 5 of 7 tests came to their end: pytest ended with exit code 9: " in gpu_tests.markdown(outcomes)
    assert outcomes.trouble.endswith("test_five` was running")


def test_a_file_that_cannot_be_read_is_a_failure(folder):
    outcomes = gpu_tests.run(100, folder("1 / 0"))
    assert not outcomes.good
    assert "division by zero" in gpu_tests.markdown(outcomes)


def test_tests_that_take_too_long_are_ended(folder):
    outcomes = gpu_tests.run(0, folder(TESTS))
    assert outcomes.trouble == "the tests were not done after 0 seconds, when their time was up"
    assert not outcomes.good
