"""Results as a picture: a bar for each contender, of trace and update."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edcore.bench.results import Results, Row, milliseconds

BLUE, ORANGE = "#0072B2", "#E69F00"  # of Okabe and Ito's palette, which colour-blind readers can tell apart
WIDE_RANGE = 20
"""Above this ratio of slowest to fastest, bars on a linear scale would vanish."""


def plot(results: Results, file: Path) -> None:
    """Draw the measured contenders, in their order, into a file of the format that its name ends in.

    Parameters
    ----------
    results : Results
        The results, with at least one measured contender.
    file : Path
        The picture: a .png, .svg or .pdf file.
    """
    from matplotlib.figure import Figure  # a Figure of its own needs no screen, and leaves pyplot's state alone

    rows = results.measured
    steps = [1e3 * row.median("step") for row in rows]
    wide = max(steps) > WIDE_RANGE * min(steps)
    figure = Figure(figsize=(8, 1.6 + 0.45 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    _bars(axes, rows)
    if wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.set_xlim(min(1e3 * row.median("trace") for row in rows) / 2, 10 * max(steps))
    else:
        axes.set_xlim(0, 1.25 * max(steps))
    scale = "; logarithmic, so compare where bars end" if wide else ""
    axes.set_xlabel(f"median milliseconds of a training step{scale}")
    _titles(figure, axes, results)
    figure.savefig(file, dpi=150)


def _bars(axes: Any, rows: list[Row]) -> None:
    places, steps = range(len(rows)), [row.median("step") for row in rows]
    halves = [(row.median("trace"), row.median("update")) for row in rows]
    # A median of sums is no sum of medians: the bar is as long as the median step, and divided as the medians are.
    traces = [1e3 * step * trace / (trace + update) for step, (trace, update) in zip(steps, halves, strict=True)]
    updates = [1e3 * step - trace for step, trace in zip(steps, traces, strict=True)]
    axes.barh(places, traces, color=BLUE, label="forward with trace")
    axes.barh(places, updates, left=traces, color=ORANGE, label="update")
    for place, step in zip(places, steps, strict=True):
        axes.annotate(
            f"{milliseconds(step)} ms   {step / steps[0]:.2f} ×",
            (1e3 * step, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(places, [row.name for row in rows])
    axes.invert_yaxis()


def _titles(figure: Any, axes: Any, results: Results) -> None:
    setting, where = results.setting, results.environment
    device = results.machine.device if results.machine else ""
    axes.set_title(
        f"One training step: depth {setting.depth}, width {setting.width}, batch {setting.batch}, {setting.dtype}\n"
        f"on {device or where.cpu}, {where.cores} cores; ratios to {results.measured[0].name}",
        loc="left",
        fontsize="medium",
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
