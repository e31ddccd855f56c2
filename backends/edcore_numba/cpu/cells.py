"""What distinguishes one variant from another, cell by cell: activation, division by the root, error, floor.

The article's kind of cell has code of its own, in `vectors`, where the sigmoid is part of the product.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from edcore.core.activations import ACTIVATIONS
from edcore.core.method import RMS_EPS
from edcore.core.network import Network
from edcore.core.rule import Rule

from .compiling import compiled, inlined

SIGMOID, TANH, RELU, RELU6, LINEAR = (
    ACTIVATIONS.index(name) for name in ("sigmoid", "tanh", "relu", "relu6", "linear")
)


class Kind(NamedTuple):
    """What the cells are, and how they learn, in numbers; the first three are of the network's dtype."""

    scale: Any  # f(z) = 1 / (1 + 2**(scale · z))
    bias: Any  # activity of the bias cells
    floor: Any  # −1 where there is none
    activation: int
    output_activation: int
    rms: bool
    outputs: int  # of a head
    split: bool
    centred: bool


@functools.lru_cache(maxsize=64)  # making it takes as long as a tenth of a small network's step
def kind_of(network: Network, rule: Rule | None = None) -> Kind:
    """Return the numbers for a network and a rule; for a forward pass, which no rule concerns, there may be none."""
    real, rule = np.dtype(network.dtype).type, rule or Rule()
    return Kind(
        scale=real(-2 / network.u0 / math.log(2)),
        bias=real(network.bias),
        floor=real(-1 if rule.floor is None else rule.floor),
        activation=ACTIVATIONS.index(network.activation),
        output_activation=ACTIVATIONS.index(network.output_activation),
        rms=network.rms,
        outputs=network.outputs,
        split=rule.error == "split",
        centred=rule.centred,
    )


@compiled()
def finish(
    y: Any, place: int, first: int, rows: int, activation: int, rms: bool, slopes: Any, layer: int, scale: Any
) -> None:
    """Turn sums in y[place] (rows, cells) into activities, and with rms write slopes[layer], if there is room."""
    cells, real = y.shape[2], type(scale)
    for row in range(first, first + rows):
        own = y[place, row]
        if rms:
            total = real(0)
            for j in range(cells):
                total += own[j] * own[j]
            root = real(math.sqrt(total / real(cells) + real(RMS_EPS)))
            for j in range(cells):
                own[j] /= root
            if slopes.shape[0] > 0:
                for j in range(cells):
                    slopes[layer, row, j] = (real(1) - own[j] * own[j] / real(cells)) / root
        if activation == SIGMOID:
            natural = scale * real(math.log(2.0))
            for j in range(cells):
                own[j] = real(1) / (real(1) + math.exp(own[j] * natural))
        elif activation == TANH:
            for j in range(cells):
                own[j] = math.tanh(own[j])
        elif activation == RELU:
            for j in range(cells):  # a NaN fails the comparison and stays
                own[j] = real(0) if own[j] < real(0) else own[j]
        elif activation == RELU6:
            for j in range(cells):
                above = real(0) if own[j] < real(0) else own[j]
                own[j] = real(6) if above > real(6) else above


@compiled()
def credit_cells(errors: Any, y: Any, slopes: Any, activation: int, rms: bool, delta: Any) -> None:
    """Write delta_bj = errors_b s_j g(y_bj), for columns of which the first half is excitatory.

    errors is (batch, 1), or (batch, half of the cells or more) where each cell of a stream learns from its own output.
    """
    half, real = y.shape[1] // 2, type(errors[0, 0])
    for row in range(errors.shape[0]):
        for side in range(2):
            first, sign = side * half, real(1) if side == 0 else real(-1)
            to, own = delta[row, first : first + half], y[row, first : first + half]
            if errors.shape[1] == 1:
                error = errors[row, 0] * sign
                for j in range(half):
                    to[j] = error
            else:
                for j in range(half):
                    to[j] = errors[row, j] * sign
            if activation == SIGMOID:
                for j in range(half):
                    to[j] = to[j] * own[j] * (real(1) - own[j])
            elif activation == TANH:
                for j in range(half):
                    to[j] *= real(1) - own[j] * own[j]
            elif activation == RELU:
                for j in range(half):
                    to[j] = to[j] if own[j] > real(0) else real(0)
            elif activation == RELU6:
                for j in range(half):
                    to[j] = to[j] if real(0) < own[j] < real(6) else real(0)
            if rms:
                slope = slopes[row, first : first + half]
                for j in range(half):
                    to[j] *= slope[j]


@compiled()
def clamp(weight: Any, first: int, rows: int, excitatory: bool, floor: Any) -> None:
    """Give the synapses of so many sources of one sign the sign s_i s_j, and at least the floor's magnitude."""
    half = weight.shape[1] // 2
    for row in range(first, first + rows):
        for side in range(2):
            own = weight[row, side * half : (side + 1) * half]
            if (side == 0) == excitatory:
                for j in range(half):
                    own[j] = floor if own[j] < floor else own[j]
            else:
                for j in range(half):
                    own[j] = -floor if own[j] > -floor else own[j]


@inlined
def centre(errors: Any, rows: int) -> None:
    """Subtract from each output's errors (outputs, rows) their mean."""
    for output in range(errors.shape[0]):
        total = 0.0
        for row in range(rows):
            total += errors[output, row]
        mean = type(errors[0, 0])(total / rows)
        for row in range(rows):
            errors[output, row] -= mean
