"""Whole epochs in one compiled call, for `fit`: each batch spread over the threads, or each head on one of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import prange

from .cells import Kind
from .compiling import compiled, inlined
from .kernels import learn_head, run_rows, share, trace_part, update_part
from .one_sample import activate_one, learn_one
from .vectors import at


class Plan(NamedTuple):
    """What a run of epochs is told, beside its arrays. Epoch e visits ``orders[e * stride : e * stride + samples]``."""

    epochs: int
    samples: int
    stride: int
    size: int  # of a batch
    alpha: float
    alpha_output: float
    mean: bool
    tolerance: float
    tile: int  # rows that a thread takes through all layers
    workers: int


@compiled()
def fit_batches(
    weights: Any, x: Any, target: Any, orders: Any, heads: Any, plan: Plan, kind: Kind, stopped: Any, cancelled: Any
) -> None:
    """Go through all batches, each of which is spread over the threads. `heads` are those that learn."""
    all_heads, cells, depth = weights[0].shape[0], weights[0].shape[2], weights[2].shape[1]
    batch_x, count = np.empty((plan.size, x.shape[1]), x.dtype), kind.outputs
    hidden = np.empty((all_heads, depth + 1, plan.size, cells), x.dtype)
    slopes = np.empty((all_heads, depth + 1 if kind.rms else 0, plan.size, cells), x.dtype)
    outputs = np.empty((all_heads, plan.size, 2 * count), x.dtype)
    errors = np.empty((all_heads, count, plan.size), x.dtype)
    for epoch in range(plan.epochs):
        totals = np.zeros(all_heads)
        for start in range(0, plan.samples, plan.size):
            if cancelled[0] or len(heads) == 0:
                return
            rows = min(plan.size, plan.samples - start)
            visited = orders[epoch * plan.stride + start : epoch * plan.stride + start + rows]
            gathered = batch_x[:rows]
            _gather(x, visited, gathered)
            _trace(weights, heads, gathered, hidden, slopes, outputs, kind, plan)
            for head in heads:
                totals[head] += _errors(target, visited, head, outputs[head], errors[head])
            shares = share(errors, rows, cells // 2, _rates(plan, rows, kind), kind)
            _update(weights, heads, gathered, hidden, slopes, outputs, shares, kind, plan)
        for head in heads:
            if totals[head] < plan.tolerance:
                stopped[head] = epoch + 1
        heads = heads[stopped[heads] == 0]


@compiled(parallel=True)
def _trace(weights: Any, heads: Any, x: Any, hidden: Any, slopes: Any, outputs: Any, kind: Kind, plan: Plan) -> None:
    for index in prange(plan.workers):
        # The index has no sign, and mixed with numbers that have one it would become a float.
        worker: Any = np.intp(index)
        rows = x.shape[0]
        trace_part(weights, heads, x, hidden, slopes, outputs, 0, rows, plan.tile, kind, worker, plan.workers)


@compiled(parallel=True)
def _update(
    weights: Any, heads: Any, x: Any, hidden: Any, slopes: Any, outputs: Any, shares: Any, kind: Kind, plan: Plan
) -> None:
    for index in prange(plan.workers):
        worker: Any = np.intp(index)
        update_part(weights, heads, x, hidden, slopes, outputs, shares, kind, worker, plan.workers)


@compiled()
def fit_heads(
    weights: Any, x: Any, target: Any, orders: Any, heads: Any, plan: Plan, kind: Kind, stopped: Any, cancelled: Any
) -> None:
    """Take head after head through all epochs, on this thread."""
    for head in heads:
        stopped[head] = _fit_head(weights, x, target, orders, head, plan, kind, cancelled)


@compiled()
def fit_heads_online(
    weights: Any, x: Any, target: Any, orders: Any, heads: Any, plan: Plan, kind: Kind, stopped: Any, cancelled: Any
) -> None:
    """Do as `fit_heads` for batches of one and the article's kind of cells, with the same bits."""
    for head in heads:
        stopped[head] = _fit_head_online(weights, x, target, orders, head, plan, kind, cancelled)


@compiled()
def _fit_head(weights: Any, x: Any, target: Any, orders: Any, head: int, plan: Plan, kind: Kind, cancelled: Any) -> int:
    """Return the epoch after which the head stopped, 0 if it did not."""
    cells, depth, count = weights[0].shape[2], weights[2].shape[1], kind.outputs
    batch_x, delta = np.empty((plan.size, x.shape[1]), x.dtype), np.empty((plan.size, cells), x.dtype)
    hidden = np.empty((depth + 1, plan.size, cells), x.dtype)
    slopes = np.empty((depth + 1 if kind.rms else 0, plan.size, cells), x.dtype)
    outputs, errors = np.empty((plan.size, 2 * count), x.dtype), np.empty((count, plan.size), x.dtype)
    for epoch in range(plan.epochs):
        total = 0.0
        for start in range(0, plan.samples, plan.size):
            if cancelled[0]:
                return 0
            rows = min(plan.size, plan.samples - start)
            visited = orders[epoch * plan.stride + start : epoch * plan.stride + start + rows]
            gathered = batch_x[:rows]
            _gather(x, visited, gathered)
            run_rows(weights, head, gathered, 0, rows, hidden, slopes, outputs, kind)
            total += _errors(target, visited, head, outputs, errors)
            rates = _rates(plan, rows, kind)
            learn_head(weights, head, gathered, hidden, slopes, outputs, errors, rates, kind, delta)
        if total < plan.tolerance:
            return epoch + 1
    return 0


@compiled()
def _fit_head_online(
    weights: Any, x: Any, target: Any, orders: Any, head: int, plan: Plan, kind: Kind, cancelled: Any
) -> int:
    """Return the epoch after which the head stopped, 0 if it did not."""
    input_weight, input_bias, hidden_weight, hidden_bias, output_weight, output_bias = weights
    features, cells, depth, biases = x.shape[1], input_weight.shape[2], hidden_weight.shape[1], input_bias.shape[1]
    y, outputs = np.empty((depth + 1) * cells, x.dtype), np.empty(2, x.dtype)
    result, last, activity, scale = at(outputs, 0), at(y, depth * cells), kind.bias, kind.scale
    first, first_bias = at(input_weight, head * 2 * features * cells), at(input_bias, head * biases * cells)
    final, final_bias = at(output_weight, head * cells * 2), at(output_bias, head * biases * 2)
    rate, rate_output = _rates(plan, 1, kind)
    for epoch in range(plan.epochs):
        total = 0.0
        for visit in range(plan.samples):
            if cancelled[0]:
                return 0
            row = orders[epoch * plan.stride + visit]
            sample = at(x, row * features)
            activate_one(sample, first, features, features, first_bias, biases, activity, at(y, 0), cells, scale)
            for layer in range(depth):
                place = head * depth + layer
                weight, bias = at(hidden_weight, place * cells * cells), at(hidden_bias, place * biases * cells)
                source, to = at(y, layer * cells), at(y, (layer + 1) * cells)
                activate_one(source, weight, cells, 0, bias, biases, activity, to, cells, scale)
            activate_one(last, final, cells, 0, final_bias, biases, activity, result, 2, scale)
            error = target[row, head] - outputs[0]
            total += abs(error)
            plus, minus = _part(error, kind.split), -_part(-error, kind.split)
            own = plus * rate, minus * rate
            learn_one(sample, 0, first, features, first_bias, biases, activity, at(y, 0), cells, own[0], own[1])
            width = cells // 2
            for layer in range(depth):
                place = head * depth + layer
                weight, bias = at(hidden_weight, place * cells * cells), at(hidden_bias, place * biases * cells)
                source, to = at(y, layer * cells), at(y, (layer + 1) * cells)
                learn_one(source, width, weight, width, bias, biases, activity, to, cells, own[0], own[1])
            own = plus * rate_output, minus * rate_output
            learn_one(last, width, final, width, final_bias, biases, activity, result, 2, own[0], own[1])
        if total < plan.tolerance:
            return epoch + 1
    return 0


@inlined
def _part(error: Any, split: bool) -> Any:
    """Return what is above 0 of the error, under a split rule, else all of it."""
    return type(error)(0) if split and error < 0 else error


@inlined
def _gather(x: Any, visited: Any, gathered: Any) -> None:
    for row in range(len(visited)):
        for feature in range(x.shape[1]):
            gathered[row, feature] = x[visited[row], feature]


@inlined
def _errors(target: Any, visited: Any, head: int, outputs: Any, errors: Any) -> float:
    """Write the errors (outputs, rows) of the visited samples, and return the sum of their magnitudes."""
    total, count = 0.0, errors.shape[0]
    for output in range(count):
        for row in range(len(visited)):
            errors[output, row] = target[visited[row], head * count + output] - outputs[row, output]
            total += abs(errors[output, row])
    return total


@inlined
def _rates(plan: Plan, rows: int, kind: Kind) -> Any:
    """Return the learning rates of the inner layers and of the output layer, in the type of the weights."""
    parts = rows if plan.mean else 1
    real = type(kind.scale)
    return real(plan.alpha / parts), real(plan.alpha_output / parts)
