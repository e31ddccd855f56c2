"""The formulas of the model in docs/explanation/scaling.md; `benchmarks/scaling.py` compares it with clocks."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling_model import (
    ETHERNET,
    LANGUAGE,
    NVLINK,
    STACKS,
    back_propagation,
    bytes_needed,
    filled,
    pipeline,
    schedule,
)

PIECES = st.floats(0.01, 10)
RANKS, PARTS = st.integers(1, 5), st.integers(1, 7)


@given(RANKS, PARTS, PIECES, PIECES, PIECES, PIECES)
def test_with_a_core_for_each_process_the_schedule_is_the_formula(ranks, parts, forward, message, errors, update):
    expected = filled(ranks, parts, forward, message) + errors + update
    assert schedule(ranks, parts, ranks, forward, message, errors, update) == pytest.approx(expected)


@given(RANKS, PARTS, PIECES, PIECES)
def test_one_core_does_all_work_one_after_the_other(ranks, parts, forward, update):
    """Where messages take no time, a core is never idle."""
    assert schedule(ranks, parts, 1, forward, 0, 0, update) == pytest.approx(ranks * (parts * forward + update))


@given(RANKS, PARTS, PIECES, PIECES, PIECES, PIECES)
def test_more_cores_are_no_slower(ranks, parts, forward, message, errors, update):
    steps = [schedule(ranks, parts, cores, forward, message, errors, update) for cores in range(1, ranks + 1)]
    assert steps == sorted(steps, reverse=True) or max(steps) == pytest.approx(min(steps))


@pytest.mark.parametrize("name", STACKS)
def test_weights_are_what_the_name_says(name):
    assert STACKS[name].weights == pytest.approx(1e9 if name.startswith("10⁹") else 1e12, rel=0.01)


def test_a_trillion_weights_fit_no_device():
    stack = STACKS["10¹², wide"]
    assert bytes_needed(stack, 8) > NVLINK.memory > bytes_needed(stack, 64)
    assert pipeline(stack, ETHERNET, 512, 64) < pipeline(stack, ETHERNET, 64, 64)


IDEAL = replace(NVLINK, bandwidth=1e30, layer=0.0, latency=0.0, link=1e30)
"""A device for which only products take time."""


@given(st.integers(1, 15), st.integers(1, 64))
def test_bubbles_are_those_of_the_page(ranks, parts):
    """In units of a part's way forward, ED takes 2 m + p − 1, and back-propagation 3 (m + p − 1)."""
    unit = 2 * LANGUAGE.batch * LANGUAGE.weights / (IDEAL.flops * ranks * parts)
    assert pipeline(LANGUAGE, IDEAL, ranks, parts) / unit == pytest.approx(2 * parts + ranks - 1)
    assert back_propagation(LANGUAGE, IDEAL, ranks, parts) / unit == pytest.approx(3 * (parts + ranks - 1))
