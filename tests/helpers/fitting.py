"""One update, and what an update and `fit` of a backend must do, wherever its kernels run."""

import dataclasses

import numpy as np

from edcore import Network, Rule
from edcore.contract.steps import Schedule
from edcore.testing.strategies import drawn_case
from edcore_loop.loops import LoopBackend


def learned(backend, case, x, error):
    """Return the outputs for x, and the weights on the host after an update by the error."""
    weights = backend.from_host(case.weights)
    outputs, trace = backend.trace(case.network, weights, x)
    return outputs, backend.to_host(backend.update(case.network, case.rule, weights, trace, error))


def check_negative_zero(backend):
    """An error of 0 leaves weights of −0."""
    case = drawn_case(Network(in_=2, width=2), Rule("signed"), batch=3, scale=1.0, seed=0)
    weights = {key: np.negative(np.zeros_like(value)) for key, value in case.weights.items()}
    _, weights = learned(backend, dataclasses.replace(case, weights=weights), case.x, 0 * case.error)
    assert all(np.signbit(value).all() for value in weights.values())


def check_nan(backend, fields, rule):
    """A NaN among the weights of a head spreads through all of that head, and through no other."""
    case = drawn_case(Network(in_=2, width=2, heads=2, **fields), rule, batch=3, scale=1.0, seed=0)
    case.weights["input.weight"][1] = np.nan
    outputs, weights = learned(backend, case, case.x, case.error)
    assert np.isnan(outputs).tolist() == [[False, True]] * 3
    for key, value in weights.items():
        assert not np.isnan(value[0]).any()
        if case.network.activation in ("sigmoid", "tanh") or key == "input.weight":  # the g of others is 0 for a NaN
            assert np.isnan(value[1]).all(), key


def check_fit(backend, case, target, schedule, most):
    """Return when heads stop in a fit, which is as on the loop backend; what does not learn, and was given, stays."""
    given = backend.from_host(case.weights)
    found, stopped = backend.fit(case.network, case.rule, given, case.x, target, schedule)
    expected, known = LoopBackend().fit(case.network, case.rule, case.weights, case.x, target, schedule)
    assert stopped.tolist() == known.tolist()
    for key, value in backend.to_host(found).items():
        np.testing.assert_allclose(value, expected[key], atol=most)
        assert (value[~schedule.learning] == case.weights[key][~schedule.learning]).all()
        assert (backend.to_host(given)[key] == case.weights[key]).all()
    return stopped


def check_fit_by_head(backend):
    """Each head stops by itself, as the loop backend has it, and the weights that were given stay."""
    rule = Rule("split")
    case = drawn_case(Network(in_=2, width=2, heads=3, u0=4.0), rule, batch=5, scale=1.0, seed=3)
    target = (case.x[:, :1] > 0.5).astype(np.float32) * np.asarray([1, 0, 1], np.float32)
    orders = np.broadcast_to(np.asarray([3, 1, 4, 0, 2]), (4, 5))
    learning = np.asarray([True, True, False])
    schedule = Schedule(orders=orders, batch_size=2, tolerance=2.85, learning=learning)
    stopped = check_fit(backend, case, target, schedule, 1e-5)
    assert stopped[1] > stopped[0] == 1
    assert learning.tolist() == [True, True, False]
