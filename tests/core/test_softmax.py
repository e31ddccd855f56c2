"""Softmax outputs: what they are, how they learn, and where they are refused."""

import dataclasses

import numpy as np
import pytest

import edcore
from edcore import ED, Network, Rule
from edcore.contract.backend import known
from edcore.core import method as core
from edcore.core.activations import FUNCTIONS, register
from edcore.core.weights import initialise
from edcore.diagnostics.gradient import descent, forward, outputs
from edcore.dispatch.choose import choose_backend, make_request
from edcore.errors import DivergedError, InputError, UnknownNameError

NETWORK = Network(
    3, 6, depth=1, heads=2, outputs=3, u0=2.0, output_activation="softmax", activation="tanh", dtype="float64"
)
RANDOM = np.random.default_rng(0)
X, TARGET = RANDOM.random((5, 3)), np.tile(np.eye(3)[[0, 1, 2, 0, 1]], 2)


def make(**fields):
    fields = {"outputs": 3, "output_activation": "softmax", "seed": 1, "backend": "numpy", "dtype": "float64"} | fields
    return ED(3, 6, **fields)


def test_outputs_of_each_head_are_probabilities():
    weights = initialise(NETWORK, 1)
    sums = core.forward(dataclasses.replace(NETWORK, output_activation="linear"), weights, X).reshape(5, 2, 3)
    expected = np.exp(sums) / np.exp(sums).sum(axis=2, keepdims=True)
    found = core.forward(NETWORK, weights, X)
    np.testing.assert_allclose(found, expected.reshape(5, 6), rtol=1e-13)
    np.testing.assert_allclose(found.reshape(5, 2, 3).sum(axis=2), 1, rtol=1e-15)


@pytest.mark.parametrize("backend", ["loop", "numpy"])
def test_an_update_is_that_of_a_linear_output_layer(backend):
    backend = choose_backend(make_request(backend, None), NETWORK, Rule())
    linear = dataclasses.replace(NETWORK, output_activation="linear")
    learned = []
    for network in (NETWORK, linear):
        weights = backend.from_host(initialise(network, 1))
        _, trace = backend.trace(network, weights, X)
        learned.append(backend.to_host(backend.update(network, Rule(), weights, trace, TARGET - 0.25)))
    for key, value in learned[0].items():
        assert value.tobytes() == learned[1][key].tobytes()


def test_the_output_layer_follows_the_gradient_of_the_cross_entropy():
    weights = initialise(NETWORK, 1)

    def loss():
        return -np.sum(TARGET * np.log(core.forward(NETWORK, weights, X))) / len(X)

    states = forward(NETWORK, weights, X)
    found = descent(NETWORK, weights, states, TARGET - outputs(NETWORK, states))
    for key, place in (("output.weight", (1, 3, 2)), ("hidden.weight", (0, 0, 4, 7)), ("input.bias", (1, 0, 3))):
        before, step = weights[key][place], 1e-6
        ends = []
        for sign in (1, -1):
            weights[key][place] = before + sign * step
            ends.append(loss())
        weights[key][place] = before
        assert found[key][place] == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-3, abs=1e-9)
    _, trace = core.trace(NETWORK, weights, X)
    learned = core.update(NETWORK, Rule(alpha_output=1), weights, trace, TARGET - outputs(NETWORK, states))
    change = (learned["output.weight"] - weights["output.weight"])[..., :3]
    np.testing.assert_allclose(change, found["output.weight"][..., :3], atol=1e-15)


def test_it_learns_classes():
    data = edcore.datasets.xor()
    ed = ED(2, 16, 0, outputs=2, output_activation="softmax", activation="tanh", alpha=0.5, seed=1, backend="numpy")
    target = np.eye(2)[data.y_train]
    ed.fit(data.x_train, target, epochs=300)
    found = ed.predict(data.x_test)
    assert found.argmax(axis=1).tolist() == data.y_test.tolist()
    assert found.max(axis=1).min() > 0.9


def test_activities_have_the_outputs_and_updates_are_those_of_a_step():
    ed = make()
    cells = ed.activities(X)["output"]
    np.testing.assert_allclose(cells[0, :, :3], ed.predict(X), rtol=1e-12)
    before, change = ed.weights, ed.updates(X, TARGET[:, :3])
    ed.step(X, TARGET[:, :3])
    for key, value in ed.weights.items():
        np.testing.assert_allclose(value - before[key], change[key], atol=1e-12)


def test_it_comes_back_from_a_file(tmp_path):
    ed = make()
    edcore.io.save(ed, tmp_path / "softmax.safetensors")
    again = edcore.io.load(tmp_path / "softmax.safetensors", backend="numpy")
    assert again.network == ed.network
    assert again.predict(X).tobytes() == ed.predict(X).tobytes()


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"outputs": 1}, InputError, "outputs: given 1.*always 1.*outputs="),
        ({"outputs": 1, "heads": 3}, InputError, "outputs: given 1.*Heads are networks of their own"),
        ({"activation": "softmax"}, InputError, "activation: given 'softmax'.*output_activation='softmax'"),
        ({"output_activation": "sotfmax"}, UnknownNameError, "Did you mean 'softmax'"),
        ({"rule": "split"}, InputError, "outputs: given 3 with a split rule.*signed"),
    ],
)
def test_what_it_excludes_is_refused(fields, error, words):
    with pytest.raises(error, match=words):
        make(**fields)


def test_a_backend_that_lacks_it_is_not_taken():
    assert "no output_activation 'softmax'" in known(NETWORK, Rule())
    assert "no output_activation 'softmax'" in known(NETWORK, Rule(), output_activation=FUNCTIONS)


def test_targets_are_probabilities_too():
    with pytest.raises(InputError, match=r"target: .* 2\.0.*0 to 1.*softmax"):
        make().step(X, 2 * TARGET[:, :3])


def test_nobody_registers_its_name():
    with pytest.raises(InputError, match="softmax"):
        register("softmax", lambda z, u0: z, lambda y: y)


def test_sums_that_are_infinite_are_a_divergence():
    ed = make(activation="linear", dtype="float32")
    ed.load_weights({key: value * np.float32(1e18) for key, value in ed.weights.items()})
    with pytest.raises(DivergedError, match="layer"):
        ed.step(X.astype("float32"), TARGET[:, :3])
