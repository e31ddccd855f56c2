"""The method of `edcore.core` as pure functions for XLA, with loops over the layers: programs do not grow with depth.

Layers of several widths have no array in common, so there each layer is a part of the program, which grows with them.
Layers are the first axis of the hidden weights: a loop cuts along it without a copy. The sizes of the network are in
the shapes of arrays, its other discrete fields in `Variant`; signs follow, as the excitatory cells come first. All
numbers are scalars of the network's dtype, so that other values need no other program.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from edcore.arrays import Array
from edcore.core.activations import Function
from edcore.core.method import RMS_EPS, SLAB
from edcore.core.widths import stack_names_of

Arrays: TypeAlias = dict[str, Array]
"""Weights under the keys of `Network.weight_shapes`, the hidden ones as (layers, heads, sources, targets)."""

CACHED = 2**18
"""Weights, or activities, of the hidden layers that learn in one product at most: they fit a CPU's cache."""


class Variant(NamedTuple):
    """The discrete fields of a network and a rule: each combination is compiled to other programs."""

    outputs: int
    activation: Function  # not its name, so that what was compiled is never that of other functions
    output_activation: Function
    rms: bool
    split: bool
    centred: bool
    floor: bool  # whether there is one
    one_hot: int = 0
    softmax: bool = False  # of the outputs


class Scalars(NamedTuple):
    """The numbers of a network and a rule; each α is divided by the batch where the rule takes the mean."""

    u0: Array
    bias: Array
    alpha: Array
    alpha_output: Array
    floor: Array


class LayerState(NamedTuple):
    """The cells of one layer, or of a stack, after a forward pass, each array (…, heads, batch, cells)."""

    y: Array
    slope: Array | None = None  # under rms, the factor of g from the division by the root


States: TypeAlias = LayerState | tuple[LayerState, ...]
"""Of the input layer, then of each hidden layer: (depth + 1, …), or one by one where they have several widths."""


class Activities(NamedTuple):
    """The trace: the activities of one forward pass."""

    source: Array
    hidden: States
    output: Array


class LayerWeights(NamedTuple):
    """The weights of one layer, or of a stack of layers."""

    weight: Array
    bias: Array


Carry: TypeAlias = tuple[LayerState, Array, Array]
"""In a scan over the layers: the room for their states, the number of the next one, and its sources."""


class TargetCells(NamedTuple):
    """What the update needs of a layer's target cells, beside their activities."""

    e: Array  # the error of each, or the one of all, (heads, batch, cells or 1)
    alpha: Array
    signs: Array
    activation: Function


def forward(weights: Arrays, x: Array, scalars: Scalars, variant: Variant) -> Array:
    """Return the outputs (batch, columns) for x (batch, in_)."""

    def step(y: Array, layer: LayerWeights) -> tuple[Array, None]:
        return _run_layer(layer, y, scalars, variant).y, None

    y = _run_layer(_layer(weights, "input"), _both_streams(x, variant), scalars, variant).y
    for key in _inner_keys(weights)[1:]:
        y = lax.scan(step, y, _layer(weights, key))[0] if key == "hidden" else step(y, _layer(weights, key))[0]
    return _outputs(_output_cells(weights, y, scalars, variant), variant)


def trace(room: States, weights: Arrays, x: Array, scalars: Scalars, variant: Variant) -> tuple[Array, Activities]:
    """Return the outputs (batch, columns) for x (batch, in_), and the trace, with its hidden states in `room`."""

    def step(state: Carry, layer: LayerWeights) -> tuple[Carry, None]:
        room, number, y = state
        cells = _run_layer(layer, y, scalars, variant)
        return (_write_layer(room, cells, number), number + 1, cells.y), None

    source = _both_streams(x, variant)
    cells = _run_layer(_layer(weights, "input"), source, scalars, variant)
    hidden: States
    if isinstance(room, LayerState):
        # The states are written into memory that is used again: what scan returns would be fresh at each call.
        start = _write_layer(room, cells, jnp.int32(0)), jnp.int32(1), cells.y
        (hidden, _, y), _ = lax.scan(step, start, _layer(weights, "hidden"))
    else:
        hidden = (cells,)
        for key in _inner_keys(weights)[1:]:
            hidden += (_run_layer(_layer(weights, key), hidden[-1].y, scalars, variant),)
        y = hidden[-1].y
    output = _output_cells(weights, y, scalars, variant)
    return _outputs(output, variant), Activities(source, hidden, output)


def update(weights: Arrays, trace: Activities, error: Array, scalars: Scalars, variant: Variant) -> Arrays:
    """Return the weights after one update of all layers, for error = target − output (batch, columns)."""
    source, hidden, output = trace
    if variant.centred:
        error = error - error.mean(axis=0)
    e = error.reshape(len(error), -1, variant.outputs).transpose(1, 0, 2)
    outer = _target_cells(e, output.shape[-1], variant.outputs, scalars.alpha_output, variant.output_activation)
    if isinstance(hidden, LayerState):
        inner, last = _inner_cells(e, hidden, scalars, variant), hidden.y[-1]
        first: LayerState = jax.tree.map(lambda part: part[0], hidden)
        learned = {
            "input": _update_layer(_layer(weights, "input"), source, first, inner, scalars, variant),
            "hidden": _update_stack(_layer(weights, "hidden"), hidden, inner, scalars, variant),
        }
    else:
        sources, last = (source, *(cells.y for cells in hidden)), hidden[-1].y
        learned = {
            key: _update_layer(
                _layer(weights, key), x, cells, _inner_cells(e, cells, scalars, variant), scalars, variant
            )
            for key, x, cells in zip(_inner_keys(weights), sources, hidden, strict=False)
        }
    output_layer = _layer(weights, "output")
    learned["output"] = _update_layer(output_layer, last, LayerState(output), outer, scalars, variant)
    return {f"{name}.{part}": array for name, layer in learned.items() for part, array in layer._asdict().items()}


def _update_stack(
    stack: LayerWeights, hidden: LayerState, target: TargetCells, scalars: Scalars, variant: Variant
) -> LayerWeights:
    """Return the hidden layers after an update, in slabs: the product for one of them stays in a CPU's cache."""

    def slab(start: Array, layers: int, stack: LayerWeights) -> LayerWeights:
        x = lax.dynamic_slice_in_dim(hidden.y, start, layers)
        y: LayerState = jax.tree.map(lambda part: lax.dynamic_slice_in_dim(part, start + 1, layers), hidden)
        old = jax.tree.map(lambda part: lax.dynamic_slice_in_dim(part, start, layers), stack)
        new = _update_layer(old, x, y, target, scalars, variant)
        learned: LayerWeights = jax.tree.map(
            lambda a, cut: lax.dynamic_update_slice_in_dim(a, cut, start, 0), stack, new
        )
        return learned

    layer = max(math.prod(array.shape[1:]) for array in (stack.weight, hidden.y))
    layers = min(SLAB, max(1, CACHED // layer))
    slabs, rest = divmod(len(stack.weight), layers)
    if slabs:
        stack = lax.fori_loop(0, slabs, lambda number, stack: slab(number * layers, layers, stack), stack)
    return slab(jnp.int32(slabs * layers), rest, stack) if rest else stack


def _update_layer(
    layer: LayerWeights, x: Array, cells: LayerState, target: TargetCells, scalars: Scalars, variant: Variant
) -> LayerWeights:
    """Return the layer (or a slab of them) plus α Σ_b x_bi E_bij g(y_bj) s_j, and its biases likewise."""
    weight, bias = layer
    g = target.activation.g(cells.y)
    delta = (g if cells.slope is None else g * cells.slope) * (target.alpha * target.signs)
    if variant.split:
        x, bias_cells = (
            source * _split_error(target.e, count)
            for source, count in ((x, x.shape[-1]), (scalars.bias, bias.shape[-2]))
        )
        bias = bias + jnp.matrix_transpose(bias_cells) @ delta
    else:
        delta = delta * target.e
        bias = bias + scalars.bias * delta.sum(axis=-2, keepdims=True)
    weight = weight + jnp.matrix_transpose(x) @ delta
    if variant.floor:
        kept = _source_signs(x.shape[-1], x.dtype)[:, None] * target.signs > 0
        weight = jnp.where(kept, jnp.maximum(weight, scalars.floor), jnp.minimum(weight, -scalars.floor))
    return LayerWeights(weight, bias)


def _target_cells(e: Array, cells: int, excitatory: int, alpha: Array, activation: Function) -> TargetCells:
    """Return the target cells of a layer, of which the excitatory ones come first."""
    outputs = e.shape[-1]
    if outputs > 1:  # cell j of a stream learns from the error of output j mod outputs
        # All indices are inside. "clip" saves the test of JAX's default, which fills in NaN for others.
        e = jnp.take(e, np.arange(cells) % excitatory % outputs, axis=-1, mode="clip")
    return TargetCells(e, alpha, _signs(cells, excitatory, e.dtype), activation)


def _inner_cells(e: Array, hidden: LayerState, scalars: Scalars, variant: Variant) -> TargetCells:
    """Return the target cells of the input layer, or of hidden layers."""
    cells = hidden.y.shape[-1]
    return _target_cells(e, cells, cells // 2, scalars.alpha, variant.activation)


def _inner_keys(weights: Arrays) -> list[str]:
    """Return the keys of the input layer and of the hidden layers, one for all of them or one for each."""
    return stack_names_of(weights)[:-1]


def _split_error(e: Array, cells: int) -> Array:
    """Return max(e, 0) for the excitatory sources and min(e, 0) for the inhibitory ones, (heads, batch, sources)."""
    return jnp.where(_source_signs(cells, e.dtype) > 0, jnp.maximum(e, 0), jnp.minimum(e, 0))


def _source_signs(cells: int, dtype: np.dtype[np.floating]) -> Array:
    """Return the signs of source cells, of which the inhibitory half comes last; a bias cell alone is excitatory."""
    return _signs(cells, cells - cells // 2, dtype)


def _signs(cells: int, excitatory: int, dtype: np.dtype[np.floating]) -> Array:
    return jnp.asarray(np.where(np.arange(cells) < excitatory, 1, -1), dtype)


def _run_layer(layer: LayerWeights, x: Array, scalars: Scalars, variant: Variant) -> LayerState:
    """Return the cells of the input layer, or of a hidden layer."""
    z = _sums(layer, x, scalars)
    if not variant.rms:
        return LayerState(variant.activation.f(z, scalars.u0))
    r = jnp.sqrt(jnp.mean(z * z, axis=-1, keepdims=True) + RMS_EPS)
    z = z / (r + 0 * r)  # NaN where squares overflow
    return LayerState(variant.activation.f(z, scalars.u0), (1 - z * z / z.shape[-1]) / r)


def _output_cells(weights: Arrays, x: Array, scalars: Scalars, variant: Variant) -> Array:
    return variant.output_activation.f(_sums(_layer(weights, "output"), x, scalars), scalars.u0)


def _sums(layer: LayerWeights, x: Array, scalars: Scalars) -> Array:
    """Return x W + bias, for the biases of one bias cell or two."""
    return x @ layer.weight + scalars.bias * layer.bias.sum(axis=-2, keepdims=True)


def _layer(weights: Arrays, name: str) -> LayerWeights:
    return LayerWeights(weights[f"{name}.weight"], weights[f"{name}.bias"])


def _write_layer(room: LayerState, cells: LayerState, number: Array) -> LayerState:
    """Return the room with the state of one layer written into it."""
    written: LayerState = jax.tree.map(lambda a, part: lax.dynamic_update_index_in_dim(a, part, number, 0), room, cells)
    return written


def _both_streams(x: Array, variant: Variant) -> Array:
    """Return the inputs of both streams, the same for all heads."""
    if variant.one_hot:
        x = jax.nn.one_hot(x.astype(jnp.int32), variant.one_hot, dtype=x.dtype).reshape(len(x), -1)
    return jnp.concatenate([x, x], axis=-1)[None]


def _outputs(y: Array, variant: Variant) -> Array:
    """Return what is read of the excitatory output cells of each head in turn, as (batch, columns)."""
    read = y[..., : variant.outputs]
    read = jax.nn.softmax(read) if variant.softmax else read
    return read.transpose(1, 0, 2).reshape(y.shape[1], len(y) * variant.outputs)
