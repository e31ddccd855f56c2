"""The decision boundary: a network's output or class at each point of a plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.errors import InputError, printable
from edcore.plots.canvas import MARKERS, Picture, axes_or_new, class_colours, set_title

Floats: TypeAlias = npt.NDArray[Any]

POINTS = 200
"""Points along each side of the plane."""

MARGIN = 0.1
"""Margin at each side, as a share of the samples' extent."""


def decision_boundary(
    predict: Callable[[Floats], Any] | Any,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    classes: Sequence[object] | None = None,
    ax: Picture | None = None,
) -> Picture:
    """Draw the output or the class of each point of a plane, with samples on top.

    Parameters
    ----------
    predict : ED, estimator or callable
        An `ED`, a classifier with ``predict_proba`` or ``predict``, or a function of points (n, 2) that returns one
        output for each, a column of outputs for each class, or labels (integers or strings).
    x : array_like, shape (samples, 2)
        The samples.
    y : array_like, shape (samples,)
        Their classes: the index of the column, 0 or 1 for one output, else the labels that `predict` returns.
    classes : sequence, optional
        Names of the classes, in the order of their indices or sorted labels. Left out, these themselves.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Left out, a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure: shades of the output if there is one, else a region for each class.

    Raises
    ------
    InputError
        If x does not have two features, or y or the predictions do not fit.
    EDCoreError
        If matplotlib is not installed.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> data = edcore.datasets.xor()
    >>> ed = edcore.ED(in_=2, hidden_width=8, hidden_depth=0, rule="split", seed=1)
    >>> _ = ed.fit(data.x_train, data.y_train, epochs=300)
    >>> figure = plots.decision_boundary(ed, data.x_train, data.y_train)
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['0', '1']
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 2 or x.shape[1] != 2 or not len(x):
        fix = "A plane has two: pick two columns, and train on these."
        raise InputError("x", f"shape {x.shape}", "shape (samples, 2), at least one sample", fix)
    if y.shape != (len(x),):
        raise InputError("y", f"shape {y.shape}", f"shape ({len(x)},), one class for each sample")
    sides = [_side(column) for column in x.astype(np.float64).T]
    grid = np.stack([values.ravel() for values in np.meshgrid(*sides)], axis=1)
    values, labels = _predict(predict, grid, y)
    if not np.isin(y, labels).all():
        raise InputError("y", f"classes {np.unique(y).tolist()}", f"those that are predicted, {labels.tolist()}")
    names = [printable(str(name)) for name in (labels if classes is None else classes)]
    if len(names) != len(labels):
        raise InputError("classes", f"{len(names)} names", f"{len(labels)}, one for each class")
    ax = axes_or_new(ax, (6, 4.8))
    values = values.reshape(POINTS, POINTS)
    shaded = values.dtype.kind == "f"
    colours = _draw_output(ax, sides, values) if shaded else _draw_regions(ax, sides, values, len(labels))
    for number, (label, name) in enumerate(zip(labels, names, strict=True)):
        style = {"marker": MARKERS[number % len(MARKERS)], "edgecolors": "black", "linewidths": 0.8}
        ax.scatter(*x[y == label].T, color=colours[number], label=name, s=40, zorder=3, **style)
    place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}  # above the axes: it hides no sample
    legend = ax.legend(**place, ncols=min(len(names), 5), fontsize="small", frameon=False, handletextpad=0.1)
    for text in legend.get_texts():
        text.set_parse_math(False)
    ax.set_xlabel("feature 0")
    ax.set_ylabel("feature 1")
    set_title(ax, "Decision boundary")
    return ax.figure


def _side(values: Floats) -> Floats:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise InputError("x", "NaN or infinity", "finite numbers")
    margin = MARGIN * ((high - low) or 1.0)
    return np.linspace(low - margin, high + margin, POINTS)


def _predict(predict: Any, grid: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return the output of each point as a float, or the number of its class as an integer, and the classes' labels."""
    call = getattr(predict, "predict_proba", None) or getattr(predict, "predict", predict)
    if not callable(call):
        raise InputError("predict", type(predict).__name__, "an ED, an estimator with predict, or a function")
    values = np.asarray(call(grid))
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim not in (1, 2) or len(values) != len(grid):
        accepted = f"one output, one row of them or one label for each of {len(grid)} points"
        raise InputError("predict", f"a function that returns shape {values.shape}", accepted)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError("predict", "a function that returns NaN or infinity", "finite outputs")
    classes = getattr(predict, "classes_", None)
    if values.ndim == 2:
        labels = np.arange(values.shape[1]) if classes is None else np.asarray(classes)
        if len(labels) == 2 and classes is not None:  # the second probability is 1 minus the first
            return values[:, 1].astype(np.float64), labels
        return values.argmax(axis=1), labels
    if values.dtype.kind == "f" and classes is None:
        return values.astype(np.float64), np.arange(2)
    labels = np.unique(np.concatenate([values, y])) if classes is None else np.asarray(classes)
    return np.searchsorted(labels, values), labels


def _draw_output(ax: Picture, sides: list[Floats], output: Floats) -> list[Any]:
    from matplotlib.colors import LinearSegmentedColormap

    below, above = colours = class_colours(2)
    span = max(0.5, float(np.abs(output - 0.5).max()))
    levels = np.linspace(0.5 - span, 0.5 + span, 11)
    shading = LinearSegmentedColormap.from_list("classes", [below, "white", above])
    shades = ax.contourf(*sides, output, levels=levels, cmap=shading, alpha=0.6)
    if output.min() < 0.5 < output.max():
        ax.contour(*sides, output, levels=[0.5], colors="black", linewidths=1.5)
    ax.figure.colorbar(shades, ax=ax, label="output (line: 0.5)")
    return colours


def _draw_regions(ax: Picture, sides: list[Floats], regions: Floats, n: int) -> list[Any]:
    from matplotlib.colors import ListedColormap, to_rgb

    colours = class_colours(n)
    pale = ListedColormap([tuple(0.55 + 0.45 * part for part in to_rgb(colour)) for colour in colours])
    extent = tuple(end for side in sides for end in (side[0], side[-1]))
    ax.imshow(
        regions,
        cmap=pale,
        vmin=-0.5,
        vmax=n - 0.5,
        extent=extent,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )
    return colours
