"""Run the suite on a backend, and say what is wrong with it: one finding for each cause, the simplest first."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Iterable
from typing import TypeAlias

from edcore.contract.backend import Backend
from edcore.errors import UnknownNameError
from edcore.testing.checks import Check, iter_checks
from edcore.testing.compare import BrokenPromiseError
from edcore.testing.diagnosis import (
    EXCEPTIONS,
    LARGE,
    SHARES,
    UNDETERMINED,
    Diagnosis,
    diagnose,
    example_of,
    in_case,
)
from edcore.testing.findings import Finding, Report
from edcore.testing.hints import HINTS
from edcore.testing.origins import innermost, source_of
from edcore.testing.smallest import as_code, simplest_case

SIMPLEST = (
    "check_protocol",
    "check_probe_never_raises",
    "check_host_round_trip",
    "check_forward",
    "check_update_signed",
    "check_update_split",
)
"""The checks with which to start; the others follow in the order of `iter_checks`."""

STAGES = ("forward", "update", "fit")

Key: TypeAlias = tuple[str, ...]
CONSEQUENCES = (
    "added_one_by_one",
    "rms_overflow",
    "floor",
    "split_signs",
    "negative_inputs",
    "stops",
    "errors_filled",
    "stopped_heads",
    "fit_layout",
    "learning_mask",
    "new_activation",
    "layer_errors",
    "one_hot",
    "widths",
    "sample_weights",
    "no_precision",
    "unusable",
)
"""Causes that come with others: of wrong numbers, of results that change, or of a wrong memory."""

STATES = {
    "not_deterministic": "check_same_call_same_bits",
    "second_call": "check_second_call",
    "cached": "check_second_call",
}
"""Causes by which results depend on earlier calls, and the checks that are there for them."""

CLEAREST = {**STATES, **dict.fromkeys(SHARES, "check_host_round_trip"), "copy_shares": "check_copy"}
"""The checks with the clearest errors."""

CHANGING = (*STATES, *SHARES, "writes_inputs", "second_thread", "results_change", "heads_mixed", "unknown")
"""Causes that come with weights that change later."""

IN_OTHERS = {"sum_missing": "mean_twice", "floor": "floor_forgotten", "second_thread": "not_deterministic"}
"""Causes that another one explains."""

SOURCES = (
    "zero_error",
    "results_change",
    "not_deterministic",
    "second_call",
    "cached",
    "writes_inputs",
    "memory",
    *SHARES,
)


def report(
    backend: Backend,
    checks: Iterable[str] | None = None,
    *,
    quick: bool = False,
    told: Callable[[str, str], None] | None = None,
) -> Report:
    """Run the conformance suite on a backend, and find out what is wrong with it.

    Parameters
    ----------
    backend : Backend
        The backend.
    checks : iterable of str, optional
        Names of the checks to run; all by default.
    quick : bool
        Try a tenth of the examples, and smaller sizes: for a slow simulator.
    told : callable, optional
        ``told(name, message)`` is called after each check, with an empty message if it passed.

    Returns
    -------
    Report
        The checks that passed and failed, and one finding for each cause.

    Raises
    ------
    UnknownNameError
        If there is no check of a name.

    Examples
    --------
    >>> from edcore.adapters.array_api import NUMPY
    >>> from edcore.testing import report
    >>> found = report(NUMPY.load(None), ["check_forward", "check_copy"])
    >>> found.passed, found.findings
    (('check_copy', 'check_forward'), ())
    """
    every = dict(iter_checks(quick))
    wanted = list(every) if checks is None else list(checks)
    for name in wanted:
        if name not in every:
            raise UnknownNameError("check", name, every)
    passed, errors = [], dict[str, Exception]()
    for name, check in every.items():
        if name not in wanted:
            continue
        try:
            check(backend)
        except Exception as error:  # a backend can raise anything
            errors[name] = error
        else:
            passed.append(name)
        if told is not None:
            told(name, first_line(errors[name]) if name in errors else "")
    failed = {name: first_line(error) for name, error in errors.items()}
    return Report(backend.info.name, backend.device, tuple(passed), failed, tuple(_findings(backend, errors, every)))


def first_line(error: Exception) -> str:
    """Return the first line of an error, or the name of its kind."""
    return next(iter(str(innermost(error)).strip().splitlines()), type(error).__name__)


def explain(backend: Backend, name: str, error: Exception) -> Finding:
    """Return the finding of one check that raised an error."""
    diagnosis = diagnose(backend, name, error)
    return _finding(backend, diagnosis.cause, [name], (), error, diagnosis)


def _findings(backend: Backend, errors: dict[str, Exception], every: dict[str, Check]) -> list[Finding]:
    """Return a finding for each cause."""
    order = dict.fromkeys(name for name in (*SIMPLEST, *errors) if name in errors)
    found = {name: diagnose(backend, name, errors[name]) for name in order}
    for name, one in found.items():  # an empty batch fails as others do
        source = one.source
        same = [other for other in found.values() if other.cause in EXCEPTIONS and _line(other) == _line(one)]
        if name == "check_empty_batch" and source is not None and same:
            found[name] = same[0]
    state = _state(backend, found, every)
    groups = dict[Key, list[str]]()
    for name, diagnosis in found.items():
        groups.setdefault(_key(diagnosis, state), []).append(name)
    for cause, other in IN_OTHERS.items():
        if (cause,) in groups and (other,) in groups:
            groups[other,] += groups.pop((cause,))
    for (cause, *_), names in groups.items():
        if cause in CLEAREST:  # the check that is there for it has the clearest error
            names.sort(key=lambda name: name != CLEAREST[cause])
        if cause in EXCEPTIONS:  # of numbers that are wrong by it, the error says less
            names.sort(key=lambda name: isinstance(innermost(errors[name]), BrokenPromiseError))
    perhaps = _fold(groups, {key: _stage(found[names[0]]) for key, names in groups.items()})
    return [
        _finding(backend, key[0], names, perhaps.get(key, ()), errors[names[0]], found[names[0]])
        for key, names in groups.items()
    ]


def _line(diagnosis: Diagnosis) -> Key:
    source = diagnosis.source
    return () if source is None else (source.type, source.file, str(source.line))


def _stage(diagnosis: Diagnosis) -> str:
    """Return the step at which numbers are wrong, or an exception is raised."""
    if diagnosis.cause not in EXCEPTIONS or diagnosis.source is None:
        return diagnosis.stage
    stage = diagnosis.source.call.replace("trace", "forward")
    return stage if stage in STAGES else ""


def _key(diagnosis: Diagnosis, state: str) -> Key:
    """Return what the findings of one cause have in common; two exceptions differ by their lines."""
    if state in SHARES and (diagnosis.stage or diagnosis.cause in CHANGING):
        return (state,)
    if state == "not_deterministic" and diagnosis.cause in STATES:
        return (state,)
    if state in ("second_call", "cached") and (diagnosis.stage or diagnosis.cause in STATES):
        return (state,)
    return (diagnosis.cause, *_line(diagnosis)) if diagnosis.cause in EXCEPTIONS else (diagnosis.cause,)


def _fold(groups: dict[Key, list[str]], stages: dict[Key, str]) -> dict[Key, tuple[str, ...]]:
    """Take out of the groups those that another one probably explains; return the checks that each explains so."""

    def step(key: Key) -> int:
        """Return the step at which numbers are first wrong by a cause."""
        return STAGES.index(stages[key]) if stages[key] else len(STAGES)

    vague = (*UNDETERMINED, *CONSEQUENCES)
    sure = [key for key in groups if key[0] not in vague and (stages[key] or key[0] in SOURCES)]
    sure += [key for key in groups if key[0] == "added_one_by_one" and not sure]
    explained = dict[Key, tuple[str, ...]]()
    for key in [key for key in groups if key[0] in vague and key not in sure]:
        if earlier := [one for one in sure if one[0] in SOURCES or step(one) <= step(key)]:
            explained[earlier[0]] = (*explained.get(earlier[0], ()), *groups.pop(key))
    return explained


def _state(backend: Backend, found: dict[str, Diagnosis], every: dict[str, Check]) -> str:
    """Return the cause if results depend on earlier calls, so that numbers beside those of a fault tell nothing."""
    for name in ("check_host_round_trip", "check_copy"):
        if name in found and found[name].cause in SHARES:
            return found[name].cause
    again = found.get("check_same_call_same_bits")
    if again is not None and again.cause == "not_deterministic":
        return again.cause
    second = found.get("check_second_call")
    if second is None and any(one.stage for one in found.values()):
        try:
            every["check_second_call"](backend)
        except Exception as error:
            second = diagnose(backend, "check_second_call", error)
    return second.cause if second is not None and second.cause in STATES else ""


def _finding(
    backend: Backend, cause: str, names: list[str], perhaps: tuple[str, ...], error: Exception, diagnosis: Diagnosis
) -> Finding:
    """Return the finding of a cause, with the simplest case on which its first check fails."""
    example, case = example_of(error), ""
    passes_with: tuple[str, ...] = ()
    if example is not None:

        def same(other: Exception) -> bool:
            if diagnosis.source is None:
                return type(other) is type(innermost(error))
            source = source_of(backend, other)
            return (source.type, source.line) == (diagnosis.source.type, diagnosis.source.line)

        simplest, passes_with = simplest_case(example, same)
        case = as_code(simplest) if example.drawn else ""
        if diagnosis.stage in STAGES[:2] and (there := in_case(backend, simplest)) and there.stage == diagnosis.stage:
            diagnosis = dataclasses.replace(there, detail=diagnosis.detail)
        sizes = max(simplest.network.in_, simplest.network.widest, simplest.network.depth, len(simplest.x))
        if cause in UNDETERMINED and sizes >= LARGE:
            cause, diagnosis = "size", dataclasses.replace(diagnosis, detail="")
    diagnosis = dataclasses.replace(diagnosis, cause=cause)
    hint = HINTS[cause]
    title = hint.title
    if diagnosis.source is not None and cause in EXCEPTIONS:
        source = diagnosis.source
        title = f"{source.call or 'A call'} raises {source.type}: {source.message}"
    elif diagnosis.detail:
        title = f"{hint.title.removesuffix('.')}: {diagnosis.detail}."
    whole = "".join(traceback.format_exception(error)).rstrip()
    return Finding(
        cause, title, hint.advice, tuple(names), perhaps, first_line(error), case, passes_with, diagnosis, whole
    )
