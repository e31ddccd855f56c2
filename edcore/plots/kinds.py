"""The pictures of a run by name: the one table of what ``edcore plot --kind`` can draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edcore import plots
from edcore.errors import InputError
from edcore.model.classes import predict_in_parts, predicted_classes, targets
from edcore.plots import panels
from edcore.plots.canvas import Picture, evenly_picked, new_figure
from edcore.plots.drawing import check_size
from edcore.plots.fields import image_shape
from edcore.plots.panels import Panel, Result

MOST_SAMPLES = 1000
"""Test samples whose outputs or mistakes are drawn."""


LEARNT = "a run with at least one batch"


class Kind(NamedTuple):
    """How a picture of a result is made, and what results it suits."""

    draw: Callable[[Result], Picture]
    needs: str = ""  # in words
    fits: Callable[[Result], bool] = lambda result: True
    diagnosed: bool = False  # whether the result needs a diagnosis


def check_kind(kind: str, result: Result) -> None:
    """Refuse a kind that this result has no picture of."""
    if not KINDS[kind].fits(result):
        others = ", ".join(name for name, one in KINDS.items() if one.fits(result))
        raise InputError("kind", f"{kind} for this run", KINDS[kind].needs, f"This run has {others}.")


def _drawn(panel: Callable[[Result], Panel]) -> Callable[[Result], Picture]:
    """Return a function that draws a panel on a figure of its own."""

    def draw(result: Result) -> Picture:
        made = panel(result)
        figure = new_figure(made.size)
        made.draw(figure)
        return figure

    return draw


def _summary(result: Result) -> Picture:
    return plots.training_summary(result.ed, result.data, result.run, result.diagnoses, at=result.at)


def _network(result: Result) -> Picture:
    """Draw the network with the first test sample, and the step that it would learn from that."""
    ed, data = result.ed, result.data
    return plots.network(ed, data.x_test[0], target=targets(data.y_test[:1], ed.network.columns)[0])


def _is_small(result: Result) -> bool:
    try:
        check_size(result.ed.network)
    except InputError:
        return False
    return True


def _activities(result: Result) -> Picture:
    return plots.activities(result.ed, result.data.x_test)


def _mistakes(result: Result) -> Picture:
    data = result.data
    rows = evenly_picked(len(data.x_test), panels.test_samples(result.ed))
    x, true = data.x_test[rows], data.y_test[rows]
    predicted = predicted_classes(predict_in_parts(result.ed, x))
    return plots.mistakes(x, true, predicted, data.classes)


def _outputs(result: Result) -> Picture:
    data = result.data
    rows = evenly_picked(len(data.x_test), min(MOST_SAMPLES, panels.test_samples(result.ed)))
    return plots.outputs(result.ed, data.x_test[rows], np.asarray(data.y_test)[rows], data.classes)


KINDS = {
    "summary": Kind(_summary, diagnosed=True),
    "curve": Kind(_drawn(panels.curve), LEARNT, lambda result: bool(result.run)),
    "confusion": Kind(_drawn(panels.confusion)),
    "fields": Kind(_drawn(panels.fields)),
    "boundary": Kind(_drawn(panels.boundary), "data with two features", lambda result: result.data.features == 2),
    "layers": Kind(_drawn(panels.layers), LEARNT, lambda result: bool(result.run), diagnosed=True),
    "network": Kind(_network, "a network of at most 40 cells in a layer, and depth 10", _is_small),
    "activities": Kind(_activities),
    "weights": Kind(lambda result: plots.weights(result.ed)),
    "mistakes": Kind(_mistakes, "square images", lambda result: image_shape(result.data.features) is not None),
    "outputs": Kind(_outputs),
}
"""The kinds, by name."""
