"""The parts that all pictures share: a figure without pyplot, the palette, titles, and the error without matplotlib."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

from edcore.errors import EDCoreError

Picture = Any  # matplotlib's Figure, Subfigure or Axes: the library can be used without it

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe and Ito's palette without its black: colour-blind readers can tell these colours apart."""

METHODS = {
    "ED": COLOURS[0],
    "back-propagation": COLOURS[1],
    "back-propagation with Adam": COLOURS[5],
    "direct feedback alignment": COLOURS[2],
}
"""The colour of each method of learning, on all pictures. The colour of class number n is ``COLOURS[n]``."""

EXCITATORY, INHIBITORY = "#B2182B", "#2166AC"
"""Colours of cells and synapses by sign: the ends of `DIVERGING`."""

ACTIVITY = "Greys"
"""Colours of activities: white at rest, black at the largest."""

MARKERS = "os^DvPX*<"

DIVERGING = "RdBu_r"
"""ColorBrewer's blue below the centre and red above it, which colour-blind readers can tell apart."""

DPI = 120


def method_style(name: str, number: int = 0) -> dict[str, str]:
    """Return colour and marker of a method; for a name that is no method, those of its number among such names."""
    methods = list(METHODS)
    name = "ED" if name == "edcore" else name
    if name in METHODS:
        return {"color": METHODS[name], "marker": MARKERS[methods.index(name)]}
    free = [colour for colour in COLOURS if colour not in METHODS.values()]
    return {"color": free[number % len(free)], "marker": MARKERS[len(methods) + number % (len(MARKERS) - len(methods))]}


def new_figure(size: tuple[float, float]) -> Picture:
    """Return a figure of this size in inches; pyplot does not know it, so it needs no screen and no closing."""
    try:
        from edcore.plots.figure import ShownFigure
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "matplotlib":
            raise
        fix = 'Install it with: pip install "edcore[plots]".'
        raise EDCoreError(f"edcore.plots draws with the package matplotlib, which is not installed. {fix}") from error
    return ShownFigure(figsize=size, dpi=DPI, layout="constrained")


def axes_or_new(ax: Picture | None, size: tuple[float, float]) -> Picture:
    """Return the axes that were given, else those of a new figure."""
    return new_figure(size).add_subplot() if ax is None else ax


def set_title(ax: Picture, title: str) -> None:
    """Write a title literally: a name with dollar signs is not a formula."""
    ax.set_title(title, loc="left", fontsize="medium", parse_math=False)


def rendered(figure: Picture, kind: str, dpi: int = DPI) -> bytes:
    """Return a figure as the bytes of a file, such as ``"png"`` or ``"svg"``."""
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=dpi)
    return file.getvalue()


@contextlib.contextmanager
def plain_text() -> Iterator[None]:
    """Draw texts as they stand in this block: TeX, which a user's settings may ask for, takes % and _ as commands."""
    import matplotlib

    with matplotlib.rc_context({"text.usetex": False}):
        yield


def check_drawing(ending: str) -> None:
    """Draw a small picture, as a file with this ending needs it, and raise what matplotlib raises."""
    with plain_text():
        for kind in ("svg", "png") if ending == "html" else (ending,):
            axes = axes_or_new(None, (2, 2))
            set_title(axes, "100 % of a_1 − b")
            rendered(axes.figure, kind)
