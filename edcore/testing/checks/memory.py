"""Checks of arrays in memory: empty ones, any layout, reproducible bits, and results that do not change later."""

from __future__ import annotations

import dataclasses

import numpy as np

from edcore.arrays import to_numpy
from edcore.contract.backend import Backend
from edcore.testing.checks.examples import FULL, Extent, dtypes, for_all
from edcore.testing.checks.oracle import (
    checked_outputs,
    updated,
)
from edcore.testing.compare import require, same_bits
from edcore.testing.strategies import Case, cases


def check_empty_batch(backend: Backend, extent: Extent = FULL) -> None:
    """An empty batch has empty outputs."""

    def run(case: Case) -> None:
        empty = dataclasses.replace(case, x=case.x[:0])
        checked_outputs(empty, backend.forward(case.network, backend.from_host(case.weights), empty.x))

    for_all(extent, cases(dtypes(backend)), run)


def check_any_memory_layout(backend: Backend, extent: Extent = FULL) -> None:
    """Strided and read-only inputs give the same bits as contiguous ones, and are not written to."""

    def run(case: Case) -> None:
        wide_x, wide_error = np.repeat(case.x, 2, axis=1), np.asfortranarray(case.error)
        strided = dataclasses.replace(case, x=wide_x[:, ::2], error=wide_error)
        frozen = dataclasses.replace(case, x=case.x.copy(), error=case.error.copy())
        for array in (frozen.x, frozen.error, *frozen.weights.values()):
            array.flags.writeable = False
        expected = updated(backend, case)
        same_bits(updated(backend, strided), expected, "for strided inputs")
        same_bits(updated(backend, frozen), expected, "for read-only inputs")
        require((frozen.x == case.x).all(), "x was written to", "writes_inputs")
        require((frozen.error == case.error).all(), "the errors were written to", "writes_inputs")

    for_all(extent, cases(dtypes(backend)), run)


def check_same_call_same_bits(backend: Backend, extent: Extent = FULL) -> None:
    """The same call gives the same bits."""

    def run(case: Case) -> None:
        same_bits(updated(backend, case), updated(backend, case), "of the same call again")
        weights = backend.from_host(case.weights)
        first, second = (to_numpy(backend.forward(case.network, weights, case.x)) for _ in range(2))
        require((first == second).all(), "forward gives other bits at the second call")

    for_all(extent, cases(dtypes(backend)), run)


def check_results_stay(backend: Backend, extent: Extent = FULL) -> None:
    """Outputs and a trace do not change when the backend computes something else or the caller reuses its arrays."""

    def run(case: Case) -> None:
        weights, x = backend.from_host(case.weights), case.x.copy()
        outputs, trace = backend.trace(case.network, weights, x)
        kept = to_numpy(outputs).copy()
        x[...] = 0.5
        other = backend.forward(case.network, weights, x)
        kept_other = to_numpy(other).copy()
        backend.trace(case.network, weights, x)
        backend.forward(case.network, weights, case.x)
        require((to_numpy(outputs) == kept).all(), "the outputs of trace changed while something else was computed")
        require(
            (to_numpy(other) == kept_other).all(), "the outputs of forward changed while something else was computed"
        )
        if isinstance(outputs, np.ndarray) and outputs.flags.writeable:
            outputs[...] = 0.5
        learned = backend.to_host(backend.update(case.network, case.rule, weights, trace, case.error))
        same_bits(learned, updated(backend, case), "where something else was computed between trace and update")

    for_all(extent, cases(dtypes(backend)), run)
