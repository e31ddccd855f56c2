"""Labels: the classes of samples, the weights of classes, and matrices with a column for each label."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace
from sklearn.metrics import accuracy_score

from edcore.arguments import real
from edcore.arrays import Array, like, to_numpy
from edcore.errors import EDCoreError, InputError, shown
from edcore.estimators.inputs import check_one_kind, readable
from edcore.estimators.scaling import nonzero
from edcore.model.classes import predicted_classes

Weight = npt.NDArray[np.float64] | None

SEVERAL = "one class a sample, or a matrix (samples, labels) of 0 and 1 where a sample may have several labels"


def distinct(name: str, labels: Any) -> npt.NDArray[Any]:
    """Return each label once, sorted, or refuse what cannot be sorted."""
    accepted = "one label a sample" if name == "y" else "a sequence with each class, such as [0, 1, 2]"
    accepted += ", all numbers or all texts"
    try:
        if isinstance(labels, str | bytes):
            raise TypeError
        found = readable(name, labels if hasattr(labels, "__array__") else list(labels))
        array = np.asarray(found)
        check_one_kind(name, found, array)
        known = np.unique(readable(name, array))
        fine = array.ndim == 1 and known.dtype.kind != "c" and bool((known == known).all())  # NaN is not
        if known.dtype == object:
            set(known.tolist())  # what cannot be a key, such as a list, is no label
    except EDCoreError:
        raise
    except Exception:  # what labels are made of may raise anything
        fine = False
    if not fine and (gap := _first_gap(labels)) is not None:
        raise InputError(name, f"a gap among the labels, the first at [{gap}]", accepted, "Leave such samples out.")
    if not fine:
        raise InputError(name, shown(labels), accepted)
    return known


def _first_gap(labels: Any) -> int | None:
    """Return the place of the first label that is None or NaN, or None."""
    try:
        return next((place for place, label in enumerate(labels) if label is None or label != label), None)
    except Exception:  # labels that are no sequence, or that compare in their own way
        return None


def in_library(known: npt.NDArray[Any], x: Array) -> Array:
    """Return the classes as an array of x's library, or as they are if it has not their dtype."""
    if known.dtype.kind not in "biuf":
        return known
    found = like(known, x)
    return found if np.array_equal(to_numpy(found), known) else known  # JAX makes 32 bits of 64, unless told otherwise


def has_columns(labels: Any) -> bool:
    """Return whether labels are a matrix with several columns."""
    try:
        shape = labels.shape if hasattr(labels, "shape") else np.shape(labels)
    except Exception:  # of a ragged list, which scikit-learn refuses, or of another library
        return False
    return len(shape) == 2 and shape[1] > 1


def indicators(y: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a matrix (samples, labels) of 0 and 1, or refuse other values."""
    try:
        found = y.astype(np.float64)
        fine = bool(((found == 0) | (found == 1)).all())
    except Exception:  # of objects
        fine = False
    if not fine:
        raise InputError("y", f"shape {y.shape} with values such as {shown(y[0].tolist())}", SEVERAL)
    return found


def classes_of(labels: npt.NDArray[Any], known: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the number of the class of each label, or refuse one that is not known."""
    number = {label: n for n, label in enumerate(known.tolist())}
    if unknown := set(labels.tolist()) - number.keys():
        raise InputError(
            "y", f"the unknown label {shown(min(unknown, key=str))}", f"the classes {shown(known.tolist())}"
        )
    return np.array([number[label] for label in labels.tolist()], np.intp)


def accuracy_of(
    labels: npt.NDArray[Any], predicted: npt.NDArray[Any], known: npt.NDArray[Any], weight: Weight
) -> float:
    """Return the share of predicted labels that are right, by the weights of the samples."""
    try:
        return float(accuracy_score(labels, predicted, sample_weight=weight))
    except Exception as error:  # labels of another kind cannot be compared
        given = f"labels such as {shown(labels[:1].tolist()[0])}"
        raise InputError("y", given, f"labels of the kind of the classes, {shown(known.tolist())}") from error


def weighted_by_class(
    class_weight: Any,
    labels: npt.NDArray[Any],
    known: npt.NDArray[Any],
    weight: Weight,
    *,
    several: bool,
    partial: bool,
) -> npt.NDArray[np.float64]:
    """Return the weights of samples of these labels, times those of the classes; for `partial_fit` if `partial`."""
    if several:
        raise InputError("class_weight", f"{shown(class_weight)} with a matrix y", "None", "Weigh the samples.")
    if partial and isinstance(class_weight, str):
        fix = "Compute it of all labels, with sklearn.utils.class_weight.compute_class_weight."
        raise InputError("class_weight", f"{shown(class_weight)} with partial_fit", "a dictionary", fix)
    classes = classes_of(labels, known)
    own = np.ones(len(classes)) if weight is None else weight
    sums = np.bincount(classes, own, len(known))
    if isinstance(class_weight, str) and class_weight == "balanced":
        factors = sums.sum() / np.count_nonzero(sums) / np.where(sums > 0, sums, 1.0)
    elif isinstance(class_weight, Mapping) and all(isinstance(label, Hashable) for label in class_weight):
        number = {label: n for n, label in enumerate(known.tolist())}
        factors = np.ones(len(known))
        for label, value in class_weight.items():
            if label in number:
                factors[number[label]] = real(f"class_weight[{shown(label)}]", value)
        # Classes that y lacks may have a weight, and those without one have 1: but both at once is a wrong name.
        unknown = [label for label in class_weight if label not in number]
        if unknown and any(label not in class_weight for label in number):
            raise InputError("class_weight", f"the class {shown(unknown[0])}", f"the classes {shown(known.tolist())}")
    else:
        raise InputError("class_weight", shown(class_weight), "None, 'balanced', or a dictionary of class to weight")
    if not (found := own * factors[classes]).any():
        raise InputError("class_weight", "weights that are all zero for the samples", "some above zero")
    return found


def shares_of(outputs: Array) -> Array:
    """Return a share for each class (samples, classes): outputs of at least 0 by their sum, or 1 − y and y of one."""
    xp = array_namespace(outputs)
    if len(outputs.shape) == 1:
        return xp.stack([1 - outputs, outputs], axis=1)
    most = xp.max(outputs, axis=1, keepdims=True)
    shares = xp.where(most > 0, outputs / nonzero(most), outputs * 0 + 1)
    return shares / xp.sum(shares, axis=1, keepdims=True)


def share_right(wanted: npt.NDArray[Any], found: npt.NDArray[Any], several: bool, weight: Weight) -> float:
    """Return the share of samples, by their weights, whose outputs stand for the class, or all labels, of the targets.

    `several` says that a sample may have several labels.
    """
    if several:
        right = ((found > 0.5) == (wanted > 0.5)).all(axis=1)
    else:
        right = predicted_classes(wanted) == predicted_classes(found)
    return float(np.average(right, weights=weight))
