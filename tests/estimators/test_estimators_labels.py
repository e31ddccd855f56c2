"""Several labels a sample: a matrix of 0 and 1 as y."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score

import edcore
from edcore import EDClassifier
from edcore.errors import InputError

X, Y = make_multilabel_classification(200, 8, n_classes=3, random_state=0)
OPTIONS = {"hidden_width": 12, "max_iter": 40, "random_state": 0, "backend": "numpy"}


@pytest.fixture(scope="module")
def classifier():
    return EDClassifier(**OPTIONS).fit(X, Y)


def test_each_label_is_predicted_by_an_output(classifier):
    shares, labels = classifier.predict_proba(X), classifier.predict(X)
    assert shares.shape == labels.shape == Y.shape
    assert (labels == (shares > 0.5)).all()
    assert labels.dtype.kind == "i"
    assert labels.sum(axis=1).max() > 1
    assert classifier.ed_.network.heads == 3
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert classifier.score(X, Y) == accuracy_score(Y, labels) > 0.6


def test_each_label_is_learnt_as_it_would_be_alone(classifier):
    alone = EDClassifier(**OPTIONS).fit(X, Y[:, 0])
    np.testing.assert_allclose(alone.predict_proba(X)[:, 1], classifier.predict_proba(X)[:, 0], atol=1e-9)


@pytest.mark.parametrize("form", [list, np.asarray, sparse.csr_array, sparse.csc_matrix, lambda y: y.astype(bool)])
def test_a_matrix_in_any_form_is_taken(classifier, form):
    found = EDClassifier(**OPTIONS).fit(X, form(Y))
    assert (found.predict_proba(X) == classifier.predict_proba(X)).all()


def test_a_table_of_pandas_is_taken(classifier):
    pandas = pytest.importorskip("pandas")
    found = EDClassifier(**OPTIONS).fit(X, pandas.DataFrame(Y, columns=["a", "b", "c"]))
    assert (found.predict_proba(X) == classifier.predict_proba(X)).all()


def test_one_network_has_all_labels_under_modulo():
    modulo = EDClassifier(**OPTIONS | {"rule": "modulo"}).fit(X, Y)
    assert (modulo.ed_.network.heads, modulo.ed_.network.outputs) == (1, 3)
    assert modulo.predict(X).shape == Y.shape


def test_partial_fit_needs_no_classes_and_the_number_of_labels_stays():
    classifier = EDClassifier(**OPTIONS).partial_fit(X, Y).partial_fit(X, Y, classes=[0, 1, 2])
    assert classifier.n_iter_ == 2
    with pytest.raises(InputError, match=r"^y: given 2 labels; accepted: 3, as in the first call"):
        classifier.partial_fit(X, Y[:, :2])
    with pytest.raises(InputError, match=r"^y: .*accepted: a matrix of labels"):
        classifier.partial_fit(X, Y[:, 0])
    with pytest.raises(InputError, match=r"^classes: .*its columns, \[0, 1, 2\]"):
        EDClassifier(**OPTIONS).partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(InputError, match=r"^y: .*one class a sample, as"):
        EDClassifier(**OPTIONS).partial_fit(X, Y[:, 0], classes=[0, 1]).partial_fit(X, Y)


@pytest.mark.parametrize("y", [Y + 1, Y * 0.5, np.where(Y, "yes", "no"), Y - 1])
def test_matrices_of_other_values_are_refused(y):
    with pytest.raises(InputError, match=r"^y: given .*accepted: one class a sample, or a matrix .* of 0 and 1"):
        EDClassifier(**OPTIONS).fit(X, y)


def test_class_weights_are_for_classes():
    with pytest.raises(InputError, match=r"^class_weight: given 'balanced' with a matrix y"):
        EDClassifier(**OPTIONS, class_weight="balanced").fit(X, Y)


def test_labels_go_through_early_stopping_selection_pickles_and_files(tmp_path, classifier):
    stopped = EDClassifier(**OPTIONS, early_stopping=True, validation_fraction=0.2).fit(X, Y)
    assert 0 <= stopped.best_validation_score_ <= 1
    assert len(cross_val_score(EDClassifier(**OPTIONS), X, Y, cv=2)) == 2
    expected = classifier.predict_proba(X)
    assert (pickle.loads(pickle.dumps(classifier)).predict_proba(X) == expected).all()
    edcore.io.save(classifier, tmp_path / "labels.safetensors")
    assert (edcore.io.load(tmp_path / "labels.safetensors").predict(X) == classifier.predict(X)).all()


def test_a_column_is_one_class_a_sample():
    with pytest.warns(match="column-vector"):
        classifier = EDClassifier(**OPTIONS).fit(X, Y[:, :1])
    assert classifier.predict(X).shape == (200,)


def test_labels_and_samples_have_weights():
    kept = np.arange(200) % 3 > 0
    found = EDClassifier(**OPTIONS).fit(X, Y, kept)
    assert (found.predict_proba(X) == EDClassifier(**OPTIONS).fit(X[kept], Y[kept]).predict_proba(X)).all()


@pytest.mark.parametrize("y", [np.ones(200, int), ["only"] * 200])
def test_one_class_is_refused_by_name(y):
    with pytest.raises(InputError, match=r"^y: given only one class, ('only'|1); accepted: at least two classes"):
        EDClassifier(**OPTIONS).fit(X, y)
