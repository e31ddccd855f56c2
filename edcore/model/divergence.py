"""The step and the layer in which learning has diverged, and the advice that the error gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edcore.arrays import HostWeights
from edcore.core import method as core
from edcore.core.activations import FUNCTIONS, readout
from edcore.core.network import Network
from edcore.core.rule import MEAN, Rule
from edcore.core.widths import stack_names_of
from edcore.errors import DivergedError

HIGH, SAMPLES = 10.0, 100
"""A learning rate as large as the largest of the presets; and a number of samples whose errors are added up."""


class Found(NamedTuple):
    """The first values that are not finite: activities or weights of a layer, 0 for the input layer, in some heads."""

    part: str
    layer: int
    heads: npt.NDArray[np.bool_]


class Divergence(NamedTuple):
    """The values that stopped being finite, and when.

    The epoch counts from 1 within what was asked for, the batch from 1 within the epoch.
    """

    network: Network
    rule: Rule
    part: str
    layer: int
    heads: npt.NDArray[np.bool_]
    epoch: int | None = None
    batch: int | None = None
    fitted: bool = False

    def error(self, first: int = 0) -> DivergedError:
        """Return the error; `first` epochs came before those that are counted here."""
        kept = "The network has the weights from before that step."
        if self.fitted:
            kept = f"The network has the weights from before epoch {first + 1:,}."
        return DivergedError(
            self.part,
            self._name,
            tuple(np.flatnonzero(self.heads).tolist()),
            self.network.heads,
            kept,
            self._fix,
            self.epoch and self.epoch + first,
            self.batch,
        )

    @property
    def _name(self) -> str:
        hidden = self.network.depth + 1  # the cells of the input layer are the first hidden ones
        return f"hidden layer {self.layer + 1:,} of {hidden:,}" if self.layer < hidden else "the output layer"

    @property
    def _fix(self) -> str:
        rule, network = self.rule, self.network
        inner, outer = FUNCTIONS[network.activation], readout(network.output_activation)
        unbounded = inner.largest == math.inf
        parts = ["rms=True"] if unbounded and not network.rms else []
        # Divided by their root mean square, cells have no more than bounded ones. What can grow from there on are
        # outputs without bounds, whose error comes back larger if an update moves them by more than it.
        highest = 1.0 if unbounded else inner.largest
        sources = 2 * network.widths[-1] * highest**2 + network.n_bias * network.bias**2
        if not parts or outer.largest == math.inf or max(rule.alpha, rule.alpha_output) > HIGH:
            samples = 1 if MEAN[rule.reduction] else SAMPLES
            alpha, output = min(rule.alpha / 10, 1 / samples), min(rule.alpha_output / 10, 1 / sources / samples)
            parts.append(f"alpha={alpha:.2g}, alpha_output={output:.2g}")
        return f"Try {' with '.join(parts)}; inputs from 0 to 1 help too."


def finite(array: npt.NDArray[Any]) -> bool:
    """Return whether all values are."""
    return bool(np.isfinite(array).all())


def first_in_activities(network: Network, weights: HostWeights, x: npt.NDArray[Any]) -> Found | None:
    """Return the first layer that has activities which are not finite, for x (batch, in_)."""
    with np.errstate(all="ignore"):
        _, trace = core.trace(network, weights, x)
    return first_in_cells(trace[1:])


def first_in_cells(layers: Sequence[core.Cells], start: int = 0) -> Found | None:
    """Return the first of some consecutive layers, from layer `start` on, that has activities which are not finite."""
    for number, cells in enumerate(layers, start):
        slopes = True if cells.slope is None else np.isfinite(cells.slope)
        bad = ~(np.isfinite(cells.y) & slopes).all(axis=(1, 2))
        if bad.any():
            return Found("activities", number, bad)
    return None


def outputs_of(network: Network, rule: Rule, outputs: npt.NDArray[Any]) -> Divergence:
    """Return the divergence of outputs (batch,) or (batch, columns), some of which are not finite."""
    bad = ~np.isfinite(outputs.reshape(-1, network.heads, network.outputs)).all(axis=(0, 2))
    return Divergence(network, rule, "activities", network.depth + 1, bad)


def first_in_weights(weights: HostWeights, start: int = 0) -> Found | None:
    """Return the first layer that has weights which are not finite, of all or of a stage that starts with a layer."""
    number = start
    for key in stack_names_of(weights):
        parts = weights[f"{key}.weight"], weights[f"{key}.bias"]
        bad = [~np.isfinite(part).all(axis=tuple(range(1 + (key == "hidden"), part.ndim))) for part in parts]
        for heads in np.atleast_2d(np.any(bad, axis=0).T):
            if heads.any():
                return Found("weights", number, heads)
            number += 1
    return None
