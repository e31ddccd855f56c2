"""What a backend would compute if it had one of the usual faults: the fault whose numbers it has is the likely cause.

Each suspect is the oracle with one thing changed, in float64. A suspect returns None where its fault changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from edcore.arrays import HostWeights
from edcore.testing.strategies import Case
from edcore_loop.loops import Activities, LoopBackend

ORACLE = LoopBackend()

Compute: TypeAlias = Callable[[Case, Activities], "HostWeights | None"]
"""What a backend with a fault gives for a case, whose right activities are given too: its outputs, or its weights."""


class Suspect(NamedTuple):
    """A usual fault: the name of its hint, and the numbers that a backend with it has."""

    cause: str
    detail: str
    compute: Compute


def with_network(case: Case, **fields: Any) -> Case | None:
    """Return the case with other fields of its network, or None if they are those that it has."""
    network = dataclasses.replace(case.network, **fields)
    return None if network == case.network else dataclasses.replace(case, network=network)


def with_rule(case: Case, **fields: Any) -> Case | None:
    """Return the case with other fields of its rule, or None if they are those that it has."""
    rule = dataclasses.replace(case.rule, **fields)
    return None if rule == case.rule else dataclasses.replace(case, rule=rule)


def with_weights(case: Case, arrays: HostWeights) -> Case:
    """Return the case with other arrays of weights."""
    return dataclasses.replace(case, weights=case.weights | arrays)
