"""Checks of the contract itself: its members, the probe, and weights on their way to the backend and back."""

from __future__ import annotations

from edcore.arguments import assign
from edcore.contract.backend import Availability, Backend
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.core.weights import initialise
from edcore.model.ed import ED
from edcore.testing.checks.examples import FULL, Extent, dtypes, examine, for_all
from edcore.testing.compare import require, same_bits
from edcore.testing.strategies import Case, cases, drawn_case

UNKNOWN = {
    **dict.fromkeys(("activation", "output_activation", "error", "reduction", "order"), "unknown"),
    "dtype": "float16",
    "n_bias": 3,
}
"""A value of each field that no backend has."""


class _NewNetwork(Network):
    """A network that may mean something else."""


class _NewRule(Rule):
    """A rule that may mean something else."""


def check_protocol(backend: Backend, extent: Extent = FULL) -> None:
    """The backend has the members of the contract, and supports a small network in at least one precision."""
    require(isinstance(backend, Backend), "it lacks a member of edcore.contract.Backend")
    require(isinstance(backend.device, str), f"its device is {backend.device!r}, which is no string")
    free, total = backend.memory()
    require(0 <= free <= total, f"of its {total} bytes of memory {free} are free", "memory")
    dtypes(backend)


def check_probe_never_raises(backend: Backend, extent: Extent = FULL) -> None:
    """The probe answers for any device, and accepts the one that the backend is on."""
    for device in (None, *backend.info.device_types, "cuda:99", "cpu:99", "nonsense", "", backend.device):
        state = backend.info.probe(device)
        require(isinstance(state, Availability), f"probe({device!r}) returned {state!r}")
        require(state.ok or state.reason, f"probe({device!r}) gives no reason")
    require(state.ok, f"probe({backend.device!r}) refuses: {state.reason}")


def check_oversize_gives_a_reason(backend: Backend, extent: Extent = FULL) -> None:
    """A network that fits nowhere is refused with a reason, before anything is allocated."""
    answer = backend.supports(Network(in_=10**6, width=10**6, depth=10**6), Rule())
    require(isinstance(answer, str), f"supports returned {answer!r} for a network of 10**18 weights")
    require(answer, "supports gives no reason")


def check_unknown_is_refused(backend: Backend, extent: Extent = FULL) -> None:
    """What the backend does not know is refused with a reason, and never computed as something else."""
    for field, value in UNKNOWN.items():
        network, rule = Network(in_=2, width=2), Rule()
        assign(rule if hasattr(rule, field) else network, field, value)  # as a later edcore may have it
        _refuses(backend, network, rule, f"{field}={value!r}")
    _refuses(backend, _NewNetwork(in_=2, width=2), Rule(), "a subclass of Network")
    _refuses(backend, Network(in_=2, width=2), _NewRule(), "a subclass of Rule")


def _refuses(backend: Backend, network: Network, rule: Rule, what: str) -> None:
    answer = backend.supports(network, rule)
    fix = "edcore.contract.known names what a backend has"
    require(isinstance(answer, str) and answer, f"supports returned {answer!r} for {what}, which is unknown; {fix}")


def check_host_round_trip(backend: Backend, extent: Extent = FULL) -> None:
    """Weights come back from the backend bit for bit, in separate memory."""

    def run(case: Case) -> None:
        given_weights = {key: value.copy() for key, value in case.weights.items()}
        weights = backend.from_host(given_weights)
        same_bits(backend.to_host(weights), case.weights, "after from_host and to_host", "round_trip")
        for value in given_weights.values():
            value[...] = 0
        first = backend.to_host(weights)
        same_bits(first, case.weights, "after the arrays given to from_host were written to", "from_host_shares")
        for value in first.values():
            value[...] = 0
        what = "after the array of an earlier to_host was written to"
        same_bits(backend.to_host(weights), case.weights, what, "to_host_shares")

    for_all(extent, cases(dtypes(backend)), run)


def check_copy(backend: Backend, extent: Extent = FULL) -> None:
    """A copy learns, and the original weights keep every bit until they learn too."""

    def run(case: Case) -> None:
        weights = backend.from_host(case.weights)
        learned = []
        for one in (backend.copy(weights), weights):
            same_bits(backend.to_host(weights), case.weights, "of weights before they learnt", "copy_shares")
            _, trace = backend.trace(case.network, one, case.x)
            learned.append(backend.update(case.network, case.rule, one, trace, case.error))
        copied, original = (backend.to_host(one) for one in learned)
        same_bits(copied, original, "of a copy that learnt the same", "copy_differs")
        require(not (original["input.weight"] == case.weights["input.weight"]).all(), "nothing was learnt")

    for dtype in dtypes(backend):
        network = Network(in_=3, width=2, depth=2, heads=2, u0=1.0, dtype=dtype)
        examine(drawn_case(network, Rule(), batch=3, scale=0.3, seed=1), run)


def check_same_seed_same_weights(backend: Backend, extent: Extent = FULL) -> None:
    """A seed gives the same initial weights as in every other backend."""
    for dtype in dtypes(backend):
        network = Network(in_=3, width=5, depth=2, heads=2, dtype=dtype)
        ed = ED(3, 5, 2, heads=2, dtype=dtype, seed=7, backend=backend)
        same_bits(ed.weights, initialise(network, 7), "of ED(seed=7)")
