"""Whole runs of small networks in one launch, of edcore_cupy: on the emulator of a GPU, against the loop backend."""

import dataclasses
import importlib
from types import SimpleNamespace

import numpy as np
import pytest

import edcore
from edcore import Network, Rule
from edcore.contract.steps import Schedule
from edcore.core.presets import PRESETS
from edcore.testing import iter_checks
from edcore.testing.strategies import drawn_case
from edcore_loop.loops import LoopBackend
from emulated import MARKS, load_cupy, plant
from fitting import check_fit_by_head

pytestmark = MARKS


@pytest.fixture
def on(monkeypatch):
    """Return the backend on a GPU of a compute capability, which takes all runs by the kernel that is tested here."""

    def load(capability):
        backend = load_cupy(monkeypatch, capability)
        monkeypatch.setattr(importlib.import_module("edcore_cupy.runs").Runs, "takes", fits)
        return backend

    def fits(self, network, rule, samples, batch_size):
        size = min(rule.samples_per_update(batch_size), samples)
        plan = importlib.import_module("edcore_cupy.runs").plan
        return size > 0 and plan(network, size, self.limits[1]) is not None

    return load


@pytest.fixture
def backend(on):
    return on(90)


def schedule_for(case, epochs, batch_size, **more):
    orders = np.stack([np.random.default_rng(epoch).permutation(len(case.x)) for epoch in range(epochs)])
    options = {"tolerance": 0.0, "learning": np.ones(case.network.heads, bool), **more}
    return Schedule(orders=orders, batch_size=batch_size, **options)


def compare(backend, case, schedule):
    """Assert that a run is as the oracle's: weights, errors, and when heads stop, which it returns."""
    rounding = {"float32": 3e-5, "float64": 1e-12}[case.network.dtype]
    target = (case.error > 0).astype(case.network.dtype)
    told, known = (np.zeros((len(schedule.orders), case.network.heads)) for _ in range(2))
    given = backend.from_host(case.weights)
    run = case.network, case.rule
    expected, expected_stop = LoopBackend().fit(
        *run, case.weights, case.x, target, dataclasses.replace(schedule, errors=known)
    )
    learned, stopped = backend.fit(*run, given, case.x, target, dataclasses.replace(schedule, errors=told))
    for key, value in backend.to_host(learned).items():
        np.testing.assert_allclose(value, expected[key], rtol=rounding, atol=rounding, err_msg=key)
        still = ~schedule.learning
        assert value[still].tobytes() == case.weights[key][still].tobytes()
        assert backend.to_host(given)[key].tobytes() == case.weights[key].tobytes()
    np.testing.assert_allclose(told, known, rtol=10 * rounding)
    assert stopped.tolist() == expected_stop.tolist()
    assert any((expected[key] != case.weights[key]).any() for key in expected)
    return stopped


RELU = {"activation": "relu", "rms": True, "outputs": 3, "n_bias": 2, "bias": 0.8}
TANH = {"activation": "tanh", "output_activation": "linear", "rms": True, "inhibitory_output": False, "outputs": 2}
CASES = [  # capability, network, rule, samples, batch size
    (75, {"width": 1, "depth": 0}, {"error": "split", "order": "online"}, 5, 3),
    (90, {"width": 4, "depth": 0, "heads": 3, "n_bias": 2}, {"error": "split", "order": "online"}, 4, 1),
    (90, {"width": 8, "depth": 2, "in_": 41}, {"order": "online", "floor": 0.01}, 4, 1),
    (75, {"width": 8, "depth": 1, "dtype": "float64", **TANH}, {"order": "online"}, 5, 1),
    (90, {"width": 9, "depth": 1, **RELU}, {"centred": True, "floor": 0.05}, 7, 2),
    (75, {"width": 9, "depth": 1, **TANH, "dtype": "float64"}, {"reduction": "sum"}, 7, 4),
    (80, {"width": 20, "depth": 2, "in_": 6, "activation": "relu6", "n_bias": 2}, {"error": "split"}, 13, 5),
    (90, {"width": 7, "depth": 2, "heads": 2, "in_": 20}, {"error": "split", "reduction": "sum"}, 70, 33),
    (75, {"width": 13, "depth": 1, "outputs": 3, **RELU, "in_": 5}, {"centred": True}, 40, 32),
    (90, {"width": 32, "depth": 1, "outputs": 5, "in_": 16}, {"centred": True}, 35, 35),
    (75, {"width": 32, "depth": 3, "n_bias": 2}, {"error": "split"}, 9, 6),  # weights in global memory
]

LARGE = [
    (75, {"width": 32, "depth": 6, "dtype": "float64", "rms": True}, {}, 35, 34),  # activities too
    (90, {"width": 50, "depth": 1, "output_activation": "relu6"}, {}, 3, 2),
    (80, {"width": 64, "depth": 0, "in_": 3, "n_bias": 2}, {"error": "split", "floor": 0.01}, 2, 1),
    (90, {"width": 50, "depth": 1, "dtype": "float64"}, {"centred": True}, 4, 3),
    (86, {"width": 17, "activation": "linear", "dtype": "float64"}, {"error": "split", "floor": 0.1}, 41, 40),
]


SLOW = [pytest.param(*values, marks=pytest.mark.slow) for values in LARGE]


@pytest.mark.parametrize(("capability", "fields", "rule_fields", "samples", "batch_size"), [*CASES, *SLOW])
def test_a_run_as_on_the_oracle(on, capability, fields, rule_fields, samples, batch_size):
    network = Network(**{"in_": 3, "u0": 1.0, **fields})
    rates = {"alpha": 0.2, "alpha_output": 0.1} if network.activation in ("relu", "linear") else {}
    scale = 1 / network.width if network.width > 4 else 1.0
    case = drawn_case(network, Rule(**rates, **rule_fields), batch=samples, scale=scale, seed=3)
    compare(on(capability), case, schedule_for(case, 2, batch_size))


def test_places_of_weights_and_activities(on):
    """The cases above are in shared memory, in global memory, and with the activities alone in shared memory."""
    on(75)
    plan, limits = importlib.import_module("edcore_cupy.runs").plan, {75: 65536, 80: 166912, 86: 101376, 90: 232448}
    places = set()
    for capability, fields, rule, samples, batch_size in (*CASES, *LARGE):
        size = min(Rule(**rule).samples_per_update(batch_size), samples)
        own = plan(Network(**{"in_": 3, **fields}), size, limits[capability])
        places.add((own.weights_shared, own.cells_shared))
    assert places == {(True, True), (False, True), (False, False)}


@pytest.mark.slow
@pytest.mark.parametrize("check", [pytest.param(check, id=name) for name, check in iter_checks() if "fit" in name])
def test_conformance_of_runs(backend, check):
    check(backend)


def xor(heads, dtype):
    """Return Kaneko's XOR of 1999, with weights that are drawn, and its targets as the signs of errors."""
    preset = PRESETS["kaneko"]
    network = Network(in_=2, width=4, heads=heads, dtype=dtype, **preset.network)
    weights = edcore.ED.from_network(network, preset.rule, seed=1, backend="numpy").weights
    data = edcore.datasets.xor()
    return network, preset.rule, weights, data.x_train.astype(dtype), np.repeat(data.y_train[:, None], heads, axis=1)


def fit_xor(backend, heads=3, epochs=130, dtype="float64", **more):
    """Return the weights after a run of XOR on a backend, when its heads stopped, and the errors of each epoch."""
    network, rule, weights, x, target = xor(heads, dtype)
    orders, told = np.broadcast_to(np.arange(4), (epochs, 4)), np.zeros((epochs, heads))
    options = {"tolerance": 0.1, "learning": np.ones(heads, bool), **more}
    schedule = Schedule(orders=orders, batch_size=1, errors=told, **options)
    learned, stopped = backend.fit(network, rule, backend.from_host(weights), x, target.astype(dtype), schedule)
    return backend.to_host(learned), stopped, told


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_heads_of_xor_stop_in_the_epochs_of_the_oracle(backend, dtype):
    learned, stopped, told = fit_xor(backend, dtype=dtype)
    expected, known, sums = fit_xor(LoopBackend(), dtype=dtype)
    assert stopped.tolist() == known.tolist()
    assert len(set(known)) == 3
    assert known.all()
    near = {"float32": 1e-3, "float64": 1e-9}[dtype]  # hundreds of steps
    for key, value in learned.items():
        np.testing.assert_allclose(value, expected[key], rtol=near, atol=near)
    np.testing.assert_allclose(told, sums, rtol=near, atol=near)


def test_heads_that_do_not_learn_keep_every_bit(backend):
    check_fit_by_head(backend)
    _, _, weights, _, _ = xor(3, "float64")
    learned, stopped, told = fit_xor(backend, learning=np.asarray([True, False, True]))
    for key, value in learned.items():
        assert value[1].tobytes() == weights[key][1].tobytes()
    assert (stopped > 0).tolist() == [True, False, True]
    assert not told[:, 1].any()


@pytest.mark.parametrize("shuffled", [False, True])
def test_launches_of_few_epochs_give_the_same_bits(backend, monkeypatch, shuffled):
    runs, programs = (importlib.import_module(f"edcore_cupy.{name}") for name in ("runs", "programs"))
    launches, plain = [], programs.Programs.launch
    monkeypatch.setattr(
        programs.Programs, "launch", lambda self, *given, **more: launches.append(given) or plain(self, *given, **more)
    )
    case = drawn_case(Network(in_=3, width=3, heads=2), Rule(), batch=5, scale=1.0, seed=1)
    schedule = schedule_for(case, 5, 2)
    if not shuffled:
        schedule = dataclasses.replace(schedule, orders=np.broadcast_to(schedule.orders[0], (5, 5)))
    learned, counts = [], []
    for longest in (runs.LONGEST, 0.0):
        monkeypatch.setattr(runs, "LONGEST", longest)
        launches.clear()
        target = (case.error > 0).astype(np.float32)
        fitted, _ = backend.fit(case.network, case.rule, backend.from_host(case.weights), case.x, target, schedule)
        learned.append(backend.to_host(fitted))
        counts.append(len(launches))
    assert counts == [1, 5]
    for key, value in learned[0].items():
        assert value.tobytes() == learned[1][key].tobytes()


def test_no_launch_follows_once_all_heads_have_stopped(backend, monkeypatch):
    runs, programs = (importlib.import_module(f"edcore_cupy.{name}") for name in ("runs", "programs"))
    monkeypatch.setattr(runs, "LONGEST", 0.0)
    launches, plain = [], programs.Programs.launch
    monkeypatch.setattr(
        programs.Programs, "launch", lambda self, *given, **more: launches.append(given) or plain(self, *given, **more)
    )
    _, stopped, _ = fit_xor(backend, heads=2)
    assert len(launches) == stopped.max() < 130
    fit_xor(backend, heads=2, learning=np.zeros(2, bool))
    assert len(launches) == stopped.max()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_nan_stays_one_and_stays_in_its_head(backend):
    case = drawn_case(Network(in_=2, width=9, heads=2), Rule("split"), batch=6, scale=1.0, seed=0)
    case.weights["input.weight"][1, 0, 0] = np.nan
    schedule = schedule_for(case, 2, 4, tolerance=0.01)
    target = (case.error > 0).astype(np.float32)
    learned, stopped = backend.fit(case.network, case.rule, backend.from_host(case.weights), case.x, target, schedule)
    learned = backend.to_host(learned)
    assert stopped.tolist() == [0, 0]
    for value in learned.values():
        assert not np.isnan(value[0]).any()
    assert np.isnan(learned["output.weight"][1]).all()


def test_which_runs_it_takes():
    attributes = {"MultiProcessorCount": 132, "MaxSharedMemoryPerBlockOptin": 232448}
    runs = importlib.import_module("edcore_cupy.runs").Runs(None, SimpleNamespace(attributes=attributes), None)
    assert runs.takes(Network(2, 4, 0, heads=100), Rule("split", order="online"), 4, 1)
    assert runs.takes(Network(64, 32, 1), Rule(), 1500, 8)
    assert runs.takes(Network(64, 32, 1, heads=132), Rule(), 1500, 64)
    assert not runs.takes(Network(64, 32, 1), Rule(), 1500, 64)
    assert not runs.takes(Network(784, 32, 4096), Rule(), 10_000, 64)
    assert not runs.takes(Network(2, 300), Rule(), 4, 1)
    assert not runs.takes(Network(2, 4), Rule(), 0, 1)
    assert not runs.takes(Network(2, 4, 10_000_000), Rule(), 4, 1)  # more weights than an int counts
    assert runs.takes(Network(2, 4), Rule(), 1_000_000, 1)


def test_an_epoch_that_takes_long_is_no_launch_where_the_driver_ends_those_that_keep_a_screen_waiting():
    attributes = {"MultiProcessorCount": 46, "MaxSharedMemoryPerBlockOptin": 101376, "KernelExecTimeout": 1}
    runs = importlib.import_module("edcore_cupy.runs").Runs(None, SimpleNamespace(attributes=attributes), None)
    assert runs.takes(Network(2, 4), Rule(), 10_000, 1)
    assert not runs.takes(Network(2, 4), Rule(), 1_000_000, 1)


FAULTS = {
    "a layer's activities are not waited for": ("  meet();\n#if RMS\n#pragma unroll 1", "#if RMS"),
    "sources are not waited for": ("here = there, there = read;\n      meet();", "here = there, there = read;"),
    "deltas are not waited for": ("at, last_layer);\n        meet();", "at, last_layer);"),
    "inhibitory targets learn as excitatory ones": ("(t.target + m < WIDTH ? 1 : -1)", "1"),
    "the last batch has the rates of the others": ("(whole ? rate : last_rate)", "rate"),
    "a batch is that of the step before": ("next.after(samples, batch), row0)", "next, row0)"),
    "large batches are fetched in part": ("at = t.index + THREADS;", "at = t.index + 2 * THREADS;"),
    "errors are not centred": ("-= total / rows", "-= 0"),
    "weights cross the floor": ("weight < floor ? floor : weight", "weight"),
    "all outputs learn from the first": (": 0) % OUTPUTS;", ": 0) * 0;"),
    "the targets of a quad are as in memory": ("turned = turn(t.slice)", "turned = 0"),
    "rows are in the same order for all slices": ("(r ^ t.slice * ROWS / SLICES)", "r"),
    "slopes are those of other cells": ("d[m] *= y[m]", "d[m] *= y[0]"),
    "sums of errors go on": ("    total = 0;\n", ""),
}


def case_of_faults():
    """Return a case in which each of these faults changes a result."""
    network = Network(in_=20, width=13, depth=1, heads=2, u0=1.0, outputs=2, rms=True, n_bias=2)
    return drawn_case(network, Rule(centred=True, floor=0.05), batch=13, scale=0.3, seed=2)


QUICK = 6  # of the faults


@pytest.mark.parametrize(
    "fault", [None, *[*FAULTS][:QUICK], *(pytest.param(each, marks=pytest.mark.slow) for each in [*FAULTS][QUICK:])]
)
def test_planted_faults_are_found(backend, monkeypatch, fault):
    from cuda_emulator.plugin import findings

    case = case_of_faults()
    schedule = schedule_for(case, 2, 8, learning=np.asarray([True, False]))
    if fault is None:
        compare(backend, case, schedule)
        return
    planted = plant(monkeypatch, *FAULTS[fault])
    try:
        compare(backend, case, schedule)
    except AssertionError:
        found = ["another result"]
    else:
        found = []
    found += findings()
    assert planted == ["run"]
    assert found
