"""The classifier: an output between 0 and 1 for each class."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from edcore.arrays import Array, like, to_numpy
from edcore.errors import InputError, shown
from edcore.estimators.base import BaseED
from edcore.estimators.inputs import dtype_of, readable
from edcore.estimators.scaling import nonzero
from edcore.model.classes import heads, predicted_classes, targets


class EDClassifier(ClassifierMixin, BaseED):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier that learns by the ED method, with no back-propagation.

    Two classes share one output. Of more classes, each has an output in a network of its own (a head), or under
    ``rule="modulo"`` all have outputs of one network.

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
        How weights learn, as for `ED`, with the network of its preset. Left out: the split rule, with cells, initial
        weights and learning rates that were chosen for scaled features.
    u0 : float, optional
        Width of the sigmoid. Left out: 1, or with a rule that of its preset.
    activation : {"sigmoid", "tanh", "relu", "relu6", "linear"}, optional
        Activation function of the cells. Left out: the sigmoid.
    rms : bool, optional
        Divide the sums of each layer by their root mean square, see `Network`. Left out: no.
    initial : Initial, optional
        The initial weights. Left out: ``Initial(weight=4, bias=4, fan_in=0.5)``, or with a rule those of its preset.
    input_range : {"data"}, tuple (low, high) or None
        The range of each feature that is scaled to 0…1: by default that of the samples in the first call of `fit` or
        `partial_fit`; else this one, each end a number or one number a feature. None scales nothing.
    batch_size : int
        Samples in a batch.
    max_iter : int
        Epochs, at most.
    shuffle : bool
        Visit the samples in a new random order in each epoch.
    warm_start : bool
        `fit` goes on from the present weights. Range and classes stay those of the first call; new learning rates
        apply.
    early_stopping : bool
        Hold out some samples for validation, stop when their score no longer gets better, and keep the best weights.
    validation_fraction : float
        Share of the samples that early stopping holds out, the same share of each class.
    n_iter_no_change : int
        Epochs without a better score after which early stopping stops.
    tol : float
        A better score is better by more than this.
    callbacks : callable or list of callable, optional
        Each is called with an `EpochRecord` after each epoch; if one returns True, learning stops.
    random_state : int, RandomState or None
        Source of the seed of weights, order and validation samples.
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
        The classes: an array of X's library, or of NumPy if they are not numbers.
    data_min_, data_max_ : array, shape (features,), or None
        The range of X that is scaled to 0…1.
    n_iter_ : int
        Epochs learnt, with those of earlier calls under ``warm_start``.
    loss_curve_ : list of float
        Mean of abs(target − output) over the training samples, after each epoch.
    validation_scores_ : list of float or None
        Accuracy on the validation samples after each epoch; None without early stopping.
    best_validation_score_ : float or None
        The best score of the last call, whose weights were kept.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Their names, if X had some.

    Notes
    -----
    ED minimises no loss function. `loss_curve_` only shows how far outputs are from their targets.

    ED needs inputs between 0 and 1: larger ones saturate its sigmoids, and its split rule keeps the signs of the
    weights only if no input is negative. So features are scaled. When predicting, and in later calls of
    `partial_fit`, values outside the range are clipped to it. Training samples outside an ``input_range`` of numbers
    are an error. A feature with a single value in that first call is 0, also where it has another one later.

    `fit` computes in X's precision: float32 for floats of up to 32 bits, also bfloat16, and float64 for longer ones and
    for whole numbers, in any byte order. With scikit-learn's ``array_api_dispatch`` on, X may be of any array library,
    and that library computes. Refused are masked arrays, dates, and large whole numbers whose differences float64 would
    round away. Labels of NumPy's StringDType become objects.

    A call of `fit` or `partial_fit` that raises leaves the estimator as it was. After Ctrl-C it keeps the epochs that
    it has learnt, if any; the loss of the last may then be NaN.

    `predict_proba` divides the outputs by their sum. They are not calibrated probabilities.

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
        """Learn one epoch of these samples; the next call goes on from there.

        Parameters
        ----------
        X : array_like, shape (samples, features)
            The samples. Unless ``input_range`` is given, those of the first call set the range of each feature.
        y : array_like, shape (samples,)
            Their classes.
        classes : iterable, optional
            All classes, also those that come later. Needed in the first call.

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
            In the order of `classes_`, of X's library. If all outputs are 0, all shares are equal.
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
            Of X's library, or of NumPy if the classes are not numbers.
        """
        shares = self._shares(X, "predict")
        xp = array_namespace(shares)
        index = xp.argmax(shares, axis=1)
        known = _in_library(to_numpy(self.classes_), shares)
        return known[to_numpy(index)] if isinstance(known, np.ndarray) else xp.take(known, index, axis=0)

    def score(self, X: Array, y: Array, sample_weight: Any = None) -> float:  # noqa: N803
        """Return the accuracy of the predictions, between 0 and 1.

        Parameters
        ----------
        X : array_like, shape (samples, features)
            The samples.
        y : array_like, shape (samples,)
            Their classes.
        sample_weight : array_like, shape (samples,), optional
            The weight of each sample.

        Returns
        -------
        float
            The share of samples whose class is predicted.
        """
        return float(super().score(X, readable("y", y), readable("sample_weight", sample_weight)))

    def _shares(self, X: Array, method: str) -> Array:  # noqa: N803
        outputs = self._outputs(X, method)
        xp = array_namespace(outputs)
        if len(outputs.shape) == 1:
            return xp.stack([1 - outputs, outputs], axis=1)
        most = xp.max(outputs, axis=1, keepdims=True)
        shares = xp.where(most > 0, outputs / nonzero(most), outputs * 0 + 1)
        return shares / xp.sum(shares, axis=1, keepdims=True)

    def _target(self, y: Array, x: Array, resumed: bool, partial: bool, classes: Any) -> Array:
        labels = to_numpy(y)
        present = _distinct("y", labels)
        check_classification_targets(labels)
        if not resumed:
            if partial and classes is None:
                raise InputError("classes", "None in the first partial_fit", "all classes, also those that come later")
            known = present if classes is None else _distinct("classes", classes)
            if len(known) < 2:
                name = "y" if classes is None else "classes"
                raise InputError(name, f"only one class, {shown(known.tolist()[0])}", "at least two classes")
            self.classes_ = _in_library(known, x)
        known = to_numpy(self.classes_)
        if resumed and classes is not None and not np.array_equal(known, again := _distinct("classes", classes)):
            raise InputError("classes", shown(again.tolist()), f"those of the first call, {shown(known.tolist())}")
        number = {label: n for n, label in enumerate(known.tolist())}
        if unknown := set(present.tolist()) - number.keys():
            raise InputError(
                "y", f"the unknown label {shown(min(unknown, key=str))}", f"the classes {shown(known.tolist())}"
            )
        index = np.array([number[label] for label in labels.tolist()])
        return like(targets(index, self._columns).astype(dtype_of(x)), x)

    @property
    def _columns(self) -> int:
        return heads(self.classes_.shape[0])

    def _variant(self) -> dict[str, Any]:
        shape = "outputs" if isinstance(self.rule, str) and self.rule == "modulo" else "heads"
        return {shape: self._columns}

    def _strata(self, target: Array) -> npt.NDArray[Any] | None:
        return predicted_classes(to_numpy(target))

    def _validation_score(self, target: Array, outputs: Array) -> float:
        return float(np.mean(predicted_classes(to_numpy(target)) == predicted_classes(to_numpy(outputs))))


def _distinct(name: str, labels: Any) -> npt.NDArray[Any]:
    """Return each label once, sorted, or refuse what cannot be sorted."""
    accepted = "one label a sample" if name == "y" else "a sequence with each class, such as [0, 1, 2]"
    accepted += ", all numbers or all texts"
    found = readable(name, labels)
    try:
        if isinstance(found, str | bytes):
            raise TypeError
        array = np.asarray(found if hasattr(found, "__array__") else list(found))
        known = np.unique(readable(name, array))
        fine = array.ndim == 1 and known.dtype.kind != "c" and bool((known == known).all())  # NaN is not
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise InputError(name, shown(labels), accepted)
    return known


def _in_library(known: npt.NDArray[Any], x: Array) -> Array:
    """Return the classes as an array of x's library, or as they are if it has not their dtype."""
    if known.dtype.kind not in "biuf":
        return known
    found = like(known, x)
    return found if np.array_equal(to_numpy(found), known) else known  # JAX makes 32 bits of 64, unless told otherwise
