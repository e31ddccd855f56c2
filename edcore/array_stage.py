"""A stage of a network met with `edcore.core`, for any library that follows the Array API standard."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from array_api_compat import array_namespace

from edcore import core
from edcore.backend import Array, HostWeights
from edcore.core import Cells, Trace
from edcore.libraries import to_numpy
from edcore.rule import Rule
from edcore.stages import Stage

__all__ = ["ArrayStage"]


class ArrayStage:
    """See `edcore.stages.StageWorker`.

    Parameters
    ----------
    stage, weights
        As for `edcore.stages.Staged.stage`.
    own : callable
        ``own(array)`` returns an array of the library, on the device.
    exact : callable
        ``with exact():`` has the library compute in full precision, on the device.
    """

    def __init__(
        self,
        stage: Stage,
        weights: HostWeights,
        own: Callable[[Array], Array],
        exact: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._stage, self._own, self._exact = stage, own, exact
        self._weights = {key: own(value) for key, value in weights.items()}
        self._parts: list[Trace] = []

    def begin(self, batch: int) -> None:
        """Forget the batch before."""
        self._parts = []

    def forward(self, rows: slice, arriving: Array) -> Array:
        """Take the rows through the layers, and keep their activities."""
        with self._exact():
            self._parts.append(tuple(core.passed(self._stage.network, self._weights, self._entering(arriving))))
            return self._leaving(self._parts[-1][-1])

    def update(self, rule: Rule, error: Array) -> None:
        """Learn from all parts of the batch as one."""
        with self._exact():
            trace = tuple(map(_together, zip(*self._parts, strict=True)))
            error = self._own(error)
            self._weights = core.update(self._stage.network, rule, self._weights, trace, error)
        self._parts = []

    def predict(self, arriving: Array) -> Array:
        """Take the rows through the layers, keeping no more than one layer's activities."""
        with self._exact():
            for cells in core.passed(self._stage.network, self._weights, self._entering(arriving)):
                last = cells
            return self._leaving(last)

    def to_host(self) -> HostWeights:
        """Return a copy of the weights."""
        return {key: to_numpy(value).copy() for key, value in self._weights.items()}

    def _entering(self, arriving: Array) -> Cells:
        own = self._own(arriving)
        return core.entering(own) if self._stage.first else Cells(own, None)

    def _leaving(self, cells: Cells) -> Array:
        return core.outputs(self._stage.network, cells.y) if self._stage.last else cells.y


def _together(parts: tuple[Cells, ...]) -> Cells:
    """Return the cells of one layer for all rows of a batch."""
    if len(parts) == 1:
        return parts[0]
    xp = array_namespace(parts[0].y)
    slopes = [cells.slope for cells in parts if cells.slope is not None]
    return Cells(xp.concat([cells.y for cells in parts], axis=1), xp.concat(slopes, axis=1) if slopes else None)
