"""The generic backend keeps nothing that another thread's call could take for its own."""

import array_api_compat.numpy as xp
import numpy as np
import pytest

from edcore import Network, Rule
from edcore.adapters.array_api import NUMPY, ArrayAPIBackend
from edcore.testing.strategies import drawn_case


class Shared(ArrayAPIBackend):
    """Whatever is written down for `synchronize`, another thread overwrites at once."""

    @property
    def _latest(self):
        return pytest.fail("a result was read back from where any thread writes its own")

    @_latest.setter
    def _latest(self, value):
        pass


def test_results_are_those_of_the_call_itself():
    case = drawn_case(Network(in_=3, width=4, depth=2), Rule(), batch=5, scale=0.3, seed=1)
    backend = Shared(xp, "cpu", NUMPY)
    weights = backend.from_host(case.weights)
    outputs, trace = backend.trace(case.network, weights, case.x)
    assert np.array_equal(backend.forward(case.network, weights, case.x), outputs)
    learned = backend.update(case.network, case.rule, weights, trace, case.error)
    assert not np.array_equal(learned["input.weight"], case.weights["input.weight"])


def test_a_library_without_an_entry_names_the_kind_of_its_device():
    backend = ArrayAPIBackend(xp)
    assert backend.info.device_types == ("cpu",)
    assert backend.info.probe(None).ok
