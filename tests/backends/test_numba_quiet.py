"""Weights that an update cannot change are not touched on Numba's GPU, and all others get the same bits as without."""

from dataclasses import replace

import numpy as np
import pytest

from edcore import Network, Rule
from edcore.contract.steps import Schedule
from edcore.testing.strategies import drawn_case
from edcore_numba.gpu.probe import unavailable

MISSING = unavailable("cuda")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.emulated,
    pytest.mark.skipif(bool(MISSING), reason=f"{MISSING}. CUDA_EMULATOR=1 runs it without a GPU"),
]


@pytest.fixture
def backend():
    from edcore_numba.gpu.backend import NumbaCUDA

    return NumbaCUDA("cuda")


@pytest.fixture
def thorough():
    """The same, with updates of all weights."""
    from edcore_numba.gpu.backend import NumbaCUDA

    backend = NumbaCUDA("cuda")
    backend._skips = False
    return backend


def update(backend, case, weights):
    """Return the weights after one update."""
    _, trace = backend.trace(case.network, weights, case.x)
    return backend.update(case.network, case.rule, weights, trace, case.error)


def same(backend, weights, thorough, others):
    """Return whether both backends have the same bits."""
    pairs = zip(backend.to_host(weights).values(), thorough.to_host(others).values(), strict=True)
    return all(one.tobytes() == other.tobytes() for one, other in pairs)


def saturated(dtype, rule, **fields):
    """A deep network in which some cells of a layer saturate, and others do not."""
    network = Network(**{"in_": 3, "width": 5, "depth": 24, "heads": 2, "u0": 1.0, "dtype": dtype, **fields})
    return drawn_case(network, rule, batch=40, scale=12.0, seed=4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        (Rule("signed"), {}),
        (Rule("split", reduction="sum", floor=0.01), {"n_bias": 2, "bias": 1.5}),
        (Rule("signed"), {"activation": "tanh", "output_activation": "tanh", "rms": True, "width": 17}),
    ],
)
def test_blocks_that_change_nothing_are_skipped_and_all_bits_stay_the_same(backend, thorough, dtype, rule, fields):
    case = saturated(dtype, rule, **fields)
    weights, others = (each.from_host(case.weights) for each in (backend, thorough))
    skipped, marked = [], None
    for step in range(3):
        case = replace(case, x=case.x[::-1], error=case.error * 0.5**step)
        weights, others = update(backend, case, weights), update(thorough, case, others)
        assert same(backend, weights, thorough, others)
        smallest = weights.smallest.copy_to_host()
        if step:
            skipped.append((smallest == marked) & (smallest > 0))
        # A smaller size is as true. A block that finds that its weights can change writes the size anew.
        marked = smallest / 2
        weights.smallest.copy_to_device(marked)
    assert skipped[-1].any()
    assert not skipped[-1].all()


def test_a_fit_of_a_saturated_network_gives_the_same_bits(backend, thorough):
    case = saturated("float32", Rule("split"))
    target = (case.error > 0).astype(case.x.dtype)
    orders = np.stack([np.random.default_rng(epoch).permutation(len(case.x)) for epoch in range(3)])
    schedule = Schedule(orders=orders, batch_size=16, tolerance=1e-3, learning=np.asarray([True, True]))
    (weights, _), (others, _) = (
        each.fit(case.network, case.rule, each.from_host(case.weights), case.x, target, schedule)
        for each in (backend, thorough)
    )
    assert (weights.smallest.copy_to_host() > 0).any()
    assert same(backend, weights, thorough, others)


def bits_that_differ(backend, thorough, activation):
    """Return the powers of two of the error for which updates give other bits than updates of all weights."""
    # Many samples alike: each changes no weight, and their sum does.
    network = Network(in_=1, width=2, depth=2, u0=1.0, activation=activation)
    case = drawn_case(network, Rule("signed", reduction="sum"), batch=48, scale=1.0, seed=0)
    signed = {key: np.sign(value) for key, value in case.weights.items()}
    case = replace(case, x=np.ones_like(case.x), weights=signed)
    weights = update(backend, case, backend.from_host(case.weights))
    start = backend.to_host(weights)
    different = []
    for power in range(34):
        small = replace(case, error=np.full_like(case.error, 0.5**power))
        weights = update(backend, replace(case, error=0 * case.error), backend.from_host(start))  # sizes are known
        if not same(
            backend, update(backend, small, weights), thorough, update(thorough, small, thorough.from_host(start))
        ):
            different.append(power)
    return different


@pytest.mark.parametrize("activation", ["sigmoid", "relu6"])
def test_errors_of_every_size_change_the_same_bits(backend, thorough, activation):
    assert bits_that_differ(backend, thorough, activation) == []


def test_a_bound_without_the_number_of_samples_is_found(backend, thorough, monkeypatch):
    from edcore_numba.gpu import backend as module

    right = module.still_share
    monkeypatch.setattr(module, "still_share", lambda variant, batch: right(variant, 1))
    assert bits_that_differ(backend, thorough, "sigmoid")


def test_another_floor_looks_at_all_weights(backend, thorough):
    case = saturated("float32", Rule("signed"))
    weights, others = (update(each, case, each.from_host(case.weights)) for each in (backend, thorough))
    case = replace(case, rule=Rule("signed", floor=0.5))
    weights, others = update(backend, case, weights), update(thorough, case, others)
    assert same(backend, weights, thorough, others)
    assert (abs(backend.to_host(weights)["hidden.weight"]) >= 0.5).all()
