"""Animations: a network that learns, the broadcast of the error, the layers of a deep network; as GIF, MP4 or HTML."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections.abc import Callable
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edcore.arguments import checked_path, one_of, real, whole_number
from edcore.errors import EDCoreError, InputError
from edcore.files.atomic import write_atomically
from edcore.model.ed import ED, checked_ed
from edcore.plots import scenes
from edcore.plots.canvas import Picture, rendered
from edcore.plots.sample import checked_head

HOLD = 1500
"""Milliseconds for which the last frame stays, beyond its time, before the first comes again."""

PALETTE = 256
"""Colours of all frames together."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root { color-scheme: light dark }</style>
"""

WORDS = {
    "learning": "A network and its decision boundary while it learns, epoch by epoch",
    "broadcast": "One step: forward layer by layer, then the error, at all layers at once and by back-propagation",
    "layers": "The activities and the growth of all layers while the network learns, batch by batch",
}
"""What is to be seen, by kind."""


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
    words : str
        What is to be seen, for readers who do not see it.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> ed = edcore.ED(in_=2, hidden_width=1, hidden_depth=0, rule="split", seed=0)
    >>> plots.animate("broadcast", ed, [1, 0], 1).frames
    5
    """

    def __init__(
        self, figure: Picture, draw: Callable[[int], None], frames: int, fps: float, words: str = "Animation"
    ) -> None:
        self.figure, self.frames, self.fps, self.words = figure, frames, fps, words
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
            A name that ends in ``.gif``, in ``.html`` (a page with buttons to play, stop and step, which loads nothing
            from elsewhere), or in ``.mp4``.
        dpi : float
            Pixels an inch.

        Raises
        ------
        InputError
            If the name ends in something else.
        EDCoreError
            If it is an MP4, and the program ffmpeg is not installed.
        """
        path, dpi = checked_path("name", name), real("dpi", dpi, positive=True)
        ending = path.suffix.lower()
        if ending == ".html":
            head = f"{PAGE}<title>{escape(self.words)}</title>\n"
            write_atomically(path, (head + self._player(dpi)).encode())
        elif ending == ".gif":
            first, *others = self._images(dpi)
            pauses = [round(1000 / self.fps)] * self.frames
            pauses[-1] += HOLD
            style = {"save_all": True, "duration": pauses, "loop": 0, "optimize": True}
            file = io.BytesIO()
            first.save(file, format="gif", append_images=others, **style)
            write_atomically(path, file.getvalue())
        elif ending == ".mp4":
            self._save_film(path, dpi)
        else:
            raise InputError("name", repr(str(name)), "a file whose name ends in .gif, .html, .mp4")

    def _repr_html_(self) -> str:
        return self._player(80)

    def _player(self, dpi: float) -> str:
        """Return the frames and buttons as a part of a page."""
        files = []
        images = self._images(dpi)
        for image in images:
            file = io.BytesIO()
            image.save(file, format="png", optimize=True)
            files.append(base64.b64encode(file.getvalue()).decode())
        template = Template(resources.files("edcore.plots").joinpath("player.html").read_text(encoding="utf-8"))
        width, height = images[0].size
        return template.substitute(
            id="animation-" + hashlib.sha256("".join(files).encode()).hexdigest()[:12],
            alt=escape(self.words),
            width=width,
            height=height,
            last=self.frames - 1,
            frames=json.dumps(files),
            pause=round(1000 / self.fps),
            hold=HOLD,
        )

    def _images(self, dpi: float) -> list[Any]:
        """Return all frames as images with one palette, a third as large as with one for each."""
        from PIL import Image

        drawn = (io.BytesIO(rendered(self.draw(frame), "png", dpi)) for frame in range(self.frames))
        pages = [Image.open(file).convert("RGB") for file in drawn]
        sheet = Image.new("RGB", (pages[0].width, 3 * pages[0].height))
        for place, page in enumerate((pages[0], pages[len(pages) // 2], pages[-1])):
            sheet.paste(page, (0, place * page.height))
        palette = sheet.quantize(PALETTE, Image.Quantize.MAXCOVERAGE)  # colours of few pixels count too
        images = [page.quantize(palette=palette, dither=Image.Dither.NONE) for page in pages]
        colours = np.asarray(palette.getpalette() or [], np.uint8).reshape(-1, 3).copy()
        colours[np.bincount(np.asarray(images[0]).ravel()).argmax()] = 255  # the paper is white, and not nearly white
        for image in images:
            image.putpalette(colours.tobytes())
        return images

    def _save_film(self, path: Path, dpi: float) -> None:
        """Write an MP4."""
        from matplotlib.animation import FFMpegWriter, FuncAnimation

        if not FFMpegWriter.isAvailable():
            fix = "Install it, or save the animation as .gif or .html."
            raise EDCoreError(f"name: an MP4 is made by the program ffmpeg, which was not found. {fix}")
        # With an init_func of its own it draws no frame before the first.
        film = FuncAnimation(self.figure, self._draw, frames=self.frames, init_func=lambda: None)
        fps: Any = self.fps  # matplotlib takes a fraction too
        film.save(str(path), writer=FFMpegWriter(fps=fps), dpi=dpi)


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
    one_of("kind", kind, WORDS)
    head = checked_head(checked_ed(ed).network, head)
    batch_size, frames = whole_number("batch_size", batch_size, 1), whole_number("frames", frames, 2)
    fps = (1.0 if kind == "broadcast" else 10.0) if fps is None else real("fps", fps, positive=True)
    if kind == "broadcast":
        return Animation(*scenes.broadcast(ed, x, target, head), fps, WORDS[kind])
    epochs = (100 if kind == "learning" else 1) if epochs is None else whole_number("epochs", epochs, 1)
    scene = scenes.learning if kind == "learning" else scenes.deep_layers
    return Animation(*scene(ed, x, target, head, epochs, batch_size, frames), fps, WORDS[kind])
