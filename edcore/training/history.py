"""The history of a run in bounded memory: its errors, thinned as the batches become many, and its evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import ReadOnly, whole_number
from edcore.errors import InputError, shown
from edcore.training.loop import Progress

ROWS = 1024
"""The most rows of a history. A longer run has more than half as many, as many as a learning curve can show."""

PREFIX = "run."
"""The keys of a history's arrays in a file begin with this."""

ERROR, SECONDS, ACCURACY = "run.error", "run.seconds", "run.accuracy"
"""Keys of the arrays of up to `ROWS` batches, with a number for each; an accuracy that was not measured is NaN."""

BITS = "run.bits"
"""Key of the bits of each evaluation, in the files of runs whose outputs are probabilities."""

CURVE, EVALUATIONS, LATEST = "run.curve", "run.evaluations", "run.latest"
"""Keys of the arrays of more batches, with `SECONDS`: those of the evaluations, and at the end."""


class History(ReadOnly):
    """The errors and evaluations of a run, in memory that does not grow with the run.

    Up to 1,024 batches, each has a row. In a longer run a row stands for a block of successive batches, and has their
    mean, least and largest error. The number of batches in a block is a power of two, the least with which 1,024 rows
    are enough. Of the evaluations in a block, the latest is kept, and the first one of the run.

    The same batches give the same history to the bit, also if the run has been stopped and resumed on the way.

    Attributes
    ----------
    block : int
        Batches in a row; the last row may have fewer.
    errors : array of shape (rows, 3)
        Mean, least and largest error of each row.
    evaluations : list of Progress
        The evaluations that are kept, among them the first and the latest.
    latest : Progress or None
        The latest batch.
    first_error : float
        The error of the first batch.
    mean_error : float
        The mean error of the batches from one evaluation to the next, for the latest evaluation.
    averaged : int
        The number of these batches.

    Examples
    --------
    >>> import edcore
    >>> from edcore.training import History, train
    >>> data = edcore.datasets.xor()
    >>> ed = edcore.ED(in_=2, hidden_depth=0, rule="split", seed=1)
    >>> history = History()
    >>> for progress in train(ed, data, epochs=3000, batch_size=4):
    ...     history.add(progress)
    >>> len(history), history.block, history.errors.shape
    (3000, 4, (750, 3))
    """

    block: int
    evaluations: list[Progress]
    latest: Progress | None
    first_error: float
    mean_error: float
    averaged: int

    def __init__(self) -> None:
        self._set(block=1, evaluations=[], latest=None, first_error=0.0, mean_error=0.0, averaged=0)
        self._rows = np.zeros((ROWS, 3))
        self._batches = self._summed = 0
        self._sum = 0.0  # of the errors since the latest evaluation, whose number is `_summed`

    @classmethod
    def of(cls, run: Iterable[Progress] | History) -> History:
        """Return the history of a run; one that is there already is returned as it is."""
        if isinstance(run, History):
            return run
        if not isinstance(run, Iterable):
            raise InputError("run", shown(run), "the items that train yields, or a History")
        history = cls()
        for progress in run:
            history.add(progress)
        return history

    def __len__(self) -> int:
        """Return the number of batches."""
        return self._batches

    @property
    def errors(self) -> npt.NDArray[np.float64]:
        """Mean, least and largest error of each row."""
        rows = self._rows[: -(-self._batches // self.block)]
        rows.flags.writeable = False
        return rows

    @property
    def ends(self) -> npt.NDArray[np.intp]:
        """The number of batches up to the end of each row."""
        return np.minimum(np.arange(1, len(self.errors) + 1) * self.block, self._batches)

    def add(self, progress: Progress) -> None:
        """Add the next batch of the run."""
        if not isinstance(progress, Progress):
            raise InputError("progress", shown(progress), "an edcore.training.Progress, as train yields")
        if self._batches == ROWS * self.block:
            self._halve()
        error, (row, within) = progress.error, divmod(self._batches, self.block)
        if within:
            mean, least, largest = self._rows[row].tolist()
            self._rows[row] = mean + (error - mean) / (within + 1), min(least, error), max(largest, error)
        else:
            self._rows[row] = error
        if not self._batches:
            self._set(first_error=error)
        self._batches += 1
        self._set(latest=progress)
        self._sum, self._summed = self._sum + error, self._summed + 1
        if progress.accuracy is not None:
            self._set(mean_error=self._sum / self._summed, averaged=self._summed)
            self._sum, self._summed = 0.0, 0
            if len(self.evaluations) > 1 and self._block_of(self.evaluations[-1]) == self._block_of(progress):
                self.evaluations.pop()
            self.evaluations.append(progress)

    def set_batches(self, batches: int) -> None:
        """Set the number of batches of the whole run, which has other epochs now."""
        batches = whole_number("batches", batches, 0)
        latest = self.latest and replace(self.latest, batches=batches)
        self._set(latest=latest, evaluations=[replace(progress, batches=batches) for progress in self.evaluations])

    def to_arrays(self, more_seconds: float = 0.0) -> dict[str, npt.NDArray[np.float64]]:
        """Return the arrays of a file. The clock has gone on by so many seconds since the latest batch's `seconds`."""
        kept, latest = self.evaluations, self.latest
        seconds = np.array([progress.seconds for progress in [*kept, latest] if progress])
        seconds[-1:] += more_seconds
        if self.block == 1:  # as version 0.1 has it
            at = [progress.batch - 1 for progress in kept]
            accuracy, clock = np.full(len(self), np.nan), np.zeros(len(self))
            accuracy[at], clock[at] = [progress.accuracy for progress in kept], seconds[: len(at)]
            clock = np.maximum.accumulate(clock)
            clock[-1:] = seconds[-1:]
            return {ERROR: self.errors[:, 0], SECONDS: clock, ACCURACY: accuracy, **self._bits()}
        last = latest.error if latest else 0.0
        return {
            CURVE: self.errors,
            EVALUATIONS: np.array([(entry.batch, entry.error, entry.accuracy) for entry in kept], float).reshape(-1, 3),
            SECONDS: seconds,
            LATEST: np.array([self.first_error, last, self._sum, self.mean_error, self.averaged]),
            **self._bits(),
        }

    def _bits(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return the array of the bits of the evaluations, if they have some."""
        bits = np.array([entry.bits for entry in self.evaluations], float)  # None becomes NaN
        return {} if np.isnan(bits).all() else {BITS: bits}

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, npt.NDArray[Any]],
        batches: int,
        progress: Callable[[int, float, float, float | None], Progress],
    ) -> History:
        """Return the history of a file, or raise a KeyError or a ValueError.

        `progress` makes the progress of a batch, counted from 1, from its error, seconds and accuracy.
        """
        if CURVE not in arrays:
            columns = [_float64(arrays[key], batches).tolist() for key in (ERROR, SECONDS, ACCURACY)]
            rows = enumerate(zip(*columns, strict=True), 1)
            found = (progress(batch, error, clock, _measured(share)) for batch, (error, clock, share) in rows)
            return cls.of(found)._with_bits(arrays)._checked()
        history = cls()
        history._batches = batches
        history._set(block=1 << (max(-(-batches // ROWS), 1) - 1).bit_length())
        m = len(history.errors)
        history._rows[:m] = _float64(arrays[CURVE], m, 3)
        m = len(arrays[EVALUATIONS]) if arrays[EVALUATIONS].ndim else 0
        evaluations = _float64(arrays[EVALUATIONS], m, 3).tolist()
        clock = _float64(arrays[SECONDS], m + 1).tolist()
        first_error, error, history._sum, mean_error, averaged = _float64(arrays[LATEST], 5).tolist()
        at = [1, *(batch for batch, _, _ in evaluations), batches]
        if not (all(earlier <= later for earlier, later in pairwise(at)) and 0 <= averaged <= batches):
            raise ValueError("batches in another order")
        history._summed = batches - (int(at[-2]) if m else 0)
        kept = [progress(int(n), e, s, a) for (n, e, a), s in zip(evaluations, clock, strict=False)]
        latest = progress(batches, error, clock[-1], kept[-1].accuracy if m and at[-2] == batches else None)
        history._set(evaluations=kept, latest=latest, first_error=first_error)
        history._set(mean_error=mean_error, averaged=int(averaged))
        return history._with_bits(arrays)._checked()

    def _with_bits(self, arrays: Mapping[str, npt.NDArray[Any]]) -> History:
        """Return it with the bits of its evaluations, if a file has them."""
        if BITS in arrays:
            bits = _float64(arrays[BITS], len(self.evaluations)).tolist()
            kept = [replace(one, bits=_measured(each)) for one, each in zip(self.evaluations, bits, strict=True)]
            latest = kept[-1] if kept and self.latest and kept[-1].batch == self.latest.batch else self.latest
            self._set(evaluations=kept, latest=latest)
        return self

    def _checked(self) -> History:
        """Return it, or raise a ValueError for figures that no run has; an error may be infinite, never NaN."""
        clock = [progress.seconds for progress in [*self.evaluations, self.latest] if progress]
        found = [*clock, *(figure for one in self.evaluations for figure in (one.accuracy, one.bits))]
        finite = all(math.isfinite(figure) for figure in found if figure is not None)
        if not finite or math.isnan(self.mean_error + self._sum):
            raise ValueError("NaN or infinite figures")
        return self

    def _halve(self) -> None:
        """Join each two rows to one."""
        mean, least, largest = self._rows.reshape(-1, 2, 3).transpose(2, 0, 1)
        joined = [mean.mean(axis=1), np.fmin.reduce(least, axis=1), np.fmax.reduce(largest, axis=1)]
        self._rows[: ROWS // 2] = np.stack(joined, axis=1)
        self._set(block=2 * self.block)
        first, later = self.evaluations[:1], self.evaluations[1:]
        latest = {self._block_of(progress): progress for progress in later}
        self._set(evaluations=[*first, *latest.values()])

    def _block_of(self, progress: Progress) -> int:
        """Return the number of the row of a batch."""
        return (progress.batch - 1) // self.block


def _float64(array: npt.NDArray[Any], *shape: int) -> npt.NDArray[Any]:
    if array.shape != shape or array.dtype != np.float64:
        raise ValueError(f"{array.dtype}{list(array.shape)} in place of float64{list(shape)}")
    return array


def _measured(figure: float) -> float | None:
    return None if math.isnan(figure) else figure
