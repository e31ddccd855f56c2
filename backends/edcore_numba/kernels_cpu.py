"""The method on the CPU: rows of a batch go through all layers, and blocks of sources learn, in parallel.

Weights are the tuple of the arrays in `WEIGHTS`; everything is contiguous. Activities are x (batch, in_), hidden
(heads, depth + 1, batch, cells) of the input layer and of each hidden layer, and outputs (heads, batch, 2). Errors are
(heads, batch). The last three may have room for more rows than x has. `heads` lists the heads at work, of which each
`worker` of so many `workers` has its share.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiled import compiled, inlined
from .vectors import accumulate, activate, add, at, credit

__all__ = ["learn_head", "run_rows", "share", "trace_part", "update_part"]

BLOCK = 128
"""Sources of each stream that learn in one piece of work: enough to hide what the targets' factors cost."""


@compiled()
def trace_part(
    weights: Any, heads: Any, x: Any, hidden: Any, outputs: Any, tile: int, scale: Any, worker: int, workers: int
) -> None:
    """Fill in one worker's share of all activities; where hidden has room for fewer layers, the latest ones remain."""
    batch = x.shape[0]
    tiles = (batch + tile - 1) // tile
    for task in range(worker, len(heads) * tiles, workers):
        head, first = heads[task // tiles], task % tiles * tile
        rows = min(tile, batch - first)
        run_rows(weights, head, x, first, rows, hidden[head], first, outputs[head], first, scale)


@compiled()
def update_part(
    weights: Any, heads: Any, x: Any, hidden: Any, outputs: Any, shares: Any, split: bool, worker: int, workers: int
) -> None:
    """Let one worker's share of the sources learn, in place."""
    each, batch = _pieces(weights, x.shape[1]), x.shape[0]
    pieces = len(heads) * each
    delta, one = np.empty((batch, weights[0].shape[2]), x.dtype), np.ones(1, x.dtype)
    for piece in range(pieces * worker // workers, pieces * (worker + 1) // workers):
        head = heads[piece // each]
        own, y = shares[head], outputs[head]
        _learn_piece(weights, head, piece % each, x, hidden[head], y, own, split, delta, one)


@compiled()
def share(errors: Any, batch: int, rates: Any, split: bool) -> Any:
    """Return rate · E for errors (heads, batch): (heads, inner and output layers, + and − sources, batch)."""
    shares = np.empty((errors.shape[0], 2, 2, batch), errors.dtype)
    for head in range(errors.shape[0]):
        _share(errors[head], rates, split, shares[head])
    return shares


@inlined
def learn_head(
    weights: Any, head: int, x: Any, hidden: Any, outputs: Any, errors: Any, rates: Any, split: bool, delta: Any
) -> None:
    """Let all layers of one head learn, on this thread; delta is room for (batch, cells)."""
    shares, one = np.empty((2, 2, x.shape[0]), x.dtype), np.ones(1, x.dtype)
    _share(errors, rates, split, shares)
    for piece in range(_pieces(weights, x.shape[1])):
        _learn_piece(weights, head, piece, x, hidden, outputs, shares, split, delta, one)


@compiled()
def run_rows(
    weights: Any, head: int, x: Any, first: int, rows: int, hidden: Any, to: int, outputs: Any, out: int, scale: Any
) -> None:
    """Take `rows` rows of x, from `first`, through all layers of a head: into hidden from row `to`, outputs from `out`.

    hidden is (slots, rows, cells); where there are fewer slots than layers, they are used in turn.
    """
    input_weight, input_bias, hidden_weight, hidden_bias, output_weight, output_bias = weights
    features, cells, depth, biases = x.shape[1], input_weight.shape[2], hidden_weight.shape[1], input_bias.shape[1]
    both, slots = np.empty(cells, x.dtype), hidden.shape[0]
    source, y = at(x, first * features), at(hidden, to * cells)
    # Both streams see the same x: first the excitatory sources, then the inhibitory ones on top.
    plus = at(input_weight, head * 2 * features * cells)
    minus = at(input_weight, (head * 2 + 1) * features * cells)
    bias = _together(input_bias, head, biases, cells, both)
    accumulate(source, features, 1, plus, cells, features, bias, 0, y, cells, rows, cells, scale)
    activate(source, features, 1, minus, cells, features, y, cells, y, cells, rows, cells, scale)
    slot = 0
    for layer in range(depth):
        slot = slot + 1 if slot + 1 < slots else 0
        source, y = y, at(hidden, (slot * hidden.shape[1] + to) * cells)
        place = head * depth + layer
        weight, bias = at(hidden_weight, place * cells * cells), _together(hidden_bias, place, biases, cells, both)
        activate(source, cells, 1, weight, cells, cells, bias, 0, y, cells, rows, cells, scale)
    weight, bias = at(output_weight, head * cells * 2), _together(output_bias, head, biases, 2, both)
    activate(y, cells, 1, weight, 2, cells, bias, 0, at(outputs, out * 2), 2, rows, 2, scale)


@inlined
def _together(bias: Any, place: int, biases: int, targets: int, both: Any) -> Any:
    """Return a pointer to what all bias cells of a layer give to each target; `both` is room for the sum of two."""
    start = at(bias, place * biases * targets)
    if biases == 1:
        return start
    one = at(both, 0)
    add(start, at(bias, (place * biases + 1) * targets), one, targets, both[0])
    return one


@inlined
def _pieces(weights: Any, features: int) -> int:
    """Return how many pieces of work the update of one head is."""
    inner = (weights[2].shape[2] // 2 + BLOCK - 1) // BLOCK
    return (features + BLOCK - 1) // BLOCK + inner * (weights[2].shape[1] + 1)


@inlined
def _share(errors: Any, rates: Any, split: bool, shares: Any) -> None:
    """Write rate · E (inner and output layers, excitatory and inhibitory sources, batch) for the errors of one head."""
    for layer in range(2):
        for stream in range(2):
            for b in range(shares.shape[2]):
                part = errors[b]
                if split and (part < 0) == (stream == 0):
                    part -= part
                shares[layer, stream, b] = part * rates[layer]


@compiled()
def _learn_piece(
    weights: Any,
    head: int,
    piece: int,
    x: Any,
    hidden: Any,
    outputs: Any,
    shares: Any,
    split: bool,
    delta: Any,
    one: Any,
) -> None:
    """Let one block of the sources of one layer learn from its share of the errors.

    delta is room for (batch, cells), and one holds the activity of a bias cell.
    """
    input_weight, input_bias, hidden_weight, hidden_bias, output_weight, output_bias = weights
    features, width, depth = x.shape[1], input_weight.shape[2] // 2, hidden_weight.shape[1]
    first, inner = (features + BLOCK - 1) // BLOCK, (width + BLOCK - 1) // BLOCK
    layer, low, own = (piece - first) // inner, (piece - first) % inner * BLOCK, shares[0]
    if piece < first:
        # Both streams' sources are x; in all other layers the second stream's lie beside the first one's.
        weight, bias, source, y = input_weight[head], input_bias[head], x, hidden[0]
        low, sources, shift = piece * BLOCK, features, 0
    elif layer < depth:
        weight, bias, source, y = hidden_weight[head, layer], hidden_bias[head, layer], hidden[layer], hidden[layer + 1]
        sources, shift = width, width
    else:
        weight, bias, source, y = output_weight[head], output_bias[head], hidden[depth], outputs
        sources, shift, own = width, width, shares[1]
    high, batch, cells = min(low + BLOCK, sources), shares.shape[2], y.shape[1]
    d, step, none = at(delta, 0), delta.shape[1], one[0] - one[0]
    for stream in range(2):
        if split or stream == 0:
            credit(at(own, stream * batch), at(y, 0), cells, d, step, batch, cells, none)
        active, w = at(source, stream * shift + low), at(weight, (stream * sources + low) * cells)
        accumulate(active, 1, source.shape[1], d, step, batch, w, cells, w, cells, high - low, cells, none)
        if low == 0 and stream < bias.shape[0]:
            b = at(bias, stream * cells)
            accumulate(at(one, 0), 0, 0, d, step, batch, b, cells, b, cells, 1, cells, none)
