"""The kernels of narrow networks, of edcore_cupy: on the emulator of a GPU, compiled for GPUs of several ages."""

import functools
import importlib

import numpy as np
import pytest

from edcore import Network, Rule
from edcore.arrays import to_numpy
from edcore.contract.steps import Schedule
from edcore.testing import iter_checks
from edcore.testing.checks.oracle import compare_all, compare_forward, compare_update
from edcore.testing.strategies import drawn_case
from edcore_loop.loops import LoopBackend
from emulated import MARKS, load_cupy, plant
from fitting import check_fit, check_fit_by_head, check_nan, check_negative_zero

pytestmark = MARKS


@pytest.fixture
def on(monkeypatch):
    """Return the backend on a GPU of a compute capability."""
    return functools.partial(load_cupy, monkeypatch)


@pytest.fixture
def backend(on):
    return on(90)


@pytest.fixture
def by_batch(backend, monkeypatch):
    """Return the backend, which takes no run by one launch."""
    monkeypatch.setattr(importlib.import_module("edcore_cupy.runs").Runs, "takes", lambda *given: False)
    return backend


@pytest.mark.slow
@pytest.mark.parametrize("capability", [75, 90])
@pytest.mark.parametrize("check", [pytest.param(check, id=name) for name, check in iter_checks()])
def test_conformance(on, capability, check):
    check(on(capability))


RELU = {"activation": "relu", "rms": True, "outputs": 5, "n_bias": 2, "bias": 0.8}
TANH = {"activation": "tanh", "output_activation": "linear", "rms": True, "inhibitory_output": False, "outputs": 3}
CASES = [
    (75, {"width": 1, "depth": 0}, {"error": "split"}, 1),
    (80, {"width": 1, "depth": 3, "heads": 3, "n_bias": 2, "in_": 41}, {"error": "split", "reduction": "sum"}, 18),
    (90, {"width": 5, "depth": 5, "heads": 2, **RELU}, {"centred": True, "floor": 0.05}, 34),
    (75, {"width": 8, "depth": 2, "dtype": "float64", **TANH}, {"reduction": "sum"}, 7),
    (86, {"width": 9, "depth": 13, "in_": 70, "dtype": "float64", "activation": "relu6"}, {"error": "split"}, 3),
    (90, {"width": 17, "depth": 2, "n_bias": 2, "in_": 600}, {"centred": True}, 33),
    (75, {"width": 32, "depth": 14}, {"error": "split"}, 65),
    (90, {"width": 32, "depth": 3, "heads": 2, "outputs": 20, "activation": "linear", "dtype": "float64"}, {}, 5),
    (80, {"width": 45, "depth": 2, "output_activation": "relu6"}, {"error": "split", "floor": 0.01}, 6),
    (75, {"width": 100, "depth": 1, "dtype": "float64", "in_": 300}, {}, 2),
    (90, {"width": 128, "depth": 2, "activation": "tanh", "output_activation": "tanh", "n_bias": 2}, {}, 9),
]


@pytest.mark.parametrize(("capability", "fields", "rule_fields", "batch"), CASES)
def test_the_oracle_agrees(on, capability, fields, rule_fields, batch):
    network, rule = Network(**{"in_": 3, "u0": 1.0, **fields}), Rule(**rule_fields)
    case = drawn_case(network, rule, batch=batch, scale=2 / network.width, seed=2)
    backend = on(capability)
    compare_forward(backend, case)
    compare_update(backend, case)


@pytest.mark.parametrize("batch", [1, 2, 600, 2300])
def test_the_samples_of_a_block_do_not_change_bits(backend, batch):
    network = Network(in_=5, width=3, depth=3, heads=2, u0=1.0, rms=True)
    case = drawn_case(network, Rule(), batch, scale=0.5, seed=1)
    weights = backend.from_host(case.weights)
    rows = {backend._narrow._tile(2, size, 1, weights.layout).rows for size in (1, batch)}
    whole = to_numpy(backend.forward(network, weights, case.x))
    first = np.concatenate(
        [to_numpy(backend.forward(network, weights, case.x[i : i + 1])) for i in range(min(batch, 5))]
    )
    assert (whole[:5] == first).all()
    assert rows == {1: {1}, 2: {1, 2}, 600: {1, 4}, 2300: {1, 8}}[batch]


def test_a_small_gpu_takes_more_samples_in_a_block(on):
    case = drawn_case(Network(in_=5, width=3, depth=3, u0=1.0), Rule(), batch=6, scale=0.5, seed=1)
    outputs = {}
    for capability in (86, 90):
        backend = on(capability)
        weights = backend.from_host(case.weights)
        outputs[backend._narrow._tile(1, 6, 1, weights.layout).rows] = to_numpy(
            backend.forward(case.network, weights, case.x)
        )
    assert (outputs[4] == outputs[2]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fit_as_on_the_oracle(by_batch, dtype):
    check_fit_by_head(by_batch)
    rule = Rule(centred=True, floor=0.01)
    network = Network(in_=4, width=6, depth=2, heads=2, outputs=2, u0=1.0, dtype=dtype, rms=True)
    case = drawn_case(network, rule, batch=11, scale=0.3, seed=5)
    orders = np.stack([np.random.default_rng(epoch).permutation(11) for epoch in range(3)])
    schedule = Schedule(orders=orders, batch_size=4, tolerance=1e-3, learning=np.asarray([True, False]))
    check_fit(by_batch, case, (case.error > 0).astype(dtype), schedule, 1e-4 if dtype == "float32" else 1e-10)


@pytest.mark.parametrize("most", [4, 3])
def test_fit_replays_an_epoch_from_the_second_on(by_batch, monkeypatch, most):
    case = drawn_case(Network(in_=4, width=6, depth=2, u0=1.0), Rule(), batch=11, scale=0.3, seed=5)
    orders, learning = np.broadcast_to(np.arange(11), (4, 11)), np.ones(1, bool)
    graph, launched = importlib.import_module("cupy").cuda.Graph, []
    plain = graph.launch
    monkeypatch.setattr(graph, "launch", lambda self: launched.append(self) or plain(self))
    monkeypatch.setattr(importlib.import_module("edcore_cupy.narrow"), "MOST_RECORDED", most)
    for epochs in (1, 4):
        schedule = Schedule(orders=orders[:epochs], batch_size=3, tolerance=0.0, learning=learning)
        by_batch.fit(case.network, case.rule, by_batch.from_host(case.weights), case.x, case.error, schedule)
    assert len(launched) == {4: 3, 3: 0}[most]  # of four batches


def test_weights_come_back_as_they_went(backend):
    for network in (Network(in_=7, width=5, depth=3, heads=2, n_bias=2, outputs=2), Network(3, 45, 0, dtype="float64")):
        case = drawn_case(network, Rule(), batch=1, scale=1.0, seed=0)
        back = backend.to_host(backend.from_host(case.weights))
        assert [*back] == [*case.weights]
        for key, value in case.weights.items():
            assert back[key].tobytes() == value.tobytes()


def test_softmax_outputs_are_read_behind_the_kernels(backend):
    network = Network(3, 5, 1, 2, outputs=3, activation="tanh", output_activation="softmax", inhibitory_output=False)
    case = drawn_case(network, Rule(alpha=0.1, alpha_output=0.1, centred=True), batch=5, scale=0.3, seed=1)
    assert backend.supports(network, case.rule) is True
    compare_all(backend, case)


def test_an_error_of_zero_leaves_a_negative_zero(backend):
    check_negative_zero(backend)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({}, Rule("split")),
        ({"activation": "tanh", "output_activation": "tanh", "rms": True}, Rule(centred=True, floor=0.1)),
        ({"activation": "relu6", "output_activation": "relu"}, Rule()),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_nan_stays_one_and_stays_in_its_head(backend, fields, rule):
    check_nan(backend, fields, rule)


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_an_infinite_cell_makes_no_others_nan(backend, activation):
    """The sources of padded cells have weights of 0, and infinity times 0 would be NaN."""
    network = Network(in_=1, width=5, depth=2, heads=2, activation=activation, output_activation="linear")
    case = drawn_case(network, Rule(), batch=3, scale=0.1, seed=0)
    weights = {key: np.abs(value) for key, value in case.weights.items()}  # no infinity meets another sign
    weights["input.weight"][1, 0] = np.finfo(np.float32).max
    outputs = to_numpy(backend.forward(network, backend.from_host(weights), np.full((3, 1), 2, np.float32)))
    assert np.isfinite(outputs).tolist() == [[True, False]] * 3
    assert np.isposinf(outputs[:, 1]).all()


# Layers that cannot change.


def steps(backend, case, count=3):
    """Return the weights after a few updates, and how many tiles of hidden layers the last may have left out."""
    weights = backend.from_host(case.weights)
    for _ in range(count):
        _, trace = backend.trace(case.network, weights, case.x)
        weights = backend.update(case.network, case.rule, weights, trace, case.error)
    return backend.to_host(weights), int((to_numpy(weights.least) > 0).sum())


SATURATED = [
    ({"width": 8, "depth": 30}, Rule()),
    ({"width": 32, "depth": 12, "n_bias": 2, "dtype": "float64"}, Rule("split")),
    ({"width": 20, "depth": 20, "activation": "tanh", "heads": 2}, Rule(centred=True, floor=1e-4)),
]


@pytest.mark.parametrize(("fields", "rule"), SATURATED)
def test_layers_that_cannot_change_are_left_with_the_same_bits(backend, monkeypatch, fields, rule):
    case = drawn_case(Network(in_=6, **fields), rule, batch=40, scale=1.0, seed=3)
    weights, left_out = steps(backend, case)
    assert 0 < left_out < case.network.heads * case.network.depth * 4
    planted = plant(monkeypatch, "if (kept_least && *kept_least > 0) {", "if (false) {")
    backend._narrow._programs._kernels.clear()
    always, _ = steps(backend, case)
    assert planted
    for key, value in weights.items():
        assert value.tobytes() == always[key].tobytes()
    assert any((value != case.weights[key]).any() for key, value in weights.items())


def nearly_left_out(backend):
    """Return the hidden weights before and after an update that changes them by less than 2^-26 for each sample."""
    network, rule = Network(in_=1, width=2, depth=1, u0=2.0), Rule(alpha=1.0, reduction="sum")
    case = drawn_case(network, rule, batch=64, scale=0.0, seed=0)
    case.weights["hidden.weight"][...] = np.asarray([[1], [1], [-1], [-1]])
    case.weights["hidden.bias"][...] = 1
    weights = backend.from_host(case.weights)
    for error in (0.0, 2.0**-26):  # after the first the least weight is known
        _, trace = backend.trace(network, weights, case.x)
        weights = backend.update(network, rule, weights, trace, np.full_like(case.error, error))
    return case.weights["hidden.weight"], backend.to_host(weights)["hidden.weight"]


def test_the_bound_counts_the_samples(backend, monkeypatch):
    before, after = nearly_left_out(backend)
    assert (before != after).any()
    planted = plant(monkeypatch, "* (most * u.batch)", "* most")
    backend._narrow._programs._kernels.clear()
    before, after = nearly_left_out(backend)
    assert planted == ["update"]
    assert (before == after).all()


# Planted faults.

FAULTS = {
    "a layer's activities are not waited for": ("__syncthreads();\n    return next_b;", "return next_b;"),
    "a copy is not waited for": ('"n"(SLOTS - 1) : "memory"', '"n"(SLOTS) : "memory"'),
    "a slot is filled before it is used": ("copy(slot); }", "copy(slot == start ? start + SLOT : start); }"),
    "slices are added in pairs that do not belong together": ("fold<ROWS>(sum, 8)", "fold<ROWS>(sum, 4)"),
    "the targets of a quad are in order": ("return (s >> 1 & 2) + (s >> 1 & 1);", "return 0;"),
    "each layer has the bias of the first": ("bias += bias_step;", "bias += 0;"),
    "padded weights learn": ("if (i < sources && j < CELLS) {", "{"),
    "rows are not swapped": ("OWN - first + r - OWN", "r"),
    "a record has no slopes": ("recorded[to_slope + i * P] = slope[i]", "recorded[to_slope + i * P] = 1"),
    "inhibitory targets learn as excitatory ones": ("j < WIDTH ? u.rate : -u.rate", "u.rate"),
    "samples are overwritten before all have used them": ("__syncthreads();  // all have used the samples before", ""),
    "the last samples of a batch are left out": ("(u.batch - first + 3) / 4 * 4", "(u.batch - first) / 4 * 4"),
    "errors are not centred": ("- mean;", ";"),
    "weights cross the floor": ("weight < floor ? floor : weight", "weight"),
    "all outputs learn from the first": ("within % OUTPUTS : 0", "0 : 0"),
    "the bias cells learn nothing": ("(real)BIAS * bias_sum[n], now", "0 * bias_sum[n], now"),
}


def compare_two_steps(backend, case):
    """Assert that weights after two updates are as the oracle's."""
    expected = case.weights
    for _ in range(2):
        _, trace = LoopBackend().trace(case.network, expected, case.x)
        expected = LoopBackend().update(case.network, case.rule, expected, trace, case.error)
    for key, value in steps(backend, case, 2)[0].items():
        np.testing.assert_allclose(value, expected[key], atol=1e-3, err_msg=key)


def test_two_steps_are_as_on_the_oracle(backend):
    compare_two_steps(backend, case_of_faults())


def case_of_faults():
    """Return a case in which each of these faults changes a result."""
    network = Network(in_=40, width=13, depth=14, heads=2, u0=1.0, outputs=2, rms=True, n_bias=2)
    return drawn_case(network, Rule(centred=True, floor=0.05), batch=41, scale=0.3, seed=2)


IN_EACH_RUN = (
    "a layer's activities are not waited for",
    "a copy is not waited for",
    "the targets of a quad are in order",
    "samples are overwritten before all have used them",
    "the last samples of a batch are left out",
)
"""The others are as slow, and are run with the whole conformance suite."""


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=() if fault in IN_EACH_RUN else pytest.mark.slow) for fault in FAULTS]
)
def test_a_planted_fault_is_found(backend, monkeypatch, fault):
    from cuda_emulator.plugin import findings

    planted = plant(monkeypatch, *FAULTS[fault])
    case = case_of_faults()
    try:
        compare_forward(backend, case)
        compare_update(backend, case)
        compare_two_steps(backend, case)
    except AssertionError:
        findings()  # beside the difference
        found = True
    else:
        found = bool(findings())
    assert planted
    assert found
