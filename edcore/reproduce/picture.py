"""An outcome as a picture: the means and standard deviations of each method, and what was published."""

from __future__ import annotations

import io
from typing import Any

from edcore.reproduce.outcome import Outcome, Row

COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#CC79A7")
"""Of Okabe and Ito's palette, which colour-blind readers can tell apart."""

MARKERS = "osD^vP"
STEP = 0.12
"""From one method to the next, of the distance between two settings."""

HALF = 0.35
"""How far the line of a published figure goes to either side."""


def png(outcome: Outcome) -> bytes:
    """Draw an outcome, a panel for each group, and return the picture as PNG."""
    from matplotlib.figure import Figure  # a Figure of its own needs no screen, and leaves pyplot's state alone

    groups = list(dict.fromkeys(group for group, _ in outcome.settings))
    counts = [sum(group == of for of, _ in outcome.settings) for group in groups]
    figure = Figure(figsize=(max(8.0, 1.5 + 0.55 * sum(counts)), 5), layout="constrained")
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False, width_ratios=[max(n, 2) for n in counts])[0]
    handles: dict[str, Any] = {}
    for group, axes in zip(groups, panels, strict=True):
        handles |= _panel(axes, outcome, group)
    panels[0].set_ylabel(outcome.measure)
    if outcome.logarithmic:
        panels[0].set_yscale("log")
        panels[0].yaxis.set_major_formatter("{x:,g}")
    figure.suptitle(outcome.title + (" (a quick look)" if outcome.quick else ""), fontsize="medium")
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()


def _panel(axes: Any, outcome: Outcome, group: str) -> dict[str, Any]:
    """Draw the settings of a group; return what the legend is to name."""
    settings = [setting for of, setting in outcome.settings if of == group]
    handles = {}
    for number, method in enumerate(outcome.methods):
        found = [(place, outcome.row(group, setting, method)) for place, setting in enumerate(settings)]
        shift = STEP * (number - (len(outcome.methods) - 1) / 2)
        drawn = [(place + shift, row, row.mean) for place, row in found if row and row.mean is not None]
        if drawn:
            places, rows, means = zip(*drawn, strict=True)
            style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
            spread = list(zip(*map(_spread, rows), strict=True))
            handles[method] = axes.errorbar(places, means, yerr=spread, linestyle="none", capsize=2, **style)
        for place, row in found:
            if row and row.published and row.published.value is not None:
                there = row.published
                line: Any
                if there.same:  # beside all methods, as it is what they are to come to
                    line = axes.hlines(there.value, place - HALF, place + HALF, color="black", zorder=1)
                else:
                    (line,) = axes.plot(place + shift, there.value, "x", color="black", linestyle="none", zorder=3)
                handles.setdefault(f"published: {there.source}", line)
    axes.set_xticks(range(len(settings)), settings, rotation=30 if max(map(len, settings)) > 6 else 0)
    axes.set_xlim(-0.6, len(settings) - 0.4)
    axes.set_xlabel(outcome.axis)
    axes.set_title(group, fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    return handles


def _spread(row: Row) -> tuple[float, float]:
    """Return how far the bar goes down and up: a standard deviation, and never beyond what there was."""
    if row.mean is None or row.deviation is None:
        return 0.0, 0.0
    return min(row.deviation, row.mean - min(row.values)), min(row.deviation, max(row.values) - row.mean)
