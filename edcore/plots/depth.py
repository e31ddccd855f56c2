"""The layer map: saturation and growth of each layer, over depth and over training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.diagnostics.diagnosis import Diagnosis
from edcore.errors import InputError
from edcore.plots.canvas import COLOURS, DIVERGING, Picture, new_figure, set_title

Floats: TypeAlias = npt.NDArray[np.float64]

RANGE = 1e6
"""Ratio of the largest to the smallest saturation shown: smaller ones are as good as 0."""

LEAST_GROWTH = 1.1
"""The scale spans at least this growth and its inverse: rounding must not look like growth."""

FEW = 40
"""Up to this number of layers each has a marker."""

DEEP, LINEAR = 200, 8
"""Above this number of layers a line is drawn over a logarithmic scale of depth, linear up to the second number: it is
the first layers that learn."""

LOGARITHMIC = 10.0
"""Above this growth the scale is logarithmic."""

ROOM = 20
"""Characters that fit below a heat map."""

GAP = 0.04
"""Gap after the first heat map's scale, as a share of a map's width: else its name seems to belong to both maps."""

LABELS = "mean g (small: saturated)", "mean |W|, over that at the start"


def layer_map(
    diagnoses: Diagnosis | Sequence[Diagnosis],
    *,
    at: Sequence[float] | None = None,
    axes: Sequence[Picture] | None = None,
) -> Picture:
    """Draw the saturation and the growth of each layer, from hidden layer 1 at the top to the output layer.

    Parameters
    ----------
    diagnoses : Diagnosis or sequence of Diagnosis
        Results of `edcore.diagnostics.diagnose` for one network. One is drawn as a line over depth, several, made
        during training, as a heat map with a column for each.
    at : sequence of float, optional
        The number of batches before each diagnosis. Left out, they are numbered.
    axes : pair of matplotlib.axes.Axes, optional
        Where to draw saturation and growth. Left out, a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. Dead layers are hatched. If only some layers were measured, a heat map and the hatching show the
        others as the nearest of these.

    Raises
    ------
    InputError
        If no diagnosis is given, they differ in depth, or `at` or `axes` have another length.
    EDCoreError
        If matplotlib is not installed.

    Examples
    --------
    >>> import edcore
    >>> from edcore import diagnostics, plots
    >>> data = edcore.datasets.digits(classes=(0, 1))
    >>> ed = edcore.ED(in_=64, hidden_depth=8, u0=6.0, seed=0)
    >>> found = [diagnostics.diagnose(ed, data.x_train, data.y_train)]
    >>> found.append(diagnostics.diagnose(ed.fit(data.x_train, data.y_train), data.x_train, data.y_train))
    >>> figure = plots.layer_map(found, at=[0, 5])
    >>> figure.axes[0].images[0].get_array().shape
    (10, 2)
    """
    found = [diagnoses] if isinstance(diagnoses, Diagnosis) else list(diagnoses)
    _check(found, at, axes)
    if axes is None:
        axes = side_by_side(new_figure((9, 4.6)))
    figures = [np.stack([getattr(one, name) for one in found], axis=1) for name in ("saturation", "growth")]
    # A layer that was not measured looks as the nearest one that was.
    numbers = found[0].numbers
    nearest = np.searchsorted((numbers[1:] + numbers[:-1]) / 2, np.arange(found[0].network.depth + 2))
    dead = np.stack([one.dead for one in found], axis=1)[nearest]
    if len(found) == 1:
        _draw_lines(axes, figures, dead, numbers)
    else:
        shown_at = [*range(1, len(found) + 1)] if at is None else [*at]
        _draw_maps(axes, [values[nearest] for values in figures], dead, shown_at)
    axes[0].set_ylabel("hidden layer")
    for ax, title in zip(axes, ("Saturation", "Growth"), strict=True):
        set_title(ax, f"{title} (hatched: dead)" if dead.any() else title)
        _name_layers(ax, len(dead), logarithmic=len(found) == 1 and len(dead) > DEEP)
        if len(found) > 1:
            ax.set_xlabel("diagnosis" if at is None else "batches learnt")
    axes[1].tick_params(labelleft=False)
    return axes[0].figure


def side_by_side(figure: Picture) -> Sequence[Picture]:
    """Return axes for saturation and for growth, far enough apart for the scale between them."""
    axes: Sequence[Picture] = figure.subplots(1, 2, gridspec_kw={"wspace": GAP})
    return axes


def _check(found: list[Diagnosis], at: Sequence[float] | None, axes: Sequence[Picture] | None) -> None:
    if not found:
        raise InputError("diagnoses", "none", "at least one", "Make one with edcore.diagnostics.diagnose.")
    if not all(isinstance(one, Diagnosis) for one in found):
        raise InputError("diagnoses", type(found[0]).__name__, "results of edcore.diagnostics.diagnose")
    if len(depths := {one.network.depth for one in found}) > 1:
        given = f"networks of depth {', '.join(map(str, sorted(depths)))}"
        raise InputError("diagnoses", given, "diagnoses of one network")
    if not all(np.array_equal(one.numbers, found[0].numbers) for one in found):
        raise InputError("diagnoses", "those of other layers", "diagnoses of the same layers of one network")
    if at is not None and len(at) != len(found):
        raise InputError("at", f"{len(at)} numbers", f"{len(found)}, one for each diagnosis")
    if axes is not None and len(axes) != 2:
        raise InputError("axes", f"{len(axes)} axes", "two, for saturation and for growth")


def _draw_lines(
    axes: Sequence[Picture], figures: list[Floats], dead: npt.NDArray[np.bool_], layers: npt.NDArray[np.intp]
) -> None:
    for ax, values, label, colour in zip(axes, figures, LABELS, COLOURS[:2], strict=True):
        ax.plot(values[:, 0], layers, color=colour, marker="o" if len(layers) <= FEW else None, markersize=4)
        for _column, start, stop in _runs(dead):
            ax.axhspan(start - 0.5, stop - 0.5, facecolor="none", edgecolor="0.6", hatch="///", linewidth=0)
        if len(dead) > DEEP:
            ax.set_yscale("symlog", linthresh=LINEAR)
        ax.set_ylim(len(dead) - 0.5, -0.5)
        ax.set_xlabel(label)
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    saturation, growth = figures
    low, high = _limits(saturation)
    axes[0].set_xlim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high * 1.01)))
    axes[0].set_xscale("log")
    axes[0].xaxis.set_minor_formatter("")  # their labels overlap
    axes[1].axvline(1, color="0.4", linewidth=0.8, linestyle=":")
    known = growth[np.isfinite(growth)]
    low, high = known[known > 0].min(initial=1 / LEAST_GROWTH), known.max(initial=LEAST_GROWTH)
    if high > LOGARITHMIC:
        axes[1].set_xlim(low, 1.5 * high)
        axes[1].set_xscale("log")
    else:
        axes[1].set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        axes[1].locator_params(axis="x", nbins=5)


def _draw_maps(
    axes: Sequence[Picture], figures: list[Floats], dead: npt.NDArray[np.bool_], at: Sequence[float]
) -> None:
    from matplotlib.colors import LogNorm, TwoSlopeNorm
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import LogFormatter

    saturation, growth = figures
    low, high = _limits(saturation)
    side = _side(growth)
    norms = LogNorm(low, high), LogNorm(1 / side, side) if side > LOGARITHMIC else TwoSlopeNorm(1, 1 / side, side)
    for ax, values, label, norm, colours, hatch in zip(
        axes, figures, LABELS, norms, ("cividis", DIVERGING), ("white", "0.3"), strict=True
    ):
        # A value of 0 has no logarithm: it is shown as the smallest on the scale.
        shown = np.where(values <= 0, norm.vmin, values)
        image = ax.imshow(shown, cmap=colours, norm=norm, aspect="auto")
        for column, start, stop in _runs(dead):
            place, size = (column - 0.5, start - 0.5), (1, stop - start)
            ax.add_patch(Rectangle(place, *size, fill=False, edgecolor=hatch, hatch="///", linewidth=0))
        bar = ax.figure.colorbar(image, ax=ax, label=label, extend="min" if (values < norm.vmin).any() else "neither")
        if isinstance(norm, LogNorm):
            bar.formatter = bar.minorformatter = LogFormatter()
        names = [f"{number:,g}" for number in at]
        step = -(-len(at) * (max(map(len, names)) + 2) // ROOM)  # columns that together are as wide as a name
        shown_at = range((len(at) - 1) % step, len(at), step)
        ax.set_xticks(shown_at, [names[column] for column in shown_at])


def _limits(saturation: Floats) -> tuple[float, float]:
    """Return the smallest and the largest value on the logarithmic scale."""
    known = saturation[(saturation > 0) & np.isfinite(saturation)]
    if not len(known):
        return 1 / RANGE, 1.0
    high = float(known.max())
    return min(max(float(known.min()), high / RANGE), high / 2), high


def _side(growth: Floats) -> float:
    """Return the end of the scale of growth, as a factor of 1 to either side."""
    known = growth[(growth > 0) & np.isfinite(growth)]
    return float(max(np.exp(np.abs(np.log(known)).max(initial=0.0)), LEAST_GROWTH))


def _runs(dead: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int, int]]:
    """Yield the column of successive dead layers, the first of them, and the layer after the last."""
    for column in range(dead.shape[1]):
        turns = np.flatnonzero(np.diff(dead[:, column].astype(int), prepend=0, append=0))
        for start, stop in turns.reshape(-1, 2).tolist():
            yield column, start, stop


def _name_layers(ax: Picture, layers: int, logarithmic: bool) -> None:
    """Write the numbers of the hidden layers, from 1, in round steps, and the name of the output layer."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    last = layers - 1
    round_ones = [int(place) for place in MaxNLocator(8, integer=True).tick_values(1, max(last, 2))]
    inner = [place for place in round_ones if max(0, 0.06 * last) < place < last - 0.06 * last]
    if logarithmic:
        inner = [place for place in (5, *(10**power for power in range(1, 9))) if place < 0.6 * last]
        ax.yaxis.set_minor_locator(NullLocator())
    ax.set_yticks([0, *(place - 1 for place in inner), last], ["1", *(f"{place:,}" for place in inner), "output"])
