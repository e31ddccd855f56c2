"""The steps by PyTorch: those of NumPy, from the same weights, within rounding."""

import sys

import numpy as np
import pytest

from edcore.comparison import torch_steps
from edcore.comparison.baselines import Baseline
from edcore.comparison.torch_steps import TorchBaseline, suits
from edcore.core.network import Network
from edcore.errors import InputError

BP, ADAM, DFA = "back-propagation", "back-propagation with Adam", "direct feedback alignment"
SHAPES = {
    "deep": Network(3, 4, depth=2, dtype="float64"),
    "heads": Network(3, 4, depth=0, heads=3, u0=2.0, n_bias=2, bias=0.8, inhibitory_output=False, dtype="float64"),
    "outputs": Network(
        3, 4, depth=1, heads=2, outputs=2, activation="tanh", output_activation="linear", dtype="float64"
    ),
    "rms": Network(3, 4, depth=1, activation="relu", rms=True, dtype="float64"),
    "relu6": Network(3, 4, depth=1, activation="relu6", dtype="float64"),
}
random = np.random.default_rng(0)
X = random.random((10, 3))


@pytest.fixture(autouse=True)
def _torch():
    pytest.importorskip("torch")


@pytest.mark.parametrize("method", [BP, ADAM, DFA])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_steps_as_by_numpy(shape, method):
    network = SHAPES[shape]
    target = random.random((10, network.columns))
    pair = [kind(network, method, (0.05, 0.03), seed=3) for kind in (Baseline, TorchBaseline)]
    for share in (1, 0.5):  # a second call goes on, with other rates
        for one in pair:
            one.rates = 0.05 * share, 0.03 * share
            one.fit(X, target, epochs=3, batch_size=4)
    ours, theirs = pair
    assert ours.epochs.tolist() == theirs.epochs.tolist()
    for key, value in ours.weights.items():
        np.testing.assert_allclose(theirs.weights[key], value, rtol=1e-10, atol=1e-13, err_msg=key)
    assert not np.array_equal(
        theirs.weights["output.weight"], Baseline(network, method, (0, 0), 3).weights["output.weight"]
    )
    np.testing.assert_allclose(theirs.predict(X), ours.predict(X), rtol=1e-10)


def test_float32_agrees_within_its_rounding():
    network = Network(20, 16, depth=1, heads=3, activation="relu", u0=2.0, n_bias=2)
    x, target = random.random((40, 20)), (random.random((40, 3)) > 0.5).astype(float)
    ours, theirs = (kind(network, BP, (0.1, 0.1), 1).fit(x, target, epochs=5) for kind in (Baseline, TorchBaseline))
    for key, value in ours.weights.items():
        assert theirs.weights[key].dtype == np.float32
        np.testing.assert_allclose(theirs.weights[key], value, rtol=1e-3, atol=1e-5, err_msg=key)


def test_a_tolerance_is_refused():
    with pytest.raises(InputError, match="tolerance: given 2.5 by PyTorch"):
        TorchBaseline(SHAPES["heads"], BP, (0.1, 0.1), 1).fit(X, random.random((10, 3)), tolerance=2.5)


def test_wide_networks_are_for_torch_where_it_is_installed(monkeypatch):
    small = SHAPES["deep"]
    assert not suits(small)
    monkeypatch.setattr(torch_steps, "WIDE", 10)
    assert suits(small)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(torch_steps, "missing", lambda package: f"the package {package} is not installed")
    assert not suits(small)
