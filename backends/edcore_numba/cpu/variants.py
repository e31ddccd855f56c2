"""The variants of the method on the CPU, cell by cell: activations, RMS, several outputs, centred errors, the floor.

The article's kind of cell has faster code in `vectors`, where the sigmoid is part of the product.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from edcore.core.activations import ByName
from edcore.core.method import RMS_EPS
from edcore.core.network import Network
from edcore.core.rule import MEAN, SPLIT, Rule

from .compiling import compiled, compiled_inside, inlined
from .deltas import LINEAR, RELU, RELU6, SIGMOID, SOFTMAX, TANH
from .functions import NONE, functions_of

NUMBERS = ByName("activation", {"sigmoid": SIGMOID, "tanh": TANH, "relu": RELU, "relu6": RELU6, "linear": LINEAR})
"""The activations that the kernels have."""

OF_OUTPUTS = ByName("output_activation", NUMBERS | {"softmax": SOFTMAX})
"""Those of output cells."""

SKIPPED = 16
"""The least width at which it is worth while to look for layers that cannot change."""


class Variant(NamedTuple):
    """A network and a rule as the numbers that kernels read; the first three are of the network's dtype."""

    scale: Any  # f(z) = 1 / (1 + 2**(scale · z))
    bias: Any  # activity of the bias cells
    floor: Any  # −1 without a floor
    activation: int
    output_activation: int
    rms: bool
    outputs: int  # of a head
    categories: int  # inputs for which a column of x stands, of which one is 1; 0 if x has the inputs
    split: bool
    centred: bool
    mean: bool
    alpha: float
    alpha_output: float
    skips: bool  # an update leaves out hidden layers that cannot change
    multiply: int  # addresses of `Functions`
    compute_sigmoid_delta: int
    compute_delta: int
    bound_slopes: int
    find_unchanged: int


@functools.lru_cache(maxsize=64)  # to make one takes as long as a small network's forward pass
def variant_of(network: Network, rule: Rule | None = None, calls: bool = True) -> tuple[Any, ...]:
    """Return the fields of the `Variant`; a forward pass depends on no rule, and some kernels call no functions.

    They are a plain tuple, of which a kernel makes the `Variant` again: Numba looks up the type of a NamedTuple in
    Python at each call, which takes half as long as a tiny network's pass.
    """
    real, rule = np.dtype(network.dtype).type, rule or Rule()
    variant = Variant(
        scale=real(-2 / network.u0 / math.log(2)),
        bias=real(network.bias),
        floor=real(-1 if rule.floor is None else rule.floor),
        activation=NUMBERS[network.activation],
        output_activation=OF_OUTPUTS[network.output_activation],
        rms=network.rms,
        outputs=network.outputs,
        categories=network.one_hot,
        split=SPLIT[rule.error],
        centred=rule.centred,
        mean=MEAN[rule.reduction],
        alpha=float(rule.alpha),
        alpha_output=float(rule.alpha_output),
        skips=_skips(network, rule),
        **(functions_of(network.dtype) if calls else NONE)._asdict(),
    )
    return tuple(variant)


def _skips(network: Network, rule: Rule) -> bool:
    """Return whether layers may saturate, and are large enough for it to matter; a floor would move saturated ones."""
    saturates = network.activation in ("sigmoid", "tanh") and not network.rms
    return saturates and network.widest >= SKIPPED and rule.floor is None


@compiled
def apply_activation(y, place, first, rows, activation, rms, slopes, layer, scale) -> None:
    """Turn sums in y[place] (rows, cells) into activities, and with rms write slopes[layer], unless it has no room."""
    cells, real = y.shape[2], type(scale)
    for row in range(first, first + rows):
        cell = y[place, row]
        if rms:
            total = real(0)
            for j in range(cells):
                total += cell[j] * cell[j]
            root = real(math.sqrt(total / real(cells) + real(RMS_EPS)))
            root += real(0) * root  # NaN where squares overflow
            for j in range(cells):
                cell[j] /= root
            if slopes.shape[0] > 0:
                for j in range(cells):
                    slopes[layer, row, j] = (real(1) - cell[j] * cell[j] / real(cells)) / root
        if activation == SIGMOID:
            natural = scale * real(math.log(2.0))
            for j in range(cells):
                cell[j] = real(1) / (real(1) + math.exp(cell[j] * natural))
        elif activation == TANH:
            for j in range(cells):
                cell[j] = math.tanh(cell[j])
        elif activation == RELU:
            for j in range(cells):  # a NaN fails the comparison and stays
                cell[j] = real(0) if cell[j] < real(0) else cell[j]
        elif activation == RELU6:
            for j in range(cells):
                above = real(0) if cell[j] < real(0) else cell[j]
                cell[j] = real(6) if above > real(6) else above
        elif activation == SOFTMAX:  # of the excitatory cells, the first half; a NaN makes all of them NaN
            outputs, most, total = cells // 2, cell[0], real(0)
            for j in range(1, outputs):
                most = cell[j] if cell[j] > most else most
            for j in range(outputs):
                cell[j] = math.exp(cell[j] - most)
                total += cell[j]
            for j in range(outputs):
                cell[j] /= total
        elif activation != LINEAR:
            raise ValueError("the kernels have no such activation")


@compiled_inside
def clamp(weight, first, rows, excitatory, floor, panel) -> None:
    """Give the weights of some sources of one sign the sign s_i s_j, and at least the floor's magnitude.

    weight is a matrix (sources, targets) in panels of `panel` targets.
    """
    sources, cells = weight.shape
    flat = weight.ravel()
    for low in range(0, cells, panel):
        targets = min(panel, cells - low)
        for row in range(first, first + rows):
            block = flat[low * sources + row * targets : low * sources + (row + 1) * targets]
            middle = min(max(cells // 2 - low, 0), targets)
            for j in range(middle):
                block[j] = _further(block[j], excitatory, floor)
            for j in range(middle, targets):
                block[j] = _further(block[j], not excitatory, floor)


@inlined
def _further(weight, positive, floor) -> Any:
    """Return the weight if it has this sign and at least the floor's magnitude, or is NaN; else the floor."""
    if positive:
        return floor if weight < floor else weight
    return -floor if weight > -floor else weight


@inlined
def mean_error(errors, output, rows) -> Any:
    """Return the mean of an output's errors (outputs, rows), summed in float64."""
    total = 0.0
    for row in range(rows):
        total += errors[output, row]
    return type(errors[0, 0])(total / rows)
