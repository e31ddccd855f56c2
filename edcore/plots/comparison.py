"""Several runs on one pair of axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edcore.arguments import one_of
from edcore.errors import InputError, printable
from edcore.plots.canvas import Picture, axes_or_new, method_styles, set_title
from edcore.plots.learning import accuracy_axis, curve_of, smooth_error

MARKS = 10
"""Markers on each curve."""


def compare(runs: Mapping[str, Any], *, of: str | None = None, ax: Picture | None = None) -> Picture:
    """Draw the curves of several runs on one pair of axes.

    Parameters
    ----------
    runs : mapping of str to iterable of Progress, History, or estimator
        The runs by name, each as for `learning_curve`. The names "ED", "back-propagation", "back-propagation with
        Adam", "direct feedback alignment", "hidden layers frozen" and "linear readout of untrained cells" have the
        colours that they have on all pictures.
    of : {"accuracy", "error"}, optional
        What to draw: the accuracy on the test samples, or the error, smoothed as by `learning_curve`. Left out, the
        accuracy if all runs have it. For estimators these are the validation score and the loss.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Left out, a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    InputError
        If there is no run, a run has no batch, one has no accuracy that is asked for, or some count batches and others
        epochs.
    EDCoreError
        If matplotlib is not installed.

    See Also
    --------
    learning_curve : Error and accuracy of one run.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> from edcore.training import train
    >>> data = edcore.datasets.digits(classes=(0, 1))
    >>> runs = {f"width {width}": list(train(edcore.ED(64, width, seed=0), data, epochs=3)) for width in (4, 16)}
    >>> figure = plots.compare(runs)
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['width 4', 'width 16']
    """
    if not isinstance(runs, Mapping) or not runs:
        given = f"{type(runs).__name__} of {len(runs)}" if hasattr(runs, "__len__") else type(runs).__name__
        fix = 'Write plots.compare({"width 8": run, "width 16": other}).'
        raise InputError("runs", given, "a mapping of at least one name to a run", fix)
    curves = {str(name): curve_of(run, f"runs[{name!r}]") for name, run in runs.items()}
    without = [name for name, curve in curves.items() if not len(curve.score)]
    of = one_of("of", of or ("error" if without else "accuracy"), ("accuracy", "error"))
    if of == "accuracy" and without:
        fix = "Draw the error, or train with data that has test samples."
        raise InputError("of", repr(of), f"'error', as the run {without[0]!r} has no accuracy", fix)
    kinds = {curve.unit: name for name, curve in curves.items()}
    if len(kinds) > 1:
        given = " and ".join(f"{unit} ({name!r})" for unit, name in kinds.items())
        accepted = "runs of one kind: all over batches (train), or all over epochs (ED.fit, estimators)"
        raise InputError("runs", f"runs that count {given}", accepted)
    ax = axes_or_new(ax, (6.5, 4.2))
    styles = method_styles(curves)
    for name, curve in curves.items():
        x, y = (curve.scored, curve.score) if of == "accuracy" else smooth_error(curve)
        marks = max(len(x) // MARKS, 1)
        ax.plot(x, y, label=printable(name), linewidth=1.8, markersize=5, markevery=marks, **styles[name])
    first = next(iter(curves.values()))
    ax.set_xlabel(first.unit)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_ylabel(first.score_name if of == "accuracy" else first.error_name)
    if of == "error":
        ax.set_ylim(bottom=0)
    elif first.score_name.startswith("accuracy"):
        accuracy_axis(ax, np.concatenate([curve.score for curve in curves.values()]))
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    for text in ax.legend(loc="best", fontsize="small", frameon=False).get_texts():
        text.set_parse_math(False)
    set_title(ax, f"{len(curves)} run{'s' * (len(curves) > 1)}: {'error' if of == 'error' else first.score_name}")
    return ax.figure
