"""The tolerance of a backend against the float64 oracle: first-order bounds on rounding errors, cell by cell.

A sum of n products is allowed C · eps · √n times the sum of their magnitudes, an activity C · eps beside. These errors
are then carried through the layers, the error signal and the updates by the magnitudes of the derivatives. So a bound
is tight where a network is well conditioned, and wide only where rounding itself is amplified, as in a trajectory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edcore.arrays import HostWeights
from edcore.core.activations import FUNCTIONS, SOFTMAX, Activation, activity, derivative, softmax
from edcore.core.method import RMS_EPS
from edcore.core.network import Layer, Network
from edcore.core.rule import MEAN, Rule

C = 8.0
"""The one constant: the units of rounding by which a single operation of a backend may be off."""

UNKNOWN = float(np.finfo(np.float32).max)
"""The largest bound of a sum, or its products' magnitudes where those are larger: a sum that may be off by this much is
unknown. It keeps bounds finite: no finite sum in float32 is further off, and float64 has room for its eighth power."""

Float = npt.NDArray[np.float64]

OracleTrace = list[list[tuple[Float, Float]]]
"""For each head and layer, the activities and slopes of the cells."""


class CellBounds(NamedTuple):
    """Bounds on the errors of a layer's activities and derivatives."""

    y: Float
    g: Float


@dataclass(frozen=True)
class Bounds:
    """The bounds for one network, whose dtype sets eps, and for the oracle's weights in float64.

    `off` bounds the distance of the backend's weights from the oracle's beforehand.
    """

    network: Network
    weights: HostWeights
    off: HostWeights | None = None

    @property
    def eps(self) -> float:
        """The unit of rounding."""
        return float(np.finfo(self.network.dtype).eps)

    def cells(self, trace: OracleTrace) -> list[list[CellBounds]]:
        """Return the bounds on the backend's cells, for each head and layer of the oracle's trace."""
        bounds = []
        for head, layers in enumerate(trace):
            nothing = np.zeros_like(layers[0][0])
            bounds.append([CellBounds(nothing, nothing)])
            for number, layer in enumerate(self.network.layers):
                x, x_off = layers[number][0], bounds[head][-1].y
                (w, w_off), (b, b_off) = self._layer(layer.name, layer.where(head))
                activity = self.network.bias
                z = x @ w + activity * b.sum(axis=0)
                size = np.abs(x) @ np.abs(w) + activity * np.abs(b).sum(axis=0)
                z_off = x_off @ np.abs(w) + (np.abs(x) + x_off) @ w_off + activity * b_off.sum(axis=0)
                z_off += C * self.eps * np.sqrt(len(w) + len(b)) * size
                bounds[head].append(self._cells(layer, z, np.minimum(z_off, np.maximum(size, UNKNOWN))))
        return bounds

    def _cells(self, layer: Layer, z: Float, z_off: Float) -> CellBounds:
        """Return the bounds on the cells of a layer whose sums may be off by `z_off`."""
        slope, slope_off = np.ones_like(z), np.zeros_like(z)
        if layer.rms:
            z, z_off, slope, slope_off = self._divided(z, z_off)
        with np.errstate(over="ignore"):  # exp of a saturated sigmoid
            y = activity(layer.activation, z, self.network.u0)
        y_off = activity_off(layer.activation, z, z_off, y, self.network.u0) + C * self.eps * np.maximum(np.abs(y), 1)
        g = derivative(layer.activation, y)
        g_off = derivative_off(layer.activation, z, z_off, y, y_off) + C * self.eps * np.maximum(np.abs(g), 1)
        return CellBounds(y_off, g_off * (np.abs(slope) + slope_off) + np.abs(g) * slope_off)

    def _divided(self, a: Float, a_off: Float) -> tuple[Float, Float, Float, Float]:
        """Return sums divided by the root r of their mean square, and their slopes, each with its bound."""
        n = a.shape[-1]
        r = np.sqrt(np.mean(a * a, axis=-1, keepdims=True) + RMS_EPS)
        r_off = np.sum(np.abs(a) * a_off + a_off**2, axis=-1, keepdims=True) / (n * r) + C * self.eps * np.sqrt(n) * r
        # r² > RMS_EPS for all sums.
        least = np.maximum(r - r_off, np.sqrt(RMS_EPS) * (1 - C * self.eps))
        z = a / r
        z_off = a_off / least + np.abs(z) * r_off / least + C * self.eps * np.abs(z)
        part, part_off = 1 - z * z / n, (2 * np.abs(z) * z_off + z_off**2) / n + C * self.eps
        slope_off = (part_off + np.abs(part) * r_off / r) / least + C * self.eps * np.abs(part) / r
        # Whatever the sums are, |z| is at most √n, and the slope from 0 to 1 / r: no two answers are further apart.
        return z, np.minimum(z_off, 2 * np.sqrt(n)), part / r, np.minimum(slope_off, 2 / np.sqrt(RMS_EPS))

    def outputs(self, trace: OracleTrace) -> Float:
        """Return the bounds on the outputs (batch, columns)."""
        read = slice(self.network.outputs)
        bounds = [layers[-1].y[:, read] for layers in self.cells(trace)]
        if self.network.output_activation == SOFTMAX:
            sums = [layers[-1][0][:, read] for layers in trace]
            bounds = [softmax_off(z, z_off) + C * self.eps for z, z_off in zip(sums, bounds, strict=True)]
        return np.concatenate(bounds, axis=1)

    def updated(self, rule: Rule, trace: OracleTrace, error: Float, error_off: Float | None = None) -> HostWeights:
        """Return the bounds on the weights after an update for `error`, which may be off by `error_off`."""
        layers = len(self.network.layers)
        error_off = np.zeros_like(error) if error_off is None else error_off
        return self.updated_layers(rule, trace, [error] * layers, [error_off] * layers)

    def updated_layers(
        self, rule: Rule, trace: OracleTrace, errors: Sequence[Float], errors_off: Sequence[Float] | None = None
    ) -> HostWeights:
        """Return them where each layer learns from an error of its own."""
        bounds = {key: np.zeros_like(value, np.float64) for key, value in self.weights.items()}
        all_off = self.cells(trace)
        batch = len(trace[0][0][0])
        errors_off = [np.zeros_like(error) for error in errors] if errors_off is None else errors_off
        scale = 1 / batch if MEAN[rule.reduction] else 1.0
        for head, (layers, off) in enumerate(zip(trace, all_off, strict=True)):
            for number, layer in enumerate(self.network.layers):
                error, e_off = (self._of_cells(head, layer, part[number]) for part in (errors, errors_off))
                if rule.centred:
                    sizes = np.abs(error) + np.mean(np.abs(error), axis=0)
                    e_off = e_off + np.mean(e_off, axis=0) + C * self.eps * sizes
                    error = error - np.mean(error, axis=0)
                e = np.abs(error)
                x, x_off = np.abs(layers[number][0]), off[number].y
                y, slope = layers[number + 1]
                g, g_off = np.abs(derivative(layer.activation, y) * slope), off[number + 1].g
                d, d_off = e * g, e_off * (g + g_off) + e * g_off
                alpha = scale * (rule.alpha_output if layer.name == "output" else rule.alpha)
                bias_cells = np.full((batch, self.network.n_bias), self.network.bias)
                weight, bias = self._layer(layer.name, layer.where(head))
                for key, source, source_off, (w, w_off) in (
                    ("weight", x, x_off, weight),
                    ("bias", bias_cells, 0 * bias_cells, bias),
                ):
                    size = source.T @ d
                    increment_off = source_off.T @ (d + d_off) + source.T @ d_off
                    increment_off += C * self.eps * np.sqrt(batch) * size
                    rounding = 2 * self.eps * (np.abs(w) + alpha * size)
                    bounds[f"{layer.name}.{key}"][layer.where(head)] = w_off + alpha * increment_off + rounding
        return bounds

    def _of_cells(self, head: int, layer: Layer, error: Float) -> Float:
        """Return the errors (batch, cells) of a layer's target cells: those of their outputs, or their own."""
        if error.ndim == 3:
            return error[head]
        return error[:, [head * self.network.outputs + teacher for teacher in layer.teachers]]

    def _layer(self, name: str, where: tuple[int, ...]) -> Any:
        """Return the weights of a layer with their bounds, and its biases with theirs."""
        pairs = []
        for key in (f"{name}.weight", f"{name}.bias"):
            value = self.weights[key][where]
            pairs.append((value, np.zeros_like(value) if self.off is None else self.off[key][where]))
        return pairs


def activity_off(activation: Activation, z: Float, z_off: Float, y: Float, u0: float) -> Float:
    """Return the bound on y = f(z), for a z that may be off by `z_off`."""
    # f(z) = range · (1 / (1 + exp(−t))) + a constant. |d ln f'/dt| ≤ 1, so f' grows at most by exp(t_off) over the
    # interval in which t may be.
    if activation == "sigmoid":
        span, t_off, g = 1.0, 2 / u0 * z_off, y * (1 - y)
    elif activation == "tanh":
        span, t_off, g = 2.0, 2 * z_off, (1 - y * y) / 2
    elif activation in ("relu", "relu6", "linear"):  # their slope is 1 at most
        return z_off
    else:
        f = FUNCTIONS[activation].f
        return furthest(lambda z: f(z, u0), z, z_off)
    return np.minimum(np.where(t_off < 1, t_off * g * np.exp(np.minimum(t_off, 1)), span), span)


def softmax_off(z: Float, z_off: Float) -> Float:
    """Return the bound on the softmax of z over its last axis, for a z that may be off by `z_off`."""
    # Each output is furthest off where its own z is off to one side, and all others are to the other.
    p = softmax(z)
    off = np.zeros_like(p)
    for k in range(z.shape[-1]):
        one = np.where(np.arange(z.shape[-1]) == k, 1, -1) * z_off
        for changed in (z + one, z - one):
            off[..., k] = np.maximum(off[..., k], np.abs(softmax(changed) - p)[..., k])
    return off


def derivative_off(activation: Activation, z: Float, z_off: Float, y: Float, y_off: Float) -> Float:
    """Return the bound on g(y), for z and y that may be off by `z_off` and `y_off`."""
    match activation:
        case "sigmoid":
            return y_off * (np.abs(1 - 2 * y) + y_off)
        case "tanh":
            return y_off * (2 * np.abs(y) + y_off)
        case "relu":
            return np.where(np.abs(z) <= z_off, 1.0, 0.0)
        case "relu6":
            return np.where((np.abs(z) <= z_off) | (np.abs(z - 6) <= z_off), 1.0, 0.0)
        case "linear":
            return np.zeros_like(y)
        case _:
            function = FUNCTIONS[activation]
            return furthest(lambda y: function.g(np.clip(y, function.lowest, function.highest)), y, y_off)


def furthest(function: Callable[[Float], Float], at: Float, off: Float) -> Float:
    """Return a bound on how far a function that was registered may be from its value, for arguments that may be off."""
    # Nothing is known of it: it is tried between the ends, and the factor of 2 is for what it does between these.
    with np.errstate(all="ignore"):
        value = function(at)
        tried = [abs(function(at + part * off) - value) for part in np.linspace(-1, 1, 17)]
    return 2 * np.minimum(np.nan_to_num(np.max(tried, axis=0), nan=UNKNOWN), UNKNOWN)
