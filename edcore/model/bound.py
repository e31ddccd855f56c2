"""A network bound to a backend: its state, its weights and its outputs. `ED` is its public face."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import value_range, whole_number
from edcore.arrays import HOST, Array, HostWeights, Located, Place, check_fork, like, on_its_device, to_numpy
from edcore.contract.backend import Backend
from edcore.contract.memory import host_room
from edcore.core.activations import LEARNT_WITH, changed, fingerprint
from edcore.core.network import Network
from edcore.core.presets import PRESETS
from edcore.core.randomness import checked_seed
from edcore.core.rule import Rule, check_together
from edcore.core.weights import initialise
from edcore.dispatch import registry
from edcore.dispatch.choose import Request, check_support, choose_backend
from edcore.environment import VERSION, of_version
from edcore.errors import EDCoreError, InputError, shown
from edcore.interrupts import ForkLock
from edcore.model.attributes import described, refused
from edcore.model.guard import Guard, Reach
from edcore.model.inputs import Samples, checked_weights, checked_x, see_samples
from edcore.model.out_of_memory import check_room, explain_memory, largest_batch, too_much

MOST_EPOCHS = 2**62
"""Far from the largest whole number that counts them."""


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
                "registered": fingerprint(self._network),
                "version": VERSION,
                "others": {name: value for name, value in vars(self).items() if name not in self._own},
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set what was kept. The next x chooses a backend: weights can be read even if the old one is missing."""
        with of_version("an ED", state.get("version")):
            network, in_known, rule, *others = state["begin"]
            self._begin(replace(network), in_known, replace(rule), *others)  # which checks what the pickle has of them
            if other := changed(network, state.get("registered", {})):
                raise EDCoreError(f"an ED was pickled whose activation {other!r} is another function. {LEARNT_WITH}")
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

    def bind(self, x: Array | None = None, batch_size: int | None = None) -> Backend:
        """Choose the backend, and hand it the weights: what the first call does, without computing anything.

        Parameters
        ----------
        x : array, shape (batch, in_), optional
            As for a call: ``backend="auto"`` follows its library and device. Left out, it counts as a NumPy array.
        batch_size : int, optional
            Samples of a training step, by which ``backend="auto"`` chooses too. Left out, those of x, else 64.

        Raises
        ------
        InputError
            If x is not accepted, or left out while in_ is not known.
        BackendUnavailableError
            If a backend that was asked for by name cannot run here.
        """
        batch = None if batch_size is None else whole_number("batch_size", batch_size, 1)
        return self._bind(None if x is None else self._checked_x(x), batch)

    def check(self, x: Array, target: Array) -> tuple[Array, Array]:
        """Return samples as `fit` would learn them: finite, of x's library, in the network's dtype.

        Parameters
        ----------
        x, target : array
            As for `step`.

        Raises
        ------
        InputError
            If x or target are not accepted.
        """
        with on_its_device(x):
            found, target, _ = self._see(x, target).checked()
            return found.array, target

    def predict(self, x: Array) -> Array:
        """Return the outputs for x and keep no trace: memory does not grow with depth.

        Parameters
        ----------
        x : array, shape (batch, in_)
            As for a call.

        Returns
        -------
        array, shape (batch,) for one output, else (batch, columns)
            As for a call, as are the errors.
        """
        with on_its_device(x):
            backend = self._bind(found := self._checked_x(x))
            try:
                outputs = backend.forward(self._network, self._weights, self._handed(found.array, found.place))
                return self._returned(outputs, found)  # here JAX says that memory was short before
            except Exception as error:
                explain_memory(error, self._network, backend, found.array.shape[0], inference=True)
                raise

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
        if x is not None and x.array.shape[1] != self._network.features:  # another thread was first
            self._checked_x(x.array)
        return self._backend

    def _choose(self, x: Located | None, batch: int | None) -> Backend:
        network = self.network if x is None else self._network_for(x.array)
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

    def _network_for(self, x: Array) -> Network:
        """Return the network whose x has the columns of this one."""
        return replace(self._network, in_=x.shape[1] * self._network.categories)

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


def network_for(ed: BoundNetwork, x: Any) -> Network:
    """Return the network that this x makes of an `ED`, if it is the first; the `ED` is not bound by that."""
    return ed._network_for(ed._checked_x(x).array)
