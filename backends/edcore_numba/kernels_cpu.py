"""The method on the CPU: rows of a batch go through all layers, and blocks of sources learn, in parallel.

Weights are the tuple of the arrays in `WEIGHTS`; everything is contiguous. Activities are x (batch, in_), hidden
(heads, depth + 1, batch, cells) of the input layer and of each hidden layer, and outputs (heads, batch, 2). Errors are
(heads, batch). The last three may have room for more rows than x has. `heads` lists the heads at work.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .compiled import compiled, inlined
from .vectors import accumulate, activate, at

__all__ = ["WEIGHTS", "forward", "learn_head", "run_rows", "trace", "update"]

WEIGHTS = ("input.weight", "input.bias", "hidden.weight", "hidden.bias", "output.weight", "output.bias")

BLOCK = 128
"""Sources of each stream that learn in one piece of work: enough to hide what the targets' factors cost."""


@compiled(parallel=True)
def forward(weights: Any, x: Any, tile: int, scale: Any) -> Any:
    """Return the activities of the output layer, keeping two layers' activities of one tile of rows on each thread."""
    heads, cells, batch = weights[0].shape[0], weights[0].shape[2], x.shape[0]
    outputs = np.empty((heads, batch, 2), x.dtype)
    tiles = (batch + tile - 1) // tile
    for index in prange(heads * tiles):
        task = np.intp(index)  # the index has no sign, and mixed with numbers that have one it would become a float
        head, first = task // tiles, task % tiles * tile
        rows = min(tile, batch - first)
        layers = np.empty((2, rows, cells), x.dtype)
        run_rows(weights, head, x, first, rows, layers, 0, outputs[head], first, scale)
    return outputs


@compiled(parallel=True)
def trace(weights: Any, heads: Any, x: Any, hidden: Any, outputs: Any, tile: int, scale: Any) -> None:
    """Fill in the activities of all layers."""
    batch = x.shape[0]
    tiles = (batch + tile - 1) // tile
    for index in prange(len(heads) * tiles):
        task = np.intp(index)
        head, first = heads[task // tiles], task % tiles * tile
        rows = min(tile, batch - first)
        run_rows(weights, head, x, first, rows, hidden[head], first, outputs[head], first, scale)


@compiled(parallel=True)
def update(
    weights: Any, heads: Any, x: Any, hidden: Any, outputs: Any, errors: Any, rates: Any, split: bool, workers: int
) -> None:
    """Let all layers learn, in place."""
    each = _pieces(weights, x.shape[1])
    pieces = len(heads) * each
    for index in prange(workers):
        worker = np.intp(index)
        delta = np.empty((x.shape[0], weights[0].shape[2]), x.dtype)
        for piece in range(pieces * worker // workers, pieces * (worker + 1) // workers):
            head = heads[piece // each]
            own = errors[head, : x.shape[0]]
            _learn_piece(weights, head, piece % each, x, hidden[head], outputs[head], own, rates, split, delta)


@inlined
def learn_head(
    weights: Any, head: int, x: Any, hidden: Any, outputs: Any, errors: Any, rates: Any, split: bool, delta: Any
) -> None:
    """Let all layers of one head learn, on this thread; delta is room for (batch, cells)."""
    for piece in range(_pieces(weights, x.shape[1])):
        _learn_piece(weights, head, piece, x, hidden, outputs, errors, rates, split, delta)


@compiled()
def run_rows(
    weights: Any, head: int, x: Any, first: int, rows: int, hidden: Any, to: int, outputs: Any, out: int, scale: Any
) -> None:
    """Take `rows` rows of x, from `first`, through all layers of a head: into hidden from row `to`, outputs from `out`.

    hidden is (slots, rows, cells); where there are fewer slots than layers, they are used in turn.
    """
    input_weight, input_bias, hidden_weight, hidden_bias, output_weight, output_bias = weights
    features, cells, slots = x.shape[1], input_weight.shape[2], hidden.shape[0]
    total = np.empty(cells, x.dtype)
    bias, source, y = at(total, 0), at(x, first * features), at(hidden[0], to * cells)
    # Both streams see the same x: first the excitatory sources, then the inhibitory ones on top.
    _add_up(input_bias[head], total)
    plus, minus = at(input_weight[head], 0), at(input_weight[head], features * cells)
    accumulate(source, features, 1, plus, cells, features, bias, 0, y, cells, rows, cells, scale)
    activate(source, features, 1, minus, cells, features, y, cells, y, cells, rows, cells, scale)
    for layer in range(hidden_weight.shape[1]):
        _add_up(hidden_bias[head, layer], total)
        source, y = y, at(hidden[(layer + 1) % slots], to * cells)
        weight = at(hidden_weight[head, layer], 0)
        activate(source, cells, 1, weight, cells, cells, bias, 0, y, cells, rows, cells, scale)
    _add_up(output_bias[head], total)
    activate(y, cells, 1, at(output_weight[head], 0), 2, cells, bias, 0, at(outputs, out * 2), 2, rows, 2, scale)


@inlined
def _add_up(biases: Any, total: Any) -> None:
    """Write what all bias cells together give to each target."""
    for j in range(biases.shape[1]):
        total[j] = biases[0, j]
        for cell in range(1, biases.shape[0]):
            total[j] += biases[cell, j]


@inlined
def _pieces(weights: Any, features: int) -> int:
    """Return how many pieces of work the update of one head is."""
    inner = (weights[2].shape[2] // 2 + BLOCK - 1) // BLOCK
    return (features + BLOCK - 1) // BLOCK + inner * (weights[2].shape[1] + 1)


@compiled()
def _learn_piece(
    weights: Any,
    head: int,
    piece: int,
    x: Any,
    hidden: Any,
    outputs: Any,
    errors: Any,
    rates: Any,
    split: bool,
    delta: Any,
) -> None:
    """Let one block of the sources of one layer learn; rates are those of the inner layers and of the output layer."""
    input_weight, input_bias, hidden_weight, hidden_bias, output_weight, output_bias = weights
    features, width, depth = x.shape[1], input_weight.shape[2] // 2, hidden_weight.shape[1]
    first, inner = (features + BLOCK - 1) // BLOCK, (width + BLOCK - 1) // BLOCK
    layer, low, rate = (piece - first) // inner, (piece - first) % inner * BLOCK, rates[0]
    if piece < first:
        # Both streams' sources are x; in all other layers the second stream's lie beside the first one's.
        weight, bias, source, y = input_weight[head], input_bias[head], x, hidden[0]
        low, sources, shift = piece * BLOCK, features, 0
    elif layer < depth:
        weight, bias, source, y = hidden_weight[head, layer], hidden_bias[head, layer], hidden[layer], hidden[layer + 1]
        sources, shift = width, width
    else:
        weight, bias, source, y = output_weight[head], output_bias[head], hidden[depth], outputs
        sources, shift, rate = width, width, rates[1]
    high, batch, cells, one = min(low + BLOCK, sources), len(errors), y.shape[1], np.ones(1, weight.dtype)
    for stream in range(2):
        if split or stream == 0:
            _credit(errors, (1 - 2 * stream) if split else 0, rate, y, delta)
        d, w = at(delta, 0), at(weight, (stream * sources + low) * cells)
        active = at(source, stream * shift + low)
        accumulate(active, 1, source.shape[1], d, cells, batch, w, cells, w, cells, high - low, cells, rate)
        if low == 0 and stream < bias.shape[0]:
            b = at(bias, stream * cells)
            accumulate(at(one, 0), 0, 0, d, cells, batch, b, cells, b, cells, 1, cells, rate)


@inlined
def _credit(errors: Any, sign: int, rate: Any, y: Any, delta: Any) -> None:
    """Write rate · E_b g(y_bj) s_j: E is the error, or its part of one sign."""
    cells, flat, one = y.shape[1], delta.reshape(delta.size), delta.dtype.type(1)
    for b in range(len(errors)):
        e = errors[b]
        if sign * e < 0:
            e = delta.dtype.type(0)
        e *= rate
        for j in range(cells // 2):
            flat[b * cells + j] = e * y[b, j] * (one - y[b, j])
        for j in range(cells // 2, cells):
            flat[b * cells + j] = -e * y[b, j] * (one - y[b, j])
