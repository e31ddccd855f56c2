"""The estimators, beside scikit-learn's own checks, which are in test_estimators_checks.py."""

import copy
import pickle
import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_classification, make_friedman1, make_moons
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

import edcore
from edcore import ED, EDClassifier, EDRegressor, Initial, Rule
from edcore.errors import DivergedError, InputError
from edcore.estimators import EpochRecord, samples
from edcore.estimators.scaling import moments_of, scale, span_of

QUICK = {"max_iter": 3, "backend": "numpy", "random_state": 0}


@pytest.fixture(scope="module")
def moons():
    return make_moons(200, noise=0.1, random_state=0)


@pytest.fixture(scope="module")
def three():
    random = np.random.default_rng(0)
    y = np.arange(90) % 3
    return random.normal(0, 0.4, (90, 2)) + np.array([[0, 0], [3, 0], [0, 3]])[y], y


@pytest.fixture(scope="module")
def plane():
    x = np.random.default_rng(0).uniform(-2, 7, (80, 3))
    return x, 10 * x[:, 0] - 4 * x[:, 1] + 100


# The defaults


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_digits_exceed_95_percent_as_they_are(backend):
    if backend == "numba":
        pytest.importorskip("numba")
    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x, y, random_state=1)
    # A fifth of the epochs is enough for that.
    classifier = EDClassifier(max_iter=20, backend=backend, random_state=1).fit(parts[0].astype("float32"), parts[2])
    assert classifier.score(parts[1], parts[3]) > 0.95
    assert classifier.ed_.rule.error == "signed"
    assert classifier.ed_.network.heads == 10


def test_the_regressor_learns_what_is_not_linear():
    x, y = make_friedman1(500, noise=0.5, random_state=0)
    regressor = EDRegressor(random_state=0, backend="numpy").fit(x[:350], y[:350])
    assert regressor.score(x[350:], y[350:]) > 0.88  # least squares: 0.74


def test_a_rule_brings_its_preset_and_none_the_tuned_setting(three):
    tuned = EDClassifier(**QUICK).fit(*three).ed_
    # Two standardised features have the mean sum of squares 2, which both streams see.
    alphas = 0.5 / (2 * 2 + 2), 16 * 1.5 / (2 * 64 * 2 + 2)
    assert (tuned.rule.alpha, tuned.rule.alpha_output) == pytest.approx(alphas, rel=0.2)
    assert (tuned.rule.error, tuned.network.u0, tuned.network.activation) == ("signed", 2.0, "relu")
    ed, preset = EDClassifier(rule="edla", **QUICK).fit(*three).ed_, ED(2, 64, rule="edla", heads=3)
    assert (ed.rule, ed.network.u0, ed.network.initial) == (preset.rule, 2.0, preset.network.initial)
    own = EDClassifier(rule=Rule("signed", alpha=0.1), u0=3.0, hidden_depth=2, **QUICK).fit(*three).ed_
    assert (own.rule.alpha, own.network.u0, own.network.depth) == (0.1, 3.0, 2)


def test_modulo_is_one_network_for_all_classes(three):
    classifier = EDClassifier(rule="modulo", backend="numpy", random_state=0, max_iter=40).fit(*three)
    assert (classifier.ed_.network.heads, classifier.ed_.network.outputs) == (1, 3)
    assert classifier.score(*three) > 0.9


# Classes


@pytest.mark.parametrize(
    "names", [["no", "yes"], [False, True], [-1, 1], [3.0, 7.0], ["a", "bb", "ccc"], np.array(["x", "y"], object)]
)
def test_labels_of_any_kind(three, names):
    x, index = three
    names = np.asarray(names)
    y = names[index % len(names)]
    classifier = EDClassifier(**{**QUICK, "max_iter": 30}).fit(x, y)
    assert classifier.classes_.dtype == names.dtype
    assert classifier.predict(x).dtype == names.dtype
    assert classifier.score(x, y) > 0.9
    shares = classifier.predict_proba(x)
    assert shares.shape == (90, len(names))
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (names[shares.argmax(axis=1)] == classifier.predict(x)).all()


def test_shares_where_all_outputs_are_zero(three):
    classifier = EDClassifier(**QUICK).fit(three[0].astype("float32"), three[1])
    weights = classifier.ed_.weights
    weights["output.bias"][..., 0] = -1e4
    classifier.ed_.load_weights(weights)
    np.testing.assert_allclose(classifier.predict_proba(three[0]), 1 / 3)


# Targets


def test_targets_keep_their_shape_and_their_units(plane):
    x, y = plane
    several = np.stack([y, -1e6 * y], axis=1)
    options = {"backend": "numpy", "random_state": 0}
    regressor = EDRegressor(**options).fit(x, several)
    assert regressor.ed_.network.heads == 2
    assert regressor.score(x, several) > 0.95
    assert regressor.predict(x).shape == (80, 2)
    flat, column = EDRegressor(**options).fit(x, y), EDRegressor(**options).fit(x, y[:, None])
    assert column.predict(x).shape == (80, 1)
    assert np.array_equal(column.predict(x)[:, 0], flat.predict(x))


def test_a_constant_target_is_predicted(plane):
    predicted = EDRegressor(backend="numpy", random_state=0).fit(plane[0], np.full(80, 7.0)).predict(plane[0])
    np.testing.assert_allclose(predicted, 7, atol=0.3)


@pytest.mark.parametrize(("dtype", "network"), [("float32", "float32"), ("float64", "float64"), ("int32", "float64")])
def test_the_network_has_the_precision_of_x(plane, dtype, network):
    regressor = EDRegressor(**QUICK).fit(plane[0].astype(dtype), plane[1])
    assert regressor.ed_.network.dtype == network
    assert regressor.predict(plane[0].astype(dtype)).dtype == network


# Scaling


@pytest.mark.filterwarnings("ignore:.* of the cells of layer")  # of a preset, on a few samples
def test_what_the_network_sees_is_scaled_and_clipped(plane, monkeypatch):
    seen = []
    fit, predict = samples.fit_epoch, ED.predict
    monkeypatch.setattr(samples, "fit_epoch", lambda ed, x, *a, **k: (seen.append(x), fit(ed, x, *a, **k))[1])
    x = np.concatenate([plane[0], np.full((80, 1), 9.0)], axis=1)  # the last feature is constant
    few = QUICK | {"rule": "signed", "alpha": 0.01, "alpha_output": 0.01}
    EDRegressor(**few).fit(x, plane[1])
    assert (seen[0].min(axis=0).tolist(), seen[0].max(axis=0).tolist()) == ([0, 0, 0, 0], [1, 1, 1, 0])
    regressor = EDRegressor(**QUICK).fit(x, plane[1])
    np.testing.assert_allclose(seen[-1].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(seen[-1].std(axis=0), [1, 1, 1, 0], atol=1e-12)
    assert np.array_equal(regressor.data_min_, x.min(axis=0))
    assert np.array_equal(regressor.predict(x + 100), regressor.predict(np.full_like(x, 1e9)))
    seen.clear()
    monkeypatch.setattr(ED, "predict", lambda ed, x: (seen.append(x), predict(ed, x))[1])
    EDRegressor(input_range=(-10, 10), **QUICK).fit(x, plane[1]).predict(x)
    np.testing.assert_allclose(seen[-1], x / 20 * np.sqrt(12))  # as values spread evenly over the range would have it
    EDRegressor(input_range=(-10, 10), **few).fit(x, plane[1]).predict(x)
    np.testing.assert_allclose(seen[-1], (x + 10) / 20)
    EDRegressor(input_range=None, **QUICK).fit(x, plane[1]).predict(x)
    assert np.array_equal(seen[-1], x)
    EDRegressor(input_range=([-2, -2, -2, 0], [8, 8, 8, 9]), **few).fit(x, plane[1]).predict(x)
    np.testing.assert_allclose(seen[-1], (x - [-2, -2, -2, 0]) / [10, 10, 10, 9])


@pytest.mark.parametrize(
    "given", ["all", 3, (1, 0), (0, 0), (0, np.inf), (0, "b"), ([0, 0], [1, 1]), (0, 1, 2), (0, np.nan)]
)
def test_a_range_that_is_none_is_refused(plane, given):
    with pytest.raises(InputError, match=r"^input_range: given .*; accepted: 'data', None, .*\(low, high\)"):
        EDRegressor(input_range=given, **QUICK).fit(*plane)


def test_samples_outside_the_users_own_range_are_clipped_with_a_warning(plane):
    with pytest.warns(UserWarning, match=r"^X: 20% of its values, which go from -1\.9.* to 6\.9.* input_range"):
        found = EDRegressor(input_range=(0, 7), **QUICK).fit(*plane)
    assert np.array_equal(found.predict(np.full((1, 3), -5.0)), found.predict(np.zeros((1, 3))))
    EDRegressor(input_range=(-1.8, 6.8), **QUICK).fit(*plane)  # few are outside


def test_a_value_far_out_is_clipped_and_does_not_narrow_the_others():
    x, y = load_iris(return_X_y=True)
    x[7] = 1e4
    found = EDClassifier(random_state=0, backend="numpy").fit(x, y)
    assert (found.data_max_ < 20).all()
    assert found.score(x, y) > 0.93


def test_quartiles_follow_the_weights_as_if_samples_were_repeated():
    random = np.random.default_rng(0)
    x, weight = random.standard_t(1, (40, 3)), random.integers(1, 5, 40)
    found, expected = span_of("data", x, weight), span_of("data", np.repeat(x, weight, axis=0))
    assert np.array_equal(found, expected)
    assert not np.array_equal(found, span_of("data", x))
    repeated = scale(np.repeat(x, weight, axis=0), expected)
    np.testing.assert_allclose(moments_of("data", scale(x, found), weight), moments_of("data", repeated), rtol=1e-12)


@pytest.mark.parametrize(("features", "factor"), [(2, 1), (1000, 1), (50, 1e6)])
def test_the_default_rates_follow_the_samples(features, factor):
    """Too fast a rate makes cells answer the same to all samples; these are told apart whatever their number."""
    x = factor * np.random.default_rng(0).normal(size=(100, features))
    y = (x[:, 0] > 0).astype(int)
    assert EDClassifier(16, max_iter=30, random_state=0, backend="numpy").fit(x, y).score(x, y) > 0.9
    bright = EDClassifier(input_range=None, random_state=0, backend="numpy").fit(x / factor + 3, y)
    assert bright.ed_.rule.alpha == pytest.approx(0.5 / (2 * ((x / factor + 3) ** 2).sum(axis=1).mean() + 2))


def test_a_regressor_of_many_features_learns_a_line():
    random = np.random.default_rng(0)
    x = random.random((1000, 500))
    y = x @ random.normal(size=500)
    regressor = EDRegressor(8, max_iter=20, random_state=0, backend="numpy").fit(x[:800], y[:800])
    assert regressor.score(x[800:], y[800:]) > 0.5


def test_the_default_rates_fall_to_0_in_each_fit(three, monkeypatch):
    seen, fit = [], samples.fit_epoch
    monkeypatch.setattr(samples, "fit_epoch", lambda ed, *a, **k: (seen.append(k["rule"].alpha), fit(ed, *a, **k))[1])
    classifier = EDClassifier(warm_start=True, **QUICK).fit(*three)
    full = classifier.ed_.rule.alpha
    assert seen == pytest.approx([full, full * 2 / 3, full / 3])
    assert classifier.fit(*three).ed_.rule.alpha == full
    assert seen[3:] == seen[:3]  # it had ended, and starts again
    classifier.partial_fit(*three).partial_fit(*three)
    assert seen[6:] == [full, full]
    seen.clear()
    EDClassifier(rule="split", **QUICK).fit(*three)
    assert len(set(seen)) == 1


def test_a_preset_that_learns_too_fast_for_bright_images_says_so():
    random = np.random.default_rng(0)
    x, y = (random.random((200, 784)) > 0.1).astype("float32"), np.arange(200) % 4
    options = {"max_iter": 5, "random_state": 0, "backend": "numpy"}
    with pytest.warns(ConvergenceWarning, match=r"% of the cells of layer 0 answer the same .* alpha=.* rule=None"):
        EDClassifier(rule="modulo", **options).fit(x, y)
    EDClassifier(**options).fit(x, y)


def test_a_range_wider_than_floats_is_refused():
    x = np.array([[-1.7e308], [1.7e308], [0.0]])
    with pytest.raises(InputError, match="^X: given .*range.* float64"):
        EDRegressor(**QUICK).fit(x, [1, 2, 3])


def test_targets_too_large_to_be_standardised_are_refused(plane):
    with pytest.raises(InputError, match="^y: given .*variance.* float64"):
        EDRegressor(**QUICK).fit(plane[0], plane[1] * 1e300)


# Learning in parts, and on


@pytest.mark.filterwarnings("ignore:.* of the cells of layer")  # of a preset, on a few samples
def test_partial_fit_is_an_epoch_of_fit(three):
    x, y = three
    options = QUICK | {
        "rule": Rule("signed", alpha=0.1, alpha_output=0.01)
    }  # without a rule, fit lowers the rates from epoch to epoch
    whole = EDClassifier(**options).fit(x, y)
    parts = EDClassifier(**options)
    for _ in range(3):
        parts.partial_fit(x, y, classes=[0, 1, 2])
    assert parts.loss_curve_ == whole.loss_curve_
    assert np.array_equal(parts.predict_proba(x), whole.predict_proba(x))
    regressors = EDRegressor(**options).fit(x, y), EDRegressor(**options)
    for _ in range(3):
        regressors[1].partial_fit(x, y)
    assert np.array_equal(regressors[0].predict(x), regressors[1].predict(x))


def test_partial_fit_knows_classes_that_come_later(three):
    x, y = three
    classifier = EDClassifier(input_range=(-2, 5), **QUICK)
    classifier.partial_fit(x[y == 0][:1], [0], classes=[0, 1, 2])
    for _ in range(60):
        classifier.partial_fit(x, y)
    assert classifier.score(x, y) > 0.9
    with pytest.raises(InputError, match=r"^y: given .* 3; accepted: .*\[0, 1, 2\]"):
        classifier.partial_fit(x, y + 1)
    with pytest.raises(InputError, match=r"^classes: given \[0, 1\]; accepted: .*\[0, 1, 2\]"):
        classifier.partial_fit(x, y, classes=[0, 1])


def test_a_first_part_that_shows_no_range_is_refused(plane):
    x, y = plane
    with pytest.raises(InputError, match=r"^X: given a first batch .*input_range="):
        EDRegressor(**QUICK).partial_fit(x[:1], y[:1])
    with pytest.raises(InputError, match=r"^y: given a first batch "):
        EDRegressor(**QUICK).partial_fit(x, np.ones(80))
    with pytest.raises(InputError, match="classes: given None "):
        EDClassifier(**QUICK).partial_fit(x, y > 90)
    with pytest.raises(InputError, match="early_stopping: given True with partial_fit"):
        EDRegressor(early_stopping=True, **QUICK).partial_fit(x, y)


@pytest.mark.filterwarnings("ignore:.* of the cells of layer")  # of a preset, on a few samples
def test_a_warm_start_goes_on(plane):
    x, y = plane
    options = QUICK | {"rule": "signed", "alpha": 0.1, "alpha_output": 0.01}
    at_once = EDRegressor(**{**options, "max_iter": 6}).fit(x, y)
    warm = EDRegressor(warm_start=True, **options).fit(x, y).fit(x, y)
    assert (warm.n_iter_, warm.loss_curve_) == (6, at_once.loss_curve_)
    assert np.array_equal(warm.predict(x), at_once.predict(x))
    before = warm.ed_.weights
    warm.set_params(alpha=0.0, alpha_output=0.0).fit(x, y)
    assert all(np.array_equal(value, before[key]) for key, value in warm.ed_.weights.items())
    with pytest.raises(InputError, match="^hidden_width: given other values .*warm_start=False"):
        warm.set_params(hidden_width=8).fit(x, y)
    with pytest.raises(InputError, match="y: given 2 targets; accepted: 1"):
        warm.set_params(hidden_width=64).fit(x, np.stack([y, y], axis=1))
    assert EDRegressor(**QUICK).fit(x, y).fit(x, y).n_iter_ == 3


# After each epoch


def test_loss_is_the_distance_to_the_targets(moons):
    x, y = moons
    classifier = EDClassifier(**QUICK).fit(x, y)
    assert len(classifier.loss_curve_) == classifier.n_iter_ == 3
    # In a batch of all samples they are visited with the weights of the epoch before.
    whole = EDClassifier(**QUICK | {"batch_size": len(x), "warm_start": True}).set_params(max_iter=1).fit(x, y)
    before = whole.predict_proba(x)[:, 1]
    assert whole.fit(x, y).loss_curve_[-1] == pytest.approx(abs(y - before).mean())
    assert (classifier.validation_scores_, classifier.best_validation_score_) == (None, None)


def test_many_samples_are_predicted_in_parts(moons, monkeypatch):
    x = np.tile(moons[0], (11, 1))
    sizes, predict = [], ED.predict
    classifier = EDClassifier(**QUICK).fit(*moons)
    monkeypatch.setattr(ED, "predict", lambda ed, x: (sizes.append(len(x)), predict(ed, x))[1])
    shares = classifier.predict_proba(x)
    assert sizes == [1024, 1024, 152]
    np.testing.assert_allclose(shares, np.tile(shares[:200], (11, 1)), rtol=1e-6)


def test_early_stopping_stops_and_keeps_the_best():
    x, y = make_classification(200, 6, flip_y=0.5, random_state=0)  # of which little can be learnt
    records = []

    def note(record):
        records.append((record.validation_score, record.estimator.predict_proba(x)))

    classifier = EDClassifier(
        early_stopping=True,
        validation_fraction=0.3,
        n_iter_no_change=4,
        max_iter=60,
        callbacks=note,
        random_state=0,
        backend="numpy",
    ).fit(x, y)
    scores = classifier.validation_scores_
    [best] = (n for n, (_, shares) in enumerate(records) if np.array_equal(classifier.predict_proba(x), shares))
    assert best < len(scores) - 1 == classifier.n_iter_ - 1 < 59
    assert classifier.best_validation_score_ == scores[best] == records[best][0]


def test_early_stopping_goes_on_as_if_it_had_not_been_stopped(moons):
    options = {"early_stopping": True, "random_state": 0, "backend": "numpy", "warm_start": True}
    whole = EDClassifier(max_iter=12, **options).fit(*moons)

    def interrupt(record):
        if record.epoch == 5:
            raise KeyboardInterrupt

    parts = EDClassifier(max_iter=12, callbacks=interrupt, **options)
    with pytest.raises(KeyboardInterrupt):
        parts.fit(*moons)
    parts.set_params(callbacks=None, max_iter=7).fit(*moons)
    assert parts.validation_scores_ == whole.validation_scores_
    assert parts.best_validation_score_ == whole.best_validation_score_
    assert np.array_equal(parts.predict_proba(moons[0]), whole.predict_proba(moons[0]))


def test_early_stopping_of_a_regressor_measures_r2(plane):
    regressor = EDRegressor(early_stopping=True, **{**QUICK, "max_iter": 30}).fit(*plane)
    assert 0.5 < regressor.best_validation_score_ == max(regressor.validation_scores_) <= 1
    with pytest.raises(InputError, match=r"^validation_fraction: given 0\.01 of 80 samples; accepted: .* two samples"):
        regressor.set_params(validation_fraction=0.01).fit(*plane)


def test_callbacks_are_told_and_can_stop(plane):
    records = []
    regressor = EDRegressor(
        callbacks=[records.append, lambda record: record.epoch == 2, lambda record: record.loss], **QUICK
    ).fit(*plane)
    assert regressor.n_iter_ == 2
    assert records == [EpochRecord(n, loss, None, regressor) for n, loss in enumerate(regressor.loss_curve_, 1)]


def test_verbose_prints_a_line_for_each_epoch(moons, capsys):
    EDClassifier(verbose=True, early_stopping=True, **QUICK).fit(*moons)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("EDClassifier: epoch 1: loss 0.")
    assert ", validation score 0." in lines[0]


# What goes wrong


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_weights_that_do_not_stay_finite_are_an_error(plane, backend):
    pytest.importorskip(backend)
    regressor = EDRegressor(alpha_output=5.0, warm_start=True, backend=backend, random_state=0)
    with pytest.raises(DivergedError, match=r"^learning has diverged.*: .* Try alpha=0\.\d+, "):
        regressor.fit(*plane)
    with pytest.raises(NotFittedError):
        regressor.predict(plane[0])
    assert regressor.set_params(alpha_output=None).fit(*plane).score(*plane) > 0.9  # from new weights


@pytest.mark.parametrize("learn", ["fit", "partial_fit"])
def test_what_was_learnt_before_a_call_that_diverges_stays(plane, learn):
    regressor = EDRegressor(warm_start=True, backend="numpy", random_state=0, max_iter=20).fit(*plane)
    before, losses = regressor.predict(plane[0]), list(regressor.loss_curve_)
    regressor.set_params(alpha=1e18, alpha_output=1e18, batch_size=1)
    with pytest.raises(DivergedError):
        getattr(regressor, learn)(*plane)
    assert (regressor.predict(plane[0]) == before).all()
    assert (regressor.n_iter_, regressor.loss_curve_) == (20, losses)


def test_outputs_that_overflow_after_an_epoch_are_an_error(plane):
    x, y = plane
    # The batch of the second epoch leaves finite weights whose sums are infinite; perhaps no batch after it meets them.
    regressor = EDRegressor(alpha=0.0, alpha_output=1e18, batch_size=80, backend="numpy", random_state=0)
    for epochs, where in ((2, ":"), (100, " in batch 1 of epoch 3:")):
        with pytest.raises(DivergedError, match=f"^learning has diverged{where} the activities of the output layer"):
            regressor.set_params(max_iter=epochs).fit(x.astype("float32"), y)


def test_a_regressor_worse_than_the_mean_is_a_warning(plane):
    with pytest.warns(ConvergenceWarning, match=r"epoch 1 .*max_iter.*alpha, alpha_output"):
        EDRegressor(alpha=0.0, alpha_output=0.0, initial=Initial(weight=30.0), **{**QUICK, "max_iter": 1}).fit(*plane)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rule": "hebb"}, "rule: given 'hebb'; accepted: 'edla', 'kaneko'"),
        ({"rule": "split", "alpha": -1}, "alpha: given -1; accepted: a finite number of at least 0"),
        ({"hidden_width": 0}, "hidden_width: given 0; accepted: a whole number of at least 1"),
        ({"hidden_depth": 1.5}, "hidden_depth: given 1.5"),
        ({"activation": "cos"}, "activation: given 'cos'"),
        ({"max_iter": 0}, "max_iter: given 0"),
        ({"batch_size": "auto"}, "batch_size: given 'auto'"),
        ({"n_iter_no_change": 0}, "n_iter_no_change: given 0"),
        ({"validation_fraction": 1.0}, "validation_fraction: given 1.0; accepted: a number between 0 and 1"),
        ({"tol": -1.0}, "tol: given -1.0"),
        ({"shuffle": "yes"}, "shuffle: given 'yes'; accepted: True or False"),
        ({"early_stopping": None}, "early_stopping: given None"),
        ({"verbose": "loud"}, "verbose: given 'loud'"),
        ({"callbacks": 3}, "callbacks: given 3; accepted: None, a callable, or a list of callables"),
        ({"backend": "abacus"}, "backend: given 'abacus'"),
    ],
)
@pytest.mark.parametrize("kind", [EDClassifier, EDRegressor])
def test_parameters_are_refused_by_name(three, kind, options, sentence):
    with pytest.raises(InputError) as caught:
        kind(**{**QUICK, **options}).fit(*three)
    assert str(caught.value).startswith(sentence)


def test_what_is_refused_before_its_first_epoch_is_not_fitted(three):
    x, y = three
    classifier = EDClassifier(rule="modulo", batch_size=1, warm_start=True, **QUICK)
    with pytest.raises(InputError, match="^batch_size: given 1 "):
        classifier.fit(x, y)
    with pytest.raises(NotFittedError):
        classifier.predict(x)
    assert classifier.set_params(rule=None).fit(x, y).n_iter_ == 3


def test_centred_rules_are_no_rules_for_a_regressor(plane):
    for rule in ("modulo", Rule(centred=True)):
        with pytest.raises(InputError, match="^rule: given .* centred; accepted: None, "):
            EDRegressor(rule=rule, **QUICK).fit(*plane)


def test_data_are_refused(three):
    x, y = three
    classifier = EDClassifier(**QUICK)
    for bad, sentence in (
        ((np.where(x > 1, np.nan, x), y), "X: given values that are missing"),
        ((x[:0], y[:0]), "X: given shape (0, 2); accepted: at least one sample"),
        ((x[:, 0], y), "; accepted: shape (samples, features). Reshape"),
        ((x, y[:5]), "y: given shape (5,); accepted: "),
        ((x, x[:, 0]), "y: given continuous numbers"),
    ):
        with pytest.raises(InputError, match=re.escape(sentence)):
            classifier.fit(*bad)
    with pytest.raises(InputError, match=r"^y: given .*2.*; accepted: .*two classes"):
        classifier.fit(x, y * 0 + 2)
    with pytest.raises(NotFittedError):
        classifier.predict(x)


# In scikit-learn's company


def test_in_pipelines_searches_and_processes(moons):
    x, y = moons
    classifier = EDClassifier(**{**QUICK, "max_iter": 10})
    scores = cross_val_score(classifier, x, y, n_jobs=2, cv=2)
    assert np.array_equal(scores, cross_val_score(classifier, x, y, cv=2))
    pipeline = make_pipeline(PolynomialFeatures(), classifier)
    grid = {"edclassifier__hidden_width": [4, 8], "edclassifier__rule": [None, "modulo"]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(x, y)
    assert search.score(x, y) > 0.8
    assert search.best_estimator_[-1].ed_.network.width == search.best_params_["edclassifier__hidden_width"]


def test_copies_predict_the_same(three):
    x, y = three
    classifier = EDClassifier(initial=Initial(fan_in=0.5), **QUICK).fit(x, y)
    for other in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier), clone(classifier).fit(x, y)):
        assert np.array_equal(other.predict_proba(x), classifier.predict_proba(x))
    assert clone(classifier).get_params() == classifier.get_params()
    assert not hasattr(clone(classifier), "ed_")


def test_a_random_state_repeats_a_run(three):
    x, y = three
    options = QUICK | {"random_state": np.random.RandomState(3)}
    same = [EDClassifier(**QUICK | {"random_state": 3}).fit(x, y).ed_.seed for _ in range(2)]
    assert same[0] == same[1] == EDClassifier(**options).fit(x, y).ed_.seed
    assert EDClassifier(**options).fit(x, y).ed_.seed != same[0]  # the same RandomState, further on


def test_names_of_features_are_kept(plane):
    pandas = pytest.importorskip("pandas")
    x, y = plane
    frame = pandas.DataFrame(x, columns=["a", "b", "c"])
    regressor = EDRegressor(**QUICK).fit(frame, y)
    assert regressor.feature_names_in_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names"):
        regressor.predict(frame[["b", "a", "c"]])


def test_the_network_is_an_ed(plane):
    regressor = EDRegressor(**QUICK).fit(*plane)
    assert isinstance(regressor.ed_, edcore.ED)
    assert regressor.ed_.backend == "numpy"
    assert regressor.ed_.epochs.tolist() == [3]
