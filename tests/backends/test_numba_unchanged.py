"""The update on the CPU leaves saturated layers alone: with the bits of an update that does not."""

import numpy as np
import pytest

pytest.importorskip("numba")

from edcore import Initial, Network, Rule
from edcore.contract.steps import Schedule
from edcore.core.weights import initialise
from edcore_numba.cpu import backend as cpu
from edcore_numba.cpu.threads import Limits
from edcore_numba.cpu.unchanged import UNIT
from edcore_numba.cpu.variants import Variant

ALONE, TOGETHER = Limits(one_pass=2**60), Limits(one_pass=0, one_batch=0, heads_per_thread=10**9)
HEALTHY = Initial(fan_in=0.5)


@pytest.fixture
def without(monkeypatch):
    """Return a function that makes updates go through all layers."""
    variant_of = cpu.variant_of

    def touching_all(*arguments, **options):
        return tuple(Variant(*variant_of(*arguments, **options))._replace(skips=False))

    return lambda: monkeypatch.setattr(cpu, "variant_of", touching_all)


def saturated(**options):
    """Return a network whose layers are saturated but for the first few."""
    return Network(**{"in_": 5, "width": 17, "depth": 12} | options)


def data(network, batch, number=0):
    random = np.random.default_rng(number)
    x = random.random((batch, network.in_)).astype(network.dtype)
    return x, random.integers(0, 2, (batch, network.columns)).astype(network.dtype)


def steps(network, rule, weights, batch, count=4, limits=(ALONE, TOGETHER)):
    """Let weights learn, by few threads and by many, and check what is known of them after each step."""
    for number in range(count):
        one, (x, target) = cpu.NumbaCPU(limits[number % len(limits)]), data(network, batch, number)
        outputs, trace = one.trace(network, weights, x)
        weights = one.update(network, rule, weights, trace, target - outputs)
        assert (weights.least <= true_least(network, weights)).all()
    return weights


def true_least(network, weights):
    """Return the least magnitude of each unit's weights."""
    host = cpu.NumbaCPU().to_host(weights)
    least = np.full(weights.least.shape, np.inf, network.dtype)
    for low in range(0, network.width, UNIT):
        for stream in (0, network.width):
            rows = host["hidden.weight"][:, :, stream + low : min(low + UNIT, network.width) + stream]
            np.minimum(least[:, :, low // UNIT], abs(rows).min(axis=(2, 3)), out=least[:, :, low // UNIT])
    np.minimum(least[:, :, 0], abs(host["hidden.bias"]).min(axis=(2, 3)), out=least[:, :, 0])
    return least


def assert_same_bits(first, second):
    for key, value in first.items():
        assert value.tobytes() == second[key].tobytes(), key


CASES = {
    "article": (saturated(), Rule(), 64),
    "one sample": (saturated(), Rule(), 1),
    "a batch in parts": (saturated(width=40), Rule(), 200),
    "sums": (saturated(), Rule(reduction="sum"), 33),
    "float64": (saturated(dtype="float64"), Rule("split"), 13),
    "tanh": (saturated(activation="tanh", output_activation="linear"), Rule(), 13),
    "split": (saturated(n_bias=2, bias=0.8), Rule("split"), 64),
    "centred": (saturated(bias=20.0), Rule(centred=True), 64),
    "outputs": (saturated(outputs=3, heads=2), Rule(), 13),
    "wide": (saturated(width=131, depth=6), Rule(), 30),
    "so wide that threads share the cells": (saturated(width=520, depth=4), Rule(), 30),
    "wide, float64": (saturated(width=70, depth=6, heads=2, dtype="float64"), Rule("split"), 6),
}
NEVER = {
    "narrow": (saturated(width=15), Rule(), 64),
    "floor": (saturated(), Rule(floor=1e-4), 64),
    "rms": (saturated(rms=True), Rule(), 64),
    "relu6": (saturated(activation="relu6"), Rule(alpha=1e-4), 64),
    "healthy": (saturated(u0=2.0, initial=HEALTHY), Rule(), 64),
}


@pytest.mark.parametrize("case", [*CASES, *NEVER])
def test_bits_are_those_of_an_update_that_touches_all_layers(without, case):
    network, rule, batch = (CASES | NEVER)[case]
    start = initialise(network, 1, rule.floor)
    one, results = cpu.NumbaCPU(), []
    for skipping in (True, False):
        if not skipping:
            without()
        weights = steps(network, rule, one.from_host(start), batch)
        assert (weights.least > 0).all(axis=-1).any() == (skipping and case in CASES)
        results.append(one.to_host(weights))
    assert_same_bits(*results)


@pytest.mark.parametrize("case", ["article", "float64", "outputs", "wide"])
@pytest.mark.parametrize("limits", [ALONE, TOGETHER])
@pytest.mark.parametrize("order", ["batch", "online"])
def test_fit_has_the_same_bits(without, case, limits, order):
    network, rule, batch = CASES[case]
    rule = Rule(rule.error, order=order)
    x, target = data(network, batch)
    schedule = Schedule(
        orders=np.stack([np.random.default_rng(epoch).permutation(batch) for epoch in range(3)]),
        batch_size=7,
        tolerance=0.0,
        learning=np.arange(network.heads) != 1,
    )
    one, results = cpu.NumbaCPU(limits), []
    for skipping in (True, False):
        if not skipping:
            without()
        weights = steps(network, rule, one.from_host(initialise(network, 1)), batch, count=1)
        weights, _ = one.fit(network, rule, weights, x, target, schedule)
        assert (weights.least <= true_least(network, weights)).all()
        results.append(one.to_host(steps(network, rule, weights, batch, count=1)))
    assert_same_bits(*results)


def at_the_limit(dtype, part, where, exponents, bias):
    """Return a network of a head for each exponent, and weights by which all its hidden cells are on or off.

    In each head one weight of the hidden layer has a magnitude of 2 ** exponent.
    """
    network = Network(in_=2, width=16, depth=1, dtype=dtype, bias=bias, heads=len(exponents))
    weights = {key: np.full(shape, 500.0, dtype) for key, shape in network.weight_shapes.items()}
    for key in ("hidden.weight", "hidden.bias"):
        weights[key][..., 16:] *= -1
    for head, exponent in enumerate(exponents):
        place = (head, 0, *where) if part == "weight" else (head, 0, 0, where[1])
        weights[f"hidden.{part}"][place] = np.copysign(dtype(2.0**exponent), weights[f"hidden.{part}"][place])
    return network, weights


@pytest.mark.parametrize("error", [1.0, -1.0])
@pytest.mark.parametrize("rule", [Rule(alpha=0.5, reduction="sum"), Rule("split", alpha=0.5, reduction="sum")])
@pytest.mark.parametrize("part", ["weight", "bias"])
@pytest.mark.parametrize(
    ("dtype", "exponents"),
    [(np.float32, range(0, -150, -1)), (np.float64, [*range(-400, -540, -1), *range(-1010, -1075, -1)])],
)
def test_a_weight_is_left_alone_only_if_it_is_large_enough(without, dtype, exponents, part, rule, error):
    """One weight of each magnitude, down to subnormal ones: all samples change it in one direction."""
    one, results = cpu.NumbaCPU(), []
    network, start = at_the_limit(dtype, part, (17, 20), exponents, bias=64.0 if part == "bias" else 1.0)
    x, errors = np.ones((64, 2), dtype), np.full((64, network.heads), error, dtype)
    for skipping in (True, False):
        if not skipping:
            without()
        own = one.from_host(start)
        for _ in range(2):  # the least weight is looked for, then known
            _, trace = one.trace(network, own, x)
            own = one.update(network, rule, own, trace, errors)
        results.append(one.to_host(own))
        known = own.least[:, 0, 0] > 0
        assert not known.all()
        assert known.any() == skipping
    assert_same_bits(*results)


@pytest.mark.parametrize("value", [-0.0, 2.0**-140])
def test_a_change_of_0_flushes_what_it_flushed(without, value):
    """Where all cells are on, g is 0: to add that turns −0 into 0, and a subnormal number too on some processors."""
    one, results = cpu.NumbaCPU(), []
    network, start = at_the_limit(np.float32, "weight", (17, 20), [0], bias=1.0)
    start = {key: abs(value) for key, value in start.items()}
    start["hidden.weight"][0, 0, 17, 20] = value
    x, error = np.ones((64, 2), np.float32), np.ones((64, 1), np.float32)
    for skipping in (True, False):
        if not skipping:
            without()
        own = one.from_host(start)
        _, trace = one.trace(network, own, x)
        assert (trace[1][0, 1] == 1).all()
        results.append(one.to_host(one.update(network, Rule(), own, trace, error)))
    assert_same_bits(*results)


def test_a_layer_that_is_left_alone_is_not_touched():
    """Weights change between trace and update, which sees nothing of it."""
    network, rule, batch = CASES["article"]
    one, (x, target) = cpu.NumbaCPU(), data(network, batch)
    own = steps(network, rule, one.from_host(initialise(network, 1)), batch)
    still = np.flatnonzero(own.least[0, :, 0] > 0)
    outputs, trace = one.trace(network, own, x)
    own["hidden.weight"][0, still] = own["hidden.bias"][0, still] = 2.0**-100
    host = one.to_host(one.update(network, rule, own, trace, target - outputs))
    assert len(still) > 5
    assert (host["hidden.weight"][0, still] == np.float32(2.0**-100)).all()
    assert (host["hidden.bias"][0, still] == np.float32(2.0**-100)).all()


@pytest.mark.parametrize("what", ["weight", "error", "infinite error"])
def test_nan_spreads_as_it_does_without(without, what):
    network, rule, batch = CASES["article"]
    start, one, results = initialise(network, 1), cpu.NumbaCPU(), []
    if what == "weight":
        start["hidden.weight"][0, 8, 3, 4] = np.nan
    x, target = data(network, batch)
    for skipping in (True, False):
        if not skipping:
            without()
        own = one.from_host(start)
        for _ in range(3):
            outputs, trace = one.trace(network, own, x)
            error = target - outputs
            if what != "weight":
                error[7] = np.inf if what == "infinite error" else np.nan
            own = one.update(network, rule, own, trace, error)
        host = one.to_host(own)
        assert np.isnan(host["hidden.weight"][0, -1]).any()
        results.append(np.isnan(host["hidden.weight"]))
    assert (results[0] == results[1]).all()


OTHERS = {
    "a floor": (saturated(), Rule(floor=0.01)),
    "relu": (saturated(activation="relu", u0=1.0), Rule(alpha=1e-6)),
    "cells that move": (saturated(u0=1e4), Rule(alpha=1000.0)),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_known_of_weights_is_forgotten_when_they_change(without, other):
    network, rule, batch = CASES["article"]
    start, one, results = initialise(network, 1), cpu.NumbaCPU(), []
    for skipping in (True, False):
        if not skipping:
            without()
        own = steps(network, rule, one.from_host(start), batch)
        own = steps(*OTHERS[other], own, batch, count=1)
        assert not own.least.any()
        results.append(one.to_host(steps(network, rule, own, batch)))
    assert_same_bits(*results)


def test_sample_by_sample_fit_forgets_what_was_known():
    network, rule, batch = CASES["article"]
    one, (x, target) = cpu.NumbaCPU(), data(network, batch)
    own = steps(network, rule, one.from_host(initialise(network, 1)), batch)
    assert one.copy(own).least.any()
    orders, learning = np.arange(batch)[None], np.ones(1, np.bool_)
    schedule = Schedule(orders=orders, batch_size=1, tolerance=0.0, learning=learning)
    own, _ = one.fit(network, Rule(order="online"), own, x, target, schedule)
    assert not own.least.any()
