"""A stage of a network on the CPU: the same kernels, without sources or outputs where it lacks those layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, HostWeights, to_numpy
from edcore.contract.stages import Stage
from edcore.core.rule import Rule

from .weights import NumbaWeights, empty, join_heads


class NumbaStage:
    """A `StageWorker` on a `NumbaCPU`. The bits are those of the whole network in one process."""

    def __init__(self, stage: Stage, weights: HostWeights, backend: Any) -> None:
        self._stage, self._backend = stage, backend
        self._network = replace(stage.network, depth=stage.depth)
        # Layers of another stage become an input layer without sources or an output layer without cells, so that the
        # kernels need not know of stages.
        heads, biases, cells = stage.network.heads, stage.network.n_bias, 2 * stage.network.widest
        empty = ((heads, 0, cells), (heads, biases, cells), (heads, cells, 0), (heads, biases, 0))
        keys = ("input.weight", "input.bias", "output.weight", "output.bias")
        lacking = {key: np.zeros(shape, self._network.dtype) for key, shape in zip(keys, empty, strict=True)}
        self._weights: NumbaWeights = backend.from_host(lacking | weights)
        self._trace: list[npt.NDArray[Any]] = []

    def begin(self, batch: int) -> None:
        """Make room for a batch."""
        hidden, slopes = self._backend.room(self._network, batch)
        self._trace = self._around(batch, hidden, slopes)

    def forward(self, rows: slice, arriving: Array) -> Array:
        """Take the rows through the layers, and keep their activities beside those of earlier rows."""
        start, stop, _ = rows.indices(len(self._trace[0]))
        return self._run(self._trace, start, stop, arriving, self._stage.depth)

    def predict(self, arriving: Array) -> Array:
        """Take the rows through the layers; the activities of two layers take turns."""
        rows, network = arriving.shape[0 if self._stage.first else 1], self._network
        hidden = empty((network.heads, min(network.depth + 1, 2), rows, 2 * network.widest), network.dtype)
        return self._run(self._around(rows, hidden, hidden[:, :0]), 0, rows, arriving, network.depth % 2)

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
        x = np.empty((batch, network.features if stage.first else 0), network.dtype)
        return [x, hidden, slopes, np.empty((network.heads, batch, 2 * network.outputs * stage.last), network.dtype)]

    def _run(
        self, trace: list[npt.NDArray[Any]], start: int, stop: int, arriving: Array, slot: int
    ) -> npt.NDArray[Any]:
        x, hidden, _, outputs = trace
        if self._stage.first:
            x[start:stop] = to_numpy(arriving)
        else:
            hidden[:, 0, start:stop] = to_numpy(arriving)
        self._backend.run(self._network, self._weights, trace, start, stop)
        if self._stage.last:
            return join_heads(self._network, outputs[:, start:stop])
        return hidden[:, slot, start:stop].copy()
