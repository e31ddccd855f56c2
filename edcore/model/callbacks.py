"""Callbacks after each epoch: the record that they get, and how one of them ends the learning."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.core.rule import Rule
from edcore.errors import InputError, shown


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """The argument of a callback after an epoch, of `ED.fit` and of the estimators.

    Parameters
    ----------
    epoch : int
        Epochs learnt so far, from 1, with those of earlier calls.
    loss : float
        Mean of abs(target − output) over the training samples, by their weights, each as the epoch came to it.
    validation_score : float or None
        Score on the validation samples; None without the early stopping of an estimator.
    estimator : EDClassifier or EDRegressor, or None
        The estimator itself, which can predict; None in `ED.fit`.
    ed : ED
        The network itself, with the weights after the epoch. That of an estimator takes scaled features.
    losses : ndarray, shape (heads,)
        The loss of each head, whose mean is `loss`. A head that has stopped at the tolerance keeps its last one.
    rule : Rule
        The rule by which the epoch was learnt: its learning rates are those of the schedule.

    Examples
    --------
    >>> import edcore
    >>> data, rates = edcore.datasets.xor(), []
    >>> ed = edcore.ED(seed=1, alpha=0.8)
    >>> _ = ed.fit(data.x_train, data.y_train, epochs=3, schedule=[1, 0.5, 0.25],
    ...            callbacks=lambda record: rates.append((record.epoch, record.rule.alpha)))
    >>> rates
    [(1, 0.8), (2, 0.4), (3, 0.2)]
    """

    epoch: int
    loss: float
    validation_score: float | None = None
    estimator: Any = None
    ed: Any = field(default=None, compare=False, repr=False)
    losses: npt.NDArray[np.float64] | None = field(default=None, compare=False, repr=False)
    rule: Rule | None = field(default=None, compare=False, repr=False)


Callback: TypeAlias = Callable[[EpochRecord], Any]


def checked_callbacks(callbacks: Any) -> tuple[Callback, ...]:
    """Return the callbacks as a tuple."""
    if callbacks is None:
        return ()
    several = tuple(callbacks) if isinstance(callbacks, list | tuple) else (callbacks,)
    if not all(callable(callback) and not isinstance(callback, type) for callback in several):
        classes = [callback.__name__ for callback in several if isinstance(callback, type)]
        fix = f"Make one: {classes[0]}()." if classes else ""
        if "History" in type(callbacks).__name__:
            fix = "edcore.History is one that keeps what is learnt."
        raise InputError("callbacks", shown(callbacks), "None, a callable, or a list of callables", fix)
    return several


def any_stops(callbacks: Iterable[Callback], record: EpochRecord) -> bool:
    """Call all callbacks; return whether one of them returns True."""
    answers = [callback(record) for callback in callbacks]
    return any(_is_true(answer) for answer in answers)


def _is_true(answer: Any) -> bool:
    """Return whether this is True, also of an array library; what else a callback returns means nothing."""
    if isinstance(answer, bool):
        return answer
    single = getattr(answer, "ndim", None) == 0
    return single and "bool" in str(getattr(answer, "dtype", "")) and bool(answer)
