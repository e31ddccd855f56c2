"""The activations f and the factor g that each update takes of them, as pure functions of the Array API standard.

The oracle (`edcore_loop`) and the compiled kernels state their own, so that they check these. `register` adds others.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from edcore.arguments import LARGEST
from edcore.arrays import Array
from edcore.errors import InputError, UnknownNameError, said, shown

Activation: TypeAlias = str
ACTIVATIONS: tuple[Activation, ...] = ("sigmoid", "tanh", "relu", "relu6", "linear")
"""f(z) = 1 / (1 + exp(−2 z / u0)), tanh z, max(z, 0), min(max(z, 0), 6) and z. Their g: y (1 − y), 1 − y², 1 where
y > 0, 1 where 0 < y < 6, and 1."""

MOST_TRIED = 30
TRIED = np.concatenate(
    [np.linspace(-MOST_TRIED, MOST_TRIED, 61), np.linspace(-4.05, 4.21, 60), [-1e4, -1e-3, 1e-3, 1e4]]
)
"""The sums on which a function is tried when it is registered. It may be infinite beyond `MOST_TRIED`."""

WIDTHS = 0.4, 2.0
"""The u0 with which it is tried."""

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

_VALUES: dict[str, bytes] = {}
"""What each function that was registered gave on the numbers on which it was tried."""

REGISTER = "In Python, register a function of your own first: edcore.core.activations.register({!r}, f, g)."
"""What to do about a name that is not known here."""


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
    runs. Files keep some values of f and g, by which `edcore.io.load` refuses another function of the same name.

    A process has the functions that were registered in it: for `edcore.parallel` and scikit-learn's ``n_jobs``, call
    this in a module that the workers import, beside what they are given to run.

    Examples
    --------
    Cells whose activity is z / (1 + abs(z)):

    >>> import edcore
    >>> from edcore.core.activations import register
    >>> f, g = lambda z, u0: z / (1 + abs(z)), lambda y: (1 - abs(y)) ** 2
    >>> register("softsign", f, g, lowest=-1, highest=1, steepest=1)
    >>> ed = edcore.ED(hidden_width=8, hidden_depth=0, activation="softsign", seed=1)
    >>> data = edcore.datasets.xor()
    >>> ed.fit(data.x_train, data.y_train, epochs=300).predict(data.x_test).round().tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][\w.-]{0,49}", name, re.ASCII):
        raise InputError("name", shown(name), "a letter, then at most 49 letters, digits, '_', '-' or '.'")
    if name in ACTIVATIONS:
        fix = "Backends have their own code for it."
        raise InputError("name", repr(name), f"another name than {', '.join(ACTIVATIONS)}", fix)
    function = Function(f, g, *_checked_bounds(lowest, highest, steepest))
    given = _tried(function)
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


def fault(function: Function, z: Array, u0: float) -> tuple[str, str] | None:
    """Return which of f and g cannot compute an array, and what it does instead; None if both can."""
    given = z
    for name in ("f", "g"):
        try:
            value = function.f(given, u0) if name == "f" else function.g(given)
        except Exception as error:  # other people's code
            return name, f"raises {said(error)}"
        if type(value) is not type(given):
            returned, argument = (f"{type(array).__module__}.{type(array).__name__}" for array in (value, given))
            return name, f"returns {shown(value) if np.isscalar(value) else returned} for {argument}"
        if tuple(value.shape) != tuple(given.shape):
            return name, f"returns shape {tuple(value.shape)} for shape {tuple(given.shape)}"
        if value.dtype != given.dtype:
            return name, f"returns {value.dtype} for {given.dtype}"
        given = value
    return None


def fingerprint(network: Any) -> dict[str, list[float]]:
    """Return some values of f and g of a network's activations that were registered, by which files know them again."""
    found = {}
    with np.errstate(all="ignore"):
        for name in {network.activation, network.output_activation}.difference(ACTIVATIONS):
            y = FUNCTIONS[name].f(np.linspace(-3.1, 2.9, 9), network.u0)
            found[name] = [*y.tolist(), *FUNCTIONS[name].g(y).tolist()]
    return found


def _checked_bounds(lowest: Any, highest: Any, steepest: Any) -> tuple[float, float, float]:
    """Return the bounds of a function, or refuse them."""
    found = []
    for name, value in (("lowest", lowest), ("highest", highest), ("steepest", steepest)):
        fine = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not fine or math.isnan(value) or LARGEST < abs(value) < math.inf:
            raise InputError(
                name, shown(value), f"a number of at most {LARGEST:g}, or math.inf where there is no bound"
            )
        found.append(float(value))
    if not found[0] < found[1]:
        raise InputError("lowest", shown(lowest), f"a number below highest={found[1]:g}")
    if not found[2] > 0:
        raise InputError("steepest", shown(steepest), "a number above 0, the largest magnitude of g")
    return found[0], found[1], found[2]


def _tried(function: Function) -> bytes:
    """Return the values of f and g on some numbers, or refuse functions that no network can have."""
    for name in ("f", "g"):
        if not callable(value := getattr(function, name)):
            raise InputError(name, shown(value), "a function")
    bits = []
    with np.errstate(all="ignore"):
        for u0, dtype in itertools.product(WIDTHS, (np.float32, np.float64)):
            z = TRIED.astype(dtype).reshape(5, -1, 1)
            if wrong := fault(function, z, u0):
                raise _refusal(wrong[0], wrong[1])
            slope = function.g((y := function.f(z, u0)).copy())
            _check_values(function, z, y, slope)
            _check_alone("f", lambda z, u0=u0: function.f(z, u0), z, y)
            _check_alone("g", function.g, y, slope)
            bits += [y.tobytes(), slope.tobytes()]
    return b"".join(bits)


def _check_values(function: Function, z: npt.NDArray[Any], y: npt.NDArray[Any], g: npt.NDArray[Any]) -> None:
    """Refuse values of f and g that are not finite, or outside the bounds."""
    usual = abs(z) <= MOST_TRIED
    for name, fine in (("f", np.where(usual, np.isfinite(y), ~np.isnan(y))), ("g", ~usual | np.isfinite(g))):
        if not fine.all():
            raise _refusal(name, f"is {'NaN or infinite' if usual[~fine].any() else 'NaN'} at z = {z[~fine][0]:g}")
    off = float(np.finfo(z.dtype).eps) * 8
    sizes = float(y.min()), float(y.max()), float(abs(g[usual]).max())
    for name, bound, found, of in zip(
        Function._fields[2:], function[2:], sizes, ("f(z)", "f(z)", "abs(g(y))"), strict=True
    ):
        beyond = bound - found if name == "lowest" else found - bound
        if beyond > off * max(1.0, abs(bound)):
            fix = "Leave it out where it is not known."
            raise InputError(name, f"{bound:g}, where {of} comes to {found:g}", "a bound that holds for all z", fix)


def _check_alone(name: str, call: Callable[..., Any], given: npt.NDArray[Any], value: npt.NDArray[Any]) -> None:
    """Refuse a function that gives other values when it is called again, or for each number alone."""
    before, off = given.tobytes(), float(np.finfo(given.dtype).eps) * 64
    if call(given).tobytes() != value.tobytes() or given.tobytes() != before:
        raise _refusal(name, "writes to its argument, or returns something else at each call")
    try:
        alone = np.stack([call(given[i, j : j + 1]) for i, j in np.ndindex(given.shape[:2])])
    except Exception as error:  # other people's code
        raise _refusal(name, f"raises {said(error)} for an array of one number") from error
    if alone.shape[1:] != (1, 1) or not np.allclose(alone.ravel(), value.ravel(), rtol=off, atol=off, equal_nan=True):
        raise _refusal(name, "depends on the other numbers of the array")


def _refusal(name: str, does: str) -> InputError:
    of = "z, u0" if name == "f" else "y"
    accepted = f"{name}({of}) that returns an array of {of[0]}'s library, shape and dtype, number by number"
    fix = "Take exp and the like from array_api_compat.array_namespace, and write 0 * y + 1 for a constant."
    return InputError(name, f"a function that {does}", accepted, fix)
