"""The method of `edcore.core` as pure functions for XLA: loops over the layers, so that depth is a number and not code.

Layers are the first axis of the hidden weights: a loop cuts along it without a copy. The structure of the network is in
the shapes, and signs follow from them, as each layer has its excitatory cells first. All else are scalars of the
network's dtype, so that another value of them needs no other program.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from edcore.backend import Array
from edcore.core import SLAB

__all__ = ["Arrays", "Scalars", "Trace", "forward", "trace", "update"]

Arrays: TypeAlias = dict[str, Array]
"""Weights under the keys of `Network.weight_shapes`, the hidden ones as (layers, heads, sources, targets)."""

CACHED = 2**18
"""Weights, or activities, of the hidden layers that learn in one product: few enough for a CPU's cache."""


class Scalars(NamedTuple):
    """What a network and a rule say in numbers: f(z) = 1 / (1 + exp(slope · z)), and α over the parts of a mean."""

    slope: Array
    alpha: Array
    alpha_output: Array


class Trace(NamedTuple):
    """The activities of one forward pass, (heads, batch, cells)."""

    source: Array
    hidden: Array  # (depth + 1, …): of the input layer, then of each hidden layer
    output: Array


class Layer(NamedTuple):
    """One layer, or a stack of them."""

    weight: Array
    bias: Array


def forward(weights: Arrays, x: Array, slope: Array) -> Array:
    """Return the outputs (batch, heads) for x (batch, in_)."""

    def step(y: Array, layer: Layer) -> tuple[Array, None]:
        return _activity(layer, y, slope), None

    y = _activity(_layer(weights, "input"), _doubled(x), slope)
    y, _ = lax.scan(step, y, _layer(weights, "hidden"))
    return _outputs(_activity(_layer(weights, "output"), y, slope))


def trace(room: Array, weights: Arrays, x: Array, slope: Array) -> tuple[Array, Trace]:
    """Return the outputs (batch, heads) for x (batch, in_), and the trace, whose hidden activities take the room."""

    def step(state: tuple[Array, Array, Array], layer: Layer) -> tuple[tuple[Array, Array, Array], None]:
        room, number, y = state
        y = _activity(layer, y, slope)
        return (lax.dynamic_update_index_in_dim(room, y, number, 0), number + 1, y), None

    source = _doubled(x)
    y = _activity(_layer(weights, "input"), source, slope)
    # Memory that is used again and again: what scan returns would be new, and touched for the first time, at each call.
    start = lax.dynamic_update_index_in_dim(room, y, 0, 0), jnp.int32(1), y
    (hidden, _, y), _ = lax.scan(step, start, _layer(weights, "hidden"))
    output = _activity(_layer(weights, "output"), y, slope)
    return _outputs(output), Trace(source, hidden, output)


def update(weights: Arrays, trace: Trace, error: Array, scalars: Scalars, split: bool) -> Arrays:
    """Return the weights after one update of all layers, for error = target − output (batch, heads)."""
    source, hidden, output = trace
    e, alpha = error.T[..., None], scalars.alpha
    learned = {
        "input": _learned(_layer(weights, "input"), source, hidden[0], e, alpha, split),
        "hidden": _learned_stack(_layer(weights, "hidden"), hidden, e, alpha, split),
        "output": _learned(_layer(weights, "output"), hidden[-1], output, e, scalars.alpha_output, split),
    }
    return {f"{name}.{part}": array for name, layer in learned.items() for part, array in layer._asdict().items()}


def _learned_stack(stack: Layer, hidden: Array, e: Array, alpha: Array, split: bool) -> Layer:
    """Return the hidden layers after an update, made in slabs: what is added to one of them stays in the cache."""

    def slab(start: Array, layers: int, stack: Layer) -> Layer:
        x, y = (lax.dynamic_slice_in_dim(hidden, start + i, layers) for i in (0, 1))
        old = jax.tree.map(lambda part: lax.dynamic_slice_in_dim(part, start, layers), stack)
        new = _learned(old, x, y, e, alpha, split)
        learned: Layer = jax.tree.map(lambda a, cut: lax.dynamic_update_slice_in_dim(a, cut, start, 0), stack, new)
        return learned

    layer = max(math.prod(array.shape[1:]) for array in (stack.weight, hidden))
    layers = min(SLAB, max(1, CACHED // layer))
    slabs, rest = divmod(len(stack.weight), layers)
    if slabs:
        stack = lax.fori_loop(0, slabs, lambda number, stack: slab(number * layers, layers, stack), stack)
    return slab(jnp.int32(slabs * layers), rest, stack) if rest else stack


def _learned(layer: Layer, x: Array, y: Array, e: Array, alpha: Array, split: bool) -> Layer:
    """Return the layer (or a slab of them) plus α Σ_b x_bi E_bij g(y_bj) s_j, for its biases with an x of 1."""
    weight, bias = layer
    delta = y * (1 - y) * (alpha * _signs(y.shape[-1], y.dtype))
    if not split:
        delta = delta * e
        return Layer(weight + jnp.matrix_transpose(x) @ delta, bias + delta.sum(axis=-2, keepdims=True))
    x, ones = (value * _split(e, cells) for value, cells in ((x, x.shape[-1]), (1, bias.shape[-2])))
    return Layer(weight + jnp.matrix_transpose(x) @ delta, bias + jnp.matrix_transpose(ones) @ delta)


def _split(e: Array, cells: int) -> Array:
    """Return max(e, 0) for the excitatory sources and min(e, 0) for the inhibitory ones, (heads, batch, sources)."""
    return jnp.where(_signs(cells, e.dtype) > 0, jnp.maximum(e, 0), jnp.minimum(e, 0))


def _signs(cells: int, dtype: np.dtype[np.floating]) -> Array:
    """Return the signs of a layer's cells, of which the inhibitory half comes last; a bias cell alone is excitatory."""
    return jnp.asarray(np.where(np.arange(cells) < cells - cells // 2, 1, -1), dtype)


def _activity(layer: Layer, x: Array, slope: Array) -> Array:
    """Return f(x W + bias), for the biases of one bias cell or two."""
    return 1 / (1 + jnp.exp(slope * (x @ layer.weight + layer.bias.sum(axis=-2, keepdims=True))))


def _layer(weights: Arrays, name: str) -> Layer:
    return Layer(weights[f"{name}.weight"], weights[f"{name}.bias"])


def _doubled(x: Array) -> Array:
    """Return x for both streams, the same for all heads."""
    return jnp.concatenate([x, x], axis=-1)[None]


def _outputs(y: Array) -> Array:
    """Return the first output cell of each head, as (batch, heads)."""
    return y[..., 0].T
