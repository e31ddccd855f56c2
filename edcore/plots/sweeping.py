"""A sweep: means over the seeds, and their intervals, over the values of an option."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edcore.arguments import one_of
from edcore.errors import InputError, printable
from edcore.plots.canvas import COLOURS, MARKERS, Picture, class_colours, new_figure, set_title
from edcore.sweep.statistics import Mean
from edcore.sweep.summary import Point, Summary

NAMES = {"accuracy": "accuracy", "learnt_epochs": "learnt epochs"}
"""What can be drawn, and its name: a regression's accuracy is R², so it is not in percent."""

MOST = 24
"""The most curves in a picture, and the most rows where no option is a number."""

WIDE = 20.0
"""The ratio of the largest and the least value of an option from which on its axis is logarithmic."""


def sweep(summary: Summary, *, of: str | None = None, ax: Picture | None = None) -> Picture:
    """Draw the means of a sweep and their intervals of 95 %, over the option that has the most numbers.

    Parameters
    ----------
    summary : Summary
        What `edcore.sweep.summarise` has returned.
    of : {"accuracy", "learnt_epochs"}, optional
        What to draw. Left out, the accuracy, and beside it the epochs where they differ and no axes are given.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Left out, a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure: a curve for each combination of the other options. Where no option has several numbers, each
        combination is a row.

    Raises
    ------
    InputError
        If no run has learnt, or there are more than 24 curves or rows.
    EDCoreError
        If matplotlib is not installed.

    Examples
    --------
    >>> import edcore
    >>> options = {"dataset": "xor", "rule": "kaneko", "epochs": 300, "tolerance": 0.1, "backend": "numpy"}
    >>> runs = edcore.sweep.Sweep(options, {"width": [2, 4], "alpha": [0.4, 0.8]}, seeds=3)
    >>> figure = edcore.plots.sweep(edcore.sweep.summarise(runs.rows(n_jobs=1)), of="learnt_epochs")
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['alpha 0.4', 'alpha 0.8']
    """
    if not isinstance(summary, Summary):
        fix = "Write plots.sweep(edcore.sweep.summarise(rows))."
        raise InputError("summary", type(summary).__name__, "what edcore.sweep.summarise has returned", fix)
    points = [point for point in summary.points if point.accuracy is not None]
    if not points:
        raise InputError("summary", "no run that has learnt", "at least one")
    if of is not None:
        one_of("of", of, NAMES)
    drawn = [of or "accuracy"]
    if of is None and ax is None and len({point.learnt_epochs.value for point in points if point.learnt_epochs}) > 1:
        drawn.append("learnt_epochs")
    name = _axis(summary, points)
    curves: dict[str, list[Point]] = {}
    for point in points:
        others = [f"{key} {value}" for key, value in point.options.items() if key != name]
        curves.setdefault(printable(", ".join(others)), []).append(point)
    if len(curves) > MOST:
        fix = "Summarise a part of its rows."
        raise InputError("summary", f"{len(curves):,} curves", f"at most {MOST}", fix)
    if ax is None:
        height = 4.0 if name else 1.3 + 0.34 * len(curves)
        figure = new_figure((5.6 * len(drawn), height))
        panes = list(figure.subplots(1, len(drawn), squeeze=False)[0])
    else:
        panes = [ax]
    for pane, what in zip(panes, drawn, strict=True):
        if name:
            _draw_curves(pane, curves, name, what)
        else:
            _draw_rows(pane, curves, what)
        pane.spines[["top", "right"]].set_visible(False)
    seeds = max(point.runs for point in points)
    set_title(panes[0], f"Means of up to {seeds:,} seeds, intervals of 95 %" if seeds > 1 else "One seed")
    return panes[0].figure


def _axis(summary: Summary, points: Sequence[Point]) -> str | None:
    """Return the option with the most values, of those with several numbers; None if there is none."""
    values = {name: {point.options[name] for point in points} for name in summary.by}
    numbers = [
        name for name, found in values.items() if len(found) > 1 and all(type(value) in (int, float) for value in found)
    ]
    return max(numbers, key=lambda name: len(values[name]), default=None)


def _mean(point: Point, what: str) -> Mean:
    mean: Mean = getattr(point, what)
    return mean


def _draw_curves(ax: Picture, curves: dict[str, list[Point]], name: str, what: str) -> None:
    """Draw a curve for each combination of the other options."""
    colours = class_colours(len(curves)) if len(curves) >= len(COLOURS) else COLOURS
    for number, (label, points) in enumerate(curves.items()):
        points = sorted(points, key=lambda point: _number(point, name))
        x, means = [_number(point, name) for point in points], [_mean(point, what) for point in points]
        y, half = [mean.value for mean in means], [mean.half or 0.0 for mean in means]
        style = {"color": colours[number], "marker": MARKERS[number % len(MARKERS)], "markersize": 5}
        ax.errorbar(x, y, yerr=half, capsize=3, linewidth=1.4, label=label, **style)
    values = sorted({_number(point, name) for points in curves.values() for point in points})
    if values[0] > 0 and values[-1] >= WIDE * values[0]:
        ax.set_xscale("log")
    ax.set_xticks(values, [f"{value:g}" for value in values], minor=False)
    ax.minorticks_off()
    ax.set_xlabel(name)
    ax.set_ylabel(NAMES[what])
    ax.grid(alpha=0.25)
    if len(curves) > 1:
        columns = 1 + (len(curves) > MOST // 2)
        legend = ax.legend(fontsize="small", frameon=False, ncols=columns)
        for text in legend.get_texts():
            text.set_parse_math(False)


def _draw_rows(ax: Picture, curves: dict[str, list[Point]], what: str) -> None:
    """Draw a row for each combination of options."""
    for row, points in enumerate(curves.values()):
        for point in points:
            mean = _mean(point, what)
            ax.errorbar(mean.value, row, xerr=mean.half, capsize=3, marker="o", markersize=5, color=COLOURS[0])
    ax.set_yticks(range(len(curves)), [label or "all runs" for label in curves], parse_math=False)
    ax.set_ylim(len(curves) - 0.5, -0.5)
    ax.set_xlabel(NAMES[what])
    ax.grid(axis="x", alpha=0.25)


def _number(point: Point, name: str) -> float:
    value: Any = point.options[name]
    return float(value)
