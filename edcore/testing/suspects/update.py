"""The usual faults of one update."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from edcore.arrays import Array, HostWeights
from edcore.core.network import Layer, Network
from edcore.testing.strategies import Case
from edcore.testing.suspects import ORACLE, Compute, Suspect, with_network, with_rule
from edcore_loop.loops import Activities

# Each function returns the weights that the fault leaves.


def learned(case: Case, activities: Activities) -> HostWeights:
    """Return the oracle's weights after one update."""
    return ORACLE.update(case.network, case.rule, case.weights, activities, case.error)


def _of(changed: Callable[[Case], Case | None]) -> Compute:
    """Return the right update of a changed case."""

    def compute(case: Case, activities: Activities) -> HostWeights | None:
        other = changed(case)
        return None if other is None else learned(other, activities)

    return compute


def _by_rule(**fields: Any) -> Compute:
    """Return the update under a rule with other fields."""
    return _of(lambda case: with_rule(case, **fields))


def _by_network(**fields: Any) -> Compute:
    """Return the update as in a network with other fields, for the activities of the right one."""
    return _of(lambda case: with_network(case, **fields))


def _by_error(changed: Callable[[Case], Array]) -> Compute:
    """Return the update for another error."""

    def other(case: Case) -> Case | None:
        error = changed(case)
        return None if np.array_equal(error, case.error) else dataclasses.replace(case, error=error)

    return _of(other)


def _rates_swapped(case: Case) -> Case | None:
    return with_rule(case, alpha=case.rule.alpha_output, alpha_output=case.rule.alpha)


def _always_split(case: Case) -> Case | None:
    return None if case.network.outputs > 1 else with_rule(case, error="split")


def _by_head(case: Case) -> Array:
    return case.error.reshape(len(case.error), case.network.heads, case.network.outputs)


def _mean_of_heads(case: Case) -> Array:
    by_head = _by_head(case)
    return np.broadcast_to(by_head.mean(axis=1, keepdims=True), by_head.shape).reshape(case.error.shape)


def _first_head(case: Case) -> Array:
    return np.broadcast_to(_by_head(case)[:, :1], _by_head(case).shape).reshape(case.error.shape)


def _outputs_mixed(case: Case) -> Array:
    by_output = case.error.reshape(len(case.error), case.network.outputs, case.network.heads)
    return np.swapaxes(by_output, 1, 2).reshape(case.error.shape)


Change: TypeAlias = Callable[[Case, Layer, str, Array], Array]


def _changed(change: Change) -> Compute:
    """Return the update with the changes of each layer's weights, and of its biases, as `change` makes them."""

    def compute(case: Case, activities: Activities) -> HostWeights:
        right = learned(case, activities)
        wrong = {key: value.copy() for key, value in case.weights.items()}
        for head in range(case.network.heads):
            for layer in case.network.layers:
                for part in ("weight", "bias"):
                    key, where = f"{layer.name}.{part}", layer.where(head)
                    step = right[key][where] - case.weights[key][where]
                    wrong[key][where] += change(case, layer, part, step)
        return wrong

    return compute


def _flip(cells: str, sign: int) -> Change:
    """Return the change with the other sign where the source or target cells have this sign."""

    def change(case: Case, layer: Layer, part: str, step: Array) -> Array:
        sources = layer.source_signs if part == "weight" else case.network.bias_signs
        signs = np.array(layer.target_signs)[None, :] if cells == "target" else np.array(sources)[:, None]
        return np.where(signs == sign, -step, step)

    return change


def _only(layers: tuple[str, ...], parts: tuple[str, ...] = ("weight", "bias")) -> Change:
    return lambda case, layer, part, step: (
        step if layer.name.partition(".")[0] in layers and part in parts else 0 * step
    )


def _slope_factor(case: Case, layer: Layer, part: str, step: Array) -> Array:
    return step * 2 / case.network.u0 if layer.activation == "sigmoid" else step


def _square_transposed(case: Case, layer: Layer, part: str, step: Array) -> Array:
    return step.T if part == "weight" and step.shape[0] == step.shape[1] else step


def _without_rms_slope(case: Case, activities: Activities) -> HostWeights | None:
    if not case.network.rms:
        return None
    return learned(case, [[(y, np.ones_like(slope)) for y, slope in layers] for layers in activities])


def _taught(teachers: Callable[[Network, int], list[int]]) -> Compute:
    """Return the update with another output as the teacher of each hidden cell, by the width of its layer."""

    def compute(case: Case, activities: Activities) -> HostWeights | None:
        network = case.network
        if network.outputs == 1:
            return None
        by_head = _by_head(case).swapaxes(0, 1)
        own = [by_head[..., teachers(network, width)] for width in network.widths]  # (heads, batch, cells)
        errors = [*own, case.error]
        return ORACLE.update_layers(network, case.rule, case.weights, activities, errors)

    return compute


def _as_in_the_first(network: Network, width: int) -> list[int]:
    return [j % network.widths[0] % network.outputs for j in range(2 * width)]


def _in_blocks(network: Network, width: int) -> list[int]:
    return sorted(j % network.outputs for j in range(width)) * 2


def _in_equal_blocks(network: Network, width: int) -> list[int]:
    return [j * network.outputs // width for j in range(width)] * 2


def _split_by(chosen: Callable[[Layer, Network, str], Array]) -> Compute:
    """Return the split update with max(e, 0) where the chosen signs are positive, and min(e, 0) elsewhere."""

    def compute(case: Case, activities: Activities) -> HostWeights | None:
        if case.rule.error != "split":
            return None
        signed = dataclasses.replace(case.rule, error="signed", centred=False)
        error = case.error - case.error.mean(axis=0) if case.rule.centred else case.error
        plus, minus = (
            learned(dataclasses.replace(case, rule=signed, error=part), activities)
            for part in (np.maximum(error, 0), np.minimum(error, 0))
        )
        wrong = {key: value.copy() for key, value in plus.items()}
        for layer in case.network.layers:
            for part in ("weight", "bias"):
                key = f"{layer.name}.{part}"
                wrong[key] = np.where(chosen(layer, case.network, part) > 0, plus[key], minus[key])
        return wrong

    return compute


def _of_sources(layer: Layer, network: Network, part: str) -> Array:
    return np.array(layer.source_signs if part == "weight" else network.bias_signs)[:, None]


def _floor_on_biases(case: Case, activities: Activities) -> HostWeights | None:
    if case.rule.floor is None:
        return None
    right = learned(case, activities)
    for layer in case.network.layers:
        signs = np.outer(case.network.bias_signs, layer.target_signs)
        key = f"{layer.name}.bias"
        right[key] = signs * np.maximum(signs * right[key], case.rule.floor)
    return right


def update_suspects() -> Iterator[Suspect]:
    """Yield the usual faults of an update; each gives the weights that it leaves, from a case and its activities."""
    yield Suspect("sign", "", _changed(lambda case, layer, part, step: -step))
    yield Suspect("sign", "of the error", _by_error(lambda case: -case.error))
    for sign, cells in ((-1, "inhibitory"), (1, "excitatory")):
        yield Suspect("sign", f"into the {cells} cells", _changed(_flip("target", sign)))
        yield Suspect("sign", f"from the {cells} cells", _changed(_flip("source", sign)))
    yield Suspect("mean_missing", "", _by_rule(reduction="sum"))
    yield Suspect("sum_missing", "", _by_rule(reduction="mean"))
    yield Suspect("mean_twice", "", _by_error(lambda case: case.error / len(case.error)))
    yield Suspect("rates", "each has the other's place", _of(_rates_swapped))
    yield Suspect(
        "rates", "all layers learn with alpha", _of(lambda case: with_rule(case, alpha_output=case.rule.alpha))
    )
    output_rate = _of(lambda case: with_rule(case, alpha=case.rule.alpha_output))
    yield Suspect("rates", "all layers learn with alpha_output", output_rate)
    yield Suspect("derivative_factor", "", _changed(_slope_factor))
    linear = _by_network(activation="linear", output_activation="linear")  # whose g is 1
    yield Suspect("derivative_missing", "", linear)
    yield Suspect("rms_slope", "", _without_rms_slope)
    yield Suspect("split_missing", "", _by_rule(error="signed"))
    yield Suspect("split_by_target", "", _split_by(lambda layer, network, part: np.array(layer.target_signs)))
    yield Suspect("split_reversed", "", _split_by(lambda layer, network, part: -_of_sources(layer, network, part)))
    yield Suspect("split_always", "", _of(_always_split))
    yield Suspect("centring_forgotten", "", _by_rule(centred=False))
    yield Suspect("floor_forgotten", "", _by_rule(floor=None))
    yield Suspect("floor_on_biases", "", _floor_on_biases)
    yield Suspect("bias_activity", "in the update", _by_network(bias=1.0))
    yield Suspect("heads_mixed", "each learns from the mean of all errors", _by_error(_mean_of_heads))
    yield Suspect("heads_mixed", "all learn from the first head's error", _by_error(_first_head))
    yield Suspect("heads_mixed", "each learns from another's error", _by_error(lambda case: case.error[:, ::-1]))
    yield Suspect("outputs_order", "in the errors", _by_error(_outputs_mixed))
    yield Suspect("teachers", "in blocks, the first cells by output 0", _taught(_in_blocks))
    yield Suspect("teachers", "in blocks, the first cells by output 0", _taught(_in_equal_blocks))
    yield Suspect("teachers", "all by output 0", _taught(lambda network, width: [0] * 2 * width))
    yield Suspect("teachers", "those of cells of the input layer, in all layers", _taught(_as_in_the_first))
    every, hidden = ("input", "hidden", "output"), ("input", "hidden")
    yield Suspect("not_updated", "all of them", _changed(_only(())))
    yield Suspect("not_updated", "the biases", _changed(_only(every, ("weight",))))
    yield Suspect("not_updated", "all but the biases", _changed(_only(every, ("bias",))))
    yield Suspect("not_updated", "all but those of the output layer", _changed(_only(("output",))))
    yield Suspect("not_updated", "those of the output layer", _changed(_only(hidden)))
    yield Suspect("not_updated", "those of the input layer", _changed(_only(("hidden", "output"))))
    yield Suspect("not_updated", "those of the hidden stack", _changed(_only(("input", "output"))))
    yield Suspect("update_transposed", "", _changed(_square_transposed))
