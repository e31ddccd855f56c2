"""The method of `edcore.core` as pure functions for XLA: loops over the layers, so that depth is a number and not code.

Layers are the first axis of the hidden weights: a loop cuts along it without a copy. The sizes of the network are in
the shapes, and what cannot be read off them in `How`; signs follow, as each layer has its excitatory cells first. All
else are scalars of the network's dtype, so that another value of them needs no other program.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from edcore.arrays import Array
from edcore.core.activations import Activation
from edcore.core.method import RMS_EPS, SLAB

Arrays: TypeAlias = dict[str, Array]
"""Weights under the keys of `Network.weight_shapes`, the hidden ones as (layers, heads, sources, targets)."""

CACHED = 2**18
"""Weights, or activities, of the hidden layers that learn in one product: few enough for a CPU's cache."""


class How(NamedTuple):
    """What a network and a rule say beside shapes and numbers: each has programs of its own."""

    outputs: int
    activation: Activation
    output_activation: Activation
    rms: bool
    split: bool
    centred: bool
    floor: bool  # whether there is one


class Scalars(NamedTuple):
    """What a network and a rule say in numbers: f(z) = 1 / (1 + exp(scale · z)), and α over the parts of a mean."""

    scale: Array
    bias: Array
    alpha: Array
    alpha_output: Array
    floor: Array


class Cells(NamedTuple):
    """The cells of one layer, or a stack of them, after a forward pass, each array (…, heads, batch, cells)."""

    y: Array
    slope: Array | None = None  # the factor that g has beside f's own part, where sums were divided by their root


class Trace(NamedTuple):
    """What one forward pass leaves."""

    source: Array
    hidden: Cells  # (depth + 1, …): of the input layer, then of each hidden layer
    output: Array


class Layer(NamedTuple):
    """One layer, or a stack of them."""

    weight: Array
    bias: Array


class Lesson(NamedTuple):
    """What the target cells of a layer learn by, beside their own activities."""

    e: Array  # the error of each, or the one of all, (heads, batch, cells or 1)
    alpha: Array
    signs: Array
    activation: Activation


def forward(weights: Arrays, x: Array, scalars: Scalars, how: How) -> Array:
    """Return the outputs (batch, columns) for x (batch, in_)."""

    def step(y: Array, layer: Layer) -> tuple[Array, None]:
        return _cells(layer, y, scalars, how).y, None

    y = _cells(_layer(weights, "input"), _doubled(x), scalars, how).y
    y, _ = lax.scan(step, y, _layer(weights, "hidden"))
    return _outputs(_output_cells(weights, y, scalars, how), how.outputs)


def trace(room: Cells, weights: Arrays, x: Array, scalars: Scalars, how: How) -> tuple[Array, Trace]:
    """Return the outputs (batch, columns) for x (batch, in_), and the trace, whose hidden cells take the room."""

    def step(state: tuple[Cells, Array, Array], layer: Layer) -> tuple[tuple[Cells, Array, Array], None]:
        room, number, y = state
        cells = _cells(layer, y, scalars, how)
        return (_placed(room, cells, number), number + 1, cells.y), None

    source = _doubled(x)
    cells = _cells(_layer(weights, "input"), source, scalars, how)
    # Memory that is used again and again: what scan returns would be new, and touched for the first time, at each call.
    start = _placed(room, cells, jnp.int32(0)), jnp.int32(1), cells.y
    (hidden, _, y), _ = lax.scan(step, start, _layer(weights, "hidden"))
    output = _output_cells(weights, y, scalars, how)
    return _outputs(output, how.outputs), Trace(source, hidden, output)


def update(weights: Arrays, trace: Trace, error: Array, scalars: Scalars, how: How) -> Arrays:
    """Return the weights after one update of all layers, for error = target − output (batch, columns)."""
    source, hidden, output = trace
    if how.centred:
        error = error - error.mean(axis=0)
    e = error.reshape(len(error), -1, how.outputs).transpose(1, 0, 2)
    inner = _lesson(e, hidden.y.shape[-1], hidden.y.shape[-1] // 2, scalars.alpha, how.activation)
    outer = _lesson(e, output.shape[-1], how.outputs, scalars.alpha_output, how.output_activation)
    first: Cells = jax.tree.map(lambda part: part[0], hidden)
    learned = {
        "input": _learned(_layer(weights, "input"), source, first, inner, scalars, how),
        "hidden": _learned_stack(_layer(weights, "hidden"), hidden, inner, scalars, how),
        "output": _learned(_layer(weights, "output"), hidden.y[-1], Cells(output), outer, scalars, how),
    }
    return {f"{name}.{part}": array for name, layer in learned.items() for part, array in layer._asdict().items()}


def _learned_stack(stack: Layer, hidden: Cells, lesson: Lesson, scalars: Scalars, how: How) -> Layer:
    """Return the hidden layers after an update, made in slabs: what is added to one of them stays in the cache."""

    def slab(start: Array, layers: int, stack: Layer) -> Layer:
        x = lax.dynamic_slice_in_dim(hidden.y, start, layers)
        y: Cells = jax.tree.map(lambda part: lax.dynamic_slice_in_dim(part, start + 1, layers), hidden)
        old = jax.tree.map(lambda part: lax.dynamic_slice_in_dim(part, start, layers), stack)
        new = _learned(old, x, y, lesson, scalars, how)
        learned: Layer = jax.tree.map(lambda a, cut: lax.dynamic_update_slice_in_dim(a, cut, start, 0), stack, new)
        return learned

    layer = max(math.prod(array.shape[1:]) for array in (stack.weight, hidden.y))
    layers = min(SLAB, max(1, CACHED // layer))
    slabs, rest = divmod(len(stack.weight), layers)
    if slabs:
        stack = lax.fori_loop(0, slabs, lambda number, stack: slab(number * layers, layers, stack), stack)
    return slab(jnp.int32(slabs * layers), rest, stack) if rest else stack


def _learned(layer: Layer, x: Array, cells: Cells, lesson: Lesson, scalars: Scalars, how: How) -> Layer:
    """Return the layer (or a slab of them) plus α Σ_b x_bi E_bij g(y_bj) s_j, and its biases likewise."""
    weight, bias = layer
    delta = _slope(lesson.activation, cells) * (lesson.alpha * lesson.signs)
    if how.split:
        x, bias_cells = (
            source * _split(lesson.e, count) for source, count in ((x, x.shape[-1]), (scalars.bias, bias.shape[-2]))
        )
        bias = bias + jnp.matrix_transpose(bias_cells) @ delta
    else:
        delta = delta * lesson.e
        bias = bias + scalars.bias * delta.sum(axis=-2, keepdims=True)
    weight = weight + jnp.matrix_transpose(x) @ delta
    if how.floor:
        kept = _source_signs(x.shape[-1], x.dtype)[:, None] * lesson.signs > 0
        weight = jnp.where(kept, jnp.maximum(weight, scalars.floor), jnp.minimum(weight, -scalars.floor))
    return Layer(weight, bias)


def _lesson(e: Array, cells: int, excitatory: int, alpha: Array, activation: Activation) -> Lesson:
    """Return what so many target cells learn by, of which the excitatory ones come first."""
    outputs = e.shape[-1]
    if outputs > 1:  # cell j of a stream learns from the error of output j mod outputs
        e = jnp.take(e, np.arange(cells) % excitatory % outputs, axis=-1, mode="clip")  # there is none to clip
    return Lesson(e, alpha, _signs(cells, excitatory, e.dtype), activation)


def _split(e: Array, cells: int) -> Array:
    """Return max(e, 0) for the excitatory sources and min(e, 0) for the inhibitory ones, (heads, batch, sources)."""
    return jnp.where(_source_signs(cells, e.dtype) > 0, jnp.maximum(e, 0), jnp.minimum(e, 0))


def _source_signs(cells: int, dtype: np.dtype[np.floating]) -> Array:
    """Return the signs of source cells, of which the inhibitory half comes last; a bias cell alone is excitatory."""
    return _signs(cells, cells - cells // 2, dtype)


def _signs(cells: int, excitatory: int, dtype: np.dtype[np.floating]) -> Array:
    return jnp.asarray(np.where(np.arange(cells) < excitatory, 1, -1), dtype)


def _cells(layer: Layer, x: Array, scalars: Scalars, how: How) -> Cells:
    """Return the cells of the input layer, or of a hidden layer."""
    z = _sums(layer, x, scalars)
    if not how.rms:
        return Cells(_activity(how.activation, z, scalars))
    r = jnp.sqrt(jnp.mean(z * z, axis=-1, keepdims=True) + RMS_EPS)
    z = z / r
    return Cells(_activity(how.activation, z, scalars), (1 - z * z / z.shape[-1]) / r)


def _output_cells(weights: Arrays, x: Array, scalars: Scalars, how: How) -> Array:
    return _activity(how.output_activation, _sums(_layer(weights, "output"), x, scalars), scalars)


def _sums(layer: Layer, x: Array, scalars: Scalars) -> Array:
    """Return x W + bias, for the biases of one bias cell or two."""
    return x @ layer.weight + scalars.bias * layer.bias.sum(axis=-2, keepdims=True)


def _activity(activation: Activation, z: Array, scalars: Scalars) -> Array:
    """Return f(z)."""
    match activation:
        case "sigmoid":
            return 1 / (1 + jnp.exp(scalars.scale * z))
        case "tanh":
            return jnp.tanh(z)
        case "relu":
            return jnp.maximum(z, 0)
        case "relu6":
            return jnp.clip(z, 0, 6)
        case "linear":
            return z


def _slope(activation: Activation, cells: Cells) -> Array:
    """Return g: the derivative of the activation, from the activity itself, but for the sigmoid's factor 2 / u0."""
    y = cells.y
    match activation:
        case "sigmoid":
            g = y * (1 - y)
        case "tanh":
            g = 1 - y * y
        case "relu":
            g = (y > 0).astype(y.dtype)
        case "relu6":
            g = ((y > 0) & (y < 6)).astype(y.dtype)
        case "linear":
            g = jnp.ones_like(y)
    return g if cells.slope is None else g * cells.slope


def _layer(weights: Arrays, name: str) -> Layer:
    return Layer(weights[f"{name}.weight"], weights[f"{name}.bias"])


def _placed(room: Cells, cells: Cells, number: Array) -> Cells:
    """Return the room with the cells of one layer in their place."""
    placed: Cells = jax.tree.map(lambda a, part: lax.dynamic_update_index_in_dim(a, part, number, 0), room, cells)
    return placed


def _doubled(x: Array) -> Array:
    """Return x for both streams, the same for all heads."""
    return jnp.concatenate([x, x], axis=-1)[None]


def _outputs(y: Array, outputs: int) -> Array:
    """Return the excitatory output cells of each head in turn, as (batch, columns)."""
    return y[..., :outputs].transpose(1, 0, 2).reshape(y.shape[1], len(y) * outputs)
