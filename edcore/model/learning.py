"""The steps in which a bound network learns: forward, update, and epochs in calls to its backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, Located, Place
from edcore.contract.steps import Schedule
from edcore.core.activations import readout
from edcore.core.randomness import permutation
from edcore.core.rule import Rule
from edcore.errors import InputError
from edcore.interrupts import uninterrupted
from edcore.model.bound import BoundNetwork
from edcore.model.guard import Guard, Reach
from edcore.model.inputs import Samples, sum_of_squares
from edcore.model.layer_errors import check_layer_errors
from edcore.model.out_of_memory import explain_memory

VISITS = 2**12, 2**20
"""Visits to samples in `fit`'s first call to a backend, and the most in one call: a larger epoch is a call alone."""


class Early(NamedTuple):
    """A forward pass of samples whose values have not been looked at."""

    outputs: Array
    trace: Any
    error: Array


class LearningNetwork(BoundNetwork):
    """A bound network that learns samples which have been checked."""

    def _guarded(self, rule: Rule | None = None) -> Guard:
        """Return the guard of the weights, under this rule or else that of the network as it is now."""
        rule = self._rule if rule is None else rule
        if self._guard is None or self._guard.rule is not rule:
            self._guard = Guard(self._bind(None), self._network, rule)
        return self._guard

    def _trace(self, x: Located, early: Early | None = None) -> tuple[Array, Any, Reach]:
        """Return the outputs for a checked x, the trace, and the most that they could have come to."""
        backend, samples = self._bind(x), x.array.shape[0]
        self._check_memory(samples)
        guard = self._guarded()
        try:
            reach = guard.reach(self._weights, x)
            if early is not None:
                guard.check_outputs(self._weights, x, early.outputs, reach)
                return early.outputs, early.trace, reach
            if samples:
                outputs, trace = guard.trace(self._weights, x, self._handed(x.array, x.place), reach)
            else:
                outputs, trace = backend.forward(self._network, self._weights, self._handed(x.array, x.place)), None
            return self._returned(outputs, x), trace, reach
        except Exception as error:
            explain_memory(error, self._network, backend, samples)
            raise

    def _trace_early(self, samples: Samples) -> Early | None:
        """Run forward before the values of x and target are known, where the guard needs the errors of a device.

        The errors' squares are then read together with those values. Nothing is learnt, so these can still be refused.
        """
        x, network = samples.x, self._network
        if x.place.device == "cpu" or readout(network.output_activation).highest < np.inf:
            return None
        batch = x.array.shape[0]
        if self._backend is None or self._rule.samples_per_update(batch) < batch:
            return None
        try:
            self._check_memory(batch)
            with np.errstate(all="ignore"):
                outputs, trace = self._backend.trace(network, self._weights, self._handed(x.array, x.place))
                outputs = self._returned(outputs, x)
                return Early(outputs, trace, samples.target.array - outputs)
        except Exception:  # the step raises it again, and says more, if it accepts the values
            return None

    def _step(self, x: Located, target: Array, early: Early | None = None, square: float = np.inf) -> Array:
        """Learn a batch, whose errors' squares are at most `square` if it has run forward early."""
        outputs, trace, reach = self._trace(x, early)
        if early is not None:
            error = early.error
        else:
            error = target - outputs
            # Targets are in the range of the outputs: where that is bounded so are the errors, and nothing is added up.
            square = self._guarded().farthest_square
            square = square if square < np.inf else sum_of_squares(error, x.place.device)
        self._learn(x, reach, trace, error, x.place, square)
        return outputs

    def _learn(self, x: Located, reach: Reach, trace: Any, error: Array, place: Place, square: float) -> None:
        """Learn the errors of a forward pass, whose squares are at most `square`."""
        handed = self._handed(error, place)
        handed = handed if len(handed.shape) == 2 else handed[:, None]
        self._apply(x, reach, trace, handed, square)

    def _learn_layers(self, errors: Sequence[Any], pending: tuple[Located, Reach, Any, tuple[int, ...]]) -> None:
        """Let each layer learn from its own error, from the trace of the last call."""
        x, reach, trace, shape = pending
        found = check_layer_errors(errors, self._network, shape, x.place, self._bind(None))
        self._check_batch(shape[0])
        handed = [self._handed(error.array, error.place) for error in found]
        handed = [error[:, None] if len(error.shape) == 1 else error for error in handed]
        self._apply(x, reach, trace, handed, max(error.square for error in found))

    def _apply(self, x: Located, reach: Reach, trace: Any, errors: Array | list[Array], square: float) -> None:
        """Update the weights for errors as the backend takes them: those of the outputs, or a list of each layer's."""
        self._pending = None
        try:
            self._weights = self._guarded().update(self._weights, x, reach, trace, errors, square)
        except Exception as raised:
            explain_memory(raised, self._network, self._bind(None), x.array.shape[0])
            raise

    def _check_batch(self, samples: int) -> None:
        """Refuse an update from no samples, or by an online rule from several."""
        if samples == 0:
            raise InputError("error", "an empty batch", "at least one sample")
        if self._rule.samples_per_update(samples) < samples:
            fix = "Use step or fit, which go through a batch one by one."
            raise InputError("error", f"{samples} samples", "one sample, as the rule is online", fix)

    def _orders(self, n: int, first: int, until: int, shuffle: bool) -> npt.NDArray[np.intp]:
        """Return the order of visits in each epoch, (epochs, n)."""
        if shuffle:
            return np.stack([permutation(self._seed, epoch, n) for epoch in range(first, until)])
        return np.broadcast_to(np.arange(n), (until - first, n))


class Fit:
    """Checked samples that a network learns, some epochs in each call to its backend, until all heads have stopped."""

    def __init__(
        self,
        ed: LearningNetwork,
        x: Located,
        target: Array,
        batch_size: int,
        shuffle: bool,
        tolerance: float = 0.0,
        weights: npt.NDArray[np.floating] | None = None,
    ) -> None:
        self._ed, self._samples = ed, x.array.shape[0]
        self.rule = ed._rule
        self._batch = self.rule.samples_per_update(min(batch_size, self._samples))
        ed._bind(x, self._batch)
        ed._check_memory(self._batch)
        self._x, target = ed._handed(x.array, x.place), ed._handed(target, x.place)
        self._target = target if len(target.shape) == 2 else target[:, None]
        self._square = x.square
        self._shuffle, self._weights = shuffle, weights
        self._options: dict[str, Any] = {"batch_size": batch_size, "tolerance": tolerance, "weights": weights}
        self.learning = np.ones(ed._network.heads, np.bool_)
        self.losses = np.full(ed._network.heads, np.nan)  # of each head in the last epoch that it has learnt
        self.first = int(ed._epochs.max())  # the next epoch

    def learn_all(self, epochs: int) -> None:
        """Learn some epochs, many small ones in one call to the backend."""
        last, visits = self.first + epochs, VISITS[0]
        while self.first < last and self.learning.any():
            self.learn(min(last - self.first, max(1, visits // self._samples)))
            visits = min(2 * visits, VISITS[1])

    def learn_epoch(self, rule: Rule | None = None) -> npt.NDArray[np.float64]:
        """Learn one epoch.

        Returns each head's mean of abs(target − output) over the samples, by their weights, each as it was visited.
        """
        errors, learning = np.zeros((1, len(self.learning))), self.learning.copy()
        self.learn(1, rule, errors)
        total = self._samples if self._weights is None else float(self._weights.sum(dtype=np.float64))
        self.losses = np.where(learning, errors[0] / (total * self._ed._network.outputs), self.losses)
        return self.losses

    def learn(self, epochs: int, rule: Rule | None = None, errors: npt.NDArray[np.float64] | None = None) -> None:
        """Learn some epochs in one call to the backend, under this rule or else the network's; fill in `errors`.

        These are (epochs, heads), and become the sums that `Schedule.errors` describes.
        """
        ed, until = self._ed, self.first + epochs
        orders = ed._orders(self._samples, self.first, until, self._shuffle)
        schedule = Schedule(orders=orders, learning=self.learning.copy(), errors=errors, **self._options)
        ed._pending = None
        try:
            guard = ed._guarded(rule)
            learned, stopped = guard.fit(ed._weights, self._x, self._target, schedule, self.first, self._square)
        except Exception as error:
            explain_memory(error, ed._network, ed._bind(None), self._batch, samples=self._samples)
            raise
        with uninterrupted():  # or an interrupt between the two would count epochs that were not kept
            ed._weights = learned
            ed._epochs[self.learning] += np.where(stopped, stopped, epochs)[self.learning]
        self.learning &= stopped == 0
        self.first = until
