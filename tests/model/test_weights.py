"""Weights of samples in `ED.fit`: against loops over single samples, and what they promise beside other samples."""

import dataclasses
import warnings

import array_api_compat.numpy as xp
import numpy as np
import pytest

from edcore import ED, Network, Rule
from edcore.adapters.array_api import NUMPY, ArrayAPIBackend
from edcore.contract import Schedule, run_schedule
from edcore.core import method as core
from edcore.core.randomness import permutation
from edcore.errors import DivergedError, InputError
from edcore_loop.loops import LoopBackend

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(size=(7, 3))
Y = (RANDOM.uniform(size=(7, 2)) > 0.5).astype(float)
W = np.array([2.0, 0.5, 1.0, 3.0, 0.25, 1.5, 1.0])

RULES = {
    "mean": Rule(alpha=0.3),
    "sum": Rule(alpha=0.3, reduction="sum"),
    "split": Rule("split"),
    "centred": Rule(centred=True),
    "centred sum": Rule(centred=True, reduction="sum"),
    "online": Rule("split", order="online"),
}


def network(rule="mean", **options):
    shape = {"in_": 3, "hidden_width": 3, "heads": 2, "dtype": "float64", "seed": 1, "backend": "numpy"}
    return ED(rule=RULES.get(rule, rule), **(shape | options))


def fitted(rule="mean", rows=slice(None), weights=None, options=(), **fit):
    ed = network(rule, **dict(options))
    return ed.fit(X[rows], Y[rows], sample_weight=weights, **({"epochs": 3, "batch_size": 3, "shuffle": False} | fit))


def assert_close(one, other, most=1e-13):
    for key, value in one.weights.items():
        np.testing.assert_allclose(value, other.weights[key], rtol=0, atol=most)


def assert_same(one, other):
    for key, value in one.weights.items():
        assert (value == other.weights[key]).all()


def assert_differ(one, other):
    assert max(abs(value - other.weights[key]).max() for key, value in one.weights.items()) > 1e-3


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_fit_is_the_weighted_sum_of_what_each_sample_alone_would_add(rule, shuffle):
    """The formula in loops: the oracle's update for one sample, times the weight of the sample."""
    ed, oracle, rule = network(rule), LoopBackend(), RULES[rule]
    alone = dataclasses.replace(rule, centred=False, reduction="sum")  # of one sample there is nothing to reduce
    weights, own = ed.weights, W / W.mean() if rule.reduction == "mean" else W
    size = 1 if rule.order == "online" else 3
    for epoch in range(2):
        order = permutation(ed.seed, epoch, len(X)) if shuffle else np.arange(len(X))
        for start in range(0, len(X), size):
            batch = order[start : start + size]
            error = Y[batch] - oracle.forward(ed.network, weights, X[batch])
            if rule.centred:
                error = error - sum(own[b] * e for b, e in zip(batch, error, strict=True)) / sum(own[batch])
            learned = {key: value.copy() for key, value in weights.items()}
            for b, e in zip(batch, error, strict=True):
                _, trace = oracle.trace(ed.network, weights, X[b : b + 1])
                one = oracle.update(ed.network, alone, weights, trace, e[None])
                share = own[b] / (max(1, own[batch].mean() / 2) * len(batch) if rule.reduction == "mean" else 1)
                for key, value in one.items():
                    learned[key] += share * (value - weights[key])
            weights = learned
    ed.fit(X, Y, epochs=2, batch_size=3, shuffle=shuffle, sample_weight=W)
    for key, value in ed.weights.items():
        np.testing.assert_allclose(value, weights[key], rtol=0, atol=1e-13)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "online"])
def test_a_weight_of_2_is_the_sample_twice_in_the_same_batch(rule):
    twice = fitted(rule, [0, 1, 2, 3, 3, 4, 5, 5, 5, 6], batch_size=10)
    assert_close(fitted(rule, weights=[1, 1, 1, 2, 1, 3, 1], batch_size=7), twice)
    assert_differ(fitted(rule, batch_size=7), twice)


def test_a_weight_of_2_is_the_sample_twice_to_the_bit_where_sums_are_exact():
    x, y = np.ones((1, 3)), np.ones((1, 2))
    once, twice = network("sum"), network("sum")
    once.fit(x, y, epochs=2, sample_weight=[2.0])
    twice.fit(np.repeat(x, 2, axis=0), np.repeat(y, 2, axis=0), epochs=2)
    assert_same(once, twice)


def test_an_online_rule_learns_by_weights_too():
    assert_close(fitted("online", weights=3 * W), fitted("online", weights=W))
    assert_differ(fitted("online", weights=W), fitted("online"))
    one_by_one = fitted("split", weights=W, batch_size=1)
    assert_close(fitted("online", weights=W), one_by_one)


def test_a_heavy_batch_counts_twice_at_most_under_a_rule_of_means():
    for heavy in (200.0, 2e6):
        weights = np.where(np.arange(7) == 3, heavy, 1e-9)
        rule = Rule(alpha=0.3 * 2, alpha_output=2.0)
        assert_close(fitted(Rule(alpha=0.3, alpha_output=1.0), weights=weights, batch_size=1), fitted(rule, [3]), 1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_weight_of_0_is_the_sample_left_out(rule, shuffle):
    some = [0, 2, 3, 5, 6]
    left_out = fitted(rule, some, W[some], shuffle=shuffle)
    assert_same(fitted(rule, weights=np.where(np.isin(range(7), some), W, 0), shuffle=shuffle), left_out)


@pytest.mark.parametrize("backend", ["numpy", "loop", "numba", "torch", "array_api_strict"])
@pytest.mark.parametrize("rule", RULES)
def test_weights_of_1_are_none_to_the_bit(backend, rule):
    if backend != "loop":  # which needs no package
        pytest.importorskip(backend)
    options = {"backend": backend}
    assert_same(fitted(rule, weights=np.ones(7, int), options=options), fitted(rule, options=options))


def test_only_the_ratio_of_weights_counts_for_a_rule_of_means_and_their_size_for_one_of_sums():
    for factor in (5e-324, 1e-300, 0.1, 1e300):
        assert_close(fitted("mean", weights=np.full(7, factor)), fitted("mean"))
    for factor in (1e-300, 7.0, 1e300):
        assert_close(fitted("mean", weights=factor * W), fitted("mean", weights=W), 1e-12)
    assert_differ(fitted("sum", weights=np.full(7, 2.0)), fitted("sum"))


@pytest.mark.parametrize("rule", ["mean", "sum", "centred", "online"])
def test_tolerance_bounds_the_weighted_sum_of_the_errors(rule):
    rates = {"alpha": 1e-9, "alpha_output": 1e-9}  # the errors stay what they are
    rule = dataclasses.replace(RULES[rule], **rates)
    errors = (W[:, None] * abs(Y - network(rule).predict(X))).sum(axis=0)
    between = errors.mean()
    assert abs(errors - between).min() > 0.1
    ed = fitted(rule, weights=W, tolerance=between)
    assert ed.epochs.tolist() == np.where(errors < between, 1, 3).tolist()


def test_weights_of_any_library_and_dtype_are_taken():
    torch = pytest.importorskip("torch")
    expected = fitted(weights=W)
    assert_same(fitted(weights=torch.asarray(W)), expected)
    assert_same(fitted(weights=W.tolist()), expected)
    assert_same(fitted(weights=(4 * W).astype(np.int32)), expected)
    on_torch = network().fit(torch.asarray(X), torch.asarray(Y), sample_weight=W, epochs=3, batch_size=3, shuffle=False)
    assert_close(on_torch, expected)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (W[:-1], r"shape \(6,\)"),
        (W[:, None], r"sample_weight\[:, 0\]"),
        (1.0, r"shape \(\)"),
        (-W, r"-3.0, at \[3\]; accepted: values of at least 0"),
        (W * np.nan, "NaN"),
        (np.where(W > 2, np.inf, W), r"at \[3\]"),
        (0 * W, "all zero"),
        (["a"] * 7, "real numbers"),
        (np.ma.masked_greater(W, 2), "masked"),
    ],
)
def test_weights_that_are_none_are_refused(weights, words):
    ed = network()
    start = ed.weights
    with pytest.raises(InputError, match=f"^sample_weight.*{words}"):
        ed.fit(X, Y, sample_weight=weights)
    for key, value in ed.weights.items():
        assert (value == start[key]).all()


def test_weights_that_the_dtype_cannot_hold_are_refused_for_a_rule_of_sums():
    for factor in (1e300, 1e-300, 1e38):
        with pytest.raises(InputError, match=r"^sample_weight: .*float32"):
            fitted("sum", weights=factor * W, options={"dtype": "float32"})


@pytest.mark.parametrize("rule", ["sum", "centred sum"])
@pytest.mark.parametrize("options", [{}, {"output_activation": "linear"}])
@pytest.mark.parametrize("factor", [1.0, 1e9, 1e35, 3e37])
def test_huge_weights_never_leave_weights_that_are_not_finite(rule, options, factor):
    ed = network(dataclasses.replace(RULES[rule], alpha=90.0), dtype="float32", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an overflow that the guard has not foreseen warns
        try:
            ed.fit(X, Y, epochs=5, batch_size=4, sample_weight=factor * W)
        except DivergedError:
            assert factor > 1
    assert all(np.isfinite(value).all() for value in ed.weights.values())


def test_the_step_that_diverges_by_its_weights_is_named():
    weights = np.where(np.arange(7) == 4, 3e38, 1.0)
    options = {"dtype": "float32", "output_activation": "linear"}
    with pytest.raises(DivergedError) as raised:
        fitted("sum", weights=weights, options=options)
    assert (raised.value.epoch, raised.value.batch) == (1, 2)
    fitted("sum", options=options)


class Old(ArrayAPIBackend):
    """A backend with a `fit` of its own, from a time before there were weights."""

    def __init__(self):
        super().__init__(xp, "cpu", NUMPY)

    def fit(self, network, rule, weights, x, target, schedule):
        assert schedule.weights is None
        return super().fit(network, rule, weights, x, target, schedule)


def test_a_backend_whose_fit_does_not_know_weights_learns_them_batch_by_batch():
    assert_same(fitted(weights=W, options={"backend": Old()}), fitted(weights=W))
    assert_same(fitted(options={"backend": Old()}), fitted())


def test_weights_of_a_batch_that_are_all_0_leave_every_bit():
    shape, weights = Network(3, 3, dtype="float64"), network(heads=1).weights
    schedule = Schedule(
        orders=np.arange(7)[None], batch_size=7, tolerance=0.0, learning=np.ones(1, bool), weights=np.zeros(7)
    )
    for rule in (RULES["mean"], RULES["centred"]):
        learned, _ = run_schedule(LoopBackend(), shape, rule, weights, X, Y[:, :1], schedule)
        for key, value in learned.items():
            assert (value == weights[key]).all()


def test_the_core_takes_weights_within_the_bare_standard():
    strict = pytest.importorskip("array_api_strict")
    for rule in RULES.values():
        expected = core.weighted_error(rule, Y, W)
        np.testing.assert_allclose(core.weighted_error(rule, strict.asarray(Y), strict.asarray(W)), expected)
