"""Where learning has diverged: the first layer whose activities or weights are NaN or infinite, and what to do."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore import core
from edcore.backend import HostWeights
from edcore.errors import DivergedError
from edcore.network import Network
from edcore.rule import Rule

__all__ = ["Blame", "finite", "first_in_activities", "first_in_weights", "outputs_of"]

Found: TypeAlias = tuple[str, str, npt.NDArray[np.bool_]]
"""What is not finite, the layer, and whether it is so in each head."""


class Blame(NamedTuple):
    """What stopped being finite, and when.

    The epoch counts from 1 within what was asked for, the batch from 1 within the epoch.
    """

    network: Network
    rule: Rule
    part: str
    layer: str
    heads: npt.NDArray[np.bool_]
    epoch: int | None = None
    batch: int | None = None
    fitted: bool = False

    def error(self, first: int = 0) -> DivergedError:
        """Return the error, for an epoch that comes after so many others."""
        kept = "The network has the weights from before that step."
        if self.fitted:
            kept = f"The network has the weights from before epoch {first + 1:,}."
        return DivergedError(
            self.part,
            self.layer,
            tuple(np.flatnonzero(self.heads).tolist()),
            self.network.heads,
            kept,
            self._fix,
            self.epoch and self.epoch + first,
            self.batch,
        )

    @property
    def _fix(self) -> str:
        rule, network = self.rule, self.network
        others = ["rms=True"] if not network.rms and network.activation in ("relu", "linear") else []
        others += ["dtype='float64'"] if network.dtype == "float32" else []
        rates = f"alpha={rule.alpha / 10:g}, alpha_output={rule.alpha_output / 10:g}"
        return f"Try {rates}{''.join(f', or {other}' for other in others)}; inputs from 0 to 1 help too."


def finite(array: npt.NDArray[Any]) -> bool:
    """Return whether all values are."""
    return bool(np.isfinite(array).all())


def first_in_activities(network: Network, weights: HostWeights, x: npt.NDArray[Any]) -> Found | None:
    """Return the first layer that has activities which are not finite, for x (batch, in_)."""
    with np.errstate(all="ignore"):
        _, trace = core.trace(network, weights, x)
    for number, cells in enumerate(trace[1:]):
        slopes = True if cells.slope is None else np.isfinite(cells.slope)
        bad = ~(np.isfinite(cells.y) & slopes).all(axis=(1, 2))
        if bad.any():
            return "activities", _named(network, number), bad
    return None


def outputs_of(network: Network, rule: Rule, outputs: npt.NDArray[Any]) -> Blame:
    """Return the blame for outputs (batch,) or (batch, columns), some of which are not finite."""
    bad = ~np.isfinite(outputs.reshape(-1, network.heads, network.outputs)).all(axis=(0, 2))
    return Blame(network, rule, "activities", "the output layer", bad)


def first_in_weights(network: Network, weights: HostWeights) -> Found | None:
    """Return the first layer that has weights which are not finite."""
    bad: dict[str, Any] = {
        key: ~np.isfinite(value).all(axis=tuple(range(2 if key.startswith("hidden") else 1, value.ndim)))
        for key, value in weights.items()
    }
    first, hidden, last = (bad[f"{name}.weight"] | bad[f"{name}.bias"] for name in ("input", "hidden", "output"))
    for number, heads in enumerate([first, *hidden.T, last]):
        if heads.any():
            return "weights", _named(network, number), heads
    return None


def _named(network: Network, number: int) -> str:
    """Return the name of a layer, counted from 0 for the input layer."""
    if number == 0:
        return "the input layer"
    return f"hidden layer {number:,} of {network.depth:,}" if number <= network.depth else "the output layer"
