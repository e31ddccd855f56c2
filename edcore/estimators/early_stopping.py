"""Early stopping: the weights with the least validation loss are kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from edcore.arrays import HostWeights


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
