"""The controls: hidden layers that stay as they began, and readouts of untrained cells."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import edcore
from edcore.comparison.baselines import Baseline
from edcore.comparison.controls import Readout, SteppedReadout, freeze, hidden_activities
from edcore.diagnostics.gradient import forward
from edcore.model.classes import accuracy, targets

random = np.random.default_rng(0)
X = random.random((200, 5))
Y = (X[:, 0] + X[:, 1] > 1).astype(int)


def ed_of(**options):
    given = {"dtype": "float64", "seed": 3, "u0": 20.0, "backend": "numpy"} | options
    return edcore.ED(5, 16, 1, **given)


@pytest.mark.parametrize("rule", ["signed", "split", "modulo"])
def test_of_a_frozen_network_only_the_output_layer_learns(rule):
    ed = ed_of(rule=rule)
    before = ed.weights
    assert freeze(ed) is ed
    ed.fit(X, Y, epochs=2, batch_size=20)
    for key, value in ed.weights.items():
        assert np.array_equal(value, before[key]) == (not key.startswith("output")), key


@pytest.mark.parametrize("options", [{}, {"heads": 3}, {"depth0": True}, {"outputs": 2}, {"rms": True}])
def test_the_activities_are_those_of_the_last_hidden_layer(options):
    depth = 0 if options.pop("depth0", False) else 2
    ed = edcore.ED(5, 4, depth, dtype="float64", seed=1, backend="numpy", **options)
    x = np.tile(X, (6, 1))  # more than are computed at once
    found = hidden_activities(ed.network, ed.weights, x)
    assert found.shape == (ed.network.heads, 1200, 8)
    np.testing.assert_array_equal(found[:, :200], forward(ed.network, ed.weights, X)[-2].y)
    np.testing.assert_array_equal(found[:, 1000:], found[:, :200])


def test_a_readout_of_two_classes_is_logistic_regression_on_standardised_cells():
    ed = ed_of()
    readout = Readout(ed, penalty=0.5).fit(X, Y)
    (cells,) = hidden_activities(ed.network, ed.weights, X)
    expected = make_pipeline(StandardScaler(), LogisticRegression(C=2, max_iter=1000)).fit(cells, Y)
    np.testing.assert_allclose(readout.predict(X), expected.predict_proba(cells)[:, 1])
    assert accuracy(readout, X, Y) > 0.8
    assert readout.epochs.tolist() == [1]


@pytest.mark.parametrize("shape", [{"heads": 3}, {"outputs": 3}])
def test_a_readout_of_more_classes(shape):
    y = Y + (X[:, 2] > 0.6)
    readout = Readout(ed_of(**shape)).fit(X, targets(y, 3))
    assert readout.predict(X).shape == (200, 3)
    assert accuracy(readout, X, y) > 0.6


def test_a_class_that_is_not_there_is_never_predicted():
    readout = Readout(ed_of(outputs=3)).fit(X, targets(2 * Y, 3))
    assert set(readout.predict(X).argmax(axis=1)) == {0, 2}
    alone = Readout(ed_of(heads=2)).fit(X, targets(0 * Y, 2))
    np.testing.assert_array_equal(alone.predict(X), np.tile([1.0, 0.0], (200, 1)))


def test_targets_that_are_no_classes_are_read_by_ridge():
    ed = ed_of(output_activation="linear", outputs=2)
    target = np.stack([X[:, 0], 3 * X[:, 1]], axis=1)
    errors = [abs(Readout(ed, penalty).fit(X, target).predict(X) - target).mean() for penalty in (0.01, 1e6)]
    assert errors[0] < 0.5 * errors[1]


def test_a_stepped_readout_moves_the_output_layer_down_the_gradient():
    ed = ed_of(u0=2.0)
    readout = SteppedReadout(ed, 0.5)
    before = np.square(readout.predict(X) - Y).mean()
    readout.fit(X, Y, epochs=20, batch_size=20)
    assert np.square(readout.predict(X) - Y).mean() < before
    for key, value in ed.weights.items():
        assert np.array_equal(value, readout.weights[key]) == (not key.startswith("output")), key
    assert (readout.weights["output.weight"] < 0).any()
    assert readout.epochs.tolist() == [20]


@pytest.mark.parametrize("shape", [{"heads": 3}, {"heads": 2, "outputs": 3, "output_activation": "linear"}])
def test_a_stepped_readout_takes_the_steps_of_back_propagation_without_those_of_hidden_layers(shape):
    ed = ed_of(**shape, u0=2.0, n_bias=2)
    target = random.random((200, ed.network.columns))
    readout = SteppedReadout(ed, 0.3)
    weights = {key: value.copy() for key, value in readout.weights.items()}
    other = Baseline(ed.network, "back-propagation", (0.0, 0.3), 3)
    other.weights = weights
    for one in (readout, other):
        one.fit(X, target, epochs=3, batch_size=30).fit(X, target, batch_size=30)
    for key, value in other.weights.items():
        np.testing.assert_allclose(readout.weights[key], value, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(readout.predict(X), other.predict(X), rtol=1e-9)


def test_heads_of_a_stepped_readout_stop_by_themselves():
    target = np.stack([X[:, 0] > 2, Y], axis=1).astype(float)  # the first has one class, which is soon learnt
    readout = SteppedReadout(ed_of(heads=2, u0=2.0), 0.3).fit(X, target, epochs=9, tolerance=30.0)
    stopped, going = readout.epochs
    assert 0 < stopped < going == 9
    alone = SteppedReadout(ed_of(heads=2, u0=2.0), 0.3).fit(X, target, epochs=int(stopped))
    np.testing.assert_allclose(readout.weights["output.weight"][0], alone.weights["output.weight"][0], rtol=1e-9)
