"""The summary of a run: all pictures that fit, on one figure."""

from __future__ import annotations

from collections.abc import Sequence

from edcore.datasets.catalogue import Dataset
from edcore.diagnostics.diagnosis import Diagnosis
from edcore.model.ed import ED
from edcore.plots.canvas import Picture, new_figure
from edcore.plots.panels import panels
from edcore.training.loop import Progress

PANEL = 6.5, 4.6
"""Inches of one panel."""


def training_summary(
    ed: ED,
    data: Dataset,
    run: Sequence[Progress],
    diagnoses: Sequence[Diagnosis] = (),
    *,
    at: Sequence[float] | None = None,
) -> Picture:
    """Draw all that fits a run on one figure.

    The learning curve; the confusion matrix of the test samples; the receptive fields, where the features are a square
    image; the decision boundary, where there are two features; the layer map, where there is a diagnosis.

    Parameters
    ----------
    ed : ED
        The network, trained.
    data : Dataset
        What it was trained on.
    run : sequence of Progress
        What `edcore.training.train` yielded. If it is empty, there is no learning curve.
    diagnoses : sequence of Diagnosis
        What `edcore.diagnostics.diagnose` found, once or during training.
    at : sequence of float, optional
        The number of batches after which each was made. Left out, they are numbered.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    EDCoreError
        If matplotlib is not installed.

    Notes
    -----
    The confusion matrix of a very large network is one of evenly picked test samples, so that it takes seconds.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> from edcore.training import train
    >>> data = edcore.datasets.digits(classes=(0, 1))
    >>> ed = edcore.ED(in_=64, seed=0)
    >>> figure = plots.training_summary(ed, data, list(train(ed, data)))
    >>> len(figure.subfigs)
    3
    """
    found = list(panels(ed, data, run, diagnoses, at))
    across = len(found) if len(found) <= 3 else 2
    down = -(-len(found) // across)
    figure = new_figure((across * PANEL[0], down * PANEL[1] + 0.4))
    parts = figure.subfigures(down, across, squeeze=False, wspace=0.03, hspace=0.03).ravel()
    for panel, part in zip(found, parts, strict=False):
        panel.draw(part)
    figure.suptitle(_title(ed, data), fontsize="large", parse_math=False)
    return figure


def _title(ed: ED, data: Dataset) -> str:
    network = ed.network
    layers = f"{network.depth:,} hidden layer{'s' * (network.depth != 1)} of 2 × {network.width:,} cells"
    return f"{data.name}: {network.columns} output{'s' * (network.columns != 1)}, {layers}, {ed.rule.error} error"
