"""Receptive fields: the weights of each cell of the first layer, as images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arguments import whole_number
from edcore.errors import InputError
from edcore.model.ed import ED
from edcore.plots.canvas import DIVERGING, Picture, axes_or_new, set_title

Floats: TypeAlias = npt.NDArray[np.float64]

STREAMS = "excitatory", "inhibitory"

LEAST_SIDE = 5
"""The least side of an image whose shape is guessed: nine bits of parity are not an image of 3 by 3."""

MOST_CELLS = 64
"""Cells of each stream that are drawn if none are named."""


def image_shape(features: int) -> tuple[int, int] | None:
    """Return the shape of a square image with this number of pixels, if at least 5 by 5; else None."""
    side = math.isqrt(features)
    return (side, side) if side * side == features and side >= LEAST_SIDE else None


def receptive_fields(
    ed: ED,
    shape: tuple[int, int] | None = None,
    head: int = 0,
    cells: Sequence[int] | None = None,
    ax: Picture | None = None,
) -> Picture:
    """Draw the weights from the features to the cells of the first layer, excitatory and inhibitory ones.

    Parameters
    ----------
    ed : ED
        The network.
    shape : (int, int), optional
        Rows and columns of an image. Left out, a square one for 25, 36, 49, … features; for other numbers, and for a
        shape of one row, each cell is one row of a heat map.
    head : int
        The head of the cells.
    cells : sequence of int, optional
        Numbers of the cells in each stream, from 0. Left out, all cells, but no more than 64.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Left out, a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. All cells share one scale, whose centre is 0.

    Raises
    ------
    InputError
        If the shape does not hold the features, the head or a cell does not exist, or the network does not know
        ``in_`` yet.
    EDCoreError
        If matplotlib is not installed.

    Notes
    -----
    Both streams of input cells see the same x, so feature i enters cell j with W_ij + W_kj, where i and k are its
    excitatory and its inhibitory input cell. Signs are folded into W: where a field is above 0, the feature raises the
    cell, in both streams.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> figure = plots.receptive_fields(edcore.ED(in_=64, hidden_width=9, seed=0))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['9 excitatory cells', '9 inhibitory cells']
    """
    network = ed.network
    rows, columns = _checked_shape(shape, network.in_)
    head = whole_number("head", head, 0)
    if head >= network.heads:
        raise InputError("head", str(head), f"0 to {network.heads - 1}, as there are {network.heads} heads")
    chosen = _checked_cells(cells, width := network.widths[0])
    weight = ed.weights["input.weight"][head].astype(np.float64)
    fields = (weight[: network.in_] + weight[network.in_ :]).T
    groups = [fields[:width][chosen], fields[width:][chosen]]
    scale = max(np.nanmax(np.abs(group)) for group in groups) or 1.0
    style = {"cmap": DIVERGING, "vmin": -scale, "vmax": scale, "interpolation": "nearest"}
    ax = axes_or_new(ax, (7.5, 4.2))
    image = _draw_rows(ax, groups, style) if rows == 1 else _draw_images(ax, groups, (rows, columns), style)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, aspect=25)
    bar.set_label("weight (red raises the cell)")
    set_title(ax, "Receptive fields of the first layer" + (f", head {head}" if network.heads > 1 else ""))
    return ax.figure


def _checked_shape(shape: tuple[int, int] | None, features: int) -> tuple[int, int]:
    if shape is None:
        return image_shape(features) or (1, features)
    try:
        rows, columns = (whole_number("shape", side, 1) for side in shape)
    except (TypeError, ValueError):
        rows = columns = 0
    if rows * columns != features:
        raise InputError("shape", repr(shape), f"(rows, columns) of {features} features", "Leave it out for a guess.")
    return rows, columns


def _checked_cells(cells: Sequence[int] | None, width: int) -> list[int]:
    if cells is None:
        return list(range(min(width, MOST_CELLS)))
    chosen = [whole_number("cells", cell, 0) for cell in cells]
    if not chosen or max(chosen) >= width:
        raise InputError("cells", repr(list(cells)), f"at least one number of 0 to {width - 1}, the cells of a stream")
    return chosen


def _draw_images(ax: Picture, groups: list[Floats], shape: tuple[int, int], style: dict[str, Any]) -> Picture:
    """Draw each group as one picture of the cells' images, and the groups beside each other."""
    n = len(groups[0])
    # A little higher than wide, as two stand beside each other, with as few empty places as possible.
    across = min(range(math.ceil(math.sqrt(0.6 * n)), math.ceil(math.sqrt(n)) + 1), key=lambda columns: -n % columns)
    left = 0.0
    for group, stream in zip(groups, STREAMS, strict=True):
        tiles = _tiled(group, shape, across)
        height, width = tiles.shape
        image = ax.imshow(tiles, extent=(left, left + width, height, 0), **style)
        ax.text(left + width / 2, -0.02 * height, _counted(group, stream), ha="center", va="bottom", fontsize="small")
        left += 1.08 * width
    ax.set_xlim(0, left - 0.08 * width)
    ax.set_ylim(height, -0.1 * height)
    ax.set_axis_off()
    return image


def _tiled(group: Floats, shape: tuple[int, int], across: int) -> Floats:
    """Return the images in rows of `across`, with a gap around each that has no value."""
    gap = max(1, min(shape) // 8)
    rows, columns = shape[0] + gap, shape[1] + gap
    tiles = np.full((math.ceil(len(group) / across) * rows + gap, across * columns + gap), np.nan)
    for place, field in enumerate(group):
        top, left = gap + place // across * rows, gap + place % across * columns
        tiles[top : top + shape[0], left : left + shape[1]] = field.reshape(shape)
    return tiles


def _draw_rows(ax: Picture, groups: list[Floats], style: dict[str, Any]) -> Picture:
    """Draw each cell as a row with a square for each feature, the excitatory ones above."""
    from matplotlib.ticker import MaxNLocator

    n = len(groups[0])
    image = ax.imshow(np.concatenate(groups), aspect="auto", **style)
    ax.axhline(n - 0.5, color="black", linewidth=1.5)
    ax.set_yticks(
        [n / 2 - 0.5, 3 * n / 2 - 0.5], [_counted(group, s) for group, s in zip(groups, STREAMS, strict=True)]
    )
    ax.tick_params(axis="y", length=0, rotation=90)
    for label in ax.get_yticklabels():
        label.set_verticalalignment("center")
    ax.set_xlabel("feature")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return image


def _counted(group: Floats, stream: str) -> str:
    return f"{len(group):,} {stream} cell{'s' * (len(group) != 1)}"
