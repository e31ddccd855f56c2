"""The activations f and the factor g that each update takes of them, as pure functions of the Array API standard.

The oracle (`edcore_loop`) and the compiled kernels state their own, so that they check these.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from array_api_compat import array_namespace

from edcore.arrays import Array

Activation: TypeAlias = Literal["sigmoid", "tanh", "relu", "relu6", "linear"]
ACTIVATIONS: tuple[Activation, ...] = ("sigmoid", "tanh", "relu", "relu6", "linear")
"""f(z) = 1 / (1 + exp(−2 z / u0)), tanh z, max(z, 0), min(max(z, 0), 6) and z. Their g: y (1 − y), 1 − y², 1 where
y > 0, 1 where 0 < y < 6, and 1."""


def activity(activation: Activation, z: Array, u0: float) -> Array:
    """Return f(z)."""
    xp = array_namespace(z)
    match activation:
        case "sigmoid":
            return 1 / (1 + xp.exp(z * (-2 / u0)))
        case "tanh":
            return xp.tanh(z)
        case "relu":
            return xp.maximum(z, 0 * z)
        case "relu6":
            return xp.minimum(xp.maximum(z, 0 * z), 0 * z + 6)
        case "linear":
            return z


def derivative(activation: Activation, y: Array) -> Array:
    """Return g(y): the derivative of f, from the activity itself, but for the sigmoid's factor 2 / u0."""
    xp, one = array_namespace(y), y * 0 + 1
    match activation:
        case "sigmoid":
            return y * (1 - y)
        case "tanh":
            return 1 - y * y
        case "relu":
            return xp.where(y > 0, one, 0 * one)
        case "relu6":
            return xp.where((y > 0) & (y < 6), one, 0 * one)
        case "linear":
            return one
