"""Estimators with layers of several widths."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from edcore import datasets, io
from edcore.errors import InputError
from edcore.estimators import EDClassifier, EDRegressor


@pytest.fixture(scope="module")
def digits():
    return datasets.digits(classes=(0, 1, 2))


@pytest.mark.parametrize("width", [(16, 8), [16, 8], np.array([16, 8])])
def test_several_widths(digits, width, tmp_path):
    estimator = EDClassifier(width, max_iter=3, random_state=0, backend="numpy")
    assert clone(estimator).get_params()["hidden_width"] is not None
    estimator.fit(digits.x_train, digits.y_train)
    assert estimator.hidden_width is width
    assert (estimator.ed_.network.width, estimator.ed_.network.depth) == ((16, 8), 1)
    assert estimator.score(digits.x_test, digits.y_test) > 0.8
    expected = estimator.predict(digits.x_test)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(estimator)).predict(digits.x_test), expected)
    io.save(estimator, tmp_path / "e.safetensors")
    np.testing.assert_array_equal(io.load(tmp_path / "e.safetensors").predict(digits.x_test), expected)


def test_the_widths_say_the_depth(digits):
    estimator = EDRegressor((6,), max_iter=1, backend="numpy").fit(digits.x_train, digits.y_train)
    assert estimator.ed_.network.depth == 0
    estimator.set_params(hidden_width=(6, 3, 4)).fit(digits.x_train, digits.y_train)
    assert estimator.ed_.network.width == (6, 3, 4)
    with pytest.raises(InputError, match="hidden_depth: given 0; accepted: 2, beside 3 widths"):
        estimator.set_params(hidden_depth=0).fit(digits.x_train, digits.y_train)
    with pytest.raises(InputError, match="hidden_width: given other values than those of the trained network"):
        estimator.set_params(hidden_depth=None, hidden_width=(6, 3, 5), warm_start=True).fit(
            digits.x_train, digits.y_train
        )
