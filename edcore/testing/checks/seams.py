"""Checks of what a researcher adds: an activation that was registered."""

from __future__ import annotations

import itertools
from typing import Any

from edcore.arrays import Array
from edcore.contract.backend import Backend
from edcore.core.activations import registered
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.testing.checks.examples import FULL, Extent, dtypes, supported
from edcore.testing.checks.oracle import compare_fit, compare_forward, compare_update
from edcore.testing.strategies import drawn_case

NUMBERS = itertools.count(1)
"""No name is used twice, as a backend may keep what it has compiled for one."""


def f(z: Array, u0: float) -> Array:
    """Return the activity of cells that are like no others: without bounds, not 0 at 0, and with a width."""
    return 0.5 * z + z / (u0 + abs(z)) + 0.25


def g(y: Array) -> Array:
    """Return a factor that is not the derivative of `f`."""
    return 1 / (1 + y * y) - 0.25


def check_new_activation(backend: Backend, extent: Extent = FULL) -> None:
    """An activation that was registered is computed, or refused with a reason, and never computed as another."""
    name = f"conformance_{next(NUMBERS)}"
    rule = Rule(alpha=0.1, alpha_output=0.1)
    kinds: tuple[dict[str, Any], ...] = (
        {"activation": name},
        {"output_activation": name},
        {"activation": name, "rms": True, "outputs": 2},
    )
    with registered(name, f, g):
        for number, (kind, dtype) in enumerate(itertools.product(kinds, dtypes(backend))):
            fields: dict[str, Any] = {"activation": "tanh", "u0": 2.0, "n_bias": 2, "dtype": dtype, **kind}
            case = drawn_case(Network(3, 2, 1, 2, **fields), rule, batch=3, scale=0.3, seed=1)
            if not supported(backend, case):
                continue
            compare_forward(backend, case)
            compare_update(backend, case)
            if number == 0:
                compare_fit(backend, case)
