"""The summary of a run: all pictures that fit, on one figure."""

from __future__ import annotations

from collections.abc import Sequence

from edcore.datasets.catalogue import Dataset
from edcore.diagnostics.diagnosis import Diagnosis
from edcore.errors import printable
from edcore.model.ed import ED
from edcore.plots.canvas import Picture, new_figure
from edcore.plots.panels import Result, panels
from edcore.training.history import History
from edcore.training.loop import Progress

PANEL = 6.5, 4.6
"""Inches of one panel."""


def training_summary(
    ed: ED,
    data: Dataset,
    run: Sequence[Progress] | History,
    diagnoses: Sequence[Diagnosis] = (),
    *,
    at: Sequence[float] | None = None,
) -> Picture:
    """Draw all pictures that fit a run on one figure.

    The learning curve; the confusion matrix of the test samples; the receptive fields, if the features are a square
    image; the decision boundary, for two features; the layer map, if a diagnosis is given.

    Parameters
    ----------
    ed : ED
        The network, trained.
    data : Dataset
        Its data set.
    run : sequence of Progress, or History
        The items that `edcore.training.train` yielded, or their `edcore.training.History`. An empty run
        has no learning curve.
    diagnoses : sequence of Diagnosis
        Results of `edcore.diagnostics.diagnose`, once or during training.
    at : sequence of float, optional
        The number of batches before each diagnosis. Left out, they are numbered.

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
    The confusion matrix of a very large network is that of evenly picked test samples, so that it takes seconds.

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
    found = list(panels(Result(ed, data, run, diagnoses, at)))
    across = len(found) if len(found) <= 3 else 2
    down = -(-len(found) // across)
    figure = new_figure((across * PANEL[0], down * PANEL[1] + 0.4))
    parts = figure.subfigures(down, across, squeeze=False, wspace=0.03, hspace=0.03).ravel()
    for panel, part in zip(found, parts, strict=False):
        panel.draw(part)
    figure.suptitle(printable(_title(ed, data)), fontsize="large", parse_math=False)
    return figure


def _title(ed: ED, data: Dataset) -> str:
    network = ed.network
    outputs = f"{network.columns} output{'s' * (network.columns != 1)}"
    return f"{data.name}: {outputs}, {network.hidden_layers}, {ed.rule.error} error"
