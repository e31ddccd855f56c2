"""The bounds of the suite hold for sums of any size, and are no wider than rounding needs."""

import dataclasses

import numpy as np
import pytest

from edcore import Network, Rule
from edcore.adapters.array_api import NUMPY
from edcore.testing.checks.oracle import compare_forward, compare_update
from edcore.testing.strategies import drawn_case


@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 1e20), ("float32", 1e33), ("float64", 1e25), ("float64", 1e200)]
)
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_huge_sums_are_within_bounds_and_wrong_ones_are_not(dtype, size, activation):
    network = Network(9, 8, 2, activation=activation, output_activation="linear", dtype=dtype)
    case = drawn_case(network, Rule(), batch=5, scale=0.3, seed=1)
    first = {key: case.weights[key] * np.dtype(dtype).type(size) for key in ("input.weight", "input.bias")}
    case = dataclasses.replace(case, weights=case.weights | first)
    backend = NUMPY.load(None)
    compare_forward(backend, case)
    compare_update(backend, case)
    forward, update = backend.forward, backend.update
    wrong = 1.01
    backend.forward = lambda *arguments: forward(*arguments) * np.dtype(dtype).type(wrong)
    with pytest.raises(AssertionError, match="forward's outputs"):
        compare_forward(backend, case)
    backend.update = lambda *arguments: {k: v * np.dtype(dtype).type(wrong) for k, v in update(*arguments).items()}
    with pytest.raises(AssertionError, match="after one update"):
        compare_update(backend, case)


def test_bounds_that_grow_from_layer_to_layer_stay_finite():
    network = Network(2, 8, 133, activation="relu", rms=True, dtype="float64")
    compare_update(NUMPY.load(None), drawn_case(network, Rule(), batch=3, scale=4.0, seed=1))
