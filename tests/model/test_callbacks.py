"""Callbacks and schedules of `ED.fit`: what they get, what they may do, and that nothing changes without them."""

import copy
import dataclasses
import pickle
import warnings
from importlib.util import find_spec

import numpy as np
import pytest

import edcore
from edcore import ED, EDClassifier, EpochRecord, Rule
from edcore.errors import DivergedError, InputError
from edcore.model import learning
from edcore.model.rates import scaled

BACKENDS = ["loop", "numpy", "numba", "torch", "jax"]
X = np.random.default_rng(0).random((7, 3)).astype(np.float32)
Y = np.array([0, 1, 1, 0, 1, 0, 1], np.float32)
BOTH = np.stack([Y, 1 - Y], axis=1)
WEIGHT = np.array([1, 2, 0, 3, 1, 1, 0.5])


def network(backend="numpy", heads=1, rule="signed", **options):
    if find_spec(backend) is None and backend in ("numba", "torch", "jax"):
        pytest.skip(f"needs {backend}")
    return ED(3, 4, 1, heads=heads, rule=rule, seed=3, backend=backend, **options)


def same(a, b):
    return all(np.array_equal(a[key], b[key]) for key in b) and a.keys() == b.keys()


def spied(ed, monkeypatch):
    """Return the list to which each call of the backend's `fit` adds its rule and its schedule."""
    backend, calls, before = ed.bind(), [], ed.rule
    fit = backend.fit

    def watched(network, rule, weights, x, target, schedule):
        assert ed.rule == before  # an interrupt may come now
        calls.append((rule, schedule))
        return fit(network, rule, weights, x, target, schedule)

    watched.takes_weights = watched.fills_errors = True
    monkeypatch.setattr(backend, "fit", watched)
    return calls


def mean_error(ed, order):
    """Return the mean error over samples of this order, as batches of 2 come to them, by steps of the same network."""
    ed = copy.copy(ed)
    total = 0.0
    for start in range(0, len(order), 2):
        rows = order[start : start + 2]
        total += np.abs(BOTH[rows] - ed.step(X[rows], BOTH[rows])).sum(axis=0, dtype=np.float64)
    return total / len(order)


@pytest.mark.parametrize("backend", BACKENDS)
def test_records_have_what_an_epoch_left(backend):
    ed, records, weights = network(backend, heads=2), [], []
    expected = mean_error(ed, np.arange(7))
    ed.fit(
        X,
        BOTH,
        epochs=2,
        batch_size=2,
        shuffle=False,
        callbacks=[records.append, lambda r: weights.append(r.ed.weights)],
    )
    assert [record.epoch for record in records] == [1, 2]
    first, last = records
    np.testing.assert_allclose(first.losses, expected, rtol=1e-5)
    assert first.loss == first.losses.mean() != last.loss
    assert last.ed is ed
    assert (last.estimator, last.validation_score) == (None, None)
    assert last.rule is ed.rule
    assert same(weights[1], ed.weights)
    assert not same(weights[0], weights[1])
    ed.fit(X, BOTH, callbacks=records.append)
    assert records[-1].epoch == 3


@pytest.mark.parametrize("rule", [Rule(), Rule("split", order="online"), Rule(centred=True), Rule("split", floor=1e-4)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_weights_are_those_of_a_fit_without_callbacks(backend, rule):
    for options in ({}, {"sample_weight": WEIGHT}, {"tolerance": 2.9}, {"shuffle": False, "tolerance": 5.0}):
        plain, watched = (network(backend, heads=2, rule=rule) for _ in range(2))
        plain.fit(X, BOTH, epochs=6, batch_size=3, **options)
        watched.fit(X, BOTH, epochs=6, batch_size=3, callbacks=lambda record: record.ed.predict(X), **options)
        assert same(watched.weights, plain.weights), options
        assert (watched.epochs == plain.epochs).all()


@pytest.mark.parametrize("stop", [True, np.True_, np.array(True), "jax", "torch"])
def test_a_callback_that_returns_true_stops(stop):
    if stop in ("jax", "torch"):
        module = pytest.importorskip({"jax": "jax.numpy", "torch": "torch"}[stop])
        stop = module.asarray(True) if stop == "jax" else module.tensor(True)
    seen = []
    callbacks = [lambda record: record.epoch == 2 and stop, seen.append]
    ed = network().fit(X, Y, epochs=9, callbacks=callbacks)
    assert ed.epochs.tolist() == [2]
    assert [record.epoch for record in seen] == [1, 2]  # all are called


@pytest.mark.parametrize("answer", [1, "stop", 0.5, [True], np.ones(1, bool), np.float32(1), None])
def test_what_else_a_callback_returns_means_nothing(answer):
    assert network().fit(X, Y, epochs=3, callbacks=lambda record: answer).epochs.tolist() == [3]


def test_without_callbacks_and_schedule_the_backend_gets_the_same_calls(monkeypatch):
    monkeypatch.setattr(learning, "VISITS", (2 * 7, 4 * 7))
    ed = network()
    calls = spied(ed, monkeypatch)
    ed.fit(X, Y, epochs=9, callbacks=None, schedule=None)
    assert [len(schedule.orders) for _, schedule in calls] == [2, 4, 3]
    assert all(rule is ed.rule and schedule.errors is None for rule, schedule in calls)
    calls.clear()
    ed.fit(X, Y, epochs=9, callbacks=[])
    assert [len(schedule.orders) for _, schedule in calls] == [2, 4, 3]
    calls.clear()
    ed.fit(X, Y, epochs=3, callbacks=lambda record: None)
    assert [schedule.errors.shape for _, schedule in calls] == [(1, 1)] * 3


def test_of_no_epochs_nobody_is_told():
    assert network().fit(X, Y, epochs=0, callbacks=pytest.fail, schedule=[]).epochs.tolist() == [0]


def test_heads_that_stop_keep_their_last_loss():
    data, records = edcore.datasets.xor(), []
    rule = Rule("split", reduction="sum", order="online")
    ed = ED(2, 4, 0, heads=3, rule=rule, dtype="float64", seed=2, backend="numpy")
    plain = copy.copy(ed)
    target = np.repeat(data.y_train[:, None], 3, axis=1)
    ed.fit(data.x_train, target, epochs=400, tolerance=0.1, callbacks=records.append)
    plain.fit(data.x_train, target, epochs=400, tolerance=0.1)
    assert len(set(ed.epochs)) > 1
    assert (ed.epochs == plain.epochs).all()
    assert same(ed.weights, plain.weights)
    assert [record.epoch for record in records] == list(range(1, ed.epochs.max() + 1))
    for head, epoch in enumerate(ed.epochs):
        losses = [record.losses[head] for record in records]
        assert losses[epoch - 1] * 4 < 0.1 <= losses[epoch - 2] * 4
        assert set(losses[epoch - 1 :]) == {losses[epoch - 1]}


def test_a_callback_may_set_the_rule():
    for other in (Rule("split", reduction="sum", order="online", alpha=0.01), Rule(reduction="sum", alpha=0.01)):
        ed, parts = network(), network()

        def change(record, other=other):
            if record.epoch == 2:
                record.ed.rule = other

        ed.fit(X, Y, epochs=4, batch_size=3, sample_weight=WEIGHT, callbacks=change)
        parts.fit(X, Y, epochs=2, batch_size=3, sample_weight=WEIGHT)
        parts.rule = other
        parts.fit(X, Y, epochs=2, batch_size=3, sample_weight=WEIGHT)
        assert ed.rule is other
        assert same(ed.weights, parts.weights)


def test_a_callback_that_sets_a_rule_for_which_the_batch_is_wrong_is_refused():
    def change(record):
        record.ed.rule = Rule(centred=True)

    ed = network()
    with pytest.raises(InputError, match=r"^batch_size: given 1 with a centred rule"):
        ed.fit(X, Y, epochs=4, batch_size=1, callbacks=change)
    assert ed.epochs.tolist() == [1]


def test_a_callback_may_save_copy_call_and_load(tmp_path):
    kept = []

    def use(record):
        edcore.io.save(record.ed, tmp_path / f"{record.epoch}.edcore")
        kept.append((pickle.loads(pickle.dumps(record.ed)), copy.deepcopy(record.ed)))
        record.ed(X)  # its trace is dropped

    ed = network().fit(X, Y, epochs=2, callbacks=use)
    first = network().fit(X, Y)
    for other in (*kept[0], edcore.io.load(tmp_path / "1.edcore", backend="numpy")):
        assert same(other.weights, first.weights)
        assert same(other.fit(X, Y).weights, ed.weights)
    with pytest.raises(edcore.errors.NoTraceError):
        network().fit(X, Y, epochs=2, callbacks=lambda r: r.epoch == 1 and r.ed(X)).update(Y)
    best = network()
    best.fit(X, Y, epochs=3, callbacks=lambda record: record.ed.load_weights(first.weights))
    assert same(best.weights, first.weights)


def test_a_callback_may_learn_more_and_its_epochs_count():
    ed, plain, seen = network(), network(), []

    def more(record):
        seen.append(record.epoch)
        record.ed.fit(X, Y, epochs=2)

    ed.fit(X, Y, epochs=3, callbacks=more)
    assert seen == [1, 4, 7]
    assert ed.epochs.tolist() == [9]
    assert same(ed.weights, plain.fit(X, Y, epochs=9).weights)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_of_a_callback_leaves_the_epochs_that_were_learnt(error):
    def fail(record):
        if record.epoch == 2:
            raise error("no")

    ed = network()
    with pytest.raises(error, match="no"):
        ed.fit(X, Y, epochs=5, callbacks=fail, schedule=[1, 0.5, 0.5, 0.5, 0.5])
    assert ed.epochs.tolist() == [2]
    assert ed.rule == network().rule
    assert same(ed.fit(X, Y).weights, network().fit(X, Y, epochs=3, schedule=[1, 0.5, 1]).weights)


def test_a_callback_that_changes_the_users_arrays_changes_nothing():
    x, y, weight = X.copy(), Y.copy(), WEIGHT.copy()

    def change(record):
        x[...], y[...], weight[...] = np.nan, 5, record.epoch
        record.ed.rule = dataclasses.replace(record.ed.rule)  # with another one the fit begins anew

    ed = network().fit(x, y, epochs=4, sample_weight=weight, callbacks=change)
    assert same(ed.weights, network().fit(X, Y, epochs=4, sample_weight=WEIGHT).weights)


@pytest.mark.parametrize(
    "callbacks", ["name", 3, [print, None], edcore.training.History(), {"a": print}, (print, 1), edcore.History]
)
def test_what_cannot_be_called_is_refused(callbacks):
    ed = network()
    with pytest.raises(InputError, match="^callbacks: given .*; accepted: None, a callable, or a list of callables"):
        ed.fit(X, Y, callbacks=callbacks)
    assert ed.epochs.tolist() == [0]


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_arrays_of_other_libraries_are_learnt_with_callbacks(library):
    xp = pytest.importorskip(library)
    x, y = (xp.asarray(array) for array in (X, BOTH))
    seen, ed = [], ED(3, 4, 1, heads=2, seed=3)
    ed.fit(
        x,
        y,
        epochs=3,
        callbacks=lambda record: seen.append(record.ed.predict(x)),
        schedule=lambda epoch: 1 / (epoch + 1),
    )
    plain = ED(3, 4, 1, heads=2, seed=3).fit(x, y, epochs=3, schedule=[1, 1 / 2, 1 / 3])
    assert same(ed.weights, plain.weights)
    assert type(seen[0]) is type(ed.predict(x))
    assert bool((seen[-1] == ed.predict(x)).all())


def test_learning_that_diverges_is_named_and_keeps_the_epochs_before():
    make = lambda: network(activation="linear", output_activation="linear", alpha=30.0, alpha_output=30.0)  # noqa: E731
    ed, seen = make(), []
    with pytest.raises(DivergedError) as caught:
        ed.fit(X, Y, epochs=90, callbacks=seen.append, schedule=lambda epoch: 0 if epoch < 3 else 1)
    assert caught.value.epoch == len(seen) + 1 == ed.epochs[0] + 1 > 4
    assert ed.rule == make().rule
    assert f"from before epoch {len(seen) + 1}." in str(caught.value)
    assert all(np.isfinite(value).all() for value in ed.weights.values())


# Schedules.


@pytest.mark.parametrize("callbacks", [None, lambda record: None])
@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda factors: lambda epoch: factors[epoch]])
def test_the_rates_of_each_epoch_are_those_of_the_schedule(monkeypatch, kind, callbacks):
    ed = network(alpha=0.8, alpha_output=0.4)
    calls = spied(ed, monkeypatch)
    rule = ed.rule
    ed.fit(X, Y, epochs=4, schedule=kind([1, 0.5, 0.5, 0]), callbacks=callbacks)
    assert [(used.alpha, used.alpha_output) for used, _ in calls] == [(0.8, 0.4), (0.4, 0.2), (0.4, 0.2), (0, 0)]
    assert calls[0][0] is rule is ed.rule
    assert calls[1][0] is calls[2][0]
    assert all((schedule.errors is None) == (callbacks is None) for _, schedule in calls)
    by_hand = network(alpha=0.8, alpha_output=0.4)
    for factor in (1, 0.5, 0.5):
        by_hand.rule = dataclasses.replace(rule, alpha=0.8 * factor, alpha_output=0.4 * factor)
        by_hand.fit(X, Y)
    assert same(ed.weights, by_hand.weights)
    assert ed.epochs.tolist() == [4]


def test_a_function_goes_on_with_a_resumed_fit_and_a_sequence_begins_again():
    asked = []

    def decay(epoch):
        asked.append(epoch)
        return 0.5**epoch

    whole = network().fit(X, Y, epochs=5, schedule=decay)
    parts = network().fit(X, Y, epochs=2, schedule=decay).fit(X, Y, epochs=3, schedule=decay)
    assert asked == [0, 1, 2, 3, 4] * 2
    assert same(parts.weights, whole.weights)
    listed = network().fit(X, Y, epochs=2, schedule=[1, 0.5]).fit(X, Y, epochs=3, schedule=[0.25, 0.125, 0.0625])
    assert same(listed.weights, whole.weights)


def test_a_schedule_of_ones_changes_no_bit():
    assert same(network().fit(X, Y, epochs=4, schedule=[1] * 4).weights, network().fit(X, Y, epochs=4).weights)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ([1, 2], "schedule: given 2 factors for 3 epochs; accepted: one for each epoch"),
        ([1] * 4, "schedule: given 4 factors for 3 epochs"),
        ([1, -0.5, 1], r"schedule\[1\]: given -0.5; accepted: a finite number of at least 0"),
        ([1, np.nan, 1], r"schedule\[1\]: given nan"),
        ([1, True, 1], r"schedule\[1\]: given True"),
        ([1, "2", 1], r"schedule\[1\]: given '2'"),
        (np.ones((3, 1)), r"schedule\[0\]: given "),
        (lambda epoch: -1, r"schedule\(0\): given -1"),
        (lambda epoch: None, r"schedule\(0\): given None"),
        (lambda epoch: 1e18, "schedule: given a factor of 1e\\+18 for learning rates of 2 and 1"),
        (0.5, "schedule: given 0.5; accepted: None, a function of the epoch, or a sequence of factors"),
        ("cosine", "schedule: given 'cosine'"),
        ({0: 1, 1: 1, 2: 1}, "schedule: given "),
        ((factor for factor in (1, 1, 1)), "schedule: given "),
    ],
)
def test_bad_schedules_are_refused_and_nothing_is_learnt(schedule, message):
    ed = network(alpha=2)
    with pytest.raises(InputError, match=f"^{message}"):
        ed.fit(X, Y, epochs=3, schedule=schedule)
    assert ed.epochs.tolist() == [0]
    assert same(ed.weights, network().weights)


def test_a_functions_factor_is_checked_before_its_epoch():
    ed = network()
    with pytest.raises(InputError, match=r"^schedule\(2\): given -0.1"):
        ed.fit(X, Y, epochs=3, schedule=lambda epoch: 0.1 - 0.1 * epoch if epoch < 2 else -0.1)
    assert ed.epochs.tolist() == [2]
    assert ed.rule == network().rule


def test_heads_stop_under_a_schedule_too():
    target = np.stack([Y, Y, 0 * Y], axis=1)
    ed, plain = (network(heads=3, rule="split") for _ in range(2))
    ed.fit(X, target, epochs=8, tolerance=2.0, schedule=lambda epoch: 0.5)
    plain.rule = scaled(plain.rule, 0.5)
    plain.fit(X, target, epochs=8, tolerance=2.0)
    assert ed.epochs.tolist() == plain.epochs.tolist()
    assert len(set(ed.epochs.tolist())) > 1
    assert same(ed.weights, plain.weights)


# Estimators have the same records.


def test_records_of_estimators_have_the_network_and_its_rule():
    records, targets = [], np.arange(7) % 3
    model = EDClassifier(max_iter=4, random_state=0, backend="numpy", callbacks=records.append).fit(X, targets)
    assert isinstance(records[0], EpochRecord)
    assert edcore.estimators.EpochRecord is EpochRecord
    assert all(record.ed is model.ed_ and record.estimator is model for record in records)
    assert [record.losses.mean() for record in records] == model.loss_curve_
    full = model.ed_.rule.alpha
    assert [record.rule.alpha for record in records] == pytest.approx([full, full * 3 / 4, full / 2, full / 4])


def test_a_warning_in_a_callback_is_the_users():
    def warn(record):
        warnings.warn("mine", stacklevel=2)

    with pytest.warns(UserWarning, match="mine"):
        network().fit(X, Y, callbacks=warn)
