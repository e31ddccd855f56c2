"""A stage of a network on the CPU: the same kernels, with no sources or no outputs where it lacks the layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, HostWeights, to_numpy
from edcore.contract.stages import Stage
from edcore.core.rule import Rule

from .weights import Own, columns

if TYPE_CHECKING:
    from .backend import NumbaCPU


class NumbaStage:
    """See `edcore.contract.stages.StageWorker`. The bits are those of the whole network in one process.

    Parameters
    ----------
    stage, weights
        As for `edcore.contract.stages.Staged.stage`.
    backend : NumbaCPU
        What runs the kernels.
    """

    def __init__(self, stage: Stage, weights: HostWeights, backend: NumbaCPU) -> None:
        self._stage, self._backend = stage, backend
        self._network = replace(stage.network, depth=stage.depth)  # of the stage's size
        # Where a layer is another stage's: an input layer with no sources, an output layer with no cells.
        heads, biases, cells = stage.network.heads, stage.network.n_bias, 2 * stage.network.width
        none = ((heads, 0, cells), (heads, biases, cells), (heads, cells, 0), (heads, biases, 0))
        keys = ("input.weight", "input.bias", "output.weight", "output.bias")
        lacking = {key: np.zeros(shape, self._network.dtype) for key, shape in zip(keys, none, strict=True)}
        self._weights: Own = backend.from_host(lacking | weights)
        self._trace: list[npt.NDArray[Any]] = []

    def begin(self, batch: int) -> None:
        """Make room for a batch."""
        hidden, slopes = self._backend.room(self._network, batch)
        self._trace = self._around(batch, hidden, slopes)

    def forward(self, rows: slice, arriving: Array) -> Array:
        """Take the rows through the layers, beside those that came before."""
        start, stop, _ = rows.indices(len(self._trace[0]))
        return self._passed(self._trace, start, stop, arriving, self._stage.depth)

    def predict(self, arriving: Array) -> Array:
        """Take the rows through the layers; the activities of two layers take turns."""
        rows, network = arriving.shape[0 if self._stage.first else 1], self._network
        hidden = np.empty((network.heads, min(network.depth + 1, 2), rows, 2 * network.width), network.dtype)
        return self._passed(self._around(rows, hidden, hidden[:, :0]), 0, rows, arriving, network.depth % 2)

    def update(self, rule: Rule, error: Array) -> None:
        """Let all layers learn, in place."""
        self._backend.update(self._network, rule, self._weights, self._trace, error)

    def to_host(self) -> HostWeights:
        """Return a copy of the weights."""
        weights = self._backend.to_host(self._weights)
        return {key: weights[key] for key in self._stage.weight_shapes}

    def _around(self, batch: int, hidden: Array, slopes: Array) -> list[npt.NDArray[Any]]:
        """Return the trace of a batch, with room for x and the outputs where the stage has them."""
        network, stage = self._network, self._stage
        x = np.empty((batch, network.in_ if stage.first else 0), network.dtype)
        return [x, hidden, slopes, np.empty((network.heads, batch, 2 * network.outputs * stage.last), network.dtype)]

    def _passed(
        self, trace: list[npt.NDArray[Any]], start: int, stop: int, arriving: Array, slot: int
    ) -> npt.NDArray[Any]:
        x, hidden, _, outputs = trace
        if self._stage.first:
            x[start:stop] = to_numpy(arriving)
        else:
            hidden[:, 0, start:stop] = to_numpy(arriving)
        self._backend.run(self._network, self._weights, trace, start, stop)
        if self._stage.last:
            return columns(self._network, outputs[:, start:stop])
        return hidden[:, slot, start:stop].copy()
