"""Learning rates that change from epoch to epoch: the factors of a schedule, and a rule with its rates times one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeAlias

from edcore.arguments import LARGEST, real
from edcore.core.rule import Rule
from edcore.errors import InputError, shown

RateSchedule: TypeAlias = Callable[[int], float] | Sequence[float]


def checked_schedule(schedule: Any, epochs: int) -> Callable[[int, int], float] | None:
    """Return the factor of an epoch as a function of its number in this call and in all, both from 0.

    A function is asked for the latter, before the epoch, and a sequence for the former.
    """
    if schedule is None:
        return None
    if callable(schedule):
        return lambda _, epoch: real(f"schedule({epoch})", schedule(epoch))
    try:
        values = [schedule[number] for number in range(len(schedule))]
    except Exception:  # what is no sequence raises errors of many kinds
        values = None
    if values is None or isinstance(schedule, str | bytes | Mapping):
        accepted = "None, a function of the epoch, or a sequence of factors, one for each epoch"
        raise InputError("schedule", shown(schedule), accepted)
    factors = [real(f"schedule[{number}]", factor) for number, factor in enumerate(values)]
    if len(factors) != epochs:
        fix = "A function of the epoch has no end: schedule=lambda epoch: 0.9**epoch."
        raise InputError("schedule", f"{len(factors):,} factors for {epochs:,} epochs", "one for each epoch", fix)
    return lambda number, _: factors[number]


def scaled(rule: Rule, factor: float) -> Rule:
    """Return the rule with both learning rates times a factor of at least 0; the rule itself for 1."""
    return rule if factor == 1 else _scaled(rule, factor)


@lru_cache(maxsize=8)  # the same rule for the same factor: the guard measures the weights again for each new one
def _scaled(rule: Rule, factor: float) -> Rule:
    alpha, alpha_output = factor * rule.alpha, factor * rule.alpha_output
    if max(alpha, alpha_output) > LARGEST:
        given = f"a factor of {factor:g} for learning rates of {rule.alpha:g} and {rule.alpha_output:g}"
        raise InputError("schedule", given, f"learning rates of at most {LARGEST:g}")
    return replace(rule, alpha=alpha, alpha_output=alpha_output)
