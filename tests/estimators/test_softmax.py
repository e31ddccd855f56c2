"""Softmax outputs of the classifier: probabilities of one network for all classes."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits

import edcore
from edcore import EDClassifier
from edcore.errors import EDCoreError, InputError

X, Y = (part[:600] for part in load_digits(return_X_y=True))


def make(**parameters):
    return EDClassifier(
        **{"max_iter": 5, "random_state": 0, "output_activation": "softmax", "backend": "numpy"} | parameters
    )


def test_shares_are_the_outputs_of_one_network():
    model = make().fit(X, Y)
    network = model.ed_.network
    assert (network.heads, network.outputs, network.output_activation) == (1, 10, "softmax")
    shares = model.predict_proba(X)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert (model.classes_[shares.argmax(axis=1)] == model.predict(X)).all()
    assert model.score(X, Y) > 0.9


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"class_weight": "balanced"}, {"rule": "modulo"}])
def test_two_classes_have_an_output_each(options):
    rows = Y < 2
    labels = np.array(["no", "yes"])[Y[rows]]
    model = make(**options).fit(X[rows], labels)
    assert model.ed_.network.outputs == 2
    assert model.predict_proba(X[rows]).shape == (rows.sum(), 2)
    assert model.score(X[rows], labels) > 0.95


def test_it_comes_back_from_a_file_and_a_pickle(tmp_path):
    model = make().fit(X, Y)
    edcore.io.save(model, tmp_path / "model.safetensors")
    for again in (edcore.io.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))):
        assert again.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()


def test_more_is_learnt_of_a_part_of_the_classes():
    model = make().partial_fit(X, Y, classes=range(12))
    assert model.predict_proba(X).shape == (600, 12)
    model.partial_fit(X[Y < 3], Y[Y < 3])


@pytest.mark.parametrize(
    ("parameters", "y", "words"),
    [
        ({"rule": "split"}, Y, "output_activation: given 'softmax' with rule='split'.*'modulo'"),
        ({"rule": edcore.Rule("split")}, Y, "output_activation: given 'softmax' with rule=Rule"),
        ({}, np.eye(10, dtype=int)[Y], "output_activation: given 'softmax' with a matrix y"),
        ({"hidden_width": 9}, Y, "at least 10, the number of outputs"),
    ],
)
def test_what_softmax_excludes_is_refused(parameters, y, words):
    with pytest.raises(InputError, match=words):
        make(**parameters).fit(X, y)


@pytest.mark.parametrize("value", ["tanh", "softmx", 1])
def test_other_activations_of_outputs_are_refused(value):
    with pytest.raises(EDCoreError, match="output_activation: given .*'sigmoid', 'softmax'"):
        make(output_activation=value).fit(X, Y)
