"""Callbacks after each epoch, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from edcore.arrays import HostWeights
from edcore.errors import InputError, shown


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """The argument of a callback after an epoch.

    Parameters
    ----------
    epoch : int
        Epochs learnt so far, from 1, with those of earlier calls.
    loss : float
        Mean of abs(target − output) over the training samples, each as the epoch came to it.
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
        raise InputError("callbacks", shown(callbacks), "None, a callable, or a list of callables")
    return several


class EarlyStopping:
    """Keeps the weights with the least validation loss, and stops after `patience` epochs with no gain above `tol`."""

    def __init__(self, tol: float, patience: int, state: dict[str, Any] | None = None) -> None:
        self.tol, self.patience = tol, patience
        # Two losses: the best weights count however small the gain, the wait ends only with a gain above tol.
        self.state = state or {"loss": math.inf, "mark": math.inf, "waited": 0, "score": -math.inf, "weights": None}

    @property
    def score(self) -> float:
        """The score of the epoch whose weights are kept."""
        return float(self.state["score"])

    @property
    def weights(self) -> HostWeights | None:
        """The weights with the least loss."""
        kept: HostWeights | None = self.state["weights"]
        return kept

    def stops(self, loss: float, score: float, weights: Callable[[], HostWeights]) -> bool:
        """Return whether to stop after an epoch with this loss; `weights` is called only for a new least loss."""
        now = dict(self.state)
        if now["weights"] is None or loss < now["loss"]:
            now.update(loss=loss, score=score, weights=weights())
        better = loss < now["mark"] - self.tol
        self.state = now | ({"mark": loss, "waited": 0} if better else {"waited": now["waited"] + 1})
        return bool(self.state["waited"] >= self.patience)
