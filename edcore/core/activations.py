"""The activations f and the factor g that each update takes of them, as pure functions of the Array API standard.

The oracle (`edcore_loop`) and the compiled kernels state their own, so that they check these. `register` adds others.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from array_api_compat import array_namespace

from edcore.arrays import Array
from edcore.core.trial import checked_bounds, tried
from edcore.errors import InputError, UnknownNameError, shown

Activation: TypeAlias = str
ACTIVATIONS: tuple[Activation, ...] = ("sigmoid", "tanh", "relu", "relu6", "linear")
"""f(z) = 1 / (1 + exp(−2 z / u0)), tanh z, max(z, 0), min(max(z, 0), 6) and z. Their g: y (1 − y), 1 − y², 1 where
y > 0, 1 where 0 < y < 6, and 1."""

SOFTMAX: Activation = "softmax"
"""Of output cells alone: they are linear, and a head's outputs are the softmax over its excitatory ones."""

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
    steepest: float = math.inf  # the largest magnitude of g

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


def softmax(z: Array) -> Array:
    """Return exp(z_k) / Σ_k exp(z_k) over the last axis, with the largest z subtracted, so that no exp overflows."""
    xp = array_namespace(z)
    weight = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    return weight / xp.sum(weight, axis=-1, keepdims=True)


def readout(activation: str) -> Function:
    """Return the g and the bounds of outputs: those of an activation, or of softmax, whose f is not one of numbers."""
    return READ_BY_SOFTMAX if activation == SOFTMAX else FUNCTIONS[activation]


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
"""The functions by their names: those of `ACTIVATIONS`, then those that were registered."""

READ_BY_SOFTMAX = Function(lambda z, u0: softmax(z), FUNCTIONS["linear"].g, 0.0, 1.0, 1.0)

_VALUES: dict[str, bytes] = {}
"""What each function that was registered gave on the numbers on which it was tried."""

REGISTER = "In Python, register a function of your own first: edcore.core.activations.register({!r}, f, g)."
"""What to do about a name that is not known here."""

LEARNT_WITH = "Register the function that the network learnt with."
"""What to do about a name that is another function here."""


def register(
    name: str,
    f: Callable[[Array, float], Array],
    g: Callable[[Array], Array],
    *,
    lowest: float = -math.inf,
    highest: float = math.inf,
    steepest: float = math.inf,
) -> None:
    """Add an activation, which networks then take by its name: ``ED(activation=name)``.

    The backends that compute by the functions of this module have it: loop, numpy, and all of
    `edcore.adapters.ArrayAPIBackend` that name no activations of their own. The others refuse it, and ``auto`` takes
    one that has it.

    Parameters
    ----------
    name : str
        Its name: a letter, then letters, digits, ``_``, ``-`` or ``.``.
    f : callable
        ``f(z, u0) -> y``: the activity of each sum. Like g it is written in the Array API standard, and returns an
        array of the library, the shape and the dtype of its argument, whose elements depend on its own arguments
        alone, and not on each other: backends may keep what they have compiled. `u0` is `Network.u0`, which it need not
        use.
    g : callable
        ``g(y) -> array``: the factor that each update takes, from the activity itself. It may be the derivative of f,
        or leave out a constant factor of it as the sigmoid's does (there, 2 / u0), or be another function.
        `edcore.diagnostics` takes the derivative of f numerically, whatever g is.
    lowest, highest : float
        Bounds on the activities. Targets outside are refused. Where they are not known, leave them out: learning is
        then guarded against divergence by a look at the weights after each step, which takes longer.
    steepest : float
        The largest magnitude of g. Left out, it is not known, as above.

    Raises
    ------
    InputError
        If an argument is not accepted; if f or g fail on some numbers (another shape, library or dtype, NaN, outside
        the bounds, an element that depends on others); or if the name is that of other functions.

    Notes
    -----
    To register the same functions again, as a notebook's cell does that runs twice, is fine: they are the same if they
    give the same bits on some hundred numbers, and the newer ones are taken from then on. Other functions need another
    name, as networks, files and pickles know a function by its name alone: it never changes its meaning while Python
    runs. Files and pickles keep some values of f and g, by which another function of the same name is refused.

    A process has the functions that were registered in it: for `edcore.parallel` and scikit-learn's ``n_jobs``, call
    this in a module that the workers import, beside what they are given to run.

    Examples
    --------
    Cells whose activity is z / (1 + abs(z)):

    >>> import edcore
    >>> from edcore.core.activations import register
    >>> f, g = lambda z, u0: z / (1 + abs(z)), lambda y: (1 - abs(y)) ** 2
    >>> register("ratio", f, g, lowest=-1, highest=1, steepest=1)
    >>> ed = edcore.ED(hidden_width=8, hidden_depth=0, activation="ratio", seed=1)
    >>> data = edcore.datasets.xor()
    >>> ed.fit(data.x_train, data.y_train, epochs=300).predict(data.x_test).round().tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][\w.-]{0,49}", name, re.ASCII):
        raise InputError("name", shown(name), "a letter, then at most 49 letters, digits, '_', '-' or '.'")
    if name in (*ACTIVATIONS, SOFTMAX):
        fix = "Backends have their own code for it."
        raise InputError("name", repr(name), f"another name than {', '.join((*ACTIVATIONS, SOFTMAX))}", fix)
    bounds = checked_bounds(lowest, highest, steepest)
    function, given = Function(f, g, *bounds), tried(f, g, bounds)
    if (known := FUNCTIONS.get(name)) is not None and (known[2:], _VALUES.get(name)) != (function[2:], given):
        fix = "Networks and files know a function by its name: give this one another, or start Python again."
        raise InputError("name", f"{name!r} with other functions than before", "a new name, or the same functions", fix)
    _VALUES[name] = given
    FUNCTIONS[name] = function


@contextlib.contextmanager
def registered(name: str, *functions: Any, **bounds: Any) -> Iterator[None]:
    """Register an activation in a block, for tests; the name must be new."""
    register(name, *functions, **bounds)
    try:
        yield
    finally:
        del FUNCTIONS[name], _VALUES[name]


def fingerprint(network: Any) -> dict[str, list[float]]:
    """Return some values of f and g of a network's activations that were registered, by which `changed` knows them."""
    found = {}
    with np.errstate(all="ignore"):
        for name in {network.activation, network.output_cells}.difference(ACTIVATIONS):
            y = FUNCTIONS[name].f(np.linspace(-3.1, 2.9, 9), network.u0)
            found[name] = [*y.tolist(), *FUNCTIONS[name].g(y).tolist()]
    return found


def changed(network: Any, kept: Mapping[str, Any]) -> str | None:
    """Return an activation of a network that is another function than the one of this fingerprint; None if none is."""
    for name, values in fingerprint(network).items():
        if name not in kept or not np.allclose(np.asarray(kept[name], np.float64), values, rtol=1e-6, atol=1e-9):
            return name
    return None
