"""The language model's picture: bits of each setting beside those of counts, and how they fall while it learns."""

from __future__ import annotations

import math

from edcore.plots.canvas import Picture, method_styles, new_figure, rendered
from edcore.reproduce.language_runs import COUNTS
from edcore.reproduce.outcome import Outcome

BEYOND = 1.6
"""Bits beyond the largest of the counts up to which means are drawn."""

ROW, GAP, WIDTH = 0.24, 0.8, 6.8
"""Inches of a setting, settings between two groups, and inches of the picture."""


def png(outcome: Outcome) -> bytes:
    """Draw an outcome, all settings below each other, and return the picture as PNG."""
    rows = [key for key in outcome.settings if key[0] != "counts"]
    groups = list(dict.fromkeys(group for group, _ in rows))
    height = ROW * (len(rows) + GAP * len(groups)) + 0.9
    parts = [2.6, height] if outcome.curves else [height]
    figure = new_figure((WIDTH, sum(parts) + 1.3))
    panels = figure.subplots(len(parts), 1, height_ratios=parts, squeeze=False)[:, 0]
    styles = method_styles(method for method in outcome.methods if method != COUNTS)
    counts = {score.setting: score.mean for score in outcome.rows if score.method == COUNTS}
    if outcome.curves:
        for method, points in outcome.curves.items():
            panels[0].plot(*zip(*points, strict=True), color=styles[method]["color"], linewidth=1.4)
        for name, bits in counts.items():
            panels[0].axhline(bits, color="0.6", linewidth=0.8, linestyle=":")
            panels[0].annotate(name, (1, bits), xycoords=("axes fraction", "data"), fontsize="small", va="center")
        panels[0].set_xlabel("samples learnt")
        panels[0].set_ylabel("bits per character", fontsize="medium")
        panels[0].xaxis.set_major_formatter("{x:,.0f}")
    handles = _settings(panels[-1], outcome, rows, styles)
    for name, bits in counts.items():
        panels[-1].axvline(bits, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
        panels[-1].annotate(
            name, (bits, 1), xycoords=("data", "axes fraction"), ha="left", fontsize="small", rotation=45
        )
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=2, frameon=False, fontsize="small"
    )
    return rendered(figure, "png")


def _settings(
    axes: Picture, outcome: Outcome, rows: list[tuple[str, str]], styles: dict[str, dict[str, str]]
) -> dict[str, object]:
    """Draw the mean and the seeds of each method, a line for each setting; return the entries of the legend."""
    handles, place, ticks, before = {}, 0.0, [], ""
    counts = [score.mean for score in outcome.rows if score.method == COUNTS and score.mean]
    most = max(counts, default=math.inf) + BEYOND
    for group, setting in rows:
        if group != before:
            place += GAP if before else 0
            axes.annotate(group, (0, place - 0.75), xycoords=("axes fraction", "data"), fontsize="small", weight="bold")
            place, before = place + 0.2, group
        for method, style in styles.items():
            score = outcome.score(group, setting, method)
            if score is None or score.mean is None:
                continue
            if score.mean > most:  # of a method that is far off: the others could not be told apart
                axes.annotate(f"{score.mean:.1f} →", (most, place), color=style["color"], ha="right", va="center")
                continue
            axes.plot(score.values, [place] * len(score.values), ".", color="0.75", markersize=3, zorder=1)
            (handles[method],) = axes.plot(score.mean, place, linestyle="none", markersize=6, **style)
        ticks.append((place, setting))
        place += 1
    axes.set_yticks(*zip(*ticks, strict=True), fontsize="small")
    axes.set_ylim(place, -1.3)
    if counts:
        axes.set_xlim(min(counts) - BEYOND / 8, most)
    axes.set_xlabel(outcome.measure)
    axes.grid(axis="y", alpha=0.2)
    return handles
