"""The compiled kernels on the CPU: their sigmoid, their threads, their cache, and how they are interrupted."""

import contextlib
import functools
import hashlib
import os
import platform
import signal
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("numba")

import numba

import edcore
from edcore import ED, Network, Rule
from edcore.contract.backend import Backend
from edcore.contract.steps import Schedule
from edcore.core.network import WEIGHTS
from edcore.core.weights import initialise
from edcore.dispatch.choose import choose_backend, make_request
from edcore_numba import probe
from edcore_numba.cpu import backend as cpu
from edcore_numba.cpu.compiling import compiled
from edcore_numba.cpu.processor import CANCELLED, meet, new_meeting
from edcore_numba.cpu.threads import Limits, run_on_threads
from edcore_numba.cpu.vectors import at, multiply
from edcore_numba.cpu.weights import NumbaWeights

HERE = os.path.dirname(__file__)


def backend():
    return choose_backend(make_request("numba", "cpu"), Network(in_=1), Rule())


@compiled
def sigmoids(z, y, zero, scale):
    """Write the sigmoid of z, an even number of them, as a product by 0 on top of z."""
    n = z.size
    none = at(zero, 0)
    multiply(none, 0, 0, 0, none, 0, 1, at(z, 0), 0, at(y, 0), n, 1, n, none, 1, 0, 1, scale)


@compiled
def waits(meeting, workers):
    """Meet a hundred times."""
    for _ in range(100):
        meet(meeting, workers)


def sigmoid(z):
    y = np.empty_like(z)
    sigmoids(z, y, np.zeros(z.size, z.dtype), z.dtype.type(-1 / np.log(2)))
    return y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_over_the_whole_range(dtype):
    info = np.finfo(dtype)
    ends = np.array([0, -0.0, info.tiny, info.smallest_subnormal, 1e-8, 88, 89, 104, 708, 710, 745, 746, info.max])
    z = np.concatenate([np.linspace(-30, 30, 100_001), np.linspace(-800, 800, 20_001), ends, -ends]).astype(dtype)
    y = sigmoid(z)
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-z.astype(np.longdouble)))
    assert np.abs(y - expected).max() <= 2 * info.eps
    assert ((y >= 0) & (y <= 1)).all()
    assert (sigmoid(np.array([0, -0.0], dtype)) == 0.5).all()
    assert sigmoid(np.array([np.inf, -np.inf], dtype)).tolist() == pytest.approx([1, 0], abs=float(info.eps))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 4, 8, 16, 64, 94])
def test_sigmoid_keeps_nan_in_every_width_of_vector(dtype, n):
    for place in range(n):
        z = np.linspace(-3, 3, n).astype(dtype)
        z[place] = np.nan
        assert (np.isnan(sigmoid(z)) == np.isnan(z)).all()


SIZES = [
    Network(in_=5, width=3, depth=2, heads=3),
    Network(in_=70, width=17, depth=1, heads=1, dtype="float64"),
    Network(in_=3, width=131, depth=2, heads=2, n_bias=2),
    Network(in_=3, width=800, depth=1),  # so wide that the threads share the cells of each layer
    Network(in_=300, width=5, depth=0),  # more features than are added up at a time
]


BY_BATCHES = Limits(one_pass=0, one_batch=0, heads_per_thread=10**9)
BY_HEADS = Limits(one_pass=2**40, one_batch=2**40)


def learned_bits(network, rule, batch, limits=None):
    """Return a digest of the results of forward, trace, update and fit."""
    weights, random = initialise(network, 1), np.random.default_rng(2)
    x = random.random((batch, network.in_)).astype(network.dtype)
    target = random.integers(0, 2, (batch, network.heads)).astype(network.dtype)
    one = cpu.NumbaCPU(limits or Limits())
    own = one.from_host(weights)
    outputs, trace = one.trace(network, own, x)
    assert (one.forward(network, own, x) == outputs).all()
    own = one.update(network, rule, own, trace, target - outputs)
    schedule = Schedule(
        orders=np.stack([random.permutation(batch) for _ in range(2)]),
        batch_size=7,
        tolerance=batch / 2,  # some heads stop after the first epoch
        learning=np.arange(network.heads) != 1,
    )
    own, stopped = one.fit(network, rule, own, x, target, schedule)
    digest = hashlib.sha256(outputs.tobytes() + stopped.tobytes())
    for key, value in sorted(one.to_host(own).items()):
        digest.update(key.encode() + value.tobytes())
    return digest.hexdigest()


def all_bits(limits):
    return [
        learned_bits(network, rule, batch, limits)
        for network in SIZES
        for rule in (Rule(), Rule("split", order="online"))
        for batch in (1, 13)
    ]


def test_weights_are_read_with_room_for_them_once():
    """Those of a large network may be half of the machine's memory."""
    network = Network(4, width=128, depth=6)
    backend, expected = cpu.NumbaCPU(), initialise(network, 1)
    weights = backend.from_host(expected)
    tracemalloc.start()
    try:
        read = backend.to_host(weights)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(value.flags.c_contiguous and value.flags.writeable for key, value in read.items())
    assert all(np.array_equal(value, expected[key]) for key, value in read.items())
    assert most < 1.3 * 4 * network.parameters


@pytest.mark.slow
def test_bits_do_not_depend_on_the_number_of_threads():
    in_a_process(
        """
import numba
from test_numba_cpu import BY_BATCHES, BY_HEADS, all_bits
seen = set()
for threads in (1, 2, 3):
    numba.set_num_threads(threads)
    for limits in (BY_BATCHES, BY_HEADS):
        seen.add(tuple(all_bits(limits)))
assert len(seen) == 1, seen
""",
        NUMBA_NUM_THREADS="3",
    )


OLDER = {
    "haswell": "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+popcnt,+cx16,+64bit,+cmov",
    "x86-64": "+sse,+sse2,+cx16,+64bit,+cmov",
}


@pytest.mark.slow
@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="the features are those of x86")
@pytest.mark.parametrize("processor", OLDER)
def test_an_older_processors_results_agree(processor):
    out = in_a_process(
        "from edcore_numba.cpu.vectors import PANEL_BYTES, ROWS\n"
        "from edcore_numba.cpu.backend import NumbaCPU\n"
        "from edcore.testing import iter_checks\n"
        "dict(iter_checks(quick=True))['check_sizes_beyond_one_tile'](NumbaCPU())\n"
        "print(PANEL_BYTES, ROWS[0])\n",
        NUMBA_CPU_NAME=processor,
        NUMBA_CPU_FEATURES=OLDER[processor],
    )
    assert out == ("64 6\n" if processor == "haswell" else "64 2\n")


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="Numba has one thread")
@pytest.mark.parametrize("activation", ["tanh", "softmax"])
def test_threads_that_share_the_output_cells_apply_their_activation_once(activation):
    network = Network(in_=64, width=800, depth=1, outputs=100, output_activation=activation, u0=2.0)
    start = initialise(network, 0)
    weights = {key: value / (3000 if key.startswith("output") else 30) for key, value in start.items()}
    x, one, before = np.random.default_rng(0).random((40, 64), np.float32), cpu.NumbaCPU(), numba.get_num_threads()
    numpys = choose_backend(make_request("numpy", "cpu"), network, Rule())
    expected, own = numpys.forward(network, weights, x), one.from_host(weights)
    try:
        numba.set_num_threads(2)
        for _ in range(20):  # each time the threads come in another order
            np.testing.assert_allclose(one.forward(network, own, x), expected, atol=1e-5)
    finally:
        numba.set_num_threads(before)


MEMORY_ERROR = """
import resource
import numpy as np
from edcore import Network, Rule
from edcore.core.weights import initialise
from edcore_numba.cpu.backend import NumbaCPU
from edcore_numba.cpu.threads import Limits
one, network = NumbaCPU(Limits(one_pass=2**60)), Network(2, 32, 0, outputs=2)
own = one.from_host(initialise(network, 0))
for batch in (3, 300_000):  # the first time compiles
    x = np.ones((batch, 2), np.float32)
    outputs, trace = one.trace(network, own, x)
    if batch > 3:
        used = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1])
        resource.setrlimit(resource.RLIMIT_AS, (1024 * used + 20 * 2**20, -1))
    try:
        one.update(network, Rule(), own, trace, outputs)
    except MemoryError:
        print("no memory", np.float32(1e-40) * np.float32(1) > 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory and its use are read as on Linux")
def test_a_kernel_without_memory_leaves_the_processors_mode():
    run = subprocess.run([sys.executable, "-c", MEMORY_ERROR], capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["no", "memory", "True"], run.stderr


@pytest.mark.parametrize("batches", [True, False])
def test_no_more_threads_than_the_user_allows(monkeypatch, batches):
    seen, run = [], cpu.run_on_threads
    monkeypatch.setattr(cpu, "run_on_threads", lambda calls, *rest: seen.append(len(calls)) or run(calls, *rest))
    before, heads = numba.get_num_threads(), 3 if batches else 4
    if before < 2:
        pytest.skip("Numba has one thread here")
    numba.set_num_threads(2)
    try:
        ED(3, 4, 1, heads=heads, seed=1, backend=cpu.NumbaCPU(BY_BATCHES)).fit(np.ones((4, 3)), np.ones((4, heads)))
    finally:
        numba.set_num_threads(before)
    assert seen == [2]


def in_a_process(code, **environment):
    code = f"import sys; sys.path.insert(0, {HERE!r})\n{code}"
    environment = {**os.environ, **environment}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_process_computes_on():
    out = in_a_process("""
import os
from test_numba_cpu import BY_BATCHES, SIZES, Rule, learned_bits
expected = learned_bits(SIZES[1], Rule(), 13, BY_BATCHES)
child = os.fork()
if child == 0:
    os._exit(0 if learned_bits(SIZES[1], Rule(), 13, BY_BATCHES) == expected else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""")
    assert out == "0\n"


@pytest.mark.parametrize("limits", [Limits(), BY_BATCHES])
def test_calls_from_several_threads(limits):
    expected = learned_bits(SIZES[0], Rule(), 13, limits)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: learned_bits(SIZES[0], Rule(), 13, limits), range(8))) == {expected}


@pytest.mark.parametrize("brief", [False, True])
@pytest.mark.parametrize("failing", [0, 1])
def test_a_thread_that_fails_is_not_waited_for(brief, failing):
    meeting = new_meeting()

    def fail():
        raise MemoryError("for the test")

    calls = [lambda: waits(meeting, 2)] * 2
    calls[failing] = fail
    with pytest.raises(MemoryError, match="for the test"):
        run_on_threads(calls, meeting[CANCELLED:], brief)
    run_on_threads([functools.partial(waits, new_meeting(), 3)] * 3)  # those that do not fail meet


def test_two_first_passes_at_once_add_the_same_cells():
    network = Network(2, 3, inhibitory_output=False)
    both, written = threading.Barrier(2), []

    class Weights(NumbaWeights):
        def __setitem__(self, key, value):
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(timeout=0.5)
            written.append(key)
            super().__setitem__(key, value)

    weights = Weights(initialise(network, 0))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(weights.arguments, [network] * 2)
    assert sorted(written) == ["output.bias", "output.weight"]
    expected = *(weights[key] for key in WEIGHTS), weights.least
    assert all(a is b is c for a, b, c in zip(first, second, expected, strict=True))


def test_an_update_gives_its_traces_memory_to_the_next_trace():
    network, one = Network(in_=2, width=3, depth=1), backend()
    weights, x = one.from_host(initialise(network, 0)), np.ones((4, 2), np.float32)
    _, first = one.trace(network, weights, x)
    _, second = one.trace(network, weights, x)
    assert not np.shares_memory(first[1], second[1])
    memory = first[1]
    one.update(network, Rule(), weights, first, np.ones((4, 1), np.float32))
    _, third = one.trace(network, weights, x)
    assert np.shares_memory(third[1], memory)


LONG = {
    "fit_batches": (Network(in_=2, width=32, depth=256), Rule()),
    "fit_heads": (Network(in_=2, width=8, depth=8), Rule()),
    "fit_heads_online": (Network(in_=2, width=8, depth=8), Rule(order="online")),
}


@pytest.mark.parametrize("kernel", LONG)
def test_an_interrupted_fit_returns_at_once_and_leaves_the_weights_whole(monkeypatch, kernel):
    network, rule = LONG[kernel]
    if kernel == "fit_batches" and numba.get_num_threads() == 1:
        pytest.skip("with one thread there is nothing to share out")
    weights = backend().from_host(initialise(network, 0))
    before = {key: value.copy() for key, value in weights.items()}
    x, target = np.random.default_rng(0).random((64, 2)).astype(np.float32), np.ones((64, 1), np.float32)

    def fit(epochs):
        orders = np.broadcast_to(np.arange(64), (epochs, 64))
        schedule = Schedule(orders=orders, batch_size=64, tolerance=0.0, learning=np.ones(1, np.bool_))
        return backend().fit(network, rule, weights, x, target, schedule)

    fit(1)  # compiled now
    flags, run, original = [], cpu.run_on_threads, getattr(cpu.epochs, kernel)
    monkeypatch.setattr(cpu, "run_on_threads", lambda calls, flag, brief: flags.append(flag) or run(calls, flag, brief))
    done = threading.Event()

    def watched(*arguments):
        original(*arguments)
        done.set()

    monkeypatch.setattr(cpu.epochs, kernel, watched)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    before_that = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(10**9)  # years, if nothing ended it
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before_that)
    assert done.is_set()
    assert flags[0][0]
    for key, value in before.items():
        assert (weights[key] == value).all()


def test_the_inherited_fit_leaves_the_weights_whole_when_an_update_fails():
    class Failing(cpu.NumbaCPU):
        updates = 0
        fit = Backend.fit

        def update(self, *arguments):
            self.updates += 1
            if self.updates == 3:
                raise KeyboardInterrupt
            return super().update(*arguments)

    network, one = Network(in_=2, width=3, depth=1), Failing()
    weights = one.from_host(initialise(network, 0))
    orders, learning = np.broadcast_to(np.arange(8), (3, 8)), np.ones(1, np.bool_)
    schedule = Schedule(orders=orders, batch_size=4, tolerance=0.0, learning=learning)
    x, target = np.full((8, 2), 0.5, np.float32), np.ones((8, 1), np.float32)
    with pytest.raises(KeyboardInterrupt):
        one.fit(network, Rule(), weights, x, target, schedule)
    for key, value in initialise(network, 0).items():
        assert (weights[key] == value).all()


def test_hundred_runs_of_xor_stop_where_numpys_do():
    data, rule = edcore.datasets.xor(), Rule("split", alpha=0.8, alpha_output=0.8, order="online")
    target, stopped = np.repeat(data.y_train[:, None], 100, axis=1), {}
    for name in ("numpy", "numba"):
        ed = ED(2, 4, 0, heads=100, rule=rule, dtype="float64", seed=3, backend=name)
        stopped[name] = ed.fit(data.x_train, target, epochs=300, shuffle=False, tolerance=0.1).epochs
    assert len(set(stopped["numpy"])) > 10
    assert (stopped["numpy"] == stopped["numba"]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("features", [3, 128, 300])
def test_sample_by_sample_fit_has_the_bits_of_steps(features, dtype):
    x = np.random.default_rng(0).random((5, features)).astype(dtype)
    target, runs, steps = np.arange(5) % 2, *(ED(features, 9, 1, seed=1, dtype=dtype, backend="numba") for _ in "12")
    runs.fit(x, target, batch_size=1, shuffle=False)
    for row in range(5):
        steps.step(x[row : row + 1], target[row : row + 1])
    for key, value in steps.weights.items():
        np.testing.assert_array_equal(runs.weights[key], value)


def test_read_only_samples_that_are_not_contiguous():
    x = np.random.default_rng(0).random((3, 8)).T
    x.flags.writeable = False
    ours, numpys = (ED(3, 4, 1, seed=1, dtype="float64", backend=name) for name in ("numba", "numpy"))
    for ed in (ours, numpys):
        ed.fit(x, np.ones(8), epochs=2, batch_size=3)
    assert np.allclose(ours.predict(x), numpys.predict(x), rtol=0, atol=1e-12)


def test_network_larger_than_memory_is_refused():
    answer = backend().supports(Network(in_=10, width=10**6), Rule())
    assert "GiB" in answer


CACHED = """
import numpy as np
from edcore_numba.cpu import compiling, kernels
import edcore
ed = edcore.ED(2, 2, 1, seed=0, backend="numba", device="cpu")
ed.predict(np.ones((2, 2)))
print(compiling.FOLDER, sum(kernels.trace_part.stats.cache_hits.values()))
"""


def run_with_cache(folder):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    run = subprocess.run([sys.executable, "-c", CACHED], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.mark.slow
def test_kernels_are_compiled_once_and_kept(tmp_path):
    folder, hits = run_with_cache(tmp_path)
    assert folder.startswith(str(tmp_path))
    assert hits == "0"
    assert run_with_cache(tmp_path) == [folder, "1"]


TOGETHER = """
import sys, time
from pathlib import Path
from numba.core.caching import IndexDataCacheFile
from edcore_numba.cpu.functions import functions_of
dtype, folder, load = sys.argv[1], Path(sys.argv[2]), IndexDataCacheFile._load_index
def slow(self):
    found = load(self)
    time.sleep(0.3)  # the other process reads before this one writes
    return found
(folder / dtype).touch()
while len(list(folder.glob("float*"))) < 2:
    time.sleep(0.01)
IndexDataCacheFile._load_index = slow
functions_of(dtype)
"""


@pytest.mark.slow
def test_processes_that_compile_at_once_do_not_mix_up_their_code(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    commands = [[sys.executable, "-c", TOGETHER, dtype, str(tmp_path)] for dtype in ("float32", "float64")]
    processes = [subprocess.Popen(command, env=environment) for command in commands]
    assert [process.wait(120) for process in processes] == [0, 0]
    for name in ("multiply", "compute_delta", "compute_sigmoid_delta"):
        assert len(list(tmp_path.glob(f"cache/**/functions._{name}-*.nbc"))) == 2


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_to_is_no_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    assert run_with_cache(blocked) == ["None", "0"]


def test_probe_says_that_compilation_is_switched_off(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    state = probe("cpu")
    assert not state.ok
    assert "NUMBA_DISABLE_JIT is set" in state.reason


def test_probe_refuses_a_second_processor():
    assert probe("cpu:1").reason == "the processor is one device, 'cpu'"


def test_wide_networks_use_the_same_formula():
    network = Network(in_=3, width=160, depth=2, dtype="float64")
    rule, weights = Rule("split"), {k: v / 100 for k, v in initialise(network, 4).items()}
    results = {}
    for name in ("numba", "loop"):
        one = choose_backend(make_request(name, "cpu"), network, rule)
        own = one.from_host(weights)
        x = np.random.default_rng(5).random((3, 3))
        outputs, trace = one.trace(network, own, x)
        results[name] = one.to_host(one.update(network, rule, own, trace, 0.5 - outputs))
    for key, value in results["loop"].items():
        assert np.allclose(results["numba"][key], value, rtol=1e-12, atol=1e-14)
