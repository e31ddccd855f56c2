"""A figure that shows itself in a notebook, though pyplot does not know it."""

from __future__ import annotations

from matplotlib.figure import Figure

from edcore.plots.canvas import rendered


class ShownFigure(Figure):
    """A matplotlib figure with the picture that a notebook asks for."""

    def _repr_png_(self) -> bytes:
        return rendered(self, "png")
