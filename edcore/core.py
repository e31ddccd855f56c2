"""The ED method, as pure functions of the Array API standard: the clearest statement of it there is.

A layer has source cells i with signs s_i, target cells j with signs s_j, and a weight matrix W in which the signs are
folded. One scalar error e per output is broadcast, unchanged, to every layer::

    z = x W + bias        y = f(z)        f(z) = 1 / (1 + exp(−2 z / u0))
    ΔW_ij = α · reduce_b [ x_bi · E_bij · g(y_bj) · s_j ]        g(y) = y (1 − y)

so all layers can be updated at once, with no error propagated backwards (Kaneko 1999). The rules differ in E alone.

Shapes: x (batch, in_); error and outputs (batch, heads); inside, the heads are the first axis and the batch is
contracted inside one matrix product, so nothing of size batch × sources × targets is ever built. Weights are a
dictionary, laid out as `Network.weight_shapes` says. Nothing is written in place: every result is a new array.
A saturated exp overflows to infinity, which gives the right activity, 0; array libraries may warn of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from edcore.backend import Array, Weights
from edcore.network import Network, Rule

__all__ = ["Trace", "forward", "trace", "update"]


class Trace(NamedTuple):
    """The activities of one forward pass, which is all that an update needs besides the error."""

    inputs: Array  # (1, batch, 2·in_): the same for every head
    hidden: Array  # (heads, 1 + depth, batch, 2·width): the input layer's activities, then each hidden layer's
    output: Array  # (heads, batch, 2)


def forward(network: Network, weights: Weights, x: Array) -> Array:
    """Return the outputs (batch, heads) for x (batch, in_), keeping no more than one layer's activities."""
    for y in _activities(network, weights, x):
        last = y
    return _outputs(last)


def trace(network: Network, weights: Weights, x: Array) -> tuple[Array, Trace]:
    """Return the outputs (batch, heads) for x (batch, in_), and the activities that `update` needs."""
    inputs, *hidden, output = _activities(network, weights, x)
    return _outputs(output), Trace(inputs, array_namespace(x).stack(hidden, axis=1), output)


def update(network: Network, rule: Rule, weights: Weights, trace: Trace, error: Array) -> Weights:
    """Return the weights after one update of all layers at once, for error = target − output (batch, heads)."""
    xp = array_namespace(error)
    scaled = error / error.shape[0] if rule.reduction == "mean" else error
    e = xp.matrix_transpose(scaled)[..., None]  # (heads, batch, 1)
    bias = xp.ones((error.shape[0], network.n_bias), dtype=error.dtype, device=device(error))
    x, hidden, output = trace
    cells, signed = network.hidden_signs, rule.error == "signed"
    learned = {}
    for layer, e_, sources, source_signs, targets, target_signs, alpha in (
        ("input", e, x, network.input_signs, hidden[:, 0, ...], cells, rule.alpha),
        ("hidden", e[:, None, ...], hidden[:, :-1, ...], cells, hidden[:, 1:, ...], cells, rule.alpha),
        ("output", e, hidden[:, -1, ...], cells, output, network.output_signs, rule.alpha_output),
    ):
        # E_bij is e_b for all sources, or a factor of the source cell: it is multiplied in where it is smallest.
        delta = targets * (1 - targets) * ((e_ if signed else 1) * alpha * _like(e, target_signs))
        for key, activity, signs in (("weight", sources, source_signs), ("bias", bias, network.bias_signs)):
            credited = activity if signed else activity * _split(e_, signs)
            learned[f"{layer}.{key}"] = weights[f"{layer}.{key}"] + xp.matrix_transpose(credited) @ delta
    return learned


def _split(e: Array, source_signs: tuple[int, ...]) -> Array:
    """Return max(e, 0) for the excitatory sources and min(e, 0) for the inhibitory ones, (…, batch, sources)."""
    xp, zero = array_namespace(e), e * 0
    return xp.where(_like(e, source_signs) > 0, xp.maximum(e, zero), xp.minimum(e, zero))


def _activities(network: Network, weights: Weights, x: Array) -> Iterator[Array]:
    """Yield the activities (heads, batch, cells) of the input cells, then those of each layer in turn."""
    xp = array_namespace(x)
    bias = {key: xp.sum(value, axis=-2, keepdims=True) for key, value in weights.items() if key.endswith("bias")}
    y = xp.concat([x, x], axis=-1)[None, ...]  # both streams see the same input
    yield y
    y = _activation(network, xp, y @ weights["input.weight"] + bias["input.bias"])
    yield y
    for d in range(network.depth):
        y = _activation(network, xp, y @ weights["hidden.weight"][:, d, ...] + bias["hidden.bias"][:, d, ...])
        yield y
    yield _activation(network, xp, y @ weights["output.weight"] + bias["output.bias"])


def _activation(network: Network, xp: Any, z: Array) -> Array:
    return 1 / (1 + xp.exp(z * (-2 / network.u0)))


def _outputs(y: Array) -> Array:
    """Return the first output cell of each head, as (batch, heads)."""
    return array_namespace(y).matrix_transpose(y[..., 0])


def _like(array: Array, values: tuple[int, ...]) -> Array:
    return array_namespace(array).asarray(values, dtype=array.dtype, device=device(array))
