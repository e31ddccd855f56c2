"""An estimator that is as it was if a call of fit raises."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from edcore.errors import DivergedError, OutOfMemoryError, said
from edcore.interrupts import uninterrupted


@contextlib.contextmanager
def restored(estimator: Any, resumed: bool, random: np.random.RandomState) -> Iterator[None]:
    """Restore estimator and network if the block raises; after Ctrl-C keep the epochs that it has learnt."""
    parameters = estimator.get_params(deep=False)
    before = {name: value for name, value in vars(estimator).items() if name not in parameters}
    ed, draws = estimator.ed_ if resumed else None, random.get_state(legacy=False)
    kept = None if ed is None else (ed.weights, ed.rule, ed.epochs, ed.x_range)
    losses = len(estimator.loss_curve_) if resumed else 0
    scores = len(estimator.validation_scores_ or ()) if resumed else 0
    try:
        yield
    except BaseException as error:
        with uninterrupted():
            new = getattr(estimator, "ed_", None)
            learnt = 0
            if new is not None and (resumed or new is not before.get("ed_")):
                learnt = int(np.max(new.epochs - (kept[2] if kept else 0)))
            if learnt and not isinstance(error, Exception):
                estimator.n_iter_ = losses + learnt
                estimator.loss_curve_ += [math.nan] * (estimator.n_iter_ - len(estimator.loss_curve_))
                if estimator.early_stopping and estimator.validation_scores_ is not None:
                    estimator.validation_scores_ += [math.nan] * (scores + learnt - len(estimator.validation_scores_))
                raise
            own = {name: value for name, value in vars(estimator).items() if name in parameters}
            estimator.__dict__ = own | before
            if ed is not None and kept is not None:
                ed.load_weights(kept[0])
                # After the weights, which the new rule may have let below its floor.
                ed.rule, ed.epochs, ed.x_range = kept[1:]
                del estimator.loss_curve_[losses:], (estimator.validation_scores_ or [])[scores:]
            random.set_state(draws)  # it may be the user's, or NumPy's
        if isinstance(error, DivergedError):
            raise error.at(error.epoch, error.batch, "The estimator is as it was before the call.") from error
        with enough_memory():
            raise


@contextlib.contextmanager
def enough_memory() -> Iterator[None]:
    """Say what needs less memory, if a block ends for want of it."""
    try:
        yield
    except MemoryError as error:
        fix = "Fewer samples, features or classes need less; partial_fit learns a part of the samples at a time."
        raise OutOfMemoryError(f"there is not enough memory for X and its outputs ({said(error)}). {fix}") from error
