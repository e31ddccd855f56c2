"""The figures of a diagnosis, layer by layer, and their table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.core.network import Network
from edcore.core.rule import Rule

Floats: TypeAlias = npt.NDArray[np.float64]

LONG, EDGE = 10, 3
"""The number of successive living layers from which on they are folded, and those at each end that keep their rows."""

ENDS = 8
"""Rows that are kept at each end of a long table; those between become one."""


class LayerFigures(NamedTuple):
    """The figures of one layer, all heads together, as `Diagnosis` describes them."""

    saturation: float
    sign_changes: float
    growth: float
    at_floor: float
    balance: float
    angle: float
    update: float
    dead: bool


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """Figures of each layer of a network, all heads together: the input layer, the hidden layers, the output layer.

    Each array has one value for each layer that was measured. A value that does not exist is NaN, in the table a dash.

    Parameters
    ----------
    network : Network
        The network.
    rule : Rule
        How it learns.
    saturation : ndarray
        Mean, over samples and cells, of the derivative of the cells' activation, for the sigmoid y (1 − y), which is at
        most 1/4, and almost 0 if cells are saturated. The factors of an RMS network are left out.
    sign_changes : ndarray
        Share of the weights that were above 0 at the start and are below 0 now, or the other way round.
    growth : ndarray
        Mean of abs(W) over that at the start.
    at_floor : ndarray or None
        Share of the weights whose magnitude is the rule's floor; None where the rule has none.
    balance : ndarray
        Sum of the positive weights over the sum of the magnitudes of the negative ones.
    angle : ndarray
        Angle in degrees between ED's update and steepest descent: 0 is the same direction, 90 an unrelated one, 180 the
        opposite one. NaN where one of the two is 0.
    update : ndarray
        Size of ED's update: its Euclidean norm over that of the weights.
    dead : ndarray of bool
        Whether no error can change the layer; see `diagnose`.
    numbers : ndarray of int
        The place of each layer: 0 is the input layer, 1 the first beyond it, depth + 1 the output layer.
    """

    network: Network
    rule: Rule
    saturation: Floats
    sign_changes: Floats
    growth: Floats
    at_floor: Floats | None
    balance: Floats
    angle: Floats
    update: Floats
    dead: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.intp]

    @classmethod
    def from_layers(
        cls, network: Network, rule: Rule, layers: Sequence[LayerFigures], numbers: Sequence[int] | None = None
    ) -> Diagnosis:
        """Return the diagnosis of these layers, by default all."""
        columns: dict[str, Any] = {
            name: np.array(values) for name, values in zip(LayerFigures._fields, zip(*layers, strict=True), strict=True)
        }
        if rule.floor is None:
            columns["at_floor"] = None
        return cls(network, rule, numbers=np.arange(len(layers)) if numbers is None else np.array(numbers), **columns)

    @property
    def layers(self) -> tuple[str, ...]:
        """Name of each layer that was measured, see `Network.layer_names`."""
        names = self.network.layer_names
        return tuple(names[number] for number in self.numbers)

    @property
    def sampled(self) -> str:
        """Which layers were measured, as a sentence; empty if all were."""
        if len(self.numbers) == self.network.depth + 2:
            return ""
        return (
            f"Of {self.network.depth + 2:,} layers {len(self.numbers):,} were measured: "
            "some at each end, and others evenly picked between them."
        )

    @property
    def floor_share(self) -> float | None:
        """Share of all weights of the measured layers that are at the rule's floor; None where the rule has none.

        Diffusing Blame (2026) reports 37 % after training on MNIST.
        """
        if self.at_floor is None:
            return None
        layers = self.network.layers
        sizes = [len(layers[n].source_signs) * len(layers[n].target_signs) for n in self.numbers]
        return math.fsum(self.at_floor * sizes) / sum(sizes)

    @property
    def floor_in_words(self) -> str:
        """The share of weights at the floor as a sentence; empty where the rule has none."""
        share = self.floor_share
        return "" if share is None else f"{share:.1%} of these weights are at the floor of {self.rule.floor:g}."

    @property
    def dead_hidden(self) -> int:
        """Number of measured layers of hidden cells, of hidden 1 to hidden `depth` + 1, that are dead."""
        return int(self.dead[:-1].sum())

    @property
    def warning(self) -> str | None:
        """The problem and what helps, if at least half of the hidden layers beyond the first are dead."""
        network, stack = self.network, self.dead[1:-1]
        if not stack.any() or 2 * stack.sum() < len(stack) or not self.rule.alpha:
            return None
        helps, of = [], " that were measured" if self.sampled else ""
        if network.initial.fan_in < 0.5:
            helps.append("smaller initial weights, as of initial=Initial(fan_in=0.5)")
        if network.activation == "sigmoid":
            helps.append(f"a u0 above {network.u0:g}")
        if not network.rms:
            helps.append("rms=True")
        return (
            f"{self.dead_hidden:,} of {len(self.dead) - 1:,} hidden layers{of} are dead: "
            f"no error changes their weights in {network.dtype}. "
            f"What helps: {', '.join([*helps, 'fewer layers'])}."
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of the table."""
        floor = () if self.at_floor is None else ("floor",)
        return ("layer", "mean g", "flipped", "growth", *floor, "+ / −", "angle", "update", "dead")

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Rows of the table: successive dead layers, or many that learn, share a row, which has their means."""
        groups = [slice(0, 1), *(slice(start + 1, stop + 1) for start, stop in self._runs()), slice(-1, None)]
        return [self._row(group) for group in groups]

    def __str__(self) -> str:
        table = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        first, *others = widths
        lines = (
            "  ".join([row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], others, strict=True))])
            for row in table
        )
        return "\n".join([*(line.rstrip() for line in lines), *filter(None, [self.floor_in_words])])

    def _runs(self) -> list[tuple[int, int]]:
        """Return the layers of each row, counted from 0 at hidden 2, as the first and the one after the last."""
        dead = self.dead[1:-1]
        turns = [0, *(np.flatnonzero(dead[1:] != dead[:-1]) + 1), len(dead)]
        runs: list[tuple[int, int]] = []
        for start, stop in pairwise(turns):
            if dead[start:stop].any():
                runs.append((start, stop))
            elif stop - start < LONG:
                runs += [(layer, layer + 1) for layer in range(start, stop)]
            else:
                first, last = range(start, start + EDGE), range(stop - EDGE, stop)
                runs += [(layer, layer + 1) for layer in first]
                runs.append((start + EDGE, stop - EDGE))
                runs += [(layer, layer + 1) for layer in last]
        if len(runs) > 2 * ENDS + 1:
            runs[ENDS:-ENDS] = [(runs[ENDS][0], runs[-ENDS - 1][1])]
        return runs

    def _row(self, group: slice) -> tuple[str, ...]:
        names, dead = self.layers[group], self.dead[group]
        last = names[-1].removeprefix("hidden ")
        return (
            names[0] if len(names) == 1 else f"{names[0]} … {last}",
            _number(self.saturation[group], "{:.1e}"),
            _number(self.sign_changes[group], "{:.2%}"),
            _number(self.growth[group], "{:.3f}"),
            *(() if self.at_floor is None else (_number(self.at_floor[group], "{:.1%}"),)),
            _number(self.balance[group], "{:.3f}"),
            _number(self.angle[group], "{:.1f}°"),
            _number(self.update[group], "{:.1e}"),
            "" if not dead.any() else "dead" if dead.all() else f"{dead.sum()} of {len(dead)}",
        )


def _number(values: Floats, form: str) -> str:
    known = values[~np.isnan(values)]
    return form.format(math.fsum(known) / len(known)) if len(known) else "–"
