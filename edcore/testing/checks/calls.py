"""Checks of calls that come again: cold and cached, with other numbers in the same arrays, and from another thread."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator

from edcore.arrays import HostWeights, to_numpy
from edcore.contract.backend import Backend
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.testing.checks.examples import FULL, Extent, dtypes, examine, supported
from edcore.testing.checks.oracle import compare_forward, compare_update, make_schedule, updated
from edcore.testing.compare import BrokenPromiseError, same_bits
from edcore.testing.strategies import Case, drawn_case

WIDTH, BATCH = 4, 6  # no other check has networks of this width: its first call is the first of its shape


def check_second_call(backend: Backend, extent: Extent = FULL) -> None:
    """A call gives the same bits again, and what is cached for one shape or one array is never given for another."""
    for first, second in _pairs(backend, extent):
        examine(first, functools.partial(compare_all, backend))  # cold
        _compare_cached(backend, first, "with the same numbers", "second_call")
        kept = results(backend, first)
        weights = {key: value.copy() for key, value in first.weights.items()}
        arrays = dataclasses.replace(first, weights=weights, x=first.x.copy(), error=first.error.copy())
        same_bits(results(backend, arrays), kept, "at the second call", "second_call")
        both = ((weights[key], second.weights[key]) for key in weights)
        for old, new in ((arrays.x, second.x), (arrays.error, second.error), *both):
            old[...] = new  # the same arrays with other numbers, and all else as it was
        _compare_cached(backend, arrays, "for other numbers in the same arrays")
        _compare_cached(backend, dataclasses.replace(arrays, rule=second.rule), "for other learning rates")
        _compare_cached(backend, second, "for another u0")
        same_bits(results(backend, first), kept, "after calls for another network of the same shape", "second_call")


def check_second_thread(backend: Backend, extent: Extent = FULL) -> None:
    """A call from another thread gives the bits that it gives from the main thread."""
    for case, _ in _pairs(backend, extent):
        examine(case, functools.partial(compare_all, backend))
        expected = results(backend, case)
        same_bits(in_thread(functools.partial(results, backend, case)), expected, "in a second thread", "second_thread")


def in_thread(call: Callable[[], HostWeights]) -> HostWeights:
    """Return what a call returns in a thread of its own; an error that it raises there has ``second_thread`` set."""
    found: list[HostWeights] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        errors[0].second_thread = True  # type: ignore[attr-defined]
        raise errors[0]
    return found[0]


def compare_all(backend: Backend, case: Case) -> None:
    """Assert that forward, trace and update give the oracle's numbers."""
    compare_forward(backend, case)
    compare_update(backend, case)


def results(backend: Backend, case: Case) -> HostWeights:
    """Return what each call of the contract gives for a case, on the host."""
    weights = backend.from_host(case.weights)
    outputs = to_numpy(backend.forward(case.network, weights, case.x)).copy()
    traced = to_numpy(backend.trace(case.network, weights, case.x)[0]).copy()
    target = (case.error > 0).astype(case.x.dtype)
    fitted, _ = backend.fit(case.network, case.rule, weights, case.x, target, make_schedule(case, epochs=2))
    after_fit = {f"{key} after fit": value for key, value in backend.to_host(fitted).items()}
    after_update = {f"{key} after an update": value for key, value in updated(backend, case).items()}
    return {"outputs of forward": outputs, "outputs of trace": traced, **after_update, **after_fit}


def _compare_cached(backend: Backend, case: Case, what: str, cause: str = "cached") -> None:
    """Assert that the oracle's numbers are given for a shape that was computed before."""
    try:
        compare_all(backend, case)
    except BrokenPromiseError as error:
        raise BrokenPromiseError(f"{error}, at a later call of the same shape {what}", cause, error.place) from error


def _pairs(backend: Backend, extent: Extent) -> Iterator[tuple[Case, Case]]:
    """Yield two cases of the same shape, all numbers of which differ."""
    for dtype in dtypes(backend):
        for usual in (Rule("split"), Rule("signed"))[: extent.examples // 4]:  # a quick check takes the first
            network = Network(3, WIDTH, 1, heads=2, u0=1.0, dtype=dtype)
            first = drawn_case(network, usual, BATCH, scale=0.3, seed=1)
            other = dataclasses.replace(network, u0=0.5), dataclasses.replace(usual, alpha=0.3, alpha_output=0.2)
            second = drawn_case(*other, BATCH, scale=0.2, seed=2)
            if supported(backend, first):
                yield first, second
