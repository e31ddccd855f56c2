"""The benchmark: the work that it states, its contenders and processes, what it prints. No test depends on a time."""

import functools
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
import types
from dataclasses import replace

import numpy as np
import psutil
import pytest

import edcore
from edcore.adapters.array_api import NUMPY
from edcore.bench import machine, run
from edcore.bench.contenders import SEED, default_names, known_names, make_contender
from edcore.bench.hand_written import CompiledTorchNetwork, TorchNetwork
from edcore.bench.setting import Setting, Work
from edcore.bench.tables import markdown
from edcore.bench.timings import Benchmark, Timings
from edcore.bench.workers import LateError, Worker, WorkerError, worker_pool
from edcore.cli import app as cli
from edcore.core.weights import initialise
from edcore.environment import Environment
from edcore.errors import EDCoreError, InputError, UnknownNameError
from edcore.plots.benchmark import picture

TINY = Setting(features=5, width=3, depth=2, batch=4, repeats=2)
TIMINGS = ["forward", "trace", "update", "step"]
HERE = Environment("2026-01-02T03:04:05+00:00", "0.1.0", "3.11.0", "2.0.0", "abc1234", "Linux x86_64", "A CPU", 2)
MACHINE = machine.Machine("", 1e9, "NumPy", 1e8, "NumPy on one thread")


def row(name, trace, update):
    """A row of three timings, of which the middle one is trace and update, in seconds."""
    columns = {"forward": trace, "trace": trace, "update": update, "step": trace + update}
    return Timings(name, "cpu", {"numpy": "2.0.0"}, {what: [2 * s, s, s / 2] for what, s in columns.items()})


def made_up(*rows, bounds=MACHINE, reason=""):
    return Benchmark(HERE, TINY, bounds, reason, list(rows))


# The work


def test_the_work_is_that_counted_by_hand():
    # Matrices of 6 x 4, twice 4 x 4, and 4 x 2: 64 entries. Computed cells: 4 · (3 · 4 + 2) = 56. Input: 4 · 3.
    work = Work.of(Setting(features=3, width=2, depth=2, batch=4))
    assert work == Work(512, 512, (64 + 12 + 56) * 4, (56 + 12 + 2 * 64) * 4)
    assert (work.flop_step, work.bytes_step) == (1024, 1312)


def test_the_work_of_two_heads_in_float64():
    work = Work.of(Setting(features=3, width=2, depth=2, heads=2, batch=4, dtype="float64", rule="split"))
    assert work == Work(1024, 1024, (128 + 12 + 112) * 8, (112 + 12 + 2 * 128) * 8)


@pytest.mark.parametrize(
    ("value", "argument"),
    [
        ({"features": 0}, "in_"),
        ({"width": 0}, "width"),
        ({"depth": -1}, "depth"),
        ({"heads": 0}, "heads"),
        ({"batch": 0}, "batch"),
        ({"repeats": 0}, "repeats"),
        ({"dtype": "float16"}, "dtype"),
        ({"rule": "back-prop"}, "rule"),
        ({"device": "gpu"}, "device"),
        ({"precision": "tf32"}, "precision"),
    ],
)
def test_a_bad_setting_is_refused(value, argument):
    with pytest.raises(InputError) as caught:
        Setting(**value)
    assert caught.value.argument == argument


# The contenders


@pytest.mark.parametrize("library", ["torch", "jax"])
@pytest.mark.parametrize(("depth", "heads"), [(3, 1), (2, 3), (0, 2)])
def test_hand_written_networks_compute_what_the_numpy_backend_does(library, depth, heads):
    pytest.importorskip(library)
    compare_with_numpy(make_contender(f"{library}-peer", small(depth, heads)))


@pytest.fixture
def compiler():
    """PyTorch that compiles; it takes a C++ compiler and Python's headers."""
    torch = pytest.importorskip("torch")
    try:
        torch.compile(lambda x: x + 1)(torch.ones(1))
    except Exception as error:
        pytest.skip(f"torch.compile does not work here: {error}")


# PyTorch's compiler, when it is first imported, uses what PyTorch deprecates.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.slow
@pytest.mark.parametrize(("unrolled", "heads"), [(2, 3), (1, 1)])
def test_the_compiled_network_does_too_in_one_graph_or_a_layer_at_a_time(compiler, unrolled, heads):
    setting = small(2, heads)
    plain = make_contender("torch-peer", setting)
    weights = initialise(setting.network, SEED)
    compiled = CompiledTorchNetwork(setting.network, setting.learning_rule, weights, setting.batch, "cpu", unrolled)
    compare_with_numpy(replace(plain, network=compiled))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_outputs_of_the_compiled_network_are_not_its_memory(monkeypatch):
    torch = pytest.importorskip("torch")
    kept = torch.zeros((4, 1))  # as a CUDA graph has its outputs always in the same place
    monkeypatch.setattr(torch, "compile", lambda function, **how: lambda *arguments: kept.copy_(function(*arguments)))
    made = make_contender("torch-compile", TINY)
    for outputs in (made.network(made.x), made.network.predict(made.x)):
        assert outputs.data_ptr() != kept.data_ptr()


def small(depth, heads):
    return Setting(features=7, width=4, depth=depth, heads=heads, batch=6, dtype="float64")


def compare_with_numpy(made):
    """Let a hand-written network and the backend learn side by side."""
    network, x, target = made.network, np.asarray(made.x), np.asarray(made.target)
    heads, depth = target.shape[1], network.weights["hidden.weight"].shape[0]
    ours = edcore.ED(7, 4, depth, heads=heads, dtype="float64", backend="numpy", seed=SEED)
    start = ours.weights
    for _ in range(5):
        outputs = ours(x)
        expected = outputs.reshape(6, heads)
        np.testing.assert_allclose(np.asarray(network.predict(made.x)), expected, rtol=1e-9)
        got = network(made.x)
        np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-9)
        network.update(made.target - got)
        ours.update(target.reshape(outputs.shape) - outputs)
        network.synchronize()
    layers = {key: np.swapaxes(np.asarray(value), 0, 1) for key, value in network.weights.items()}
    for key, learned in ours.weights.items():
        np.testing.assert_allclose(layers[key].reshape(learned.shape), learned, rtol=1e-9)
        assert learned.size == 0 or not np.array_equal(learned, start[key])


def test_outputs_of_the_torch_network_are_not_its_memory():
    pytest.importorskip("torch")
    network = TINY.network
    torch_network = TorchNetwork(network, TINY.learning_rule, initialise(network, 0), TINY.batch, "cpu")
    x = make_contender("torch-peer", TINY).x
    first = torch_network(x)
    kept = first.clone()
    torch_network(1 - x)
    assert bool((first == kept).all())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_article_has_a_network_for_each_head_in_the_dtype(dtype):
    made = make_contender("article", Setting(features=5, width=3, depth=1, heads=2, batch=4, dtype=dtype))
    outputs = made.network(made.x)
    made.network.update(made.target - outputs)
    assert outputs.shape == (4, 2)
    assert outputs.dtype == dtype
    assert {layer.weight.dtype for network in made.network.networks for layer in network.layers} == {np.dtype(dtype)}
    assert not np.array_equal(made.network(made.x)[:, 0], outputs[:, 0])


@pytest.mark.parametrize("rule", ["signed", "split"])
def test_products_are_those_of_every_layer_and_change_nothing(rule):
    setting = Setting(features=5, width=3, depth=2, heads=2, batch=4, rule=rule)
    made = make_contender("products", setting)
    outputs = made.network(made.x)
    made.network.update(made.target - outputs)
    assert outputs.shape == (4, 2)
    start = initialise(setting.network, SEED)
    layers = [(layer, head) for head in range(2) for layer in setting.network.layers]
    for (layer, head), (x, weight, y, g, change) in zip(layers, made.network.layers, strict=True):
        assert np.array_equal(weight, start[f"{layer.name}.weight"][layer.where(head)])
        np.testing.assert_allclose(y, x @ weight, rtol=1e-5)
        np.testing.assert_allclose(change, x.T @ g, rtol=1e-5)


def test_a_missing_library_is_a_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EDCoreError, match=r'package torch .* pip install "edcore\[torch\]"'):
        make_contender("torch-peer", TINY)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("jax-peer", {"rule": "split"}, "signed rule only.*'split'"),
        ("article", {"device": "cuda"}, "CPU only.*'cuda'"),
        ("torch-peer", {"precision": "tf32x3"}, "full precision only, not 'tf32x3'"),
        ("numpy", {"precision": "tf32x3"}, "backend='numpy' cannot run here: it has no precision 'tf32x3'"),
        ("article-cupy", {}, r"GPU only \(--device cuda\).*'cpu'"),
        ("numpy", {"device": "cuda"}, "device: given 'cuda'; accepted: a device of numpy: cpu"),
        ("nump", {}, "CONTENDERS: given 'nump'"),
    ],
)
def test_a_contender_that_cannot_run_says_why(name, changes, reason):
    with pytest.raises(EDCoreError, match=reason):
        make_contender(name, Setting(**changes))


def test_a_backend_multiplies_in_the_precision_of_the_setting(fresh_registry):
    made = []

    def load(device, precision="full"):
        made.append(precision)
        return NUMPY.load(device)

    fresh_registry.register(replace(NUMPY, name="precise", load=load, precisions=("tf32x3",)))
    for precision in ("tf32x3", "full"):
        setting = replace(TINY, precision=precision)
        make_contender("precise", setting).network.predict(np.zeros((4, 5), np.float32))
        heading = markdown(replace(made_up(row("precise", 0.1, 0.2)), setting=setting)).splitlines()[0]
        assert ("as tf32x3" in heading) == (precision == "tf32x3")
    assert made == ["tf32x3", "full"]


def test_unknown_names_are_refused_before_anything_starts(monkeypatch):
    monkeypatch.setattr(run, "Worker", None)
    with pytest.raises(UnknownNameError, match="CONTENDERS: given 'artcle'; .* Did you mean 'article'?"):
        run.bench(["numpy", "artcle"], TINY)


@pytest.mark.parametrize("device_type", ["cpu", "cuda"])
def test_defaults_are_known(device_type):
    assert set(default_names(device_type)) <= set(known_names())


# The processes


@pytest.fixture(scope="module")
def measured():
    """Two contenders that run, and one that does not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "SETTLE", 0)
        patch.setattr(machine, "CPU", machine.Sizes(16, 4096, 1))
        told = []
        found = run.bench(["article-cupy", "article", "numpy"], TINY, told.append)
    assert told[0] == "measuring the machine"
    assert told[-1] == "round 2 of 2"
    return found


def test_each_contender_is_a_row(measured):
    assert [row.name for row in measured.timings] == ["article-cupy", "article", "numpy"]
    assert [row.name for row in measured.measured] == ["article", "numpy"]
    assert "GPU only" in measured.timings[0].reason
    for found in measured.measured:
        assert found.device == "cpu"
        assert found.versions == {"numpy": np.__version__}  # of its own process, not of this one
        assert list(found.seconds) == TIMINGS
        assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in found.seconds.values())
        halves = zip(found.seconds["trace"], found.seconds["update"], strict=True)
        assert found.seconds["step"] == [trace + update for trace, update in halves]


def test_the_machine_is_measured(measured):
    assert measured.machine_reason == ""
    assert measured.machine.product_by == "NumPy"
    assert re.fullmatch(r"NumPy on one thread|Numba on \d+ threads", measured.machine.copy_by)
    assert measured.machine.flop_per_s > 0
    assert measured.machine.bytes_per_s > 0


def test_without_numba_the_copy_is_that_of_numpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert machine.measure("cpu", "float64", machine.Sizes(4, 64, 1)).copy_by == "NumPy on one thread"


@pytest.mark.parametrize(
    ("make", "arguments", "reason"),
    [
        (os._exit, (7,), "its process ended with exit code 7"),  # dies while it makes its task
        (int, ("a\nb.",), r"ValueError: invalid literal .*'a\\nb\.'"),
        (tuple, ([functools.partial(os._exit, 5), "made"],), "its process ended with exit code 5"),  # dies in its task
        (tuple, ([functools.partial(divmod, 1, 0), "made"],), "ZeroDivisionError: .*zero"),
    ],
)
def test_a_worker_that_dies_or_raises_has_a_reason(make, arguments, reason):
    with worker_pool() as pool:
        pool.append(Worker(make, *arguments))
        with pytest.raises(WorkerError, match=reason):
            pytest.fail(f"{pool[0].wait_until_ready()} {pool[0].run()}")


def test_a_worker_that_takes_too_long_is_ended():
    with worker_pool() as pool:
        pool.append(Worker(time.sleep, 1e6))
        with pytest.raises(WorkerError, match=r"after 0\.2 seconds"):
            pool[0].wait_until_ready(0.2)
        assert not multiprocessing.active_children()
        pool.append(Worker(tuple, [functools.partial(time.sleep, 1e6), "made"]))
        assert pool[1].wait_until_ready() == "made"
        with pytest.raises(WorkerError, match=r"after 0\.1 seconds"):
            pool[1].run(0.1)
        assert not multiprocessing.active_children()


class Paced:
    """A worker that gets ready, and makes its turns, in as many seconds of a made-up clock as its name says."""

    now = 0.0
    given = []  # noqa: RUF012

    def __init__(self, make, name, *setting):
        self.name = name
        self.ready, self.turn = {"cpu": (8, 0), "numba": (1000, 0), "numpy": (2, 10), "loop": (2, 20)}[name]

    def wait_until_ready(self, seconds):
        self.given.append((self.name, seconds))
        self._take(self.ready, seconds)
        return ("cpu", {})

    def run(self, seconds):
        self._take(self.turn, seconds)
        return {"step": self.turn}

    def end(self):
        pass

    def _take(self, needed, seconds):
        Paced.now += min(needed, seconds)
        if needed > seconds:
            raise WorkerError("late")


@pytest.fixture
def paced(monkeypatch):
    clock = types.SimpleNamespace(monotonic=lambda: Paced.now, sleep=lambda seconds: None)
    monkeypatch.setattr(Paced, "now", 0.0)
    monkeypatch.setattr(Paced, "given", [])
    monkeypatch.setattr(run, "Worker", Paced)
    monkeypatch.setattr(run, "time", clock)
    return Paced


def test_time_is_left_for_those_after_one_that_hangs_and_for_whole_rounds(paced):
    found = run.bench(["numba", "numpy", "loop"], TINY, seconds=128)
    assert paced.given == [("cpu", 48), ("numba", 44), ("numpy", 22), ("loop", 21)]
    assert found.timings[0].reason == "late"
    # Ready at 56 of 128 seconds. A round takes 30: two fit, and Setting has no more.
    assert [row.seconds for row in found.timings] == [{}, {"step": [10, 10]}, {"step": [20, 20]}]
    assert found.setting.repeats == 2


def test_a_round_that_does_not_fit_is_not_begun(paced):
    found = run.bench(["numpy", "loop"], TINY, seconds=60)
    assert [row.seconds for row in found.timings] == [{"step": [10]}, {"step": [20]}]
    assert found.setting.repeats == 1


@pytest.mark.parametrize(("turns", "seconds", "reason"), [((10, 1000), {"step": [10]}, ""), ((1000,), {}, "late")])
def test_what_was_measured_counts_though_a_later_turn_takes_too_long(paced, monkeypatch, turns, seconds, reason):
    needed = iter(turns)

    def turn(self, left):
        takes = next(needed)
        Paced.now += min(takes, left)
        if takes > left:
            raise LateError("late")
        return {"step": takes}

    monkeypatch.setattr(Paced, "run", turn)
    found = run.bench(["numpy"], TINY, seconds=100)
    assert [(row.seconds, row.reason) for row in found.timings] == [(seconds, reason)]


def test_a_machine_that_is_known_is_not_measured_again(paced):
    bounds, told = machine.Machine("", 1e9, "NumPy", 1e9, "NumPy"), []
    found = run.bench(["numpy"], TINY, told.append, 60, bounds)
    assert (found.machine, found.machine_reason) == (bounds, "")
    assert [name for name, _ in paced.given] == ["numpy"]
    assert "measuring the machine" not in told


def test_who_finds_no_time_left_says_so(paced):
    found = run.bench(["numpy", "loop"], TINY, seconds=0)
    assert paced.given == []
    assert found.machine_reason == "no time left"
    assert [row.reason for row in found.timings] == ["no time left"] * 2
    found = run.bench(["numpy", "loop"], TINY, seconds=21)
    assert found.machine_reason == "late"
    assert [row.reason for row in found.timings] == ["late", "no time left"]


def test_a_contender_that_dies_in_its_turn_has_a_reason_and_no_timings(paced, monkeypatch):
    turns = iter([{"step": 10}])

    def turn(self, left):
        try:
            return next(turns)
        except StopIteration:
            raise WorkerError("its process ended with exit code -9") from None

    monkeypatch.setattr(Paced, "run", turn)
    (found,) = run.bench(["numpy"], TINY, seconds=100).timings
    assert (found.reason, found.seconds) == ("its process ended with exit code -9", {})


@pytest.mark.skipif(os.name == "nt", reason="a process cannot be sent SIGINT there")
def test_ctrl_c_ends_all_processes():
    code = """
import functools, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from edcore.bench import machine, run
from edcore.bench.setting import Setting
machine.CPU = machine.Sizes(4, 64, 1)
setting = Setting(features=2, width=2, depth=0, batch=2, repeats=1_000_000)
run.bench(["numpy", "article"], setting, functools.partial(print, flush=True))
"""
    with subprocess.Popen([sys.executable, "-c", code], text=True, stdout=-1, stderr=-1) as process:
        for line in process.stdout:
            if line.startswith("round 2 "):
                break
        children = psutil.Process(process.pid).children(recursive=True)
        for one in [*children, process]:  # a terminal sends it to all
            one.send_signal(2)
        _, err = process.communicate(timeout=60)
    assert len(children) >= 2
    assert process.returncode != 0
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert err.count("Traceback") == 1
    deadline = time.monotonic() + 60
    while not all(map(ended, children)):  # multiprocessing's own helper ends a little later than its parent
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.skipif(os.name == "nt", reason="a process cannot be sent SIGINT there")
def test_ctrl_c_while_a_process_starts_is_left_to_the_first_one():
    worker = Worker(divmod, 7, 2)
    try:
        (process,) = multiprocessing.active_children()
        os.kill(process.pid, signal.SIGINT)
        assert worker.wait_until_ready(60) == 1
        assert process.is_alive()
    finally:
        worker.end()


@pytest.mark.skipif(os.name == "nt", reason="a process cannot be sent SIGINT there")
def test_ctrl_c_that_another_thread_receives_waits_until_a_process_has_its_task(monkeypatch):
    spawn, received, while_starting = multiprocessing.util.spawnv_passfds, [], []
    done = threading.Event()
    threading.Thread(target=done.wait).start()  # as a library's own threads, which do not hold the signal back

    def interrupted(*arguments):
        pid = spawn(*arguments)
        if not while_starting:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            while_starting.append(list(received))
        return pid

    monkeypatch.setattr(multiprocessing.util, "spawnv_passfds", interrupted)
    before = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:
        with worker_pool() as pool:
            pool.append(Worker(divmod, 7, 2))
            assert pool[0].wait_until_ready(60) == 1
    finally:
        signal.signal(signal.SIGINT, before)
        done.set()
    assert while_starting == [[]]
    assert received == [signal.SIGINT]


def ended(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE  # some systems' first process leaves it at that
    except psutil.NoSuchProcess:
        return True


def test_the_reporting_process_loads_no_array_library_and_import_edcore_no_benchmark():
    code = """
import sys, edcore
assert not [name for name in sys.modules if name.startswith("edcore.bench")]
import edcore.cli.bench
import edcore.plots.benchmark
from edcore.bench import calibrate, contenders, run, tables
contenders.known_names()
print(sorted({"torch", "jax", "numba", "cupy", "matplotlib"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# Results


def test_the_results_as_json(measured):
    found = json.loads(json.dumps(measured.as_dict(), allow_nan=False))
    assert found["setting"] == {
        "features": 5,
        "width": 3,
        "depth": 2,
        "heads": 1,
        "batch": 4,
        "dtype": "float32",
        "rule": "signed",
        "repeats": 2,
        "device": "cpu",
        "precision": "full",
        "parameters": TINY.network.parameters,
    }
    assert found["work"].keys() == {"flop_forward", "flop_update", "bytes_trace", "bytes_update"}
    speeds = {"flop_per_s", "product_by", "bytes_per_s", "copy_by", "peak_per_s", "peak_by"}
    assert found["machine"].keys() == speeds | {"device", "blas", "held_by", "warning"}
    environment = found["environment"]
    assert environment.keys() == {"date", "edcore", "python", "numpy", "commit", "system", "cpu", "cores"}
    assert environment["edcore"] == edcore.__version__
    assert found["versions"] == {"edcore": edcore.__version__, "numpy": np.__version__}
    failed, first, _ = found["contenders"]
    assert (failed["seconds"], failed["median"], failed["shares"]) == ({}, {}, None)
    assert failed["reason"]
    assert first["median"]["step"] == pytest.approx(np.mean(first["seconds"]["step"]))
    peak = {"peak"} if found["machine"]["peak_per_s"] else set()
    assert first["shares"].keys() == {"product", "copy"} | peak


def test_shares_are_of_what_a_step_must_do():
    work = Work.of(TINY)
    shares = made_up(found := row("numpy", 0.25, 0.25)).shares(found)
    expected = {"product": work.flop_step / 0.5 / 1e9, "copy": work.bytes_step / 0.5 / 1e8}
    assert shares == pytest.approx(expected)
    with_peak = replace(MACHINE, peak_per_s=2e9, peak_by="Numba on 2 threads")
    shares = made_up(found, bounds=with_peak).shares(found)
    assert shares == pytest.approx(expected | {"peak": work.flop_step / 0.5 / 2e9})
    assert made_up(found, bounds=None).shares(found) is None


def test_markdown():
    broken = Timings("cupy", reason="the package cupy is not installed")
    found = markdown(made_up(broken, row("numpy", 0.1, 0.2), row("article", 1, 0.2)))
    table = [line for line in found.splitlines() if line.startswith("|")]
    assert table[0] == "| contender | forward | trace | update | step | fastest … slowest | × numpy | product | copy |"
    assert table[2] == "| cupy | – | – | – | – | – | – | – | – |"
    assert table[3].startswith("| numpy | 100 | 100 | 200 | 300 | 150 … 600 | 1.00 | ")
    assert table[4].startswith("| article | 1,000 | 1,000 | 200 | 1,200 | 600 … 2,400 | 4.00 | ")
    assert "\n\ncupy was not measured: the package cupy is not installed.\n" in found
    assert "peak" in found.splitlines()[-1]  # was not measured
    assert "Warning" not in found
    assert "depth 2, width 3, batch 4, 5 features, 1 head, float32, signed rule, 2 repeats" in found
    assert "cpu: A CPU, 2 cores, Linux x86_64, Python 3.11.0" in found
    assert "2026-01-02, edcore 0.1.0, numpy 2.0.0 (commit abc1234)" in found
    assert "1 GFLOP/s (NumPy's product), 100 MB/s (copy by NumPy on one thread)" in found


def test_the_peak_is_beside_numpys_product_and_what_holds_libraries_back_is_said():
    peak = {"peak_per_s": 4e9, "peak_by": "Numba on 2 threads"}
    bounds = replace(MACHINE, **peak, blas="OpenBLAS Haswell", held_by="OPENBLAS_CORETYPE=Haswell")
    found = markdown(made_up(row("numpy", 0.1, 0.2), bounds=bounds))
    assert (
        "4 GFLOP/s (multiply-adds in registers, Numba on 2 threads), 1 GFLOP/s (NumPy's product, OpenBLAS Hasw" in found
    )
    assert "| × numpy | peak | product | copy |" in found
    assert found.splitlines()[-1].startswith("Warning: OPENBLAS_CORETYPE=Haswell ")


def test_what_holds_libraries_back_is_found(monkeypatch):
    for name in machine.HOLDING:
        monkeypatch.delenv(name, raising=False)
    assert machine._held_by() == ""
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    assert machine._held_by() == ""
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX2")
    assert machine._held_by() == "OPENBLAS_CORETYPE=Haswell, XLA_FLAGS=--xla_cpu_max_isa=AVX2"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_peak_is_that_of_as_many_operations_as_were_counted(dtype):
    pytest.importorskip("numba")
    from edcore.bench import peak

    assert [peak._compiled(sums)(10, 1.0, 1.0) for sums in peak.SUMS] == [
        sum(start + 10.0 for start in range(sums)) for sums in peak.SUMS
    ]  # each lane of each sum, which starts at its number, has got 1 ten times
    speed, by = peak.measure_peak(dtype, lambda work: work() or 0.5)
    lanes = 64 // np.dtype(dtype).itemsize
    threads = int(by.split()[2])
    assert speed == pytest.approx(2 * threads * peak.MULTIPLY_ADDS * lanes / 0.5, rel=1e-6)


def test_markdown_without_the_machine_and_without_a_contender():
    found = markdown(made_up(Timings("cupy", reason="it is away"), bounds=None, reason="so is the machine"))
    assert "| × first |" in found
    assert "this machine:" not in found
    assert found.endswith(": so is the machine.")


@pytest.mark.parametrize("slowest", [0.4, 40])
def test_plot(slowest):
    pytest.importorskip("matplotlib")
    rows = row("numpy", 0.1, 0.1), Timings("cupy", reason="none"), row("article", 0.1, slowest)
    drawn = picture(made_up(*rows), "svg").decode("utf-8")
    labels = re.findall(r"<!-- (.*?) -->", drawn)  # the text that its glyphs draw
    assert "numpy" in labels
    assert "cupy" not in labels
    assert "200 ms   1.00 ×" in labels
    assert any("logarithmic" in label for label in labels) == (slowest == 40)


# The command


@pytest.fixture
def command(monkeypatch, capsys):
    """Run ``edcore bench`` on made-up results; return its exit code, stdout and stderr, and what it asked for."""

    def command(*arguments, found=None):
        asked = {}

        def bench(names, setting, announce):
            asked.update(names=names, setting=setting)
            return found or made_up(row("numpy", 0.1, 0.2), row("article", 1, 0.2))

        monkeypatch.setattr(run, "bench", bench)
        with pytest.raises(SystemExit) as end:
            cli.main(["bench", *arguments])
        return end.value.code or 0, *capsys.readouterr(), asked

    return command


def test_the_command_prints_a_table(command):
    code, out, err, asked = command()
    assert (code, err) == (0, "")
    assert re.search(r"^contender +forward +trace +update +step +fastest … slowest +× numpy +product +copy$", out, re.M)
    assert re.search(r"^numpy +100 +100 +200 +300 +150 … 600 +1\.00 ", out, re.M)
    assert asked == {"names": [], "setting": Setting()}


def test_every_option_of_the_command_arrives(command):
    options = "--features 5 --width 3 --depth 2 --heads 2 --batch 4 --dtype float64 --rule split --repeats 3"
    _, _, _, asked = command("numba", "numpy", *options.split(), "--device", "cuda:1")
    setting = Setting(
        features=5, width=3, depth=2, heads=2, batch=4, dtype="float64", rule="split", repeats=3, device="cuda:1"
    )
    assert asked == {"names": ["numba", "numpy"], "setting": setting}


def test_json_on_stdout_is_all_there_is(command, measured):
    code, out, err, _ = command("--json", "-", found=measured)
    assert (code, err) == (0, "")
    assert json.loads(out) == measured.as_dict()


def test_files_and_markdown(command, tmp_path):
    pytest.importorskip("matplotlib")
    file, picture = tmp_path / "found.json", tmp_path / "steps.png"
    code, out, _, _ = command("--json", str(file), "--plot", str(picture), "--markdown")
    assert code == 0
    assert "\n| numpy | 100 |" in out
    assert json.loads(file.read_text(encoding="utf-8"))["contenders"][0]["name"] == "numpy"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_nothing_that_could_be_measured_is_an_error(command, tmp_path):
    picture = tmp_path / "steps.png"
    code, out, _, _ = command("--plot", str(picture), found=made_up(Timings("cupy", reason="it is away")))
    assert code == 2
    assert "cupy was not measured: it is away." in out
    assert not picture.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--features", "0"], r"--features: given 0; .* 1\."),
        (["--repeats", "0"], r"--repeats: given 0; .* 1\."),
        (["--rule", "splitt"], r"--rule: given 'splitt'; .* Did you mean 'split'\?"),
        (["--device", "cdua"], r"--device: given 'cdua'; .* Did you mean 'cuda'\?"),
        (["--json", "nowhere/a.json"], r"--json: given '.*a\.json'; accepted: a file in a folder that .* written to\."),
        (["--plot", "nowhere/a.png"], r"--plot: given '.*a\.png'; accepted: a file in a folder that .* written to\."),
        (["--plot", "a.gif"], r"--plot: given 'a\.gif'; accepted: .*\.pdf.*\.png.*\.svg.*"),
    ],
)
def test_a_bad_option_is_one_line(command, arguments, message):
    code, out, err, asked = command(*arguments)
    assert (code, out, asked) == (2, "", {})
    assert re.fullmatch(f"edcore: {message}\n", err)


def test_plot_without_matplotlib_says_how_to_install_it(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err, asked = command("--plot", "a.png")
    assert (code, asked) == (2, {})
    assert 'pip install "edcore[plots]"' in err


def test_an_unknown_contender_is_one_line(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["bench", "artcle"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("edcore: CONTENDERS: given 'artcle'; accepted: ")
