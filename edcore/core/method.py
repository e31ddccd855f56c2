"""The ED method, as pure functions of the Array API standard: the clearest statement of it there is.

A layer has source cells i with signs s_i, target cells j with signs s_j, and a weight matrix W in which the signs are
folded. The error e of an output is broadcast, unchanged, to every layer::

    z = x W + bias        y = f(z)        f(z) = 1 / (1 + exp(−2 z / u0))
    ΔW_ij = α · reduce_b [ x_bi · E_bij · g(y_bj) · s_j ]        g(y) = y (1 − y)

so all layers can be updated at once, with no error propagated backwards (Kaneko 1999). The variants differ in E
(`Rule`) and in f with its g (`Network`). Where each layer is given an error of its own, E is that (`update_layers`).
The outputs are the activities of the excitatory output cells. With softmax these are linear, and it is taken of them as
they are read out, in `read_out`: the update sees of it the error alone.

Shapes: x (batch, in_), or categories for it (`Network.one_hot`); error and outputs (batch, columns), see
`Network.columns`; inside, the heads are the first axis and the batch is contracted inside one matrix product, so
nothing of size batch × sources × targets is ever built. Weights are a dictionary, laid out as `Network.weight_shapes`
says; those of a few consecutive layers alone are a stage of a network, which several devices share. Nothing is written
in place: every result is a new array. A saturated exp overflows to infinity, which gives the right activity, 0; array
libraries may warn of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from array_api_compat import array_namespace, device

from edcore.arrays import Array, Weights
from edcore.core.activations import SOFTMAX, activity, derivative, softmax
from edcore.core.network import Network
from edcore.core.rule import MEAN, SPLIT, Rule

SLAB = 64
"""Hidden layers that learn in one product: enough for it to be worth while, few enough for a CPU's cache."""

HEAVIEST = 2.0
"""The largest mean weight with which a batch counts, where a rule takes means: its learning rates are those of a mean,
and a step for one sample with the weight of a hundred would go a hundred times as far, and past its target."""

RMS_EPS = 1e-5
"""Added to the mean square of a layer's sums, where a network divides by its root (Fujita 2025)."""


class Cells(NamedTuple):
    """The cells of one layer after a forward pass, each array (heads, batch, cells)."""

    y: Array
    slope: Array | None  # the factor that g has beside f's own part, where the layer's sums were divided by their root


Trace: TypeAlias = tuple[Cells, ...]
"""What one forward pass leaves: the input cells, then each layer in turn."""


def forward(network: Network, weights: Weights, x: Array) -> Array:
    """Return the outputs (batch, columns) for x (batch, in_), keeping no more than one layer's activities."""
    for cells in run_layers(network, weights, input_cells(network, x)):
        last = cells
    return outputs(network, last.y)


def trace(network: Network, weights: Weights, x: Array) -> tuple[Array, Trace]:
    """Return the outputs (batch, columns) for x (batch, in_), and the trace that `update` needs."""
    cells = tuple(run_layers(network, weights, input_cells(network, x)))
    return outputs(network, cells[-1].y), cells


def input_cells(network: Network, x: Array) -> Cells:
    """Return the input cells, (1, batch, 2 · in_): both streams see the same input."""
    x = expand_one_hot(network, x)
    return Cells(array_namespace(x).concat([x, x], axis=-1)[None, ...], None)


def expand_one_hot(network: Network, x: Array) -> Array:
    """Return the inputs (batch, in_) for x: x itself, or for its categories 1 at their places and 0 elsewhere."""
    if not network.one_hot:
        return x
    xp = array_namespace(x)
    categories = xp.arange(network.one_hot, dtype=x.dtype, device=device(x))
    return xp.reshape(xp.astype(x[:, :, None] == categories, x.dtype), (x.shape[0], network.in_))


def run_layers(network: Network, weights: Weights, cells: Cells) -> Iterator[Cells]:
    """Yield the cells that go in, then those of each layer in turn."""
    yield cells
    for name in _names(network, weights):
        w, b = weights[f"{name}.weight"], weights[f"{name}.bias"]
        if name == "hidden":
            for d in range(w.shape[1]):
                cells = _run_layer(network, name, cells.y, w[:, d, ...], b[:, d, ...])
                yield cells
        else:
            cells = _run_layer(network, name, cells.y, w, b)
            yield cells


def outputs(network: Network, y: Array) -> Array:
    """Return the outputs of each head in turn, as (batch, columns), for all output cells y."""
    xp = array_namespace(y)
    return xp.reshape(xp.permute_dims(read_out(network, y), (1, 0, 2)), (y.shape[1], network.columns))


def read_out(network: Network, y: Array) -> Array:
    """Return what is read of the output cells y: the excitatory ones, or the softmax over those of each head."""
    excitatory = y[..., : network.outputs]
    return softmax(excitatory) if network.output_activation == SOFTMAX else excitatory


def update(network: Network, rule: Rule, weights: Weights, trace: Trace, error: Array) -> Weights:
    """Return the weights after one update of all layers, for error = target − output (batch, columns).

    A layer learns from its own activities and the error alone: nothing depends on the order of the layers.
    """
    xp = array_namespace(error)
    if rule.centred:
        error = error - xp.mean(error, axis=0, keepdims=True)
    scaled = error / error.shape[0] if MEAN[rule.reduction] else error
    e = xp.permute_dims(xp.reshape(scaled, (-1, network.heads, network.outputs)), (1, 0, 2))
    learned, source = dict(weights), 0
    for name in _names(network, weights):
        if name == "hidden":
            last = source + weights["hidden.weight"].shape[1]
            new = _learn_stack(network, rule, weights, e, trace[source : last + 1])
        else:
            last = source + 1
            new = _learn_layer(network, rule, name, weights, e, trace[source], trace[last])
        learned, source = learned | new, last
    return learned


def update_layers(network: Network, rule: Rule, weights: Weights, trace: Trace, errors: Sequence[Array]) -> Weights:
    """Return the weights after one update in which each layer l learns from its own error e^l, not from the outputs'.

    ΔW^l_ij = α · reduce_b [ x_bi · E^l_bij · g(y_bj) · s_j ], where E^l follows from e^l as E from e. `errors` has
    one e^l for each layer: the input layer, the hidden layers, the output layer. It is (batch, columns), from which
    target cell j takes the error of its output (`Layer.teachers`), as in `update`; or (heads, batch, cells), with an
    error e^l_bj for each target cell, the + cells first, whose sign s_j is not in it. A centred rule centres each, over
    the batch. With the same (batch, columns) for all layers this is `update`.
    """
    learned, layers = dict(weights), iter([*zip(errors, trace[:-1], trace[1:], strict=True)])
    for name in _names(network, weights):
        if name == "hidden":
            keys = "hidden.weight", "hidden.bias"
            parts = [{key: weights[key][:, d, ...] for key in keys} for d in range(weights[keys[0]].shape[1])]
            stack = [_learn_own(network, rule, name, part, *next(layers)) for part in parts]
            xp = array_namespace(weights[keys[0]])
            new = {key: xp.stack([part[key] for part in stack], axis=1) for key in keys if stack}
        else:
            new = _learn_own(network, rule, name, weights, *next(layers))
        learned = learned | new
    return learned


def weighted_error(rule: Rule, error: Array, weight: Array) -> Array:
    """Return the error (batch, columns) with which `update` learns each sample b with its weight w_b (batch,).

    ΔW_ij = α · reduce_b [ w_b · x_bi · E_bij · g(y_bj) · s_j ], where a centred rule takes e_b − Σ_b w_b e_b / Σ_b w_b
    in place of e_b − mean_b e_b. So a sample of weight 2 adds what two samples add, one of weight 0 adds nothing, and
    weights of 1 change nothing. A mean is over the number of samples, as before: weights whose own mean is 1 keep its
    scale. A batch whose mean weight is above `HEAVIEST` counts as one of that mean weight.
    """
    xp, w = array_namespace(error), weight[:, None]
    mean = xp.mean(w)
    if rule.centred:
        centre = xp.mean(w * error, axis=0, keepdims=True) / xp.where(mean > 0, mean, mean * 0 + 1)
        error = error - centre
    if MEAN[rule.reduction]:
        w = w / xp.where(mean > HEAVIEST, mean / HEAVIEST, mean * 0 + 1)
    return w * error  # whose plain mean is 0 if it was centred, so that `update` centres nothing more


def _names(network: Network, weights: Weights) -> Iterator[str]:
    """Yield the names of the layers that there are weights of, in their order: a stage has those of some."""
    return (name for name in network.stack_names if f"{name}.weight" in weights)


def _learn_own(network: Network, rule: Rule, name: str, weights: Weights, error: Array, x: Cells, y: Cells) -> Weights:
    """Return the learned weights of one layer for its own error, as `update` would have it: (heads, batch, …)."""
    xp = array_namespace(error)
    e = error
    if error.ndim == 2:
        e = xp.permute_dims(xp.reshape(error, (-1, network.heads, network.outputs)), (1, 0, 2))
    if rule.centred:
        e = e - xp.mean(e, axis=1, keepdims=True)
    return _learn_layer(network, rule, name, weights, e / e.shape[1] if MEAN[rule.reduction] else e, x, y)


def _learn_stack(network: Network, rule: Rule, weights: Weights, e: Array, trace: Trace) -> Weights:
    """Return the learned weights of the hidden stack, whose sources and targets are `trace`."""
    keys, slabs = ("hidden.weight", "hidden.bias"), []
    for start in range(0, len(trace) - 1, SLAB):
        stop = min(start + SLAB, len(trace) - 1)
        x, y = _stack(trace[start:stop]), _stack(trace[start + 1 : stop + 1])
        slab = {key: weights[key][:, start:stop, ...] for key in keys}
        slabs.append(_learn_layer(network, rule, "hidden", slab, e[:, None, ...], x, y))
    xp = array_namespace(e)
    return {key: xp.concat([slab[key] for slab in slabs], axis=1) for key in keys if slabs}


def _learn_layer(network: Network, rule: Rule, name: str, weights: Weights, e: Array, x: Cells, y: Cells) -> Weights:
    """Return the weights of a layer (or a slab of them) plus α Σ_b x_bi E_bij g(y_bj) s_j, and its biases likewise."""
    xp = array_namespace(e)
    layer = network.layer(name)
    alpha = rule.alpha_output if name == "output" else rule.alpha
    bias_cells = xp.full((e.shape[-2], network.n_bias), network.bias, dtype=e.dtype, device=device(e))
    # E_bij is e_bj for all synapses, or a factor of the source cell: it is multiplied in where that costs least.
    signed = not SPLIT[rule.error]
    e_j = xp.take(e, _indices(e, layer.teachers), axis=-1) if 1 < network.outputs == e.shape[-1] else e
    g = derivative(layer.activation, y.y)
    if y.slope is not None:
        g = g * y.slope
    delta = g * ((e_j if signed else 1) * alpha * _like(e, layer.target_signs))
    learned = {}
    for part, source, signs in (("weight", x.y, layer.source_signs), ("bias", bias_cells, network.bias_signs)):
        key = f"{name}.{part}"
        if signed or e.shape[-1] == network.outputs:
            credited = source if signed else source * _split_errors(e, signs)
            learned[key] = weights[key] + xp.matrix_transpose(credited) @ delta
        else:  # split by the sign of each target cell's own error: which part counts depends on i and on j
            parts = (
                xp.matrix_transpose(source) @ (delta * part) for part in (xp.maximum(e, 0 * e), xp.minimum(e, 0 * e))
            )
            learned[key] = weights[key] + xp.where(_like(e, signs)[:, None] > 0, *parts)
    if rule.floor is not None:
        signs = _like(e, layer.source_signs)[:, None] * _like(e, layer.target_signs)
        size = learned[f"{name}.weight"] * signs
        learned[f"{name}.weight"] = signs * xp.maximum(size, xp.full_like(size, rule.floor))
    return learned


def _split_errors(e: Array, source_signs: tuple[int, ...]) -> Array:
    """Return max(e, 0) for the excitatory sources and min(e, 0) for the inhibitory ones, (…, batch, sources)."""
    xp, zero = array_namespace(e), e * 0
    return xp.where(_like(e, source_signs) > 0, xp.maximum(e, zero), xp.minimum(e, zero))


def _run_layer(network: Network, name: str, x: Array, weight: Array, bias: Array) -> Cells:
    """Return f(x W + bias), for the biases of one bias cell or two."""
    xp, z = array_namespace(x), x @ weight
    for cell in range(network.n_bias):
        z = z + network.bias * bias[:, cell : cell + 1, :]
    if name == "output":
        return Cells(activity(network.output_cells, z, network.u0), None)
    if not network.rms:
        return Cells(activity(network.activation, z, network.u0), None)
    r = xp.sqrt(xp.mean(z * z, axis=-1, keepdims=True) + RMS_EPS)
    z = z / (r + 0 * r)  # where squares overflow this is NaN, as z / ∞ would be a finite wrong answer
    return Cells(activity(network.activation, z, network.u0), (1 - z * z / z.shape[-1]) / r)


def _stack(layers: Trace) -> Cells:
    """Return layers of the stack as one, each array (heads, layers, batch, cells)."""
    xp = array_namespace(layers[0].y)
    slopes = [cells.slope for cells in layers if cells.slope is not None]
    return Cells(xp.stack([cells.y for cells in layers], axis=1), xp.stack(slopes, axis=1) if slopes else None)


def _like(array: Array, values: tuple[int, ...]) -> Array:
    return array_namespace(array).asarray(values, dtype=array.dtype, device=device(array))


def _indices(array: Array, values: tuple[int, ...]) -> Array:
    xp = array_namespace(array)
    return xp.asarray(values, dtype=xp.int64, device=device(array))
