"""Checks of the numbers: outputs and updates for all rules and networks, compared with the oracle."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import warnings
from typing import Any

import numpy as np

from edcore.arrays import to_numpy
from edcore.contract.backend import Backend
from edcore.core.network import Network
from edcore.core.presets import PRESETS
from edcore.core.rule import Rule
from edcore.testing.checks.examples import FULL, Extent, dtypes, examine, fewer, for_all, supported
from edcore.testing.checks.oracle import (
    compare_all,
    compare_fit,
    compare_forward,
    compare_update,
    of_heads,
    updated,
)
from edcore.testing.compare import all_close, close, require, same_bits
from edcore.testing.strategies import Case, cases, drawn_case, preset_case, rules, variants
from edcore.testing.tolerance import Bounds, C
from edcore_loop.loops import LoopBackend


def check_forward(backend: Backend, extent: Extent = FULL) -> None:
    """Forward and trace give the oracle's outputs."""
    for_all(extent, cases(dtypes(backend)), lambda case: compare_forward(backend, case))


def check_update_signed(backend: Backend, extent: Extent = FULL) -> None:
    """One update by the signed rule is the oracle's."""
    for_all(extent, cases(dtypes(backend), rules("signed")), lambda case: compare_update(backend, case))


def check_update_split(backend: Backend, extent: Extent = FULL) -> None:
    """One update by the split rule is the oracle's."""
    for_all(extent, cases(dtypes(backend), rules("split")), lambda case: compare_update(backend, case))


def check_deep_stack(backend: Backend, extent: Extent = FULL) -> None:
    """A deep stack learns in all its layers and heads, also if a backend computes only some layers at once."""
    for dtype in dtypes(backend):
        for rule in (Rule("signed"), Rule("split")):
            network = Network(in_=2, width=2, depth=extent.depth, heads=2, u0=1.0, n_bias=2, dtype=dtype)
            case = drawn_case(network, rule, batch=3, scale=0.2, seed=1)
            examine(case, functools.partial(compare_update, backend))


def check_sizes_beyond_one_tile(backend: Backend, extent: Extent = FULL) -> None:
    """Many features, cells, samples and heads are all computed, in forward and in update."""

    def run(case: Case) -> None:
        compare_update(backend, case)
        compare_forward(backend, case)

    for dtype in dtypes(backend):
        for sizes in extent.large:
            in_, width, heads = sizes.get("in_", 2), sizes.get("width", 2), sizes.get("heads", 1)
            # Many sources make large sums: smaller weights keep the cells from saturating.
            scale = 1 / max(in_, width)
            network = Network(in_, width, 1, heads, 1.0, dtype=dtype)
            examine(drawn_case(network, Rule("split"), sizes["batch"], scale, seed=1), run)


def check_small_increments_of_large_weights(backend: Backend, extent: Extent = FULL) -> None:
    """A batch is summed before it is added: samples that are each lost beside a large weight count together."""
    samples = 16

    def run(case: Case) -> None:
        ulp = float(2 * np.finfo(case.x.dtype).eps)
        learned = updated(backend, case)
        for layer in case.network.layers:
            key = f"{layer.name}.weight"
            activities = 1.0 if layer.name == "input" else 0.5
            change = learned[key].astype(np.float64) - case.weights[key]
            one = 1.875 * activities / 4 * ulp
            expected = np.zeros_like(change) + samples * one * np.array(layer.target_signs)
            close(change, expected, np.full_like(change, 2 * ulp), f"{key}'s change by {samples} small increments")

    for dtype in dtypes(backend):
        ulp = float(2 * np.finfo(dtype).eps)
        for sizes in extent.large:
            network = Network(sizes.get("in_", 2), sizes.get("width", 2), 1, sizes.get("heads", 1), dtype=dtype)
            # Both streams have the same activities, and their weights cancel: all sums are 0, and all g are 1/4.
            weights = {key: np.zeros(shape, dtype) for key, shape in network.weight_shapes.items()}
            for layer in network.layers:
                weights[f"{layer.name}.weight"] += np.array(layer.source_signs, dtype)[:, None] * 3
            x = np.ones((samples, network.in_), dtype)
            error = np.full((samples, network.columns), ulp, dtype)
            rule = Rule(alpha=1.875, alpha_output=1.875, reduction="sum")
            examine(Case(network, rule, weights, x, error), run, drawn=False)


def check_rms_of_huge_sums(backend: Backend, extent: Extent = FULL) -> None:
    """Under rms, sums whose squares overflow give the right outputs or NaN, never a finite wrong answer."""
    for dtype in dtypes(backend):
        case = drawn_case(Network(3, 5, 2, 2, rms=True, dtype=dtype), Rule(), batch=5, scale=0.3, seed=1)
        if not supported(backend, case):
            continue
        most = np.finfo(dtype).maxexp // 2
        # Sums are divided by their root, so a power of 2 in the first weights changes no bit of what follows.
        factors = (2.0 ** (most // 2), 2.0 ** (most - 10), 2.0 ** (most + 4))
        outputs = []
        for factor in factors:
            first = {key: case.weights[key] * np.dtype(dtype).type(factor) for key in ("input.weight", "input.bias")}
            weights = backend.from_host(case.weights | first)
            with np.errstate(all="ignore"), warnings.catch_warnings():  # also those of a simulator's threads
                warnings.simplefilter("ignore")
                forward = to_numpy(backend.forward(case.network, weights, case.x)).copy()
                traced = to_numpy(backend.trace(case.network, weights, case.x)[0]).copy()
            outputs.append((forward, traced))
        bound = np.full_like(outputs[0][0], C * np.finfo(dtype).eps)
        for name, expected, large, huge in zip(("forward", "trace"), *outputs, strict=True):
            close(large, expected, bound, f"{name}'s outputs for large sums")
            close(np.where(np.isnan(huge), expected, huge), expected, bound, f"{name}'s outputs for huge sums")


def check_negative_inputs(backend: Backend, extent: Extent = FULL) -> None:
    """The formula is the same for inputs below 0."""

    def run(case: Case) -> None:
        compare_update(backend, dataclasses.replace(case, x=1 - 2 * case.x))

    for_all(extent, cases(dtypes(backend)), run)


def check_zero_error_leaves_every_bit(backend: Backend, extent: Extent = FULL) -> None:
    """An error of 0 changes nothing."""

    def run(case: Case) -> None:
        silent = dataclasses.replace(case, error=0 * case.error)
        same_bits(updated(backend, silent), case.weights, "after an update for an error of 0", "zero_error")

    for_all(extent, cases(dtypes(backend)), run)


def check_split_keeps_signs(backend: Backend, extent: Extent = FULL) -> None:
    """Under the split rule with inputs of at least 0, no weight changes its sign and none shrinks."""

    def run(case: Case) -> None:
        for key, new in updated(backend, case).items():
            old = case.weights[key]
            require((np.sign(new) == np.sign(old)).all(), f"{key} has weights that changed their sign")
            require((np.abs(new) >= np.abs(old)).all(), f"{key} has weights that shrank")

    for_all(extent, cases(dtypes(backend), rules("split")), run)


def check_presets(backend: Backend, extent: Extent = FULL) -> None:
    """Each preset is computed, or refused with a reason: forward, one update, and a run."""

    def step(case: Case) -> None:
        compare_forward(backend, case)
        size = case.rule.samples_per_update(len(case.x))
        compare_update(backend, dataclasses.replace(case, x=case.x[:size], error=case.error[:size]))

    def run(case: Case) -> None:
        compare_fit(backend, case)

    for name in PRESETS:
        for dtype in dtypes(backend):
            case = preset_case(name, dtype)
            if not supported(backend, case):
                continue
            examine(case, step)
            examine(preset_case(name, dtype, extent.width, batch=2), run)


def check_variants(backend: Backend, extent: Extent = FULL) -> None:
    """Each combination of fields of network and rule is computed, or refused with a reason."""

    def run(case: Case) -> None:
        if not supported(backend, case):
            return
        compare_forward(backend, case)
        compare_update(backend, case)
        silent = dataclasses.replace(case, error=0 * case.error)
        same_bits(updated(backend, silent), case.weights, "after an update for an error of 0", "zero_error")

    for_all(extent, variants(dtypes(backend)), run)


def check_widths(backend: Backend, extent: Extent = FULL) -> None:
    """Layers of several widths are computed, or refused with a reason: in one step, and in a run."""
    kinds: tuple[tuple[tuple[int, ...], Rule, dict[str, Any]], ...] = (
        ((5, 3, 4), Rule("split"), {"n_bias": 2}),
        # Cells learn by their place in their own layer; a wide layer follows a narrow one.
        ((5, 3, 7), Rule(centred=True, floor=0.05), {"outputs": 2, "activation": "tanh", "heads": 2}),
        ((2, 17), Rule(reduction="sum", alpha=0.1, alpha_output=0.1), {"rms": True, "activation": "relu"}),
        ((3, *[2] * 11), Rule(), {"heads": 2}),  # hidden.10 comes after hidden.9
    )
    for (widths, rule, kind), dtype in itertools.product(kinds, dtypes(backend)):
        case = drawn_case(Network(3, widths, u0=1.0, dtype=dtype, **kind), rule, batch=5, scale=0.3, seed=1)
        if supported(backend, case):
            examine(case, functools.partial(compare_all, backend))


def check_one_hot(backend: Backend, extent: Extent = FULL) -> None:
    """Categories are computed as the inputs that they stand for, or refused: in one step, and in a run."""
    kinds: tuple[tuple[Rule, dict[str, Any]], ...] = (
        (Rule("split"), {"n_bias": 2}),
        (Rule(centred=True, floor=0.05), {"outputs": 2, "activation": "tanh", "heads": 2}),
        (Rule(reduction="sum", alpha=0.1, alpha_output=0.1), {"rms": True, "activation": "relu"}),
    )
    for (rule, kind), dtype in itertools.product(kinds, dtypes(backend)):
        case = drawn_case(Network(15, 5, 1, u0=1.0, dtype=dtype, one_hot=3, **kind), rule, batch=33, scale=0.3, seed=1)
        if not supported(backend, case):
            continue
        compare_forward(backend, case)
        compare_update(backend, case)
        compare_fit(backend, dataclasses.replace(case, x=case.x[:5], error=case.error[:5]))


def check_floor(backend: Backend, extent: Extent = FULL) -> None:
    """A rule with a floor keeps the sign s_i s_j of each weight, and its least magnitude; biases have no floor."""

    def run(case: Case) -> None:
        if not supported(backend, case):
            return
        floor = case.x.dtype.type(case.rule.floor)
        learned = updated(backend, dataclasses.replace(case, error=8 * case.error))
        for layer in case.network.layers:
            signs = np.outer(layer.source_signs, layer.target_signs)
            for head in range(case.network.heads):
                size = signs * learned[f"{layer.name}.weight"][layer.where(head)]
                require((size >= floor).all(), f"{layer.name}.weight has {size.min()}, below the floor of {floor}")

    for_all(fewer(extent), variants(dtypes(backend)).filter(lambda case: case.rule.floor is not None), run)


def check_softmax(backend: Backend, extent: Extent = FULL) -> None:
    """The softmax of each head's sums is computed, or refused with a reason; it never overflows."""
    for dtype in dtypes(backend):
        for outputs, both in ((2, True), (3, False), (37, True)):
            cells = {"activation": "tanh", "output_activation": "softmax", "inhibitory_output": both}
            shape: dict[str, Any] = {"outputs": outputs, "n_bias": 2, "dtype": dtype, **cells}
            case = drawn_case(Network(3, max(outputs, 5), 0, 2, **shape), Rule(alpha=0.1), batch=5, scale=0.3, seed=1)
            if not supported(backend, case):
                continue
            examine(case, functools.partial(compare_all if outputs < 9 else compare_forward, backend))
            # The same in all sums of a head changes no output, and exp(±1000) is beyond float64.
            bias = case.weights["output.bias"].copy()
            bias[:, 0] += np.array([[1000], [-1000]])
            far = dataclasses.replace(case, weights=case.weights | {"output.bias": bias})
            examine(far, functools.partial(compare_forward, backend), drawn=False)


def check_heads_are_independent(backend: Backend, extent: Extent = FULL) -> None:
    """A head learns as it would alone, and nothing from the errors of other heads."""

    def run(case: Case) -> None:
        alone = dataclasses.replace(
            case,
            network=dataclasses.replace(case.network, heads=1),
            weights={key: value[:1].copy() for key, value in case.weights.items()},
            error=case.error[:, :1],
        )
        first = np.arange(case.network.heads) == 0
        others_silent = dataclasses.replace(case, error=case.error * first)
        together, silent = updated(backend, case), updated(backend, others_silent)
        same_bits(of_heads(together, first), of_heads(silent, first), "of head 0 for other errors of the other heads")
        exact = alone.in_float64
        _, activities = LoopBackend().trace(exact.network, exact.weights, exact.x)
        bounds = Bounds(alone.network, exact.weights).updated(case.rule, activities, exact.error)
        all_close(
            of_heads(together, first), updated(backend, alone), {k: 2 * v for k, v in bounds.items()}, "of head 0 alone"
        )

    for_all(extent, cases(dtypes(backend)), run)
