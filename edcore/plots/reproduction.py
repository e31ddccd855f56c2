"""A reproduction as a picture: mean and standard deviation of each method, beside the published figures."""

from __future__ import annotations

from typing import Any

from edcore.plots import language
from edcore.plots.canvas import Picture, method_styles, new_figure, rendered
from edcore.reproduce.outcome import Outcome, Score

STEP = 0.12
"""Distance between two methods, in units of the distance between two settings."""

HALF = 0.35
"""Half the length of the line of a published figure."""


ACROSS = 10
"""The most settings that stand beside each other; if there are more, the groups stand below each other."""

WIDTH = 6.8
"""Inches: a page shows the picture about as wide, a telephone half as wide."""


def png(outcome: Outcome) -> bytes:
    """Draw an outcome, with a panel for each group, and return the picture as PNG."""
    if outcome.curves:
        return language.png(outcome)
    groups = list(dict.fromkeys(group for group, _ in outcome.settings))
    counts = [sum(group == of for of, _ in outcome.settings) for group in groups]
    below = len(groups) > 1 and sum(counts) > ACROSS
    figure = new_figure((WIDTH, 1.4 + 2.3 * len(groups) if below else 4.6))
    ratios = None if below else [max(n, 3) for n in counts]
    grid = (len(groups), 1) if below else (1, len(groups))
    panels = figure.subplots(*grid, sharex=below, sharey=True, squeeze=False, width_ratios=ratios).flat
    handles: dict[str, Any] = {}
    for group, axes in zip(groups, panels, strict=True):
        handles |= _panel(axes, outcome, group)
        axes.label_outer()
    figure.supylabel(outcome.measure, fontsize="medium")
    if outcome.logarithmic:
        panels[0].set_yscale("log")
        panels[0].yaxis.set_major_formatter("{x:,g}")
    figure.suptitle(outcome.title + (" (a quick look)" if outcome.quick else ""), fontsize="medium")
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, frameon=False)
    return rendered(figure, "png")


def _panel(axes: Picture, outcome: Outcome, group: str) -> dict[str, Any]:
    """Draw the settings of a group; return the entries of the legend by name."""
    settings = [setting for of, setting in outcome.settings if of == group]
    handles, styles = {}, method_styles(outcome.methods)
    for number, method in enumerate(outcome.methods):
        scores = [(place, outcome.score(group, setting, method)) for place, setting in enumerate(settings)]
        shift = STEP * (number - (len(outcome.methods) - 1) / 2)
        drawn = [(place + shift, score, score.mean) for place, score in scores if score and score.mean is not None]
        if drawn:
            places, found, means = zip(*drawn, strict=True)
            style = styles[method]
            spread = list(zip(*map(_spread, found), strict=True))
            handles[method] = axes.errorbar(places, means, yerr=spread, linestyle="none", capsize=2, **style)
        for place, score in scores:
            if score and score.published and score.published.value is not None:
                published = score.published
                line: Any
                if published.same:  # a line across all methods, which should all reach it
                    line = axes.hlines(published.value, place - HALF, place + HALF, color="black", zorder=1)
                else:
                    (line,) = axes.plot(place + shift, published.value, "x", color="black", linestyle="none", zorder=3)
                handles.setdefault(f"published: {published.source}", line)
    names = [setting.replace(", ", ",\n") for setting in settings]
    axes.set_xticks(range(len(settings)), names, fontsize="medium" if max(map(len, settings)) < 12 else "small")
    axes.set_xlim(-0.6, len(settings) - 0.4)
    axes.set_xlabel(outcome.axis)
    axes.set_title(group, fontsize="medium")
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return handles


def _spread(score: Score) -> tuple[float, float]:
    """Return how far the bar goes down and up: a standard deviation, but not beyond the extreme values."""
    if score.mean is None or score.deviation is None:
        return 0.0, 0.0
    return min(score.deviation, score.mean - min(score.values)), min(score.deviation, max(score.values) - score.mean)
