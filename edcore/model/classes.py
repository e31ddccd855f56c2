"""The classes that outputs stand for: targets from labels, labels from outputs, accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from edcore.arrays import Array
from edcore.model.ed import ED

ROWS_AT_ONCE = 1024


def heads(classes: int) -> int:
    """Return how many outputs tell this many classes apart: one tells two, and beyond that each class has its own.

    They are heads, or under the modulo rule the outputs of one network.

    Parameters
    ----------
    classes : int
        Number of classes.

    Returns
    -------
    int
        Number of outputs.

    Examples
    --------
    >>> from edcore.model.classes import heads
    >>> heads(2), heads(3)
    (1, 3)
    """
    return 1 if classes == 2 else classes


def targets(y: npt.NDArray[np.int64], heads: int) -> npt.NDArray[Any]:
    """Return what the heads should put out for these classes.

    Parameters
    ----------
    y : ndarray of int64, shape (samples,)
        Index of each sample's class.
    heads : int
        Number of heads.

    Returns
    -------
    ndarray, shape (samples,) for one head, else (samples, heads)
        The class itself, 0 or 1, for one head; else 1 for the head of the class and 0 for the others.

    Examples
    --------
    >>> import numpy as np
    >>> from edcore.model.classes import targets
    >>> targets(np.array([0, 2]), 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return y if heads == 1 else np.eye(heads)[y]


def predicted_classes(outputs: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the index of the class that outputs tell of each sample.

    Parameters
    ----------
    outputs : ndarray, shape (samples,) for two classes, else (samples, classes)
        Outputs, or targets.

    Returns
    -------
    ndarray of intp, shape (samples,)
        1 where one output is above one half, else 0; of several outputs the largest one.

    Examples
    --------
    >>> import numpy as np
    >>> from edcore.model.classes import predicted_classes
    >>> predicted_classes(np.array([0.2, 0.9])).tolist(), predicted_classes(np.array([[0.1, 0.3, 0.2]])).tolist()
    ([0, 1], [1])
    """
    return (outputs > 0.5).astype(np.intp) if outputs.ndim == 1 else outputs.argmax(axis=1)


def predict_in_parts(ed: ED, x: Array) -> Array:
    """Return the network's outputs, computed in parts, so that many samples take no more memory than a few."""
    n = x.shape[0]
    if n <= ROWS_AT_ONCE:
        return ed.predict(x)
    # The Array API leaves slices beyond the end undefined.
    parts = [ed.predict(x[start : min(start + ROWS_AT_ONCE, n), ...]) for start in range(0, n, ROWS_AT_ONCE)]
    return array_namespace(*parts).concat(parts)


def accuracy(ed: ED, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> float:
    """Return the share of samples, between 0 and 1, for which the network predicts the right class."""
    return float((predicted_classes(predict_in_parts(ed, x)) == y).mean())
