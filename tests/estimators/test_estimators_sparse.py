"""Sparse X: the same as dense X to the bit, in pieces, with memory for a piece."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from edcore import ED, EDClassifier, EDRegressor, Rule
from edcore.errors import DivergedError, InputError
from edcore.estimators import samples
from edcore.model.pieces import fit_in_pieces

RANDOM = np.random.default_rng(0)
DENSE = RANDOM.normal(size=(90, 7)) * (RANDOM.uniform(size=(90, 7)) < 0.4)
DENSE[:, 6] = 0  # a feature of a single value
CLASSES = (DENSE[:, 0] > 0) + 2 * (DENSE[:, 1] > 0)
TARGET = DENSE[:, 0] - DENSE[:, 1]
WEIGHT = RANDOM.integers(0, 3, 90)
OPTIONS = {"hidden_width": 6, "max_iter": 3, "random_state": 0, "backend": "numpy"}
FORMS = ["csr_array", "csc_array", "csr_matrix", "csc_matrix", "coo_array", "lil_array"]


@pytest.fixture(params=[2**25, 9 * 7 * 8])
def piece(request, monkeypatch):
    """All at once, and some rows or features at a time: those of a piece need not fill whole batches."""
    monkeypatch.setattr(samples, "PIECE_BYTES", request.param)


def answers(estimator, x):
    return estimator.predict_proba(x) if isinstance(estimator, EDClassifier) else estimator.predict(x)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 4, "shuffle": False},
        {"early_stopping": True, "validation_fraction": 0.3},
        {"input_range": (-4, 4)},
        {"input_range": None},
        {"rule": "edla"},
        {"rule": Rule("split", order="online", alpha=0.1, alpha_output=0.1)},
    ],
    ids=str,
)
@pytest.mark.parametrize("make", [EDClassifier, EDRegressor])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:x has values below 0")
def test_sparse_is_dense_to_the_bit_in_one_piece_and_but_for_rounding_in_many(make, options, weight, piece):
    if make is EDRegressor and "rule" in options:
        options = {**options, "rule": Rule(alpha=0.01, alpha_output=0.01), "input_range": (-9, 9)}
    y = CLASSES if make is EDClassifier else TARGET
    dense = make(**OPTIONS | options).fit(DENSE, y, weight)
    thin = make(**OPTIONS | options).fit(sparse.csr_array(DENSE), y, weight)
    one_piece = samples.PIECE_BYTES == 2**25
    most = 0 if one_piece else 1e-9
    for key, value in dense.ed_.weights.items():
        np.testing.assert_allclose(thin.ed_.weights[key], value, rtol=0, atol=most)
    for name in ("loss_curve_", "validation_scores_"):
        np.testing.assert_allclose(*(np.array(getattr(each, name), float) for each in (thin, dense)), rtol=most)
    np.testing.assert_allclose(thin.ed_.x_range, dense.ed_.x_range, rtol=most)
    assert thin.ed_.epochs.tolist() == dense.ed_.epochs.tolist()
    np.testing.assert_allclose(answers(thin, sparse.csc_array(DENSE)), answers(dense, DENSE), rtol=1e-8)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_every_form_and_dtype_is_taken(form, dtype):
    values = DENSE.astype(dtype)
    given = getattr(sparse, form)(values)
    for method in ("fit", "partial_fit"):
        more = {"classes": [0, 1, 2, 3]} if method == "partial_fit" else {}
        dense = getattr(EDClassifier(**OPTIONS), method)(values, CLASSES, **more)
        thin = getattr(EDClassifier(**OPTIONS), method)(given, CLASSES, **more)
        np.testing.assert_allclose(thin.predict_proba(given), dense.predict_proba(values), rtol=1e-5, atol=1e-6)
        assert (thin.predict(given) == thin.predict(values)).all()
        assert thin.score(given, CLASSES) == thin.score(values, CLASSES)
        assert thin.predict_proba(given).dtype == dense.predict_proba(values).dtype


def test_memory_holds_a_piece(monkeypatch):
    monkeypatch.setattr(samples, "PIECE_BYTES", 2**17)
    x = sparse.random(2000, 500, 0.002, random_state=0, format="csr")  # 8 MB if it were dense
    y = (x[:, [0]].toarray()[:, 0] > 0).astype(int)
    y[:2] = 0, 1
    classifier = EDClassifier(4, max_iter=1, batch_size=32, random_state=0, backend="numpy")
    for call in (lambda: classifier.fit(x, y), lambda: classifier.partial_fit(x, y), lambda: classifier.predict(x)):
        tracemalloc.start()
        call()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4e6


@pytest.mark.parametrize("method", ["fit", "predict"])
def test_values_that_are_not_finite_and_other_widths_are_refused(method):
    estimator = EDClassifier(**OPTIONS).fit(DENSE, CLASSES)
    wrong = sparse.csr_array(np.where(DENSE > 0, np.nan, 0))
    with pytest.raises(ValueError, match="NaN"):
        getattr(estimator, method)(*((wrong, CLASSES) if method == "fit" else (wrong,)))
    with pytest.raises(ValueError, match="features"):
        estimator.predict(sparse.csr_array((3, 5)))
    with pytest.raises(InputError, match=r"int64 values whose differences float64 rounds away"):
        estimator.fit(sparse.csr_array(np.array([[2**62, 0], [2**62 + 1, 0]])), [0, 1])


def test_an_epoch_that_diverges_in_a_later_piece_is_undone():
    ed = ED(7, 3, alpha=1e18, activation="linear", output_activation="linear", seed=0, backend="numpy")
    before, learnt = ed.weights, []

    def features(numbers):
        learnt.append(numbers)
        return DENSE[numbers]

    with pytest.raises(DivergedError):
        fit_in_pieces(ed, features, TARGET, piece=1, batch_size=1, shuffle=True)
    assert 1 < len(learnt) < len(TARGET)
    assert ed.epochs.tolist() == [0]
    for key, value in ed.weights.items():
        assert (value == before[key]).all()


def test_ctrl_c_in_a_piece_keeps_the_epochs_that_have_ended(monkeypatch):
    monkeypatch.setattr(samples, "PIECE_BYTES", 9 * 7 * 8)
    whole, calls = samples.Samples.dense, []

    def interrupted(self, numbers):
        calls.append(len(numbers))
        if len(calls) == 9:  # of six pieces in an epoch
            raise KeyboardInterrupt
        return whole(self, numbers)

    one = EDClassifier(**OPTIONS | {"max_iter": 1, "rule": "edla"}).fit(sparse.csr_array(DENSE), CLASSES)
    monkeypatch.setattr(samples.Samples, "dense", interrupted)
    classifier = EDClassifier(**OPTIONS | {"max_iter": 3, "rule": "edla"})
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(sparse.csr_array(DENSE), CLASSES)
    assert classifier.n_iter_ == 1
    assert classifier.ed_.epochs.max() == 1
    for key, value in one.ed_.weights.items():
        assert (classifier.ed_.weights[key] == value).all()


def test_the_sparse_table_of_an_encoder_is_taken():
    words = RANDOM.choice(["red", "green", "blue"], (200, 2))
    y = (words[:, 0] == "red") & (words[:, 1] != "blue")
    columns = make_column_transformer((OneHotEncoder(sparse_output=True), [0, 1]), sparse_threshold=1.0)
    assert sparse.issparse(columns.fit_transform(words))
    pipeline = make_pipeline(columns, EDClassifier(8, max_iter=30, random_state=0)).fit(words, y)
    assert pipeline.score(words, y) > 0.98
