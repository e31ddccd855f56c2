"""The one command for a GPU, as far as it shows without one: the page, its parts, and what happens where they fail."""

import functools
import json
import os
import time
import types
from collections import Counter
from importlib.util import find_spec

import pytest

from benchmarks import gpu, gpu_bench, gpu_first, gpu_tests
from edcore.bench import machine, run
from edcore.bench.setting import Setting
from edcore.bench.timings import Benchmark, Timings
from edcore.environment import Environment

HERE = Environment("2026-01-02T03:04:05+00:00", "0.1.0", "3.11.0", "2.0.0", "abc1234", "Linux x86_64", "A CPU", 2)
MACHINE = machine.Machine("A GPU", 1e9, "PyTorch", 1e8, "PyTorch")  # TINY's 192 operations take it 192 ns
AWAY = {"numba": ("it is away for today", "–"), "cupy": ("it is\n|away", "–"), "jax": ("it is gone", "–")}
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
def parts(monkeypatch, tmp_path):
    """Put quick parts, in which all is well, in the place of the real ones; a test replaces some of them."""
    monkeypatch.setattr(gpu, "looked", lambda device: {"torch": ("", "13.0")} | AWAY)
    monkeypatch.setattr(gpu, "driver", lambda: "A GPU, 580.1")
    monkeypatch.setattr(gpu, "find_compiler", lambda: "")
    monkeypatch.setattr(gpu_bench, "bench", lambda *arguments: results(torch=1e-3, torch_peer=6e-3))
    part = {"part": "a small network", "good": True, "seconds": 1.0, "told": "1e-7 | apart"}
    monkeypatch.setattr(gpu_first, "run_chain", lambda *arguments: ([part], ""))
    good = gpu_tests.Outcomes({"tests/test_a.py::test_one[cupy]": ("passed", "")}, 1)
    monkeypatch.setattr(gpu_first.gpu_tests, "run", lambda seconds, **options: good)
    return monkeypatch


def pages_of(folder, *arguments):
    """Run the command; return its exit code and its pages, the first run's and the benchmark's."""
    code = gpu.main(["--output", str(folder), *arguments])
    pages = [folder / f"gpu-{stage}.md" for stage in ("first", "bench")]
    return code, *(page.read_text(encoding="utf-8") if page.exists() else "" for page in pages)


@pytest.mark.slow
def test_the_dry_run(monkeypatch, folder, tmp_path):
    skipping = 'import pytest\n@pytest.mark.gpu\ndef test_one(): pytest.skip("no GPU is here")\n'
    monkeypatch.setattr(gpu_tests, "run", functools.partial(gpu_tests.run, folder=folder(skipping)))
    monkeypatch.setattr(gpu_bench, "DRY_RUN", gpu_bench.Plan("cpu", ("numpy", "article"), gpu_bench.DRY_RUN.shapes))
    reached = AWAY | {"torch": ("it is away", "–"), "numba": ("", "–")}
    monkeypatch.setattr(gpu, "looked", lambda device: reached)
    monkeypatch.setattr(run, "SETTLE", 0)
    monkeypatch.setattr(machine, "CPU", machine.Sizes(16, 4096, 1))
    code, first, bench = pages_of(tmp_path, "--dry-run")
    assert code == 0
    for page, title in ((first, "First run"), (bench, "Benchmark")):
        assert page.startswith(f"# {title} on the CPU (dry run)\n\n**All sizes are tiny, and no GPU took part")
        assert "\n| numba | yes | – |\n" in page
    log = (tmp_path / "gpu" / "numba.log").read_text(encoding="utf-8")
    parts = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {part["part"] for part in parts} > {"a small network as NumPy", "check_forward", "times, digits"}
    assert f"\n### numba\n\n{len(parts)} of {len(parts)} parts are good.\n" in first
    assert "\n1 skipped:\n\n- 1: no GPU is here\n" in first
    for title, file in gpu_bench.FILES.items():
        assert f"\n## {title} (dry run)\n\ndepth " in bench
        kept = json.loads((tmp_path / "gpu" / f"{file}.json").read_text())
        assert [one["name"] for one in kept["contenders"]][:1] == ["numpy"]
        assert kept["machine"] is not None
    assert (bench.count("\n| numpy | "), bench.count("\n| article | ")) == (3, 2)
    targets = bench.split("\n## Targets (dry run)\n")[1].split("\n## ")[0]
    assert targets.count("\n| ") == 5
    assert "| Many heads | at least as fast as torch-peer | – | not judged in a dry run |" in targets
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpu", "gpu-bench.md", "gpu-first.md", "tests"]


def test_a_dry_run_overwrites_no_page_of_its_own_accord(parts, tmp_path):
    parts.setattr(gpu, "FOLDER", tmp_path)
    gpu.main(["--dry-run"])
    assert list(tmp_path.iterdir()) == []
    gpu.main([])
    assert (tmp_path / "gpu-first.md").read_text(encoding="utf-8").startswith("# First run on a GPU\n")


def test_a_stage_leaves_the_page_of_the_other(parts, tmp_path):
    for stage, other in (("first", "bench"), ("bench", "first")):
        (tmp_path / f"gpu-{other}.md").write_text("of before")
        pages_of(tmp_path, "--stage", stage)
        assert (tmp_path / f"gpu-{other}.md").read_text() == "of before"
        assert "A GPU, 580.1" in (tmp_path / f"gpu-{stage}.md").read_text(encoding="utf-8")


def test_pages_where_all_is_well(parts, tmp_path):
    code, first, bench = pages_of(tmp_path)
    assert code == 0
    for page in (first, bench):
        assert "device, driver: A GPU, 580.1\n" in page
        assert "\n| torch | yes | 13.0 |\n" in page
        assert "\n| cupy | no: it is \\|away | – |\n" in page
    assert "\n### torch\n\n1 of 1 parts are good.\n\n- a small network (1.0 s): 1e-7 \\| apart" in first
    assert "\n### cupy\n\nNot tried: it is\n|away.\n" in first
    assert "\n| tests/test_a.py | cupy | 1 | 0 | 0 |\n\nNone failed.\n" in first
    assert "product: 0.001 TFLOP/s; copy: 0.1 GB/s.\n" in bench
    assert bench.count("\n| torch-peer | ") == 3
    assert "| The article's size | a step takes at most 3 ms | 1 ms | holds |" in bench
    assert "| Many heads | at least as fast as torch-peer | 6 × | holds |" in bench


def test_without_a_gpu_the_pages_say_so(parts, tmp_path):
    parts.setattr(gpu, "looked", lambda device: AWAY | {"torch": ("it is away", "–")})
    parts.setattr(gpu_bench, "bench", None)
    parts.setattr(gpu_first, "run_chain", None)
    code, first, bench = pages_of(tmp_path)
    assert code == 1
    assert first.count("\nNot tried: it is away.\n") == 1
    assert bench.count("\nNot measured: no library reaches cuda.\n") == 3
    assert bench.count("| – | not measured: no library reaches cuda |") == 4


def test_a_look_that_fails_has_its_reason(parts, tmp_path):
    parts.setattr(gpu, "looked", lambda device: "its process ended with exit code -11")
    code, first, bench = pages_of(tmp_path)
    assert code == 1
    assert "Which libraries reach cuda is not known: its process ended with exit code -11." in first
    assert "no cuda was found: its process ended with exit code -11" in bench


def test_a_setting_that_fails_leaves_the_others(parts, tmp_path):
    def bench(names, setting, *others):
        if setting.width == 1024:
            raise MemoryError("too wide")
        return results(torch=1e-3)

    parts.setattr(gpu_bench, "bench", bench)
    code, _, page = pages_of(tmp_path, "--stage", "bench")
    assert code == 0
    assert "## A wide network\n\nNot measured: MemoryError: too wide.\n" in page
    assert "| not measured: MemoryError: too wide |" in page
    assert page.count("\n| torch | ") == 3  # the library, and two settings


def test_what_was_measured_is_kept_when_the_rest_is_cut_short(parts, tmp_path):
    def bench(names, setting, *others):
        if setting.heads > 1:
            raise KeyboardInterrupt
        return results(torch=1e-3)

    parts.setattr(gpu_bench, "bench", bench)
    with pytest.raises(KeyboardInterrupt):
        gpu.main(["--output", str(tmp_path), "--stage", "bench"])
    page = (tmp_path / "gpu-bench.md").read_text(encoding="utf-8")
    assert "a step takes at most 3 ms | 1 ms | holds" in page
    assert "## Many heads\n\nNot measured: no time left.\n" in page
    assert [path.name for path in (tmp_path / "gpu").iterdir()] == ["article.json"]


def test_the_machine_is_measured_once(parts, tmp_path):
    given = []

    def bench(names, setting, announce, seconds, bounds):
        given.append(bounds)
        return results(torch=1e-3)

    parts.setattr(gpu_bench, "bench", bench)
    pages_of(tmp_path, "--stage", "bench")
    assert given == [None, MACHINE, MACHINE]


@pytest.mark.parametrize("trouble", ["a part", "the end", "a test"])
def test_what_fails_is_exit_code_1_and_on_the_page(parts, tmp_path, trouble):
    bad = {"part": "check_fit", "good": False, "seconds": 1.0, "told": "Traceback\nAssertionError: it is wrong\n"}
    expected = "- **failed** check_fit (1.0 s): AssertionError: it is wrong"
    if trouble == "a part":
        parts.setattr(gpu_first, "run_chain", lambda *arguments: ([bad], ""))
    elif trouble == "the end":
        parts.setattr(gpu_first, "run_chain", lambda *arguments: ([], "its time was up"))
        expected = "### torch\n\nIts time was up.\n"
    else:
        failed = gpu_tests.Outcomes({"tests/test_a.py::test_one[jax]": ("failed", "it is wrong")}, 1)
        parts.setattr(gpu_first.gpu_tests, "run", lambda seconds, **options: failed)
        expected = "| tests/test_a.py | jax | 0 | 1 | 0 |\n\n**1 failed:**\n\n- `tests/test_a.py::test_one[jax]`: it is"
    code, first, _ = pages_of(tmp_path, "--stage", "first")
    assert code == 1
    assert expected in first


def test_a_chain_that_crashes_keeps_what_it_has_told(monkeypatch, tmp_path):
    chain = tmp_path / "chain.py"
    chain.write_text("""import os
print('{"part": "one", "good": true, "seconds": 1, "told": ""}', flush=True)
print('some library says "hello"', flush=True)
os._exit(3)
""")
    monkeypatch.setattr(gpu_first, "CHAIN", chain)
    found, trouble = gpu_first.run_chain("jax", "cpu", (), time.monotonic() + 60, tmp_path / "jax.log")
    assert [part["part"] for part in found] == ["one"]
    assert trouble == "its process ended with exit code 3"


def test_a_chain_whose_time_is_up_is_ended(monkeypatch, tmp_path):
    chain = tmp_path / "chain.py"
    chain.write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    monkeypatch.setattr(gpu_first, "CHAIN", chain)
    found, trouble = gpu_first.run_chain("numba", "cpu", (), time.monotonic() + 1, tmp_path / "numba.log")
    assert (found, trouble.split(";")[0]) == ([], "its time was up")


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


def test_time_is_shared_out_until_none_is_left(parts, tmp_path):
    given, now = [], [0.0]

    def bench(names, setting, announce, seconds, bounds):
        given.append(seconds)
        now[0] += 300  # longer than it was given
        return results(torch=1e-3)

    clock = types.SimpleNamespace(monotonic=lambda: now[0])
    parts.setattr(gpu, "time", clock)
    parts.setattr(gpu_bench, "time", clock)
    parts.setattr(gpu_bench, "bench", bench)
    code, _, page = pages_of(tmp_path, "--minutes", "8", "--stage", "bench")
    assert code == 0
    assert given == [0.42 * 470, 0.5 * 170]
    assert "## A wide network\n\nNot measured: no time left.\n" in page


@pytest.mark.parametrize("library", ["nvvm/lib64/libnvvm.so.4", None])
def test_a_toolkit_is_found_where_no_package_brings_the_compiler(monkeypatch, tmp_path, library):
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.setattr(gpu, "TOOLKITS", (str(tmp_path / "cuda-*"),))
    monkeypatch.setattr(gpu.subprocess, "run", lambda *command, **options: types.SimpleNamespace(returncode=1))
    root = tmp_path / "cuda-13"
    if library:
        (root / library).parent.mkdir(parents=True)
        (root / library).touch()
    told = gpu.find_compiler()
    assert os.environ.get("CUDA_HOME") == (str(root) if library else None)
    assert told == (f"CUDA_HOME was set to {root}, as no package brings libNVVM" if library else "")


def test_a_folder_that_is_not_there_is_refused_at_once(parts, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        gpu.main(["--output", str(tmp_path / "nowhere")])
    assert end.value.code == 2
    assert "--output: there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "found", "figure", "verdict"),
    [
        (0, results(torch=2e-3, numba=4e-3, torch_peer=1e-3), "2 ms", "holds"),
        (0, results(numba=4e-3), "4 ms", "missed by 1 ms"),
        (0, results(torch_peer=1e-3), "–", "not measured: no backend was measured"),
        (0, "no time left", "–", "not measured: no time left"),
        (1, results(torch=2e-3, article_cupy=0.4), "200 ×", "holds"),
        (1, results(torch=2e-3, article_cupy=0.1), "50 ×", "missed by 50 ×"),
        (2, results(torch=213e-9), "90.1 %", "holds"),
        (2, results(torch=240e-9), "80 %", "missed by 5 percentage points"),
        (2, results(None, torch=1), "–", "not measured: the device's own speed was not measured (it is away)"),
        (2, results(numba=None), "–", "not measured: no backend was measured"),
        (3, results(cupy=4e-3, torch_peer=5e-3), "1.25 ×", "holds"),
        (3, results(cupy=4e-3, torch_peer=3e-3), "0.75 ×", "missed by 0.25 ×"),
        (3, results(cupy=2e-3), "–", "not measured: torch-peer was not measured"),
        (3, results(torch_peer=2e-3), "–", "not measured: no backend was measured"),
    ],
)
def test_targets(target, found, figure, verdict):
    assert gpu_bench.TARGETS[target].row(found)[1:] == (figure, verdict)


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
    parts = [gpu_tests.run(100, here, select=select) for select in ("torch or two", "not torch and not two")]
    whole = gpu_tests.together(parts)
    assert [len(part.found) for part in (*parts, whole)] == [2, 3, 5]
    assert whole.collected == 5
    assert "test_four" in whole.printed


def test_no_test_to_select_is_no_trouble_unless_it_is_all(folder):
    none = gpu_tests.run(100, folder(TESTS), select="nothing")
    assert (none.trouble, none.found) == ("", {})
    assert not none.good
    passed = gpu_tests.Outcomes({"tests/test_a.py::test_one": ("passed", "")}, 1)
    assert gpu_tests.together([none, passed]).good


def test_tests_that_take_too_long_are_ended(folder):
    outcomes = gpu_tests.run(0, folder(TESTS))
    assert outcomes.trouble == "the tests were not done after 0 seconds, when their time was up"
    assert not outcomes.good
