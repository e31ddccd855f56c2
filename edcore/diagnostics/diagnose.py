"""Measure each layer of a network: how saturated it is, whether it still learns, and in which direction.

All figures are computed on the host, in float64, on one batch of samples. The network is not changed.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from edcore.arguments import whole_number
from edcore.arrays import Array, HostWeights, to_numpy
from edcore.core import method as core
from edcore.core.activations import derivative
from edcore.core.network import Layer, Network
from edcore.core.rule import ONLINE, Rule
from edcore.core.weights import draw_layer
from edcore.diagnostics.diagnosis import Diagnosis, LayerFigures
from edcore.diagnostics.gradient import (
    LayerState,
    backward_activation,
    backward_weights,
    forward_layer,
    input_state,
    layer_part,
    output_signal,
    outputs,
    slope,
)
from edcore.model.ed import ED, checked_ed
from edcore.model.inputs import checked_weights

Floats: TypeAlias = npt.NDArray[Any]

SLAB_LAYERS, SLAB_BYTES = 64, 2**25
"""The most layers whose activities and float64 updates are in memory at once, and the most bytes of these updates (a
single layer may have more)."""


NARROW = 256
"""Up to this width one thread computes all products."""

ALL_AT_ENDS, LEAST_LAYERS = 8, 20
"""Layers at each end that are measured in any case, and the least that ``most_layers`` may be."""


class DeadStackWarning(UserWarning):
    """At least half of the hidden layers beyond the first are dead: no error from −1 to 1 changes their weights."""


def diagnose(
    ed: ED, x: Array, target: Array, start: HostWeights | None = None, *, most_layers: int | None = None
) -> Diagnosis:
    """Measure each layer of a network on a batch of samples.

    Parameters
    ----------
    ed : ED
        The network. It is not changed: it keeps its weights, and a trace that waits for `ED.update` still does.
    x : array, shape (batch, in_)
        As for `ED.step`. Some hundred samples are enough.
    target : array, shape (batch,) for one output, else (batch, columns)
        As for `ED.step`.
    start : dict of str to ndarray, optional
        The weights from which changes are counted, laid out as `ED.weights` returns them. Default: the initial weights
        of ``ed.seed``. Give them for a network whose weights were loaded.
    most_layers : int, optional
        The most layers to measure, at least 20. Of a deeper network they are the first eight, the last eight, and
        others evenly picked between them. Left out, all.

    Returns
    -------
    Diagnosis
        The figures; ``print`` shows them as a table.

    Raises
    ------
    InputError
        If x, target or start are not accepted, or the network does not know ``in_`` yet.

    Warns
    -----
    DeadStackWarning
        If at least half of the hidden layers beyond the first, and at least one, are dead although the rule's alpha is
        not 0.

    Notes
    -----
    ED's update is the core's for this batch as a whole. For an online rule it is the sum over the samples, all from the
    present weights. A floor is applied to it. Biases count in its size, in its angle and in dead layers, but in no
    other figure.

    A layer is dead if it would not change even if all samples had an error of 1, with the sign that moves each weight
    most: for each weight, W plus and W minus that largest step, rounded to the network's dtype, is W. So a network
    without errors is not dead, as it would learn from others. A weight closer to 0 than one unit of rounding of the
    layer's mean magnitude counts as that large: any step changes a weight of 0, but so small a step cannot be seen in a
    sum with the others. The activities are those of float64. In float32 they are rounded to 1 earlier, so a layer that
    is barely alive here may be dead.

    If activities overflow, figures are NaN, and layers do not count as dead.

    Examples
    --------
    >>> import edcore
    >>> from edcore.diagnostics import diagnose
    >>> data = edcore.datasets.digits(classes=(0, 1))
    >>> ed = edcore.ED(in_=64, hidden_depth=8, u0=6.0, seed=0)
    >>> found = diagnose(ed, data.x_train[:100], data.y_train[:100])
    >>> found.dead_hidden
    0
    """
    network, rule = checked_ed(ed).network, ed.rule
    picked = _picked(network.depth + 2, most_layers)
    x, target = ed.check(x, target)
    now = ed.weights
    first = None if start is None else checked_weights(network, start, name="start")
    samples, wanted = (to_numpy(array).astype(np.float64) for array in (x, target))
    # Threads share no product of so few cells with profit, and lose much time where other programs have the cores.
    threads = threadpool_limits(1, "blas") if network.widest <= NARROW else contextlib.nullcontext()
    with threads, np.errstate(all="ignore"):  # a figure that overflows is NaN in the table
        measurement = _Measurement(network, rule, now, first, ed.seed, frozenset(picked))
        figures = list(measurement.layers(samples, wanted.reshape(-1, network.columns)))
    found = Diagnosis.from_layers(network, rule, figures[::-1], picked)
    if found.warning:
        warnings.warn(found.warning, DeadStackWarning, stacklevel=2)
    return found


def _picked(layers: int, most: int | None) -> list[int]:
    """Return the numbers of the layers to measure, from 0 for the input layer."""
    if most is None or layers <= whole_number("most_layers", most, LEAST_LAYERS):
        return list(range(layers))
    # The first layers of a deep stack learn and the others hardly do, so the even steps leave out no layer there.
    between = np.linspace(ALL_AT_ENDS, layers - 1 - ALL_AT_ENDS, most - 2 * ALL_AT_ENDS).round().astype(int).tolist()
    return [*range(ALL_AT_ENDS), *between, *range(layers - ALL_AT_ENDS, layers)]


@dataclass(frozen=True, slots=True)
class _Measurement:
    """A network to measure, with its weights now and at the start, and the numbers of the layers to measure."""

    network: Network
    rule: Rule
    now: HostWeights
    start: HostWeights | None  # None: the initial ones of this seed
    seed: int
    picked: frozenset[int]

    def layers(self, x: Floats, target: Floats) -> Iterator[LayerFigures]:
        """Yield the figures of the layers to measure, from the output layer back, as the gradient goes."""
        # The states of thousands of layers would take too much memory. The first forward pass keeps the state in front
        # of each slab only; a slab's states are computed again from it when its turn comes.
        network, layers, depth = self.network, self.network.layers, self.network.depth
        widths = network.widths
        slab = max(1, min(SLAB_LAYERS, SLAB_BYTES // (8 * network.heads * (2 * network.widest) ** 2)))
        inputs = last = input_state(network, x)
        fronts = {}  # by the first hidden layer of a slab, from 0: the state in front of it
        for number, layer in enumerate(layers):
            last = forward_layer(network, layer, self.now, last)
            if number % slab == 0:
                fronts[number] = last
        error = target - outputs(network, [last])
        signal = output_signal(network, error)
        for first in reversed(range(0, max(depth, 1), slab)):
            stop = min(first + slab, depth)
            states = [fronts[first]]
            for layer in layers[first + 1 : stop + 1]:
                states.append(forward_layer(network, layer, self.now, states[-1]))
            # To the core a slab is a network with no other hidden layers: each layer learns by itself. Its layers are
            # those to measure; where they are no neighbours, there is a layer between them that nobody reads.
            chain = [first]  # the numbers of the layers whose cells it has
            for number in sorted(self.picked.intersection(range(first + 1, stop + 1))):
                chain += [number] if chain[-1] == number - 1 else [number - 1, number]
            part = [inputs, *(states[number - first] for number in chain), last]
            width = tuple(widths[number] for number in chain)
            slab_network = replace(network, width=width, depth=len(chain) - 1)
            in_slab = dict(zip([*chain, depth + 1], slab_network.layers, strict=True))
            step, most = self._updates(slab_network, part, error)
            for number in reversed(range(first + 1 if first else 0, stop + 1 + (stop == depth))):
                layer = layers[number]
                sources = states[number - first - 1] if number else inputs
                targets = last if layer.name == "output" else states[number - first]
                sums = backward_activation(network, layer, targets, signal)
                if number in self.picked:
                    biases = np.repeat(network.bias * sums.sum(axis=1, keepdims=True), network.n_bias, axis=1)
                    descent = np.concatenate([sources.y.swapaxes(-1, -2) @ sums, biases], axis=1)
                    step_most = _joined(step, in_slab[number]), _joined(most, in_slab[number])
                    yield self._figures(layer, self._before(layer, number), targets, *step_most, descent)
                signal = backward_weights(layer, self.now, sums)
                # Only its direction counts: scaled to 1 it does not vanish on its way through a deep stack.
                signal /= np.max(abs(signal)) or 1.0

    def _updates(self, part: Network, states: list[LayerState], error: Floats) -> tuple[HostWeights, HostWeights]:
        """Return ΔW before the floor, and its largest size for errors of 1."""
        # Added to 0, an update is not rounded to the unit of the weights. The core writes nothing, so all share one 0.
        zeros = {key: np.broadcast_to(0.0, shape) for key, shape in part.weight_shapes.items()}
        reduction = "sum" if ONLINE[self.rule.order] else self.rule.reduction
        rule = replace(self.rule, order="batch", reduction=reduction, floor=None)
        trace = tuple(core.Cells(state.y, _root_slope(state)) for state in states)
        step = core.update(part, rule, zeros, trace, error)
        # With sources and factors of one sign nothing cancels. To linear cells, whose g is 1, the factors are errors.
        linear = replace(part, activation="linear", output_activation="linear", rms=False)
        rule = replace(rule, error="signed", centred=False)
        sources = tuple(core.Cells(abs(cells.y), None) for cells in trace)
        factors = [
            abs(derivative(layer.activation, cells.y) * (1 if cells.slope is None else cells.slope))
            for layer, cells in zip(part.layers, trace[1:], strict=True)
        ]
        most = core.update_layers(linear, rule, zeros, sources, factors)
        return step, {key: abs(value) for key, value in most.items()}

    def _before(self, layer: Layer, number: int) -> Floats:
        """Return the weights of a layer at the start. To draw those of all layers takes as long as to measure some."""
        network, floor = self.network, self.rule.floor
        if self.start is not None:
            return layer_part(self.start, layer, "weight")
        heads = range(network.heads)
        return np.stack([draw_layer(network, layer, number, head, self.seed, floor)[0] for head in heads])

    def _figures(
        self, layer: Layer, first: Floats, state: LayerState, step: Floats, most: Floats, descent: Floats
    ) -> LayerFigures:
        """Return the figures of one layer; step, most and descent have its biases below its weights."""
        network, floor = self.network, self.rule.floor
        w = layer_part(self.now, layer, "weight")
        least = 0.0 if floor is None else float(w.dtype.type(floor))
        if floor is not None:
            signs, weights = np.outer(layer.source_signs, layer.target_signs), step[:, : w.shape[1]]
            np.copyto(weights, signs * least - w, where=signs * (w + weights) < least)
        everything = _joined(self.now, layer)
        g = slope(layer.activation, state, network.u0)
        read = network.outputs if layer.name == "output" else None  # the − output cells have no part in the loss
        return LayerFigures(
            saturation=float(g.mean()) * (network.u0 / 2 if layer.activation == "sigmoid" else 1),
            sign_changes=float(np.mean(np.sign(w) * np.sign(first) < 0)),
            growth=float(np.mean(abs(w), dtype=np.float64) / np.mean(abs(first), dtype=np.float64)),
            at_floor=float(np.mean(abs(w) <= least)),
            balance=float(np.sum(w, where=w > 0, dtype=np.float64) / np.sum(abs(w), where=w < 0, dtype=np.float64)),
            angle=_angle(step[..., :read], descent[..., :read]),
            update=float(np.divide(_norm(step), _norm(everything))),
            dead=_dead(everything, most),
        )


def _joined(weights: HostWeights, layer: Layer) -> Floats:
    """Return a layer's weights and, as further sources, its biases."""
    return np.concatenate([layer_part(weights, layer, part) for part in ("weight", "bias")], axis=1)


def _root_slope(state: LayerState) -> Floats | None:
    """Return the factor of g if the sums of the layer were divided by their root."""
    z, _, root = state
    return None if root is None else np.asarray((1 - z * z / z.shape[-1]) / root)


def _norm(values: Floats) -> float:
    """Return the Euclidean norm."""
    largest = float(np.max(abs(values)))
    # Scaled first, so that the squares of small values do not vanish.
    return largest * float(np.linalg.norm(values / largest)) if largest else 0.0


def _angle(a: Floats, b: Floats) -> float:
    """Return the angle between two directions in degrees; NaN if one of them is 0."""
    a, b = (values / np.max(abs(values)) for values in (a, b))
    a, b = (values / np.linalg.norm(values) for values in (a, b))
    # For unit vectors (Kahan 2006); unlike the arc cosine it keeps all digits of a small angle.
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))))


def _dead(weights: Floats, most: Floats) -> bool:
    """Return whether steps of the magnitudes `most`, of either sign, change no weight in its dtype."""
    least = float(np.spacing(np.spacing(np.mean(abs(weights))))) / 2
    exact = weights.astype(np.float64)
    moved = ((exact + most).astype(weights.dtype) != weights) | ((exact - most).astype(weights.dtype) != weights)
    return not np.any(moved & ~(most <= least))
