"""The activations f and the factor g that each update takes of them, as pure functions of the Array API standard.

The oracle (`edcore_loop`) and the compiled kernels state their own, so that they check these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from array_api_compat import array_namespace

from edcore.arrays import Array
from edcore.errors import UnknownNameError

Activation: TypeAlias = Literal["sigmoid", "tanh", "relu", "relu6", "linear"]
ACTIVATIONS: tuple[Activation, ...] = ("sigmoid", "tanh", "relu", "relu6", "linear")
"""f(z) = 1 / (1 + exp(−2 z / u0)), tanh z, max(z, 0), min(max(z, 0), 6) and z. Their g: y (1 − y), 1 − y², 1 where
y > 0, 1 where 0 < y < 6, and 1."""

T = TypeVar("T")


class ByName(dict[str, T]):
    """What there is under each name of a field; to ask for another name is an error, and never something else."""

    def __init__(self, field: str, values: Mapping[str, T]) -> None:
        super().__init__(values)
        self.field = field

    def __missing__(self, name: str) -> T:
        raise UnknownNameError(self.field, name, self)


class Function(NamedTuple):
    """An activation f of z and u0, its g of y, and the bounds that targets and the guard against divergence go by."""

    f: Callable[[Array, float], Array]
    g: Callable[[Array], Array]
    lowest: float = -math.inf
    highest: float = math.inf
    steepest: float = math.inf  # the largest g

    @property
    def largest(self) -> float:
        """The largest magnitude of an activity."""
        return max(-self.lowest, self.highest)


def activity(activation: str, z: Array, u0: float) -> Array:
    """Return f(z)."""
    return FUNCTIONS[activation].f(z, u0)


def derivative(activation: str, y: Array) -> Array:
    """Return g(y): the derivative of f, from the activity itself, but for the sigmoid's factor 2 / u0."""
    return FUNCTIONS[activation].g(y)


def _sigmoid(z: Array, u0: float) -> Array:
    return 1 / (1 + array_namespace(z).exp(z * (-2 / u0)))


def _tanh(z: Array, u0: float) -> Array:
    return array_namespace(z).tanh(z)


def _relu(z: Array, u0: float) -> Array:
    return array_namespace(z).maximum(z, 0 * z)


def _relu6(z: Array, u0: float) -> Array:
    xp = array_namespace(z)
    return xp.minimum(xp.maximum(z, 0 * z), 0 * z + 6)


def _one_where(active: Array, y: Array) -> Array:
    one = y * 0 + 1
    return array_namespace(y).where(active, one, 0 * one)


FUNCTIONS = ByName(
    "activation",
    {
        "sigmoid": Function(_sigmoid, lambda y: y * (1 - y), 0.0, 1.0, 0.25),
        "tanh": Function(_tanh, lambda y: 1 - y * y, -1.0, 1.0, 1.0),
        "relu": Function(_relu, lambda y: _one_where(y > 0, y), lowest=0.0, steepest=1.0),
        "relu6": Function(_relu6, lambda y: _one_where((y > 0) & (y < 6), y), 0.0, 6.0, 1.0),
        "linear": Function(lambda z, u0: z, lambda y: y * 0 + 1, steepest=1.0),
    },
)
