"""What a network is and how it learns: two frozen values that every backend is given; and the article's layout."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.errors import InputError, UnknownNameError

__all__ = ["RULES", "Layer", "Network", "Rule", "from_article", "to_article"]

DType: TypeAlias = Literal["float32", "float64"]
DTYPES: tuple[DType, ...] = ("float32", "float64")

LEAST_U0 = 1e-30
"""Below it, 2 / u0 times a sum may be more than float32 holds, and infinities cancel to NaN."""


class Layer(NamedTuple):
    """One layer of a network: which weights are its own, and the signs of the cells that they join.

    Its weights are ``weights[name + ".weight"][where(head)]``, of shape (sources, targets), and likewise its biases.
    """

    name: Literal["input", "hidden", "output"]
    position: int | None  # its place in the hidden stack
    source_signs: tuple[int, ...]
    target_signs: tuple[int, ...]

    def where(self, head: int) -> tuple[int, ...]:
        """Return the index of this layer's weights of one head."""
        return (head,) if self.position is None else (head, self.position)


@dataclass(frozen=True, slots=True)
class Network:
    """The shape of `heads` independent ED networks of one kind.

    Each layer holds its excitatory (+) cells first and its inhibitory (−) cells second. A network has an input layer
    (in_ → width), `depth` hidden layers (width → width) and an output layer (width → 1); all counts are per stream.

    Parameters
    ----------
    in_ : int
        Input features, at least 1. They are fed to both streams.
    width : int
        Cells per stream of the input layer and of each hidden layer, at least 1.
    depth : int
        Hidden layers, at least 0.
    heads : int
        Independent networks, one for each output, at least 1.
    u0 : float
        Width of the activation f(z) = 1 / (1 + exp(−2 z / u0)), at least 1e-30 (Kaneko 1999; the article uses 0.4).
    n_bias : int
        Bias cells of each layer, all with activity 1: 1 (one excitatory cell) or 2 (one excitatory, one inhibitory).
    dtype : {"float32", "float64"}
        Precision of weights and activities.

    Raises
    ------
    InputError
        If a value is outside what is listed above.

    Examples
    --------
    >>> from edcore import Network
    >>> network = Network(in_=784, width=32, depth=4096)
    >>> network.parameters
    17139906
    >>> network.weight_shapes["hidden.weight"]
    (1, 4096, 64, 64)
    """

    in_: int
    width: int = 32
    depth: int = 1
    heads: int = 1
    u0: float = 0.4
    n_bias: int = 1
    dtype: DType = "float32"

    def __post_init__(self) -> None:
        for name, least in (("in_", 1), ("width", 1), ("depth", 0), ("heads", 1)):
            _set(self, name, whole_number(name, getattr(self, name), least))
        _set(self, "u0", real("u0", self.u0, positive=True))
        if self.u0 < LEAST_U0:
            raise InputError("u0", repr(self.u0), f"a number of at least {LEAST_U0:g}", "Smaller ones give infinities.")
        if whole_number("n_bias", self.n_bias, 1) > 2:
            raise InputError("n_bias", repr(self.n_bias), "1 (an excitatory cell) or 2 (and an inhibitory one)")
        _set(self, "dtype", dtype_name(self.dtype))

    @property
    def input_signs(self) -> tuple[int, ...]:
        """Signs of the input cells: +1 for the excitatory ones, then −1 for the inhibitory ones."""
        return (1,) * self.in_ + (-1,) * self.in_

    @property
    def hidden_signs(self) -> tuple[int, ...]:
        """Signs of the cells of the input layer and of each hidden layer."""
        return (1,) * self.width + (-1,) * self.width

    @property
    def output_signs(self) -> tuple[int, ...]:
        """Signs of a head's output cells; the first is the network's output, the second is trained and never read."""
        return (1, -1)

    @property
    def bias_signs(self) -> tuple[int, ...]:
        """Signs of the bias cells."""
        return (1, -1)[: self.n_bias]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, from the input layer to the output layer."""
        hidden = self.hidden_signs
        stack = (Layer("hidden", position, hidden, hidden) for position in range(self.depth))
        first, last = Layer("input", None, self.input_signs, hidden), Layer("output", None, hidden, self.output_signs)
        return (first, *stack, last)

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Key → shape of every weight array: sources by targets, signs folded in."""
        heads, inputs, hidden = self.heads, len(self.input_signs), len(self.hidden_signs)
        outputs, biases = len(self.output_signs), self.n_bias
        return {
            "input.weight": (heads, inputs, hidden),
            "input.bias": (heads, biases, hidden),
            "hidden.weight": (heads, self.depth, hidden, hidden),
            "hidden.bias": (heads, self.depth, biases, hidden),
            "output.weight": (heads, hidden, outputs),
            "output.bias": (heads, biases, outputs),
        }

    @property
    def parameters(self) -> int:
        """Number of weights, biases included."""
        return sum(math.prod(shape) for shape in self.weight_shapes.values())


@dataclass(frozen=True, slots=True)
class Rule:
    """How the weights of a network learn: ΔW_ij = α · reduce_b [ x_bi · E_bij · g(y_bj) · s_j ], with g(y) = y (1 − y).

    Parameters
    ----------
    error : {"signed", "split"}
        What E is, for an error e = target − output. ``"signed"``: e itself, so weights may cross zero. ``"split"``
        (Kaneko's amine): max(e, 0) for synapses of excitatory sources and min(e, 0) for those of inhibitory sources, so
        a weight never changes its sign.
    alpha : float
        Learning rate of the input layer and the hidden layers, at least 0.
    alpha_output : float
        Learning rate of the output layer, at least 0 (the article's program has 1 there, whatever its alpha).
    reduction : {"mean", "sum"}
        What `reduce` is over the samples of a batch.
    order : {"batch", "online"}
        ``"batch"``: one update for each batch. ``"online"``: one for each sample, before the next sample is looked at.

    Raises
    ------
    InputError
        If a value is outside what is listed above.

    Examples
    --------
    >>> from edcore import Rule
    >>> Rule("split", alpha=0.1)
    Rule(error='split', alpha=0.1, alpha_output=1.0, reduction='mean', order='batch')
    """

    error: Literal["signed", "split"] = "signed"
    alpha: float = 0.8
    alpha_output: float = 1.0
    reduction: Literal["mean", "sum"] = "mean"
    order: Literal["batch", "online"] = "batch"

    def __post_init__(self) -> None:
        for name, known in (
            ("error", ("signed", "split")),
            ("reduction", ("mean", "sum")),
            ("order", ("batch", "online")),
        ):
            if getattr(self, name) not in known:
                raise UnknownNameError(name, getattr(self, name), known)
        _set(self, "alpha", real("alpha", self.alpha))
        _set(self, "alpha_output", real("alpha_output", self.alpha_output))


def from_article(weight: npt.ArrayLike, bias: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Convert one layer from the article's layout to ours.

    W[q·I+i, p·O+o] = ope_p · weight[p, q, i, o] and b[0, p·O+o] = ope_p · bias[p, 0, o], with ope = (+1, −1).

    Parameters
    ----------
    weight : array_like, shape (2, 2, sources, targets)
        The article's weights: target stream, source stream, source cell, target cell.
    bias : array_like, shape (2, 1, targets)
        The article's biases.

    Returns
    -------
    weight : ndarray, shape (2·sources, 2·targets)
        The weights of one head and layer, in the given dtype.
    bias : ndarray, shape (1, 2·targets)
        Its biases.

    Raises
    ------
    InputError
        If the shapes are not those of one layer of the article.

    Examples
    --------
    >>> import numpy as np
    >>> from edcore.network import from_article
    >>> weight, bias = from_article(np.ones((2, 2, 1, 1)) * [[[[1]], [[-1]]]], np.full((2, 1, 1), 0.5))
    >>> weight.tolist(), bias.tolist()
    ([[1.0, -1.0], [-1.0, 1.0]], [[0.5, -0.5]])
    """
    weight, bias = np.asarray(weight), np.asarray(bias)
    if weight.ndim != 4 or weight.shape[:2] != (2, 2):
        raise InputError("weight", f"shape {weight.shape}", "shape (2, 2, sources, targets)")
    if bias.shape != (2, 1, weight.shape[3]):
        raise InputError("bias", f"shape {bias.shape}", f"shape {(2, 1, weight.shape[3])}, to fit the weight")
    sources, targets = weight.shape[2:]
    ope = np.asarray([1, -1], weight.dtype)
    by_source = np.transpose(weight * ope[:, None, None, None], (1, 2, 0, 3))
    return by_source.reshape(2 * sources, 2 * targets), (bias * ope[:, None, None]).reshape(1, 2 * targets)


def to_article(weight: npt.ArrayLike, bias: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Convert one layer from our layout to the article's, the inverse of `from_article`.

    Parameters
    ----------
    weight : array_like, shape (2·sources, 2·targets)
        The weights of one head and layer.
    bias : array_like, shape (1, 2·targets)
        Its biases.

    Returns
    -------
    weight : ndarray, shape (2, 2, sources, targets)
        The article's weights.
    bias : ndarray, shape (2, 1, targets)
        The article's biases.

    Raises
    ------
    InputError
        If the shapes are not those of one layer with one bias cell.

    Examples
    --------
    >>> from edcore.network import from_article, to_article
    >>> weight, bias = to_article([[1.0, -1.0], [-1.0, 1.0]], [[0.5, -0.5]])
    >>> [part.tolist() for part in from_article(weight, bias)]
    [[[1.0, -1.0], [-1.0, 1.0]], [[0.5, -0.5]]]
    """
    weight, bias = np.asarray(weight), np.asarray(bias)
    if weight.ndim != 2 or weight.shape[0] % 2 or weight.shape[1] % 2:
        raise InputError("weight", f"shape {weight.shape}", "shape (2·sources, 2·targets)")
    if bias.shape != (1, weight.shape[1]):
        raise InputError("bias", f"shape {bias.shape}", f"shape {(1, weight.shape[1])}, to fit the weight")
    sources, targets = weight.shape[0] // 2, weight.shape[1] // 2
    ope = np.asarray([1, -1], weight.dtype)
    by_target = np.transpose(weight.reshape(2, sources, 2, targets), (2, 0, 1, 3))
    return by_target * ope[:, None, None, None], bias.reshape(2, 1, targets) * ope[:, None, None]


def as_rule(rule: Rule | str, alpha: float, alpha_output: float) -> Rule:
    """Return the rule that `rule` names, with these learning rates; a `Rule` is returned as it is."""
    if isinstance(rule, Rule):
        defaults = {field.name: field.default for field in fields(Rule)}
        for name, value in (("alpha", alpha), ("alpha_output", alpha_output)):
            if value != defaults[name]:
                raise InputError(
                    name, repr(value), "no value beside rule=Rule(…)", f"Write rule=Rule(…, {name}={value!r})."
                )
        return rule
    if not isinstance(rule, str) or rule not in RULES:
        raise UnknownNameError("rule", rule, RULES, "A Rule(…) of your own is taken too.")
    return replace(RULES[rule], alpha=alpha, alpha_output=alpha_output)


def whole_number(name: str, value: Any, least: int) -> int:
    """Return `value` as an int, or refuse it under the argument's `name`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise InputError(name, repr(value), f"a whole number of at least {least}")
    return number


def real(name: str, value: Any, positive: bool = False) -> float:
    """Return `value` as a finite float of at least 0, or above it, or refuse it under the argument's `name`."""
    try:
        number = math.nan if isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        raise InputError(name, repr(value), f"a finite number {'above' if positive else 'of at least'} 0")
    return number


def dtype_name(dtype: Any) -> str:
    """Return the name of one of the accepted dtypes, however it is written, or refuse it."""
    try:
        name = "" if dtype is None else np.dtype(dtype).name  # NumPy reads None as float64
    except TypeError:
        name = ""
    if name not in DTYPES:
        raise UnknownNameError("dtype", dtype, DTYPES, "float32 is the default; float64 is for checks.")
    return name


def _set(frozen: object, name: str, value: object) -> None:
    object.__setattr__(frozen, name, value)


RULES: dict[str, Rule] = {"signed": Rule("signed"), "split": Rule("split")}
"""The named presets, with the article's learning rates."""
