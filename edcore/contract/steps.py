"""The steps of a run over samples: which samples each update takes, and the errors that it learns.

`Backend.fit` goes through a run by these where a backend has nothing faster, and the guard does where it looks for the
step in which learning diverged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, Weights, like, rows
from edcore.core.method import weighted_error
from edcore.core.network import Network
from edcore.core.rule import Rule

Numbers = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """Which samples `Backend.fit` visits, in which order, and when a head has learnt enough.

    Parameters
    ----------
    orders : ndarray of intp, shape (epochs, samples)
        For each epoch, the rows of x in the order of their visit. Perhaps read-only, or a view with strides of 0.
    batch_size : int
        Samples in a batch; the last one of an epoch may be smaller. An online rule visits one by one all the same.
    tolerance : float
        A head stops after the first epoch in which its sum of abs(target − output) over its outputs and the samples,
        each as it was visited, is below this (Kaneko 1999: 0.1). With 0 none stops. Weights are factors in that sum.
    learning : ndarray of bool, shape (heads,)
        The heads that learn; the others keep every bit (a weight of −0.0 may become 0.0).
    weights : ndarray of the network's dtype, shape (samples,), or None
        For each row of x the weight with which it is learnt, at least 0, see `edcore.core.weighted_error`; None for 1.
        Only a `fit` that is marked with `takes_weights` is given some, see there.
    errors : ndarray of float64, shape (epochs, heads), or None
        Room for that sum of each epoch and head, 0 now; None if nobody asks for them. An epoch in which a head does not
        learn keeps its 0. Only a `fit` that is marked with `fills_errors` is given some.
    """

    orders: npt.NDArray[np.intp]
    batch_size: int
    tolerance: float
    learning: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.floating] | None = None
    errors: npt.NDArray[np.float64] | None = None

    @property
    def counts_errors(self) -> bool:
        """Whether a `fit` needs the sums of the errors of each epoch."""
        return self.tolerance > 0 or self.errors is not None

    def end_epoch(
        self,
        epoch: int,
        sums: npt.NDArray[np.floating],
        learning: npt.NDArray[np.bool_],
        stopped: npt.NDArray[np.intp],
    ) -> bool:
        """Keep the errors of an epoch, and stop the heads whose errors are small enough.

        Parameters
        ----------
        epoch : int
            Its number, from 1.
        sums : ndarray, shape (heads,)
            The sums of abs(target − output).
        learning : ndarray of bool, shape (heads,)
            The heads that have learnt in it; becomes those that go on.
        stopped : ndarray of intp, shape (heads,)
            What `Backend.fit` will return; gets the epoch for the heads that stop.

        Returns
        -------
        bool
            Whether a head stops.
        """
        if self.errors is not None:
            self.errors[epoch - 1, learning] = sums[learning]
        done = learning & (sums < self.tolerance)
        stopped[done] = epoch
        learning &= ~done
        return bool(done.any())


class Forward(NamedTuple):
    """A forward pass of one batch: the samples, their outputs, what `Backend.update` needs, and the errors."""

    x: Array
    outputs: Array
    trace: Any
    error: Array  # target − output, 0 for the heads that do not learn
    learnt: Array  # the error that `Backend.update` is given: with the weights of the samples


class Traces(Protocol):
    """The part of a `Backend` that runs forward."""

    def trace(self, network: Network, weights: Weights, x: Array) -> tuple[Array, Any]:
        """Return the outputs for x, and what `update` will need."""
        ...


def batches(order: Numbers, size: int) -> Iterator[Numbers]:
    """Yield the rows of each batch of an epoch; the last batch may be smaller."""
    for start in range(0, len(order), size):
        yield order[start : start + size]


def run_forward(
    backend: Traces,
    network: Network,
    rule: Rule,
    weights: Weights,
    samples: tuple[Array, Array],
    batch: Numbers,
    learning: npt.NDArray[np.bool_],
    sample_weights: npt.NDArray[np.floating] | None,
) -> Forward:
    """Return the forward pass of some rows of x and target, with errors of 0 for the heads that do not learn."""
    x, target = (rows(array, batch) for array in samples)
    outputs, trace = backend.trace(network, weights, x)
    error = like(target, outputs) - outputs
    if not learning.all():  # an error of 0 leaves every bit of a head
        error = error * like(np.repeat(learning, network.outputs).astype(network.dtype), error)
    if sample_weights is None:
        return Forward(x, outputs, trace, error, error)
    weight = like(sample_weights[batch], error)
    return Forward(x, outputs, trace, weight[:, None] * error, weighted_error(rule, error, weight))
