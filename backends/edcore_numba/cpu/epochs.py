"""Whole epochs in one compiled call, for `fit`: each batch shared by the threads, or each head on one of them."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .compiling import compiled, compiled_inside, inlined
from .kernels import BLOCKS, new_buffers, new_room, run_rows, trace_part, update_head, update_part
from .one_sample import activate_one, update_one
from .processor import CANCELLED, flush_subnormals, meet, restore_mode
from .unchanged import forget
from .variants import Variant
from .vectors import at


class Plan(NamedTuple):
    """The sizes of a run of epochs. Epoch e visits ``orders[e * stride : e * stride + samples]``."""

    epochs: int
    samples: int
    stride: int
    size: int  # of a batch
    tolerance: float
    tile: int  # rows that a group of workers takes through all layers
    parts: int  # workers in a group
    workers: int


@compiled
def fit_batches(weights, x, target, orders, heads, plan, variant, stopped, sums, room, meeting, worker) -> None:
    """Go through all batches, of each of which every worker has its share. `heads` are those that learn.

    sums (epochs or 1, heads) gets the sums of errors of each epoch, or of the last one. The workers share room for a
    batch, for the arguments of `kernels`.
    """
    tile, workers, parts = plan.tile, plan.workers, plan.parts
    batch_x, hidden, slopes, outputs, errors = room
    for epoch in range(plan.epochs):
        totals = sums[min(epoch, len(sums) - 1)]
        if worker == 0:
            for head in heads:
                totals[head] = 0
        for start in range(0, plan.samples, plan.size):
            if meeting[CANCELLED] or len(heads) == 0:
                return
            rows = min(plan.size, plan.samples - start)
            visited = orders[epoch * plan.stride + start : epoch * plan.stride + start + rows]
            gathered, inner = batch_x[:rows], (hidden, slopes, outputs)
            low, high = rows * worker // workers, rows * (worker + 1) // workers
            _gather(x, visited[low:high], gathered[low:high])
            meet(meeting, workers)
            trace_part(weights, heads, gathered, *inner, 0, rows, tile, variant, parts, True, meeting, worker, workers)
            meet(meeting, workers)
            if worker == 0:
                for head in heads:
                    totals[head] += _errors(target, visited, head, outputs[head], errors[head])
            meet(meeting, workers)
            update_part(weights, heads, gathered, *inner, errors, variant, worker, workers)
            meet(meeting, workers)
        if worker == 0:
            for head in heads:
                if totals[head] < plan.tolerance:
                    stopped[head] = epoch + 1
        meet(meeting, workers)
        heads = heads[stopped[heads] == 0]


@compiled
def fit_heads(weights, x, target, orders, heads, plan, variant, stopped, sums, meeting) -> None:
    """Take head after head through all epochs, on this thread."""
    fields, zero = Variant(*variant), np.int64(0)  # no literal, of which Numba would make kernels of their own
    alone = zero, zero + 1, meeting
    cells, depth, count = weights[0].shape[2], weights[2].shape[1], fields.outputs
    batch_x = np.empty((plan.size, x.shape[1]), x.dtype)
    hidden = np.empty((depth + 1, plan.size, cells), x.dtype)
    slopes = np.empty((depth + 1, plan.size, cells if fields.rms else 1), x.dtype)
    outputs, errors = np.empty((plan.size, 2 * count), x.dtype), np.empty((count, plan.size), x.dtype)
    buffers, room = new_buffers(weights, x, plan.size, BLOCKS[1], fields), new_room(weights, x)
    mode = flush_subnormals(True)
    for head in heads:
        if not fields.skips:
            forget(weights[6], head)
        for epoch in range(plan.epochs):
            total = 0.0
            for start in range(0, plan.samples, plan.size):
                if meeting[CANCELLED]:
                    restore_mode(mode)
                    return
                rows = min(plan.size, plan.samples - start)
                visited = orders[epoch * plan.stride + start : epoch * plan.stride + start + rows]
                gathered = batch_x[:rows]
                _gather(x, visited, gathered)
                run_rows(weights, head, gathered, zero, rows, hidden, zero, slopes, outputs, fields, room, alone)
                total += _errors(target, visited, head, outputs, errors)
                update_head(weights, head, gathered, hidden, slopes, outputs, errors, fields, buffers)
            sums[min(epoch, len(sums) - 1), head] = total
            if total < plan.tolerance:
                stopped[head] = epoch + 1
                break
    restore_mode(mode)


@compiled
def fit_heads_online(weights, x, target, orders, heads, plan, variant, stopped, sums, meeting) -> None:
    """Do as `fit_heads` for batches of one and the article's kind of cells, with the same bits."""
    fields, cells, depth = Variant(*variant), weights[0].shape[2], weights[2].shape[1]
    y, outputs = np.empty((depth + 1) * cells, x.dtype), np.empty(2, x.dtype)
    mode = flush_subnormals(True)
    for head in heads:
        forget(weights[6], head)
        stopped[head] = _fit_head_online(weights, x, target, orders, head, plan, fields, sums, y, outputs, meeting)
    restore_mode(mode)


@compiled_inside
def _fit_head_online(weights, x, target, orders, head, plan, variant, sums, y, outputs, meeting) -> int:
    """Return the epoch after which the head stopped, 0 if it did not."""
    input_weight, input_bias, hidden_weight, hidden_bias, output_weight, output_bias, _ = weights
    features, cells, depth, biases = x.shape[1], input_weight.shape[2], hidden_weight.shape[1], input_bias.shape[1]
    result, last, activity, scale = at(outputs, 0), at(y, depth * cells), variant.bias, variant.scale
    first, first_bias = at(input_weight, head * 2 * features * cells), at(input_bias, head * biases * cells)
    final, final_bias = at(output_weight, head * cells * 2), at(output_bias, head * biases * 2)
    rate, rate_output = type(scale)(variant.alpha), type(scale)(variant.alpha_output)
    for epoch in range(plan.epochs):
        total = 0.0
        for visit in range(plan.samples):
            if meeting[CANCELLED]:
                return 0
            row = orders[epoch * plan.stride + visit]
            sample = at(x, row * features)
            activate_one(sample, first, features, 2, first_bias, biases, activity, at(y, 0), cells, scale)
            for layer in range(depth):
                place = head * depth + layer
                weight, bias = at(hidden_weight, place * cells * cells), at(hidden_bias, place * biases * cells)
                source, to = at(y, layer * cells), at(y, (layer + 1) * cells)
                activate_one(source, weight, cells, 1, bias, biases, activity, to, cells, scale)
            activate_one(last, final, cells, 1, final_bias, biases, activity, result, 2, scale)
            error = target[row, head] - outputs[0]
            total += abs(error)
            plus, minus = _part(error, variant.split), -_part(-error, variant.split)
            e = plus * rate, minus * rate
            update_one(sample, 0, first, features, first_bias, biases, activity, at(y, 0), cells, e[0], e[1])
            width = cells // 2
            for layer in range(depth):
                place = head * depth + layer
                weight, bias = at(hidden_weight, place * cells * cells), at(hidden_bias, place * biases * cells)
                source, to = at(y, layer * cells), at(y, (layer + 1) * cells)
                update_one(source, width, weight, width, bias, biases, activity, to, cells, e[0], e[1])
            e = plus * rate_output, minus * rate_output
            update_one(last, width, final, width, final_bias, biases, activity, result, 2, e[0], e[1])
        sums[min(epoch, len(sums) - 1), head] = total
        if total < plan.tolerance:
            return epoch + 1
    return 0


@inlined
def _part(error, split) -> Any:
    """Return the part of the error above 0 under a split rule, else all of it."""
    return type(error)(0) if split and error < 0 else error


@inlined
def _gather(x, visited, gathered) -> None:
    for row in range(len(visited)):
        for feature in range(x.shape[1]):
            gathered[row, feature] = x[visited[row], feature]


@inlined
def _errors(target, visited, head, outputs, errors) -> float:
    """Write the errors (outputs, rows) of the visited samples, and return the sum of their magnitudes."""
    total, count = 0.0, errors.shape[0]
    for output in range(count):
        for row in range(len(visited)):
            errors[output, row] = target[visited[row], head * count + output] - outputs[row, output]
            total += abs(errors[output, row])
    return total
