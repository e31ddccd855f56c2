"""How far a backend may be from the float64 oracle: first-order bounds on rounding errors, cell by cell.

A sum of n products is allowed C · eps · √n times the sum of their magnitudes, an activity C · eps beside. These errors
are then carried through the layers, the error signal and the updates by the magnitudes of the derivatives. So a bound
is tight where a network is well conditioned, and wide only where rounding itself is amplified, as in a trajectory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.backend import HostWeights
from edcore.network import Network, Rule

__all__ = ["Bounds", "C"]

C = 8.0
"""The one constant: how many units of rounding a single operation of a backend may be off."""

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """The bounds for one network, in the precision of the backend under test.

    Parameters
    ----------
    network : Network
        The network under test; its dtype sets eps.
    weights : dict of str to ndarray
        The oracle's weights, in float64.
    off : dict of str to ndarray, optional
        How far the backend's weights may already be from the oracle's.
    """

    network: Network
    weights: HostWeights
    off: HostWeights | None = None

    @property
    def eps(self) -> float:
        """The unit of rounding."""
        return float(np.finfo(self.network.dtype).eps)

    def activities(self, trace: list[list[Float]]) -> list[list[Float]]:
        """Return, for each activity of the oracle's trace, how far the backend's may be from it."""
        bounds = []
        for head, activities in enumerate(trace):
            bounds.append([np.zeros_like(activities[0])])
            for number, layer in enumerate(self.network.layers):
                x, y, x_off = activities[number], activities[number + 1], bounds[head][-1]
                (w, w_off), (b, b_off) = self._layer(layer.name, layer.where(head))
                size = np.abs(x) @ np.abs(w) + np.abs(b).sum(axis=0)
                z_off = x_off @ np.abs(w) + (np.abs(x) + x_off) @ w_off + b_off.sum(axis=0)
                t_off = 2 / self.network.u0 * (z_off + C * self.eps * np.sqrt(len(w) + len(b)) * size)
                # |d ln g / dt| ≤ 1, so g grows at most by exp(t_off) over the interval in which t may be.
                y_off = t_off * y * (1 - y) * np.exp(np.minimum(t_off, 1))
                bounds[head].append(np.minimum(np.where(t_off < 1, y_off, 1), 1) + C * self.eps)
        return bounds

    def outputs(self, trace: list[list[Float]]) -> Float:
        """Return how far the outputs (batch, heads) may be from the oracle's."""
        return np.stack([layers[-1][:, 0] for layers in self.activities(trace)], axis=1)

    def updated(
        self, rule: Rule, trace: list[list[Float]], error: Float, error_off: Float | float = 0.0
    ) -> HostWeights:
        """Return how far the weights may be from the oracle's after an update for `error`, known to `error_off`."""
        bounds = {key: np.zeros_like(value, np.float64) for key, value in self.weights.items()}
        all_off = self.activities(trace)
        batch = len(error)
        error_off = np.broadcast_to(error_off, error.shape)
        scale = 1 / batch if rule.reduction == "mean" else 1.0
        for head, (activities, off) in enumerate(zip(trace, all_off, strict=True)):
            e, e_off = np.abs(error[:, head, None]), error_off[:, head, None]
            for number, layer in enumerate(self.network.layers):
                x, x_off, y, y_off = np.abs(activities[number]), off[number], activities[number + 1], off[number + 1]
                g, g_off = y * (1 - y), y_off * (np.abs(1 - 2 * y) + y_off) + C * self.eps
                alpha = scale * (rule.alpha_output if layer.name == "output" else rule.alpha)
                ones = np.ones((batch, self.network.n_bias))
                own, bias = self._layer(layer.name, layer.where(head))
                for key, source, source_off, (w, w_off) in (("weight", x, x_off, own), ("bias", ones, 0 * ones, bias)):
                    size = (e * source).T @ g
                    increment_off = (
                        (e_off * (source + source_off) + e * source_off).T @ (g + g_off)
                        + (e * source).T @ g_off
                        + C * self.eps * np.sqrt(batch) * size
                    )
                    rounding = 2 * self.eps * (np.abs(w) + alpha * size)
                    bounds[f"{layer.name}.{key}"][layer.where(head)] = w_off + alpha * increment_off + rounding
        return bounds

    def _layer(self, name: str, where: tuple[int, ...]) -> Any:
        """Return the weights of a layer with their bounds, and its biases with theirs."""
        pairs = []
        for key in (f"{name}.weight", f"{name}.bias"):
            value = self.weights[key][where]
            pairs.append((value, np.zeros_like(value) if self.off is None else self.off[key][where]))
        return pairs
