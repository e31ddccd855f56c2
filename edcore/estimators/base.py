"""What `EDClassifier` and `EDRegressor` share: parameters, checks on the data, and the loop over epochs."""

from __future__ import annotations

import contextlib
import math
from abc import ABCMeta, abstractmethod
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from edcore.arguments import real, whole_number, yes_or_no
from edcore.arrays import Array, Place, has_dtype, place, rows, to_numpy
from edcore.core.network import Initial
from edcore.core.rule import Rule
from edcore.errors import DivergedError, InputError
from edcore.estimators.callbacks import Best, Callback, EpochRecord, checked_callbacks
from edcore.estimators.scaling import check_inside, check_varied, scaled, span_of
from edcore.model.classes import ROWS_AT_ONCE
from edcore.model.divergence import outputs_of
from edcore.model.ed import ED

INITIAL = Initial(weight=4.0, bias=4.0, fan_in=0.5)
"""The tuned initial weights of both estimators: wide enough for a few features, and the same spread for many."""


class BaseED(BaseEstimator, metaclass=ABCMeta):  # type: ignore[misc]  # scikit-learn has no types
    """An ED network as a scikit-learn estimator; parameters and attributes are described in `edcore.EDClassifier`."""

    ed_: ED
    data_min_: Array | None
    data_max_: Array | None
    n_iter_: int
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    _place: Place

    def __init__(
        self,
        hidden_width: int = 64,
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
        n_iter_no_change: int = 10,
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

    def fit(self, X: Array, y: Array) -> Self:  # noqa: N803  # scikit-learn's name
        """Learn from samples: anew, or with ``warm_start`` from where the last call ended.

        Parameters
        ----------
        X : array_like, shape (samples, features)
            The samples.
        y : array_like, shape (samples,), for a regressor also (samples, targets)
            What they are.

        Returns
        -------
        Self
            The estimator itself.

        Raises
        ------
        InputError
            If a parameter or the data are not accepted.
        DivergedError
            If the weights would be NaN or infinite. Then what was learnt before the call is still there.
        """
        self._check_parameters()
        goes_on = self.warm_start and self.__sklearn_is_fitted__()
        random = check_random_state(self.random_state)
        x, target = self._prepared(X, y, goes_on, random)
        held_out = None
        if self.early_stopping:
            learnt, kept = self._held_out(target, random)
            held_out = rows(x, kept), rows(target, kept)
            x, target = rows(x, learnt), rows(target, learnt)
        self._learn(x, target, self.max_iter, held_out)
        return self

    def _partial_fit(self, X: Array, y: Array, classes: Any = None) -> Self:  # noqa: N803
        """Learn one epoch of these samples."""
        self._check_parameters()
        if self.early_stopping:
            fix = "partial_fit sees a part of the data, and keeps none for validation."
            raise InputError("early_stopping", "True with partial_fit", "False with partial_fit", fix)
        random = check_random_state(self.random_state)
        x, target = self._prepared(X, y, self.__sklearn_is_fitted__(), random, partial=True, classes=classes)
        self._learn(x, target, 1, None)
        return self

    def _check_parameters(self) -> None:
        """Refuse values that `ED` does not see; it refuses the others."""
        for name in ("batch_size", "max_iter", "n_iter_no_change"):
            whole_number(name, getattr(self, name), 1)
        for name in ("shuffle", "warm_start", "early_stopping", "verbose"):
            yes_or_no(name, getattr(self, name))
        real("tol", self.tol)
        if not 0 < real("validation_fraction", self.validation_fraction) < 1:
            raise InputError("validation_fraction", repr(self.validation_fraction), "a number between 0 and 1")
        checked_callbacks(self.callbacks)

    def _prepared(
        self,
        X: Array,  # noqa: N803
        y: Array,
        goes_on: bool,
        random: Any,
        partial: bool = False,
        classes: Any = None,
    ) -> tuple[Array, Array]:
        """Return checked and scaled samples with their targets; make the network, unless it is there to go on with."""
        X, y = validate_data(self, X, y, reset=not goes_on, **self._checks_of_y())
        x = self._cast(X, self.ed_.network.dtype if goes_on else None)
        if goes_on:
            self._check_unchanged()
        else:
            with contextlib.suppress(AttributeError):
                del self.ed_  # what is refused from here on leaves no half of an older fit
            span = span_of(self.input_range, x)
            if partial and span is not None:
                fix = "Give input_range=(low, high), or more samples at first."
                check_varied("X", *span, fix)
            self.data_min_, self.data_max_ = span or (None, None)
        if self._span is not None and not isinstance(self.input_range, str):
            check_inside(x, self._span)
        x = scaled(x, self._span)
        target = self._target(y, x, goes_on, partial, classes)
        if not goes_on:
            self._place = place(x)
            self.n_iter_, self.loss_curve_ = 0, []
            self.validation_scores_ = [] if self.early_stopping else None
            self.best_validation_score_ = None
            seed = int(random.randint(np.iinfo(np.int32).max))
            self.ed_ = self._made(x.shape[1], dtype_of(x), seed, self.backend, self.device)
        return x, target

    def _cast(self, X: Array, dtype: str | None) -> Array:  # noqa: N803
        """Return X in this dtype, or in its own: half precision is float32 then, and whole numbers are float64."""
        xp = array_namespace(X)
        if dtype is None:
            whole = not xp.isdtype(X.dtype, "real floating")
            wide = has_dtype(xp, device(X), "float64") if whole else X.dtype == xp.float64
            dtype = "float64" if wide else "float32"
        return xp.astype(X, getattr(xp, dtype), copy=False)

    @property
    def _span(self) -> tuple[Array, Array] | None:
        return None if self.data_min_ is None or self.data_max_ is None else (self.data_min_, self.data_max_)

    def _made(self, features: int, dtype: str, seed: int, backend: str, device: str | None) -> ED:
        """Return a network as the parameters say."""
        names = ("hidden_depth", "alpha", "alpha_output", "u0", "activation", "rms", "initial")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        width = whole_number("hidden_width", self.hidden_width, 1)
        options = {**self._variant(width), **given, "dtype": dtype, "seed": seed, "backend": backend, "device": device}
        return ED(features, width, **options)

    def _check_unchanged(self) -> None:
        """Let new learning rates count from here on, and refuse another network."""
        ed = self.ed_
        asked = self._made(ed.network.in_, ed.network.dtype, ed.seed, "auto", None)
        if asked.network != ed.network:
            own = {"width": "hidden_width", "depth": "hidden_depth"}
            names = ed.network.__slots__
            changed = [name for name in names if getattr(asked.network, name) != getattr(ed.network, name)]
            raise InputError(
                ", ".join(own.get(name, name) for name in changed),
                "other values than those of the network that goes on learning",
                "the same values",
                "Set warm_start=False and call fit for a new network.",
            )
        ed.rule = asked.rule

    def _held_out(self, target: Array, random: Any) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return the numbers of the samples to learn from, and of those for validation."""
        learnt, kept = train_test_split(
            np.arange(target.shape[0]),
            test_size=self.validation_fraction,
            random_state=random,
            stratify=self._strata(target),
        )
        if len(kept) < 2:
            fix = "Raise it, or set early_stopping=False."
            raise InputError("validation_fraction", repr(self.validation_fraction), "one that keeps 2 samples", fix)
        return learnt, kept

    def _learn(self, x: Array, target: Array, epochs: int, held_out: tuple[Array, Array] | None) -> None:
        """Learn up to so many epochs. Where that diverges, all is as before; a new network is thrown away."""
        weights = self.ed_.weights if self.n_iter_ else None
        before, scores = self.n_iter_, self.validation_scores_
        try:
            self._go_through(x, target, epochs, held_out)
        except DivergedError:
            self.n_iter_, self.loss_curve_, self.validation_scores_ = before, self.loss_curve_[:before], scores
            if weights is None:
                del self.ed_
            else:
                self.ed_.load_weights(weights)
            raise

    def _go_through(self, x: Array, target: Array, epochs: int, held_out: tuple[Array, Array] | None) -> None:
        """Learn up to so many epochs, with all that happens after each."""
        ed, callbacks, best = self.ed_, checked_callbacks(self.callbacks), Best(self.tol, self.n_iter_no_change)
        xp = array_namespace(x)
        for _ in range(epochs):
            ed.fit(x, target, batch_size=self.batch_size, shuffle=self.shuffle)
            with np.errstate(all="ignore"):  # what overflows is refused below, with a sentence that helps
                outputs = _predicted(ed, x)
                loss = float(xp.mean(xp.abs(target - outputs)))
            self.n_iter_ += 1
            if not math.isfinite(loss):
                raise outputs_of(ed.network, ed.rule, to_numpy(outputs)).error()
            self.loss_curve_.append(loss)
            score, stop = None, False
            if held_out is not None:
                score = self._validation_score(held_out[1], _predicted(ed, held_out[0]))
                self.validation_scores_ = [*(self.validation_scores_ or []), score]
                stop = best.stops(score, lambda: ed.weights)
            if self.verbose:
                told = "" if score is None else f", validation score {score:.4f}"
                print(f"{type(self).__name__}: epoch {self.n_iter_}: loss {loss:.4f}{told}")
            answers = [callback(EpochRecord(self.n_iter_, loss, score, self)) for callback in callbacks]
            if stop or any(isinstance(answer, bool | np.bool_) and answer for answer in answers):
                break
        if best.weights is not None:
            self.best_validation_score_ = best.score
            ed.load_weights(best.weights)

    def _outputs(self, X: Array, method: str) -> Array:  # noqa: N803
        """Return what the network puts out for X, of X's library, for the method that was called."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        if get_config()["array_api_dispatch"] and place(X) != self._place:
            given, accepted = (f"an array of {where.library} on {where.device!r}" for where in (place(X), self._place))
            fix = f"What {type(self).__name__}.{method}() is given must use the same namespace and device as fit's X."
            raise InputError("X", given, accepted, fix)
        return _predicted(self.ed_, scaled(self._cast(X, self.ed_.network.dtype), self._span))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "ed_") and self.n_iter_ > 0  # what was refused before its first epoch has learnt nothing

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags

    @abstractmethod
    def _checks_of_y(self) -> dict[str, Any]:
        """Return what `validate_data` is told of y."""

    @abstractmethod
    def _target(self, y: Array, x: Array, goes_on: bool, partial: bool, classes: Any) -> Array:
        """Return what the outputs should be for y, of x's library and dtype."""

    @property
    @abstractmethod
    def _columns(self) -> int:
        """Number of outputs."""

    @abstractmethod
    def _variant(self, width: int) -> dict[str, Any]:
        """Return the arguments of `ED` on rule, outputs and, while no rule is asked for, all that was tuned with it."""

    @abstractmethod
    def _strata(self, target: Array) -> npt.NDArray[Any] | None:
        """Return by what the validation samples are stratified."""

    @abstractmethod
    def _validation_score(self, target: Array, outputs: Array) -> float:
        """Return the score of outputs."""


def dtype_of(x: Array) -> str:
    """Return the name of a network's dtype that x already has."""
    return "float64" if x.dtype == array_namespace(x).float64 else "float32"


def _predicted(ed: ED, x: Array) -> Array:
    """Return the network's outputs, computed in parts so that many samples need no more memory than some."""
    n = x.shape[0]
    parts = [slice(start, min(start + ROWS_AT_ONCE, n)) for start in range(0, n, ROWS_AT_ONCE)]
    return array_namespace(x).concat([ed.predict(x[part, ...]) for part in parts])
