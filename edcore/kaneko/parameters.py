"""The parameters of Kaneko's program, and the random numbers of its C library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from edcore.arguments import assign, real, whole_number
from edcore.errors import InputError

Floats = npt.NDArray[np.float64]

WORD = 2**32
MOST_INPUTS = 20
"""With more inputs, all 2^I patterns are too many: the number of patterns must be given."""


class Rand:
    """The GNU C library's ``rand()``, in Python, so that a seed gives the same numbers on every platform.

    The additive feedback generator r_n = r_(n−3) + r_(n−31) mod 2³², whose 31 words are seeded by r_i = 16807 r_(i−1)
    mod (2³¹ − 1) and whose first 310 outputs are discarded; an output is r_n without its lowest bit.

    Parameters
    ----------
    seed : int
        The argument of ``srand``, from 0 to 2³² − 1. As in C, seed 0 is the same as seed 1.

    Raises
    ------
    InputError
        If the seed is not such a number.

    Examples
    --------
    >>> from edcore.kaneko import Rand
    >>> random = Rand(1)
    >>> random.rand(), random.r()
    (1804289383, 0.0886)
    """

    def __init__(self, seed: int) -> None:
        word = _seed(seed) or 1
        if word >= WORD // 2:  # srand's words are signed
            word -= WORD
        words = [word % WORD]
        for _ in range(30):
            word = 16807 * word % (2**31 - 1)
            words.append(word)
        self._words = words[3:] + words[:3]
        self._next_words(310)

    def rand(self) -> int:
        """Return the next output, from 0 to 2³¹ − 1."""
        return self._next_words(1)[0] >> 1

    def r(self) -> float:
        """Return the program's next random number, (rand() mod 10000) / 10000, which can be exactly 0."""
        return self.rand() % 10000 / 10000

    def draws(self, n: int) -> Floats:
        """Return the next n values of `r`, of shape (n,)."""
        return (np.array(self._next_words(n), np.int64) >> 1) % 10000 / 10000

    def _next_words(self, n: int) -> list[int]:
        words = self._words
        for oldest in range(n):
            words.append((words[oldest] + words[oldest + 28]) % WORD)
        self._words = words[-31:]
        return words[31:]


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
        Patterns p = 0, 1, …; input i of pattern p is bit i of p, least significant first. Left out: all 2^I.
    outputs : int
        Outputs, each with a separate network, at least 1.
    teacher : {"parity"} or array_like, shape (patterns,) or (patterns, outputs)
        Targets, from 0 to 1. ``"parity"``: 1 for an odd number of ones, at every output. Kept as a tuple of tuples.
    hidden : int
        Hidden cells of the first group (H1), of both signs together, at least 1.
    hidden2 : int
        Hidden cells of the second group (H2), which read the first group and no inputs. They need 3 time steps.
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

    Raises
    ------
    InputError
        If a value is not accepted, or values exclude each other.

    Examples
    --------
    >>> from edcore.kaneko import Parameters
    >>> xor = Parameters(inputs=2, hidden=8)
    >>> xor.patterns, xor.cells, xor.target_values.tolist()
    (4, 15, [[0.0], [1.0], [1.0], [0.0]])
    """

    seed: int = 1
    inputs: int = 4
    patterns: int | None = None
    outputs: int = 1
    teacher: npt.ArrayLike = "parity"
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

    def __post_init__(self) -> None:
        assign(self, "seed", _seed(self.seed))
        for name, least in (("inputs", 1), ("outputs", 1), ("hidden", 1), ("hidden2", 0), ("steps", 1), ("epochs", 1)):
            assign(self, name, whole_number(name, getattr(self, name), least))
        for name in ("weight_range", "threshold_range", "u1", "alpha", "beta", "tolerance"):
            assign(self, name, real(name, getattr(self, name)))
        assign(self, "u0", real("u0", self.u0, positive=True))
        for name in ("f3", "f6", "f7", "f10", "f11"):
            assign(self, name, _flag(name, getattr(self, name)))
        assign(self, "patterns", self._checked_patterns())
        assign(self, "teacher", self._checked_teacher())
        if self.hidden2 and self.steps < 3:
            fix = "Activity needs one step to each of the two groups and one to the output."
            raise InputError("steps", repr(self.steps), f"3 or more with hidden2={self.hidden2}", fix)
        if self.steps < 2 and self.f6 and self.f7:
            fix = "In the first step the output sees no hidden cell (f6), and it never sees an input (f7)."
            raise InputError("steps", repr(self.steps), "2 or more with f6 and f7", fix)

    def _checked_patterns(self) -> int:
        if self.patterns is None:
            if self.inputs > MOST_INPUTS:
                accepted = f"a number of patterns, as all of them with {self.inputs} inputs are too many"
                raise InputError("patterns", "None", accepted)
            return 1 << self.inputs
        patterns = whole_number("patterns", self.patterns, 1)
        if patterns > 1 << self.inputs:
            fix = "Further patterns would repeat these, as input i is bit i of the pattern's number."
            raise InputError("patterns", repr(patterns), f"at most 2^inputs = {1 << self.inputs}", fix)
        return patterns

    def _checked_teacher(self) -> Any:
        if isinstance(self.teacher, str) and self.teacher == "parity":
            return self.teacher
        accepted = f"'parity', or numbers from 0 to 1 of shape ({self.patterns}, {self.outputs}): patterns by outputs"
        try:
            targets = np.asarray(self.teacher, np.float64)
        except (TypeError, ValueError):
            raise InputError("teacher", repr(self.teacher), accepted) from None
        if targets.shape == (self.patterns,) and self.outputs == 1:
            targets = targets[:, None]
        if targets.shape != (self.patterns, self.outputs):
            raise InputError("teacher", f"shape {targets.shape}", accepted)
        if not np.all((targets >= 0) & (targets <= 1)):
            fix = "An output lies between 0 and 1, and its error would never vanish."
            raise InputError("teacher", "a value outside 0 to 1", accepted, fix)
        return tuple(map(tuple, targets.tolist()))

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
        """The patterns, of shape (patterns, inputs): bit i of the pattern's number at input i."""
        count = cast(int, self.patterns)
        return np.array([[p >> i & 1 for i in range(self.inputs)] for p in range(count)], np.float64)

    @property
    def target_values(self) -> Floats:
        """The targets, of shape (patterns, outputs)."""
        if isinstance(self.teacher, str):
            return np.repeat(self.input_values.sum(axis=1, keepdims=True) % 2, self.outputs, axis=1)
        return np.array(self.teacher, np.float64)


def _seed(seed: Any) -> int:
    if whole_number("seed", seed, 0) >= WORD:
        raise InputError("seed", repr(seed), f"a whole number from 0 to {WORD - 1}")
    return int(seed)


def _flag(name: str, value: Any) -> int:
    if not isinstance(value, bool | int | np.bool_ | np.integer) or value not in (0, 1):
        raise InputError(name, repr(value), "a flag: 1 (or True) or 0 (or False)")
    return int(value)
