"""The class `ED`: the article's network, on any backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from edcore.arguments import real, whole_number, yes_or_no
from edcore.arrays import Array, HostWeights, on_its_device
from edcore.contract.backend import Backend
from edcore.core.network import Initial, Network
from edcore.core.presets import variant
from edcore.core.randomness import checked_seed
from edcore.core.rule import Rule, check_together
from edcore.core.widths import checked_depth, checked_width
from edcore.dispatch.choose import make_request
from edcore.errors import InputError, NoTraceError, shown
from edcore.model.callbacks import Callback, checked_callbacks
from edcore.model.inputs import checked
from edcore.model.inspection import InspectedNetwork
from edcore.model.layer_errors import are_of_layers
from edcore.model.pieces import fit_samples
from edcore.model.rates import RateSchedule, checked_schedule


class ED(InspectedNetwork):
    """Independent networks, one for each output, that learn by the ED method (Kaneko 1999; the article of 2024).

    Parameters
    ----------
    in_ : int, optional
        Input features. Left out, it is taken from the first x.
    hidden_width : int or sequence of int
        Cells per stream in the input layer and in each hidden layer; a stream is excitatory (+) or inhibitory (−).
        Several widths, such as (512, 128), are those of the input layer and of each hidden layer in turn.
    hidden_depth : int, optional
        Layers beyond the input layer, at least 0. The cells of the input layer are hidden too, so there are
        hidden_depth + 1 layers of hidden cells. Left out, several widths say it, else the preset: 1 in the article's.
    alpha : float, optional
        Learning rate of the input layer and the hidden layers. Left out, that of the preset: 0.8 in the article's.
    heads : int
        Independent networks that see the same x: one for each output, or each with `outputs` outputs.
    rule : {"signed", "split", "kaneko", "edla", "modulo"} or Rule
        How weights learn: the name of one of `PRESETS`, which also says what kind of network learns so, or a `Rule`,
        which brings its own learning rates. Under a split `Rule` each layer has a second, inhibitory bias cell.
    alpha_output : float, optional
        Learning rate of the output layer. Left out, that of the preset: 1 in the article's.
    dtype : {"float32", "float64"}
        Precision of weights and activities.
    outputs : int
        Outputs of each network, see `Network`.
    u0, activation, output_activation, rms, n_bias, bias, inhibitory_output, initial : optional
        The cells and the initial weights, see `Network`. Left out, they are the preset's.
    one_hot : int
        Categories of each column of x, where these stand for inputs, see `Network`. 0 for x of numbers.
    seed : int, optional
        Seed of the initial weights and of `fit`'s shuffling. Left out, a fresh one is drawn, which `ED.seed` has.
    backend : str or Backend
        A name of `list_backends`, a backend itself, or ``"auto"``: the context `use_backend`, else the environment
        variable EDCORE_BACKEND, else the library of the first x, else the best backend that is ready.
    device : str, optional
        Device such as ``"cpu"``, ``"cuda"`` or ``"cuda:1"``. Left out, it is the backend's choice.
    precision : {"full", "tf32x3"}
        How matrices are multiplied. ``"tf32x3"`` is for wide layers in float32 on an NVIDIA GPU, by the backends torch
        and cupy: three products of TF32 in place of one, with errors of about 2⁻²². Files do not keep it.

    Raises
    ------
    InputError
        If an argument is not accepted.
    BackendUnavailableError
        If a backend that was asked for by name cannot run here.

    Notes
    -----
    One thread at a time may train it, or several may predict. Too little memory is an `OutOfMemoryError` from the call
    that needs it. Attributes that cannot be set are an `AttributeRefusedError`, which says what to do.

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
        hidden_width: int | Sequence[int] = 32,
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
        one_hot: int = 0,
        seed: int | None = None,
        backend: str | Backend = "auto",
        device: str | None = None,
        precision: str = "full",
    ) -> None:
        cells: dict[str, Any] = {"u0": u0, "activation": activation, "output_activation": output_activation}
        cells |= {"rms": rms, "n_bias": n_bias, "bias": bias, "inhibitory_output": inhibitory_output}
        one_hot = whole_number("one_hot", one_hot, 0)
        shape = {"in_": (one_hot or 1) if in_ is None else in_, "heads": heads, "outputs": outputs, "dtype": dtype}
        shape["one_hot"] = one_hot
        shape["width"] = width = checked_width("hidden_width", hidden_width)
        shape["depth"] = None if hidden_depth is None else checked_depth("hidden_depth", hidden_depth, width)
        network, learning = variant(rule, alpha, alpha_output, shape | cells | {"initial": initial})
        self._begin(network, in_ is not None, learning, checked_seed(seed), make_request(backend, device, precision))
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
        precision: str = "full",
    ) -> ED:
        """Return an ED for an existing network and rule, such as those of another ED or of a file.

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
        backend, device, precision
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
                raise InputError(name, shown(value), f"an edcore.{kind.__name__}(…)")
        check_together(network, rule)
        ed = cls.__new__(cls)
        ed._begin(network, True, rule, checked_seed(seed), make_request(backend, device, precision))
        ed.epochs = epochs
        if weights is not None:
            ed.load_weights(weights)
        return ed

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
            outputs, trace, reach = self._trace(found := self._checked_x(x))
        self._pending = found, reach, trace, tuple(outputs.shape)
        return outputs

    def update(self, error: Array | Sequence[Array]) -> None:
        """Update all layers at once, from the trace of the last call.

        Parameters
        ----------
        error : array, shape of that call's outputs; or a list of arrays, one for each layer
            target − output, of any library. With a list, each layer learns from its own error: the input layer, the
            hidden layers, the output layer. Each array is of the outputs' shape, or (heads, batch, cells) with an error
            for each cell of that layer, the excitatory cells first (see `edcore.core.update_layers`). The backends
            numpy and loop take a list, and others over the Array API.

        Raises
        ------
        NoTraceError
            If there was no call since the last update.
        InputError
            If the error has another shape, is empty, is not real and finite, or is a list, which the backend does not
            take; or if the rule is online and the batch is larger than one sample.
        DivergedError
            If weights would be NaN or infinite. Then they are as they were.
        """
        if self._pending is None:
            raise NoTraceError("update: there is no trace; call ed(x) once before each update (predict keeps none).")
        x, reach, trace, shape = self._pending
        if isinstance(error, list | tuple) and are_of_layers(error, len(shape)):
            self._learn_layers(error, self._pending)
            return
        with on_its_device(error):
            found = checked("error", error, shape, self._network.dtype, ", that of the outputs", x.place)
        self._check_batch(shape[0])
        self._learn(x, reach, trace, found.array, found.place, found.square)

    def step(self, x: Array, target: Array) -> Array:
        """Learn one batch: call, and update with error = target − output.

        Parameters
        ----------
        x : array, shape (batch, in_)
            As for a call; at least one sample.
        target : array, shape (batch,) for one output, else (batch, columns)
            The outputs to learn, of any library, within the range of the output cells' activation.

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
            early = self._trace_early(seen := self._see(x, target))
            found, target, square = seen.checked(early and early.error)
            self._pending, samples = None, found.array.shape[0]
            if self._rule.samples_per_update(samples) == samples:
                return self._step(found, target, early, square)
            rows = [(found._replace(array=found.array[i : i + 1, ...]), target[i : i + 1, ...]) for i in range(samples)]
            return found.xp.concat([self._step(*row) for row in rows])

    def fit(
        self,
        x: Array,
        target: Array,
        *,
        epochs: int = 1,
        batch_size: int = 64,
        shuffle: bool = True,
        tolerance: float = 0.0,
        sample_weight: Array | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
        schedule: RateSchedule | None = None,
    ) -> ED:
        """Learn all samples, in batches, without returning outputs: the fastest way to train.

        Parameters
        ----------
        x : array, shape (samples, in_)
            As for a call; at least one sample.
        target : array, shape (samples,) for one output, else (samples, columns)
            The outputs to learn.
        epochs : int
            Passes over the samples, at most.
        batch_size : int
            Samples in a batch; the last one of an epoch may be smaller.
        shuffle : bool
            Visit the samples in another order in each epoch, drawn from the seed.
        tolerance : float
            A head stops after the first epoch in which its sum of abs(target − output) over the samples, each as it
            was visited, is below this (Kaneko 1999: 0.1). With 0 none stops. `ED.epochs` has the epochs of each.
        sample_weight : array, shape (samples,), optional
            The weight of each sample, at least 0: a factor of its error, and of its part of the sum that `tolerance`
            bounds. One of weight 0 is left out. Under a rule of means, only the ratios of weights count, and a batch at
            most as one of twice the mean weight.
        callbacks : callable or list of callable, optional
            Each is called with an `EpochRecord` after each epoch; if one returns True, learning stops. It may predict,
            save, set `rule` and learn more, whose epochs count. `History` is one that keeps losses and accuracies.
        schedule : callable or sequence of float, optional
            Factors, at least 0, of both learning rates: a function of the epoch, which counts from 0 as `ED.epochs`
            does, so that a resumed fit goes on with it; or one factor for each epoch of this call. `rule` stays.

        Returns
        -------
        ED
            The network itself.

        Raises
        ------
        InputError
            If an argument is not accepted. Then nothing has been learnt; a function's factor is checked before its
            epoch.
        DivergedError
            If weights would be NaN or infinite. Then they are those of the epochs that `ED.epochs` has.

        Notes
        -----
        Many small epochs are one call to the backend; with callbacks or a schedule, each epoch is one. If a call is
        interrupted, or diverges, its epochs do not count and their learning is dropped; the epochs before it stay. So
        they do if a callback raises an error.

        Examples
        --------
        >>> import edcore
        >>> data = edcore.datasets.digits(classes=(0, 1))
        >>> ed = edcore.ED(seed=0).fit(data.x_train, data.y_train, epochs=5)
        >>> bool((ed.predict(data.x_test).round() == data.y_test).mean() > 0.95)
        True

        Learn until the loss is small, with rates that fall:

        >>> ed = edcore.ED(seed=0).fit(data.x_train, data.y_train, epochs=100, schedule=lambda epoch: 0.9**epoch,
        ...                            callbacks=lambda record: record.loss < 0.01)
        >>> bool(ed.epochs[0] < 100)
        True
        """
        epochs, batch_size = whole_number("epochs", epochs, 0), whole_number("batch_size", batch_size, 1)
        shuffle, tolerance = yes_or_no("shuffle", shuffle), real("tolerance", tolerance)
        options: dict[str, Any] = {"shuffle": shuffle, "tolerance": tolerance, "sample_weight": sample_weight}
        options |= {"callbacks": checked_callbacks(callbacks), "factor": checked_schedule(schedule, epochs)}
        fit_samples(self, x, target, epochs=epochs, batch_size=batch_size, **options)
        return self


def checked_ed(ed: Any) -> ED:
    """Return the argument `ed`, or refuse what is no `ED`."""
    if not isinstance(ed, ED):
        fix = "An estimator has its network in ed_." if hasattr(ed, "ed_") else ""
        raise InputError("ed", type(ed).__name__, "an edcore.ED(…)", fix)
    return ed
