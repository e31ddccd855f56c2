"""One update, and what `fit` of a backend must do, wherever its kernels run."""

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
