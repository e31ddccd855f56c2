"""Checks of the contract itself: its members, the probe, and weights on their way to the backend and back."""

from __future__ import annotations

from edcore.contract.backend import Availability, Backend
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.core.weights import initialise
from edcore.model.ed import ED
from edcore.testing.checks.examples import FULL, Extent, dtypes, for_all
from edcore.testing.compare import same_bits
from edcore.testing.strategies import Case, cases, drawn_case


def check_protocol(backend: Backend, extent: Extent = FULL) -> None:
    """The backend has the members of the contract, and supports a small network in at least one precision."""
    assert isinstance(backend, Backend), "it lacks a member of edcore.contract.Backend"
    assert isinstance(backend.device, str)
    assert dtypes(backend)
    free, total = backend.memory()
    assert 0 <= free <= total, f"of its {total} bytes of memory {free} are free"


def check_probe_never_raises(backend: Backend, extent: Extent = FULL) -> None:
    """The probe answers for any device, and accepts the one that the backend is on."""
    for device in (None, *backend.info.device_types, "cuda:99", "cpu:99", "nonsense", "", backend.device):
        state = backend.info.probe(device)
        assert isinstance(state, Availability), f"probe({device!r}) returned {state!r}"
        assert state.ok or state.reason, f"probe({device!r}) gives no reason"
    assert state.ok, f"probe({backend.device!r}) refuses: {state.reason}"


def check_oversize_gives_a_reason(backend: Backend, extent: Extent = FULL) -> None:
    """A network that fits nowhere is refused with a reason, before anything is allocated."""
    answer = backend.supports(Network(in_=10**6, width=10**6, depth=10**6), Rule())
    assert isinstance(answer, str), f"supports returned {answer!r} for a network of 10**18 weights"
    assert answer


def check_host_round_trip(backend: Backend, extent: Extent = FULL) -> None:
    """Weights come back from the backend bit for bit, in separate memory."""

    def run(case: Case) -> None:
        given_weights = {key: value.copy() for key, value in case.weights.items()}
        weights = backend.from_host(given_weights)
        for value in given_weights.values():
            value[...] = 0
        first = backend.to_host(weights)
        same_bits(first, case.weights, "after from_host and to_host")
        for value in first.values():
            value[...] = 0
        same_bits(backend.to_host(weights), case.weights, "after the array of an earlier to_host was written to")

    for_all(extent, cases(dtypes(backend)), run)


def check_copy(backend: Backend, extent: Extent = FULL) -> None:
    """A copy learns, and the original weights keep every bit until they learn too."""
    for dtype in dtypes(backend):
        network = Network(in_=3, width=2, depth=2, heads=2, u0=1.0, dtype=dtype)
        case = drawn_case(network, Rule(), batch=3, scale=0.3, seed=1)
        weights = backend.from_host(case.weights)
        learned = []
        for one in (backend.copy(weights), weights):
            same_bits(backend.to_host(weights), case.weights, "of weights before they learnt")
            _, trace = backend.trace(network, one, case.x)
            learned.append(backend.update(network, case.rule, one, trace, case.error))
        copied, original = (backend.to_host(one) for one in learned)
        same_bits(copied, original, "of a copy that learnt the same")
        assert not (original["input.weight"] == case.weights["input.weight"]).all(), "nothing was learnt"


def check_same_seed_same_weights(backend: Backend, extent: Extent = FULL) -> None:
    """A seed gives the same initial weights as in every other backend."""
    for dtype in dtypes(backend):
        network = Network(in_=3, width=5, depth=2, heads=2, dtype=dtype)
        ed = ED(3, 5, 2, heads=2, dtype=dtype, seed=7, backend=backend)
        same_bits(ed.weights, initialise(network, 7), "of ED(seed=7)")
