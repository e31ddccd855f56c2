"""scikit-learn's own checks on the estimators, and arrays of other libraries."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.utils.estimator_checks import parametrize_with_checks

from edcore import EDClassifier, EDRegressor
from edcore.arrays import unavailable
from edcore.errors import InputError

# Smaller than by default, as the checks learn some hundred times; it is enough for the accuracies that are asked for.
# A batch holds all samples of the checks that compare weights with samples that are repeated: else the batches differ.
CHECKED = [
    EDClassifier(24, max_iter=15, batch_size=64, backend="numpy"),
    EDClassifier(24, max_iter=20, batch_size=64, rule="modulo", backend="numpy"),
    EDRegressor(24, max_iter=60, batch_size=64, backend="numpy"),
]


@pytest.fixture(autouse=True)
def array_api(monkeypatch):
    """Have scikit-learn accept array libraries; it asks the environment, for SciPy's sake, which is not used here."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


def expected_failures(estimator):
    """A centred rule leaves out the mean error, so it learns nothing of a class that has all the weight."""
    return {"check_class_weight_classifiers": "centred"} if estimator.rule == "modulo" else {}


@parametrize_with_checks(CHECKED, expected_failed_checks=expected_failures)
def test_scikit_learns_checks(estimator, check):
    on_a_gpu = getattr(check, "keywords", {}).get("array_namespace") == "cupy"
    if on_a_gpu and (reason := unavailable("cupy", "cuda")):
        pytest.skip(reason)  # the check itself does so only where CuPy is not installed
    check(estimator)


@pytest.fixture(params=["torch", "array_api_strict"])
def xp(request):
    return pytest.importorskip(request.param)


@pytest.fixture
def samples():
    random = np.random.default_rng(0)
    x = random.normal(5, 3, (60, 4)).astype("float32")
    return x, x[:, 0] + x[:, 1] - x[:, 2]


def array(xp, values):
    return xp.asarray(values.copy())


def test_a_regressor_on_any_library_is_that_on_numpy(xp, samples):
    x, y = samples
    regressor = EDRegressor(max_iter=3, random_state=0)
    expected = regressor.fit(x, y).predict(x)
    with config_context(array_api_dispatch=True):
        found = regressor.fit(array(xp, x), array(xp, y)).predict(array(xp, x))
        score = regressor.score(array(xp, x), array(xp, y))
    assert type(found) is type(array(xp, x))
    assert found.dtype == xp.float32
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-3, atol=1e-3)
    assert isinstance(score, float)
    assert type(regressor.y_mean_) is type(found)


def test_a_score_of_arrays_of_jax_is_that_of_numpys(samples, monkeypatch):
    jax = pytest.importorskip("jax.numpy")
    x, y = samples
    y, weight = np.stack([y, x[:, 0]], axis=1), np.arange(60.0, dtype="float32")
    regressor = EDRegressor(4, max_iter=1, random_state=0, backend="numpy").fit(x, y)
    expected, predicted = regressor.score(x, y, weight), jax.asarray(regressor.predict(x))
    monkeypatch.setattr(regressor, "predict", lambda given: predicted)  # to learn by JAX would take seconds
    with config_context(array_api_dispatch=True):
        found = regressor.score(jax.asarray(x), jax.asarray(y), jax.asarray(weight))
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("options", [{}, {"early_stopping": True, "validation_fraction": 0.3}])
def test_a_classifier_on_any_library_is_that_on_numpy(xp, samples, options):
    x, y = samples
    labels = np.digitize(y, [3, 8]) + 5
    classifier = EDClassifier(max_iter=3, random_state=0, **options)
    expected = classifier.fit(x, labels).predict_proba(x)
    with config_context(array_api_dispatch=True):
        classifier.fit(array(xp, x), array(xp, labels))
        shares, told = classifier.predict_proba(array(xp, x)), classifier.predict(array(xp, x))
    np.testing.assert_allclose(np.asarray(shares), expected, rtol=1e-3, atol=1e-3)
    assert type(told) is type(shares) is type(array(xp, x))
    assert set(np.asarray(told).tolist()) <= {5, 6, 7}


def test_labels_that_are_no_numbers_come_back_as_numpys(xp, samples):
    x, y = samples
    labels = np.where(y > 5, "high", "low")
    with config_context(array_api_dispatch=True):
        classifier = EDClassifier(max_iter=20, random_state=0).fit(array(xp, x), labels)
        told = classifier.predict(array(xp, x))
    assert isinstance(told, np.ndarray)
    assert (told == labels).mean() > 0.8


def test_another_library_than_that_of_fit_is_refused(xp, samples):
    x, y = samples
    with config_context(array_api_dispatch=True):
        regressor = EDRegressor(max_iter=1, random_state=0).fit(array(xp, x), array(xp, y))
        with pytest.raises(InputError, match=r"^X: given .*numpy.*'cpu'; accepted: an array of .*EDRegressor\.predict"):
            regressor.predict(x)
    assert isinstance(regressor.predict(x), np.ndarray)  # with no dispatch all is NumPy's
