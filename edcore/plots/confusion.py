"""The confusion matrix: true classes against predicted classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.errors import InputError, printable
from edcore.plots.canvas import Picture, axes_or_new, set_title

NUMBERED = 30
"""The most classes for which the cells show their counts, and the names have their usual size."""

LETTERS = 16
"""The most letters of a class name."""


def confusion_matrix(
    true: npt.ArrayLike, predicted: npt.ArrayLike, classes: Sequence[object] | None = None, ax: Picture | None = None
) -> Picture:
    """Draw how often each class was predicted as each other, by scikit-learn's ``confusion_matrix``.

    Parameters
    ----------
    true : array_like, shape (samples,)
        The class of each sample: its label, or with `classes` its index in them.
    predicted : array_like, shape (samples,)
        The predicted class of each sample, in the same way.
    classes : sequence, optional
        Names of the classes, as those of a `Dataset`. Left out, the labels that occur.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Left out, a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. A cell is as dark as its share of its row; its number is a count.

    Raises
    ------
    InputError
        If the two differ in length, are empty, or are outputs and not classes.
    EDCoreError
        If matplotlib is not installed.

    Examples
    --------
    >>> from edcore import plots
    >>> figure = plots.confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1], classes=("cat", "dog"))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '1', '0', '2']
    """
    from sklearn.metrics import confusion_matrix as counted

    right, found, labels = checked_classes(true, predicted, classes)
    counts = counted(right, found, labels=labels)
    names = [short(name) for name in (labels if classes is None else classes)]
    side = float(np.clip(2 + 0.4 * len(labels), 4, 12))
    ax = axes_or_new(ax, (side + 0.5, side))
    _draw(ax, counts, names)
    set_title(ax, f"Confusion matrix: {counts.trace() / counts.sum():.2%} of {counts.sum():,} right")
    return ax.figure


def checked_classes(
    true: npt.ArrayLike, predicted: npt.ArrayLike, classes: Sequence[object] | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the true and the predicted class of each sample, and the labels of all classes."""
    given = {name: _checked(name, labels) for name, labels in (("true", true), ("predicted", predicted))}
    if len(given["true"]) != len(given["predicted"]):
        accepted = f"{len(given['true'])}, as many as in true"
        raise InputError("predicted", f"{len(given['predicted'])} classes", accepted)
    labels = _labels(given) if classes is None else np.arange(len(classes))
    for name, values in given.items():
        if not np.isin(values, labels).all():
            raise InputError(name, f"classes up to {values.max()}", f"0 to {len(labels) - 1}, the indices in classes")
    return given["true"], given["predicted"], labels


def _checked(name: str, labels: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(labels)
    if array.ndim != 1 or not len(array):
        raise InputError(name, f"shape {array.shape}", "shape (samples,), at least one", "Take argmax of one-hot rows.")
    if array.dtype.kind == "f" and not (array == np.round(array)).all():
        raise InputError(name, "fractions", "classes", "For one output take output > 0.5, for several argmax(axis=1).")
    return array


def _labels(given: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    true, predicted = given["true"], given["predicted"]
    if (true.dtype.kind in "US") != (predicted.dtype.kind in "US"):
        raise InputError("predicted", f"dtype {predicted.dtype}", f"labels as in true, of dtype {true.dtype}")
    return np.unique(np.concatenate([true, predicted]))


def short(name: object) -> str:
    """Return the name of a class, cut if it is long."""
    text = printable(str(name)) if str(name).strip() else repr(name)  # a blank is not seen
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"


def _draw(ax: Picture, counts: npt.NDArray[Any], names: list[str]) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    places, n = range(len(names)), len(names)
    longest = max(map(len, names))
    slanted = {"rotation": 45, "ha": "right"} if n * longest > 40 and longest > 3 else {}
    small = {"fontsize": max(3.5, 250 / n)} if n > NUMBERED else {}  # the 64 characters of a text
    ax.set_xticks(places, names, parse_math=False, **slanted, **small)
    ax.set_yticks(places, names, parse_math=False, **small)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    ax.spines[:].set_visible(False)
    ax.set_xticks([place + 0.5 for place in places[:-1]], minor=True)
    ax.set_yticks([place + 0.5 for place in places[:-1]], minor=True)
    ax.grid(which="minor", color="white", linewidth=1)
    ax.tick_params(which="both", length=0)
    if n > NUMBERED:
        return
    size = np.clip(350 / (n * len(f"{counts.max():,}")), 4.5, 11)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "0.6" if count == 0 else "black"
        ax.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=size)
