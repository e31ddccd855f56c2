"""What all pictures share: a figure without pyplot, colours, titles, and what is said where matplotlib is missing."""

from __future__ import annotations

from typing import Any

from edcore.errors import EDCoreError

Picture = Any  # matplotlib's Figure, Subfigure or Axes: the library can be used without it

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe and Ito's palette without its black, which colour-blind readers can tell apart."""

MARKERS = "os^DvPX*<"

DIVERGING = "RdBu_r"
"""Of ColorBrewer: blue below the centre, red above it, which colour-blind readers can tell apart."""

DPI = 120


def new_figure(size: tuple[float, float]) -> Picture:
    """Return a figure of this size in inches that pyplot knows nothing of."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "matplotlib":
            raise
        fix = 'Install it with: pip install "edcore[plots]".'
        raise EDCoreError(f"edcore.plots draws with the package matplotlib, which is not installed. {fix}") from error
    return Figure(figsize=size, dpi=DPI, layout="constrained")


def drawn_on(ax: Picture | None, size: tuple[float, float]) -> Picture:
    """Return the axes that were given, else those of a new figure."""
    return new_figure(size).add_subplot() if ax is None else ax


def titled(ax: Picture, title: str) -> None:
    """Write a title as it stands: a name with dollar signs is no formula."""
    ax.set_title(title, loc="left", fontsize="medium", parse_math=False)
