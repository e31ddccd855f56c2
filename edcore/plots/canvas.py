"""The parts that all pictures share: a figure without pyplot, the palette, titles, and the error without matplotlib."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.environment import check_package
from edcore.errors import printable

Picture = Any  # matplotlib's Figure, Subfigure or Axes: the library can be used without it

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe and Ito's palette without its black: colour-blind readers can tell these colours apart."""

METHODS = {
    "ED": COLOURS[0],
    "back-propagation": COLOURS[1],
    "back-propagation with Adam": COLOURS[5],
    "direct feedback alignment": COLOURS[2],
    "hidden layers frozen": COLOURS[4],
    "linear readout of untrained cells": COLOURS[3],
}
"""The colour of each method of learning, on all pictures. The colour of class number n is ``COLOURS[n]``."""

REST = "#4D4D4D"
"""Dark grey, for what has no colour of its own beside all methods."""

EXCITATORY, INHIBITORY = "#B2182B", "#2166AC"
"""Colours of cells and synapses by sign: the ends of `DIVERGING`."""

ACTIVITY = "Greys"
"""Colours of activities: white at rest, black at the largest."""

ERROR = "#7B2D8E"
"""Colour of the error on its way."""

MARKERS = "os^DvPX*<"

DIVERGING = "RdBu_r"
"""ColorBrewer's blue below the centre and red above it, which colour-blind readers can tell apart."""

EAST_ASIAN = ("Noto Sans CJK JP", "Noto Sans JP", "Hiragino Sans", "Yu Gothic", "Meiryo", "IPAexGothic", "IPAGothic")
"""Fonts that come with systems or their packages."""

DPI = 120


def class_colours(n: int) -> list[Any]:
    """Return a colour for each of n classes: those of the palette, and for more classes than it has shades in order."""
    if n <= len(COLOURS):
        return list(COLOURS[:n])
    from matplotlib import colormaps

    return [colormaps["viridis"](share) for share in (place / (n - 1) for place in range(n))]


def method_styles(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return colour and marker for each name: those of the method, and for what is no method, others that are free."""
    names = list(names)
    of = {name: {"edcore": "ED"}.get(name, name) for name in names}
    colours, markers = list(COLOURS[:-1]), list(MARKERS)  # without yellow, which is hard to see as a line
    styles = dict(zip(METHODS, zip(METHODS.values(), MARKERS, strict=False), strict=True))
    for method in {*of.values()} & {*METHODS}:
        colours.remove(styles[method][0])
        markers.remove(styles[method][1])
    colours, markers = colours or [REST], markers or list(MARKERS)
    others = [name for name in names if of[name] not in METHODS]
    styles |= {
        name: (colours[number % len(colours)], markers[number % len(markers)]) for number, name in enumerate(others)
    }
    return {name: dict(zip(("color", "marker"), styles[of[name]], strict=True)) for name in names}


def new_figure(size: tuple[float, float]) -> Picture:
    """Return a figure of this size in inches; pyplot does not know it, so it needs no screen and no closing."""
    check_package("matplotlib", "plots", "edcore.plots")
    from edcore.plots.figure import ShownFigure

    return ShownFigure(figsize=size, dpi=DPI, layout="constrained")


def axes_or_new(ax: Picture | None, size: tuple[float, float]) -> Picture:
    """Return the axes that were given, else those of a new figure."""
    return new_figure(size).add_subplot() if ax is None else ax


def evenly_picked(n: int, most: int) -> npt.NDArray[np.intp]:
    """Return the numbers of at most `most` of n things, at even distances, the first and the last among them."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.intp)


def set_title(ax: Picture, title: str) -> None:
    """Write a title literally: a name with dollar signs is not a formula."""
    ax.set_title(printable(title, "\n"), loc="left", fontsize="medium", parse_math=False)


def rendered(figure: Picture, kind: str, dpi: float = DPI) -> bytes:
    """Return a figure as the bytes of a file, such as ``"png"`` or ``"svg"``."""
    file = io.BytesIO()
    with warnings.catch_warnings():  # one for each character of a text, which is drawn as a box
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        figure.savefig(file, format=kind, dpi=dpi)
    return file.getvalue()


@contextlib.contextmanager
def plain_text() -> Iterator[None]:
    """Draw texts as they stand in this block: TeX, which a user's settings may ask for, takes % and _ as commands.

    Characters of Chinese and Japanese, which matplotlib's own font lacks, are those of a font that is installed.
    """
    import matplotlib
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    family = [*matplotlib.rcParams["font.family"], *(name for name in EAST_ASIAN if name in installed)]
    with matplotlib.rc_context({"text.usetex": False, "font.family": family}):
        yield


def check_drawing(ending: str) -> None:
    """Draw a small picture, as a file with this ending needs it, and raise what matplotlib raises."""
    with plain_text():
        for kind in ("svg", "png") if ending == "html" else (ending,):
            axes = axes_or_new(None, (2, 2))
            set_title(axes, "100 % of a_1 − b")
            rendered(axes.figure, kind)
