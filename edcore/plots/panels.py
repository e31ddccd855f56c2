"""The pictures that fit a data set, a network and its run, each with a sentence that explains it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from edcore.datasets.catalogue import Dataset
from edcore.diagnostics.diagnosis import Diagnosis
from edcore.model.classes import predict_in_parts, predicted_classes
from edcore.model.ed import ED
from edcore.plots.boundary import decision_boundary
from edcore.plots.canvas import Picture, evenly_picked, set_title
from edcore.plots.confusion import confusion_matrix
from edcore.plots.depth import DEEP, layer_map, side_by_side
from edcore.plots.fields import image_shape, receptive_fields
from edcore.plots.learning import BITS, learning_curve, scores_of
from edcore.training.history import History
from edcore.training.loop import Progress

WORK = 5 * 10**10
"""The most products of weights and activities for the confusion matrix: a large network predicts fewer samples."""

LEAST_SAMPLES, MOST_SAMPLES = 200, 10**5

MOST_DOTS = 1000
"""Samples drawn on top of a decision boundary."""


@dataclass(frozen=True, slots=True)
class Result:
    """A trained network with its data and its run: what pictures are made of."""

    ed: ED
    data: Dataset
    run: Sequence[Progress] | History
    diagnoses: Sequence[Diagnosis] = ()
    at: Sequence[float] | None = None  # the number of batches before each diagnosis


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture."""

    size: tuple[float, float]  # width and height in inches
    draw: Callable[[Picture], object]  # draws on a Figure or SubFigure
    reading: str  # how to read it, in one sentence
    shows: str  # its content in words, for readers who cannot see it


def panels(result: Result) -> Iterator[Panel]:
    """Yield the pictures that fit, in the order in which they are best read."""
    if result.run:
        yield curve(result)
    yield confusion(result)
    if image_shape(result.data.features) and not result.ed.network.one_hot:
        yield fields(result)
    if result.data.features == 2:
        yield boundary(result)
    if result.diagnoses:
        yield layers(result)


def curve(result: Result) -> Panel:
    """Return the learning curve."""
    history = History.of(result.run)
    _, name = scores_of(history.evaluations)
    score, way = ("bits of the test samples", "fall") if name == BITS else ("accuracy on the test samples", "rise")
    return Panel(
        (6.5, 4.2),
        lambda figure: learning_curve(result.run, figure.add_subplot()),
        f"The error (left scale) should fall and the {score} (right scale) should {way}; "
        "where both are flat, more batches of this kind change little.",
        _in_words(history),
    )


def fields(result: Result) -> Panel:
    """Return the receptive fields of the first layer."""
    ed, data = result.ed, result.data
    of = f"of head 0, that of class {data.classes[0]}, " if ed.network.heads > 1 else ""
    return Panel(
        (6.5, 4.2),
        lambda figure: receptive_fields(ed, ax=figure.add_subplot()),
        f"Each small image is one cell {of}of the first layer: a bright pixel raises the cell where the image is "
        "red and lowers it where it is blue; fields that look like noise have learnt "
        "little, and cells that look alike do the same work.",
        f"Images of the weights from {data.features} pixels to the first layer's excitatory and inhibitory cells.",
    )


def boundary(result: Result) -> Panel:
    """Return the decision boundary, of data with two features."""
    ed, data = result.ed, result.data
    dots = evenly_picked(len(data.x_test), MOST_DOTS)
    return Panel(
        (6.0, 4.5),
        lambda figure: decision_boundary(ed, data.x_test[dots], data.y_test[dots], data.classes, figure.add_subplot()),
        "The colour of a point is its predicted class; each sample should lie in the colour of its class.",
        f"Predictions for the points of the plane of the two features, with {len(dots)} test samples.",
    )


def layers(result: Result) -> Panel:
    """Return the layer map, of a result with diagnoses."""
    found = result.diagnoses
    last = found[-1]
    over = "from left to right during training" if len(found) > 1 else "as a line"
    if len(found) == 1 and last.network.depth + 2 > DEEP:
        over += " over a logarithmic scale"
    return Panel(
        (6.5, 4.2),
        lambda figure: layer_map(found, at=result.at, axes=side_by_side(figure)),
        f"Layers go from the first at the top to the output below, {over}: a layer with a small mean g is saturated "
        "and learns little, one with a growth of 1 has kept its weights, and a hatched one is dead. "
        f"{last.sampled}".rstrip(),
        f"Saturation and growth of {len(last.dead):,} layers, of which {int(last.dead.sum()):,} are dead at the end.",
    )


def _in_words(run: History) -> str:
    reached, error = [entry.accuracy for entry in run.evaluations], run.latest.error if run.latest else 0.0
    last = f" The accuracy on the test samples goes from {reached[0]:.2%} to {reached[-1]:.2%}." if reached else ""
    scores, name = scores_of(run.evaluations)
    if name == BITS:
        last += f" Their bits go from {scores[0]:.3f} to {scores[-1]:.3f}."
    return f"The error goes from {run.first_error:.4f} to {error:.4f} in {len(run):,} batches.{last}"


def confusion(result: Result) -> Panel:
    """Return the confusion matrix of the test samples, or of as many as a large network predicts in seconds."""
    ed, data = result.ed, result.data
    n = len(data.x_test)
    rows = evenly_picked(n, test_samples(ed))
    true, predicted = data.y_test[rows], predicted_classes(predict_in_parts(ed, data.x_test[rows]))
    part = "" if len(rows) == n else f", on {len(rows):,} of the {n:,} test samples, evenly picked"
    side = 4.2 if len(data.classes) <= 6 else 5.2
    return Panel(
        (side + 0.5, side),
        partial(_draw_confusion, true, predicted, data.classes, part),
        f"Rows are the true classes, columns the predicted ones{part}: samples off the diagonal are wrong.",
        f"Confusion matrix of {len(data.classes)} classes: {int((true == predicted).sum()):,} of {len(rows):,} test "
        "samples are on the diagonal.",
    )


def _draw_confusion(true: Any, predicted: Any, classes: tuple[int | str, ...], part: str, figure: Picture) -> None:
    ax = figure.add_subplot()
    confusion_matrix(true, predicted, classes, ax)
    if part:
        set_title(ax, f"{ax.get_title(loc='left')}\n({part.removeprefix(', ')})")


def test_samples(ed: ED) -> int:
    """Return how many test samples the network predicts in seconds."""
    return int(np.clip(WORK // ed.network.parameters, LEAST_SAMPLES, MOST_SAMPLES))
