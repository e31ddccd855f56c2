"""Categories as x: each column stands for a block of inputs of which one is 1."""

import numpy as np
import pytest

import edcore
from edcore import Network
from edcore.core import expand_one_hot
from edcore.errors import InputError

BACKENDS = ["loop", "numpy", "array_api_strict", "torch", "jax", "numba"]


def samples(dtype="float32"):
    """Categories of four columns, the inputs that they stand for, and targets."""
    random = np.random.default_rng(0)
    x = random.integers(0, 7, (30, 4)).astype(dtype)
    inputs = np.eye(7, dtype=dtype)[x.astype(int)].reshape(30, 28)
    return x, inputs, np.eye(3, dtype=dtype)[random.integers(0, 3, 30)]


def pair(backend, depth=1, **fields):
    """Two networks with the same weights: one that takes categories, one that takes their inputs."""
    pytest.importorskip(
        {"array_api_strict": "array_api_strict"}.get(backend, backend if backend != "loop" else "numpy")
    )
    fields = {"hidden_width": 17, "hidden_depth": depth, "rule": "modulo", "outputs": 3, "seed": 1} | fields
    return edcore.ED(one_hot=7, backend=backend, **fields), edcore.ED(backend=backend, **fields)


def assert_close(one, other):
    for key, value in other.weights.items():
        np.testing.assert_allclose(one.weights[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_categories_learn_as_the_inputs_that_they_stand_for(backend, depth):
    x, inputs, target = samples()
    one, other = pair(backend, depth)
    one.fit(x, target, epochs=2, batch_size=8)
    other.fit(inputs, target, epochs=2, batch_size=8)
    one.step(x, target)
    other.step(inputs, target)
    assert_close(one, other)
    np.testing.assert_allclose(one.predict(x), other.predict(inputs), rtol=1e-4, atol=1e-5)
    assert (one.network.in_, one.network.features) == (28, 4)


@pytest.mark.parametrize("backend", ["loop", "numpy", "torch", "jax", "numba"])
@pytest.mark.parametrize("rule", ["signed", "split", "kaneko"])
def test_other_rules_and_heads_learn_alike(backend, rule):
    x, inputs, target = samples()
    one, other = pair(backend, 0, rule=rule, outputs=1, heads=3, activation="tanh" if rule == "signed" else "sigmoid")
    one.fit(x, target, epochs=1, batch_size=8)
    other.fit(inputs, target, epochs=1, batch_size=8)
    assert_close(one, other)


def test_an_rms_network_learns_alike():
    x, inputs, target = samples()
    for backend in ("numpy", "numba"):
        one, other = pair(backend, rms=True, activation="relu")
        one.fit(x, target, epochs=1, batch_size=8)
        other.fit(inputs, target, epochs=1, batch_size=8)
        assert_close(one, other)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("wrong", [0.5, 7.0, -1.0])
def test_what_is_no_category_is_refused(backend, wrong):
    x, _, target = samples()
    x[3, 1] = wrong
    one, _ = pair(backend)
    for call in (lambda: one(x), lambda: one.predict(x), lambda: one.step(x, target), lambda: one.fit(x, target)):
        with pytest.raises(InputError, match=r"x: .*whole numbers from 0 to 6 \(one_hot - 1\)"):
            call()


def test_columns_follow_from_one_hot():
    with pytest.raises(InputError, match=r"in_: given 10; accepted: a multiple of one_hot=7"):
        Network(10, one_hot=7)
    with pytest.raises(InputError, match="one_hot: given 1"):
        Network(10, one_hot=1)
    ed = edcore.ED(28, rule="modulo", outputs=3, hidden_width=6, one_hot=7)
    with pytest.raises(InputError, match=r"x: given shape \(2, 28\); accepted: shape \(batch, 4\)"):
        ed(np.zeros((2, 28), np.float32))


def test_an_empty_batch_has_no_inputs():
    network = Network(28, one_hot=7)
    assert expand_one_hot(network, np.zeros((0, 4), np.float32)).shape == (0, 28)


def test_a_file_keeps_one_hot(tmp_path):
    x, _, target = samples()
    one, _ = pair("numpy")
    one.fit(x, target)
    edcore.io.save(one, tmp_path / "model.safetensors")
    again = edcore.io.load(tmp_path / "model.safetensors", backend="numpy")
    assert again.network == one.network
    np.testing.assert_array_equal(again.predict(x), one.predict(x))


def test_a_backend_that_has_no_one_hot_says_so():
    from edcore.contract import classic

    assert "one_hot" in classic(Network(28, one_hot=7), edcore.Rule())
