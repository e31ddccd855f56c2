"""The classifier: an output between 0 and 1 for each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from edcore.arguments import one_of
from edcore.arrays import Array, like, to_numpy
from edcore.core.activations import SOFTMAX
from edcore.core.network import Initial
from edcore.core.presets import check_softmax
from edcore.core.rule import Rule
from edcore.errors import InputError, shown
from edcore.estimators.base import BaseED
from edcore.estimators.defaults import spread
from edcore.estimators.inputs import dtype_of
from edcore.estimators.labels import (
    Weight,
    accuracy_of,
    classes_of,
    distinct,
    has_columns,
    in_library,
    indicators,
    share_right,
    shares_of,
    weighted_by_class,
)
from edcore.estimators.refusals import refusal
from edcore.estimators.samples import checked_sample_weight
from edcore.model.callbacks import Callback
from edcore.model.classes import heads, predicted_classes, shape_of, targets


class EDClassifier(ClassifierMixin, BaseED):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier that learns by the ED method, with no back-propagation.

    Two classes share one output. Of more classes, each has an output in a network of its own (a head), or under
    ``rule="modulo"`` all have outputs of one network. The same holds for labels of which a sample may have several.

    Parameters
    ----------
    hidden_width : int or sequence of int
        Cells per stream in the input layer and in each hidden layer, or one width for each of them: (512, 128).
    hidden_depth : int, optional
        Layers beyond the input layer, whose cells are hidden too. Left out: what several widths say, 0 or the preset's.
    alpha : float, optional
        Learning rate of all layers but the output layer. Left out: one that suits the samples (see the notes), or with
        a rule that of its preset.
    alpha_output : float, optional
        Learning rate of the output layer. Left out: as for ``alpha``.
    rule : {"signed", "split", "kaneko", "edla", "modulo"} or Rule, optional
        How weights learn, as for `ED`, with the network of its preset. Left out: the signed rule, with cells, initial
        weights and learning rates for standardised features.
    u0 : float, optional
        Width of the sigmoid. Left out: 2, or with a rule that of its preset.
    activation : {"sigmoid", "tanh", "relu", "relu6", "linear"} or str, optional
        Activation of the cells, perhaps a registered one. Left out: relu, or with a rule that of its preset.
    output_activation : {"sigmoid", "softmax"}, optional
        How outputs are read: each by itself, or as probabilities that add up to 1, see `Network`, of one network that
        has an output for each class, also of two. Softmax is for a signed rule. Left out: sigmoid.
    rms : bool, optional
        Divide the sums of each layer by their root mean square, see `Network`. Left out: no.
    initial : Initial, optional
        The initial weights. Left out: ``Initial(weight=1, bias=2, fan_in=0.5)``, or with a rule those of its preset.
    input_range : {"data"}, tuple (low, high) or None
        The range of each feature, to which its values are clipped. "data" is the range of the samples in the first call
        of `fit` or `partial_fit`, without what is far out: more than three interquartile ranges beyond the quartiles.
        Else each end is a number, or one number a feature. None neither clips nor scales.
    batch_size : int
        Samples in a batch.
    max_iter : int
        Epochs, at most.
    shuffle : bool
        Visit the samples in a new random order in each epoch.
    warm_start : bool
        `fit` goes on from the present weights. Range and classes stay those of the first call; new learning rates
        apply. After a `fit` that was interrupted, the rates go on falling from where they were.
    early_stopping : bool
        Hold out some samples for validation, keep the weights of the epoch with the least mean of
        (target − output)² over them, and stop when it no longer falls.
    validation_fraction : float
        Share of the samples that early stopping holds out, the same share of each class.
    n_iter_no_change : int
        Epochs without a fall of that mean after which early stopping stops.
    tol : float
        A fall is one by more than this.
    class_weight : dict, "balanced" or None
        The weight of each class, with which its samples are learnt beside their own; 1 where there is none. Balanced
        classes have the same sum of weights. A centred rule, such as modulo's, learns the differences between classes,
        and nothing of a class that has all the weight.
    callbacks : callable or list of callable, optional
        Each is called with an `EpochRecord` after each epoch; if one returns True, learning stops.
    random_state : int, RandomState, Generator or None
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
        The classes: an array of X's library, or of NumPy if they are not numbers. Of a matrix y, its columns.
    data_min_, data_max_ : array, shape (features,), or None
        The range of each feature, which is scaled to 0…1; None without scaling.
    data_mean_, data_std_ : array, shape (features,), or None
        Mean and standard deviation of each feature in 0…1, by which it is then standardised; None with a rule.
    n_iter_ : int
        Epochs learnt, with those of earlier calls under ``warm_start``.
    loss_curve_ : list of float
        For each epoch the mean of abs(target − output) over the training samples, by their weights, each as the epoch
        came to it, before it was learnt.
    validation_scores_ : list of float or None
        Accuracy on the validation samples after each epoch; None without early stopping.
    best_validation_score_ : float or None
        The score of the weights that early stopping has kept in the last call.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Their names, if X had some.

    Notes
    -----
    ED minimises no loss function. `loss_curve_` only shows how far outputs are from their targets.

    Features are clipped to their range and scaled to 0…1. Without a rule they are then standardised to mean 0 and
    standard deviation 1. With an ``input_range`` of numbers, these are taken as if values were spread evenly over it; a
    warning says if more than 10 % of the values to learn from are clipped. A feature with a single value in the first
    call is 0, also where it has another one later.

    Without a rule, and where no rate is given, the learning rates are inversely proportional to the mean sum of squares
    of what a layer gets, as in the normalised LMS rule. Without a rule, rates fall linearly to 0 over the epochs of a
    `fit`; `partial_fit` has constant rates. If half of a layer's cells answer the same to all samples after a `fit`,
    the rates were too large, and a warning says so.

    `fit` computes in X's precision: float32 for floats of up to 32 bits, also bfloat16, and float64 for longer ones and
    for whole numbers, in any byte order. With scikit-learn's ``array_api_dispatch`` on, X may be of any array library,
    and that library computes. Refused are masked arrays, dates, and large whole numbers whose differences float64 would
    round away. A backend without float64, as JAX is unless told otherwise, learns float64 and whole numbers in float32.

    A call of `fit` or `partial_fit` that raises leaves the estimator as it was. After Ctrl-C it keeps the epochs that
    it has learnt, if any; the loss of the last may then be NaN.

    `predict_proba` divides the outputs by their sum, which with softmax is 1. Nothing calibrates these shares.

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
        output_activation: str | None = None,
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
        class_weight: Any = None,
        callbacks: Callback | list[Callback] | None = None,
        random_state: Any = None,
        verbose: bool = False,
        backend: str = "auto",
        device: str | None = None,
    ) -> None:
        super().__init__(
            hidden_width,
            hidden_depth,
            alpha,
            alpha_output,
            rule=rule,
            u0=u0,
            activation=activation,
            rms=rms,
            initial=initial,
            input_range=input_range,
            batch_size=batch_size,
            max_iter=max_iter,
            shuffle=shuffle,
            warm_start=warm_start,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            callbacks=callbacks,
            random_state=random_state,
            verbose=verbose,
            backend=backend,
            device=device,
        )
        self.output_activation = output_activation
        self.class_weight = class_weight

    def partial_fit(self, X: Array, y: Array, classes: Any = None, sample_weight: Any = None) -> Self:  # noqa: N803
        """Learn one epoch of these samples; the next call goes on from there.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (samples, features)
            The samples. Unless ``input_range`` is given, those of the first call set the range of each feature.
        y : array_like, shape (samples,) or (samples, labels)
            Their classes, or a 0 or 1 for each label.
        classes : iterable, optional
            All classes, also those that come later. Needed in the first call, unless y is a matrix.
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
        return self._partial_fit(X, y, sample_weight, classes)

    def predict_proba(self, X: Array) -> Array:  # noqa: N803
        """Return a share for each class: the outputs, divided by their sum.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (samples, features)
            The samples.

        Returns
        -------
        array, shape (samples, classes)
            In the order of `classes_`, of X's library. If all outputs are 0, all shares are equal. Where a sample may
            have several labels, each has its output as it is.
        """
        return self._shares(X, "predict_proba")

    def predict(self, X: Array) -> Array:  # noqa: N803
        """Return the class with the largest share for each sample.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (samples, features)
            The samples.

        Returns
        -------
        array, shape (samples,) or (samples, labels)
            Of X's library, or of NumPy if the classes are not numbers. Where a sample may have several labels, a 1 for
            each whose output is above one half, and 0 for the others.
        """
        shares = self._shares(X, "predict")
        xp = array_namespace(shares)
        if self._has_labels:
            return xp.astype(shares > 0.5, xp.int64)
        index = xp.argmax(shares, axis=1)
        known = in_library(to_numpy(self.classes_), shares)
        return known[to_numpy(index)] if isinstance(known, np.ndarray) else xp.take(known, index, axis=0)

    def score(self, X: Array, y: Array, sample_weight: Any = None) -> float:  # noqa: N803
        """Return the accuracy of the predictions, between 0 and 1.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (samples, features)
            The samples.
        y : array_like, shape (samples,) or (samples, labels)
            Their classes, or a 0 or 1 for each label.
        sample_weight : array_like, shape (samples,), optional
            The weight of each sample.

        Returns
        -------
        float
            The share of samples whose class is predicted; of several labels, all of a sample's.
        """
        predicted = to_numpy(self.predict(X))
        wanted = self._wanted(y, len(predicted))
        weight = checked_sample_weight(sample_weight, len(predicted))
        return accuracy_of(wanted, predicted, to_numpy(self.classes_), weight)

    def _shares(self, X: Array, method: str) -> Array:  # noqa: N803
        outputs = self._outputs(X, method)
        if self._has_labels or self.output_activation == SOFTMAX:
            return outputs
        return shares_of(outputs)

    def _checks_of_y(self, labels: Any) -> dict[str, bool]:
        return {"several": has_columns(labels)}

    def _target(self, y: Array, x: Array, resumed: bool, partial: bool, classes: Any, weight: Weight) -> Array:
        labels = to_numpy(y)
        several = labels.ndim == 2
        if resumed and several != self._has_labels:
            accepted = "a matrix of labels" if self._has_labels else "one class a sample"
            raise InputError("y", f"shape {labels.shape}", f"{accepted}, as in the first call")
        self._several = several
        if several:
            if self.output_activation == SOFTMAX:
                raise InputError("output_activation", "'softmax' with a matrix y", "'sigmoid' for several labels")
            return self._indicators(labels, x, resumed, classes)
        present = distinct("y", labels)
        try:
            check_classification_targets(labels)
        except Exception as error:
            raise refusal("y", labels, error) from error
        if not resumed:
            if partial and classes is None:
                raise InputError("classes", "None in the first partial_fit", "all classes, also those that come later")
            known = present if classes is None else distinct("classes", classes)
            if len(known) < 2:
                given = f"only one class, {shown(known[0].tolist())}" if len(known) else "no class"
                raise InputError("y" if classes is None else "classes", given, "at least two classes")
            self.classes_ = in_library(known, x)
        known = to_numpy(self.classes_)
        if resumed and classes is not None and not np.array_equal(known, again := distinct("classes", classes)):
            raise InputError("classes", shown(again.tolist()), f"those of the first call, {shown(known.tolist())}")
        return like(targets(classes_of(labels, known), self._columns).astype(dtype_of(x)), x)

    def _indicators(self, labels: npt.NDArray[Any], x: Array, resumed: bool, classes: Any) -> Array:
        """Return the targets of samples that may have several labels."""
        found, columns = indicators(labels), np.arange(labels.shape[1])
        if classes is not None and not np.array_equal(distinct("classes", classes), columns):
            raise InputError("classes", shown(classes), f"None for a matrix y, or its columns, {columns.tolist()}")
        if not resumed:
            self.classes_ = in_library(columns, x)
        if len(columns) != self._columns:
            raise InputError("y", f"{len(columns)} labels", f"{self._columns}, as in the first call")
        return like(found.astype(dtype_of(x)), x)

    def _weighted(self, y: Array, weight: Weight, partial: bool) -> Weight:
        if (given := self.class_weight) is None:
            return weight
        known, several = to_numpy(self.classes_), self._has_labels
        return weighted_by_class(given, to_numpy(y), known, weight, several=several, partial=partial)

    @property
    def _has_labels(self) -> bool:
        """Whether a sample may have several labels."""
        return getattr(self, "_several", False)  # which pickles of old lack

    @property
    def _columns(self) -> int:
        classes = self.classes_.shape[0]
        return classes if self._has_labels else heads(classes, self.output_activation)

    def _variant(self) -> dict[str, Any]:
        tuned = {"activation": "relu", "initial": spread(2.0)} if self.rule is None else {}
        shape = shape_of(self._columns, self.rule, self.output_activation)
        return {**shape, **tuned, "output_activation": self.output_activation}

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.output_activation is not None:
            one_of("output_activation", self.output_activation, ("sigmoid", SOFTMAX))
        check_softmax(self.output_activation, self.rule)

    def _strata(self, target: Array) -> npt.NDArray[Any] | None:
        return None if self._has_labels else predicted_classes(to_numpy(target))

    def _validation_score(self, target: Array, outputs: Array, weight: Weight) -> float:
        return share_right(to_numpy(target), to_numpy(outputs), self._has_labels, weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
