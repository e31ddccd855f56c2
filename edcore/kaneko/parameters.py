"""The parameters of Kaneko's program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from edcore.arguments import assign, real, whole_number, yes_or_no
from edcore.contract.memory import host_memory
from edcore.errors import InputError, shown
from edcore.kaneko.rand import Floats, Rand, checked_seed
from edcore.kaneko.teacher import checked_teacher, draw

MOST_INPUTS = 20
"""With more inputs, all 2^I patterns are too many: the number of patterns must be given."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a run. The defaults are those of the program: 4-bit parity with 8 hidden cells.

    Parameters
    ----------
    seed : int
        Seed of the random numbers, from 0 to 2³² − 1.
    inputs : int
        Inputs I, at least 1.
    patterns : int, optional
        Patterns p = 0, 1, …; input i of pattern p is bit i of p, least significant first. Left out: 2^I.
    outputs : int
        Outputs, each with a separate network, at least 1.
    teacher : {"parity", "mirror", "random", "real", "one"}, array_like, or a list of these
        Targets, from 0 to 1. A name is the kind of every output's targets; the program's number for it is in brackets.

        - ``"parity"`` (1): 1 for an odd number of inputs above .5, else 0.
        - ``"mirror"`` (2): 1 if the inputs are the same when read backwards, else 0.
        - ``"random"`` (0): 0 or 1, drawn.
        - ``"real"`` (4): drawn from [0, 1).
        - ``"one"`` (5): 1 for one pattern, which is drawn, else 0.
        - numbers (3): the targets themselves, of shape (patterns, outputs), or (patterns,) for one output.

        A list in which a name occurs has a kind for each output, as in ``["parity", [0, 0, 0, 1]]``. Numbers are kept
        as tuples.
    hidden : int
        Hidden cells of the first group (H1), of both signs together, at least 1.
    hidden2 : int
        Hidden cells of the second group (H2), which read the hidden cells of both groups and no inputs. They need 3
        time steps.
    steps : int
        Time steps T of a pattern, at least 1.
    weight_range, threshold_range : float
        Initial weights are drawn from [0, A) and, from threshold cells, from [0, B). Both at least 0.
    f3 : {0, 1}
        1: no cell has a synapse onto itself.
    f6 : {0, 1}
        1: no loops. Hidden cells read neither the output nor each other (but see `hidden2`), and outputs and hidden
        cells start each pattern at 0. 0: they may, and keep their activity from pattern to pattern.
    f7 : {0, 1}
        1: the output reads no inputs.
    f10 : {0, 1}
        0: learn with the split error (Kaneko's amine), so that no weight changes its sign. 1: with the signed error.
    f11 : {0, 1}
        0: the − cells of thresholds and inputs have no synapses.
    u0 : float
        Width of the activation f(z) = 1 / (1 + exp(−2 z / u0)), above 0.
    u1 : float
        Factor of the error at hidden cells, at least 0.
    alpha : float
        Learning rate, at least 0.
    beta : float
        Activity of the threshold cells, at least 0.
    epochs : int
        A run that has not stopped after this number of epochs has timed out. At least 1.
    tolerance : float
        A run stops after an epoch whose sum of absolute errors is below this, at least 0.
    random_inputs : bool
        Draw the inputs of each pattern from [0, 1). Then there may be more than 2^I patterns.

    Raises
    ------
    InputError
        If a value is not accepted, values exclude each other, or the run would not fit into the free memory.

    Notes
    -----
    Inputs and targets are drawn before the weights, pattern after pattern: the inputs, then each output's target. Under
    ``"one"`` each pattern draws, among the patterns that no output before it has just drawn, and the last draw counts.

    Examples
    --------
    >>> from edcore.kaneko import Parameters
    >>> xor = Parameters(inputs=2, hidden=8)
    >>> xor.patterns, xor.cells, xor.target_values.tolist()
    (4, 15, [[0.0], [1.0], [1.0], [0.0]])
    >>> Parameters(inputs=2, outputs=2, teacher=["real", "parity"]).target_values.tolist()
    [[0.9383, 0.0], [0.0886, 1.0], [0.2777, 1.0], [0.6915, 0.0]]
    """

    seed: int = 1
    inputs: int = 4
    patterns: int | None = None
    outputs: int = 1
    teacher: npt.ArrayLike | Sequence[npt.ArrayLike] = "parity"
    hidden: int = 8
    hidden2: int = 0
    steps: int = 2
    weight_range: float = 1.0
    threshold_range: float = 1.0
    f3: int = 1
    f6: int = 1
    f7: int = 1
    f10: int = 0
    f11: int = 1
    u0: float = 0.4
    u1: float = 1.0
    alpha: float = 0.8
    beta: float = 0.8
    epochs: int = 10000
    tolerance: float = 0.1
    random_inputs: bool = False

    def __post_init__(self) -> None:
        assign(self, "seed", checked_seed(self.seed))
        for name, least in (("inputs", 1), ("outputs", 1), ("hidden", 1), ("hidden2", 0), ("steps", 1), ("epochs", 1)):
            assign(self, name, whole_number(name, getattr(self, name), least))
        for name in ("weight_range", "threshold_range", "u1", "alpha", "beta", "tolerance"):
            assign(self, name, real(name, getattr(self, name)))
        assign(self, "u0", real("u0", self.u0, positive=True))
        for name in ("f3", "f6", "f7", "f10", "f11"):
            assign(self, name, _flag(name, getattr(self, name)))
        assign(self, "random_inputs", yes_or_no("random_inputs", self.random_inputs))
        patterns = self._checked_patterns()
        assign(self, "patterns", patterns)
        self._check_memory()
        assign(self, "teacher", checked_teacher(self.teacher, patterns, self.outputs))
        if self.hidden2 and self.steps < 3:
            fix = "Activity needs one step to each of the two groups and one to the output."
            raise InputError("steps", repr(self.steps), f"3 or more with a second group of {self.hidden2}", fix)
        if self.steps < 2 and self.f6 and self.f7:
            fix = "In the first step the output sees no hidden cell (f6), and it never sees an input (f7)."
            raise InputError("steps", repr(self.steps), "2 or more with f6 and f7", fix)

    def _checked_patterns(self) -> int:
        if self.patterns is None:
            if self.inputs > MOST_INPUTS:
                accepted = f"a number of patterns, as all of them with {self.inputs} inputs are too many"
                raise InputError("patterns", "no number", accepted)
            return 1 << self.inputs
        patterns = whole_number("patterns", self.patterns, 1)
        # The power itself would have as many bits as there are inputs.
        if not self.random_inputs and (patterns - 1).bit_length() > self.inputs:
            fix = "Further patterns would repeat these, as input i is bit i of the pattern's number."
            raise InputError("patterns", repr(patterns), f"at most 2^inputs = {1 << self.inputs}", fix)
        return patterns

    def _check_memory(self) -> None:
        """Refuse a run that does not fit into the free memory, under the name of its largest number."""
        need, free = needed(self), host_memory().free
        if need > free:
            names = ("outputs", "hidden", "hidden2", "inputs", "patterns")
            largest = max(names, key=lambda name: cast(int, getattr(self, name)))
            accepted = f"less, as the run needs {need / 2**30:.3g} GiB of memory and {free / 2**30:.3g} GiB are free"
            raise InputError(largest, str(getattr(self, largest)), accepted)

    @property
    def output_cell(self) -> int:
        """Number of the output cell; threshold and input cells come before it, hidden cells after it."""
        return 2 * self.inputs + 2

    @property
    def cells(self) -> int:
        """Number of cells of a network."""
        return self.output_cell + 1 + self.hidden + self.hidden2

    @property
    def input_values(self) -> Floats:
        """The patterns, of shape (patterns, inputs): bit i of the pattern's number at input i, or what was drawn."""
        return self.draw(Rand(self.seed))[0]

    @property
    def target_values(self) -> Floats:
        """The targets, of shape (patterns, outputs)."""
        return self.draw(Rand(self.seed))[1]

    def draw(self, random: Rand) -> tuple[Floats, Floats]:
        """Return `input_values` and `target_values`; what they draw is taken from these random numbers."""
        patterns = cast(int, self.patterns)
        return draw(random, self.teacher, patterns, self.inputs, self.outputs, self.random_inputs)


def needed(p: Parameters) -> int:
    """Return the bytes that a run needs, which is more than it has in use at any time."""
    synapses = (1 + p.hidden + p.hidden2) * p.cells
    # In float64: the weights of all networks, and products with them; the draws of one network; all patterns.
    return 8 * (3 * p.outputs * synapses + 12 * synapses + 4 * cast(int, p.patterns) * (p.inputs + p.outputs))


def _flag(name: str, value: Any) -> int:
    if not isinstance(value, bool | int | np.bool_ | np.integer) or value not in (0, 1):
        raise InputError(name, shown(value), "1 or 0")
    return int(value)
