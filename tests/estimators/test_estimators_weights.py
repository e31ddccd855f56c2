"""Weights of samples and of classes: what they equal, where that is exact, and that they help where they should."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import AdaBoostClassifier, AdaBoostRegressor
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV

from edcore import EDClassifier, EDRegressor, Rule
from edcore.errors import InputError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 4))
TARGET = X @ [1.0, -1.0, 0.5, 0.0] + RANDOM.normal(size=24) / 3
CLASSES = np.digitize(TARGET, [-0.5, 0.5])
COUNTS = RANDOM.integers(0, 4, 24)
ONE_BATCH = {"hidden_width": 8, "batch_size": 100, "max_iter": 5, "random_state": 0, "backend": "numpy"}

KINDS = {
    "classifier": (EDClassifier, CLASSES),
    "two classes": (EDClassifier, CLASSES == 1),
    "labels": (EDClassifier, np.stack([TARGET > 0, X[:, 0] > 0], axis=1).astype(int)),
    "regressor": (EDRegressor, TARGET),
    "two targets": (EDRegressor, np.stack([TARGET, -X[:, 0]], axis=1)),
}
RATES = {"alpha": 0.05, "alpha_output": 0.02}
RULES = {
    "default": None,
    "modulo": "modulo",
    "edla": "edla",
    "mean": Rule(**RATES),
    "sum": Rule(alpha=0.005, alpha_output=0.002, reduction="sum"),
}


def outputs(estimator):
    return estimator.predict_proba(X) if isinstance(estimator, EDClassifier) else estimator.predict(X)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["fit", "sparse"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_in_one_batch_a_weight_is_the_sample_so_many_times(kind, rule, method):
    make, y = KINDS[kind]
    if make is EDRegressor and rule in ("modulo", "edla"):
        return  # modulo is refused, and the rates of edla are too large for a regressor
    x, options = X if method == "fit" else csr_array(X), {"rule": RULES[rule], **ONE_BATCH}
    if rule in ("mean", "sum"):
        options["u0"] = 8.0  # else the cells saturate
    rows = np.repeat(np.arange(len(X)), COUNTS)
    repeated = make(**options).fit(x[rows], y[rows])
    weighted = make(**options).fit(x, y, sample_weight=COUNTS)
    np.testing.assert_allclose(outputs(weighted), outputs(repeated), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)
    plain = make(**options).fit(x, y)
    assert abs(outputs(plain) - outputs(weighted)).max() > 1e-4


@pytest.mark.parametrize("batch_size", [5, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_of_0_is_the_sample_left_out_and_weights_of_1_are_none(kind, batch_size):
    (make, y), options = KINDS[kind], ONE_BATCH | {"batch_size": batch_size}
    kept = COUNTS > 0
    left_out = make(**options).fit(X[kept], y[kept], COUNTS[kept])
    assert (outputs(make(**options).fit(X, y, COUNTS)) == outputs(left_out)).all()
    assert (outputs(make(**options).fit(X, y, np.ones(24))) == outputs(make(**options).fit(X, y))).all()
    assert (outputs(make(**options).fit(X, y, 3)) == outputs(make(**options).fit(X, y))).all()


def test_a_sample_of_weight_0_shows_nowhere():
    x, y, target = X.copy(), CLASSES.copy(), TARGET.copy()
    x[3], y[3], target[3], weight = 1e6, 9, 1e9, np.ones(24)
    weight[3] = 0
    classifier = EDClassifier(**ONE_BATCH).fit(x, y, weight)
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert classifier.data_max_.max() < 10
    regressor = EDRegressor(**ONE_BATCH).fit(x, target, weight)
    assert abs(regressor.y_mean_).max() < 10


def test_the_moments_of_y_are_those_of_the_weights():
    regressor = EDRegressor(**ONE_BATCH).fit(X, TARGET, COUNTS)
    rows = np.repeat(TARGET, COUNTS)
    np.testing.assert_allclose([regressor.y_mean_[0], regressor.y_scale_[0]], [rows.mean(), rows.std()])


def test_weights_are_in_the_score_and_in_early_stopping(monkeypatch):
    weight = np.random.default_rng(0).uniform(0.5, 2, 24)
    options = ONE_BATCH | {"early_stopping": True, "validation_fraction": 0.5, "max_iter": 40}
    classifier = EDClassifier(**options).fit(X, CLASSES, weight)
    right = classifier.predict(X) == CLASSES
    assert 0 < right.mean() < 1
    assert classifier.score(X, CLASSES, weight) == pytest.approx(np.average(right, weights=weight))
    assert classifier.best_validation_score_ * 12 % 1 > 1e-6  # else the validation samples count alike
    regressor = EDRegressor(**options).fit(X, TARGET, weight)
    assert regressor.score(X, TARGET, weight) != regressor.score(X, TARGET)
    seen = []
    monkeypatch.setattr(
        "edcore.estimators.regressor.r2_score", lambda *_, sample_weight: seen.append(sample_weight) or 0
    )
    EDRegressor(**options).fit(X, TARGET, weight)
    assert {len(each) for each in seen} == {12}
    assert {*np.ravel(seen)} <= {*weight}


def test_a_sample_with_half_of_the_weight_spoils_nothing():
    x = np.random.default_rng(0).normal(size=(300, 4))
    y, weight = x @ [1.0, -1.0, 0.5, 0.0], np.ones(300)
    weight[7] = 300
    options = {"hidden_width": 16, "max_iter": 30, "random_state": 0, "backend": "numpy"}
    assert EDRegressor(**options).fit(x, y, weight).score(x, y) > 0.8
    assert EDClassifier(**options).fit(x, y > 0, weight).score(x, y > 0) > 0.8


def imbalanced(share=0.06):
    data = make_classification(900, 8, n_informative=4, weights=[1 - share], class_sep=0.8, flip_y=0, random_state=1)
    return data[0][:500], data[0][500:], data[1][:500], data[1][500:]


def test_balanced_classes_are_found_better_than_rare_ones_also_in_small_batches():
    x, x_test, y, y_test = imbalanced()
    found = {}
    for name, weight in (("none", None), ("balanced", "balanced"), ("dict", {0: 1, 1: 15})):
        classifier = EDClassifier(16, max_iter=20, random_state=0, backend="numpy", class_weight=weight).fit(x, y)
        found[name] = balanced_accuracy_score(y_test, classifier.predict(x_test))
    assert min(found["balanced"], found["dict"]) > found["none"] + 0.1


def test_class_weights_are_those_of_their_samples():
    options = ONE_BATCH | {"input_range": (-4, 4)}  # that of the data follows the weights of the samples alone
    by_class = EDClassifier(**options, class_weight={0: 2, 2: 0.5}).fit(X, CLASSES, COUNTS)
    own = COUNTS * np.array([2, 1, 0.5])[CLASSES]
    np.testing.assert_array_equal(outputs(by_class), outputs(EDClassifier(**options).fit(X, CLASSES, own)))
    names = np.array(["low", "mid", "high"])
    balanced = EDClassifier(**options, class_weight="balanced").fit(X, names[CLASSES], COUNTS)
    own = COUNTS / np.bincount(CLASSES, COUNTS)[CLASSES]
    expected = EDClassifier(**options).fit(X, names[CLASSES], own)
    np.testing.assert_allclose(outputs(balanced), outputs(expected))


def test_a_class_of_weight_0_stays_a_class():
    classifier = EDClassifier(**ONE_BATCH, class_weight={0: 0}).fit(X, CLASSES)
    assert classifier.classes_.tolist() == [0, 1, 2]
    without = EDClassifier(**ONE_BATCH, class_weight={0: 1e-12}).fit(X, CLASSES)
    np.testing.assert_allclose(outputs(classifier), outputs(without), atol=1e-6)
    y = np.where(np.arange(24) == 5, 1, 0)  # the samples that are held out have all the weight 0
    with pytest.raises(InputError, match="^validation_fraction"):
        EDClassifier(**ONE_BATCH, class_weight={0: 0}, early_stopping=True).fit(X, y)


@pytest.mark.parametrize(
    ("class_weight", "words"),
    [
        ("equal", "'balanced'"),
        ([1, 2, 3], "dictionary"),
        ({0: -1}, r"class_weight\[0\]"),
        ({0: "a"}, r"class_weight\[0\]"),
        ({7: 2}, "the class 7; accepted: the classes"),
        ({0: 0, 1: 0, 2: 0}, "all zero"),
    ],
)
def test_class_weights_that_are_none_are_refused(class_weight, words):
    with pytest.raises(InputError, match=words):
        EDClassifier(**ONE_BATCH, class_weight=class_weight).fit(X, CLASSES)


def test_classes_that_a_part_of_the_samples_lacks_may_have_weights():
    rows = CLASSES < 2
    EDClassifier(**ONE_BATCH, class_weight={0: 1, 1: 2, 2: 3}).fit(X[rows], CLASSES[rows])


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_partial_fit_are_factors_as_they_are(kind):
    make, y = KINDS[kind]
    more = {"classes": np.unique(y)} if y.ndim == 1 and make is EDClassifier else {}
    options = ONE_BATCH | {"batch_size": 7, "shuffle": False}
    kept = np.flatnonzero(COUNTS)

    def learnt(weight, rows=slice(None)):
        estimator = make(**options).partial_fit(X, y, **more)
        return estimator.partial_fit(X[rows], y[rows], sample_weight=weight)

    plain, once, twice = learnt(None), learnt(np.ones(24)), learnt(np.full(24, 2))
    assert (outputs(plain) == outputs(once)).all()
    assert abs(outputs(plain) - outputs(twice)).max() > 1e-4
    assert (outputs(learnt(COUNTS)) == outputs(learnt(COUNTS[kept], kept))).all()
    assert twice.n_iter_ == 2
    assert twice.ed_.epochs.tolist() == [2] * twice.ed_.network.heads


def test_class_weights_hold_in_partial_fit_for_a_call_with_one_class():
    options = ONE_BATCH | {"shuffle": False}
    some = np.flatnonzero(CLASSES == 1)
    found = []
    for weights in (None, {1: 5}):
        classifier = EDClassifier(**options).partial_fit(X, CLASSES, classes=[0, 1, 2])
        before = outputs(classifier)
        classifier.set_params(class_weight=weights)
        found.append(abs(outputs(classifier.partial_fit(X[some], CLASSES[some])) - before).max())
    assert found[1] > 1.7 * found[0]


def test_class_weights_of_a_part_are_not_balanced():
    with pytest.raises(InputError, match=r"^class_weight: given 'balanced' with partial_fit.*compute_class_weight"):
        EDClassifier(class_weight="balanced").partial_fit(X, CLASSES, classes=[0, 1, 2])


@pytest.mark.parametrize("make", [EDClassifier, EDRegressor])
@pytest.mark.parametrize("weight", [np.ones(3), -np.ones(24), np.zeros(24), np.full(24, np.nan), ["a"] * 24])
def test_weights_that_are_none_are_refused(make, weight):
    estimator = make(**ONE_BATCH).fit(X, CLASSES)
    before = outputs(estimator)
    for fit in (estimator.fit, estimator.partial_fit):
        with pytest.raises(InputError, match="^sample_weight"):
            fit(X, CLASSES, sample_weight=weight)
    assert (outputs(estimator) == before).all()


def test_weights_of_any_library_are_taken(monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    torch = pytest.importorskip("torch")
    expected = outputs(EDClassifier(**ONE_BATCH).fit(X, CLASSES, COUNTS))
    with config_context(array_api_dispatch=True):
        x, classifier = torch.asarray(X), EDClassifier(**(ONE_BATCH | {"backend": "auto"}))
        classifier.fit(x, torch.asarray(CLASSES), torch.asarray(COUNTS))
        found = classifier.predict_proba(x)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_adaboost_and_calibration_work_with_weights():
    x, x_test, y, y_test = imbalanced(0.4)
    weak = EDClassifier(4, max_iter=3, random_state=0, backend="numpy")
    boosted = AdaBoostClassifier(weak, n_estimators=8, random_state=0).fit(x, y)
    assert len(boosted.estimators_) > 1
    assert boosted.score(x_test, y_test) > weak.fit(x, y).score(x_test, y_test)
    options = {"hidden_width": 8, "max_iter": 10, "random_state": 0, "backend": "numpy"}
    regressor = AdaBoostRegressor(EDRegressor(**options), n_estimators=4, random_state=0)
    assert regressor.fit(x, x[:, 0] - x[:, 1]).score(x_test, x_test[:, 0] - x_test[:, 1]) > 0.8
    for weight in (None, np.where(y, 3.0, 1.0)):
        calibrated = CalibratedClassifierCV(EDClassifier(**options), cv=3).fit(x, y, weight)
        assert calibrated.score(x_test, y_test, np.where(y_test, 3, 1)) > 0.7
    search = GridSearchCV(weak, {"class_weight": [None, "balanced"]}, cv=2).fit(x, y, sample_weight=np.ones(len(y)))
    assert search.best_score_ > 0.6
