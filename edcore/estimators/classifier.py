"""The classifier: outputs between 0 and 1, one a class."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from edcore.arrays import Array, like, to_numpy
from edcore.errors import InputError
from edcore.estimators.base import INITIAL, BaseED, dtype_of
from edcore.estimators.scaling import widened
from edcore.model.classes import predicted_classes


class EDClassifier(ClassifierMixin, BaseED):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier that learns by the ED method, with no back-propagation.

    Two classes have one output. More have one each, in networks of their own (heads), or under ``rule="modulo"`` in
    one network.

    Parameters
    ----------
    hidden_width : int
        Cells per stream in the input layer and in each hidden layer.
    hidden_depth : int, optional
        Further hidden layers. Left out: 0, or with a rule that of its preset.
    alpha : float, optional
        Learning rate of all layers but the output layer. Left out: 0.5, or with a rule that of its preset.
    alpha_output : float, optional
        Learning rate of the output layer. Left out: 0.25, or with a rule that of its preset.
    rule : {"signed", "split", "kaneko", "edla", "modulo"} or Rule, optional
        How weights learn, as for `ED`, with all that its preset says of the network. Left out: the split rule, with
        cells, initial weights and learning rates that were chosen for scaled features.
    u0 : float, optional
        Width of the sigmoid. Left out: 1, or with a rule that of its preset.
    activation : {"sigmoid", "tanh", "relu", "relu6", "linear"}, optional
        What the cells make of their sums. Left out: the sigmoid.
    rms : bool, optional
        Divide the sums of each layer by their root mean square, see `Network`. Left out: no.
    initial : Initial, optional
        The initial weights. Left out: ``Initial(weight=4, bias=4, fan_in=0.5)``, or with a rule those of its preset.
    input_range : {"data"}, tuple (low, high) or None
        The range of each feature that is scaled to 0 … 1: by default that of the samples of the first call of `fit` or
        `partial_fit`; else this one, each end a number or one number a feature. With None x is taken as it is.
    batch_size : int
        Samples in a batch.
    max_iter : int
        Epochs, at most.
    shuffle : bool
        Visit the samples in an order of each epoch's own.
    warm_start : bool
        Have `fit` go on from the present weights. Range and classes stay those of the first call, and new learning
        rates count from here on.
    early_stopping : bool
        Keep some samples for validation, stop when their score no longer gets better, and keep the best weights.
    validation_fraction : float
        Share of the samples that early stopping keeps, the same share of each class.
    n_iter_no_change : int
        Epochs without a better score after which early stopping stops.
    tol : float
        By how much a score must be better for that.
    callbacks : callable or list of callable, optional
        Each is called with an `EpochRecord` after each epoch; if one returns True, learning stops.
    random_state : int, RandomState or None
        Where the seed of weights, order and validation samples is drawn from.
    verbose : bool
        Print a line after each epoch.
    backend : str
        A name of `list_backends`, or ``"auto"``, see `ED`.
    device : str, optional
        Device, see `ED`.

    Attributes
    ----------
    ed_ : ED
        The trained network.
    classes_ : array, shape (classes,)
        The classes: of X's library, but NumPy's where they are no numbers.
    data_min_, data_max_ : array, shape (features,), or None
        The range that is scaled to 0 … 1.
    n_iter_ : int
        Epochs learnt, with those of earlier calls that were gone on from.
    loss_curve_ : list of float
        Mean of abs(target − output) over the training samples, after each epoch.
    validation_scores_ : list of float or None
        Accuracy on the validation samples after each epoch; None without early stopping.
    best_validation_score_ : float or None
        The best of the last call, that of the weights which were kept.
    n_features_in_ : int
        Features.
    feature_names_in_ : ndarray of str
        Their names, where X had some.

    Notes
    -----
    ED minimises no loss function. `loss_curve_` only shows how far outputs are from their targets.

    ED needs inputs between 0 and 1: larger ones saturate its sigmoids, and its split rule keeps the signs of the
    weights only where no input is negative. So features are scaled, and values outside the range are clipped to it,
    when predicting and in later calls of `partial_fit`. In samples to learn from, a range of the user's own leaves none
    outside, else it is an error. A feature with a single value is 0.

    `fit` computes in X's precision, float32 or float64. With scikit-learn's ``array_api_dispatch`` on, X may be of any
    array library, and all is computed there.

    The outputs are no calibrated probabilities: `predict_proba` divides them by their sum.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> import edcore
    >>> split = train_test_split(*load_digits(return_X_y=True), random_state=0)
    >>> x_train, x_test, y_train, y_test = split
    >>> classifier = edcore.EDClassifier(max_iter=20, random_state=0).fit(x_train, y_train)
    >>> classifier.score(x_test, y_test) > 0.95
    True
    """

    def partial_fit(self, X: Array, y: Array, classes: Any = None) -> Self:  # noqa: N803  # scikit-learn's name
        """Learn one epoch of these samples, and go on from there at the next call.

        Parameters
        ----------
        X : array_like, shape (samples, features)
            The samples. Unless ``input_range`` is given, the first ones show how far each feature ranges.
        y : array_like, shape (samples,)
            Their classes.
        classes : array_like, shape (classes,), optional
            All classes there are. Needed at the first call.

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
        return self._partial_fit(X, y, classes)

    def predict_proba(self, X: Array) -> Array:  # noqa: N803
        """Return a share for each class: the outputs, divided by their sum.

        Parameters
        ----------
        X : array_like, shape (samples, features)
            The samples.

        Returns
        -------
        array, shape (samples, classes)
            In the order of `classes_`, of X's library. Where all outputs are 0, all shares are the same.
        """
        return self._shares(X, "predict_proba")

    def predict(self, X: Array) -> Array:  # noqa: N803
        """Return the class with the largest share for each sample.

        Parameters
        ----------
        X : array_like, shape (samples, features)
            The samples.

        Returns
        -------
        array, shape (samples,)
            Of X's library, but NumPy's where classes are no numbers.
        """
        shares = self._shares(X, "predict")
        xp = array_namespace(shares)
        index = xp.argmax(shares, axis=1)
        known = to_numpy(self.classes_)
        if known.dtype.kind in "biuf":
            return xp.take(like(self.classes_, shares), index, axis=0)
        return known[to_numpy(index)]

    def _shares(self, X: Array, method: str) -> Array:  # noqa: N803
        outputs = self._outputs(X, method)
        xp = array_namespace(outputs)
        if len(outputs.shape) == 1:
            return xp.stack([1 - outputs, outputs], axis=1)
        most = xp.max(outputs, axis=1, keepdims=True)
        shares = xp.where(most > 0, outputs / widened(most), outputs * 0 + 1)
        return shares / xp.sum(shares, axis=1, keepdims=True)

    def _checks_of_y(self) -> dict[str, Any]:
        return {}

    def _target(self, y: Array, x: Array, goes_on: bool, partial: bool, classes: Any) -> Array:
        labels = to_numpy(y)
        check_classification_targets(labels)
        if not goes_on:
            if partial and classes is None:
                raise InputError("classes", "None at the first partial_fit", "all classes that there will be")
            known = np.unique(labels if classes is None else np.asarray(classes))
            if len(known) < 2:
                raise InputError("y", f"one class alone, {known[0]!r}", "at least two classes")
            self.classes_ = like(known, x) if known.dtype.kind in "biuf" else known
        known = to_numpy(self.classes_)
        if classes is not None and not np.array_equal(known, np.unique(np.asarray(classes))):
            raise InputError("classes", f"{list(classes)!r}", f"those of the first call, {known.tolist()!r}")
        number = {label: n for n, label in enumerate(known.tolist())}
        if unknown := set(labels.tolist()) - number.keys():
            raise InputError("y", f"the unknown label {min(unknown, key=str)!r}", f"the classes {known.tolist()!r}")
        index = np.array([number[label] for label in labels.tolist()])
        wanted = np.eye(len(known))[index] if self._columns > 1 else index
        return like(wanted.astype(dtype_of(x)), x)

    @property
    def _columns(self) -> int:
        classes: int = self.classes_.shape[0]
        return 1 if classes == 2 else classes

    def _variant(self, width: int) -> dict[str, Any]:
        tuned = {"rule": "split", "hidden_depth": 0, "alpha": 0.5, "alpha_output": 0.25, "u0": 1.0, "initial": INITIAL}
        shape = "outputs" if self.rule == "modulo" else "heads"
        return {**(tuned if self.rule is None else {"rule": self.rule}), shape: self._columns}

    def _strata(self, target: Array) -> npt.NDArray[Any] | None:
        return predicted_classes(to_numpy(target))

    def _validation_score(self, target: Array, outputs: Array) -> float:
        return float(np.mean(predicted_classes(to_numpy(target)) == predicted_classes(to_numpy(outputs))))
