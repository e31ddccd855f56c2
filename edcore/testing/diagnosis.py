"""Why a check failed: the numbers of a backend beside those of the usual faults, and where an exception comes from."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from edcore.arrays import HostWeights
from edcore.contract.backend import Backend
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.testing.checks.calls import results
from edcore.testing.checks.examples import Example
from edcore.testing.checks.oracle import (
    checked_outputs,
    fit_plan,
    oracle_run,
    oracle_step,
    steps,
    updated,
    weighted_fit,
    weighted_plan,
)
from edcore.testing.compare import BrokenPromiseError, Place
from edcore.testing.hints import BY_CHECK
from edcore.testing.origins import Source, innermost, is_ours, source_of
from edcore.testing.strategies import Case, drawn_case
from edcore.testing.suspects import ORACLE, Suspect
from edcore.testing.suspects.forward import forward_suspects
from edcore.testing.suspects.run import fit_suspects
from edcore.testing.suspects.update import learned, update_suspects
from edcore.testing.tolerance import Bounds
from edcore.testing.witness import Witness, by_ratio, changes

SLACK = 10.0  # the bounds are those of the right numbers, and those of a fault may be larger
UNDETERMINED = ("forward", "update", "fit", "scaled_partly", "scaled", "low_precision")
"""The causes of numbers that are wrong in no usual way."""

EXCEPTIONS = "exception", "shapes_differ"
"""The causes of exceptions, of which those of other lines are other findings."""

SHARES = "from_host_shares", "to_host_shares", "copy_shares"
"""The causes of weights that change later, as others have their memory, so that numbers beside others tell nothing."""

SHAPES = re.compile(r"matmul|mat1|core dimension|dot_general|shapes?\b.*(align|broadcast|mismatch|match|multipl)", re.I)
"""What libraries say of products of arrays that do not fit."""

LARGE = 20  # sizes from here on take the oracle's loops long


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Why one check failed.

    Parameters
    ----------
    cause : str
        A key of `edcore.testing.hints.HINTS`.
    detail : str
        Which of several kinds of this cause.
    stage : {"", "forward", "update", "fit"}
        The first step at which numbers are wrong; empty if none are.
    place : Place, optional
        The worst number.
    before : float, optional
        The weight at that place before the update.
    ratio : float, optional
        (got − before) / (expected − before) at that place.
    ratios : dict of str to float or None
        That ratio for each array and sign of its target cells; None where it varies.
    source : Source, optional
        Where an exception comes from.
    """

    cause: str
    detail: str = ""
    stage: str = ""
    place: Place | None = None
    before: float | None = None
    ratio: float | None = None
    ratios: dict[str, float | None] = dataclasses.field(default_factory=dict)
    source: Source | None = None


def diagnose(backend: Backend, name: str, error: Exception) -> Diagnosis:
    """Return why a check of this name raised this error."""
    flaky = isinstance(error, ExceptionGroup)
    error = innermost(error)
    if not isinstance(error, BrokenPromiseError):
        return _of_exception(backend, name, error)
    if error.cause in SHARES:
        return Diagnosis(error.cause)
    example = getattr(error, "example", None)
    found = in_case(backend, example.case) if example is not None and not flaky else None
    if found is not None:
        if found.cause in UNDETERMINED and BY_CHECK.get(name) == "added_one_by_one":
            return dataclasses.replace(found, cause=BY_CHECK[name], detail="")
        return found
    if flaky or (example is not None and unstable(backend, example.case)):
        return Diagnosis("not_deterministic")
    if not error.cause and example is not None and " fit" in str(error):
        found = _of_fit(backend, example.case, weighted=name == "check_fit_weights")
        return found or Diagnosis(BY_CHECK.get(name, "fit"), stage="fit", place=error.place)
    if name == "check_empty_batch" and error.cause in (
        "shape",
        "dtype",
    ):  # as other batches have the right shape and dtype
        return Diagnosis("empty_batch")
    cause = error.cause or BY_CHECK.get(name, "unknown")
    if cause == "unknown" and example is not None and _passes(example):
        cause = "not_deterministic"
    return Diagnosis(cause, place=error.place)


def _passes(example: Example) -> bool:
    """Return whether a check passes now on the case on which it failed."""
    try:
        example.run(example.case)
    except Exception:
        return False
    return True


def in_case(backend: Backend, case: Case) -> Diagnosis | None:
    """Return what is wrong in the forward pass or in one update of a case, or None."""
    case = _one_step(case)
    try:
        return _of_forward(backend, case) or _of_update(backend, case)
    except BrokenPromiseError as error:
        return Diagnosis(error.cause or "unknown", stage="forward", place=error.place)
    except Exception as error:  # of the backend, on other numbers than those of the check
        found = _of_exception(backend, "", error)
        return found if found.cause in EXCEPTIONS else None


def unstable(backend: Backend, case: Case) -> bool:
    """Return whether the same calls give other bits."""
    try:
        first, *others = ({k: v.tobytes() for k, v in results(backend, case).items()} for _ in range(4))
    except Exception:
        return False
    return any(other != first for other in others)


def _one_step(case: Case) -> Case:
    """Return the case with the samples of one update."""
    size = case.rule.samples_per_update(len(case.x))
    return dataclasses.replace(case, x=case.x[:size], error=case.error[:size])


def _others(backend: Backend, case: Case) -> Iterator[Case]:
    """Yield cases beside the failing one, in which another fault has other numbers: a larger one and a classic one."""
    network, rule, seed = case.network, case.rule, case.seed + 1
    sizes = {"in_": 3, "heads": 2} | ({"width": 4, "depth": 2} if isinstance(network.width, int) else {})
    if max(network.in_, network.widest, network.depth, network.heads, len(case.x)) >= LARGE:
        larger = network
    else:
        larger = dataclasses.replace(network, **{k: max(v, getattr(network, k)) for k, v in sizes.items()})
    classic = Network(3, 4, 2, 2, u0=1.0, n_bias=2, dtype=network.dtype)
    usual = Rule(rule.error, alpha=0.8, alpha_output=0.3, reduction=rule.reduction)
    for other, learning in ((larger, rule), (classic, usual)):
        if backend.supports(other, learning) is True:
            yield _one_step(drawn_case(other, learning, max(len(case.x), 5), 0.3, seed))


def _of_forward(backend: Backend, case: Case) -> Diagnosis | None:
    """Return what is wrong in the outputs, or None."""

    def witness(call: str, case: Case) -> Witness:
        exact = case.in_float64
        expected, activities = ORACLE.trace(exact.network, exact.weights, exact.x)
        bound = Bounds(case.network, exact.weights).outputs(activities)
        weights = backend.from_host(case.weights)
        if call == "forward":
            outputs = backend.forward(case.network, weights, case.x)
        else:
            outputs, _ = backend.trace(case.network, weights, case.x)
        numbers = (0 * expected, expected, bound, checked_outputs(case, outputs))
        return Witness(exact, activities, *({"outputs": value} for value in numbers))

    wrong = {call: one for call in ("forward", "trace") if (one := witness(call, case)).place}
    if not wrong:
        return None
    call, first = next(iter(wrong.items()))
    only = f"in {call} alone" if len(wrong) == 1 else ""
    witnesses = [first, *(witness(call, one) for one in _others(backend, case))]
    cause, detail = _suspected(witnesses, forward_suspects())
    detail = ", ".join(filter(None, (detail, only)))
    return Diagnosis(cause or "forward", detail, "forward", first.place)


def _of_update(backend: Backend, case: Case) -> Diagnosis | None:
    """Return what is wrong in one update, or None."""

    def witness(case: Case) -> Witness:
        exact = case.in_float64
        _, activities = ORACLE.trace(exact.network, exact.weights, exact.x)
        bounds = Bounds(case.network, exact.weights).updated(case.rule, activities, exact.error)
        got = updated(backend, case)
        for key, value in exact.weights.items():
            if key not in got:
                raise BrokenPromiseError(f"the keys are {sorted(got)}", "keys")
            if got[key].shape != value.shape or got[key].dtype != case.x.dtype:
                cause = "shape" if got[key].shape != value.shape else "dtype"
                raise BrokenPromiseError(f"{key} has {cause} {getattr(got[key], cause)} after an update", cause)
        return Witness(exact, activities, exact.weights, learned(exact, activities), bounds, got)

    first = witness(case)
    if (place := first.place) is None:
        return None
    witnesses = [first, *map(witness, _others(backend, case))]
    before = float(first.before[place.what][place.index])
    expected = place.expected - before
    ratio = (place.got - before) / expected if expected else None
    cause, detail = _suspected(witnesses, update_suspects())
    if not cause:
        wrong = [(one.case, changes(one)) for one in witnesses if one.place]
        cause, detail = by_ratio(*max(wrong, key=lambda one: len(one[1])))
    return Diagnosis(cause, detail, "update", place, before, ratio, changes(first))


def _suspected(witnesses: list[Witness], suspects: Iterator[Suspect]) -> tuple[str, str]:
    """Return the cause and the detail of the fault whose numbers the backend has in all cases, or empty texts."""
    worst = max(witness.error for witness in witnesses)
    if next(iter(witnesses[0].got.values())).dtype == np.float32:
        if 2e-6 < worst < 5e-3:
            return "low_precision", f"relative errors are up to {worst:.1g}"
    elif 1e-12 < worst < 1e-5:
        return "float32_sums", ""
    for suspect in suspects:
        for number, witness in enumerate(witnesses):
            with np.errstate(all="ignore"):
                found = suspect.compute(witness.case, witness.activities)
            if found is None and number == 0:
                break
            if not witness.matches(witness.expected if found is None else found, SLACK):
                break
        else:
            return suspect.cause, suspect.detail
    return "", ""


def _of_fit(backend: Backend, case: Case, *, weighted: bool) -> Diagnosis | None:
    """Return what is wrong in a run, or None."""
    if weighted:
        x, target, schedule, given = weighted_plan(case)
        got = weighted_fit(backend, case, given, len(schedule.orders))
        for weights, detail in (
            (None, "they are passed over"),
            (given[schedule.orders[0]], "they are taken by the place in the order"),
        ):
            if _distance(got, *oracle_run(case, x, target, steps(case, schedule), weights)) <= 1:
                return Diagnosis("sample_weights", detail, "fit")
        return None
    x, target, schedule = fit_plan(case)
    learnt, _ = backend.fit(case.network, case.rule, backend.from_host(case.weights), x, target, schedule)
    got = backend.to_host(learnt)
    if _distance(got, *oracle_run(case, x, target, steps(case, schedule))) <= 1:
        return None
    nearest: tuple[float, Diagnosis | None] = 1.0, None  # as the bounds may be wide after many steps
    for cause, detail, suspected in fit_suspects(case.rule, schedule.orders, schedule.batch_size):
        expected: HostWeights = case.in_float64.weights
        bounds: HostWeights | None = None
        for rows, factor in suspected:
            weight = None if factor == 1 else np.full(len(rows), factor)
            expected, bounds = oracle_step(case, expected, bounds, x[rows], target[rows], weight)
        if (distance := _distance(got, expected, bounds)) < nearest[0]:
            nearest = distance, Diagnosis(cause, detail, "fit")
    return nearest[1]


def _distance(got: HostWeights, expected: HostWeights, bounds: HostWeights | None) -> float:
    """Return the largest difference of a weight, in units of its bound."""
    return max(
        float((np.abs(got[key] - value) / (bounds[key] + 1e-300 if bounds else 1e-300)).max(initial=0))
        for key, value in expected.items()
    )


def _of_exception(backend: Backend, name: str, error: Exception) -> Diagnosis:
    source = source_of(backend, error)
    cause = "unusable" if is_ours(os.path.abspath(source.file)) else "exception"
    if getattr(error, "second_thread", False):
        cause = "second_thread"
    elif "read-only" in str(error) or "not writeable" in str(error):
        cause = "writes_inputs"
    elif name in ("check_empty_batch", "check_probe_never_raises"):
        cause = BY_CHECK[name]
    elif "NoneType" in str(error) and (method := _returns_nothing(backend)):
        return Diagnosis("returns_nothing", method)
    elif cause == "exception" and SHAPES.search(str(error)):
        cause = "shapes_differ"
    return Diagnosis(cause, source=source)


def _returns_nothing(backend: Backend) -> str:
    """Return the first method that returns None in a simple network, or an empty text."""
    case = drawn_case(Network(in_=1, width=1, depth=0), Rule(), 1, 1.0, 0)
    network = case.network

    def called() -> Iterator[tuple[str, Any]]:
        yield "from_host", (weights := backend.from_host(case.weights))
        yield "to_host", backend.to_host(weights)
        yield "forward", backend.forward(network, weights, case.x)
        yield "trace", (traced := backend.trace(network, weights, case.x))
        yield "update", backend.update(network, case.rule, weights, traced[1], case.error)

    try:
        return next((name for name, value in called() if value is None), "")
    except Exception:  # of the backend: another fault
        return ""


def example_of(error: Exception) -> Example | None:
    """Return the case on which a check failed, and what it does with each case."""
    found: Example | None = getattr(innermost(error), "example", None)
    return found
