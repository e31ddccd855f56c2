"""A call that is refused, or diverges, leaves an estimator as it was; one that is interrupted keeps its epochs."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest

from edcore import ED, EDClassifier, EDRegressor, Rule
from edcore.errors import DivergedError, InputError
from edcore.estimators import samples

X = np.random.default_rng(0).random((60, 4), "float32")
Y = np.arange(60) % 2
KINDS = [EDClassifier, EDRegressor]
DEEP = {"hidden_depth": 1, "backend": "numpy", "max_iter": 3}


def state(value):
    """Return all that an object holds, in a form that can be compared."""
    if isinstance(value, EDClassifier | EDRegressor):
        return {name: state(part) for name, part in vars(value).items()}
    if isinstance(value, ED):
        return state(value.__getstate__()) | {"rule": value.rule, "seed": value.seed, "bound": value.backend}
    if isinstance(value, np.random.RandomState):
        return state(value.get_state())
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {name: state(part) for name, part in value.items()}
    return [state(part) for part in value] if isinstance(value, list | tuple) else value


def check_unchanged(call, estimator, error=Exception):
    """Check that a call raises the error, and changes nothing but the parameters that were set before it."""
    before, identity = state(estimator), vars(estimator).get("ed_")
    with pytest.raises(error):
        call(estimator)
    assert state(estimator) == before
    assert vars(estimator).get("ed_") is identity


def raising(error, epoch=2):
    """Return a callback that raises the error after the epoch."""
    calls = []

    def callback(record):
        """Count the calls."""
        calls.append(record)
        if len(calls) == epoch:
            raise error

    return callback


class Strange:
    """What no library can read."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError


BAD_DATA = {
    "NaN in X": (np.where(X > 0.9, np.nan, X), Y),
    "infinity in X": (np.where(X > 0.9, np.inf, X), Y),
    "one axis": (X[:, 0], Y),
    "three axes": (X[:, :, None], Y),
    "no samples": (X[:0], Y[:0]),
    "fewer labels": (X, Y[:7]),
    "a mask": (np.ma.masked_array(X, X > 0.9), Y),
    "a masked y": (X, np.ma.masked_array(Y, X[:, 0] > 0.9)),
    "texts in X": (X.astype(str), Y),
    "complex": (X + 1j, Y),
    "NaN in y": (X, np.where(X[:, 0] > 0.9, np.nan, Y)),
    "y of three axes": (X, np.zeros((60, 1, 2))),
    "no array": (Strange(), Y),
    "dates": (X.astype("datetime64[s]"), Y),
}
LATER_DATA = {"another number of features": (X[:, :3], Y), "two targets": (X, np.stack([Y, Y], axis=1))}
BAD_PARAMETERS = {
    "batch_size": 0,
    "max_iter": -1,
    "tol": math.nan,
    "shuffle": "no",
    "callbacks": 3,
    "validation_fraction": 2,
    "alpha": -1,
    "alpha_output": math.inf,
    "hidden_width": 0,
    "hidden_depth": 1.5,
    "rule": "hebb",
    "u0": 0,
    "activation": "cos",
    "initial": 3,
}
RAISING = {
    "a callback that raises": lambda: {"callbacks": raising(RuntimeError), "max_iter": 5},
    "too few samples for early stopping": lambda: {"early_stopping": True, "validation_fraction": 0.001},
    "a callback that raises in early stopping": lambda: {"early_stopping": True, "callbacks": raising(OSError)},
}


@pytest.fixture(params=["new", "learnt", "warm"])
def estimator(request):
    """Return a function that makes an estimator that has learnt nothing, has learnt, or will go on."""

    def make(kind, **options):
        """Return one of the kind."""
        new = kind(warm_start=request.param == "warm", random_state=np.random.RandomState(7), **DEEP | options)
        return new if request.param == "new" else new.fit(X, Y)

    make.warm = request.param == "warm"
    return make


def partial(estimator, x, y):
    """Call partial_fit with the classes that a classifier asks for."""
    classes = {"classes": [0, 1]} if isinstance(estimator, EDClassifier) else {}
    return estimator.partial_fit(x, y, **classes)


@pytest.mark.parametrize("kind", KINDS)
def test_refused_data_leave_no_trace(estimator, kind):
    for x, y in (BAD_DATA | (LATER_DATA if estimator.warm else {})).values():
        found = estimator(kind)
        check_unchanged(lambda found, x=x, y=y: found.fit(x, y), found)
        check_unchanged(lambda found, x=x, y=y: partial(found, x, y), found)


@pytest.mark.parametrize("kind", KINDS)
def test_refused_parameters_leave_no_trace(estimator, kind):
    for name, value in BAD_PARAMETERS.items():
        found = estimator(kind).set_params(**{name: value})
        check_unchanged(lambda found: found.fit(X, Y), found, InputError)
        check_unchanged(lambda found: partial(found, X, Y), found, InputError)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", RAISING)
def test_what_raises_during_learning_leaves_no_trace(estimator, kind, name):
    found = estimator(kind).set_params(**RAISING[name]())
    check_unchanged(lambda found: found.fit(X, Y), found)


@pytest.mark.parametrize("kind", KINDS)
def test_other_calls_leave_no_trace(estimator, kind):
    found = estimator(kind)
    methods = [found.predict, *([found.predict_proba] if kind is EDClassifier else [])]
    for x, y in (BAD_DATA | LATER_DATA).values():
        for method in methods:
            if x is not X:
                check_unchanged(lambda found, method=method, x=x: method(x), found)
        if x is not X or y.ndim == 3 or y.dtype.kind == "f":
            check_unchanged(lambda found, x=x, y=y: found.score(x, y), found)


def test_labels_and_classes_that_are_refused_leave_no_trace(estimator):
    bad = [(Y + 1, None), (Y, [0, 1, 2]), (Y, "01"), (Y, [0, math.nan]), (Y, [0]), (Y, 2), (Y + 0.5, [0, 1])]
    for y, classes in bad:
        found = estimator(EDClassifier)
        if not (y is Y and classes == [0, 1, 2] and not hasattr(found, "ed_")):
            check_unchanged(lambda found, y=y, c=classes: found.partial_fit(X, y, c), found)
    found = estimator(EDClassifier)
    check_unchanged(lambda found: found.fit(X, Y * 0 if not estimator.warm else Y + 1), found, InputError)


DIVERGING = {"alpha": 1e18, "alpha_output": 1e18, "batch_size": 1, "max_iter": 20}


@pytest.mark.parametrize("learn", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", ["numpy", "numba", "torch"])
@pytest.mark.filterwarnings("ignore:The loss after epoch")
def test_learning_that_diverges_leaves_no_trace(estimator, kind, learn, backend):
    pytest.importorskip(backend)
    rule = {"rule": "signed", "activation": "linear"}
    found = estimator(kind, **DEEP | rule | {"alpha": 1e-5, "alpha_output": 1e-5, "backend": backend, "max_iter": 1})
    found.set_params(**DIVERGING)
    call = (lambda found: found.fit(X, Y)) if learn == "fit" else (lambda found: partial(found, X, Y))
    check_unchanged(call, found, DivergedError)


def test_a_warm_start_after_one_that_diverged_has_the_same_bits():
    first = EDRegressor(max_iter=3, random_state=0, warm_start=True, backend="numpy").fit(X, Y)
    other = copy.deepcopy(first)
    parameters = {name: first.get_params()[name] for name in ("alpha", "alpha_output", "max_iter")}
    with pytest.raises(DivergedError, match=r"infinite\. The estimator is as it was before the call\. Try alpha="):
        first.set_params(alpha=5.0, alpha_output=0.5, max_iter=200).fit(X, Y)
    assert first.ed_.epochs.tolist() == [3]
    assert first.ed_.rule == other.ed_.rule
    first.set_params(**parameters).fit(X, Y)
    assert state(first) == state(other.fit(X, Y))


def test_a_rule_with_a_floor_comes_back():
    rule = Rule("split", floor=0.01, alpha=0.1, alpha_output=0.1)
    found = EDClassifier(rule=rule, warm_start=True, random_state=0, **DEEP).fit(X, Y)
    found.set_params(rule=replace(rule, floor=None), callbacks=raising(RuntimeError))
    check_unchanged(lambda found: found.fit(X, Y), found, RuntimeError)
    assert found.ed_.rule.floor == 0.01


class Leaving(EDRegressor):
    """The old fault: a call that diverges leaves the epochs that it counted."""

    def fit(self, X, y):  # noqa: N803
        try:
            return super().fit(X, y)
        except DivergedError:
            self.ed_.epochs += 1
            raise


def test_the_check_finds_a_trace():
    found = Leaving(warm_start=True, random_state=0, **DEEP).fit(X, Y).set_params(**DIVERGING)
    with pytest.raises(AssertionError):
        check_unchanged(lambda found: found.fit(X, Y), found, DivergedError)


# Ctrl-C


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_interrupt_between_learning_and_counting_keeps_all_in_step(kind, early_stopping, monkeypatch):
    options = {"warm_start": True, "random_state": 0, "early_stopping": early_stopping}
    whole = kind(**options, **DEEP | {"max_iter": 4}).fit(X, Y)
    found = kind(**options, **DEEP | {"max_iter": 4})
    fit = samples.fit_epoch

    def interrupted(ed, *arguments, **options):
        """Stand for Ctrl-C before the loss of the second epoch is known."""
        loss = fit(ed, *arguments, **options)
        if int(ed.epochs.max()) == 2:
            raise KeyboardInterrupt
        return loss

    with monkeypatch.context() as patched:
        patched.setattr(samples, "fit_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            found.fit(X, Y)
    assert found.n_iter_ == found.ed_.epochs.max() == len(found.loss_curve_) == 2
    assert (found.loss_curve_[0], math.isnan(found.loss_curve_[1])) == (whole.loss_curve_[0], True)
    if early_stopping:
        assert (found.validation_scores_[0], len(found.validation_scores_)) == (whole.validation_scores_[0], 2)
        assert math.isnan(found.validation_scores_[1])
        return
    found.set_params(max_iter=2).fit(X, Y)
    assert state(found.ed_) == state(whole.ed_)
    assert found.loss_curve_[2:] == whole.loss_curve_[2:]
    assert found.n_iter_ == 4


def test_an_interrupt_in_a_callback_keeps_the_epochs(estimator):
    found = estimator(EDRegressor).set_params(callbacks=raising(KeyboardInterrupt), max_iter=9)
    before = found.n_iter_ if estimator.warm else 0
    with pytest.raises(KeyboardInterrupt):
        found.fit(X, Y)
    assert found.n_iter_ == found.ed_.epochs.max() == len(found.loss_curve_) == before + 2
    assert np.isfinite(found.loss_curve_).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_of_the_first_epoch_leaves_no_trace(estimator, kind, monkeypatch):
    def interrupted(*arguments, **options):
        """Stand for Ctrl-C during the first epoch."""
        raise KeyboardInterrupt

    found = estimator(kind).set_params(alpha=0.123)
    with monkeypatch.context() as patched:
        patched.setattr(samples, "fit_epoch", interrupted)
        check_unchanged(lambda found: found.fit(X, Y), found, KeyboardInterrupt)
        check_unchanged(lambda found: partial(found, X, Y), found, KeyboardInterrupt)


@pytest.mark.parametrize("input_range", ["data", None, (0, 1)])
def test_a_callback_that_changes_the_users_array_changes_nothing(input_range):
    x, y = np.random.default_rng(0).random((40, 3)), np.arange(40) % 2
    options = {"max_iter": 4, "random_state": 0, "backend": "numpy", "input_range": input_range}
    expected = EDClassifier(**options).fit(x.copy(), y.copy())
    given, labels = x.copy(), y.copy()

    def change(record):
        given[...], labels[...] = 0, 1

    found = EDClassifier(**options, callbacks=change).fit(given, labels)
    assert not given.any()
    assert found.loss_curve_ == expected.loss_curve_
    np.testing.assert_array_equal(found.predict_proba(x), expected.predict_proba(x))


def test_a_callback_that_calls_fit_is_refused():
    x, y = np.random.default_rng(0).random((40, 3)), np.arange(40) % 2
    found = EDClassifier(max_iter=3, random_state=0, backend="numpy").fit(x, y)
    before = found.predict_proba(x)

    def again(record):
        record.estimator.set_params(callbacks=None).fit(x, y)

    with pytest.raises(InputError, match="^callbacks: given one that calls fit"):
        found.set_params(callbacks=again).fit(x, y)
    np.testing.assert_array_equal(found.predict_proba(x), before)
    assert (found.n_iter_, len(found.loss_curve_), found.ed_.epochs.tolist()) == (3, 3, [3])
