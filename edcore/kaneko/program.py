"""Kaneko's program of 1999, to the bit in double precision: its random numbers, its cells and its learning.

A network has I inputs and H1 + H2 hidden cells. Cells 0 and 1 are thresholds, cells 2 to 2I+1 inputs (input i has 2i+2
and 2i+3), cell 2I+2 is the output, and the hidden cells follow. Even cells are excitatory (+), odd ones inhibitory (−).
Each output has a separate network. Source of all formulas: Kaneko 1999, the sample program of the ED method.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from edcore.arguments import ReadOnly
from edcore.errors import InputError, shown
from edcore.kaneko.parameters import Parameters
from edcore.kaneko.rand import Floats, Rand

Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
Checked = TypeVar("Checked")

LARGEST_EXPONENT = math.log(sys.float_info.max)


class Epoch(NamedTuple):
    """The results of one pass over the patterns; each pattern is learnt before the next one is shown.

    Attributes
    ----------
    number : int
        The epoch, from 1.
    outputs : ndarray, shape (patterns, outputs)
        Outputs to each pattern, before it was learnt.
    error : float
        Sum of the absolute errors of all patterns and outputs.
    """

    number: int
    outputs: Floats
    error: float


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The result of a run of the program.

    Attributes
    ----------
    parameters : Parameters
        The parameters of the run.
    epochs : int
        Number of epochs that it learnt; it stopped after the last one.
    timed_out : bool
        Whether it reached its limit of epochs before it had learnt the patterns.
    errors : ndarray, shape (epochs,)
        Sum of the absolute errors of each epoch.
    weights : ndarray, shape (outputs, 1 + hidden cells, cells)
        Final weights w_kl of each output's network: k is the output cell, then the hidden cells; l is any cell.
    """

    parameters: Parameters
    epochs: int
    timed_out: bool
    errors: Floats
    weights: Floats


class _Group:
    """Cells that learn and share their sources: the output, or one of the two hidden groups."""

    def __init__(self, first: int, cells: slice, wiring: Flags, drawn: Floats, error_factor: float) -> None:
        self.cells, self.rows = cells, slice(cells.start - first, cells.stop - first)
        # Cells that no cell of the group reads are left out. They would add zeros, so no bit changes.
        self.sources = np.flatnonzero(wiring[self.rows].any(axis=0))
        self.source_is_excitatory = self.sources % 2 == 0
        self.signs = _signs(np.arange(cells.start, cells.stop))
        self.weights = np.ascontiguousarray(drawn[:, self.rows, self.sources].transpose(0, 2, 1))
        self.error_factor = error_factor

    def sums(self, activity: Floats) -> Floats:
        """Return Σ_l w_kl a_l of every network and cell, added from the first source to the last, as in C."""
        # NumPy's sum may add in pairs, but its running sum never does.
        return np.add.accumulate(self.weights * activity[:, self.sources, None], axis=1)[:, -1]

    def learn(self, alpha: float, activity: Floats, error: Floats, signed: int) -> None:
        """Add α a_l o_k (1 − o_k) E s_k to every synapse; E is the error, or its part for sources of this sign."""
        error = self.error_factor * error
        if not signed:
            error = np.where(self.source_is_excitatory, np.maximum(error, 0.0), np.minimum(error, 0.0))
        output = activity[:, None, self.cells]
        change = (alpha * activity[:, self.sources])[:, :, None] * output
        change *= 1 - output
        change *= error[:, :, None]
        change *= self.signs
        np.add(self.weights, change, out=self.weights, where=self.weights != 0)


class Program(ReadOnly):
    """The program, advanced one epoch at a time.

    Parameters
    ----------
    parameters : Parameters
        The parameters of the run. The patterns, and then the initial weights, network after network, are drawn at once.

    Raises
    ------
    InputError
        If the parameters are not `Parameters`.

    Examples
    --------
    >>> from edcore.kaneko import Parameters, Program
    >>> program = Program(Parameters(inputs=2, hidden=2))
    >>> program.wiring.astype(int)
    array([[1, 1, 0, 0, 0, 0, 0, 1, 1],
           [1, 1, 1, 1, 1, 1, 0, 0, 0],
           [1, 1, 1, 1, 1, 1, 0, 0, 0]])
    >>> program.advance().outputs.ravel().round(5)[1:]
    array([0.9959 , 0.98301, 0.9824 ])
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = _checked("parameters", parameters, Parameters)
        self._errors: list[float] = []
        random = Rand(parameters.seed)
        inputs, self._targets = parameters.draw(random)
        self._inputs = np.repeat(inputs, 2, axis=1)
        self._activity = np.zeros((parameters.outputs, parameters.cells))
        self._activity[:, :2] = parameters.beta
        self._wiring, draws = _rules(parameters)
        drawn = _initial_weights(parameters, self._wiring, draws, random)
        first, end = parameters.output_cell, parameters.cells
        second = end - parameters.hidden2
        groups = ((first, first + 1, 1.0), (first + 1, second, parameters.u1), (second, end, parameters.u1))
        self._groups = [
            _Group(first, slice(start, stop), self._wiring, drawn, factor)
            for start, stop, factor in groups
            if stop > start
        ]

    @property
    def parameters(self) -> Parameters:
        """The parameters of the run."""
        return self._parameters

    @property
    def wiring(self) -> Flags:
        """A copy of the possible synapses of a network, a bool each, of shape (1 + hidden cells, cells).

        They lead from cell l (column) to the output or a hidden cell (row). If the drawn weight is exactly 0, there is
        no synapse, and it never learns.
        """
        return self._wiring.copy()

    @property
    def errors(self) -> list[float]:
        """A copy of the sums of absolute errors of the epochs so far."""
        return self._errors.copy()

    @property
    def weights(self) -> Floats:
        """A copy of the weights w_kl, of shape (outputs, 1 + hidden cells, cells), as in `Result`."""
        weights = np.zeros((self.parameters.outputs, *self._wiring.shape))
        for group in self._groups:
            weights[:, group.rows, group.sources] = group.weights.transpose(0, 2, 1)
        return weights

    @property
    def learnt(self) -> bool:
        """Whether the last epoch's sum of absolute errors is below the tolerance."""
        return bool(self._errors) and self._errors[-1] < self.parameters.tolerance

    @property
    def stopped(self) -> bool:
        """Whether the program ends here: it has learnt its patterns, or it has timed out."""
        return self.learnt or len(self._errors) >= self.parameters.epochs

    def advance(self) -> Epoch:
        """Learn each pattern once, in order, and return the epoch. It also works after the program has stopped.

        An epoch that is interrupted does not count, and its learning is dropped.
        """
        kept = self._activity.copy(), [group.weights.copy() for group in self._groups]
        try:
            outputs, total = self._learn_patterns()
            self._errors.append(total)
        except BaseException:
            self._activity = kept[0]
            for group, weights in zip(self._groups, kept[1], strict=True):
                group.weights = weights
            raise
        return Epoch(len(self._errors), outputs, total)

    def _learn_patterns(self) -> tuple[Floats, float]:
        outputs = np.empty_like(self._targets)
        total = 0.0
        for pattern, target in enumerate(self._targets):
            self._respond(self._inputs[pattern])
            outputs[pattern] = self._activity[:, self.parameters.output_cell]
            errors = target - outputs[pattern]
            for error in errors.tolist():
                total += abs(error)
            for group in self._groups:
                group.learn(self.parameters.alpha, self._activity, errors[:, None], self.parameters.f10)
        return outputs, total

    def result(self) -> Result:
        """Return the result so far."""
        return Result(
            self.parameters, len(self._errors), self.stopped and not self.learnt, np.array(self._errors), self.weights
        )

    def _respond(self, inputs: Floats) -> None:
        """Compute the activity of all cells after the time steps of a pattern."""
        activity, first = self._activity, self.parameters.output_cell
        activity[:, 2:first] = inputs
        if self.parameters.f6:
            activity[:, first:] = 0.0
        for _ in range(self.parameters.steps):
            sums = np.concatenate([group.sums(activity) for group in self._groups], axis=1)
            activity[:, first:] = _sigmoid(sums, self.parameters.u0)


def run(parameters: Parameters | None = None) -> Result:
    """Run the program to its end.

    Parameters
    ----------
    parameters : Parameters, optional
        The parameters of the run. Left out: the program's defaults.

    Returns
    -------
    Result
        The number of epochs, whether it timed out, its errors and its final weights.

    Examples
    --------
    >>> from edcore.kaneko import Parameters, run
    >>> run(Parameters(inputs=2)).epochs  # XOR, 8 hidden cells
    41
    """
    program = Program(Parameters() if parameters is None else parameters)
    while not program.stopped:
        program.advance()
    return program.result()


def layered_weights(program: Program) -> dict[str, Floats]:
    """Convert the present weights of a program to edcore's layout, the network of each output to a head.

    Excitatory cells come first, inhibitory ones second, and signs are folded in. Thresholds become the two bias cells,
    whose activity is the program's beta. A layer's width is half the hidden cells. The − output cell is left out.

    Parameters
    ----------
    program : Program
        A program of the layered wiring: f3, f6, f7 and f11 set, no second group, 2 time steps, an even number of hidden
        cells.

    Returns
    -------
    dict of str to ndarray
        In float64: ``input.weight`` of shape (outputs, 2·inputs, 2·width), ``input.bias`` (outputs, 2, 2·width),
        ``hidden.weight`` (outputs, 0, 2·width, 2·width), ``hidden.bias`` (outputs, 0, 2, 2·width), ``output.weight``
        (outputs, 2·width, 1) and ``output.bias`` (outputs, 2, 1).

    Raises
    ------
    InputError
        If the wiring differs, or if a drawn weight is exactly 0: the program has no synapse then, but in a layered
        network it would learn.

    Examples
    --------
    >>> from edcore.kaneko import Parameters, Program, layered_weights
    >>> weights = layered_weights(Program(Parameters(inputs=2, hidden=4)))
    >>> weights["input.weight"].shape, weights["output.weight"][0, :, 0].tolist()
    ((1, 4, 4), [0.6649, 0.2362, -0.0492, -0.1421])
    """
    parameters = _checked("program", program, Program).parameters
    for name, wanted in (("f3", 1), ("f6", 1), ("f7", 1), ("f11", 1), ("hidden2", 0), ("steps", 2)):
        given = getattr(parameters, name)
        if given != wanted:
            raise InputError(name, repr(given), f"{wanted!r} for a conversion", "Other wirings have no layers.")
    if parameters.hidden % 2:
        accepted = "an even number for a conversion"
        raise InputError("hidden", repr(parameters.hidden), accepted, "A layer has as many + cells as − cells.")
    weights = program.weights
    missing = int(np.count_nonzero(weights[:, program.wiring] == 0))
    if missing:
        given = f"{parameters.seed}, which leaves {missing} {'synapse' if missing == 1 else 'synapses'} at exactly 0"
        fix = "The program never changes such synapses, but a layered network would. Take another seed."
        raise InputError("seed", given, "one that draws no 0", fix)
    inputs = _excitatory_first(2, parameters.output_cell)
    hidden = _excitatory_first(parameters.output_cell + 1, parameters.cells)
    rows = hidden - parameters.output_cell
    by_source = weights.transpose(0, 2, 1)
    layered = {
        "input.weight": by_source[:, inputs[:, None], rows],
        "input.bias": by_source[:, :2, rows],
        "hidden.weight": np.zeros((len(weights), 0, len(hidden), len(hidden))),
        "hidden.bias": np.zeros((len(weights), 0, 2, len(hidden))),
        "output.weight": by_source[:, hidden, :1],
        "output.bias": by_source[:, :2, :1],
    }
    return {key: np.ascontiguousarray(array) for key, array in layered.items()}


def _rules(p: Parameters) -> tuple[Flags, Indices]:
    """Return the possible synapses, and the number of random draws for each, both as (targets, cells)."""
    target, source = np.arange(p.output_cell, p.cells)[:, None], np.arange(p.cells)
    to_hidden, to_second = target > p.output_cell, target >= p.cells - p.hidden2
    of_input, of_hidden = (source >= 2) & (source < p.output_cell), source > p.output_cell
    itself = target == source
    none = to_second & of_input
    if p.f6:
        none |= (to_hidden & (source >= p.output_cell) & ~itself) | (source == p.output_cell)
    if p.f7:
        none |= ~to_hidden & of_input
    none &= ~(to_second & of_hidden)
    none = np.where(itself, bool(p.f3), none)
    if not p.f11:
        none |= (source % 2 == 1) & (source < p.output_cell)
    return ~none, 1 + (to_second & of_hidden) + (itself & (not p.f3))


def _initial_weights(p: Parameters, wiring: Flags, draws: Indices, random: Rand) -> Floats:
    """Draw the initial weights, as (outputs, targets, cells). Of several draws for a synapse the last one counts."""
    cells = np.arange(p.cells)
    scales = np.where(cells < 2, p.threshold_range, p.weight_range)
    last = np.cumsum(draws).reshape(draws.shape) - 1
    signs = _signs(cells[p.output_cell :])[:, None] * _signs(cells)
    weights, total = np.empty((p.outputs, *wiring.shape)), int(draws.sum())
    for network in weights:
        network[...] = np.where(wiring, scales * random.draws(total)[last] * signs, 0.0)
    return weights


def _sigmoid(sums: Floats, u0: float) -> Floats:
    """Return f(z) = 1 / (1 + exp(−2 z / u0))."""
    # With the C library's exp: NumPy's can differ in the last bit, and that can change the epoch of the stop.
    exponents = [-2 * z / u0 for z in sums.ravel().tolist()]
    # Python raises an error where C gives infinity.
    exps = [math.inf if x > LARGEST_EXPONENT else math.exp(x) for x in exponents]
    return 1 / (1 + np.array(exps).reshape(sums.shape))


def _checked(name: str, value: Any, kind: type[Checked]) -> Checked:
    """Return a value of this class, or refuse it."""
    if not isinstance(value, kind):
        raise InputError(name, shown(value), f"an instance of edcore.kaneko.{kind.__name__}")
    return value


def _signs(cells: Indices) -> Floats:
    return np.where(cells % 2 == 0, 1.0, -1.0)


def _excitatory_first(start: int, stop: int) -> Indices:
    """Return the numbers of the cells from `start` to `stop`, + cells first."""
    cells = np.arange(start, stop)
    return np.concatenate([cells[cells % 2 == 0], cells[cells % 2 == 1]])
