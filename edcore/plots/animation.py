"""Animations: a network that learns, the broadcast of the error, the layers of a deep network; as GIF, MP4 or HTML."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edcore.arguments import one_of, real, whole_number
from edcore.errors import EDCoreError, InputError
from edcore.model.ed import ED, checked_ed
from edcore.plots import scenes
from edcore.plots.canvas import Picture, rendered
from edcore.plots.sample import checked_head

KINDS = ("learning", "broadcast", "layers")

HOLD = 1.5
"""Seconds for which the last frame of a GIF stays, beyond its time, before the first comes again."""

GIF_COLOURS = 128


class Animation:
    """Frames of a figure, drawn one after the other. `animate` makes them.

    In a notebook it shows itself, with buttons to play, stop and step.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What is drawn on.
    draw : function of int
        Draws the frame of that number on the figure, and nothing of the frames before.
    frames : int
        The number of frames.
    fps : float
        Frames a second.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> ed = edcore.ED(in_=2, hidden_width=1, hidden_depth=0, rule="split", seed=0)
    >>> plots.animate("broadcast", ed, [1, 0], 1).frames
    5
    """

    def __init__(self, figure: Picture, draw: Callable[[int], None], frames: int, fps: float) -> None:
        self.figure, self.frames, self.fps = figure, frames, fps
        self._draw = draw

    def draw(self, frame: int) -> Picture:
        """Draw one frame, and return the figure.

        Parameters
        ----------
        frame : int
            Its number, from 0; −1 is the last.

        Returns
        -------
        matplotlib.figure.Figure
            The figure, which shows itself in a notebook and saves itself by `savefig`.
        """
        self._draw(range(self.frames)[frame])
        return self.figure

    def save(self, name: str | os.PathLike[str], *, dpi: float = 100) -> None:
        """Write the animation to a file, in place of one that is there.

        Parameters
        ----------
        name : str or path
            A name that ends in ``.gif``, in ``.html`` (a page with buttons to play, stop and step), or in ``.mp4``.
        dpi : float
            Pixels an inch.

        Raises
        ------
        InputError
            If the name ends in something else.
        EDCoreError
            If it is an MP4, and the program ffmpeg is not installed.
        """
        from matplotlib import animation

        ending, dpi = Path(name).suffix.lower(), real("dpi", dpi, positive=True)
        if ending not in (".gif", ".html", ".mp4"):
            raise InputError("name", repr(str(name)), "a file whose name ends in .gif, .html, .mp4")
        if ending == ".html":
            Path(name).write_text(self._html(dpi), encoding="utf-8")
            return
        if ending == ".gif":
            self._save_gif(name, dpi)
            return
        if not animation.FFMpegWriter.isAvailable():
            fix = "Install it, or save the animation as .gif or .html."
            raise EDCoreError(f"name: an MP4 is made by the program ffmpeg, which was not found. {fix}")
        fps: Any = self.fps  # matplotlib takes a fraction too
        self._film().save(str(name), writer=animation.FFMpegWriter(fps=fps), dpi=dpi)

    def _save_gif(self, name: str | os.PathLike[str], dpi: float) -> None:
        """Write a GIF whose frames share one palette, a third as large as with one for each."""
        from PIL import Image

        pages = [
            Image.open(io.BytesIO(rendered(self.draw(frame), "png", dpi))).convert("RGB")
            for frame in range(self.frames)
        ]
        sheet = Image.new("RGB", (pages[0].width, 3 * pages[0].height))
        for place, page in enumerate((pages[0], pages[len(pages) // 2], pages[-1])):
            sheet.paste(page, (0, place * page.height))
        palette = sheet.quantize(GIF_COLOURS)
        images = [page.quantize(palette=palette, dither=Image.Dither.NONE) for page in pages]
        colours = np.asarray(palette.getpalette() or [], np.uint8).reshape(-1, 3).copy()
        colours[np.bincount(np.asarray(images[0]).ravel()).argmax()] = 255  # the paper is white, and not nearly white
        for image in images:
            image.putpalette(colours.tobytes())
        pauses = [round(1000 / self.fps)] * self.frames
        pauses[-1] += round(1000 * HOLD)
        images[0].save(name, save_all=True, append_images=images[1:], duration=pauses, loop=0, optimize=True)

    def _repr_html_(self) -> str:
        return self._html(80)

    def _html(self, dpi: float) -> str:
        import matplotlib

        with matplotlib.rc_context({"savefig.dpi": dpi, "animation.embed_limit": 200}):
            return str(self._film().to_jshtml(fps=self.fps))

    def _film(self) -> Any:
        """Return matplotlib's animation: it warns if it is made and never shown, so there is none before."""
        from matplotlib.animation import FuncAnimation

        # With an init_func of its own it draws no frame before the first.
        return FuncAnimation(self.figure, self._draw, frames=self.frames, init_func=lambda: None)


def animate(
    kind: Literal["learning", "broadcast", "layers"],
    ed: ED,
    x: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    epochs: int | None = None,
    batch_size: int = 64,
    frames: int = 60,
    fps: float | None = None,
    head: int = 0,
) -> Animation:
    """Make an animation of a network: how it learns, how the error reaches its layers, or how deep layers change.

    Parameters
    ----------
    kind : {"learning", "broadcast", "layers"}
        ``"learning"``: the drawing of a small network with 2 inputs, and its decision boundary, while it learns.
        ``"broadcast"``: one step of a small network. The sample goes forward, layer by layer; then the error reaches
        all layers at once, or by back-propagation one after the other. ``"layers"``: the activities and the growth of
        the layers of a network of any depth, while it learns.
    ed : ED
        The network. It is left as it is: a copy learns.
    x : array_like, shape (samples, in_)
        The samples; for ``"broadcast"`` one, of shape (in_,) or (1, in_).
    target : array_like, shape (samples,) for one output, else (samples, columns)
        What the outputs should be; for ``"broadcast"`` those of one sample.
    epochs : int, optional
        Passes over the samples, as `ED.fit` makes them. Left out, 100 for ``"learning"`` and 1 for ``"layers"``.
    batch_size : int
        Samples in a batch.
    frames : int
        The most frames, at least 2: of longer runs they are picked at even distances, the first and the last among
        them. The frames of ``"broadcast"`` are as many as it has steps.
    fps : float, optional
        Frames a second. Left out, 10, and 1 for ``"broadcast"``.
    head : int
        Which of the independent networks is drawn.

    Returns
    -------
    Animation
        It shows itself in a notebook; ``.save("name.gif")`` writes it, or ``.html``, or ``.mp4``.

    Raises
    ------
    InputError
        If the kind is not known, the network is too large for its drawing, or x or target do not fit.
    EDCoreError
        If matplotlib is not installed.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> data = edcore.datasets.xor()
    >>> ed = edcore.ED(in_=2, hidden_width=4, hidden_depth=0, rule="split", seed=1)
    >>> xor = plots.animate("learning", ed, data.x_train, data.y_train, epochs=300)
    >>> xor.frames
    60
    >>> xor.draw(-1).axes[1].get_title(loc="left")
    'Epoch 300: error 0.02'
    """
    one_of("kind", kind, KINDS)
    head = checked_head(checked_ed(ed).network, head)
    batch_size, frames = whole_number("batch_size", batch_size, 1), whole_number("frames", frames, 2)
    fps = (1.0 if kind == "broadcast" else 10.0) if fps is None else real("fps", fps, positive=True)
    if kind == "broadcast":
        return Animation(*scenes.broadcast(ed, x, target, head), fps)
    epochs = (100 if kind == "learning" else 1) if epochs is None else whole_number("epochs", epochs, 1)
    scene = scenes.learning if kind == "learning" else scenes.deep_layers
    return Animation(*scene(ed, x, target, head, epochs, batch_size, frames), fps)
