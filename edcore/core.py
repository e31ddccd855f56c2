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
from typing import TypeAlias

from array_api_compat import array_namespace, device

from edcore.backend import Array, Weights
from edcore.network import Network, Rule

__all__ = ["Trace", "forward", "trace", "update"]


HIDDEN = ("hidden.weight", "hidden.bias")

SLAB = 64
"""Hidden layers that learn in one product: enough for it to be worth while, few enough for a CPU's cache."""

Trace: TypeAlias = tuple[Array, ...]
"""The activities (heads, batch, cells) of one forward pass: of the input cells, then of each layer in turn."""


def forward(network: Network, weights: Weights, x: Array) -> Array:
    """Return the outputs (batch, heads) for x (batch, in_), keeping no more than one layer's activities."""
    for y in _activities(network, weights, x):
        last = y
    return _outputs(last)


def trace(network: Network, weights: Weights, x: Array) -> tuple[Array, Trace]:
    """Return the outputs (batch, heads) for x (batch, in_), and the activities that `update` needs."""
    activities = tuple(_activities(network, weights, x))
    return _outputs(activities[-1]), activities


def update(network: Network, rule: Rule, weights: Weights, trace: Trace, error: Array) -> Weights:
    """Return the weights after one update of all layers, for error = target − output (batch, heads).

    A layer learns from its own activities and the error alone: nothing depends on the order of the layers.
    """
    xp = array_namespace(error)
    scaled = error / error.shape[0] if rule.reduction == "mean" else error
    e = xp.matrix_transpose(scaled)[..., None]  # (heads, batch, 1)
    slabs = []
    for start in range(0, network.depth, SLAB):
        stop = min(start + SLAB, network.depth)
        x, y = (xp.stack(trace[start + i : stop + i], axis=1) for i in (1, 2))
        slab = {key: weights[key][:, start:stop, ...] for key in HIDDEN}
        slabs.append(_learned(network, rule, "hidden", slab, e[:, None, ...], x, y))
    return {
        **_learned(network, rule, "input", weights, e, trace[0], trace[1]),
        **{key: xp.concat([slab[key] for slab in slabs], axis=1) if slabs else weights[key] for key in HIDDEN},
        **_learned(network, rule, "output", weights, e, trace[-2], trace[-1]),
    }


def _learned(network: Network, rule: Rule, layer: str, weights: Weights, e: Array, x: Array, y: Array) -> Weights:
    """Return the weights of a layer (or a slab of them) plus α Σ_b x_bi E_bij g(y_bj) s_j, and its biases likewise."""
    xp = array_namespace(e)
    x_signs = network.input_signs if layer == "input" else network.hidden_signs
    y_signs = network.output_signs if layer == "output" else network.hidden_signs
    alpha = rule.alpha_output if layer == "output" else rule.alpha
    ones = xp.ones((e.shape[-2], network.n_bias), dtype=e.dtype, device=device(e))  # the activity of the bias cells
    # E_bij is e_b for all synapses, or a factor of the source cell: it is multiplied in where that costs least.
    signed = rule.error == "signed"
    delta = y * (1 - y) * ((e if signed else 1) * alpha * _like(e, y_signs))
    learned = {}
    for key, source, signs in ((f"{layer}.weight", x, x_signs), (f"{layer}.bias", ones, network.bias_signs)):
        credited = source if signed else source * _split(e, signs)
        learned[key] = weights[key] + xp.matrix_transpose(credited) @ delta
    return learned


def _split(e: Array, source_signs: tuple[int, ...]) -> Array:
    """Return max(e, 0) for the excitatory sources and min(e, 0) for the inhibitory ones, (…, batch, sources)."""
    xp, zero = array_namespace(e), e * 0
    return xp.where(_like(e, source_signs) > 0, xp.maximum(e, zero), xp.minimum(e, zero))


def _activities(network: Network, weights: Weights, x: Array) -> Iterator[Array]:
    """Yield the activities (heads, batch, cells) of the input cells, then those of each layer in turn."""
    xp = array_namespace(x)
    w, b = weights["hidden.weight"], weights["hidden.bias"]
    y = xp.concat([x, x], axis=-1)[None, ...]  # both streams see the same input
    yield y
    y = _layer(network, y, weights["input.weight"], weights["input.bias"])
    yield y
    for d in range(network.depth):
        y = _layer(network, y, w[:, d, ...], b[:, d, ...])
        yield y
    yield _layer(network, y, weights["output.weight"], weights["output.bias"])


def _layer(network: Network, x: Array, weight: Array, bias: Array) -> Array:
    """Return f(x W + bias), for the biases of one bias cell or two."""
    z = x @ weight
    for cell in range(network.n_bias):
        z = z + bias[:, cell : cell + 1, :]
    return 1 / (1 + array_namespace(x).exp(z * (-2 / network.u0)))


def _outputs(y: Array) -> Array:
    """Return the first output cell of each head, as (batch, heads)."""
    return array_namespace(y).matrix_transpose(y[..., 0])


def _like(array: Array, values: tuple[int, ...]) -> Array:
    return array_namespace(array).asarray(values, dtype=array.dtype, device=device(array))
