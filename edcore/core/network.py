"""The shape of a network and its cells, a frozen value that every backend is given, and the layout of its weights."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from edcore.arguments import DType, assign, dtype_name, one_of, real, whole_number, yes_or_no
from edcore.core.activations import FUNCTIONS, REGISTER, SOFTMAX, Activation
from edcore.core.widths import cells_in_words, checked_depth, checked_width
from edcore.errors import InputError, UnknownNameError, shown

LEAST_U0 = 1e-30
"""Below it, 2 / u0 times a sum may be more than float32 holds, and infinities cancel to NaN."""


LAYERS = ("input", "hidden", "output")
"""Names of the layers of a network of one width."""
WEIGHTS = tuple(f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias"))
"""Keys of the weights of a network of one width, in the order of the layers."""
SHARED = WEIGHTS[2:4]
"""Those that all its hidden layers have in common, as (heads, layers, …)."""


class Layer(NamedTuple):
    """One layer of a network: where its weights are, and the signs of the cells that they join.

    Its weights are ``weights[name + ".weight"][where(head)]``, of shape (sources, targets), and likewise its biases.
    """

    name: str  # "input", "hidden", "output"; "hidden.2" where each hidden layer has arrays of its own
    position: int | None  # its place in the array that all hidden layers of one width have in common
    source_signs: tuple[int, ...]
    target_signs: tuple[int, ...]
    teachers: tuple[int, ...]  # for each target cell, the output from whose error it learns
    activation: Activation
    rms: bool

    def where(self, head: int) -> tuple[int, ...]:
        """Return the index of this layer's weights of one head."""
        return (head,) if self.position is None else (head, self.position)


MOST_FAN_IN = 10  # beyond it, all weights are as good as zero


@dataclass(frozen=True, slots=True)
class Initial:
    """How the initial weights are drawn: W_ij = s_i s_j · weight · factor · d_ij / sources**fan_in.

    Biases are s_b s_j · bias · U(0, 1).

    Parameters
    ----------
    distribution : {"half_normal", "uniform"}
        The distribution of d: abs(N(0, 1)), as in the article of 2024, or U(0, 1), as Kaneko (1999) and Fujita (2025)
        have it.
    weight : float
        Scale of the weights, at least 0 (Kaneko: 1; Fujita: 1e-4, for regression 1).
    bias : float
        The biases' largest magnitude, at least 0: they are uniform below it.
    fan_in : float
        The power of the number of a layer's source cells (both streams) by which its weights are divided, at least 0: 0
        leaves them as they are, 0.5 keeps the spread of the sums the same for all widths. At most 10.
    excitatory : float
        Factor of the positive weights of each layer but the output layer, at least 0 (Diffusing Blame, 2026: 1.5).
    inhibitory : float
        Factor of the negative weights of each layer but the output layer, at least 0 (Diffusing Blame: 0.5).

    Raises
    ------
    InputError
        If a value is outside what is listed above.

    Examples
    --------
    >>> from edcore import Initial, Network
    >>> Network(in_=64, width=2, initial=Initial("uniform", weight=1e-4, bias=1e-4)).initial.weight
    0.0001
    """

    distribution: Literal["half_normal", "uniform"] = "half_normal"
    weight: float = 1.0
    bias: float = 1.0
    fan_in: float = 0.0
    excitatory: float = 1.0
    inhibitory: float = 1.0

    def __post_init__(self) -> None:
        one_of("distribution", self.distribution, ("half_normal", "uniform"))
        for name in ("weight", "bias", "fan_in", "excitatory", "inhibitory"):
            assign(self, name, real(name, getattr(self, name)))
        if self.fan_in > MOST_FAN_IN:
            raise InputError("fan_in", repr(self.fan_in), f"a number of at most {MOST_FAN_IN}", "0.5 suits all widths.")


@dataclass(frozen=True, slots=True)
class Network:
    """The shape of `heads` independent ED networks of one kind, and their cells.

    Each layer holds its excitatory (+) cells first and its inhibitory (−) cells second. A network has an input layer
    (in_ → width), `depth` hidden layers (width → width) and an output layer (width → outputs); all counts are per
    stream. Of several widths, each is that of one layer, from the input layer to the last hidden one.

    Parameters
    ----------
    in_ : int
        Input features, at least 1. They are fed to both streams.
    width : int or tuple of int
        Cells per stream of the input layer and of each hidden layer, at least 1. A tuple has one for each of them,
        such as (512, 128) for depth 1. Equal ones are taken as one width.
    depth : int, optional
        Hidden layers beyond the input layer, at least 0: the article's depth. The cells of the input layer are hidden
        too, so a network has depth + 1 layers of hidden cells. Left out, it is 1, or what a tuple of widths says.
    heads : int
        Independent networks, at least 1.
    u0 : float
        Width of the sigmoid f(z) = 1 / (1 + exp(−2 z / u0)), at least 1e-30 (Kaneko 1999 and the article: 0.4; Fujita's
        slope of 1: 2; Diffusing Blame: 6). The other activations have none, unless they were registered.
    n_bias : int
        Bias cells of each layer: 1 (one excitatory cell) or 2 (one excitatory, one inhibitory).
    dtype : {"float32", "float64"}
        Precision of weights and activities.
    outputs : int
        Outputs of each network, at least 1. With several, cell j of a stream learns from the error of output
        j mod outputs alone (Diffusing Blame, 2026), so each width is at least outputs.
    activation : {"sigmoid", "tanh", "relu", "relu6", "linear"} or str
        The f of the cells of the input layer and of the hidden layers; also the name of one that was registered, see
        `edcore.core.activations.register`.
    output_activation : {"sigmoid", "tanh", "relu", "relu6", "linear", "softmax"} or str
        The f of the output cells, likewise. With ``"softmax"`` they are linear, and the outputs of a head are
        p_k = exp(z_k) / Σ_k exp(z_k), over its excitatory output cells: probabilities, which add up to 1. It needs at
        least two outputs. The error is target − p as for the others, so the output layer, whose g is 1, follows the
        gradient of the cross-entropy −Σ_k target_k log p_k.
    rms : bool
        Divide the sums a_j of each layer but the output layer by r = √(mean_j a_j² + 1e-5), over both streams; then
        z_j = a_j / r, and g has the factor (1/r) (1 − a_j² / (n r²)) for n cells (Fujita's RMS variant, 2025).
    bias : float
        Activity of the bias cells, at least 0 (Kaneko's thresholds: 0.8).
    inhibitory_output : bool
        Have an inhibitory output cell beside each output. It is trained and never read, so results are the same without
        it.
    initial : Initial
        How the weights are drawn before training.
    one_hot : int
        With a number, at least 2, x holds categories: each of its `features` columns has whole numbers from 0 to
        one_hot − 1, and stands for one_hot inputs, of which the one of that number is 1 and the others are 0. So in_ is
        a multiple of it. With 0, x (batch, in_) has the inputs themselves.

    Raises
    ------
    InputError
        If a value is outside what is listed above, a width is smaller than outputs, or depth contradicts the widths.

    Examples
    --------
    >>> from edcore import Network
    >>> network = Network(in_=784, width=32, depth=4096)
    >>> network.parameters
    17139906
    >>> network.weight_shapes["hidden.weight"]
    (1, 4096, 64, 64)
    >>> Network(in_=784, width=(512, 128)).weight_shapes["hidden.1.weight"]
    (1, 1024, 256)
    """

    in_: int
    width: int | tuple[int, ...] = 32
    depth: int = None  # type: ignore[assignment]  # an int in each network
    heads: int = 1
    u0: float = 0.4
    n_bias: int = 1
    dtype: DType = "float32"
    outputs: int = 1
    activation: Activation = "sigmoid"
    output_activation: Activation = "sigmoid"
    rms: bool = False
    bias: float = 1.0
    inhibitory_output: bool = True
    initial: Initial = field(default_factory=Initial)
    one_hot: int = 0

    def __post_init__(self) -> None:
        assign(self, "width", checked_width("width", self.width))
        assign(self, "depth", checked_depth("depth", self.depth, self.width))
        if isinstance(self.width, tuple) and len({*self.width}) == 1:  # one network has one layout, file and hash
            assign(self, "width", self.width[0])
        for name in ("in_", "heads", "outputs"):
            assign(self, name, whole_number(name, getattr(self, name), 1))
        assign(self, "u0", real("u0", self.u0, positive=True))
        if self.u0 < LEAST_U0:
            raise InputError("u0", repr(self.u0), f"a number of at least {LEAST_U0:g}", "Smaller ones give infinities.")
        assign(self, "n_bias", whole_number("n_bias", self.n_bias, 1))
        if self.n_bias > 2:
            raise InputError("n_bias", repr(self.n_bias), "1 (an excitatory cell) or 2 (and an inhibitory one)")
        assign(self, "dtype", dtype_name(self.dtype))
        for name in ("activation", "output_activation"):
            known = (*FUNCTIONS, SOFTMAX) if name == "output_activation" else FUNCTIONS
            if not isinstance(value := getattr(self, name), str) or value not in known:
                if isinstance(value, str) and value == SOFTMAX:
                    fix = "It is for outputs, as it joins the cells of a layer: write output_activation='softmax'."
                    raise InputError(name, repr(value), f"one of {', '.join(FUNCTIONS)}", fix)
                raise UnknownNameError(name, value, known, REGISTER.format(value) if isinstance(value, str) else "")
        if self.output_activation == SOFTMAX and self.outputs == 1:
            fix = "The softmax of one output is always 1. Heads are networks of their own: write outputs=… for heads=…."
            raise InputError("outputs", "1 with output_activation='softmax'", "at least 2, one for each class", fix)
        for name in ("rms", "inhibitory_output"):
            assign(self, name, yes_or_no(name, getattr(self, name)))
        assign(self, "bias", real("bias", self.bias))
        if not isinstance(self.initial, Initial):
            raise InputError("initial", shown(self.initial), "an edcore.Initial(…)")
        assign(self, "one_hot", whole_number("one_hot", self.one_hot, 0))
        if self.one_hot == 1:
            raise InputError("one_hot", "1", "0 (x has numbers), or at least 2 categories")
        if self.in_ % self.categories:
            fix = f"Each column of x stands for {self.one_hot} inputs."
            raise InputError("in_", repr(self.in_), f"a multiple of one_hot={self.one_hot}", fix)
        if min(self._stack_widths) < self.outputs:
            fix = "Cell j learns from output j mod outputs: with fewer cells, some outputs would teach none of them."
            raise InputError("width", repr(self.width), f"at least {self.outputs}, the number of outputs", fix)

    @property
    def categories(self) -> int:
        """Inputs for which a column of x stands: 1 unless there is `one_hot`."""
        return self.one_hot or 1

    @property
    def features(self) -> int:
        """Columns of x."""
        return self.in_ // self.categories

    @property
    def input_signs(self) -> tuple[int, ...]:
        """Signs of the input cells: +1 for the excitatory ones, then −1 for the inhibitory ones."""
        return (1,) * self.in_ + (-1,) * self.in_

    @property
    def widths(self) -> tuple[int, ...]:
        """Cells per stream of the input layer and of each hidden layer in turn."""
        return self.width if isinstance(self.width, tuple) else (self.width,) * (self.depth + 1)

    @property
    def hidden_count(self) -> int:
        """Cells per stream of all these layers together."""
        return sum(self.width) if isinstance(self.width, tuple) else self.width * (self.depth + 1)

    @property
    def widest(self) -> int:
        """The largest of these widths."""
        return self.width if isinstance(self.width, int) else max(self.width)  # read in each step: no tuple of one

    @property
    def _stack_widths(self) -> tuple[int, ...]:
        """Cells per stream of the layers of `stack_names`, but the output layer."""
        return self.width if isinstance(self.width, tuple) else (self.width, self.width)

    @property
    def output_signs(self) -> tuple[int, ...]:
        """Signs of a head's output cells; the excitatory ones, which come first, are the network's outputs."""
        return (1,) * self.outputs + (-1,) * (self.outputs if self.inhibitory_output else 0)

    @property
    def output_cells(self) -> Activation:
        """The f of each output cell by itself: with softmax, a function of all of a head's, they are linear."""
        return "linear" if self.output_activation == SOFTMAX else self.output_activation

    @property
    def bias_signs(self) -> tuple[int, ...]:
        """Signs of the bias cells."""
        return (1, -1)[: self.n_bias]

    @property
    def columns(self) -> int:
        """Columns of outputs, targets and errors: the outputs of the first head, then those of the next."""
        return self.heads * self.outputs

    @property
    def hidden_layers(self) -> str:
        """The layers of hidden cells in words, such as "1 hidden layer of 8 + 8 cells"."""
        count = f"{self.depth + 1:,} hidden layers" if self.depth else "1 hidden layer"
        depth = f" (depth {self.depth:,})" if self.depth else ""
        return f"{count} of {self.hidden_cells}{depth}"

    @property
    def hidden_cells(self) -> str:
        """Their cells in words: "8 + 8 cells", or "512 + 512 and 128 + 128 cells"; of many widths, the extremes."""
        return cells_in_words(self.width)

    @property
    def stack_names(self) -> tuple[str, ...]:
        """Names of the layers that have weights of their own, in their order: hidden layers of one width share them."""
        if isinstance(self.width, int):
            return "input", "hidden", "output"
        return ("input", *(f"hidden.{number}" for number in range(1, self.depth + 1)), "output")

    def layer(self, name: str) -> Layer:
        """Return the layer of this name; of hidden layers that share one, which are all alike, the first."""
        if name == "output":
            sources, signs = self._hidden_signs(-1), self.output_signs
            taught = tuple(range(self.outputs)) * (len(signs) // self.outputs)
            return Layer(name, None, sources, signs, taught, self.output_cells, False)
        number = 0 if name == "input" else int(name.partition(".")[2] or 1)
        sources, signs = self._hidden_signs(number - 1) if number else self.input_signs, self._hidden_signs(number)
        taught = tuple(j % self.outputs for j in range(len(signs) // 2)) * 2
        position = 0 if name == "hidden" else None
        return Layer(name, position, sources, signs, taught, self.activation, self.rms)

    def _hidden_signs(self, number: int) -> tuple[int, ...]:
        """Return the signs of the cells of a layer of `stack_names`, of which 0 is the input layer."""
        width = self._stack_widths[number]
        return (1,) * width + (-1,) * width

    @property
    def stacks(self) -> tuple[Layer, ...]:
        """The first layer of each array of weights, in their order; there may be no hidden one."""
        return tuple(map(self.layer, self.stack_names))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, from the input layer to the output layer."""
        if isinstance(self.width, tuple):
            return self.stacks
        first, hidden, last = self.stacks
        return (first, *(hidden._replace(position=position) for position in range(self.depth)), last)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of all layers: hidden 1 is the input layer, as its cells are the first hidden ones."""
        return (*(f"hidden {number}" for number in range(1, self.depth + 2)), "output")

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Key → shape of every weight array: sources by targets, signs folded in."""
        outputs = self.outputs * (2 if self.inhibitory_output else 1)
        cells = 2 * self.in_, *(2 * width for width in self._stack_widths), outputs
        shared = {"hidden": (self.heads, self.depth)}
        return {
            f"{name}.{part}": (*shared.get(name, (self.heads,)), rows, targets)
            for name, (sources, targets) in zip(self.stack_names, itertools.pairwise(cells), strict=True)
            for part, rows in (("weight", sources), ("bias", self.n_bias))
        }

    @property
    def parameters(self) -> int:
        """Number of weights, biases included."""
        return sum(math.prod(shape) for shape in self.weight_shapes.values())


def from_article(weight: npt.ArrayLike, bias: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Convert one layer of the article's to (2·sources, 2·targets) weights of a head, and (1, 2·targets) biases.

    The article has weights (target stream, source stream, source cell, target cell) and biases (2, 1, targets). Then
    W[q·I+i, p·O+o] = ope_p · weight[p, q, i, o] and b[0, p·O+o] = ope_p · bias[p, 0, o], with ope = (+1, −1).

    >>> import numpy as np
    >>> from edcore.core.network import from_article
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
    """Convert one layer of a head, with one bias cell, to the article's layout: the inverse of `from_article`.

    >>> from edcore.core.network import from_article, to_article
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
