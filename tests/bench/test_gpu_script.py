"""The one command for a GPU, as far as it shows without one: the page, its parts, and what happens where they fail."""

import functools
import json
import os
import re
import types

import pytest

from benchmarks import gpu, gpu_bench, gpu_first, gpu_pages, gpu_tests
from edcore.bench import machine, run
from edcore.bench.setting import Setting
from edcore.bench.timings import Benchmark, Timings
from edcore.environment import Environment

HERE = Environment("2026-01-02T03:04:05+00:00", "0.1.0", "3.11.0", "2.0.0", "abc1234", "Linux x86_64", "A CPU", 2)
MACHINE = machine.Machine("A GPU", 1e9, "PyTorch", 1e8, "PyTorch")  # TINY's 192 operations take it 192 ns
AWAY = {"numba": ("it is away for today", "–"), "cupy": ("it is\n|away", "–"), "jax": ("it is gone", "–")}
TINY = Setting(features=1, width=1, depth=1, batch=4)

SKIPPED = """import pytest
@pytest.mark.gpu
@pytest.mark.parametrize("library", ["numba", "cupy", "torch", "jax", "a stream"])
def test_one(library): pytest.skip("no GPU is here")
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


def chain_of(part, good, told):
    """Return a chain of one part, in the place of `run_chain`."""

    def run_chain(chain, *others):
        chain.parts.append({"part": part, "good": good, "seconds": 1.0, "told": told})
        chain.ended = True

    return run_chain


@pytest.fixture
def parts(monkeypatch):
    """Put quick parts, in which all is well, in the place of the real ones; a test replaces some of them."""
    monkeypatch.setattr(gpu, "looked", lambda device: {"torch": ("", "13.0")} | AWAY)
    monkeypatch.setattr(gpu, "driver", lambda: "A GPU, 580.1")
    monkeypatch.setattr(gpu, "find_compiler", lambda: "libNVVM is here")
    monkeypatch.setattr(gpu_bench, "bench", lambda *arguments: results(torch=1e-3, torch_peer=6e-3))
    monkeypatch.setattr(gpu_first, "run_chain", chain_of("a small network", True, "1e-7 | apart"))
    good = gpu_tests.Outcomes({"tests/test_a.py::test_one[cupy]": ("passed", "")}, 1)
    monkeypatch.setattr(gpu_first.gpu_tests, "run", lambda seconds, **options: good)
    return monkeypatch


def pages_of(folder, *arguments):
    """Run the command; return its exit code and its pages, the first run's and the benchmark's."""
    code = gpu.main(["--output", str(folder), *arguments])
    pages = [folder / f"gpu-{stage}.md" for stage in ("first", "bench")]
    return code, *(page.read_text(encoding="utf-8") if page.exists() else "" for page in pages)


@pytest.mark.slow
def test_the_dry_run(monkeypatch, tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_some.py").write_text(SKIPPED)
    monkeypatch.setattr(gpu_tests, "run", functools.partial(gpu_tests.run, folder=tmp_path / "tests"))
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
    parts = [json.loads(line)["part"] for line in log.splitlines() if '"part"' in line]
    assert set(parts) > {"a small network as NumPy", "check_forward", "times, digits", "check_fit_stops"}
    assert len(parts) == len(set(parts))
    assert f"\n### numba\n\n{len(parts)} of {len(parts)} parts are good.\n" in first
    assert re.search(r"- times, digits \(\d+\.\d s\): forward [\d.]+ ms, trace and update [\d.]+ ms, ED.step ", first)
    assert "\n5 skipped:\n\n- 5: no GPU is here\n" in first
    assert "Not at their end" not in first
    for title, file in gpu_bench.FILES.items():
        assert f"\n## {title} (dry run)\n\ndepth " in bench
        kept = json.loads((tmp_path / "gpu" / f"{file}.json").read_text())
        assert [one["name"] for one in kept["contenders"]][:1] == ["numpy"]
        assert kept["machine"] is not None
    assert (bench.count("\n| numpy | "), bench.count("\n| article | ")) == (3, 2)
    targets = bench.split("\n## Targets (dry run)\n")[1].split("\n## ")[0]
    assert targets.count("\n| ") == 6
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
        assert "CUDA's compiler: libNVVM is here\n" in page
        assert "\n| torch | yes | 13.0 |\n" in page
        assert "\n| cupy | no: it is \\|away | – |\n" in page
    assert "\n### torch\n\n1 of 1 parts are good.\n\n- a small network (1.0 s): 1e-7 \\| apart" in first
    assert "\n### cupy\n\nNot tried: it is \\|away.\n" in first
    assert "\n| tests/test_a.py | cupy | 1 | 0 | 0 |\n\nNone failed.\n" in first
    assert "product: 0.001 TFLOP/s; copy: 0.1 GB/s.\n" in bench
    assert bench.count("\n| torch-peer | ") == 3
    assert "| a step of cupy takes at most 1.3 ms | – | not measured: cupy was not measured |" in bench
    assert "| Many heads | at least as fast as torch-peer | 6 × | holds |" in bench


def test_without_a_gpu_the_pages_say_so(parts, tmp_path):
    parts.setattr(gpu, "looked", lambda device: AWAY | {"torch": ("it is away", "–")})
    parts.setattr(gpu_bench, "bench", None)
    parts.setattr(gpu_first, "run_chain", None)
    code, first, bench = pages_of(tmp_path)
    assert code == 1
    assert first.count("\nNot tried: it is away.\n") == 1
    assert bench.count("\nNot measured: no library reaches cuda.\n") == 3
    assert bench.count("| – | not measured: no library reaches cuda |") == 5


def test_a_look_that_fails_has_its_reason_and_is_no_harm_to_others(monkeypatch):
    monkeypatch.setattr(gpu_pages, "LIBRARIES", ("numpy", "no_such_library"))
    found = gpu_pages.looked("cpu")
    assert found["numpy"] == ("", "–")
    assert found["no_such_library"][0].startswith("KeyError")


def test_what_is_known_is_on_the_page_before_anything_is_looked_for(parts, tmp_path):
    def looked(device):
        raise KeyboardInterrupt

    parts.setattr(gpu, "looked", looked)
    for stage in ("first", "bench"):
        with pytest.raises(KeyboardInterrupt):
            gpu.main(["--output", str(tmp_path), "--stage", stage, "--commit", "abc1234"])
        page = (tmp_path / f"gpu-{stage}.md").read_text(encoding="utf-8")
        assert ", commit abc1234, " in page
        assert "\n- device, driver: A GPU, 580.1\n" in page


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
        return results(numba=1e-3)

    parts.setattr(gpu_bench, "bench", bench)
    with pytest.raises(KeyboardInterrupt):
        gpu.main(["--output", str(tmp_path), "--stage", "bench"])
    page = (tmp_path / "gpu-bench.md").read_text(encoding="utf-8")
    assert "a step of numba takes at most 2 ms | 1 ms | holds" in page
    assert "## Many heads\n\nNot measured: the run ended before its turn.\n" in page
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
    expected = "- **failed** check_fit (1.0 s): AssertionError: it is wrong"
    if trouble == "a part":
        parts.setattr(gpu_first, "run_chain", chain_of("check_fit", False, "AssertionError: it is\nwrong"))
    elif trouble == "the end":
        parts.setattr(gpu_first, "run_chain", lambda chain, *others: setattr(chain, "trouble", "its time was up"))
        expected = "### torch\n\nIts time was up.\n"
    else:
        failed = gpu_tests.Outcomes({"tests/test_a.py::test_one[jax]": ("failed", "it is wrong")}, 1, printed="E  no")
        parts.setattr(gpu_first.gpu_tests, "run", lambda seconds, **options: failed)
        expected = "| tests/test_a.py | jax | 0 | 1 | 0 |\n\n**1 failed:**\n\n- `tests/test_a.py::test_one[jax]`: it is"
    code, first, _ = pages_of(tmp_path, "--stage", "first")
    assert code == 1
    assert expected in first
    assert (tmp_path / "gpu" / "jax-tests.log").exists() == (trouble == "a test")


def test_each_part_is_on_the_page_while_others_still_run(parts, tmp_path):
    shown = []

    def run_chain(chain, name, device, options, until, log, show):
        chain_of("a small network", True, "1e-7 apart")(chain)
        chain.ended = False
        show()
        shown.append((tmp_path / "gpu-first.md").read_text(encoding="utf-8"))
        chain.ended = True

    parts.setattr(gpu_first, "run_chain", run_chain)
    pages_of(tmp_path, "--stage", "first")
    assert "### torch\n\n1 of 1 parts are good; not at its end.\n\n- a small network (1.0 s): 1e-7 apart" in shown[0]
    assert "torch, " in shown[0].split("**Not at their end: the tests of ")[1]


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


@pytest.fixture
def toolkit(monkeypatch, tmp_path):
    """A toolkit with libNVVM, in a place where one is looked for, and no other way to find one."""
    for name in ("CUDA_HOME", "CUDA_PATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(gpu, "TOOLKITS", (str(tmp_path / "cuda"), str(tmp_path / "cuda-*")))
    monkeypatch.setattr(gpu, "LOADED", "raise SystemExit('no libNVVM')")
    (tmp_path / "cuda").mkdir()
    library = tmp_path / "cuda-13" / "nvvm" / "lib64" / "libnvvm.so.4"
    library.parent.mkdir(parents=True)
    library.touch()
    return tmp_path / "cuda-13"


def test_a_toolkit_is_named_where_no_package_brings_the_compiler(toolkit, monkeypatch):
    told = f"CUDA_HOME was set to {toolkit}, as no package brings libNVVM; it is in {toolkit}"
    assert gpu.find_compiler() == f"{told}/nvvm/lib64"
    assert (os.environ["CUDA_HOME"], os.environ["LD_LIBRARY_PATH"]) == (str(toolkit), "")
    (toolkit / "nvvm" / "lib64").rename(toolkit / "lib")
    monkeypatch.setenv("CUDA_HOME", "")
    assert gpu.find_compiler() == f"{told}/lib"
    assert (os.environ["CUDA_HOME"], os.environ["LD_LIBRARY_PATH"]) == (str(toolkit), f"{toolkit}/lib")


def test_a_compiler_that_is_found_or_a_toolkit_that_is_named_stays(toolkit, monkeypatch):
    monkeypatch.setattr(gpu, "LOADED", "print('/lib/libnvvm.so')")
    assert gpu.find_compiler() == "libNVVM is /lib/libnvvm.so"
    monkeypatch.setenv("CUDA_PATH", "/my/cuda")
    assert gpu.find_compiler() == "libNVVM is /lib/libnvvm.so, and CUDA_PATH is /my/cuda"
    monkeypatch.setattr(gpu, "LOADED", "1 / 0")
    assert gpu.find_compiler() == "libNVVM is not found, and CUDA_PATH is /my/cuda"
    assert os.environ["CUDA_HOME"] == ""


def test_where_there_is_no_compiler_the_page_says_so(toolkit):
    (toolkit / "nvvm" / "lib64" / "libnvvm.so.4").unlink()
    assert gpu.find_compiler() == "libNVVM is not found"
    assert os.environ["CUDA_HOME"] == ""


def test_a_folder_that_is_not_there_is_refused_at_once(parts, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        gpu.main(["--output", str(tmp_path / "nowhere")])
    assert end.value.code == 2
    assert "--output: there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "found", "figure", "verdict"),
    [
        (0, results(cupy=1e-3, numba=0.5e-3), "1 ms", "holds"),
        (0, results(cupy=1.5e-3), "1.5 ms", "missed by 0.2 ms"),
        (0, results(numba=1e-3), "–", "not measured: cupy was not measured"),
        (0, "no time left", "–", "not measured: no time left"),
        (1, results(cupy=1e-3, numba=4e-3), "4 ms", "missed by 2 ms"),
        (2, results(torch=1e-3, numba=2e-3, article_cupy=0.4, torch_peer=1e-4), "400 ×", "holds"),
        (2, results(torch=2e-3, article_cupy=0.4), "200 ×", "missed by 100 ×"),
        (3, results(torch=213e-9), "90.1 %", "holds"),
        (3, results(torch=240e-9), "80 %", "missed by 5 percentage points"),
        (3, results(None, torch=1), "–", "not measured: the device's own speed was not measured (it is away)"),
        (3, results(numba=None), "–", "not measured: no backend was measured"),
        (4, results(cupy=4e-3, torch_peer=5e-3), "1.25 ×", "holds"),
        (4, results(cupy=4e-3, torch_peer=3e-3), "0.75 ×", "missed by 0.25 ×"),
        (4, results(cupy=2e-3), "–", "not measured: torch-peer was not measured"),
        (4, results(torch_peer=2e-3), "–", "not measured: no backend was measured"),
    ],
)
def test_targets(target, found, figure, verdict):
    assert gpu_bench.TARGETS[target].row(found)[1:] == (figure, verdict)
