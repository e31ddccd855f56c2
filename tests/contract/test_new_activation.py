"""A new activation is never computed as another function by any backend: a fake one on each."""

import numpy as np
import pytest

from edcore import ED, Initial, list_backends
from edcore.core import method as core
from edcore.core.activations import registered
from edcore.errors import BackendUnavailableError

READY = [status.name for status in list_backends() if status.ready]
HAVE = {"loop", "numpy", "array_api_strict", "jax"}
X = np.asarray([[0.25, 0.75], [1.0, 0.5], [0.0, 0.125]], "f4")
TARGET = np.asarray([0.2, 0.7, 0.4], "f4")


def f(z, u0):
    return 0.3 * z + z / (u0 + abs(z)) + 0.1


def g(y):
    return 0.7 / (1 + y * y)


@pytest.fixture(autouse=True)
def fake():
    with registered("fake", f, g):
        yield


def network(field, backend):
    fields = {"activation": "tanh", "output_activation": "tanh", "initial": Initial(weight=0.4)} | {field: "fake"}
    return ED(2, hidden_width=3, hidden_depth=1, u0=1.5, alpha=0.2, alpha_output=0.2, seed=4, backend=backend, **fields)


def by_core(field):
    """Return the outputs and the weights after an update, by the core in float64."""
    ed = network(field, "numpy")
    weights = {key: value.astype("f8") for key, value in ed.weights.items()}
    outputs, trace = core.trace(ed.network, weights, X.astype("f8"))
    return outputs[:, 0], core.update(ed.network, ed.rule, weights, trace, TARGET[:, None] - outputs)


def agrees(ed, expected, learned):
    """Compare what all that computes does with the core's: prediction, step, update and fit."""
    assert ed.predict(X) == pytest.approx(expected, rel=1e-5)
    weights = ed.weights
    for learn in (
        lambda: ed.step(X, TARGET),
        lambda: ed.update(TARGET - ed(X)),
        lambda: ed.fit(X, TARGET, batch_size=3, shuffle=False),
    ):
        ed.load_weights(weights)
        learn()
        for key, value in ed.weights.items():
            np.testing.assert_allclose(value, learned[key], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("field", ["activation", "output_activation"])
@pytest.mark.parametrize("name", READY)
def test_a_backend_that_is_named_computes_it_or_refuses_it_by_name(name, field):
    if name not in HAVE:
        with pytest.raises(BackendUnavailableError, match=f"{name}.* it has no {field} 'fake'; .*backend='numpy'"):
            network(field, name)
        return
    ed = network(field, name)
    agrees(ed, *by_core(field))
    assert ed.backend == name


@pytest.mark.parametrize("field", ["activation", "output_activation"])
def test_auto_takes_one_that_has_it(field):
    ed = network(field, "auto")
    agrees(ed, *by_core(field))
    assert ed.backend == "numpy"


@pytest.mark.skipif("torch" not in READY, reason="needs PyTorch")
def test_auto_that_follows_x_refuses_it_by_name():
    import torch

    with pytest.raises(BackendUnavailableError, match="follows x to torch, .* it has no activation 'fake'; .*'numpy'"):
        network("activation", "auto").predict(torch.asarray(X))
    assert torch.is_tensor(network("activation", "numpy").predict(torch.asarray(X)))


@pytest.mark.parametrize("name", sorted(HAVE.intersection(READY)))
def test_functions_of_numpy_alone(name):
    """On another library's arrays they give something else, or fail: they are refused before that."""
    with registered("tanh_of_numpy", lambda z, u0: np.tanh(z), lambda y: 1 - y * y):
        if name in ("loop", "numpy"):
            same, other = (ED(2, 3, activation=kind, seed=0, backend=name) for kind in ("tanh", "tanh_of_numpy"))
            assert other.predict(X) == pytest.approx(same.predict(X), rel=1e-6)
            return
        with pytest.raises(BackendUnavailableError, match="'tanh_of_numpy' returns numpy.ndarray for .*Array API"):
            ED(2, 3, activation="tanh_of_numpy", backend=name)


@pytest.mark.skipif("jax" not in READY, reason="needs JAX")
def test_jax_compiles_the_functions_and_not_their_name():
    """A name that was taken back, as by a test, has other functions later."""
    outputs = []
    for factor in (1.0, 2.0):
        with registered("once", lambda z, u0, factor=factor: factor * z, lambda y: 0 * y + 1):
            ed = ED(2, 3, activation="once", output_activation="linear", seed=0, backend="jax")
            outputs.append(ed.predict(X))
    assert not np.allclose(*outputs)


@pytest.mark.skipif("jax" not in READY, reason="needs JAX")
def test_jax_refuses_what_it_cannot_compile():
    with (
        registered("branch", lambda z, u0: z if u0 > 1 else 2 * z, lambda y: 0 * y + 1),
        pytest.raises(BackendUnavailableError, match="f or g of 'branch' raises TracerBool"),
    ):
        ED(2, 3, activation="branch", backend="jax")
