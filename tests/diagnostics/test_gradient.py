import numpy as np
import pytest

from edcore import Network
from edcore.core.weights import initialise
from edcore.diagnostics.gradient import descent, forward, outputs
from edcore_loop.loops import LoopBackend

NETWORKS = [
    Network(3, 3, 2, heads=2, n_bias=2, bias=0.8, u0=1.0, dtype="float64"),
    Network(2, 4, 0, outputs=3, u0=6.0, inhibitory_output=False, dtype="float64"),
    Network(3, 3, 1, activation="tanh", output_activation="linear", rms=True, dtype="float64"),
    Network(3, 3, 1, activation="relu", output_activation="linear", dtype="float64"),
    Network(3, 3, 1, activation="relu6", rms=True, u0=2.0, dtype="float64"),
    Network(3, 4, 2, dtype="float64"),
    Network(3, 4, 0, heads=3, u0=2.0, n_bias=2, bias=0.8, inhibitory_output=False, dtype="float64"),
    Network(3, 4, 1, heads=2, outputs=2, activation="tanh", output_activation="linear", dtype="float64"),
    Network(3, 4, 1, activation="relu", rms=True, dtype="float64"),
]


def _loss(network, weights, x, target):
    return 0.5 * np.mean(np.sum((target - outputs(network, forward(network, weights, x))) ** 2, axis=1))


@pytest.mark.parametrize("network", NETWORKS)
def test_forward_is_the_oracles(network):
    weights, x = initialise(network, 3), np.random.default_rng(0).random((5, network.in_))
    expected = LoopBackend().forward(network, weights, x)
    np.testing.assert_allclose(outputs(network, forward(network, weights, x)), expected, rtol=1e-12)


@pytest.mark.parametrize("network", NETWORKS)
def test_descent_is_that_of_finite_differences(network):
    random = np.random.default_rng(1)
    weights = {key: 0.4 * value for key, value in initialise(network, 3).items()}
    x, target = random.random((5, network.in_)), random.random((5, network.columns))
    states = forward(network, weights, x)
    direction, step = descent(network, weights, states, target - outputs(network, states)), 1e-6
    for key, value in weights.items():
        for place in {tuple(random.integers(0, size) for size in value.shape) for _ in range(8) if value.size}:
            losses = []
            for sign in (1, -1):
                moved = {**weights, key: value.copy()}
                moved[key][place] += sign * step
                losses.append(_loss(network, moved, x, target))
            assert direction[key][place] == pytest.approx((losses[1] - losses[0]) / (2 * step), rel=1e-5, abs=1e-9)
