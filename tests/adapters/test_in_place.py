"""The method in place: memory that is used again, and weights that stay whole."""

import dataclasses
import signal
import tracemalloc

import array_api_compat.numpy as xp
import numpy as np
import pytest

from edcore import Network, Rule
from edcore.adapters.array_api import NUMPY, ArrayAPIBackend
from edcore.adapters.in_place import InPlaceBackend
from edcore.adapters.in_place_memory import KEPT, ForwardPass
from edcore.contract.steps import Schedule
from edcore.core.activations import ACTIVATIONS
from edcore.testing.compare import same_bits
from edcore.testing.strategies import drawn_case
from edcore_cupy.arrays import ArrayOperations


class Operations(ArrayOperations):
    """They count the players, and can be interrupted."""

    def __init__(self):
        super().__init__(np, 100)
        self.runners, self.at_delta = 0, lambda: None

    def runner(self):
        self.runners += 1
        return super().runner()

    def delta(self, *arguments):
        self.at_delta()
        super().delta(*arguments)


@pytest.fixture
def ops():
    return Operations()


@pytest.fixture
def backend(ops):
    return InPlaceBackend(xp, "cpu", NUMPY, ops)


@pytest.fixture
def case():
    network = Network(in_=3, width=4, depth=6, heads=2, u0=1.0, n_bias=2)
    return drawn_case(network, Rule("split"), batch=6, scale=0.3, seed=5)


def schedule(case, epochs=2):
    orders = np.stack([np.arange(len(case.x))] * epochs)
    learning = np.ones(case.network.heads, np.bool_)
    return Schedule(orders=orders, batch_size=4, tolerance=0.0, learning=learning)


def stepped(backend, case, weights, x, error):
    outputs, trace = backend.trace(case.network, weights, x)
    return outputs, backend.update(case.network, case.rule, weights, trace, error)


def test_memory_is_used_again_from_batch_to_batch(backend, ops, case):
    weights = backend.from_host(case.weights)
    for _ in range(3):
        for size in (6, 4):
            _, weights = stepped(backend, case, weights, case.x[:size], case.error[:size])
            backend.forward(case.network, weights, case.x[:size])
    assert ops.runners == 4, "one pass for each of two sizes, in training and in inference"


def test_memory_of_batch_sizes_that_come_no_more_is_given_back(backend, ops, case):
    weights = backend.from_host(case.weights)
    for size in (*range(1, KEPT + 2), KEPT + 1, 1):
        backend.forward(case.network, weights, case.x[:size])
    assert ops.runners == KEPT + 2, "the smallest size was kept for longer than others were used"


def test_another_network_has_memory_of_its_own(backend, case):
    weights = backend.from_host(case.weights)
    first = backend.forward(case.network, weights, case.x)
    flat = dataclasses.replace(case.network, u0=50.0)
    second = backend.forward(flat, weights, case.x)
    expected = ArrayAPIBackend(xp).forward(flat, case.weights, case.x)
    assert not np.allclose(first, second)
    np.testing.assert_allclose(second, expected, rtol=1e-5)


def test_two_traces_at_once_do_not_share_memory(backend, case):
    weights = backend.from_host(case.weights)
    first = backend.trace(case.network, weights, case.x)
    backend.trace(case.network, weights, 1 - case.x)
    learned = backend.to_host(backend.update(case.network, case.rule, weights, first[1], case.error))
    _, expected = stepped(backend, case, backend.from_host(case.weights), case.x, case.error)
    same_bits(learned, backend.to_host(expected), "with another trace in between")


def test_ctrl_c_waits_for_the_end_of_an_update(backend, ops, case):
    _, expected = stepped(backend, case, backend.from_host(case.weights), case.x, case.error)
    weights = backend.from_host(case.weights)
    _, trace = backend.trace(case.network, weights, case.x)
    ops.at_delta = lambda: signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        backend.update(case.network, case.rule, weights, trace, case.error)
    same_bits(backend.to_host(weights), backend.to_host(expected), "after an update with Ctrl-C")


def test_a_fit_that_fails_leaves_the_weights_whole(backend, ops, case):
    weights = backend.from_host(case.weights)
    stepped(backend, case, weights, case.x, 0 * case.error)
    target = (case.error > 0).astype(case.x.dtype)
    calls = iter(range(20))

    def fail():
        if next(calls) == 8:
            raise RuntimeError("cudaErrorIllegalAddress")

    ops.at_delta = fail
    with pytest.raises(RuntimeError, match="cudaErrorIllegalAddress"):
        backend.fit(case.network, case.rule, weights, case.x, target, schedule(case))
    same_bits(backend.to_host(weights), case.weights, "after a fit that failed")
    ops.at_delta = lambda: None
    _, learned = stepped(backend, case, weights, case.x, case.error)
    _, expected = stepped(backend, case, backend.from_host(case.weights), case.x, case.error)
    same_bits(backend.to_host(learned), backend.to_host(expected), "of a step after a fit that failed")


def test_fit_hands_on_the_memory_that_is_recorded(backend, ops, case):
    target = (case.error > 0).astype(case.x.dtype)
    given = backend.from_host(case.weights)
    weights, _ = backend.fit(case.network, case.rule, given, case.x, target, schedule(case))
    made = ops.runners
    weights, _ = backend.fit(case.network, case.rule, weights, case.x, target, schedule(case))
    assert ops.runners == made
    same_bits(backend.to_host(given), case.weights, "that fit was given")


VARIANTS = {
    "article": (Network(in_=40, width=128, depth=3), Rule("split")),
    **{
        f"{activation}-rms": (
            Network(40, 128, 3, n_bias=2, outputs=5, activation=activation, rms=True, bias=0.8),
            Rule(centred=True, floor=0.01),
        )
        for activation in ACTIVATIONS
    },
}


def memory_that_calls_ask_for(monkeypatch, owner, name):
    """Have each call of a method note how much memory it asks for, in the list that is returned."""
    method, asked = getattr(owner, name), []

    def measured(*arguments):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        method(*arguments)
        asked.append(tracemalloc.get_traced_memory()[1] - before)

    monkeypatch.setattr(owner, name, measured)
    return asked


@pytest.mark.parametrize("variant", VARIANTS)
def test_neither_a_pass_nor_what_learns_asks_for_new_memory(backend, variant, monkeypatch):
    network, rule = VARIANTS[variant]
    case = drawn_case(network, rule, batch=300, scale=0.3, seed=1)
    weights = backend.from_host(case.weights)
    passing = memory_that_calls_ask_for(monkeypatch, ForwardPass, "_run_layers")
    learning = memory_that_calls_ask_for(monkeypatch, backend, "_learn")
    tracemalloc.start()
    try:
        backend.forward(network, weights, case.x)
        stepped(backend, case, weights, case.x, case.error)
    finally:
        tracemalloc.stop()
    activities, layer = 300 * 256 * 4, 256 * 256 * 4
    assert len(passing) == 2
    assert len(learning) == (6 if rule.error == "split" else 3)
    assert max(passing) < activities / 2
    # A slab is one layer here. NumPy has buffers of its own for blocks of a matrix, of 64 KiB at most.
    assert max(learning) < min(activities, layer) / 2


def test_the_sums_of_biases_follow_them_even_where_an_update_fails(backend, ops, case):
    weights = backend.from_host(case.weights)
    _, trace = backend.trace(case.network, weights, case.x)
    calls = iter(range(20))

    def fail():
        if next(calls) == 2:
            raise MemoryError

    ops.at_delta = fail
    with pytest.raises(MemoryError):
        backend.update(case.network, case.rule, weights, trace, case.error)
    own = backend.from_host(backend.to_host(weights))
    assert (backend.forward(case.network, weights, case.x) == backend.forward(case.network, own, case.x)).all()


def test_only_what_is_divided_keeps_slopes(backend, case):
    kept = {}
    for rms in (False, True):
        network = dataclasses.replace(case.network, rms=rms, depth=50, width=40, heads=1)
        weights = backend.from_host(drawn_case(network, case.rule, 6, 0.3, seed=1).weights)
        for name in ("forward", "trace"):
            tracemalloc.start()
            try:
                result = getattr(backend, name)(network, weights, case.x)
                kept[name, rms], _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            del result
    activities = 51 * 6 * 80 * 4
    assert kept["trace", True] - kept["trace", False] > activities
    assert abs(kept["forward", True] - kept["forward", False]) < activities / 10


def test_a_weight_at_the_floor_or_beyond_it_keeps_every_bit(backend, case):
    floor = 0.25
    _, free = stepped(backend, case, backend.from_host(case.weights), case.x, case.error)
    rule = dataclasses.replace(case.rule, floor=floor)
    weights = backend.from_host(case.weights)
    _, trace = backend.trace(case.network, weights, case.x)
    free, kept = (
        backend.to_host(one) for one in (free, backend.update(case.network, rule, weights, trace, case.error))
    )
    raised = 0
    for layer in case.network.layers:
        signs = np.outer(layer.source_signs, layer.target_signs)
        for head in range(case.network.heads):
            one, other = (host[f"{layer.name}.weight"][layer.where(head)] for host in (free, kept))
            beyond = signs * one >= floor
            assert one[beyond].tobytes() == other[beyond].tobytes()
            assert (other[~beyond] == floor * signs[~beyond]).all()
            raised += (~beyond).sum()
    assert raised
    for key in ("input.bias", "hidden.bias", "output.bias"):
        assert free[key].tobytes() == kept[key].tobytes()


def test_a_pass_for_inference_takes_no_memory_for_each_layer(backend):
    network = Network(in_=2, width=1, depth=2000)
    case = drawn_case(network, Rule(), batch=3, scale=0.3, seed=1)
    weights = backend.from_host(case.weights)
    tracemalloc.start()
    try:
        backend.forward(network, weights, case.x)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 20 * network.depth, f"{kept} bytes are kept after a forward pass"
