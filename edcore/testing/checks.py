"""The checks: what the contract promises, one plain function each.

A check takes a backend and raises AssertionError where a promise is broken. The examples are the same at each run.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edcore.arguments import DTYPES, DType
from edcore.arrays import Array, HostWeights, to_numpy
from edcore.contract.backend import Availability, Backend, Schedule
from edcore.core.network import Network
from edcore.core.presets import PRESETS
from edcore.core.rule import Rule
from edcore.core.weights import initialise
from edcore.model.ed import ED
from edcore.testing.compare import all_close, close, same_bits
from edcore.testing.strategies import Case, cases, drawn_case, preset_case, rules, variants
from edcore.testing.tolerance import Bounds
from edcore_loop.loops import LoopBackend

Check = Callable[[Backend], None]


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much a check tries.

    Parameters
    ----------
    examples : int
        Examples that it draws.
    depth : int
        Layers of the deep stack.
    large : tuple of dict
        Sizes beyond one tile, each in an otherwise small network.
    """

    examples: int
    depth: int
    large: tuple[dict[str, int], ...]


FULL = Extent(40, 133, ({"in_": 150, "batch": 3}, {"width": 45, "batch": 3}, {"batch": 140}, {"heads": 7, "batch": 3}))
QUICK = Extent(4, 9, ({"in_": 70, "batch": 3}, {"width": 34, "batch": 3}, {"batch": 70}, {"heads": 3, "batch": 3}))


def iter_checks(quick: bool = False) -> Iterator[tuple[str, Check]]:
    """Yield the name and the function of each check, in the order in which they are best read.

    Parameters
    ----------
    quick : bool
        Try a tenth of the examples, and smaller sizes: for a simulator, on which all takes long.

    Yields
    ------
    name : str
        Such as ``"check_forward"``.
    check : callable
        ``check(backend)``; it raises AssertionError where the backend breaks a promise.

    Examples
    --------
    >>> from edcore.testing import iter_checks
    >>> [name for name, check in iter_checks()][:2]
    ['check_protocol', 'check_probe_never_raises']
    """
    for name, value in globals().items():
        if name.startswith("check_"):
            yield name, functools.partial(value, extent=QUICK) if quick else value


def check_protocol(backend: Backend, extent: Extent = FULL) -> None:
    """It has the members of the contract, and supports a small network in one precision at least."""
    assert isinstance(backend, Backend), "it lacks a member of edcore.contract.Backend"
    assert isinstance(backend.device, str)
    assert _dtypes(backend)
    free, total = backend.memory()
    assert 0 <= free <= total, f"of its {total} bytes of memory {free} are free"


def check_probe_never_raises(backend: Backend, extent: Extent = FULL) -> None:
    """The probe answers for any device, and says yes to the one that the backend is on."""
    for device in (None, *backend.info.device_types, "cuda:99", "cpu:99", "nonsense", "", backend.device):
        state = backend.info.probe(device)
        assert isinstance(state, Availability), f"probe({device!r}) returned {state!r}"
        assert state.ok or state.reason, f"probe({device!r}) gives no reason"
    assert state.ok, f"probe({backend.device!r}) says no: {state.reason}"


def check_oversize_gives_a_reason(backend: Backend, extent: Extent = FULL) -> None:
    """A network that fits nowhere is refused with a reason, before anything is allocated."""
    answer = backend.supports(Network(in_=10**6, width=10**6, depth=10**6), Rule())
    assert isinstance(answer, str), f"supports returned {answer!r} for a network of 10**18 weights"
    assert answer


def check_host_round_trip(backend: Backend, extent: Extent = FULL) -> None:
    """Weights come back from the backend bit for bit, in memory of their own."""

    def run(case: Case) -> None:
        given_weights = {key: value.copy() for key, value in case.weights.items()}
        own = backend.from_host(given_weights)
        for value in given_weights.values():
            value[...] = 0
        first = backend.to_host(own)
        same_bits(first, case.weights, "after from_host and to_host")
        for value in first.values():
            value[...] = 0
        same_bits(backend.to_host(own), case.weights, "after the array of an earlier to_host was written to")

    _for_all(extent, cases(_dtypes(backend)), run)


def check_copy(backend: Backend, extent: Extent = FULL) -> None:
    """A copy learns, and the weights that it is of keep every bit until they learn too."""
    for dtype in _dtypes(backend):
        network = Network(in_=3, width=2, depth=2, heads=2, u0=1.0, dtype=dtype)
        case = drawn_case(network, Rule(), batch=3, scale=0.3, seed=1)
        weights = backend.from_host(case.weights)
        learned = []
        for one in (backend.copy(weights), weights):
            same_bits(backend.to_host(weights), case.weights, "of weights before they learnt")
            _, trace = backend.trace(network, one, case.x)
            learned.append(backend.update(network, case.rule, one, trace, case.error))
        copied, own = (backend.to_host(one) for one in learned)
        same_bits(copied, own, "of a copy that learnt the same")
        assert not (own["input.weight"] == case.weights["input.weight"]).all(), "nothing was learnt"


def check_same_seed_same_weights(backend: Backend, extent: Extent = FULL) -> None:
    """A seed means the same initial weights as everywhere."""
    for dtype in _dtypes(backend):
        network = Network(in_=3, width=5, depth=2, heads=2, dtype=dtype)
        ed = ED(3, 5, 2, heads=2, dtype=dtype, seed=7, backend=backend)
        same_bits(ed.weights, initialise(network, 7), "of ED(seed=7)")


def check_forward(backend: Backend, extent: Extent = FULL) -> None:
    """Forward and trace give the oracle's outputs."""
    _for_all(extent, cases(_dtypes(backend)), lambda case: _forward_is_the_oracles(backend, case))


def check_update_signed(backend: Backend, extent: Extent = FULL) -> None:
    """One update by the signed rule is the oracle's."""
    _for_all(extent, cases(_dtypes(backend), rules("signed")), lambda case: _update_is_the_oracles(backend, case))


def check_update_split(backend: Backend, extent: Extent = FULL) -> None:
    """One update by the split rule is the oracle's."""
    _for_all(extent, cases(_dtypes(backend), rules("split")), lambda case: _update_is_the_oracles(backend, case))


def check_deep_stack(backend: Backend, extent: Extent = FULL) -> None:
    """A stack of more layers than are computed at once learns in all of them, in every head."""
    for dtype in _dtypes(backend):
        for rule in (Rule("signed"), Rule("split")):
            network = Network(in_=2, width=2, depth=extent.depth, heads=2, u0=1.0, n_bias=2, dtype=dtype)
            _update_is_the_oracles(backend, drawn_case(network, rule, batch=3, scale=0.2, seed=1))


def check_sizes_beyond_one_tile(backend: Backend, extent: Extent = FULL) -> None:
    """Many features, cells, samples and heads are all computed, in forward and in update."""
    for dtype in _dtypes(backend):
        for sizes in extent.large:
            in_, width, heads = sizes.get("in_", 2), sizes.get("width", 2), sizes.get("heads", 1)
            # Many sources make large sums: smaller weights keep the cells from saturating.
            scale = 1 / max(in_, width)
            case = drawn_case(
                Network(in_, width, 1, heads, 1.0, dtype=dtype), Rule("split"), sizes["batch"], scale, seed=1
            )
            _update_is_the_oracles(backend, case)
            _forward_is_the_oracles(backend, case)


def check_negative_inputs(backend: Backend, extent: Extent = FULL) -> None:
    """Inputs below 0 are computed by the same formula."""

    def run(case: Case) -> None:
        _update_is_the_oracles(backend, dataclasses.replace(case, x=1 - 2 * case.x))

    _for_all(extent, cases(_dtypes(backend)), run)


def check_zero_error_leaves_every_bit(backend: Backend, extent: Extent = FULL) -> None:
    """An error of 0 changes nothing."""

    def run(case: Case) -> None:
        silent = dataclasses.replace(case, error=0 * case.error)
        same_bits(_updated(backend, silent), case.weights, "after an update for an error of 0")

    _for_all(extent, cases(_dtypes(backend)), run)


def check_split_keeps_signs(backend: Backend, extent: Extent = FULL) -> None:
    """Under the split rule with inputs of at least 0, no weight changes its sign and none shrinks."""

    def run(case: Case) -> None:
        for key, new in _updated(backend, case).items():
            old = case.weights[key]
            assert (np.sign(new) == np.sign(old)).all(), f"{key} has weights that changed their sign"
            assert (np.abs(new) >= np.abs(old)).all(), f"{key} has weights that shrank"

    _for_all(extent, cases(_dtypes(backend), rules("split")), run)


def check_presets(backend: Backend, extent: Extent = FULL) -> None:
    """Every published variant is computed, or refused with a reason: forward, one update, and a run."""
    for name in PRESETS:
        for dtype in _dtypes(backend):
            case = preset_case(name, dtype)
            if not _supported(backend, case):
                continue
            _forward_is_the_oracles(backend, case)
            online = case.rule.order == "online"
            one = dataclasses.replace(case, x=case.x[:1], error=case.error[:1]) if online else case
            _update_is_the_oracles(backend, one)
            _fit_is_the_oracles(backend, dataclasses.replace(case, x=case.x[:2], error=case.error[:2]))


def check_variants(backend: Backend, extent: Extent = FULL) -> None:
    """Any fields of a network and of a rule are computed, or refused with a reason."""

    def run(case: Case) -> None:
        if not _supported(backend, case):
            return
        _forward_is_the_oracles(backend, case)
        _update_is_the_oracles(backend, case)
        silent = dataclasses.replace(case, error=0 * case.error)
        same_bits(_updated(backend, silent), case.weights, "after an update for an error of 0")

    _for_all(extent, variants(_dtypes(backend)), run)


def check_variants_fit(backend: Backend, extent: Extent = FULL) -> None:
    """A run of any variant is a step for each batch, or for each sample where the rule is online."""

    def run(case: Case) -> None:
        if _supported(backend, case):
            _fit_is_the_oracles(backend, case)

    either = [variants(_dtypes(backend), order, gentle=True) for order in ("batch", "online")]
    _for_all(_fewer(extent), st.one_of(either), run)


def check_floor(backend: Backend, extent: Extent = FULL) -> None:
    """A rule with a floor keeps the sign s_i s_j of each weight but the biases', and its least magnitude."""

    def run(case: Case) -> None:
        if not _supported(backend, case):
            return
        floor = case.x.dtype.type(case.rule.floor)
        learned = _updated(backend, dataclasses.replace(case, error=8 * case.error))
        for layer in case.network.layers:
            signs = np.outer(layer.source_signs, layer.target_signs)
            for head in range(case.network.heads):
                size = signs * learned[f"{layer.name}.weight"][layer.where(head)]
                assert (size >= floor).all(), f"{layer.name}.weight has {size.min()}, below the floor of {floor}"

    _for_all(_fewer(extent), variants(_dtypes(backend)).filter(lambda case: case.rule.floor is not None), run)


def check_heads_are_independent(backend: Backend, extent: Extent = FULL) -> None:
    """A head learns as it would alone, and nothing from the others' errors."""

    def run(case: Case) -> None:
        alone = dataclasses.replace(
            case,
            network=dataclasses.replace(case.network, heads=1),
            weights={key: value[:1].copy() for key, value in case.weights.items()},
            error=case.error[:, :1],
        )
        first = np.arange(case.network.heads) == 0
        others_silent = dataclasses.replace(case, error=case.error * first)
        together, silent = _updated(backend, case), _updated(backend, others_silent)
        same_bits(_heads(together, first), _heads(silent, first), "of head 0, whatever the errors of the others")
        exact = alone.in_float64
        _, activities = LoopBackend().trace(exact.network, exact.weights, exact.x)
        bounds = Bounds(alone.network, exact.weights).updated(case.rule, activities, exact.error)
        all_close(
            _heads(together, first), _updated(backend, alone), {k: 2 * v for k, v in bounds.items()}, "of head 0 alone"
        )

    _for_all(extent, cases(_dtypes(backend)), run)


def check_empty_batch(backend: Backend, extent: Extent = FULL) -> None:
    """An empty batch has empty outputs."""

    def run(case: Case) -> None:
        empty = dataclasses.replace(case, x=case.x[:0])
        _outputs(empty, backend.forward(case.network, backend.from_host(case.weights), empty.x))

    _for_all(extent, cases(_dtypes(backend)), run)


def check_any_memory_layout(backend: Backend, extent: Extent = FULL) -> None:
    """Inputs that are not contiguous, or read-only, give the bits of those that are, and are not written to."""

    def run(case: Case) -> None:
        wide_x, wide_error = np.repeat(case.x, 2, axis=1), np.asfortranarray(case.error)
        strided = dataclasses.replace(case, x=wide_x[:, ::2], error=wide_error)
        frozen = dataclasses.replace(case, x=case.x.copy(), error=case.error.copy())
        for array in (frozen.x, frozen.error, *frozen.weights.values()):
            array.flags.writeable = False
        expected = _updated(backend, case)
        same_bits(_updated(backend, strided), expected, "for strided inputs")
        same_bits(_updated(backend, frozen), expected, "for read-only inputs")
        assert (frozen.x == case.x).all()
        assert (frozen.error == case.error).all()

    _for_all(extent, cases(_dtypes(backend)), run)


def check_same_call_same_bits(backend: Backend, extent: Extent = FULL) -> None:
    """The same call gives the same bits."""

    def run(case: Case) -> None:
        same_bits(_updated(backend, case), _updated(backend, case), "of the same call again")
        weights = backend.from_host(case.weights)
        first, second = (to_numpy(backend.forward(case.network, weights, case.x)) for _ in range(2))
        assert (first == second).all(), "forward gives other bits at the second call"

    _for_all(extent, cases(_dtypes(backend)), run)


def check_results_stay(backend: Backend, extent: Extent = FULL) -> None:
    """Outputs and a trace stay as they are while other things are computed, and while the caller reuses its arrays."""

    def run(case: Case) -> None:
        weights, x = backend.from_host(case.weights), case.x.copy()
        outputs, trace = backend.trace(case.network, weights, x)
        kept = to_numpy(outputs).copy()
        x[...] = 0.5
        other = backend.forward(case.network, weights, x)
        kept_other = to_numpy(other).copy()
        backend.trace(case.network, weights, x)
        backend.forward(case.network, weights, case.x)
        assert (to_numpy(outputs) == kept).all(), "the outputs of trace changed while something else was computed"
        assert (to_numpy(other) == kept_other).all(), "the outputs of forward changed while something else was computed"
        if isinstance(outputs, np.ndarray) and outputs.flags.writeable:
            outputs[...] = 0.5
        learned = backend.to_host(backend.update(case.network, case.rule, weights, trace, case.error))
        same_bits(learned, _updated(backend, case), "where something else was computed between trace and update")

    _for_all(extent, cases(_dtypes(backend)), run)


def check_trajectory(backend: Backend, extent: Extent = FULL) -> None:
    """Ten steps stay with the oracle's, within bounds that grow with each step."""

    def run(case: Case) -> None:
        steps = [(case.x, (case.error > 0).astype(case.x.dtype))] * 10
        weights, expected, bounds = backend.from_host(case.weights), case.in_float64.weights, None
        for x, target in steps:
            outputs, trace = backend.trace(case.network, weights, x)
            weights = backend.update(case.network, case.rule, weights, trace, target - _outputs(case, outputs))
            expected, bounds = _oracle_step(case, expected, bounds, x, target)
        all_close(backend.to_host(weights), expected, bounds, "after ten steps")

    _for_all(extent, _gentle(backend, rules()), run)


def check_fit(backend: Backend, extent: Extent = FULL) -> None:
    """A run is a step for each batch, in the order of each epoch."""
    _for_all(extent, _gentle(backend, rules()), lambda case: _fit_is_the_oracles(backend, case))


def check_fit_online(backend: Backend, extent: Extent = FULL) -> None:
    """An online run is a step for each sample, in the order of each epoch."""
    _for_all(extent, _gentle(backend, rules(order="online")), lambda case: _fit_is_the_oracles(backend, case))


def check_fit_stops(backend: Backend, extent: Extent = FULL) -> None:
    """A head stops after the first epoch whose errors are below the tolerance; one that has stopped keeps every bit."""

    def run(case: Case) -> None:
        x, target = case.x, (case.error > 0).astype(case.x.dtype)
        sums = _epoch_errors(backend, case, target)
        # Between the first head's two worst epochs of three; where others stop, if they do, is as it comes.
        tolerance = float(np.sort(sums[:, 0])[1:].mean())
        if (np.abs(sums - tolerance) < 1e-3 * tolerance).any():
            return
        schedule = dataclasses.replace(_schedule(case, epochs=3), tolerance=tolerance)
        learned, stopped = backend.fit(case.network, case.rule, backend.from_host(case.weights), x, target, schedule)
        assert isinstance(stopped, np.ndarray), f"fit returned {stopped!r} for when each head stopped"
        below = sums < tolerance
        expected = np.where(below.any(axis=0), np.argmax(below, axis=0) + 1, 0)
        assert np.array_equal(stopped, expected), f"heads stopped after epochs {stopped}, not {expected}"
        got = backend.to_host(learned)
        for head, epochs in enumerate(expected):
            learning = np.arange(case.network.heads) == head
            alone = dataclasses.replace(_schedule(case, int(epochs) or 3), tolerance=tolerance, learning=learning)
            shorter, stopped = backend.fit(case.network, case.rule, backend.from_host(case.weights), x, target, alone)
            assert np.array_equal(stopped, expected * learning), f"alone, head {head} stopped after {stopped}"
            shorter = backend.to_host(shorter)
            same_bits(_heads(got, learning), _heads(shorter, learning), f"of head {head}, which stopped or did not")
            same_bits(_heads(shorter, ~learning), _heads(case.weights, ~learning), "of heads that do not learn")

    _for_all(_fewer(extent), _gentle(backend, st.one_of(rules(), rules(order="online"))), run)


def _for_all(extent: Extent, strategy: st.SearchStrategy[Case], run: Callable[[Case], None]) -> None:
    """Run a check on the examples of a strategy: given stands inside, as Hypothesis refuses it on inherited tests."""

    @settings(
        max_examples=extent.examples,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def test(case: Case) -> None:
        run(case)

    test()


def _fewer(extent: Extent) -> Extent:
    """Return an extent for examples of many runs each."""
    return dataclasses.replace(extent, examples=-(-extent.examples // 4))


def _supported(backend: Backend, case: Case) -> bool:
    """Return whether the backend has the case's network and rule; where it has not, it must say why."""
    answer = backend.supports(case.network, case.rule)
    assert answer is True or (isinstance(answer, str) and answer), f"supports returned {answer!r}"
    return answer is True


def _gentle(backend: Backend, rule: st.SearchStrategy[Rule]) -> st.SearchStrategy[Case]:
    """Return cases on which rounding errors do not explode within ten steps: shallow, with small batches."""

    def gentle(case: Case) -> bool:
        return case.network.depth <= 1 and case.network.width <= 3

    return cases(_dtypes(backend), rule, batches=(1, 2, 5)).filter(gentle)


def _dtypes(backend: Backend) -> tuple[DType, ...]:
    """Return the precisions in which the backend supports a small network."""
    answers = {dtype: backend.supports(Network(in_=1, width=1, dtype=dtype), Rule()) for dtype in DTYPES}
    for dtype, answer in answers.items():
        assert answer is True or (isinstance(answer, str) and answer), f"supports returned {answer!r} for {dtype}"
    return tuple(dtype for dtype, answer in answers.items() if answer is True)


def _forward_is_the_oracles(backend: Backend, case: Case) -> None:
    exact = case.in_float64
    expected, activities = LoopBackend().trace(exact.network, exact.weights, exact.x)
    bound = Bounds(case.network, exact.weights).outputs(activities)
    weights = backend.from_host(case.weights)
    close(_outputs(case, backend.forward(case.network, weights, case.x)), expected, bound, "forward's outputs")
    close(_outputs(case, backend.trace(case.network, weights, case.x)[0]), expected, bound, "trace's outputs")


def _update_is_the_oracles(backend: Backend, case: Case) -> None:
    exact, oracle = case.in_float64, LoopBackend()
    _, activities = oracle.trace(exact.network, exact.weights, exact.x)
    expected = oracle.update(exact.network, exact.rule, exact.weights, activities, exact.error)
    bounds = Bounds(case.network, exact.weights).updated(case.rule, activities, exact.error)
    all_close(_updated(backend, case), expected, bounds, "after one update")


def _fit_is_the_oracles(backend: Backend, case: Case) -> None:
    # Two epochs, each with an order of its own and a smaller last batch.
    x = np.concatenate([case.x, 1 - case.x[::-1], case.x[:1] / 2])
    target = (np.concatenate([case.error, case.error[::-1], case.error[:1]]) > 0).astype(x.dtype)
    given_weights = backend.from_host(case.weights)
    schedule = _schedule(dataclasses.replace(case, x=x), epochs=2, batch_size=len(case.x))
    none = dataclasses.replace(schedule, orders=schedule.orders[:0])
    unchanged, _ = backend.fit(case.network, case.rule, backend.from_host(case.weights), x, target, none)
    same_bits(backend.to_host(unchanged), case.weights, "after a fit of no epochs")
    learned, stopped = backend.fit(case.network, case.rule, given_weights, x, target, schedule)
    assert not np.any(stopped), f"heads stopped without a tolerance: {stopped}"
    again = np.broadcast_to(schedule.orders[0], (2, len(x)))  # as ED.fit gives epochs that are all in one order
    plain, repeated = (dataclasses.replace(schedule, orders=orders) for orders in (again.copy(), again))
    frozen_x, frozen_target = (np.repeat(array, 2, axis=1)[:, ::2] for array in (x, target))
    frozen_x.flags.writeable = frozen_target.flags.writeable = False
    one, _ = backend.fit(case.network, case.rule, backend.from_host(case.weights), x, target, plain)
    other, _ = backend.fit(case.network, case.rule, backend.from_host(case.weights), frozen_x, frozen_target, repeated)
    same_bits(backend.to_host(other), backend.to_host(one), "for strided, read-only samples and repeated orders")
    expected, bounds = case.in_float64.weights, None
    size = 1 if case.rule.order == "online" else schedule.batch_size
    for order in schedule.orders:
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            expected, bounds = _oracle_step(case, expected, bounds, x[rows], target[rows])
    all_close(backend.to_host(learned), expected, bounds, "after fit")


def _schedule(case: Case, epochs: int, batch_size: int = 2) -> Schedule:
    """Return a read-only schedule over the case's samples, in another order at each epoch."""
    orders = np.stack([np.roll(np.arange(len(case.x))[::-1], epoch) for epoch in range(epochs)])
    orders.flags.writeable = False
    learning = np.ones(case.network.heads, np.bool_)
    return Schedule(orders=orders, batch_size=batch_size, tolerance=0.0, learning=learning)


def _epoch_errors(backend: Backend, case: Case, target: Array) -> Array:
    """Return the sums over each epoch of the magnitudes of the errors, (epochs, heads), by trace and update."""
    weights, schedule, sums = backend.from_host(case.weights), _schedule(case, epochs=3), []
    size = 1 if case.rule.order == "online" else schedule.batch_size
    for order in schedule.orders:
        errors = []
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            outputs, trace = backend.trace(case.network, weights, case.x[rows])
            errors.append(target[rows] - to_numpy(outputs))
            weights = backend.update(case.network, case.rule, weights, trace, errors[-1])
        sums.append(np.abs(np.concatenate(errors)).sum(axis=0))
    return np.stack(sums)


def _oracle_step(
    case: Case, weights: HostWeights, off: HostWeights | None, x: Array, target: Array
) -> tuple[HostWeights, HostWeights]:
    """Return the oracle's weights after a step, and how far from them the backend's may be."""
    oracle, network, x = LoopBackend(), case.in_float64.network, x.astype(np.float64)
    outputs, activities = oracle.trace(network, weights, x)
    error = target - outputs
    bounds = Bounds(case.network, weights, off)
    error_off = bounds.outputs(activities) + bounds.eps
    return (
        oracle.update(network, case.rule, weights, activities, error),
        bounds.updated(case.rule, activities, error, error_off),
    )


def _updated(backend: Backend, case: Case) -> HostWeights:
    """Return the backend's weights after one update, on the host."""
    weights = backend.from_host(case.weights)
    _, trace = backend.trace(case.network, weights, case.x)
    return backend.to_host(backend.update(case.network, case.rule, weights, trace, case.error))


def _outputs(case: Case, outputs: Array) -> Array:
    """Return the outputs on the host, with the right shape and dtype."""
    host = to_numpy(outputs)
    assert host.shape == (len(case.x), case.network.columns), f"outputs have shape {host.shape}"
    assert host.dtype == case.network.dtype, f"outputs have dtype {host.dtype}"
    return host


def _heads(weights: HostWeights, which: Array) -> HostWeights:
    return {key: value[which] for key, value in weights.items()}
