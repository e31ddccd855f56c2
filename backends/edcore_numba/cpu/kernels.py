"""The compiled kernels of one forward pass and of one update on the CPU.

Forward, a few rows of the batch go through all layers; in an update, blocks of sources learn, of any layer, in any
order: the error is the same for all layers, and nothing comes back through the network. Both divide into pieces of work
of which each `worker` of `workers` has its share.

Weights are the tuple of the arrays in `WEIGHTS`, matrices in panels, and of what is known of them (see `weights`).
Everything is contiguous, and the output layer has − cells, whether the network has them or not. Activities are x
(batch, in_), or its categories (batch, features), hidden (heads, depth + 1, batch, cells) of the input layer and of
each hidden layer, and outputs (heads, batch, 2 · outputs). With rms slopes are like hidden, else they are the bounds of
`unchanged`, one for each row; they are empty where no update follows. Errors are (heads, outputs, batch). All but x may
have room for more rows than x has. `heads` are the heads at work. `variant` is a `Variant`, or a tuple of its fields.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import numpy as np

from .categories import COLUMNS, clamp_inputs, gather_weights, learn_inputs, new_order, order_rows
from .compiling import compiled, compiled_inside, inlined
from .deltas import SIGMOID
from .functions import call
from .processor import flush_subnormals, meet, restore_mode
from .unchanged import forget
from .variants import Variant, apply_activation, clamp, mean_error
from .vectors import PANEL_BYTES, ROWS, SLICE, VECTOR_BYTES, at, shifted

BLOCKS = 64, 512
"""The least and the most sources of each stream that learn in one piece of work. The more they are, the less it matters
that each piece computes its targets' factors for itself."""

NARROW = 2**15
"""Bytes of a layer's weights up to which the layer that learns next is fetched while this one learns."""

TOGETHER = 8
"""Rows that are packed at a time: their cache lines stay in the fastest cache."""

PIECES, RUN = 4, 16
"""Pieces of work that each worker should have, and the most that it does one after another."""

CHUNK = 128
"""Samples of a batch whose changes are added up before the weights get them: their factors stay in the cache."""

SPREAD = 1024
"""Bytes of a layer's activities above which those of a block's sources are copied together: far apart they share few
places in a cache."""


@compiled
def trace_part(
    weights, heads, x, hidden, slopes, outputs, start, stop, tile, variant, parts, kept, meeting, worker, workers
) -> None:
    """Fill in one worker's share of the activities of the rows from start to stop.

    A group of `parts` workers takes `tile` rows of a head through all layers, each of them some panels of each layer.
    Where hidden has room for fewer layers than the network has, the latest ones remain. If activities are not kept,
    hidden is (1, slots, rows, cells), with rows for a tile of each group.
    """
    fields, room, tiles = Variant(*variant), new_room(weights, x), (stop - start + tile - 1) // tile
    mode = flush_subnormals(True)  # after the last thing that can fail, or it would stay
    for task in range(worker // parts, len(heads) * tiles, workers // parts):
        head, first = heads[task // tiles], start + task % tiles * tile
        rows = min(tile, stop - first)
        group, (slot, row) = (worker % parts, parts, meeting), (head, first) if kept else (0, worker // parts * tile)
        y, s = hidden[slot], slopes[slot]
        run_rows(weights, head, x, first, rows, y, row, s, outputs[head], fields, room, group)
        if not kept:
            _meet(group)  # or the next rows would come into room that is still read
    restore_mode(mode)


@compiled
def update_part(weights, heads, x, hidden, slopes, outputs, errors, variant, worker, workers) -> None:
    """Let one worker's share of the sources learn, in place."""
    fields = Variant(*variant)
    features, width, depth, batch = x.shape[1], weights[0].shape[2] // 2, weights[2].shape[1], x.shape[0]
    size = BLOCKS[1]
    while size > BLOCKS[0] and len(heads) * _count_blocks(features, width, depth, size, fields) < PIECES * workers:
        size //= 2
    each = _count_blocks(features, width, depth, size, fields)
    buffers, of_head, pieces = new_buffers(weights, x, batch, size, fields), -1, len(heads) * each
    run = max(1, min(RUN, pieces // (PIECES * workers)))
    if worker == 0 and not fields.skips:
        for head in heads:
            forget(weights[6], head)
    mode = flush_subnormals(True)
    # From the last layer to the first: what the forward pass has written last is still in the cache, and what is
    # written here last is what the next one needs first. Neighbouring layers share activities, so each worker does a
    # run of them.
    for start in range(pieces - 1 - worker * run, -1, -workers * run):
        for piece in range(start, max(start - run, -1), -1):
            head = heads[piece // each]
            if head != of_head:
                # Each worker does this for itself: it is little, and to share it would be one more meeting.
                _write_credited(errors[head], batch, width, fields, buffers)
                of_head = head
            y = outputs[head]
            block = size, piece % each
            _update_block(weights, head, block, x, hidden[head], slopes[head], y, fields, buffers)
    restore_mode(mode)


@inlined
def update_head(weights, head, x, hidden, slopes, outputs, errors, variant, buffers) -> None:
    """Let all layers of one head learn, on this thread; the buffers are those of `new_buffers`."""
    width, size = weights[0].shape[2] // 2, BLOCKS[1]
    _write_credited(errors, x.shape[0], width, variant, buffers)
    for number in range(_count_blocks(x.shape[1], width, weights[2].shape[1], size, variant) - 1, -1, -1):
        _update_block(weights, head, (size, number), x, hidden, slopes, outputs, variant, buffers)


@compiled_inside
def run_rows(weights, head, x, first, rows, hidden, row, slopes, outputs, variant, room, group) -> None:
    """Take `rows` rows of x, from `first`, through all layers of a head, into the same rows of outputs.

    Their activities come into hidden, from `row`. It is (slots, rows, cells), and the slots are used in turn where they
    are fewer than the layers. A stage without the input layer has no sources there, and finds its first activities in
    hidden. One without the output layer has no outputs. `room` is from `new_room`. `group` is this worker's number in a
    group that shares the rows, their number, and their meeting.
    """
    input_weight, input_bias, hidden_weight, hidden_bias, output_weight, output_bias, _ = weights
    features, cells, depth, biases = x.shape[1], input_weight.shape[2], hidden_weight.shape[1], input_bias.shape[1]
    last, scale, (both, sums) = output_weight.shape[2], variant.scale, room
    slot: Any = np.int64(0)  # no literal, of which Numba would make a kernel of its own
    slots, fused, none, flat = hidden.shape[0], _is_fused(variant), both[:0], hidden_weight.ravel()
    source, y, bounded = at(x, first * features), at(hidden, row * cells), variant.skips and slopes.shape[0] > 0
    if features:
        # Both streams see the same x, so it is multiplied by the sum of their weights.
        bias = _sum_biases(input_bias, head, biases, cells, variant.bias, sums)
        if variant.categories:
            gather_weights(x, first, input_weight[head], bias, y, cells, rows, fused, variant, group)
        else:
            _multiply(source, features, input_weight.ravel(), head, bias, y, cells, rows, both, fused, variant, group)
        if not fused:
            apply_activation(hidden, slot, row, rows, variant.activation, variant.rms, slopes, slot, scale)
    _meet(group)
    for layer in range(depth):
        slot = slot + 1 if slot + 1 < slots else 0
        source, y = y, at(hidden, (slot * hidden.shape[1] + row) * cells)
        place = head * depth + layer
        bias = _sum_biases(hidden_bias, place, biases, cells, variant.bias, sums)
        _multiply(source, cells, flat, place, bias, y, cells, rows, none, fused, variant, group)
        if not fused:
            apply_activation(hidden, slot, row, rows, variant.activation, variant.rms, slopes, layer + 1, scale)
        _meet(group)
        if bounded and group[0] == 0:
            of_slopes = at(slopes, (layer + 1) * slopes.shape[1] + row)
            call(variant.bound_slopes, (y, rows, cells, variant.activation, of_slopes, scale))
    if last == 0:
        return
    bias, result = _sum_biases(output_bias, head, biases, last, variant.bias, sums), at(outputs, first * last)
    fused = variant.output_activation == SIGMOID
    _multiply(y, cells, output_weight.ravel(), head, bias, result, last, rows, none, fused, variant, group)
    if not fused:
        _meet(group)  # only one applies the activation, to what all have added up
    if not fused and group[0] == 0:
        one_layer, rms = outputs.reshape(1, outputs.shape[0], last), np.bool_(False)
        apply_activation(one_layer, np.int64(0), first, rows, variant.output_activation, rms, slopes, slot, scale)


@compiled_inside
def _multiply(x, sources, weights, place, bias, y, targets, rows, both, activated, variant, group) -> None:
    """Write y = bias + x W, or the sigmoid of it, for the matrix W at a place of weights.

    If there is room in `both`, the weights are those of two streams of the same sources, and W is their sum. x and y
    are pointers to rows of `sources` and of `targets` numbers.
    """
    panel, (part, parts, _) = PANEL_BYTES // weights.itemsize, group
    size, some = (2 * sources, SLICE) if len(both) else (sources, sources)
    panels, matrix = (targets + panel - 1) // panel, place * size * targets
    for number in range(panels * part // parts, panels * (part + 1) // parts):
        low = number * panel
        width = min(panel, targets - low)
        start, c, c_row, to = matrix + low * size, shifted(bias, low), 0, shifted(y, low)
        for first in range(0, sources, some):
            k, here = min(some, sources - first), start + first * width
            if len(both):
                there = here + sources * width
                plus, minus = weights[here : here + k * width], weights[there : there + k * width]
                for i in range(k * width):
                    both[i] = plus[i] + minus[i]
            w, soon = at(both if len(both) else weights, 0 if len(both) else here), at(weights, here + k * width)
            of_x, then = (shifted(x, first), sources, sources, 1), activated and first + k == sources
            given = *of_x, w, width, k, c, c_row, to, targets, rows, width, soon, 1, 0, then, variant.scale
            call(variant.multiply, given)
            c, c_row = to, targets


@inlined
def _meet(group) -> None:
    """Wait for the others of a group."""
    if group[1] > 1:
        meet(group[2], group[1])


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
    layer = bias.ravel()[place * biases * targets : (place + 1) * biases * targets]
    for j in range(targets):
        sums[j] = activity * (layer[j] if biases == 1 else layer[j] + layer[targets + j])
    return at(sums, 0)


@inlined
def _count_blocks(features, width, depth, size, variant) -> int:
    """Return the number of blocks of `size` sources of one head; of columns of categories, `COLUMNS` are one."""
    first = COLUMNS if variant.categories else size
    return (features + first - 1) // first + (width + size - 1) // size * (depth + 1)


@compiled_inside
def _pack(source, start, rows, low, count, packed) -> None:
    """Copy `rows` rows from `start` and `count` columns from `low` of an array in the order in which tiles read them.

    The columns of a tile lie together, row after row.
    """
    for some in range(0, rows, TOGETHER):
        stop, column = min(some + TOGETHER, rows), 0
        for size in ROWS:
            while column + size <= count:
                for row in range(some, stop):
                    for i in range(size):
                        packed[column * rows + row * size + i] = source[start + row, low + column + i]
                column += size


@inlined
def new_room(weights, x) -> Any:
    """Return room for a slice of the sums of both streams' weights from the input, and for the input of bias cells."""
    cells, panel = weights[0].shape[2], PANEL_BYTES // x.itemsize
    both = aligned(min(x.shape[1], SLICE) * min(panel, cells), x)
    return both, np.empty(max(cells, weights[4].shape[2]), x.dtype)


@inlined
def aligned(count, like) -> Any:
    """Return a new array of a dtype like another's that starts at a cache line."""
    line = VECTOR_BYTES // like.itemsize
    values = np.empty(count + line, like.dtype)
    start = -values.ctypes.data % VECTOR_BYTES // like.itemsize
    return values[start : start + count]


@inlined
def new_buffers(weights, x, batch, size, variant) -> Any:
    """Return room for the activities of a block's sources and for the factors of a panel's targets; and a bias cell.

    And room for rate · E of one head, (inner and output layers, parts, batch, cells). With one output the parts are
    the errors that synapses of + and of − sources learn from, the same for all target cells. With several, one part
    has the error of its output for each target cell. The last is from `new_order`.
    """
    rows, sources = min(batch, CHUNK), max(x.shape[1], weights[0].shape[2])
    copies = np.empty(rows * 2 * size if sources * x.itemsize > SPREAD else 0, x.dtype)
    one, cells = variant.outputs == 1, max(weights[0].shape[2], 2 * variant.outputs)
    credited = np.empty((2, 2 if one else 1, batch, 1 if one else cells), x.dtype)
    order = new_order(batch, variant.categories)
    return copies, aligned(rows * (PANEL_BYTES // x.itemsize), x), np.full(3, variant.bias), credited, order


@inlined
def _write_credited(errors, batch, width, variant, buffers) -> None:
    """Write rate · E for the errors (outputs, rows) of one head into its room in the buffers."""
    credited, count, real = buffers[3], errors.shape[0], type(variant.scale)
    buffers[2][1] = -1
    parts = batch if variant.mean else 1
    rates = real(variant.alpha / parts), real(variant.alpha_output / parts)
    for output in range(count):
        mean = mean_error(errors, output, batch) if variant.centred else real(0)
        for layer in range(2):
            half = count if layer else width
            for b in range(batch):
                error = errors[output, b] - mean
                for stream in range(2):
                    if count == 1:
                        part = error
                        if variant.split and (part < 0) == (stream == 0):
                            part -= part  # 0, and a NaN stays one
                        credited[layer, stream, b, 0] = part * rates[layer]
                    else:
                        for cell in range(stream * half + output, (stream + 1) * half, count):
                            credited[layer, 0, b, cell] = error * rates[layer]


@compiled_inside
def _update_block(weights, head, block, x, hidden, slopes, outputs, variant, buffers) -> None:
    """Let one block of the sources of one layer learn from its errors: `block` is a size and a number.

    The buffers are those of `new_buffers`.
    """
    input_weight, input_bias, hidden_weight, hidden_bias, output_weight, output_bias, least = weights
    features, width, depth = x.shape[1], input_weight.shape[2] // 2, hidden_weight.shape[1]
    copies, delta, active, credited, room = buffers
    size, place = block
    inner = (width + size - 1) // size
    first = _count_blocks(features, width, -1, size, variant)
    layer, low, errors = (place - first) // inner, (place - first) % inner * size, credited[0]
    activation, number, batch = variant.activation, 0, x.shape[0]
    if first <= place and layer < depth and variant.skips:
        which, cells, biases, parts = head * depth + layer, 2 * width, input_bias.shape[1], credited.shape[1]
        w, b = at(hidden_weight, which * cells * cells), at(hidden_bias, which * biases * cells)
        of_weights = w, b, biases, width, low, min(low + size, width)
        bounds, e = at(slopes, (layer + 1) * slopes.shape[1]), at(credited, 0)
        of_changes = bounds, batch, e, parts, credited.shape[3], at(active, 0)
        call(variant.find_unchanged, of_weights + of_changes + (at(least, which * least.shape[2]), active[0]))
        if active[2] != 0:
            return
    if place < first:
        # Both streams' sources are x; in all other layers the second stream's lie beside the first one's.
        weight, bias, source, y = input_weight[head], input_bias[head], x, hidden[0]
        low, sources, shift = place * size, features, 0
        if variant.categories:
            size, low, sources = COLUMNS, place * COLUMNS, weight.shape[0] // 2
    elif layer < depth:
        weight, bias, source, y = hidden_weight[head, layer], hidden_bias[head, layer], hidden[layer], hidden[layer + 1]
        sources, shift, number = width, width, layer + 1
    else:
        weight, bias, source, y = output_weight[head], output_bias[head], hidden[depth], outputs
        sources, shift, errors, activation = width, width, credited[1], variant.output_activation
    rms = variant.rms and (place < first or layer < depth)
    same = shift == 0 and not variant.split  # the weights of both streams change alike
    high, cells = min(low + size, sources), y.shape[1]
    d, a, none, panel = at(delta, 0), at(active, 0), active[0] - active[0], PANEL_BYTES // x.itemsize
    gathered, columns = place < first and variant.categories > 0, (low, min(low + size, features))
    ordered = room, room.reshape(-1, 1)
    for start in range(0, batch, CHUNK):
        stop = min(start + CHUNK, batch)
        rows, row, each = stop - start, source.shape[1], 1
        begin, beside = at(source, start * row + low), shift
        if gathered:
            ordered = order_rows(x, start, rows, columns, variant.categories, room)
        if row * x.itemsize > SPREAD:
            _pack(source, start, rows, low, high - low, copies)
            begin, row, each, beside = at(copies, 0), -1, rows, 0
            if shift:
                beside = (high - low) * rows
                _pack(source, start, rows, shift + low, high - low, copies[beside:])
        for column in range(0, cells, panel):
            targets = min(panel, cells - column)
            times, apart = 2 if same else 1, sources * targets
            for stream in range(2):
                if stream < credited.shape[1] and (variant.split or stream == 0):
                    e_row, place_y = errors.shape[2], start * cells + column
                    e, activity = at(errors, (stream * errors.shape[1] + start) * e_row), at(y, place_y)
                    panel_of = cells, d, rows, targets, column, cells
                    if activation == SIGMOID and not rms and e_row == 1:
                        call(variant.compute_sigmoid_delta, (e, activity, *panel_of, none))
                    else:
                        factors = at(slopes[number], place_y) if rms else activity
                        call(variant.compute_delta, (e, e_row, activity, factors, *panel_of, activation, rms, none))
                w = at(weight, column * weight.shape[0] + (stream * sources + low) * targets)
                part = shifted(begin, stream * beside)
                soon = w
                if weight.size * x.itemsize <= NARROW:  # the next block is the layer before
                    soon = shifted(w, -weight.size) if stream else shifted(begin, -batch * cells)
                if gathered and (stream == 0 or not same):
                    floor = variant.floor if batch <= CHUNK else type(variant.floor)(-1)
                    learn_inputs(ordered, delta, weight, column, targets, stream, times, floor)
                elif stream == 0 or not same:
                    a_b = part, each, 1, row, d, targets, rows
                    c_y = w, targets, w, targets, high - low, targets
                    call(variant.multiply, a_b + c_y + (soon, times, apart, 0, none))
                if low == 0 and stream < bias.shape[0]:
                    b = at(bias, stream * cells + column)
                    c_y = b, targets, b, targets, 1, targets
                    call(variant.multiply, (a, 0, 0, 0, d, targets, rows, *c_y, b, 1, 0, 0, none))
    if variant.floor >= 0 and gathered:
        if batch > CHUNK:  # else they are clamped as they learn
            _, found = order_rows(x, 0, batch, columns, variant.categories, room)
            clamp_inputs(found, weight, variant.floor, panel)
    elif variant.floor >= 0:
        for stream in range(2):
            clamp(weight, stream * sources + low, high - low, stream == 0, variant.floor, panel)
