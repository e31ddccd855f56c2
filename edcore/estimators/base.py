"""The base class of `EDClassifier` and `EDRegressor`: parameters, checks on the data, and the loop over epochs."""

from __future__ import annotations

import math
from abc import ABCMeta, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.utils.validation import check_is_fitted

from edcore.arguments import real, whole_number, yes_or_no
from edcore.arrays import HOST, Array, Place, place, rows, to_numpy
from edcore.core.network import Initial
from edcore.core.rule import Rule
from edcore.core.widths import checked_width
from edcore.errors import InputError
from edcore.estimators.defaults import TUNED, tuned_rule, warn_of_constant_cells
from edcore.estimators.early_stopping import EarlyStopping
from edcore.estimators.inputs import (
    cast,
    checked_random_state,
    computes_float64,
    dtype_of,
    readable,
    validated_labels,
    validated_samples,
)
from edcore.estimators.pickles import PickledEstimator
from edcore.estimators.restored import enough_memory, restored
from edcore.estimators.samples import (
    Samples,
    Weight,
    checked_sample_weight,
    dense_pieces,
    outputs_in_pieces,
    ranges_of,
    split,
)
from edcore.estimators.scaling import (
    check_same_range,
    check_source,
    check_varied,
    scale,
    warn_of_clipping,
)
from edcore.model.callbacks import Callback, EpochRecord, any_stops, checked_callbacks
from edcore.model.divergence import finite, outputs_of
from edcore.model.ed import ED
from edcore.model.rates import scaled


class BaseED(PickledEstimator, metaclass=ABCMeta):
    """An ED network as a scikit-learn estimator; `edcore.EDClassifier` describes its parameters and attributes."""

    ed_: ED
    data_min_: Array | None
    data_max_: Array | None
    data_mean_: Array | None
    data_std_: Array | None
    n_iter_: int
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    _place: Place
    _power: float  # mean sum of squares of the scaled samples of the first call, which the default rates follow
    _end: int  # epochs after which the rates of the last call of fit would be 0
    _waiting: dict[str, Any] | None  # of early stopping, while a fit has not ended
    _CHECKS_OF_Y: Mapping[str, bool] = MappingProxyType({})  # options of `validated_labels`

    def __init__(
        self,
        hidden_width: int | Sequence[int] = 64,
        hidden_depth: int | None = None,
        alpha: float | None = None,
        alpha_output: float | None = None,
        *,
        rule: str | Rule | None = None,
        u0: float | None = None,
        activation: str | None = None,
        rms: bool | None = None,
        initial: Initial | None = None,
        input_range: Any = "data",
        batch_size: int = 16,
        max_iter: int = 100,
        shuffle: bool = True,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        tol: float = 1e-4,
        callbacks: Callback | list[Callback] | None = None,
        random_state: Any = None,
        verbose: bool = False,
        backend: str = "auto",
        device: str | None = None,
    ) -> None:
        self.hidden_width = hidden_width
        self.hidden_depth = hidden_depth
        self.alpha = alpha
        self.alpha_output = alpha_output
        self.rule = rule
        self.u0 = u0
        self.activation = activation
        self.rms = rms
        self.initial = initial
        self.input_range = input_range
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose
        self.backend = backend
        self.device = device

    def fit(self, X: Array, y: Array, sample_weight: Any = None) -> Self:  # noqa: N803  # scikit-learn's name
        """Learn from samples, with new weights, or with ``warm_start`` from the weights of the last call.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (samples, features)
            The samples. A sparse matrix stays sparse: about 32 MB of it are dense at one time.
        y : array_like, shape (samples,) or (samples, labels or targets)
            The class of each sample, a 0 or 1 for each of its labels, or its targets.
        sample_weight : array_like, shape (samples,), optional
            The weight of each sample, at least 0, of which only the ratios count: twice the weight is the sample twice,
            as far as batches allow, and a weight of 0 is the sample left out. See `ED.fit`.

        Returns
        -------
        Self
            The estimator itself.

        Raises
        ------
        InputError
            If a parameter or the data are not accepted.
        DivergedError
            If the weights would be NaN or infinite. Then the estimator is as before the call.
        """
        self._check_parameters()
        resumed = self.warm_start and self.__sklearn_is_fitted__()
        random = checked_random_state(self.random_state)
        with restored(self, resumed, random):
            samples, validation = self._prepare(X, y, sample_weight, resumed, random), None
            if self.early_stopping:
                train, held_out = split(self._strata(samples.target), samples, self.validation_fraction, random)
                samples, validation = samples.rows(train), samples.rows(held_out)
            self._learn(samples, whole_number("max_iter", self.max_iter, 1), validation)
            warn_of_constant_cells(self.ed_, next(samples.pieces())[0])
            self._after_fit()
        return self

    def _partial_fit(self, X: Array, y: Array, sample_weight: Any, classes: Any = None) -> Self:  # noqa: N803
        """Learn one epoch of these samples."""
        self._check_parameters()
        if self.early_stopping:
            fix = "partial_fit sees only a part of the data, so it keeps none for validation."
            raise InputError("early_stopping", "True with partial_fit", "False with partial_fit", fix)
        resumed, random = self.__sklearn_is_fitted__(), checked_random_state(self.random_state)
        with restored(self, resumed, random):
            samples = self._prepare(X, y, sample_weight, resumed, random, partial=True, classes=classes)
            self._learn(samples, 1, None, partial=True)
        return self

    def _check_parameters(self) -> None:
        """Check the parameters that `ED` does not get."""
        for name in ("batch_size", "max_iter", "n_iter_no_change"):
            whole_number(name, getattr(self, name), 1)
        for name in ("shuffle", "warm_start", "early_stopping", "verbose"):
            yes_or_no(name, getattr(self, name))
        real("tol", self.tol)
        if not 0 < real("validation_fraction", self.validation_fraction) < 1:
            raise InputError("validation_fraction", repr(self.validation_fraction), "a number between 0 and 1")
        checked_callbacks(self.callbacks)

    def _prepare(
        self,
        samples: Array,
        y: Array,
        sample_weight: Any,
        resumed: bool,
        random: Any,
        partial: bool = False,
        classes: Any = None,
    ) -> Samples:
        """Return the samples, checked and scaled; build the network, unless the last one goes on."""
        samples, labels = readable("X", samples), readable("y", y)
        X = validated_samples(self, samples, reset=not resumed)
        y = validated_labels(self, labels, X.shape[0], **self._checks_of_y(labels))
        check_source("X", samples, X)
        if self._CHECKS_OF_Y:
            check_source("y", labels, y)
        widest = "float64" if resumed or computes_float64(self.backend, self.device) else "float32"
        x = cast(X, self.ed_.network.dtype if resumed else None, widest)
        weight = checked_sample_weight(sample_weight, y.shape[0])
        if weight is not None and not weight.all():
            kept = np.flatnonzero(weight)
            x, y, weight = x[kept] if issparse(x) else rows(x, kept), rows(y, kept), weight[kept]
        some, _ = next(dense_pieces(x))  # all, unless x is sparse
        if resumed:
            self._take_new_rule()
            check_same_range(self.input_range, self._span, some)
        else:
            span, moments = ranges_of(self.input_range, x, weight, standard=self.rule is None)
            if partial and span is not None:
                check_varied("X", *span, "Give input_range=(low, high), or more samples in the first call.")
            self.data_min_, self.data_max_ = span or (None, None)
            self.data_mean_, self.data_std_ = moments or (None, None)  # a preset's rates are for features in 0…1
        if self._span is not None and not isinstance(self.input_range, str):
            warn_of_clipping(some, self._span)
        # A copy even where nothing is scaled: a callback may change the user's array.
        some = self._scaled(some) if self._span else array_namespace(some).asarray(some, copy=True)
        target = self._target(y, some, resumed, partial, classes, weight)
        found = Samples(x if issparse(x) else some, target, self._weighted(y, weight, partial), self._scaled)
        if found.weight is not None and not found.weight.all():  # a class has the weight 0
            found = found.rows(np.flatnonzero(found.weight))
        seed = int(random.randint(np.iinfo(np.int32).max))  # also of a resumed fit: its validation samples are the same
        if not resumed:
            self._power = found.power
            self._end, self._waiting = 0, None
            self._place = place(some)
            self.n_iter_, self.loss_curve_ = 0, []
            self.validation_scores_ = None
            self.best_validation_score_ = None
            self.ed_ = self._build(some.shape[1], dtype_of(some), seed, self.backend, self.device)
        for piece, _ in found.pieces():
            self._keep_range(piece)
        if self.early_stopping and self.validation_scores_ is None:
            self.validation_scores_ = []
        return found

    def _keep_range(self, x: Array) -> None:
        """Tell the network between which values its samples lie, for files that hold it alone."""
        xp, known = array_namespace(x), self.ed_.x_range or (math.inf, -math.inf)
        low, high = min(known[0], float(xp.min(x))), max(known[1], float(xp.max(x)))
        if math.isfinite(high - low):  # else the network refuses the samples, and says why
            self.ed_.x_range = low, high

    @property
    def _span(self) -> tuple[Array, Array] | None:
        return None if self.data_min_ is None or self.data_max_ is None else (self.data_min_, self.data_max_)

    def _scaled(self, x: Array) -> Array:
        """Return x as the network learns it."""
        standard = self.data_mean_ is not None and self.data_std_ is not None
        return scale(x, self._span, (self.data_mean_, self.data_std_) if standard else None)

    def _build(self, features: int, dtype: str, seed: int, backend: str, device: str | None) -> ED:
        """Return a new network with the estimator's parameters."""
        names = ("hidden_depth", "alpha", "alpha_output", "u0", "activation", "rms", "initial")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        width = checked_width("hidden_width", self.hidden_width)
        variant = {**(TUNED if self.rule is None else {"rule": self.rule}), **self._variant()}
        if isinstance(width, tuple):  # which says the depth
            variant.pop("hidden_depth", None)
        options = {**variant, **given, "dtype": dtype, "seed": seed, "backend": backend, "device": device}
        ed = ED(features, width, **options)
        if self.rule is None:
            ed.rule = replace(
                tuned_rule(ed, self._power, whole_number("batch_size", self.batch_size, 1)),
                **{name: getattr(ed.rule, name) for name in ("alpha", "alpha_output") if name in given},
            )
        return ed

    def _take_new_rule(self) -> None:
        """Give the trained network the present learning rates, and refuse the parameters of another network."""
        ed = self.ed_
        new = self._build(ed.network.in_, ed.network.dtype, ed.seed, "auto", None)
        if new.network != ed.network:
            parameters = {"width": "hidden_width", "depth": "hidden_depth"}
            names = ed.network.__slots__
            changed = [name for name in names if getattr(new.network, name) != getattr(ed.network, name)]
            raise InputError(
                ", ".join(parameters.get(name, name) for name in changed),
                "other values than those of the trained network",
                "the same values",
                "Set warm_start=False and call fit for a new network.",
            )
        ed.rule = new.rule

    def _learn(self, samples: Samples, epochs: int, validation: Samples | None, partial: bool = False) -> None:
        """Learn at most `epochs` epochs, and after each compute the loss, score, print and call the callbacks."""
        ed, callbacks = self.ed_, checked_callbacks(self.callbacks)
        interrupted = self.n_iter_ < self._end  # the last fit: its rates go on falling, its best weights count
        first = self.n_iter_ if interrupted else 0
        begun, last = self.n_iter_ - first, first + epochs
        if not partial:
            self._end = begun + last
        batch, shuffle = whole_number("batch_size", self.batch_size, 1), yes_or_no("shuffle", self.shuffle)
        patience = whole_number("n_iter_no_change", self.n_iter_no_change, 1)
        stopping = EarlyStopping(real("tol", self.tol), patience, self._waiting if interrupted else None)
        for epoch in range(first, last):
            rule = scaled(ed.rule, 1 - epoch / last) if self.rule is None and not partial else ed.rule
            losses = samples.learn(ed, rule, batch, shuffle, relative=not partial)
            loss = float(losses.mean())
            self.n_iter_ += 1
            self.loss_curve_.append(loss)
            score, stop = None, False
            if validation is not None and self.validation_scores_ is not None:
                outputs = validation.outputs(ed)
                score = self._validation_score(validation.target, outputs, validation.weight)
                self.validation_scores_.append(score)
                # A score of few samples is coarse: it cannot tell most epochs apart.
                off = validation.mean((validation.target - outputs) ** 2)
                stop = stopping.stops(off, score, lambda: ed.weights)
                self._waiting = stopping.state
            if self.verbose:
                shown = "" if score is None else f", validation score {score:.4f}"
                print(f"{type(self).__name__}: epoch {self.n_iter_}: loss {loss:.4f}{shown}")
            stop |= any_stops(callbacks, EpochRecord(self.n_iter_, loss, score, self, ed, losses, rule))
            if self.ed_ is not ed:
                raise InputError(
                    "callbacks", "one that calls fit", "callbacks that leave the estimator's network alone"
                )
            if stop:
                break
        with np.errstate(all="ignore"):  # an overflow is an error below, with advice
            outputs = to_numpy(samples.outputs(ed))
        if not finite(outputs):
            raise outputs_of(ed.network, ed.rule, outputs).error()
        if stopping.weights is not None:
            self.best_validation_score_ = stopping.score
            ed.load_weights(stopping.weights)
        self._waiting = None
        if not partial:
            self._end = self.n_iter_

    @enough_memory()
    def _outputs(self, X: Array, method: str) -> Array:  # noqa: N803
        """Return the network's outputs for X, of X's library; `method` is the caller's name, for an error."""
        check_is_fitted(self)
        X = validated_samples(self, readable("X", X), reset=False)
        where = HOST if issparse(X) else place(X)
        if get_config()["array_api_dispatch"] and where != self._place:
            given, accepted = (f"an array of {at.library} on {at.device!r}" for at in (where, self._place))
            # scikit-learn's checks ask for the words "must use the same namespace".
            fix = f"{type(self).__name__}.{method}() must use the same namespace and device as fit."
            raise InputError("X", given, accepted, fix)
        x = cast(X, self.ed_.network.dtype)
        return outputs_in_pieces(self.ed_, x if issparse(x) else self._scaled(x), self._scaled)

    def _wanted(self, y: Any, samples: int) -> npt.NDArray[Any]:
        """Return the labels or targets of some samples for a score."""
        labels = readable("y", y)
        return to_numpy(validated_labels(self, labels, samples, **self._checks_of_y(labels)))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "ed_") and self.n_iter_ > 0  # a fit that failed before its first epoch has learnt nothing

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.input_tags.sparse = True
        return tags

    def _after_fit(self) -> None:
        """Warn of a bad result."""

    @abstractmethod
    def _target(self, y: Array, x: Array, resumed: bool, partial: bool, classes: Any, weight: Weight) -> Array:
        """Return the outputs that y asks for, of x's library and dtype."""

    def _checks_of_y(self, labels: Any) -> Mapping[str, bool]:
        """Return the options with which these labels are checked."""
        return self._CHECKS_OF_Y

    def _weighted(self, y: Array, weight: Weight, partial: bool) -> Weight:
        """Return the weights of samples with these labels, which have been found to be right."""
        return weight

    @property
    @abstractmethod
    def _columns(self) -> int:
        """Number of outputs."""

    @abstractmethod
    def _variant(self) -> dict[str, Any]:
        """Return ED's arguments for the outputs."""

    def _strata(self, target: Array) -> npt.NDArray[Any] | None:
        """Return the classes by which the validation samples are stratified; None for no classes."""
        return None

    @abstractmethod
    def _validation_score(self, target: Array, outputs: Array, weight: Weight) -> float:
        """Return the score of the outputs for validation samples."""
