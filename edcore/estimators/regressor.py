"""The regressor: linear outputs, for targets that it standardises."""

from __future__ import annotations

import warnings
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from array_api_compat import array_namespace, device
from sklearn.base import RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score

from edcore.arrays import Array, has_dtype, like, to_numpy
from edcore.core.presets import preset
from edcore.errors import InputError
from edcore.estimators.base import BaseED
from edcore.estimators.defaults import spread
from edcore.estimators.inputs import dtype_of
from edcore.estimators.samples import Weight, checked_sample_weight
from edcore.estimators.scaling import check_rounding, check_varied, moments, nonzero, precision_of

TOO_FAR = 2.0
"""A loss, in standard deviations of y, that is worth a warning; noise alone is smaller."""


class EDRegressor(RegressorMixin, BaseED):  # type: ignore[misc]  # scikit-learn has no types
    """A regressor that learns by the ED method, with no back-propagation.

    The output is linear. Each of several targets has a network of its own (a head).

    Parameters
    ----------
    hidden_width, hidden_depth
        As for `EDClassifier`.
    alpha, alpha_output
        As for `EDClassifier`. The rates of presets are for outputs between 0 and 1, and too large here.
    rule : {"signed", "split", "kaneko", "edla"} or Rule, optional
        As for `EDClassifier`. Centred rules, such as modulo's, are refused: they leave out the mean error, so they
        never learn the mean of y.
    u0
        As for `EDClassifier`.
    activation : {"sigmoid", "tanh", "relu", "relu6", "linear"} or str, optional
        Activation of the cells, perhaps a registered one. Left out: the sigmoid, or with a rule that of its preset.
    rms
        As for `EDClassifier`.
    initial : Initial, optional
        The initial weights. Left out: ``Initial(weight=1, bias=4, fan_in=0.5)``, or with a rule those of its preset.
    input_range, batch_size, max_iter, shuffle
        As for `EDClassifier`.
    warm_start : bool
        As for `EDClassifier`. The mean and the scale of y stay those of the first call, too.
    early_stopping, validation_fraction, n_iter_no_change, tol, callbacks, random_state, verbose, backend, device
        As for `EDClassifier`, with the target in standard deviations of y.

    Attributes
    ----------
    ed_ : ED
        The trained network.
    data_min_, data_max_, data_mean_, data_std_ : array, shape (features,), or None
        As for `EDClassifier`.
    y_mean_, y_scale_ : array, shape (targets,)
        Mean and standard deviation of y in the first call, in float64: the network learns (y − mean) / scale. A target
        with a single value has the scale 0, and this value is always predicted.
    n_iter_ : int
        Epochs learnt, with those of earlier calls under ``warm_start``.
    loss_curve_ : list of float
        For each epoch the mean of abs(target − output) over the training samples, by their weights, each as the epoch
        came to it, before it was learnt; in standard deviations of y.
    validation_scores_ : list of float or None
        R² on the validation samples after each epoch; None without early stopping.
    best_validation_score_ : float or None
        The score of the weights that early stopping has kept in the last call.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Their names, if X had some.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If `fit` ends with a loss above 2. The mean of y, whose loss is at most 1, would have been a better prediction.

    Notes
    -----
    The notes of `EDClassifier` on the loss, scaling, learning rates, precision and array libraries apply here too.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> import edcore
    >>> x, y = make_friedman1(600, noise=1.0, random_state=0)
    >>> regressor = edcore.EDRegressor(max_iter=50, random_state=0).fit(x[:400], y[:400])
    >>> regressor.score(x[400:], y[400:]) > 0.8
    True
    """

    _CHECKS_OF_Y = MappingProxyType({"several": True, "real": True})

    def partial_fit(self, X: Array, y: Array, sample_weight: Any = None) -> Self:  # noqa: N803  # scikit-learn's name
        """Learn one epoch of these samples; the next call goes on from there.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (samples, features)
            The samples. Unless ``input_range`` is given, those of the first call set the range of each feature.
        y : array_like, shape (samples,) or (samples, targets)
            Their targets. Those of the first call set the mean and the scale of each target.
        sample_weight : array_like, shape (samples,), optional
            The weight of each sample, at least 0: a factor of its error, with which each batch counts twice at most.

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
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Array) -> Array:  # noqa: N803
        """Return the predicted targets of each sample.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (samples, features)
            The samples.

        Returns
        -------
        array, shape (samples,) or (samples, targets)
            In the shape and the units of y in `fit`, of X's library. Where float32 would round them by much, as with a
            mean of 10,000 standard deviations, they are float64, else they have the precision of X in `fit`.
        """
        outputs = self._outputs(X, "predict")
        xp = array_namespace(outputs)
        mean, scale = like(self.y_mean_, outputs), like(self.y_scale_, outputs)
        several = xp.astype(xp.reshape(outputs, (outputs.shape[0], self._columns)), mean.dtype, copy=False)
        predicted = xp.astype(several * scale + mean, getattr(xp, self._precision), copy=False)
        return predicted[:, 0] if self._flat else predicted

    def score(self, X: Array, y: Array, sample_weight: Any = None) -> float:  # noqa: N803
        """Return R², the coefficient of determination, of the predictions.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (samples, features)
            The samples.
        y : array_like, shape (samples,) or (samples, targets)
            Their targets.
        sample_weight : array_like, shape (samples,), optional
            The weight of each sample.

        Returns
        -------
        float
            1 for a perfect prediction, and 0 for the mean of y.
        """
        predicted = to_numpy(self.predict(X))
        # By NumPy: scikit-learn's r2_score writes to its arrays, which those of JAX refuse.
        wanted = self._wanted(y, len(predicted))
        weight = checked_sample_weight(sample_weight, len(predicted))
        if wanted.size != predicted.size:
            raise InputError("y", f"shape {wanted.shape}", f"shape {predicted.shape}, as in fit")
        return float(r2_score(wanted, predicted, sample_weight=weight))

    def _after_fit(self) -> None:
        if (loss := self.loss_curve_[-1]) > TOO_FAR and not self.early_stopping:
            warnings.warn(
                f"The loss after epoch {self.n_iter_} is {loss:.3g}; that of the mean of y would be at most 1. "
                f"Try more epochs (max_iter) or smaller learning rates (alpha, alpha_output).",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _target(self, y: Array, x: Array, resumed: bool, partial: bool, classes: Any, weight: Weight) -> Array:
        given = to_numpy(y)
        with np.errstate(over="ignore"):
            columns = given.astype(np.float64).reshape(len(given), -1)
        check_rounding("y", given.reshape(columns.shape), columns)
        xp, precision = array_namespace(x), dtype_of(x)
        if not resumed:
            if partial:
                check_varied("y", columns.min(axis=0), columns.max(axis=0), "Give more samples in the first call.")
            mean, deviation = moments(columns, weight)
            self._flat, self._precision = given.ndim == 1, precision_of(mean, deviation, precision)
            known = "float64" if has_dtype(xp, device(x), "float64") else "float32"
            if self._precision > known:
                given_ = "values that float32 rounds away, and the device of X has no float64"
                raise InputError("y", given_, "a mean near 0 and a deviation near 1", "Subtract an offset, rescale y.")
            self.y_mean_, self.y_scale_ = (like(value.astype(known), x) for value in (mean, deviation))
        if (targets := columns.shape[1]) != self._columns:
            raise InputError("y", f"{targets} targets", f"{self._columns}, as in the first call")
        mean, deviation = to_numpy(self.y_mean_), to_numpy(self.y_scale_)
        if ((deviation == 0) & (columns != mean).any(axis=0)).any():
            fix = "It cannot be scaled. Call fit with warm_start=False, on samples that show how far y ranges."
            raise InputError("y", "a target that varies", "its one value, as in the first call", fix)
        with np.errstate(over="ignore"):
            wanted = ((columns - mean) / nonzero(deviation)).astype(precision)
        if not np.isfinite(wanted).all():
            accepted = "values nearer to those of the first call"
            raise InputError("y", f"values too far from the mean of the first call for {precision}", accepted)
        return like(wanted[:, 0] if targets == 1 else wanted, x)

    @property
    def _columns(self) -> int:
        return int(self.y_mean_.shape[0])

    def _variant(self) -> dict[str, Any]:
        if self.rule is not None and preset(self.rule).rule.centred:
            fix = "A centred rule leaves out the mean error, so it never learns the mean of y."
            raise InputError("rule", f"{self.rule!r}, which is centred", "None, or a rule that is not centred", fix)
        tuned = {"initial": spread(4.0)} if self.rule is None else {}
        return {"heads": self._columns, "output_activation": "linear", **tuned}

    def _validation_score(self, target: Array, outputs: Array, weight: Weight) -> float:
        with np.errstate(over="ignore"):  # such a fit ends with a warning about its loss
            return float(r2_score(to_numpy(target), to_numpy(outputs), sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
