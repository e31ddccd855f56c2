"""Features and targets of any size and any dtype are learnt as those between 0 and 1, or refused with a sentence."""

import copy
import warnings

import numpy as np
import pytest

from edcore import EDClassifier, EDRegressor
from edcore.errors import InputError
from edcore.estimators import samples

OPTIONS = {"max_iter": 30, "backend": "numpy", "random_state": 0}
X = np.random.default_rng(0).random((80, 4))
Y = X @ [1.0, 2.0, 3.0, -1.0]
LONG = np.finfo(np.longdouble).bits > 64


SIZES = [
    *((1, 0), (1e23, 0), (1e-23, 0), (1e60, 0), (1e-60, 0), (1e140, 1e141), (1e-140, 0)),
    *((1, 1e4), (100, 1.7e9), (1, 2e7), (1e3, 1e12), (1, -1e9), (1e-3, 1e9), (1e6, 1.7e18)),
]


def check_any_size_of_y(kind, dtype, sizes):
    """Check that a regressor predicts factor · y + offset as well as y, in float64, for each factor and offset."""
    x = X.astype(dtype)
    expected = EDRegressor(**OPTIONS).fit(X, Y).predict(X)
    assert np.corrcoef(expected, Y)[0, 1] > 0.99
    for factor, offset in sizes:
        predicted = kind(**OPTIONS).fit(x, factor * Y + offset).predict(x).astype(float)
        rounding = 4 * np.spacing(abs(offset)) / factor  # of y itself
        np.testing.assert_allclose((predicted - offset) / factor, expected, atol=0.01 + rounding)


class Rounding(EDRegressor):
    """The old fault: y has X's precision before it is standardised."""

    def fit(self, X, y):  # noqa: N803
        return super().fit(X, y.astype(X.dtype))

    def predict(self, X):  # noqa: N803
        return super().predict(X).astype(X.dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_targets_of_any_size(dtype):
    check_any_size_of_y(EDRegressor, dtype, SIZES)


@pytest.mark.parametrize("size", [(100, 1.7e9), (1, 2e7), (1e3, 1e12), (1e-60, 0)])
def test_the_check_finds_targets_that_are_rounded_first(size):
    with pytest.raises(AssertionError):
        check_any_size_of_y(Rounding, "float32", [size])


def test_what_the_network_learns_is_standardised_in_float64(monkeypatch):
    seen, fit = [], samples.fit_epoch
    monkeypatch.setattr(samples, "fit_epoch", lambda ed, x, y, **k: (seen.append(y), fit(ed, x, y, **k))[1])
    y = 1.7e9 + 100 * np.stack([Y, Y**2], axis=1)
    regressor = EDRegressor(**OPTIONS).fit(X.astype("float32"), y)
    exact = y.astype(np.longdouble)
    expected = (exact - exact.mean(axis=0)) / exact.std(axis=0)
    assert seen[0].dtype == "float32"
    np.testing.assert_allclose(seen[0], expected.astype(float), atol=1e-5)
    np.testing.assert_allclose(regressor.y_mean_, exact.mean(axis=0).astype(float), rtol=1e-15)
    assert regressor.y_mean_.dtype == regressor.y_scale_.dtype == "float64"


@pytest.mark.parametrize(
    ("y", "dtype"),
    [(Y, "float32"), (Y + 1e3, "float32"), (Y + 1e6, "float64"), (Y * 1e-35, "float64"), (Y * 0 + 5, "float32")],
)
def test_predictions_are_as_long_as_they_need_to_be(y, dtype):
    assert EDRegressor(**OPTIONS).fit(X.astype("float32"), y).predict(X).dtype == dtype
    assert EDRegressor(**OPTIONS).fit(X, y).predict(X).dtype == "float64"


@pytest.mark.parametrize("value", [7.0, 0.1, -1e23, 1e-300, 2**53 + 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_target_with_a_single_value_is_predicted_exactly(value, dtype):
    y = np.stack([Y, np.full(80, value)], axis=1)
    regressor = EDRegressor(warm_start=True, **OPTIONS).fit(X.astype(dtype), y)
    predicted = regressor.predict(X)
    assert (predicted[:, 1] == value).all()
    assert np.corrcoef(predicted[:, 0], Y)[0, 1] > 0.99
    assert (regressor.y_scale_[1], regressor.y_mean_[1]) == (0, value)
    regressor.fit(X.astype(dtype), y)
    y[3, 1] += abs(value)
    with pytest.raises(InputError, match=r"^y: given a target that varies; accepted: its one value.* warm_start=False"):
        regressor.fit(X.astype(dtype), y)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (Y * 1e200, "variance is too large for float64"),
        (Y * 1e-200, "variance is too small for float64"),
        (2**60 + (100 * Y).astype("int64"), "int64 values whose differences float64 rounds away"),
        (np.uint64(2**63) + (100 * Y).astype("uint64"), "uint64 values whose differences float64 rounds away"),
        (np.datetime64("2026-01-01") + (100 * Y).astype("timedelta64[s]"), r"dtype datetime64\[s\]"),
        ((100 * Y).astype("timedelta64[s]"), r"dtype timedelta64\[s\]"),
        pytest.param(
            np.longdouble(2**63) + Y,
            "float128 values whose differences float64 rounds",
            marks=pytest.mark.skipif(not LONG, reason="longdouble is float64 here"),
        ),
    ],
)
def test_targets_that_float64_cannot_hold_are_refused(y, words):
    with pytest.raises(InputError, match=f"^y: given .*{words}"):
        EDRegressor(**OPTIONS).fit(X, y)


def test_whole_numbers_are_learnt_where_rounding_does_not_matter():
    stamps = 1_700_000_000_000_000_000 + (Y * 1e15).astype("int64")  # nanoseconds of some weeks
    assert EDRegressor(**OPTIONS).fit(X, stamps).score(X, stamps) > 0.95
    x = 1_700_000_000_000_000_000 + (X * 1e15).astype("int64")
    assert EDRegressor(**OPTIONS).fit(x, Y).score(x, Y) > 0.95
    keys = np.full((80, 4), 2**60 + 1)  # constant
    assert np.array_equal(EDRegressor(**OPTIONS).fit(keys, Y).data_min_, [2.0**60] * 4)


def test_later_targets_beyond_float32_are_refused():
    regressor = EDRegressor(warm_start=True, **OPTIONS).fit(X.astype("float32"), Y)
    with pytest.raises(InputError, match=r"^y: given values too far from the mean of the first call for float32"):
        regressor.fit(X.astype("float32"), Y + 1e60)


# Features


@pytest.mark.parametrize(
    ("dtype", "factor", "offset"),
    [
        *(("float32", factor, 0) for factor in (1e23, 1e-23, -1e38, 1e-40)),
        *(("float64", factor, 0) for factor in (1e23, 1e-23, 1e300, 1e-300, 1e-310)),
        *(("float64", 1, offset) for offset in (1e9, -1e9, 1e12)),
        *(("float32", 1, offset) for offset in (1e3, -1e3)),
    ],
)
def test_features_of_any_size(dtype, factor, offset):
    expected = EDClassifier(**OPTIONS).fit(X, Y > 2.5).predict_proba(X if factor > 0 else 1 - X)
    x = (factor * (X if factor > 0 else 1 - X) + offset).astype(dtype)
    if factor < 0:
        x = x - np.float32(factor)  # the same as (1 - X) · factor, mirrored: features rise again
        expected = EDClassifier(**OPTIONS).fit(X, Y > 2.5).predict_proba(X)
    found = EDClassifier(**OPTIONS).fit(x, Y > 2.5).predict_proba(x)
    np.testing.assert_allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("kind", [EDClassifier, EDRegressor])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("value", [2025, 0, -3, 10**15])
def test_a_feature_that_was_constant_is_ignored_for_good(kind, dtype, value):
    x = np.floor(1000 * X).astype(dtype)
    x[:, 3] = value
    estimator = kind(warm_start=True, **OPTIONS).fit(x, Y > 2.5)
    ask = estimator.predict_proba if kind is EDClassifier else estimator.predict
    expected, other = ask(x), copy.deepcopy(estimator)
    changed = x.copy()
    for new in (value + 1, value - 1, 10 * value + 7, 2**31, -(2**31)):
        changed[:, 3] = new
        assert np.array_equal(ask(changed), expected)
    if dtype != "int64":
        for new in (1e38, -1e38, np.finfo(dtype).max, np.finfo(dtype).tiny):
            changed[:, 3] = new
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert np.array_equal(ask(changed), expected)
    estimator.fit(changed, Y > 2.5)  # so it is when learning goes on
    other.fit(x, Y > 2.5)
    assert np.array_equal(ask(x), (other.predict_proba if kind is EDClassifier else other.predict)(x))


def test_far_beyond_the_range_is_its_edge():
    x = X.astype("float32")
    regressor = EDRegressor(**OPTIONS).fit(x, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sign, edge in ((1, regressor.data_max_), (-1, regressor.data_min_)):
            for size, dtype in ((3e38, "float32"), (1e300, "float64"), (2**62, "int64")):
                far = np.full((1, 4), sign * size, dtype)
                assert np.array_equal(regressor.predict(far), regressor.predict(edge[None]))


@pytest.mark.parametrize(
    ("dtype", "precision"),
    [
        (">f4", "float32"),
        (">f8", "float64"),
        ("<f8", "float64"),
        ("float16", "float32"),
        (">i2", "float64"),
        ("longdouble", "float64"),
    ],
)
def test_precision_is_that_of_x_in_any_byte_order(dtype, precision):
    x = np.round(X * 64).astype(dtype)
    native = x.astype(precision)
    for kind, y in ((EDClassifier, Y > 2.5), (EDRegressor, Y)):
        estimator = kind(**OPTIONS).fit(x, y)
        assert estimator.ed_.network.dtype == precision
        assert np.array_equal(estimator.predict(x), kind(**OPTIONS).fit(native, y).predict(native))


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (2**60 + (1000 * X).astype("int64"), "int64 values whose differences float64 rounds away"),
        (np.datetime64("2026-01-01") + (100 * X).astype("timedelta64[D]"), r"dtype datetime64\[D\]"),
        ((100 * X).astype("timedelta64[D]"), r"dtype timedelta64\[D\]"),
        (
            [[10**20 + round(1000 * value) for value in row] for row in X],
            "values whose differences float64 rounds away",
        ),
        (np.where(X > 0.5, 3.3e38, -3.3e38).astype("float32"), "range is too wide for float32"),
        *(
            pytest.param(x, words, marks=pytest.mark.skipif(not LONG, reason="longdouble is float64 here"))
            for x, words in (
                (X.astype("longdouble") + 2**62, "float128 values whose differences float64 rounds away"),
                (X.astype("longdouble") * np.longdouble(2) ** 2000, "values too large for float64"),
            )
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in reduce")  # in scikit-learn's search for infinity
def test_features_that_float64_cannot_hold_are_refused(x, words):
    for kind in (EDClassifier, EDRegressor):
        with pytest.raises(InputError, match=f"^X: given .*{words}"):
            kind(**OPTIONS).fit(x, Y > 2.5)


@pytest.mark.parametrize("given", [(1e9, 1e9 + 1), (0, 1e-50), (0, 1e300), ([0, 0, 0, 0], [1, 1, 1, 1e-60])])
def test_a_range_whose_ends_are_one_number_in_the_precision_of_x_is_refused(given):
    x = np.zeros((80, 4), "float32")
    with pytest.raises(InputError, match=r"^input_range: given .* float32, .*; accepted: .* Convert X to float64"):
        EDRegressor(input_range=given, **OPTIONS).fit(x, Y)


@pytest.mark.parametrize("given", [("0", "1"), (False, True), (b"0", b"1"), (0, 1j), ([0, 0, 0, "0"], 1), (None, 1)])
def test_a_range_of_no_numbers_is_refused(given):
    with pytest.raises(InputError, match=r"^input_range: given .*; accepted: 'data', None, "):
        EDRegressor(input_range=given, **OPTIONS).fit(X, Y)


def test_a_pickle_from_before_features_were_standardised_predicts_and_goes_on():
    classifier = EDClassifier(rule="split", warm_start=True, **OPTIONS).fit(X, Y > 2.5)
    state = copy.deepcopy(classifier.__getstate__())
    for name in ("class_weight", "data_mean_", "data_std_", "_power", "_end", "_waiting"):
        del state[name]
    old = EDClassifier.__new__(EDClassifier)
    old.__setstate__(state)
    assert np.array_equal(old.predict_proba(X), classifier.predict_proba(X))
    assert old.get_params() == classifier.get_params()
    assert np.array_equal(old.fit(X, Y > 2.5).predict_proba(X), classifier.fit(X, Y > 2.5).predict_proba(X))
