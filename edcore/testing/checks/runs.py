"""Checks of whole runs: several steps, `Backend.fit`, and heads that stop."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from hypothesis import strategies as st

from edcore.contract.backend import Backend, run_schedule
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.testing.checks.examples import FULL, Extent, dtypes, examine, fewer, for_all, gentle, supported
from edcore.testing.checks.oracle import (
    checked_outputs,
    compare_fit,
    compare_weighted_fit,
    epoch_errors,
    make_schedule,
    of_heads,
    oracle_step,
)
from edcore.testing.compare import all_close, require, same_bits
from edcore.testing.strategies import Case, drawn_case, rules, variants


def check_trajectory(backend: Backend, extent: Extent = FULL) -> None:
    """Stay with the oracle for ten steps, within bounds that grow with each step."""

    def run(case: Case) -> None:
        steps = [(case.x, (case.error > 0).astype(case.x.dtype))] * 10
        weights, expected, bounds = backend.from_host(case.weights), case.in_float64.weights, None
        for x, target in steps:
            outputs, trace = backend.trace(case.network, weights, x)
            weights = backend.update(case.network, case.rule, weights, trace, target - checked_outputs(case, outputs))
            expected, bounds = oracle_step(case, expected, bounds, x, target)
        all_close(backend.to_host(weights), expected, bounds, "after ten steps")

    for_all(extent, gentle(backend, rules()), run)


def check_fit(backend: Backend, extent: Extent = FULL) -> None:
    """A run takes one step for each batch, in the order of each epoch."""
    for_all(extent, gentle(backend, rules()), lambda case: compare_fit(backend, case))


def check_fit_online(backend: Backend, extent: Extent = FULL) -> None:
    """An online run takes one step for each sample, in the order of each epoch."""
    for_all(extent, gentle(backend, rules(order="online")), lambda case: compare_fit(backend, case))


def check_variants_fit(backend: Backend, extent: Extent = FULL) -> None:
    """A run of any variant takes one step for each batch, or for each sample under an online rule."""

    def run(case: Case) -> None:
        if supported(backend, case):
            compare_fit(backend, case)

    either = [variants(dtypes(backend), order, gentle=True) for order in ("batch", "online")]
    for_all(fewer(extent), st.one_of(either), run)


def check_fit_weights(backend: Backend, extent: Extent = FULL) -> None:
    """A run multiplies the error of each sample by its weight, under any rule, and a weight of 0 changes nothing."""
    # A few cases of one shape, as some backends compile for each: the weights are no business of their kernels.
    kinds = Rule(alpha=0.1, reduction="sum"), Rule("split", order="online"), Rule(centred=True), Rule("split")
    for dtype, rule in zip(itertools.cycle(dtypes(backend)), kinds[: extent.examples // 2], strict=False):
        case = drawn_case(Network(2, 1, 1, 2, 1.0, dtype=dtype), rule, batch=5, scale=0.3, seed=1)
        if supported(backend, case):
            examine(case, lambda case: compare_weighted_fit(backend, case))


def check_fit_stops(backend: Backend, extent: Extent = FULL) -> None:
    """A head stops after the first epoch with errors below the tolerance, and then keeps every bit; errors are told."""

    def run(case: Case) -> None:
        x, target = case.x, (case.error > 0).astype(case.x.dtype)
        sums = epoch_errors(backend, case, target)
        # Between the two worst of the first head's three epochs; the other heads stop earlier, later or never.
        tolerance = float(np.sort(sums[:, 0])[1:].mean())
        if (np.abs(sums - tolerance) < 1e-3 * tolerance).any():
            return
        schedule = dataclasses.replace(make_schedule(case, epochs=3), tolerance=tolerance)
        learned, stopped = backend.fit(case.network, case.rule, backend.from_host(case.weights), x, target, schedule)
        require(isinstance(stopped, np.ndarray), f"fit returned {stopped!r} for when each head stopped", "stops")
        told = np.zeros(sums.shape)
        asked = dataclasses.replace(make_schedule(case, epochs=3), errors=told)
        run_schedule(backend, case.network, case.rule, backend.from_host(case.weights), x, target, asked)
        close_enough = np.allclose(told, sums, rtol=1e-3, atol=1e-6)
        require(close_enough, f"the errors of the epochs are {told.tolist()}, not {sums.tolist()}", "errors_filled")
        below = sums < tolerance
        expected = np.where(below.any(axis=0), np.argmax(below, axis=0) + 1, 0)
        require(np.array_equal(stopped, expected), f"heads stopped after epochs {stopped}, not {expected}", "stops")
        got = backend.to_host(learned)
        for head, epochs in enumerate(expected):
            learning = np.arange(case.network.heads) == head
            alone = dataclasses.replace(make_schedule(case, int(epochs) or 3), tolerance=tolerance, learning=learning)
            shorter, stopped = backend.fit(case.network, case.rule, backend.from_host(case.weights), x, target, alone)
            require(
                np.array_equal(stopped, expected * learning), f"alone, head {head} stopped after {stopped}", "stops"
            )
            shorter = backend.to_host(shorter)
            what = f"of head {head}, which stopped or did not"
            same_bits(of_heads(got, learning), of_heads(shorter, learning), what, "stopped_heads")
            what = "of heads that do not learn"
            same_bits(of_heads(shorter, ~learning), of_heads(case.weights, ~learning), what, "learning_mask")

    for_all(fewer(extent), gentle(backend, st.one_of(rules(), rules(order="online"))), run)
