"""Checks of what a researcher adds: an activation that was registered, and an error of its own for each layer."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from edcore.arrays import Array
from edcore.contract.backend import Backend, LearnsByLayer
from edcore.core.activations import registered
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.testing.checks.examples import FULL, Extent, dtypes, fewer, for_all, supported
from edcore.testing.checks.oracle import compare_fit, compare_forward, compare_update
from edcore.testing.compare import all_close
from edcore.testing.strategies import Case, drawn_case, variants
from edcore.testing.tolerance import Bounds
from edcore_loop.loops import LoopBackend

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


def check_layer_errors(backend: Backend, extent: Extent = FULL) -> None:
    """With `update_layers` each layer learns from its own error; with the same errors, all learn as by `update`."""
    if not isinstance(backend, LearnsByLayer):
        return

    def run(case: Case) -> None:
        if not supported(backend, case):
            return
        same = [case.error] * len(case.network.layers)
        compare_layers(backend, case, same, "for the same error in all layers")
        own = [np.roll(case.error, number, axis=0) * (1 - number / 2) for number in range(len(same))]
        compare_layers(backend, case, [error.astype(case.error.dtype) for error in own], "for errors of the outputs")
        for number in range(len(own)):  # those of one layer's cells, and of all in the end
            own[number] = errors_of_cells(case, number)
            compare_layers(backend, case, own, f"for errors of the cells of layers 0 to {number}")

    for_all(fewer(extent), variants(dtypes(backend)), run)


def errors_of_cells(case: Case, number: int) -> Array:
    """Return an error (heads, batch, cells) for each target cell of a layer, of both signs."""
    cells = len(case.network.layers[number].target_signs)
    shape = case.network.heads, len(case.x), cells
    return np.random.default_rng(number).uniform(-1, 1, shape).astype(case.error.dtype)


def compare_layers(backend: LearnsByLayer, case: Case, errors: list[Array], what: str) -> None:
    """Assert that an update by an error for each layer gives the oracle's weights, within the bounds."""
    exact, oracle = case.in_float64, LoopBackend()
    given = [error.astype(np.float64) for error in errors]
    _, activities = oracle.trace(exact.network, exact.weights, exact.x)
    expected = oracle.update_layers(exact.network, exact.rule, exact.weights, activities, given)
    bounds = Bounds(case.network, exact.weights).updated_layers(case.rule, activities, given)
    weights = backend.from_host(case.weights)
    _, trace = backend.trace(case.network, weights, case.x)
    learned = backend.to_host(backend.update_layers(case.network, case.rule, weights, trace, errors))
    all_close(learned, expected, bounds, what)
