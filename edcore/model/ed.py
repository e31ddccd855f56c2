"""The class `ED`: the article's network, on any backend."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from edcore.arguments import real, whole_number
from edcore.arrays import Array, HostWeights, Place, check_place, library_name, like, on_its_device, place, to_numpy
from edcore.contract.backend import Backend, Schedule
from edcore.core.network import Initial, Network
from edcore.core.presets import preset
from edcore.core.randomness import checked_seed, permutation
from edcore.core.rule import Rule, check_centred, check_together
from edcore.core.weights import initialise
from edcore.dispatch import registry
from edcore.dispatch.choose import Request, bind, requested
from edcore.errors import InputError, NoTraceError
from edcore.interrupts import uninterrupted
from edcore.model.guard import Guard, Reach
from edcore.model.inputs import check_range, checked, checked_weights, warn_of_negative
from edcore.model.out_of_memory import explained, most, too_much

VISITS = 2**12, 2**20
"""Visits to samples in `fit`'s first call to a backend, and the most in one call: an epoch of more is a call alone."""


class ED:
    """Independent networks, one for each output, that learn by the ED method (Kaneko 1999; the article of 2024).

    Parameters
    ----------
    in_ : int, optional
        Input features. Left out, it is taken from the first x.
    hidden_width : int
        Cells per stream in the input layer and in each hidden layer; a stream is excitatory (+) or inhibitory (−).
    hidden_depth : int, optional
        Layers from hidden_width to hidden_width, at least 0. Left out, that of the preset: 1 in the article's.
    alpha : float, optional
        Learning rate of the input layer and the hidden layers. Left out, that of the preset: 0.8 in the article's.
    heads : int
        Networks of their own that see the same x: one for each output, or with `outputs` one for so many of them.
    rule : {"signed", "split", "kaneko", "edla", "modulo"} or Rule
        How weights learn, by the name of one of `PRESETS`, which also says what kind of network learns so, or a `Rule`,
        which brings its own learning rates. Under a split `Rule` each layer has a second, inhibitory bias cell.
    alpha_output : float, optional
        Learning rate of the output layer. Left out, that of the preset: 1 in the article's.
    dtype : {"float32", "float64"}
        Precision of weights and activities.
    outputs : int
        Outputs of each network, see `Network`.
    u0, activation, output_activation, rms, n_bias, bias, inhibitory_output, initial : optional
        The cells and the initial weights, see `Network`. Left out, they are the preset's.
    seed : int, optional
        Seed of the initial weights and of `fit`'s shuffling. Left out, a fresh one is drawn; `ED.seed` tells it.
    backend : str or Backend
        A name of `list_backends`, a backend itself, or ``"auto"``: the context `use_backend`, else the environment
        variable EDCORE_BACKEND, else the library of the first x, else the best backend that is ready.
    device : str, optional
        Device such as ``"cpu"``, ``"cuda"`` or ``"cuda:1"``. Left out, it is the backend's choice.

    Attributes
    ----------
    rule : Rule
        How weights learn, with its learning rates.
    seed : int
        The seed in use, given or drawn.

    Raises
    ------
    InputError
        If an argument is not accepted.
    BackendUnavailableError
        If a backend that was asked for by name cannot run here.

    Notes
    -----
    One thread at a time may use it. Memory that is too small is an `OutOfMemoryError` from whatever needs it.

    Examples
    --------
    The article's loop, on the four patterns of XOR:

    >>> import edcore
    >>> data = edcore.datasets.xor()
    >>> ed = edcore.ED(in_=2, hidden_width=8, hidden_depth=0, rule="split", seed=1)
    >>> for epoch in range(300):
    ...     outputs = ed(data.x_train)
    ...     ed.update(data.y_train - outputs)
    >>> ed.predict(data.x_test).round().tolist()
    [0.0, 1.0, 1.0, 0.0]
    """

    def __init__(
        self,
        in_: int | None = None,
        hidden_width: int = 32,
        hidden_depth: int | None = None,
        alpha: float | None = None,
        *,
        heads: int = 1,
        rule: str | Rule = "signed",
        alpha_output: float | None = None,
        dtype: str = "float32",
        outputs: int = 1,
        u0: float | None = None,
        activation: str | None = None,
        output_activation: str | None = None,
        rms: bool | None = None,
        n_bias: int | None = None,
        bias: float | None = None,
        inhibitory_output: bool | None = None,
        initial: Initial | None = None,
        seed: int | None = None,
        backend: str | Backend = "auto",
        device: str | None = None,
    ) -> None:
        variant = preset(rule, alpha, alpha_output)
        own: dict[str, Any] = {
            "width": whole_number("hidden_width", hidden_width, 1),
            "depth": None if hidden_depth is None else whole_number("hidden_depth", hidden_depth, 0),
            "u0": u0,
            "activation": activation,
            "output_activation": output_activation,
            "rms": rms,
            "n_bias": n_bias,
            "bias": bias,
            "inhibitory_output": inhibitory_output,
            "initial": initial,
        }
        given = {name: value for name, value in own.items() if value is not None}
        shape: dict[str, Any] = {"in_": 1 if in_ is None else in_, "heads": heads, "outputs": outputs, "dtype": dtype}
        network = Network(**{**shape, **variant.network, **given})
        check_together(network, variant.rule)
        self._begin(network, in_ is not None, variant.rule, checked_seed(seed), requested(backend, device))
        if self._in_known and self._request.backend != "auto":
            self._bind(None)

    @classmethod
    def from_network(
        cls,
        network: Network,
        rule: Rule,
        *,
        seed: int | None = None,
        weights: HostWeights | None = None,
        epochs: npt.ArrayLike = 0,
        backend: str | Backend = "auto",
        device: str | None = None,
    ) -> ED:
        """Return an ED for a network and a rule that are there already, as those of another ED or of a file.

        Parameters
        ----------
        network : Network
            The network.
        rule : Rule
            How it learns.
        seed : int, optional
            As for `ED`.
        weights : dict of str to ndarray, optional
            Weights to start from, as `ED.weights` returns them. Left out, they are drawn from the seed.
        epochs : int or array_like of int, shape (heads,)
            Epochs that each head has learnt already: the next order of `fit`'s samples follows from it.
        backend, device
            As for `ED`.

        Returns
        -------
        ED
            Bound to its backend at the first x.

        Raises
        ------
        InputError
            If an argument is not accepted, or network and rule exclude each other.

        Examples
        --------
        >>> import edcore
        >>> ed = edcore.ED(in_=2, seed=1)
        >>> other = edcore.ED.from_network(ed.network, ed.rule, seed=ed.seed, weights=ed.weights)
        >>> float(other.predict([[0, 1]])[0]) == float(ed.predict([[0, 1]])[0])
        True
        """
        for name, value, kind in (("network", network, Network), ("rule", rule, Rule)):
            if not isinstance(value, kind):
                raise InputError(name, repr(value), f"an edcore.{kind.__name__}(…)")
        check_together(network, rule)
        ed = cls.__new__(cls)
        ed._begin(network, True, rule, checked_seed(seed), requested(backend, device))
        ed._epochs += _checked_epochs(epochs, network.heads)
        if weights is not None:
            ed.load_weights(weights)
        return ed

    def _begin(self, network: Network, in_known: bool, rule: Rule, seed: int, request: Request) -> None:
        """Set every attribute, with no backend yet."""
        self.rule: Rule = rule
        self.seed: int = seed
        self._network = network
        self._in_known = in_known
        self._request = request
        self._bound: Backend | None = None
        self._first: Place | None = None  # of the first x, where auto has followed it
        self._most = 0  # samples in a batch, by the memory of the backend's device
        self._start: HostWeights | None = None  # weights that were set before there was a backend
        self._weights: Any = None  # the backend's own
        self._pending: Any = None  # the trace that the next update uses, with its x, and shape and place of its outputs
        self._watching: Guard | None = None
        self._epochs = np.zeros(network.heads, np.intp)

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle and copy keep: all but the backend, its device's memory, and the last call's trace."""
        request = self._request
        if not isinstance(request.backend, str) and request.backend.info.name in registry.installed():
            request = replace(request, backend=request.backend.info.name, device=request.backend.device)
        return {
            "begin": (self._network, self._in_known, self.rule, self.seed, request),
            "weights": self.weights if self._bound else self._start,
            "epochs": self._epochs,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set what was kept. The next x chooses the backend: where its device is missing, weights can still be had."""
        self._begin(*state["begin"])
        self._start, self._epochs = state["weights"], state["epochs"].copy()

    @property
    def network(self) -> Network:
        """The network's shape; an error while in_ is not known."""
        if not self._in_known:
            raise InputError("in_", "None, and no x yet", "a number of features", "Give in_, or call the network once.")
        return self._network

    @property
    def backend(self) -> str:
        """Name of the backend; what was asked for while the first x has not decided."""
        backend = self._bound or self._request.backend
        return backend if isinstance(backend, str) else backend.info.name

    @property
    def device(self) -> str | None:
        """Device string of the backend; what was asked for while the first x has not decided."""
        return self._bound.device if self._bound else self._request.device

    @property
    def weights(self) -> HostWeights:
        """A copy of the weights as NumPy arrays, under the keys and in the shapes of `Network.weight_shapes`."""
        if self._bound is None:  # the first x has not chosen a backend
            start = self._start or initialise(self.network, self.seed, self.rule.floor)
            return {key: value.copy() for key, value in start.items()}
        return self._bound.to_host(self._weights)

    @property
    def epochs(self) -> npt.NDArray[np.intp]:
        """Epochs that each head has learnt by `fit`, of shape (heads,)."""
        return self._epochs.copy()

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
        new = checked_weights(self.network, weights, self.rule.floor)
        if self._bound is None:
            self._start = {key: value.copy() for key, value in new.items()}
        else:
            self._weights = self._bound.from_host(new)
        self._pending = self._watching = None

    def __call__(self, x: Array) -> Array:
        """Return the outputs for x, and keep the trace for `update`.

        Parameters
        ----------
        x : array, shape (batch, in_)
            Real, finite values, of any library that follows the Array API standard.

        Returns
        -------
        array, shape (batch,) for one output, else (batch, columns)
            The outputs of the first head, then those of the next (see `Network.columns`), of x's library, on its
            device, in the network's dtype.

        Raises
        ------
        InputError
            If x has another shape, or values that are not real and finite.
        DivergedError
            If outputs are not finite. The weights are.
        """
        self._pending = None  # a call that is refused leaves no older trace behind
        with on_its_device(x):
            x = self._checked_x(x)
            outputs, trace, reach = self._traced(x)
        self._pending = x, reach, trace, tuple(outputs.shape), place(outputs)
        return outputs

    def update(self, error: Array) -> None:
        """Update all layers at once, from the trace of the last call.

        Parameters
        ----------
        error : array, shape of that call's outputs
            target − output, of any library.

        Raises
        ------
        NoTraceError
            If there was no call since the last update.
        InputError
            If the error has another shape, is empty, is not real and finite, or if the rule is online and the batch is
            larger than one sample.
        DivergedError
            If weights would be NaN or infinite. Then they are as they were.
        """
        if self._pending is None:
            raise NoTraceError(
                "update: there is no trace; call the network, ed(x), once before each update (predict keeps none)."
            )
        x, reach, trace, shape, where = self._pending
        check_place("error", error, where, "the outputs are")
        with on_its_device(error):
            error = checked("error", error, shape, f"{shape}, that of the outputs", self._network.dtype)
        if shape[0] == 0:
            raise InputError("error", "an empty batch", "at least one sample")
        if self.rule.order == "online" and shape[0] > 1:
            fix = "Use step or fit, which go through a batch one by one."
            raise InputError("error", f"{shape[0]} samples", "one sample, as the rule is online", fix)
        self._learn(x, reach, trace, error, own=False)

    def step(self, x: Array, target: Array) -> Array:
        """Learn one batch: call, and update with error = target − output.

        Parameters
        ----------
        x : array, shape (batch, in_)
            As for a call; at least one sample.
        target : array, shape (batch,) for one output, else (batch, columns)
            What the outputs should be, of any library, within the range of the output cells' activation.

        Returns
        -------
        array, shape of target
            The outputs from before the update (of each sample's own update where the rule is online).

        Raises
        ------
        InputError
            If x or target are not accepted. Then nothing has been learnt.
        DivergedError
            If weights would be NaN or infinite. Then they are as they were; where the rule is online, after the sample
            before.
        """
        with on_its_device(x):
            x, target = self._checked_pair(x, target)
            target = like(target, x)
            if self.rule.order == "batch" or x.shape[0] == 1:
                return self._step(x, target)
            xp = array_namespace(x)
            return xp.concat([self._step(x[i : i + 1, ...], target[i : i + 1, ...]) for i in range(x.shape[0])])

    def fit(
        self,
        x: Array,
        target: Array,
        *,
        epochs: int = 1,
        batch_size: int = 64,
        shuffle: bool = True,
        tolerance: float = 0.0,
    ) -> ED:
        """Learn all samples, in batches, without returning outputs: the fastest way to train.

        Parameters
        ----------
        x : array, shape (samples, in_)
            As for a call; at least one sample.
        target : array, shape (samples,) for one output, else (samples, columns)
            What the outputs should be.
        epochs : int
            Passes over the samples, at most.
        batch_size : int
            Samples in a batch; the last one of an epoch may be smaller.
        shuffle : bool
            Visit the samples in an order of each epoch's own, drawn from the seed.
        tolerance : float
            A head stops after the first epoch in which its sum of abs(target − output) over the samples, each as it
            was visited, is below this (Kaneko 1999: 0.1). With 0 none stops. `ED.epochs` tells when each did.

        Returns
        -------
        ED
            The network itself.

        Raises
        ------
        InputError
            If an argument is not accepted. Then nothing has been learnt.
        DivergedError
            If weights would be NaN or infinite. Then they are those of the epochs that `ED.epochs` tells.

        Notes
        -----
        Many small epochs are one call to the backend. A call that is interrupted, or diverges, does not count, and what
        it has learnt is dropped; the epochs before it stay.

        Examples
        --------
        >>> import edcore
        >>> data = edcore.datasets.digits(classes=(0, 1))
        >>> ed = edcore.ED(seed=0).fit(data.x_train, data.y_train, epochs=5)
        >>> bool((ed.predict(data.x_test).round() == data.y_test).mean() > 0.95)
        True

        A hundred runs of XOR, as heads of one call, and how many of them got there:

        >>> import numpy as np
        >>> data = edcore.datasets.xor()
        >>> rule = edcore.Rule("split", alpha=0.8, alpha_output=0.8, order="online")
        >>> ed = edcore.ED(2, hidden_width=4, hidden_depth=0, heads=100, rule=rule, seed=1)
        >>> targets = np.repeat(data.y_train[:, None], 100, axis=1)
        >>> _ = ed.fit(data.x_train, targets, epochs=1000, tolerance=0.1)
        >>> int((ed.epochs < 1000).sum()) >= 99
        True
        """
        epochs, batch_size = whole_number("epochs", epochs, 0), whole_number("batch_size", batch_size, 1)
        tolerance = real("tolerance", tolerance)
        with on_its_device(x):
            x, target = self._checked_pair(x, target)
        check_centred(self.rule, batch_size)
        backend = self._bind(x)
        batch = 1 if self.rule.order == "online" else min(batch_size, x.shape[0])
        self._check_memory(batch)
        x, target = self._handed(x), self._handed(target)
        target = target if len(target.shape) == 2 else target[:, None]
        self._pending = None
        learning = np.ones(self._network.heads, np.bool_)
        first, visits = int(self._epochs.max()), VISITS[0]
        last = first + epochs
        while first < last and learning.any():
            until = min(last, first + max(1, visits // x.shape[0]))
            schedule = Schedule(
                orders=self._orders(x.shape[0], first, until, shuffle),
                batch_size=batch_size,
                tolerance=tolerance,
                learning=learning.copy(),
            )
            with explained(self._network, backend, batch, samples=x.shape[0]):
                weights, stopped = self._guard.fitted(self._weights, x, target, schedule, first)
            with uninterrupted():
                self._weights = weights
                self._epochs[learning] += np.where(stopped, stopped, until - first)[learning]
            learning &= stopped == 0
            first, visits = until, min(2 * visits, VISITS[1])
        return self

    def predict(self, x: Array) -> Array:
        """Return the outputs for x and keep no trace: memory does not grow with depth.

        Parameters
        ----------
        x : array, shape (batch, in_)
            As for a call.

        Returns
        -------
        array, shape (batch,) for one output, else (batch, columns)
            As for a call.

        Raises
        ------
        InputError
            As for a call.
        """
        with on_its_device(x):
            x = self._checked_x(x)
            backend = self._bind(x)
            with explained(self._network, backend, x.shape[0], inference=True):
                outputs = backend.forward(self._network, self._weights, self._handed(x))
            return self._returned(outputs, x)

    def synchronize(self) -> None:
        """Wait until the device has finished all work that was given to it. Call it before reading a clock."""
        if self._bound:
            self._bound.synchronize()

    def __repr__(self) -> str:
        n = self._network
        in_ = n.in_ if self._in_known else None
        named = ("heads", "outputs", "u0", "activation", "output_activation", "rms", "n_bias", "bias")
        cells = ", ".join(f"{name}={getattr(n, name)!r}" for name in (*named, "inhibitory_output", "initial", "dtype"))
        return (
            f"ED(in_={in_}, hidden_width={n.width}, hidden_depth={n.depth}, rule={self.rule!r}, {cells}, "
            f"seed={self.seed}, backend={self.backend!r}, device={self.device!r})"
        )

    def _bind(self, x: Array | None) -> Backend:
        """Return the backend; at the first time choose it, and give it the initial weights."""
        if self._bound is None:
            network = self.network if x is None else replace(self._network, in_=x.shape[1])
            backend = bind(self._request, network, self.rule, x)
            with explained(network, backend, 1):
                self._weights = backend.from_host(self._start or initialise(network, self.seed, self.rule.floor))
            self._most = most(network, backend)
            if x is not None and self._request.backend == "auto" and self._request.device is None:
                self._first = place(x)
            self._network, self._in_known, self._bound, self._start = network, True, backend, None
        return self._bound

    def _checked_x(self, x: Any) -> Array:
        """Return x as a checked array of its own library."""
        features = self._network.in_ if self._in_known else None
        x = checked("x", x, (None, features), f"(batch, {features or 'features'})", self._network.dtype)
        if x.shape[1] == 0:
            raise InputError("x", f"shape {tuple(x.shape)}", "at least one feature")
        if self._first is not None:
            check_place("x", x, self._first, "the first x was, which the network follows")
        return x

    def _checked_pair(self, x: Any, target: Any) -> tuple[Array, Array]:
        """Return x and target, checked, of at least one sample."""
        x = self._checked_x(x)
        shape = (x.shape[0],) if self._network.columns == 1 else (x.shape[0], self._network.columns)
        check_place("target", target, place(x), "x is")
        target = checked("target", target, shape, f"{shape}, one for each output", self._network.dtype)
        if x.shape[0] == 0:
            raise InputError("x", "an empty batch", "at least one sample")
        check_range(target, self._network.output_activation)
        if self.rule.error == "split" and self.rule.floor is None:
            warn_of_negative(x)
        return x, target

    @property
    def _guard(self) -> Guard:
        """What watches over the weights, under the rule as it is now."""
        assert self._bound is not None
        if self._watching is None or self._watching.rule is not self.rule:
            self._watching = Guard(self._bound, self._network, self.rule)
        return self._watching

    def _traced(self, x: Array) -> tuple[Array, Any, Reach]:
        """Return the outputs for a checked x, the trace, and what they could have come to."""
        backend = self._bind(x)
        self._check_memory(x.shape[0])
        guard = self._guard
        with explained(self._network, backend, x.shape[0]):
            reach = guard.reach(self._weights, x)
            if x.shape[0]:
                outputs, trace = guard.traced(self._weights, x, self._handed(x), reach)
            else:
                outputs, trace = backend.forward(self._network, self._weights, self._handed(x)), None
        return self._returned(outputs, x), trace, reach

    def _step(self, x: Array, target: Array) -> Array:
        self._pending = None
        outputs, trace, reach = self._traced(x)
        self._learn(x, reach, trace, target - outputs, own=True)
        return outputs

    def _learn(self, x: Array, reach: Reach, trace: Any, error: Array, own: bool) -> None:
        """Learn the errors of a pass; `own` says that they are those of targets within the outputs' range."""
        assert self._bound is not None  # there is a trace, so there was a call
        error = self._handed(error if len(error.shape) == 2 else error[:, None])
        self._pending = None
        with explained(self._network, self._bound, error.shape[0]):
            self._weights = self._guard.updated(self._weights, x, reach, trace, error, own)

    def _check_memory(self, batch: int) -> None:
        assert self._bound is not None
        if batch > self._most:
            raise too_much(self._network, self._bound, batch)

    def _handed(self, array: Array) -> Array:
        """Return the array as the backend takes it: of one of its libraries, else NumPy's."""
        assert self._bound is not None
        return array if library_name(array_namespace(array)) in self._bound.info.namespaces else to_numpy(array)

    def _returned(self, outputs: Array, x: Array) -> Array:
        """Return the outputs as an array of x's library, without the axis of a single column."""
        outputs = like(outputs, x)
        return outputs[:, 0] if self._network.columns == 1 else outputs

    def _orders(self, n: int, first: int, until: int, shuffle: bool) -> npt.NDArray[np.intp]:
        """Return the order of visits in each epoch, (epochs, n)."""
        if shuffle:
            return np.stack([permutation(self.seed, epoch, n) for epoch in range(first, until)])
        return np.broadcast_to(np.arange(n), (until - first, n))


def _checked_epochs(epochs: npt.ArrayLike, heads: int) -> npt.NDArray[np.intp]:
    """Return the epochs of each head, or refuse them."""
    array = np.asarray(epochs)
    if not np.issubdtype(array.dtype, np.integer) or array.shape not in ((), (heads,)) or (array < 0).any():
        raise InputError("epochs", repr(epochs), f"whole numbers of at least 0, one or of shape ({heads},)")
    return array.astype(np.intp)
