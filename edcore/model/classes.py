"""The classes that outputs stand for: targets from labels, predicted classes from outputs, accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from edcore.arrays import Array
from edcore.contract.memory import host_room
from edcore.core.activations import SOFTMAX
from edcore.errors import OutOfMemoryError

if TYPE_CHECKING:
    from edcore.model.ed import ED


class Predictor(Protocol):
    """An ED, or what stands beside it in a comparison."""

    def predict(self, x: Any) -> Any:
        """Return the outputs for x."""


LEAST = 2.0**-126
"""The least probability that counts: float32 has smaller ones, but rounds them."""

ROWS_AT_ONCE = 1024
"""Samples that are predicted in one part: the size of a test set does not show in memory."""


def heads(classes: int, output_activation: str | None = None) -> int:
    """Return the number of outputs for so many classes: one for two, and beyond that, or with softmax, one for each."""
    return 1 if classes == 2 and output_activation != SOFTMAX else classes


def shape_of(outputs: int, rule: Any, output_activation: str | None) -> dict[str, Any]:
    """Return the argument of `ED` for so many outputs: of one network under modulo and with softmax, else heads."""
    in_one = output_activation == SOFTMAX or (isinstance(rule, str) and rule == "modulo")
    return {"outputs" if in_one else "heads": outputs}


def targets(y: npt.NDArray[np.int64], heads: int) -> npt.NDArray[Any]:
    """Return the targets for the indices of classes: 0 or 1 for one output, one-hot (samples, heads) for more.

    >>> targets(np.array([0, 2]), 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if heads == 1:
        return y
    need = 2 * 8 * len(y) * heads  # these, and a copy in the dtype of the network
    if need > 2**28 and need > (room := host_room()):
        sizes = f"need {need / 2**30:,.1f} GiB, and {room / 2**30:,.1f} are free"
        fix = "Leave out rare classes; numbers that are no classes are learnt as they are, by EDRegressor."
        raise OutOfMemoryError(f"y: the outputs for {len(y):,} samples of {heads:,} classes {sizes}. {fix}")
    found = np.zeros((len(y), heads))
    found[np.arange(len(y)), y] = 1
    return found


def predicted_classes(outputs: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the index of each sample's class: 1 where one output is above one half; of several, the largest one's.

    >>> predicted_classes(np.array([0.2, 0.9])).tolist(), predicted_classes(np.array([[0.1, 0.3, 0.2]])).tolist()
    ([0, 1], [1])
    """
    return (outputs > 0.5).astype(np.intp) if outputs.ndim == 1 else outputs.argmax(axis=1)


def predict_in_parts(ed: Predictor, x: Array) -> Array:
    """Return the network's outputs, computed in parts, so that many samples take no more memory than a few."""
    n = x.shape[0]
    if n <= ROWS_AT_ONCE:
        return ed.predict(x)
    # Not beyond the end: the Array API leaves such slices undefined, and array-api-strict refuses them.
    parts = [ed.predict(x[start : min(start + ROWS_AT_ONCE, n), ...]) for start in range(0, n, ROWS_AT_ONCE)]
    return array_namespace(*parts).concat(parts)


class Score(NamedTuple):
    """How well classes are predicted: the share that is right, and the bits that each takes on average."""

    accuracy: float
    bits: float | None  # the mean of -log2 p of the right class; None where outputs are no probabilities


def evaluate(ed: ED, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> Score:
    """Return how well a network predicts the classes of some samples, which are predicted in parts."""
    right, bits, probabilities = 0, 0.0, ed.network.output_activation == SOFTMAX
    for start in range(0, len(x), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        outputs = ed.predict(x[rows])
        right += int((predicted_classes(outputs) == y[rows]).sum())
        if probabilities:
            bits += float(bits_of(outputs, y[rows]).sum())
    return Score(right / len(x), bits / len(x) if probabilities else None)


def bits_of(probabilities: npt.NDArray[np.floating], y: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Return -log2 p of each sample's class; one that float32 has rounded to 0 counts as the least that it holds."""
    return -np.log2(np.maximum(probabilities[np.arange(len(y)), y].astype(np.float64), LEAST))


def accuracy(ed: Predictor, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> float:
    """Return the share of samples, between 0 and 1, for which the network predicts the right class."""
    return float((predicted_classes(predict_in_parts(ed, x)) == y).mean())
