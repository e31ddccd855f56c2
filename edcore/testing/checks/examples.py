"""The examples that the checks draw: how many, how large, and of which networks."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edcore.arguments import DTYPES, DType
from edcore.contract.backend import Backend
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.testing.compare import require
from edcore.testing.strategies import Case, cases


@dataclasses.dataclass(frozen=True)
class Extent:
    """The extent of a check."""

    examples: int
    depth: int  # layers of the deep stack
    large: tuple[dict[str, int], ...]  # sizes beyond one tile, each in an otherwise small network
    width: int  # of the networks that learn several batches by each preset


FULL = Extent(
    40, 133, ({"in_": 150, "batch": 3}, {"width": 45, "batch": 3}, {"batch": 140}, {"heads": 7, "batch": 3}), width=5
)
QUICK = Extent(
    4, 9, ({"in_": 70, "batch": 3}, {"width": 34, "batch": 3}, {"batch": 70}, {"heads": 3, "batch": 3}), width=3
)


@dataclasses.dataclass(frozen=True)
class Example:
    """A case on which a check failed, and what the check does with each case."""

    case: Case
    run: Callable[[Case], None]
    drawn: bool  # by `drawn_case`, so that a simpler one can be drawn


def examine(case: Case, run: Callable[[Case], None], *, drawn: bool = True) -> None:
    """Run a check on one case; an error that it raises has them as its `example`, for `edcore.testing.diagnosis`."""
    try:
        run(case)
    except Exception as error:
        with contextlib.suppress(AttributeError):  # a backend's own exception may take no attributes
            error.example = Example(case, run, drawn)  # type: ignore[attr-defined]
        raise


def for_all(extent: Extent, strategy: st.SearchStrategy[Case], run: Callable[[Case], None]) -> None:
    """Run a check on the examples of a strategy."""
    # `given` stands inside, as Hypothesis refuses it on inherited tests.

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
        examine(case, run)

    test()


def fewer(extent: Extent) -> Extent:
    """Return an extent with fewer examples, for checks whose examples take many runs each."""
    return dataclasses.replace(extent, examples=-(-extent.examples // 4))


def supported(backend: Backend, case: Case) -> bool:
    """Return whether the backend has the case's network and rule; if not, assert that it says why."""
    answer = backend.supports(case.network, case.rule)
    require(answer is True or (isinstance(answer, str) and answer), f"supports returned {answer!r}", "no_reason")
    return answer is True


def gentle(backend: Backend, rule: st.SearchStrategy[Rule]) -> st.SearchStrategy[Case]:
    """Return shallow cases with small batches, on which rounding errors do not explode within ten steps."""

    def gentle(case: Case) -> bool:
        return case.network.depth <= 1 and case.network.widest <= 3

    return cases(dtypes(backend), rule, batches=(1, 2, 5)).filter(gentle)


def dtypes(backend: Backend) -> tuple[DType, ...]:
    """Return the precisions in which the backend supports a small network."""
    answers = {dtype: backend.supports(Network(in_=1, width=1, dtype=dtype), Rule()) for dtype in DTYPES}
    for dtype, answer in answers.items():
        given = f"supports returned {answer!r} for {dtype}"
        require(answer is True or (isinstance(answer, str) and answer), given, "no_reason")
    has = tuple(dtype for dtype, answer in answers.items() if answer is True)
    require(has, f"it supports a small network in no precision: {answers}", "no_precision")
    return has
