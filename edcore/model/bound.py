"""A network bound to a backend: its weights, and the steps in which it learns. `ED` is its public face."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edcore.arguments import value_range
from edcore.arrays import HOST, Array, HostWeights, Located, Place, check_fork, like, to_numpy
from edcore.contract.backend import Backend
from edcore.contract.memory import host_room
from edcore.contract.steps import Schedule
from edcore.core.activations import FUNCTIONS
from edcore.core.network import Network
from edcore.core.presets import PRESETS
from edcore.core.randomness import checked_seed, permutation
from edcore.core.rule import Rule, check_together
from edcore.core.weights import initialise
from edcore.dispatch import registry
from edcore.dispatch.choose import Request, check_support, choose_backend
from edcore.environment import VERSION, of_version
from edcore.errors import InputError, shown
from edcore.interrupts import ForkLock, uninterrupted
from edcore.model.attributes import described, refused
from edcore.model.guard import Guard, Reach
from edcore.model.inputs import Samples, checked_weights, checked_x, see_samples, sum_of_squares
from edcore.model.out_of_memory import check_room, explain_memory, largest_batch, too_much

VISITS = 2**12, 2**20
"""Visits to samples in `fit`'s first call to a backend, and the most in one call: a larger epoch is a call alone."""

MOST_EPOCHS = 2**62
"""Far from the largest whole number that counts them."""


class Early(NamedTuple):
    """A forward pass of samples whose values have not been looked at."""

    outputs: Array
    trace: Any
    error: Array


class BoundNetwork:
    """A network and a rule, which the first x binds to a backend."""

    def _begin(self, network: Network, in_known: bool, rule: Rule, seed: int, request: Request) -> None:
        """Set every attribute, with no backend yet."""
        self._rule = rule
        self._seed = seed
        self._x_range: tuple[float, float] | None = None
        self._network = network
        self._in_known = in_known
        self._request = request
        self._binding = ForkLock()
        self._backend: Backend | None = None
        self._follows: Place | None = None  # the place of the first x, where auto has followed it
        self._most = 0  # samples in a batch, by the memory of the backend's device
        self._start: HostWeights | None = None  # weights that were set before there was a backend
        self._weights: Any = None  # the backend's own
        self._pending: tuple[Located, Reach, Any, tuple[int, ...]] | None = None  # of the last call, for `update`
        self._guard: Guard | None = None
        if network.heads > 2**20 and 8 * network.heads > host_room():  # to count the epochs of fewer takes little
            raise InputError("heads", str(network.heads), "as many as fit into memory")
        self._epochs = np.zeros(network.heads, np.intp)
        self._own = {"_own", *vars(self)}  # all other attributes are a subclass's

    def __setattr__(self, name: str, value: Any) -> None:
        if name[0] != "_" and getattr(getattr(type(self), name, None), "fset", None) is None:  # no property to set
            raise refused(name, value)
        object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle and copy keep: all but the backend, its device's memory, and the last call's trace."""
        request = self._request
        if not isinstance(request.backend, str) and request.backend.info.name in registry.installed():
            request = replace(request, backend=request.backend.info.name, device=request.backend.device)
        with self._binding:
            return {
                "begin": (self._network, self._in_known, self._rule, self._seed, request),
                "weights": self.weights if self._backend else self._start,
                "epochs": self._epochs,
                "x_range": self._x_range,
                "version": VERSION,
                "others": {name: value for name, value in vars(self).items() if name not in self._own},
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set what was kept. The next x chooses a backend: weights can be read even if the old one is missing."""
        with of_version("an ED", state.get("version")):
            network, in_known, rule, *others = state["begin"]
            self._begin(replace(network), in_known, replace(rule), *others)  # which checks what the pickle has of them
            self._start, self._epochs = state["weights"], state["epochs"].copy()
            self._x_range = state.get("x_range")
            vars(self).update(state.get("others", {}))

    @property
    def network(self) -> Network:
        """The network's shape; an error while in_ is not known."""
        if not self._in_known:
            raise InputError("in_", "None, and no x yet", "a number of features", "Give in_, or call the network once.")
        return self._network

    @property
    def rule(self) -> Rule:
        """How weights learn, with its learning rates. Another one may be set between two steps."""
        return self._rule

    @rule.setter
    def rule(self, rule: Rule) -> None:
        if not isinstance(rule, Rule):
            fix = f"Write ed.rule = edcore.PRESETS[{rule!r}].rule." if isinstance(rule, str) and rule in PRESETS else ""
            raise InputError("rule", shown(rule), "an edcore.Rule(…)", fix)
        check_together(self._network, rule)
        old = self._rule
        if replace(rule, alpha=old.alpha, alpha_output=old.alpha_output) != old:
            with self._binding:
                if self._backend is not None:
                    check_support(self._backend, f"this network's backend, {self.backend!r},", self._network, rule)
                # A file with weights below its rule's floor is refused. Weights that are still to be drawn keep it.
                raised = rule.floor is not None and (old.floor is None or rule.floor > old.floor)
                if raised and (self._backend or self._start):
                    checked_weights(self._network, self.weights, rule.floor)
        self._rule = rule

    @property
    def seed(self) -> int:
        """The seed in use, given or drawn."""
        return self._seed

    @seed.setter
    def seed(self, seed: int | None) -> None:
        self._seed = checked_seed(seed)

    @property
    def x_range(self) -> tuple[float, float] | None:
        """The least and the largest value in the x that it was trained on; None unless it was set. Files keep it."""
        return self._x_range

    @x_range.setter
    def x_range(self, x_range: tuple[float, float] | None) -> None:
        self._x_range = value_range("x_range", x_range)

    @property
    def is_bound(self) -> bool:
        """Whether the backend has been chosen."""
        return self._backend is not None

    @property
    def backend(self) -> str:
        """Name of the backend; the request for one until the first x has decided."""
        backend = self._backend or self._request.backend
        return backend if isinstance(backend, str) else backend.info.name

    @property
    def device(self) -> str | None:
        """Device string of the backend; the request for one until the first x has decided."""
        return self._backend.device if self._backend else self._request.device

    @property
    def weights(self) -> HostWeights:
        """A copy of the weights as NumPy arrays, under the keys and in the shapes of `Network.weight_shapes`."""
        with self._binding:
            if self._backend is None:  # the first x has not chosen a backend
                start = self._start or self._draw(self.network)
                return {key: value.copy() for key, value in start.items()}
        return self._backend.to_host(self._weights)

    @property
    def epochs(self) -> npt.NDArray[np.intp]:
        """Epochs that each head has learnt by `fit`, of shape (heads,): the next order of samples follows from them."""
        return self._epochs.copy()

    @epochs.setter
    def epochs(self, epochs: npt.ArrayLike) -> None:
        heads = self._network.heads
        try:
            array = np.asarray(epochs)
            fine = array.dtype.kind in "iu" and array.shape in ((), (heads,)) and not np.ma.isMaskedArray(epochs)
        except Exception:  # of what is no array, NumPy and other libraries raise errors of many kinds
            fine = False
        if not fine or (array < 0).any() or (array > MOST_EPOCHS).any():
            raise InputError("epochs", shown(epochs), f"whole numbers from 0 to 2**62, one or of shape ({heads},)")
        self._epochs = np.array(np.broadcast_to(array, (heads,)), np.intp)

    def load_weights(self, weights: HostWeights) -> None:
        """Set all weights.

        Parameters
        ----------
        weights : dict of str to ndarray
            Laid out as `ED.weights` returns them. They are copied.

        Raises
        ------
        InputError
            If a key, a shape, a dtype or a value is wrong, or the rule has a floor and a weight is below it. Then
            nothing is changed.
        """
        new = checked_weights(self.network, weights, self._rule.floor)
        with self._binding:
            if self._backend is None:
                self._start = {key: value.copy() for key, value in new.items()}
            else:
                self._weights = self._backend.from_host(new)
        self._pending = self._guard = None

    def synchronize(self) -> None:
        """Wait until the device has finished all work that was given to it. Call it before reading a clock."""
        if self._backend:
            self._backend.synchronize()

    def __repr__(self) -> str:
        others = {"seed": self.seed, "backend": self.backend, "device": self.device}
        others |= {"precision": self._request.precision}
        return described(self._network, self._in_known, self.rule, **others)

    def _checked_x(self, x: Any) -> Located:
        return checked_x(x, self._network, self._in_known, self._follows)

    def _see(self, x: Any, target: Any) -> Samples:
        return see_samples(x, target, self._network, self._rule, self._in_known, self._follows)

    def _bind(self, x: Located | None, batch: int | None = None) -> Backend:
        """Return the backend; at the first time choose it, for this batch or else x's, and give it the weights."""
        if self._backend is None:
            with self._binding:  # several threads of a server may be the first
                if self._backend is None:
                    return self._choose(x, batch)
        check_fork(self._backend.info.name)
        if x is not None and x.array.shape[1] != self._network.in_:  # another thread's x has been the first meanwhile
            self._checked_x(x.array)
        return self._backend

    def _choose(self, x: Located | None, batch: int | None) -> Backend:
        network = self.network if x is None else replace(self._network, in_=x.array.shape[1])
        backend = choose_backend(self._request, network, self._rule, x, batch)
        try:
            weights = backend.from_host(self._start or self._draw(network))
        except Exception as error:
            explain_memory(error, network, backend, 1)
            raise
        if x is not None and self._request.backend == "auto" and self._request.device is None:
            self._follows = x.place
        self._most, self._weights = largest_batch(network, backend), weights
        self._network, self._in_known, self._start = network, True, None
        self._backend = backend  # last, as other threads ask for it without the lock
        return backend

    def _draw(self, network: Network) -> HostWeights:
        """Return the initial weights, if there is room for them."""
        check_room(network)
        return initialise(network, self._seed, self._rule.floor)

    def _guarded(self) -> Guard:
        """Return the guard of the weights, under the rule as it is now."""
        if self._guard is None or self._guard.rule is not self._rule:
            self._guard = Guard(self._bind(None), self._network, self._rule)
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
        if x.place.device == "cpu" or FUNCTIONS[network.output_activation].highest < np.inf:
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
        self._pending = None
        try:
            handed = handed if len(handed.shape) == 2 else handed[:, None]
            self._weights = self._guarded().update(self._weights, x, reach, trace, handed, square)
        except Exception as raised:
            explain_memory(raised, self._network, self._bind(None), handed.shape[0])
            raise

    def _fit(
        self,
        x: Located,
        target: Array,
        epochs: int,
        batch_size: int,
        shuffle: bool,
        tolerance: float,
        weights: npt.NDArray[np.floating] | None,
        errors: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """Learn checked samples for some epochs, many small ones in one call to the backend; fill in `errors`.

        These are (epochs, heads), and become the sums that `Schedule.errors` describes.
        """
        samples = x.array.shape[0]
        batch = self._rule.samples_per_update(min(batch_size, samples))
        backend = self._bind(x, batch)
        self._check_memory(batch)
        handed, target = self._handed(x.array, x.place), self._handed(target, x.place)
        target = target if len(target.shape) == 2 else target[:, None]
        self._pending = None
        learning = np.ones(self._network.heads, np.bool_)
        begun, visits = int(self._epochs.max()), VISITS[0]
        first, last = begun, begun + epochs
        while first < last and learning.any():
            until = min(last, first + max(1, visits // samples))
            schedule = Schedule(
                orders=self._orders(samples, first, until, shuffle),
                batch_size=batch_size,
                tolerance=tolerance,
                learning=learning.copy(),
                weights=weights,
                errors=None if errors is None else errors[first - begun : until - begun],
            )
            try:
                learned, stopped = self._guarded().fit(self._weights, handed, target, schedule, first, x.square)
            except Exception as error:
                explain_memory(error, self._network, backend, batch, samples=samples)
                raise
            with uninterrupted():  # or an interrupt between the two would count epochs that were not kept
                self._weights = learned
                self._epochs[learning] += np.where(stopped, stopped, until - first)[learning]
            learning &= stopped == 0
            first, visits = until, min(2 * visits, VISITS[1])

    def _check_memory(self, batch: int) -> None:
        if batch > self._most:
            raise too_much(self._network, self._bind(None), batch)

    def _handed(self, array: Array, place: Place) -> Array:
        """Return the array as the backend takes it: of one of its libraries, else NumPy's."""
        if place is HOST or place.library in self._bind(None).info.namespaces:
            return array
        return to_numpy(array)

    def _returned(self, outputs: Array, x: Located) -> Array:
        """Return the outputs as an array of x's library, without the axis of a single column."""
        if x.place is not HOST or not isinstance(outputs, np.ndarray):
            outputs = like(outputs, x.array)
        return outputs[:, 0] if self._network.columns == 1 else outputs

    def _orders(self, n: int, first: int, until: int, shuffle: bool) -> npt.NDArray[np.intp]:
        """Return the order of visits in each epoch, (epochs, n)."""
        if shuffle:
            return np.stack([permutation(self._seed, epoch, n) for epoch in range(first, until)])
        return np.broadcast_to(np.arange(n), (until - first, n))


def network_for(ed: BoundNetwork, x: Any) -> Network:
    """Return the network that this x makes of an `ED`, if it is the first; the `ED` is not bound by that."""
    return replace(ed._network, in_=ed._checked_x(x).array.shape[1])
