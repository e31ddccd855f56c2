"""The compiled kernels of one forward pass and of one update on the CPU.

Forward, a few rows of the batch go through all layers; in an update, blocks of sources learn, of any layer, in any
order: the error is the same for all layers, and nothing comes back through the network. Both divide into pieces of work
of which each `worker` of `workers` has its share.

Weights are the tuple of the arrays in `WEIGHTS`; everything is contiguous, and the output layer has − cells, whether
the network has them or not. Activities are x (batch, in_), hidden (heads, depth + 1, batch, cells) of the input layer
and of each hidden layer, and outputs (heads, batch, 2 · outputs); slopes are like hidden, or empty where none are
needed. Errors are (heads, outputs, batch). All but x may have room for more rows than x has. `heads` are the heads at
work. `variant` is a `Variant`, or a tuple of its fields.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numpy as np

from .compiling import compiled, inlined
from .variants import SIGMOID, Variant, apply_activation, clamp, compute_delta, mean_error
from .vectors import accumulate, activate, at, compute_sigmoid_delta, flush_subnormals, restore_mode

BLOCK = 128
"""Sources of each stream that learn in one piece of work: enough to hide the cost of the targets' factors."""


@compiled()
def trace_part(weights, heads, x, hidden, slopes, outputs, start, stop, tile, variant, worker, workers) -> None:
    """Fill in one worker's share of the activities of the rows from start to stop.

    Where hidden has room for fewer layers than the network has, the latest ones remain.
    """
    fields, mode = Variant(*variant), flush_subnormals(True)
    tiles = (stop - start + tile - 1) // tile
    for task in range(worker, len(heads) * tiles, workers):
        head, first = heads[task // tiles], start + task % tiles * tile
        rows = min(tile, stop - first)
        run_rows(weights, head, x, first, rows, hidden[head], slopes[head], outputs[head], fields)
    restore_mode(mode)


@compiled()
def update_part(weights, heads, x, hidden, slopes, outputs, errors, variant, worker, workers) -> None:
    """Let one worker's share of the sources learn, in place."""
    fields, mode = Variant(*variant), flush_subnormals(True)
    each, batch = _count_blocks(weights, x.shape[1]), x.shape[0]
    delta, active = np.empty((batch, weights[0].shape[2]), x.dtype), np.full(1, fields.bias)
    credited, of_head = _empty_credited(weights, batch, fields), -1
    blocks = len(heads) * each
    for block in range(blocks * worker // workers, blocks * (worker + 1) // workers):
        head = heads[block // each]
        if head != of_head:
            # Each worker does this for itself: it is little, and a share of it would be one more start of all threads.
            _write_credited(errors[head], fields, credited)
            of_head = head
        y = outputs[head]
        _update_block(weights, head, block % each, x, hidden[head], slopes[head], y, credited, fields, delta, active)
    restore_mode(mode)


@inlined
def update_head(weights, head, x, hidden, slopes, outputs, errors, variant, delta) -> None:
    """Let all layers of one head learn, on this thread; delta is room for (batch, cells)."""
    credited, active = _empty_credited(weights, x.shape[0], variant), np.full(1, variant.bias)
    _write_credited(errors, variant, credited)
    for block in range(_count_blocks(weights, x.shape[1])):
        _update_block(weights, head, block, x, hidden, slopes, outputs, credited, variant, delta, active)


@compiled()
def run_rows(weights, head, x, first, rows, hidden, slopes, outputs, variant) -> None:
    """Take `rows` rows of x, from `first`, through all layers of a head, into the same rows of hidden and of outputs.

    hidden is (slots, rows, cells); where it has fewer slots than layers, they are used in turn. A stage without the
    input layer has no sources there, and finds its first activities in hidden; one without the output layer has no
    outputs.
    """
    input_weight, input_bias, hidden_weight, hidden_bias, output_weight, output_bias = weights
    features, cells, depth, biases = x.shape[1], input_weight.shape[2], hidden_weight.shape[1], input_bias.shape[1]
    last, scale = output_weight.shape[2], variant.scale
    sums, slots, fused = np.empty(max(cells, last), x.dtype), hidden.shape[0], _is_fused(variant)
    source, y = at(x, first * features), at(hidden, first * cells)
    if features:
        # Both streams see the same x: first the excitatory sources, then the inhibitory ones on top.
        plus = at(input_weight, head * 2 * features * cells)
        minus = at(input_weight, (head * 2 + 1) * features * cells)
        bias = _sum_biases(input_bias, head, biases, cells, variant.bias, sums)
        accumulate(source, features, 1, plus, cells, features, bias, 0, y, cells, rows, cells, scale)
        if fused:
            activate(source, features, 1, minus, cells, features, y, cells, y, cells, rows, cells, scale)
        else:
            accumulate(source, features, 1, minus, cells, features, y, cells, y, cells, rows, cells, scale)
            apply_activation(hidden, 0, first, rows, variant.activation, variant.rms, slopes, 0, scale)
    slot = 0
    for layer in range(depth):
        slot = slot + 1 if slot + 1 < slots else 0
        source, y = y, at(hidden, (slot * hidden.shape[1] + first) * cells)
        place = head * depth + layer
        weight = at(hidden_weight, place * cells * cells)
        bias = _sum_biases(hidden_bias, place, biases, cells, variant.bias, sums)
        if fused:
            activate(source, cells, 1, weight, cells, cells, bias, 0, y, cells, rows, cells, scale)
        else:
            accumulate(source, cells, 1, weight, cells, cells, bias, 0, y, cells, rows, cells, scale)
            apply_activation(hidden, slot, first, rows, variant.activation, variant.rms, slopes, layer + 1, scale)
    if last == 0:
        return
    weight, result = at(output_weight, head * cells * last), at(outputs, first * last)
    bias = _sum_biases(output_bias, head, biases, last, variant.bias, sums)
    if variant.output_activation == SIGMOID:
        activate(y, cells, 1, weight, last, cells, bias, 0, result, last, rows, last, scale)
    else:
        accumulate(y, cells, 1, weight, last, cells, bias, 0, result, last, rows, last, scale)
        one_layer = outputs.reshape(1, outputs.shape[0], last)
        apply_activation(one_layer, 0, first, rows, variant.output_activation, False, slopes, 0, scale)


@inlined
def _is_fused(variant) -> bool:
    """Return whether the activation of the inner layers is part of the product."""
    return variant.activation == SIGMOID and not variant.rms


@inlined
def _sum_biases(bias, place, biases, targets, activity, sums) -> Any:
    """Return a pointer to the input of all bias cells to each target of a layer; `sums` is room for it."""
    start = at(bias, place * biases * targets)
    if biases == 1 and activity == 1:
        return start
    layer = bias.reshape(-1)[place * biases * targets : (place + 1) * biases * targets]
    for j in range(targets):
        sums[j] = activity * (layer[j] if biases == 1 else layer[j] + layer[targets + j])
    return at(sums, 0)


@inlined
def _count_blocks(weights, features) -> int:
    """Return the number of blocks of sources of one head."""
    inner = (weights[2].shape[2] // 2 + BLOCK - 1) // BLOCK
    return (features + BLOCK - 1) // BLOCK + inner * (weights[2].shape[1] + 1)


@inlined
def _empty_credited(weights, batch, variant) -> Any:
    """Return room for rate · E of one head: (inner and output layers, parts, batch, cells).

    With one output the parts are the errors that synapses of + and of − sources learn from, the same for all target
    cells. With several, one part has the error of its output for each target cell of a stream.
    """
    one = variant.outputs == 1
    return np.empty((2, 2 if one else 1, batch, 1 if one else weights[0].shape[2] // 2), weights[0].dtype)


@inlined
def _write_credited(errors, variant, credited) -> None:
    """Write rate · E for the errors (outputs, rows) of one head, in the shape that `_empty_credited` describes."""
    batch, cells, count, real = credited.shape[2], credited.shape[3], errors.shape[0], type(variant.scale)
    parts = batch if variant.mean else 1
    rates = real(variant.alpha / parts), real(variant.alpha_output / parts)
    for output in range(count):
        mean = mean_error(errors, output, batch) if variant.centred else real(0)
        for layer in range(2):
            for b in range(batch):
                error = errors[output, b] - mean
                if count == 1:
                    for stream in range(2):
                        part = error
                        if variant.split and (part < 0) == (stream == 0):
                            part -= part  # 0, and a NaN stays one
                        credited[layer, stream, b, 0] = part * rates[layer]
                else:
                    for cell in range(output, cells, count):
                        credited[layer, 0, b, cell] = error * rates[layer]


@compiled()
def _update_block(weights, head, block, x, hidden, slopes, outputs, credited, variant, delta, active) -> None:
    """Let one block of the sources of one layer learn from its errors.

    delta is room for (batch, cells), and active holds the activity of a bias cell.
    """
    input_weight, input_bias, hidden_weight, hidden_bias, output_weight, output_bias = weights
    features, width, depth = x.shape[1], input_weight.shape[2] // 2, hidden_weight.shape[1]
    first, inner = (features + BLOCK - 1) // BLOCK, (width + BLOCK - 1) // BLOCK
    layer, low, errors = (block - first) // inner, (block - first) % inner * BLOCK, credited[0]
    activation, number = variant.activation, 0
    if block < first:
        # Both streams' sources are x; in all other layers the second stream's lie beside the first one's.
        weight, bias, source, y = input_weight[head], input_bias[head], x, hidden[0]
        low, sources, shift = block * BLOCK, features, 0
    elif layer < depth:
        weight, bias, source, y = hidden_weight[head, layer], hidden_bias[head, layer], hidden[layer], hidden[layer + 1]
        sources, shift, number = width, width, layer + 1
    else:
        weight, bias, source, y = output_weight[head], output_bias[head], hidden[depth], outputs
        sources, shift, errors, activation = width, width, credited[1], variant.output_activation
    rms = variant.rms and (block < first or layer < depth)
    high, batch, cells = min(low + BLOCK, sources), credited.shape[2], y.shape[1]
    d, step, none = at(delta, 0), delta.shape[1], active[0] - active[0]
    for stream in range(2):
        if stream < credited.shape[1] and (variant.split or stream == 0):
            if activation == SIGMOID and not rms and variant.outputs == 1:
                compute_sigmoid_delta(at(errors, stream * batch), at(y, 0), cells, d, step, batch, cells, none)
            else:
                compute_delta(errors[stream], y, slopes[number] if rms else y, activation, rms, delta)
        start, w = at(source, stream * shift + low), at(weight, (stream * sources + low) * cells)
        accumulate(start, 1, source.shape[1], d, step, batch, w, cells, w, cells, high - low, cells, none)
        if variant.floor >= 0:
            clamp(weight, stream * sources + low, high - low, stream == 0, variant.floor)
        if low == 0 and stream < bias.shape[0]:
            b = at(bias, stream * cells)
            accumulate(at(active, 0), 0, 0, d, step, batch, b, cells, b, cells, 1, cells, none)
