"""The usual faults of a forward pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from edcore.arrays import Array, HostWeights
from edcore.core.activations import ACTIVATIONS, SOFTMAX, softmax
from edcore.testing.strategies import Case
from edcore.testing.suspects import ORACLE, Compute, Suspect, with_network, with_weights
from edcore_loop.loops import Activities

# Each function returns the case whose right outputs are those of the fault.


def _transposed(case: Case) -> Case | None:
    if not isinstance(case.network.width, int):
        return None
    return with_weights(case, {"hidden.weight": np.swapaxes(case.weights["hidden.weight"], -1, -2)})


def _without_biases(case: Case) -> Case:
    return with_weights(case, {key: 0 * value for key, value in case.weights.items() if "bias" in key})


def _one_bias_cell(case: Case) -> Case | None:
    if case.network.n_bias == 1:
        return None
    kept = np.array([1, 0])[:, None]
    return with_weights(case, {key: kept * value for key, value in case.weights.items() if "bias" in key})


def _one_stream(case: Case) -> Case:
    weight = case.weights["input.weight"].copy()
    weight[:, case.network.in_ :] = 0
    return with_weights(case, {"input.weight": weight})


def _signs_twice(case: Case) -> Case:
    changed = {}
    for layer in case.network.layers:
        key = f"{layer.name}.weight"
        changed[key] = case.weights[key] * np.array(layer.source_signs)[:, None]
    return with_weights(case, changed)


def _without_last_layer(case: Case) -> Case | None:
    if not case.network.depth or not isinstance(case.network.width, int):
        return None
    fewer = {key: case.weights[key][:, :-1] for key in ("hidden.weight", "hidden.bias")}
    network = dataclasses.replace(case.network, depth=case.network.depth - 1)
    return dataclasses.replace(case, network=network, weights=case.weights | fewer)


def _layers_reversed(case: Case) -> Case | None:
    if not isinstance(case.network.width, int):
        return None
    return with_weights(case, {key: case.weights[key][:, ::-1] for key in ("hidden.weight", "hidden.bias")})


def _layers_sorted(case: Case) -> Case | None:
    names = [layer.name for layer in case.network.layers[1:-1]]
    changed = {
        f"{name}.{part}": case.weights[f"{other}.{part}"]
        for part in ("weight", "bias")
        for name, other in zip(names, sorted(names), strict=True)
    }
    same = all(value.shape == case.weights[key].shape for key, value in changed.items())
    return with_weights(case, changed) if same and sorted(names) != names else None


def _heads_reversed(case: Case) -> Case:
    return with_weights(case, {key: value[::-1] for key, value in case.weights.items()})


def _inhibitory_outputs(case: Case) -> Case | None:
    if not case.network.inhibitory_output:
        return None
    n = case.network.outputs
    return with_weights(case, {key: np.roll(case.weights[key], n, -1) for key in ("output.weight", "output.bias")})


def _of(changed: Callable[[Case], Case | None]) -> Compute:
    """Return a function that returns the outputs of a changed case."""

    def compute(case: Case, activities: Activities) -> HostWeights | None:
        other = changed(case)
        return None if other is None else {"outputs": ORACLE.forward(other.network, other.weights, other.x)}

    return compute


def _softmax(of_sums: Callable[[Array, int], Array]) -> Compute:
    """Return a function that returns another softmax of the sums (heads, batch, cells), of a number of outputs."""

    def compute(case: Case, activities: Activities) -> HostWeights | None:
        if case.network.output_activation != SOFTMAX:
            return None
        found = of_sums(np.stack([layers[-1][0] for layers in activities]), case.network.outputs)
        return {"outputs": np.swapaxes(found[..., : case.network.outputs], 0, 1).reshape(len(case.x), -1)}

    return compute


def _without_maximum(sums: Array, outputs: int) -> Array:
    exponentials = np.exp(sums[..., :outputs])
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _over_all_heads(sums: Array, outputs: int) -> Array:
    columns = np.swapaxes(sums[..., :outputs], 0, 1)
    return np.swapaxes(softmax(columns.reshape(len(columns), -1)).reshape(columns.shape), 0, 1)


def _outputs_first(case: Case, activities: Activities) -> HostWeights:
    outputs = ORACLE.forward(case.network, case.weights, case.x)
    by_head = outputs.reshape(len(outputs), case.network.heads, case.network.outputs)
    return {"outputs": np.swapaxes(by_head, 1, 2).reshape(outputs.shape)}


def forward_suspects() -> Iterator[Suspect]:
    """Yield the usual faults of a forward pass; each gives the outputs of a case."""
    yield Suspect("bias_activity", "", _of(lambda case: with_network(case, bias=1.0)))
    yield Suspect("rms_forgotten", "", _of(lambda case: with_network(case, rms=False)))
    yield Suspect("u0_factor", "as 1 / (1 + exp(−z))", _of(lambda case: with_network(case, u0=2.0)))
    yield Suspect(
        "u0_factor", "as 1 / (1 + exp(−z / u0))", _of(lambda case: with_network(case, u0=2 * case.network.u0))
    )
    yield Suspect("u0_factor", "with u0 = 0.4", _of(lambda case: with_network(case, u0=0.4)))
    for name in ACTIVATIONS:
        for field in ("activation", "output_activation"):
            other = _of(lambda case, field=field, name=name: with_network(case, **{field: name}))  # type: ignore[misc]
            yield Suspect(field, f"as {name}", other)
        both = _of(lambda case, name=name: with_network(case, activation=name, output_activation=name))  # type: ignore[misc]
        yield Suspect("activation", f"as {name}, and the output cells too", both)
    yield Suspect("softmax", "the largest sum is not subtracted, and exp overflows", _softmax(_without_maximum))
    yield Suspect("softmax", "the outputs are the sums", _softmax(lambda sums, outputs: sums))
    yield Suspect("softmax", "it is over all heads at once", _softmax(_over_all_heads))
    yield Suspect("softmax", "it is over both streams", _softmax(lambda sums, outputs: softmax(sums)))
    yield Suspect("transposed", "", _of(_transposed))
    yield Suspect("bias_left_out", "", _of(_without_biases))
    yield Suspect("bias_left_out", "of the inhibitory bias cell", _of(_one_bias_cell))
    yield Suspect("one_stream", "", _of(_one_stream))
    yield Suspect("signs_twice", "", _of(_signs_twice))
    yield Suspect("layer_skipped", "", _of(_without_last_layer))
    yield Suspect("layers_reversed", "", _of(_layers_reversed))
    yield Suspect("layers_sorted", "", _of(_layers_sorted))
    yield Suspect("heads_order", "", _of(_heads_reversed))
    yield Suspect("inhibitory_outputs", "", _of(_inhibitory_outputs))
    yield Suspect("outputs_order", "", _outputs_first)
