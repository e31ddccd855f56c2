"""Callbacks after each epoch, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from edcore.arrays import HostWeights
from edcore.errors import InputError


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """The argument of a callback after an epoch.

    Parameters
    ----------
    epoch : int
        Epochs learnt so far, from 1, with those of earlier calls.
    loss : float
        Mean of abs(target − output) over the training samples, after the epoch.
    validation_score : float or None
        Score on the validation samples; None without early stopping.
    estimator : EDClassifier or EDRegressor
        The estimator itself, which can predict.
    """

    epoch: int
    loss: float
    validation_score: float | None
    estimator: Any


Callback: TypeAlias = Callable[[EpochRecord], Any]


def checked_callbacks(callbacks: Any) -> tuple[Callback, ...]:
    """Return the callbacks as a tuple."""
    if callbacks is None:
        return ()
    several = tuple(callbacks) if isinstance(callbacks, list | tuple) else (callbacks,)
    if not all(callable(callback) for callback in several):
        raise InputError("callbacks", repr(callbacks), "None, a callable, or a list of callables")
    return several


class EarlyStopping:
    """Keeps the weights with the best validation score, and stops after `patience` epochs with no gain above `tol`."""

    def __init__(self, tol: float, patience: int) -> None:
        self.tol, self.patience = tol, patience
        # Two scores: the best weights count however small the gain, the wait ends only with a gain above tol.
        self.score = self._mark = -math.inf
        self.weights: HostWeights | None = None
        self._waited = 0

    def stops(self, score: float, weights: Callable[[], HostWeights]) -> bool:
        """Return whether to stop after an epoch with this score; `weights` is called only for a new best score."""
        if self.weights is None or score > self.score:
            self.score, self.weights = score, weights()
        if score > self._mark + self.tol:
            self._mark, self._waited = score, 0
        else:
            self._waited += 1
        return self._waited >= self.patience
