"""Weights that stay finite: an update that would make them NaN or infinite does not count, and an error says where.

Checking all weights after each step would cost as much as the step. So the guard keeps a bound on them. With N the
Frobenius norm of all weights, the sums of a layer have at most the norm N (|a| + |bias|), for sources of norm |a|, and
one update adds to N at most

    α · Σ_b |a_b| · |E_b| · |g(y_b)|        over all layers that learn

(by the inequality of Cauchy and Schwarz; see `edcore.core.method` for ΔW). Targets t and outputs y are between the
least and the largest activity of the output cells, so |e| = |t − y| is at most their distance. Only the errors of cells
without such bounds are added up; on a device that sum is read together with the checks of x and t.

While these bounds are far below the largest number of the dtype nothing can overflow, and nothing is checked. That is
so for all cells of bounded activity, as the sigmoid's is, unless learning rates or inputs are enormous. Otherwise the
weights are measured; and if even that does not show that the next update is harmless, the weights from before it are
kept until the new ones are checked.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, HostWeights, Located, Weights, to_numpy
from edcore.contract.backend import Backend, LearnsByLayer, run_schedule
from edcore.contract.steps import Schedule, batches, run_forward
from edcore.core.activations import ACTIVATIONS, FUNCTIONS, readout
from edcore.core.method import RMS_EPS
from edcore.core.network import Network
from edcore.core.rule import MEAN, Rule
from edcore.model.divergence import Divergence, Found, finite, first_in_activities, first_in_weights, outputs_of
from edcore.model.inputs import squares_of

MARGIN = 2.0**-24
"""Share of a dtype's largest number that bounds may come to: room for rounding, and for the order of a product."""

STEPS, ROOM = 2**12, 4.0
"""Updates that are allowed at once, and how much larger than in the last one their samples and errors may be."""


class Reach(NamedTuple):
    """The most that a batch can come to: bounds on the norms of a sample's activities and of a layer's sums."""

    size: float  # of x
    activities: float
    sums: float


ALLOWED = Reach(0.0, 0.0, 0.0)
"""Of a batch that was allowed beforehand."""


class Guard:
    """The bound on the weights of one network under one rule."""

    def __init__(self, backend: Backend, network: Network, rule: Rule) -> None:
        self.rule = rule
        self._backend, self._network = backend, network
        self._norm = math.inf  # of the weights, or a bound on it
        self._measured = False  # whether it is the norm
        self._left = 0  # updates that are in the bound already
        self._allowed = 0, 0.0, 0.0  # for at most these samples, and sums of squares of x and of errors
        cells, info = 2 * network.widest, np.finfo(network.dtype)
        self._largest = float(info.max)
        self._most = self._largest * MARGIN
        self._most_sums = math.sqrt(self._most) if network.rms else self._most  # which are squared there
        self._rounding = 4 * float(info.eps)  # of an update, as a share
        inner, outer = FUNCTIONS[network.activation], readout(network.output_activation)
        highest = inner.largest
        if network.rms and network.activation in ("relu", "linear"):
            highest = 1.0  # sums are divided by their root, so it bounds the norm of a layer's cells
        self._inner = highest * math.sqrt(cells)
        # Of one that was registered, nobody knows that abs(f(z)) is at most abs(z).
        self._unknown = self._inner == math.inf and network.activation not in ACTIVATIONS
        self._bias = abs(network.bias) * math.sqrt(network.n_bias)
        self._farthest = outer.highest - outer.lowest  # the largest error, for targets that such cells can reach
        # RMS brings g the factor 1 / r, and r² is at least RMS_EPS. Centring can double an error. The norm over all
        # layers is at most √layers times that of one, likewise over cells and heads.
        slope = max(inner.steepest, outer.steepest) / (math.sqrt(RMS_EPS) if network.rms else 1.0)
        learning = network.heads * (network.depth + 2) * max(cells, len(network.output_signs))
        self._gain = slope * (2 if rule.centred else 1) * math.sqrt(learning)
        self._rate = max(rule.alpha, rule.alpha_output)
        # A clamp raises each weight to the floor at most.
        self._floor = 0.0 if rule.floor is None else rule.floor * math.sqrt(network.parameters)

    def reach(self, weights: Weights, x: Located) -> Reach:
        """Return the most that a batch can come to."""
        if self._left and x.array.shape[0] <= self._allowed[0] and x.square <= self._allowed[1]:
            return ALLOWED
        return self._reach_from(weights, x.square)

    def trace(self, weights: Weights, x: Located, handed: Array, reach: Reach) -> tuple[Array, Any]:
        """Return what `Backend.trace` returns for x, handed on as the backend takes it; refuse infinite outputs."""
        if reach.sums <= self._most_sums:
            return self._backend.trace(self._network, weights, handed)
        with np.errstate(all="ignore"):  # the check below finds an overflow
            outputs, trace = self._backend.trace(self._network, weights, handed)
        self.check_outputs(weights, x, outputs, reach)
        return outputs, trace

    def check_outputs(self, weights: Weights, x: Located, outputs: Array, reach: Reach) -> None:
        """Refuse outputs for x that are infinite."""
        if not reach.sums <= self._most_sums and not finite(to_numpy(outputs)):
            raise self._divergence(weights, x.array, outputs=outputs).error()

    def update(
        self, weights: Weights, x: Located, reach: Reach, trace: Any, error: Array | list[Array], square: float
    ) -> Weights:
        """Return the weights after `Backend.update`, for errors whose squares are at most `square`, each or in all.

        A list has an error for each layer, and `square` is that of the largest. If the weights would not be finite,
        that is a DivergedError, and those that were given have their values.
        """
        backend, network = self._backend, self._network
        learn: Any = backend.update
        if isinstance(error, list):
            learn, batch = cast(LearnsByLayer, backend).update_layers, error[-1].shape[-2]
        else:
            batch = error.shape[0]
        if reach is ALLOWED:
            if self._left and square <= self._allowed[2]:
                self._left -= 1
                return learn(network, self.rule, weights, trace, error)
            reach = self._reach(math.sqrt(x.square))
        most = math.sqrt(square)
        norm = self._after(reach, batch, most)
        if not norm <= self._most and not self._measured:
            self._measure(weights)
            norm = self._after(self._reach(reach.size), batch, most)
        if norm <= self._most:
            # Set beforehand, as an interrupt can come at the end of the update: a bound may be too large, never small.
            self._norm, self._measured = norm, False
            new = learn(network, self.rule, weights, trace, error)
            self._allow(reach.size, batch, most)
            return new
        with np.errstate(all="ignore"):  # the check below finds an overflow
            new = learn(network, self.rule, backend.copy(weights), trace, error)
        if not self._measure(new):
            self._measure(weights)
            raise self._divergence(weights, x.array, after=new).error()
        return new

    @property
    def farthest_square(self) -> float:
        """A bound on the square of each error, for targets that the outputs can reach; infinity if there is none."""
        return self._farthest**2

    def fit(
        self, weights: Weights, x: Array, target: Array, schedule: Schedule, first: int, square: float
    ) -> tuple[Weights, npt.NDArray[np.intp]]:
        """Return what `Backend.fit` returns, for x whose squares add up to at most `square`, after `first` epochs.

        If the weights would not be finite, that is a DivergedError, and those that were given have their values.
        """
        backend, network, rule = self._backend, self._network, self.rule
        epochs, samples = schedule.orders.shape
        batch = rule.samples_per_update(min(schedule.batch_size, samples))
        most = self._farthest
        if schedule.weights is not None:  # to centre errors by a weighted mean can double them
            most *= max(1.0, float(schedule.weights.max())) * (2 if rule.centred else 1)
        norm = math.inf  # without bounds on activities and errors, each step can multiply it
        if max(self._inner, self._farthest) < math.inf:
            reach, steps = self._reach_from(weights, square), epochs * math.ceil(samples / batch)
            norm = self._after(reach, batch, most, steps)
        if norm <= self._most:
            fitted = run_schedule(backend, network, rule, weights, x, target, schedule)
            self._norm, self._measured = norm, False
            return fitted
        with np.errstate(all="ignore"):
            fitted = run_schedule(backend, network, rule, weights, x, target, schedule)
            if not self._measure(fitted[0]):
                try:
                    raise self._find_step(weights, x, target, schedule).error(first)
                finally:  # the search has measured other weights on its way
                    self._norm, self._measured = math.inf, False
        return fitted

    def _reach_from(self, weights: Weights, square: float) -> Reach:
        """Return the reach of x, from the weights as they are if the bound on them has grown too large."""
        size = math.sqrt(square)
        found = self._reach(size)
        if not found.sums <= self._most_sums and not self._measured:
            self._measure(weights)
            found = self._reach(size)
        return found

    def _reach(self, size: float) -> Reach:
        """Return the reach of x of this norm, which enters both streams."""
        norm, bias, entered = self._norm, self._bias, math.sqrt(2) * size
        if self._inner < math.inf:
            most = max(entered, self._inner)
            return Reach(size, most, norm * (most + bias))
        if self._unknown:
            return Reach(size, math.inf, math.inf)
        activities = sums = most = entered
        for _ in range(self._network.depth + 2):
            sums = norm * (activities + bias)
            if sums <= activities or not sums <= self._most:  # from here on they shrink, or they are too large already
                break
            most, activities = activities, sums
        return Reach(size, max(most, activities), max(sums, activities))

    def _after(self, reach: Reach, batch: int, most: float, steps: int = 1) -> float:
        """Return a bound on the norm of the weights after updates for errors of at most `most`; infinity for none."""
        sources = reach.activities + self._bias
        errors = 1 if MEAN[self.rule.reduction] else batch
        added = self._rate * errors * most * self._gain * sources + self._floor
        # No factor of an update, and no partial sum of its products, may overflow either.
        largest = batch * max(most, 1.0) * self._gain * max(self._rate, 1.0) * max(sources, 1.0)
        norm = (self._norm + steps * added) * math.exp(min(steps * self._rounding, 500.0))
        sums = max(reach.sums, norm * sources if steps > 1 else 0.0)
        return norm if sums <= self._most_sums and largest <= self._most else math.inf

    def _allow(self, size: float, batch: int, most: float) -> None:
        """Add many further updates to the bound, so that each needs no more than a comparison with its samples."""
        if self._inner < math.inf:
            size, batch, most = ROOM * size, int(ROOM * batch), ROOM * most
            norm = self._after(self._reach(size), batch, most, STEPS)
            if norm <= self._most:
                self._norm, self._left = norm, STEPS
                # A sum of squares that overflows is above any number.
                self._allowed = batch, min(size * size, self._largest), min(most * most, self._largest)

    def _measure(self, weights: Weights) -> bool:
        """Set the norm to that of the weights; return whether they are finite."""
        self._left = 0
        host = self._backend.to_host(weights)
        norm = _norm(host)
        if norm < math.inf:
            self._norm, self._measured = norm, True
            return True
        if not all(finite(value) for value in host.values()):
            return False
        # The squares overflow, and the weights do not: the largest of them gives a bound.
        largest = max(float(abs(value).max(initial=0.0)) for value in host.values())
        self._norm, self._measured = largest * math.sqrt(self._network.parameters), True
        return True

    def _divergence(
        self, weights: Weights, x: Array, *, outputs: Array | None = None, after: Weights | None = None
    ) -> Divergence:
        """Return which layer stopped being finite first: in the forward pass, else in the update after it."""
        to_host, network = self._backend.to_host, self._network
        found = first_in_activities(network, to_host(weights), to_numpy(x))
        if found is None and outputs is not None and not finite(to_numpy(outputs)):
            return outputs_of(network, self.rule, to_numpy(outputs))  # the backend overflowed, and NumPy did not
        if found is None and after is not None:
            found = first_in_weights(to_host(after))
        return Divergence(network, self.rule, *cast(Found, found))  # something was wrong, or nobody would ask

    def _find_step(self, weights: Weights, x: Array, target: Array, schedule: Schedule) -> Divergence:
        """Repeat a schedule that diverged, and return what stopped being finite, and in which step.

        Weights that are NaN stay so. So the first epoch after which some are is found by halving, and only that epoch
        is repeated step by step.
        """
        backend, orders, learning = self._backend, schedule.orders, schedule.learning.copy()
        good, bad = 0, len(orders)
        after = None
        while bad - good > 1 or after is None:
            middle = max((good + bad) // 2, good + 1)
            part = replace(schedule, orders=orders[good:middle], learning=learning.copy(), errors=None)
            new, stopped = run_schedule(backend, self._network, self.rule, weights, x, target, part)
            if middle < bad and self._measure(new):
                weights, good = new, middle
                learning &= stopped == 0
            else:
                bad, after = middle, new
        weights = backend.copy(weights)
        size = self.rule.samples_per_update(schedule.batch_size)
        for number, batch in enumerate(batches(orders[good], size), 1):
            given = schedule.weights
            forward = run_forward(backend, self._network, self.rule, weights, (x, target), batch, learning, given)
            kept = backend.to_host(weights)
            weights = backend.update(self._network, self.rule, weights, forward.trace, forward.learnt)
            if not self._measure(weights):
                before = backend.from_host(kept)
                found = self._divergence(before, forward.x, outputs=forward.outputs, after=weights)
                return found._replace(epoch=good + 1, batch=number, fitted=True)
        # Step by step, rounding has led elsewhere in the last digits, and nothing overflowed. The epoch is known.
        last = first_in_weights(backend.to_host(after))
        return Divergence(self._network, self.rule, *cast(Found, last), epoch=good + 1, fitted=True)


def _norm(weights: HostWeights) -> float:
    """Return the Frobenius norm; infinity where it is too large, or a weight is not finite."""
    squares = sum(squares_of(value) for value in weights.values())
    return math.sqrt(squares) if squares < math.inf else math.inf
