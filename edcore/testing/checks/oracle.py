"""A backend beside the float64 oracle: one forward pass, one update, a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from edcore.arrays import Array, HostWeights, to_numpy
from edcore.contract.backend import Backend, run_schedule
from edcore.contract.steps import Schedule
from edcore.testing.compare import all_close, close, require, same_bits
from edcore.testing.strategies import Case
from edcore.testing.tolerance import Bounds, C
from edcore_loop.loops import LoopBackend


def compare_forward(backend: Backend, case: Case) -> None:
    """Assert that forward and trace give the oracle's outputs, within the bounds."""
    exact = case.in_float64
    expected, activities = LoopBackend().trace(exact.network, exact.weights, exact.x)
    bound = Bounds(case.network, exact.weights).outputs(activities)
    weights = backend.from_host(case.weights)
    close(checked_outputs(case, backend.forward(case.network, weights, case.x)), expected, bound, "forward's outputs")
    close(checked_outputs(case, backend.trace(case.network, weights, case.x)[0]), expected, bound, "trace's outputs")


def compare_update(backend: Backend, case: Case) -> None:
    """Assert that one update gives the oracle's weights, within the bounds."""
    exact, oracle = case.in_float64, LoopBackend()
    _, activities = oracle.trace(exact.network, exact.weights, exact.x)
    expected = oracle.update(exact.network, exact.rule, exact.weights, activities, exact.error)
    bounds = Bounds(case.network, exact.weights).updated(case.rule, activities, exact.error)
    all_close(updated(backend, case), expected, bounds, "after one update")


def compare_fit(backend: Backend, case: Case) -> None:
    """Assert that a fit gives the weights of the oracle's steps, within the bounds."""
    x, target, schedule = fit_plan(case)
    given_weights = backend.from_host(case.weights)
    none = dataclasses.replace(schedule, orders=schedule.orders[:0])
    unchanged, _ = backend.fit(case.network, case.rule, backend.from_host(case.weights), x, target, none)
    same_bits(backend.to_host(unchanged), case.weights, "after a fit of no epochs", "no_epochs")
    learned, stopped = backend.fit(case.network, case.rule, given_weights, x, target, schedule)
    require(not np.any(stopped), f"heads stopped without a tolerance: {stopped}", "stops")
    again = np.broadcast_to(schedule.orders[0], (2, len(x)))  # as ED.fit does it without shuffling
    plain, repeated = (dataclasses.replace(schedule, orders=orders) for orders in (again.copy(), again))
    frozen_x, frozen_target = (np.repeat(array, 2, axis=1)[:, ::2] for array in (x, target))
    frozen_x.flags.writeable = frozen_target.flags.writeable = False
    one, _ = backend.fit(case.network, case.rule, backend.from_host(case.weights), x, target, plain)
    other, _ = backend.fit(case.network, case.rule, backend.from_host(case.weights), frozen_x, frozen_target, repeated)
    what = "for strided, read-only samples and repeated orders"
    same_bits(backend.to_host(other), backend.to_host(one), what, "fit_layout")
    expected, bounds = oracle_run(case, x, target, steps(case, schedule))
    all_close(backend.to_host(learned), expected, bounds, "after fit")


def compare_all(backend: Backend, case: Case) -> None:
    """Assert that outputs, one update and a fit are the oracle's, within the bounds."""
    compare_forward(backend, case)
    compare_update(backend, case)
    compare_fit(backend, case)


def compare_weighted_fit(backend: Backend, case: Case) -> None:
    """Assert that a fit of samples with weights gives the weights of the oracle's steps, within the bounds."""
    x, target, schedule, weights = weighted_plan(case)

    expected, bounds = oracle_run(case, x, target, steps(case, schedule), weights)
    all_close(weighted_fit(backend, case, weights, 2), expected, bounds, "after fit, for samples with weights")
    same_bits(
        weighted_fit(backend, case, weights * 0, 1),
        case.weights,
        "after fit, for samples of weight 0",
        "sample_weights",
    )


def fit_plan(case: Case) -> tuple[Array, Array, Schedule]:
    """Return samples, targets and the schedule of two epochs, each in another order and with a smaller last batch."""
    categories = case.network.one_hot
    others = [(categories or 2) - 1 - case.x[::-1], case.x[:1] if categories else case.x[:1] / 2]
    x = np.concatenate([case.x, *others])
    target = (np.concatenate([case.error, case.error[::-1], case.error[:1]]) > 0).astype(x.dtype)
    return x, target, make_schedule(dataclasses.replace(case, x=x), epochs=2, batch_size=len(case.x))


def weighted_plan(case: Case) -> tuple[Array, Array, Schedule, Array]:
    """Return the case's samples, targets, a schedule of two epochs, and a weight of each sample."""
    weights = np.resize(np.array([2.0, 0.5, 0.0, 1.25, 3.0], case.x.dtype), len(case.x))
    weights.flags.writeable = False
    return case.x, (case.error > 0).astype(case.x.dtype), make_schedule(case, epochs=2), weights


def weighted_fit(backend: Backend, case: Case, weights: Array, epochs: int) -> HostWeights:
    """Return the backend's weights after some epochs of the samples with these weights, on the host."""
    x, target, schedule, _ = weighted_plan(case)
    given = dataclasses.replace(schedule, orders=schedule.orders[:epochs], weights=weights)
    learned, _ = run_schedule(backend, case.network, case.rule, backend.from_host(case.weights), x, target, given)
    return backend.to_host(learned)


def steps(case: Case, schedule: Schedule) -> Iterator[Array]:
    """Yield the rows of each update of a run."""
    for order in schedule.orders:
        yield from batches(case, order, schedule.batch_size)


def oracle_run(
    case: Case, x: Array, target: Array, steps: Iterable[Array], weights: Array | None = None
) -> tuple[HostWeights, HostWeights | None]:
    """Return the oracle's weights after a step for each array of rows, and how far from them the backend's may be."""
    expected, bounds = case.in_float64.weights, None
    for rows in steps:
        weight = None if weights is None else weights[rows]
        expected, bounds = oracle_step(case, expected, bounds, x[rows], target[rows], weight)
    return expected, bounds


def batches(case: Case, order: Array, batch_size: int) -> Iterator[Array]:
    """Yield the rows of each update of an epoch. Written apart from `edcore.contract.steps`, which it checks."""
    size = case.rule.samples_per_update(batch_size)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def make_schedule(case: Case, epochs: int, batch_size: int = 2) -> Schedule:
    """Return a read-only schedule over the case's samples, in another order in each epoch."""
    orders = np.stack([np.roll(np.arange(len(case.x))[::-1], epoch) for epoch in range(epochs)])
    orders.flags.writeable = False
    learning = np.ones(case.network.heads, np.bool_)
    return Schedule(orders=orders, batch_size=batch_size, tolerance=0.0, learning=learning)


def epoch_errors(backend: Backend, case: Case, target: Array) -> Array:
    """Return the sums over each epoch of the magnitudes of the errors, (epochs, heads), by trace and update."""
    weights, schedule, sums = backend.from_host(case.weights), make_schedule(case, epochs=3), []
    for order in schedule.orders:
        errors = []
        for rows in batches(case, order, schedule.batch_size):
            outputs, trace = backend.trace(case.network, weights, case.x[rows])
            errors.append(target[rows] - to_numpy(outputs))
            weights = backend.update(case.network, case.rule, weights, trace, errors[-1])
        sums.append(np.abs(np.concatenate(errors)).sum(axis=0))
    return np.stack(sums)


def oracle_step(
    case: Case, weights: HostWeights, off: HostWeights | None, x: Array, target: Array, weight: Array | None = None
) -> tuple[HostWeights, HostWeights]:
    """Return the oracle's weights after a step, and how far from them the backend's may be."""
    oracle, network, x = LoopBackend(), case.in_float64.network, x.astype(np.float64)
    outputs, activities = oracle.trace(network, weights, x)
    error = target - outputs
    bounds = Bounds(case.network, weights, off)
    error_off = bounds.outputs(activities) + bounds.eps
    if weight is not None:
        error, error_off = _weighted(case, error, error_off, weight.astype(np.float64), C * bounds.eps)
    return (
        oracle.update(network, case.rule, weights, activities, error),
        bounds.updated(case.rule, activities, error, error_off),
    )


def _weighted(case: Case, error: Array, off: Array, weight: Array, rounding: float) -> tuple[Array, Array]:
    """Return the errors with their weights, and their bounds. Written apart from `edcore.core.method`."""
    total, error, off = max(sum(weight.tolist()), 1e-300), error.copy(), off.copy()
    share = max(1.0, total / len(weight) / 2) if case.rule.reduction == "mean" else 1.0
    for column in range(error.shape[1]):
        e, e_off = error[:, column].tolist(), off[:, column].tolist()
        mean = mean_off = 0.0
        if case.rule.centred:
            mean = sum(w * value for w, value in zip(weight.tolist(), e, strict=True)) / total
            mean_off = sum(
                w * (b + rounding * abs(value)) for w, b, value in zip(weight.tolist(), e_off, e, strict=True)
            )
            mean_off /= total
        for b, w in enumerate(weight.tolist()):
            error[b, column] = w / share * (e[b] - mean)
            off[b, column] = w / share * (e_off[b] + mean_off + rounding * (abs(e[b]) + abs(mean)))
    return error, off


def updated(backend: Backend, case: Case) -> HostWeights:
    """Return the backend's weights after one update, on the host."""
    weights = backend.from_host(case.weights)
    _, trace = backend.trace(case.network, weights, case.x)
    return backend.to_host(backend.update(case.network, case.rule, weights, trace, case.error))


def checked_outputs(case: Case, outputs: Array) -> Array:
    """Return the outputs on the host, with the right shape and dtype."""
    host = to_numpy(outputs)
    shape, dtype = (len(case.x), case.network.columns), case.network.dtype
    require(host.shape == shape, f"outputs have shape {host.shape}, and not {shape}", "shape")
    require(host.dtype == dtype, f"outputs have dtype {host.dtype}, and not {dtype}", "dtype")
    return host


def of_heads(weights: HostWeights, which: Array) -> HostWeights:
    """Return the weights of some heads."""
    return {key: value[which] for key, value in weights.items()}
