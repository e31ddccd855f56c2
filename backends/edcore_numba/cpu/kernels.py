"""The method on the CPU: rows of a batch go through all layers, and blocks of sources learn, in parallel.

Weights are the tuple of the arrays in `WEIGHTS`; everything is contiguous, and the output layer has − cells, whether
the network has them or not. Activities are x (batch, in_), hidden (heads, depth + 1, batch, cells) of the input layer
and of each hidden layer, and outputs (heads, batch, 2 · outputs); slopes are like hidden, or of no size where there are
none to keep. Errors are (heads, outputs, batch). All but x may have room for more rows than x has. `heads` lists the
heads at work, of which each `worker` of so many `workers` has its share.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cells import SIGMOID, Kind, centre, clamp, credit_cells, finish
from .compiling import compiled, inlined
from .vectors import accumulate, activate, at, credit

BLOCK = 128
"""Sources of each stream that learn in one piece of work: enough to hide what the targets' factors cost."""


@compiled()
def trace_part(
    weights: Any,
    heads: Any,
    x: Any,
    hidden: Any,
    slopes: Any,
    outputs: Any,
    start: int,
    stop: int,
    tile: int,
    kind: Kind,
    worker: int,
    workers: int,
) -> None:
    """Fill in one worker's share of the activities of the rows from start to stop.

    Where hidden has room for fewer layers than there are, the latest ones remain.
    """
    tiles = (stop - start + tile - 1) // tile
    for task in range(worker, len(heads) * tiles, workers):
        head, first = heads[task // tiles], start + task % tiles * tile
        rows = min(tile, stop - first)
        run_rows(weights, head, x, first, rows, hidden[head], slopes[head], outputs[head], kind)


@compiled()
def update_part(
    weights: Any,
    heads: Any,
    x: Any,
    hidden: Any,
    slopes: Any,
    outputs: Any,
    shares: Any,
    kind: Kind,
    worker: int,
    workers: int,
) -> None:
    """Let one worker's share of the sources learn, in place."""
    each, batch = _pieces(weights, x.shape[1]), x.shape[0]
    pieces = len(heads) * each
    delta, active = np.empty((batch, weights[0].shape[2]), x.dtype), np.full(1, kind.bias)
    for piece in range(pieces * worker // workers, pieces * (worker + 1) // workers):
        head = heads[piece // each]
        own, y = shares[head], outputs[head]
        _learn_piece(weights, head, piece % each, x, hidden[head], slopes[head], y, own, kind, delta, active)


@compiled()
def share(errors: Any, batch: int, width: int, rates: Any, kind: Kind) -> Any:
    """Return rate · E for errors (heads, outputs, batch): (heads, inner and output layers, parts, batch, cells).

    With one output the parts are those that synapses of + and of − sources learn from, the same for all target cells.
    With several there is one part, which has the error of its output for each target cell of a stream.
    """
    heads, count = errors.shape[:2]
    shares = np.empty((heads, 2, 2 if count == 1 else 1, batch, 1 if count == 1 else width), errors.dtype)
    for head in range(heads):
        _share(errors[head], rates, kind, shares[head])
    return shares


@inlined
def learn_head(
    weights: Any,
    head: int,
    x: Any,
    hidden: Any,
    slopes: Any,
    outputs: Any,
    errors: Any,
    rates: Any,
    kind: Kind,
    delta: Any,
) -> None:
    """Let all layers of one head learn, on this thread; delta is room for (batch, cells)."""
    batch, width = x.shape[0], weights[0].shape[2] // 2
    shares = np.empty((2, 2 if kind.outputs == 1 else 1, batch, 1 if kind.outputs == 1 else width), x.dtype)
    active = np.full(1, kind.bias)
    _share(errors, rates, kind, shares)
    for piece in range(_pieces(weights, x.shape[1])):
        _learn_piece(weights, head, piece, x, hidden, slopes, outputs, shares, kind, delta, active)


@compiled()
def run_rows(
    weights: Any, head: int, x: Any, first: int, rows: int, hidden: Any, slopes: Any, outputs: Any, kind: Kind
) -> None:
    """Take `rows` rows of x, from `first`, through all layers of a head, into the same rows of hidden and of outputs.

    hidden is (slots, rows, cells); where there are fewer slots than layers, they are used in turn. A stage with no
    input layer has no sources there, and finds its first activities in hidden; one with no output layer has no outputs.
    """
    input_weight, input_bias, hidden_weight, hidden_bias, output_weight, output_bias = weights
    features, cells, depth, biases = x.shape[1], input_weight.shape[2], hidden_weight.shape[1], input_bias.shape[1]
    last, scale = output_weight.shape[2], kind.scale
    both, slots, fused = np.empty(max(cells, last), x.dtype), hidden.shape[0], _fused(kind)
    source, y = at(x, first * features), at(hidden, first * cells)
    if features:
        # Both streams see the same x: first the excitatory sources, then the inhibitory ones on top.
        plus = at(input_weight, head * 2 * features * cells)
        minus = at(input_weight, (head * 2 + 1) * features * cells)
        bias = _together(input_bias, head, biases, cells, kind.bias, both)
        accumulate(source, features, 1, plus, cells, features, bias, 0, y, cells, rows, cells, scale)
        if fused:
            activate(source, features, 1, minus, cells, features, y, cells, y, cells, rows, cells, scale)
        else:
            accumulate(source, features, 1, minus, cells, features, y, cells, y, cells, rows, cells, scale)
            finish(hidden, 0, first, rows, kind.activation, kind.rms, slopes, 0, scale)
    slot = 0
    for layer in range(depth):
        slot = slot + 1 if slot + 1 < slots else 0
        source, y = y, at(hidden, (slot * hidden.shape[1] + first) * cells)
        place = head * depth + layer
        weight = at(hidden_weight, place * cells * cells)
        bias = _together(hidden_bias, place, biases, cells, kind.bias, both)
        if fused:
            activate(source, cells, 1, weight, cells, cells, bias, 0, y, cells, rows, cells, scale)
        else:
            accumulate(source, cells, 1, weight, cells, cells, bias, 0, y, cells, rows, cells, scale)
            finish(hidden, slot, first, rows, kind.activation, kind.rms, slopes, layer + 1, scale)
    if last == 0:
        return
    weight = at(output_weight, head * cells * last)
    bias, to = _together(output_bias, head, biases, last, kind.bias, both), at(outputs, first * last)
    if kind.output_activation == SIGMOID:
        activate(y, cells, 1, weight, last, cells, bias, 0, to, last, rows, last, scale)
    else:
        accumulate(y, cells, 1, weight, last, cells, bias, 0, to, last, rows, last, scale)
        alone = outputs.reshape(1, outputs.shape[0], last)
        finish(alone, 0, first, rows, kind.output_activation, False, slopes, 0, scale)


@inlined
def _fused(kind: Kind) -> bool:
    """Return whether the activation of the inner layers is part of the product."""
    return kind.activation == SIGMOID and not kind.rms


@inlined
def _together(bias: Any, place: int, biases: int, targets: int, activity: Any, both: Any) -> Any:
    """Return a pointer to what all bias cells of a layer give to each target; `both` is room for the sum of two."""
    start = at(bias, place * biases * targets)
    if biases == 1 and activity == 1:
        return start
    own = bias.reshape(-1)[place * biases * targets : (place + 1) * biases * targets]
    for j in range(targets):
        both[j] = activity * (own[j] if biases == 1 else own[j] + own[targets + j])
    return at(both, 0)


@inlined
def _pieces(weights: Any, features: int) -> int:
    """Return how many pieces of work the update of one head is."""
    inner = (weights[2].shape[2] // 2 + BLOCK - 1) // BLOCK
    return (features + BLOCK - 1) // BLOCK + inner * (weights[2].shape[1] + 1)


@inlined
def _share(errors: Any, rates: Any, kind: Kind, shares: Any) -> None:
    """Write rate · E for the errors (outputs, rows) of one head, as `share` says; centring changes the errors."""
    batch, cells, count = shares.shape[2], shares.shape[3], errors.shape[0]
    if kind.centred:
        centre(errors, batch)
    for layer in range(2):
        rate = rates[layer]
        for b in range(batch):
            if count == 1:
                for stream in range(2):
                    part = errors[0, b]
                    if kind.split and (part < 0) == (stream == 0):
                        part -= part
                    shares[layer, stream, b, 0] = part * rate
            else:
                for first in range(0, cells, count):
                    for output in range(min(count, cells - first)):
                        shares[layer, 0, b, first + output] = errors[output, b] * rate


@compiled()
def _learn_piece(
    weights: Any,
    head: int,
    piece: int,
    x: Any,
    hidden: Any,
    slopes: Any,
    outputs: Any,
    shares: Any,
    kind: Kind,
    delta: Any,
    active: Any,
) -> None:
    """Let one block of the sources of one layer learn from its share of the errors.

    delta is room for (batch, cells), and active holds the activity of a bias cell.
    """
    input_weight, input_bias, hidden_weight, hidden_bias, output_weight, output_bias = weights
    features, width, depth = x.shape[1], input_weight.shape[2] // 2, hidden_weight.shape[1]
    first, inner = (features + BLOCK - 1) // BLOCK, (width + BLOCK - 1) // BLOCK
    layer, low, own = (piece - first) // inner, (piece - first) % inner * BLOCK, shares[0]
    activation, number = kind.activation, 0
    if piece < first:
        # Both streams' sources are x; in all other layers the second stream's lie beside the first one's.
        weight, bias, source, y = input_weight[head], input_bias[head], x, hidden[0]
        low, sources, shift = piece * BLOCK, features, 0
    elif layer < depth:
        weight, bias, source, y = hidden_weight[head, layer], hidden_bias[head, layer], hidden[layer], hidden[layer + 1]
        sources, shift, number = width, width, layer + 1
    else:
        weight, bias, source, y = output_weight[head], output_bias[head], hidden[depth], outputs
        sources, shift, own, activation = width, width, shares[1], kind.output_activation
    rms = kind.rms and (piece < first or layer < depth)
    high, batch, cells = min(low + BLOCK, sources), shares.shape[2], y.shape[1]
    d, step, none = at(delta, 0), delta.shape[1], active[0] - active[0]
    for stream in range(2):
        if stream < shares.shape[1] and (kind.split or stream == 0):
            if activation == SIGMOID and not rms and kind.outputs == 1:
                credit(at(own, stream * batch), at(y, 0), cells, d, step, batch, cells, none)
            else:
                credit_cells(own[stream], y, slopes[number] if rms else y, activation, rms, delta)
        start, w = at(source, stream * shift + low), at(weight, (stream * sources + low) * cells)
        accumulate(start, 1, source.shape[1], d, step, batch, w, cells, w, cells, high - low, cells, none)
        if kind.floor >= 0:
            clamp(weight, stream * sources + low, high - low, stream == 0, kind.floor)
        if low == 0 and stream < bias.shape[0]:
            b = at(bias, stream * cells)
            accumulate(at(active, 0), 0, 0, d, step, batch, b, cells, b, cells, 1, cells, none)
