"""The parts of a network's drawing: where the cells stand, their discs, the lines between them, and the legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.core.network import Network
from edcore.plots.canvas import ACTIVITY, EXCITATORY, INHIBITORY, Picture
from edcore.plots.sample import LayerWeights

Floats: TypeAlias = npt.NDArray[Any]

FEW_CELLS = 8
"""Up to this number of cells in a column, bias cells included, each has a name, and its activity in figures."""

SPARSE = 48
"""Up to this number of synapses of a layer each line is opaque."""

MOST_PLACES = 4
"""Numbers with more decimal places are written as powers of ten."""

UNCHANGED = "0.85"
WIDEST, THINNEST = 4.0, 0.35
"""Widths of lines in points."""

LABEL = 0.47
"""Room for a number beside a synapse, in inches."""

SHARES = 0.27, 0.6
"""The stretch of a synapse, from its source to its target, along which its number stands."""


class Columns(NamedTuple):
    """Where everything stands: the places of a drawing are in inches."""

    x: Floats  # of each column of cells
    y: list[Floats]  # of the cells of each column, without bias cells
    bias: Floats  # y of the bias cells, the same in each column but the last
    radius: float
    named: bool  # whether there is room for names and activities
    font: float
    limits: tuple[tuple[float, float], tuple[float, float]]  # of the drawing, along x and along y


def arrange(network: Network, numbers: bool) -> Columns:
    """Return where the cells stand: inputs, each layer, and below them the bias cells."""
    counts = [len(network.input_signs), *(len(layer.target_signs) for layer in network.layers)]
    biased = network.n_bias if network.bias else 0
    named = max(counts) + biased <= FEW_CELLS
    pitch, radius = (0.64, 0.21) if named else (0.29, 0.115)
    most = max(counts)
    signs = [network.input_signs, *(layer.target_signs for layer in network.layers)]
    places = []
    for cells, count in zip(signs, counts, strict=True):
        stretch = min(1.5 if named else 2.5, (most - 1) / (count - 1)) if count > 1 else 1.0
        between = np.diff(np.asarray(cells)) != 0  # a wider gap between the streams
        steps = np.concatenate([[0.0], np.cumsum(pitch * stretch * np.where(between, 1.25, 1.0))])
        places.append(steps[-1] / 2 - steps)
    low = min(place.min() for place in places)
    bias = low - 1.35 * pitch - pitch * np.arange(biased)
    x = [0.0]
    for count in counts[1:]:
        room = 0.4 + (count - 1) * LABEL / (SHARES[1] - SHARES[0]) if numbers else 0.0
        x.append(x[-1] + max(2.0 if named else 1.5, room))
    above = 0.47 if named else 0.3
    limits = (-radius - 0.35, x[-1] + radius + 0.35), (min([low, *bias]) - radius - 0.1, -low + radius + above)
    return Columns(np.array(x), places, bias, radius, named, 8.5 if named else 6.5, limits)


def draw(
    ax: Picture,
    network: Network,
    columns: Columns,
    layers: Sequence[LayerWeights | None],
    cells: Sequence[Floats | None] | None = None,
    *,
    numbers: bool = False,
    change: bool = False,
    largest: float | None = None,
) -> None:
    """Draw the synapses of each layer and all cells; None stands for a layer that is not known yet."""
    known = [np.abs(part).max(initial=0.0) for layer in layers if layer is not None for part in layer]
    largest = largest or max(known, default=0.0) or 1.0
    for number, layer in enumerate(layers):
        _draw_synapses(ax, columns, number, layer, largest, numbers, change, network.bias > 0)
    filled = None if cells is None else [cell for cell in cells if cell is not None]
    scale = max([1.0, *(np.abs(cell).max() for cell in filled)]) if filled else 1.0
    for number in range(len(columns.x)):
        _draw_cells(ax, network, columns, number, None if cells is None else cells[number], scale)
    _name_columns(ax, network, columns)
    ax.set(xlim=columns.limits[0], ylim=columns.limits[1], aspect="equal")
    ax.set_axis_off()


def _draw_synapses(
    ax: Picture,
    columns: Columns,
    number: int,
    layer: LayerWeights | None,
    largest: float,
    numbers: bool,
    change: bool,
    biased: bool,
) -> None:
    """Draw one line for each synapse of a layer, and its value if wanted."""
    from matplotlib.collections import LineCollection

    left, right = columns.x[number : number + 2]
    sources, targets = np.concatenate([columns.y[number], columns.bias]), columns.y[number + 1]
    ends = [[(left, source), (right, place)] for source in sources for place in targets]
    if layer is None:
        lines = LineCollection(ends, colors=UNCHANGED, linewidths=THINNEST, zorder=1)
        ax.add_collection(lines).set_gid(f"synapses {number}")
        return
    values = np.concatenate([layer.weight, layer.bias[: len(columns.bias)]] if biased else [layer.weight])
    flat = values.ravel()
    colours = [UNCHANGED if value == 0 else EXCITATORY if value > 0 else INHIBITORY for value in flat]
    widths = THINNEST + (WIDEST - THINNEST) * np.abs(flat) / largest
    # Those that change stand in front of those that do not.
    order = np.argsort(np.abs(flat), kind="stable") if change else np.arange(len(flat))
    lines = LineCollection(
        [ends[i] for i in order],
        colors=[colours[i] for i in order],
        linewidths=widths[order],
        alpha=None if len(flat) <= SPARSE else 0.75,
        zorder=1,
    )
    ax.add_collection(lines).set_gid(f"synapses {number}")
    if not numbers:
        return
    count = len(targets)
    places = places_for(largest, change)
    # The numbers of each target stand in a column of their own, where its lines are still far apart.
    shares = np.linspace(*SHARES, count) if count > 1 else [0.42]
    for row, source in enumerate(sources):
        for column, (place, share) in enumerate(zip(targets, shares, strict=True)):
            value = values[row, column]
            if abs(value) < 0.5 * 10**-places:  # the thin line says it
                continue
            ax.text(
                left + share * (right - left),
                source + share * (place - source),
                figures(value, "+" if change else "", places),
                color=EXCITATORY if value > 0 else INHIBITORY,
                fontsize=columns.font,
                ha="center",
                va="center",
                zorder=2,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )


def _draw_cells(
    ax: Picture, network: Network, columns: Columns, number: int, values: Floats | None, scale: float
) -> None:
    """Draw the cells of a column and the bias cells below them, with names and activities where there is room."""
    from matplotlib import colormaps
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Circle

    signs = list(network.input_signs if number == 0 else network.layers[number - 1].target_signs)
    names = cell_names(network, number)
    y = list(columns.y[number])
    active = None if values is None else list(values)
    if number < len(network.layers):
        signs += network.bias_signs[: len(columns.bias)]
        names += ["b+", "b−"][: len(columns.bias)]
        y += list(columns.bias)
        active = None if active is None else active + [network.bias] * len(columns.bias)
    x = columns.x[number]
    shades = np.zeros(len(y)) if active is None else np.abs(active) / scale
    colours = [EXCITATORY if sign > 0 else INHIBITORY for sign in signs]
    circles = PatchCollection(
        [Circle((x, place), columns.radius) for place in y],
        facecolors=[colormaps[ACTIVITY](0.9 * shade) for shade in shades],
        edgecolors=colours,
        linewidths=1.8 if columns.named else 1.3,
        zorder=3,
    )
    ax.add_collection(circles).set_gid(f"cells {number}")
    style = {"ha": "center", "zorder": 4}
    for place, sign, name, colour, shade, index in zip(y, signs, names, colours, shades, range(len(y)), strict=True):
        ink = "white" if shade > 0.5 else "black"
        if not columns.named:
            ink = "white" if shade > 0.5 else colour
            ax.text(x, place, "+" if sign > 0 else "−", color=ink, fontsize=columns.font + 1, va="center", **style)
            continue
        above = place + columns.radius + 0.03
        ax.text(x, above, name, color=colour, fontsize=columns.font + 1, va="bottom", **style)
        if active is not None:
            value = figures(active[index], places=2)
            ax.text(x, place, value, color=ink, fontsize=columns.font, va="center", **style)


def cell_names(network: Network, number: int) -> list[str]:
    """Return the names of the cells of a column."""
    if number == 0:
        return [f"x{i + 1}{sign}" for sign in "+−" for i in range(network.in_)]
    letter, count = ("h", network.widths[number - 1]) if number < len(network.layers) else ("y", network.outputs)
    marks = ["+", "−"] if letter == "h" or network.inhibitory_output else [""]
    return [f"{letter}{i + 1 if count > 1 else ''}{mark}" for mark in marks for i in range(count)]


def layer_name(network: Network, number: int) -> str:
    """Return the name of the cells of a layer."""
    if number == len(network.layers) - 1:
        return "output"
    return f"hidden {number + 1:,}" if network.depth else "hidden"


def of_head(network: Network, head: int) -> str:
    """Return which head is drawn, for the end of a title, where there are several."""
    return f", head {head}" if network.heads > 1 else ""


def _name_columns(ax: Picture, network: Network, columns: Columns) -> None:
    """Write the name of each layer of cells above it."""
    top = max(place.max() for place in columns.y) + columns.radius + (0.25 if columns.named else 0.1)
    names = ["input", *(layer_name(network, number) for number in range(len(network.layers)))]
    for x, name in zip(columns.x, names, strict=True):
        ax.text(x, top, name, fontsize=9, ha="center", va="bottom", color="0.3")


def add_legend(ax: Picture, largest: float, active: bool, change: bool = False) -> None:
    """Say below the drawing what colours, widths and shades mean."""
    from matplotlib.lines import Line2D

    words = ("rises", "falls") if change else ("weight above 0", "weight below 0")
    entries = [Line2D([], [], color=colour, linewidth=2) for colour in (EXCITATORY, INHIBITORY)]
    names = list(words)
    entries.append(Line2D([], [], color="0.3", linewidth=WIDEST))
    names.append(f"size {figures(largest)}")
    if change:
        entries.append(Line2D([], [], color=UNCHANGED, linewidth=1))
        names.append("stays")
    else:
        for colour, name in ((EXCITATORY, "+ cell"), (INHIBITORY, "− cell")):
            entries.append(_disc("white", colour))
            names.append(name)
    if active and not change:
        entries.append(_disc("0.25", "0.25"))
        names.append("active cell")
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": 2 if change else 3}  # two rows in both
    ax.legend(entries, names, fontsize="small", frameon=False, handletextpad=0.5, columnspacing=1.2, **place)


def _disc(fill: str, edge: str) -> Picture:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker="o", markersize=7, markerfacecolor=fill, markeredgecolor=edge)


def largest_of(layers: Sequence[LayerWeights]) -> float:
    """Return the largest size of all weights."""
    return max(float(np.abs(part).max(initial=0.0)) for layer in layers for part in layer)


def ink(image: Picture, value: float) -> str:
    """Return black or white, whichever can be read on a value's colour in an image."""
    red, green, blue, _ = image.cmap(image.norm(value))
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"


def figures(value: float, plus: str = "", places: int | None = None) -> str:
    """Return a number with at most some decimal places, or in two significant figures."""
    if places is None:
        text = f"{value:.2g}" if abs(value) < 99.5 else f"{value:.0f}"
    elif places > MOST_PLACES:
        text = f"{value:.0e}"
    else:
        text = f"{value:.{places}f}"
        text = text.rstrip("0").rstrip(".") if places else text
        text = "0" if text == "-0" else text
    return (plus if value > 0 else "") + text.replace("-", "−")


def places_for(largest: float, change: bool) -> int:
    """Return the decimal places with which the largest value has two significant figures, or three if a change."""
    return max(0, 1 + change - math.floor(math.log10(largest)))
