"""A benchmark as a picture: one bar for each contender, made of trace and update."""

from __future__ import annotations

from edcore.bench.timings import Benchmark, Timings, milliseconds
from edcore.plots.canvas import COLOURS, Picture, new_figure, rendered

WIDE_RANGE = 20
"""Above this ratio of slowest to fastest, bars on a linear scale would vanish."""


def picture(benchmark: Benchmark, kind: str) -> bytes:
    """Draw the measured contenders, at least one, and return the picture as "png", "svg" or "pdf"."""
    measured = benchmark.measured
    steps = [1e3 * timings.median("step") for timings in measured]
    wide = max(steps) > WIDE_RANGE * min(steps)
    figure = new_figure((8, 1.6 + 0.45 * len(measured)))
    axes = figure.add_subplot()
    _bars(axes, measured)
    if wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.set_xlim(min(1e3 * timings.median("trace") for timings in measured) / 2, 10 * max(steps))
    else:
        axes.set_xlim(0, 1.25 * max(steps))
    scale = "; logarithmic, so compare where bars end" if wide else ""
    axes.set_xlabel(f"median milliseconds of a training step{scale}")
    _titles(figure, axes, benchmark)
    return rendered(figure, kind, 150)


def _bars(axes: Picture, measured: list[Timings]) -> None:
    places, steps = range(len(measured)), [timings.median("step") for timings in measured]
    halves = [(timings.median("trace"), timings.median("update")) for timings in measured]
    # The median of a sum is not the sum of the medians: a bar has the length of the median step, divided in the ratio
    # of the two medians.
    traces = [1e3 * step * trace / (trace + update) for step, (trace, update) in zip(steps, halves, strict=True)]
    updates = [1e3 * step - trace for step, trace in zip(steps, traces, strict=True)]
    axes.barh(places, traces, color=COLOURS[0], label="forward with trace")
    axes.barh(places, updates, left=traces, color=COLOURS[1], label="update")
    for place, step in zip(places, steps, strict=True):
        text, style = f"{milliseconds(step)} ms   {step / steps[0]:.2f} ×", {"textcoords": "offset points"}
        axes.annotate(text, (1e3 * step, place), xytext=(5, 0), va="center", **style)
    axes.set_yticks(places, [timings.name for timings in measured])
    axes.invert_yaxis()


def _titles(figure: Picture, axes: Picture, benchmark: Benchmark) -> None:
    setting, where = benchmark.setting, benchmark.environment
    device = benchmark.machine.device if benchmark.machine else ""
    axes.set_title(
        f"One training step: depth {setting.depth}, width {setting.width}, batch {setting.batch}, {setting.dtype}\n"
        f"on {device or where.cpu}, {where.cores} cores; ratios to {benchmark.measured[0].name}",
        loc="left",
        fontsize="medium",
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
