"""Which pictures fit a data set, a network and its run: each can be drawn, and explained in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.datasets.catalogue import Dataset
from edcore.diagnostics.diagnosis import Diagnosis
from edcore.model.ed import ED
from edcore.plots.boundary import decision_boundary
from edcore.plots.canvas import Picture, titled
from edcore.plots.confusion import confusion_matrix
from edcore.plots.depth import layer_map, side_by_side
from edcore.plots.fields import image_shape, receptive_fields
from edcore.plots.learning import learning_curve
from edcore.training.loop import Progress

WORK = 5 * 10**10
"""Products of weights and activities to be spent on the confusion matrix: a deep network sees fewer test samples."""

LEAST_SAMPLES, MOST_SAMPLES = 200, 10**5
ROWS_AT_ONCE = 1024

MOST_DOTS = 1000
"""Samples drawn on top of a decision boundary."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Parameters
    ----------
    size : tuple of float
        Width and height in inches.
    draw : callable
        Draws it on a Figure or SubFigure.
    reading : str
        How to read it, in one plain sentence.
    shows : str
        What is seen, for those who cannot see it.
    """

    size: tuple[float, float]
    draw: Callable[[Picture], object]
    reading: str
    shows: str


def panels(
    ed: ED, data: Dataset, run: Sequence[Progress], diagnoses: Sequence[Diagnosis], at: Sequence[float] | None = None
) -> Iterator[Panel]:
    """Yield the pictures that fit, in the order in which they are best read."""
    if run:
        yield Panel(
            (6.5, 4.2),
            lambda figure: learning_curve(run, figure.add_subplot()),
            "The error (left scale) should fall and the accuracy on the test samples (right scale) should rise; "
            "where both are flat, more batches of this kind change little.",
            _heard(run),
        )
    yield _confusion(ed, data)
    if image_shape(data.features):
        of = f"of head 0, that of class {data.classes[0]}, " if ed.network.heads > 1 else ""
        yield Panel(
            (6.5, 4.2),
            lambda figure: receptive_fields(ed, ax=figure.add_subplot()),
            f"Each small image is one cell {of}of the first layer: a bright pixel raises the cell where the image is "
            "red and lowers it where it is blue; fields that look like noise have learnt "
            "little, and cells that look alike do the same work.",
            f"Images of the weights from {data.features} pixels to the first layer's excitatory and inhibitory cells.",
        )
    if data.features == 2:
        dots = _spread(len(data.x_test), MOST_DOTS)
        yield Panel(
            (6.0, 4.5),
            lambda figure: decision_boundary(
                ed, data.x_test[dots], data.y_test[dots], data.classes, figure.add_subplot()
            ),
            "The colour of a point is what the network says of it; each sample should lie in the colour of its class.",
            f"What the network says of each point of the plane of the two features, with {len(dots)} test samples.",
        )
    if diagnoses:
        over = "from left to right during training" if len(diagnoses) > 1 else "as a line"
        yield Panel(
            (6.5, 4.2),
            lambda figure: layer_map(diagnoses, at=at, axes=side_by_side(figure)),
            f"Layers go from the input at the top to the output below, {over}: a layer with a small mean g is "
            "saturated and learns little, one with a growth of 1 has kept its weights, and a hatched one is dead.",
            f"Saturation and growth of {len(diagnoses[-1].dead):,} layers, of which {int(diagnoses[-1].dead.sum()):,} "
            "are dead at the end.",
        )


def _heard(run: Sequence[Progress]) -> str:
    reached = [entry.accuracy for entry in run if entry.accuracy is not None]
    last = f" The accuracy on the test samples goes from {reached[0]:.2%} to {reached[-1]:.2%}." if reached else ""
    return f"The error goes from {run[0].error:.4f} to {run[-1].error:.4f} in {len(run):,} batches.{last}"


def _confusion(ed: ED, data: Dataset) -> Panel:
    n = len(data.x_test)
    rows = _spread(n, int(np.clip(WORK // ed.network.parameters, LEAST_SAMPLES, MOST_SAMPLES)))
    true, predicted = data.y_test[rows], _classes(ed, data.x_test[rows])
    part = "" if len(rows) == n else f", on {len(rows):,} of the {n:,} test samples, evenly picked"
    side = 4.2 if len(data.classes) <= 6 else 5.2
    return Panel(
        (side + 0.5, side),
        partial(_draw_confusion, true, predicted, data.classes, part),
        f"Rows are the true classes, columns what the network took them for{part}: what is off the diagonal is wrong.",
        f"Confusion matrix of {len(data.classes)} classes: {int((true == predicted).sum()):,} of {len(rows):,} test "
        "samples are on the diagonal.",
    )


def _draw_confusion(true: Any, predicted: Any, classes: tuple[int, ...], part: str, figure: Picture) -> None:
    ax = figure.add_subplot()
    confusion_matrix(true, predicted, classes, ax)
    if part:
        titled(ax, f"{ax.get_title(loc='left')}\n({part.removeprefix(', ')})")


def _classes(ed: ED, x: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the class that each sample is taken for, as `edcore.training.accuracy` counts it."""
    parts = [ed.predict(x[start : start + ROWS_AT_ONCE]) for start in range(0, len(x), ROWS_AT_ONCE)]
    outputs = np.concatenate(parts)
    return (outputs.round() if outputs.ndim == 1 else outputs.argmax(axis=1)).astype(np.intp)


def _spread(n: int, most: int) -> npt.NDArray[np.intp]:
    """Return all of n rows, or so many of them, evenly picked."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.intp)
