"""The mistakes: images that were classified wrongly, each with its true and its predicted class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edcore.arguments import whole_number
from edcore.errors import InputError
from edcore.plots.canvas import ACTIVITY, Picture, axes_or_new, set_title
from edcore.plots.confusion import checked_classes, short
from edcore.plots.fields import image_shape

MOST_IMAGES = 40
"""Images that are drawn; of more mistakes, they are the first ones."""

GAP, CAPTION = 0.12, 0.26
"""Room between two images, and above each for its classes, as shares of its width."""

SHORT = 12
"""The most letters of two class names that stand in one line."""

SIDE = 0.85
"""The width of an image in inches."""


def mistakes(
    x: npt.ArrayLike,
    true: npt.ArrayLike,
    predicted: npt.ArrayLike,
    classes: Sequence[object] | None = None,
    shape: tuple[int, int] | None = None,
    ax: Picture | None = None,
) -> Picture:
    """Draw the images that were classified wrongly, each under its true and its predicted class.

    Parameters
    ----------
    x : array_like, shape (samples, features)
        The images, a row for each.
    true : array_like, shape (samples,)
        The class of each image: its label, or with `classes` its index in them.
    predicted : array_like, shape (samples,)
        The predicted class of each image, in the same way.
    classes : sequence, optional
        Names of the classes, as those of a `Dataset`. Left out, the labels that occur.
    shape : (int, int), optional
        Rows and columns of an image. Left out, a square one for 25, 36, 49, … features.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Left out, a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, with up to 40 images. If there is no mistake, it says so.

    Raises
    ------
    InputError
        If the three differ in length, are empty or not finite, the features are not an image, or the classes are
        outputs and not classes.
    EDCoreError
        If matplotlib is not installed.

    See Also
    --------
    confusion_matrix : How often each class was predicted as each other.

    Examples
    --------
    >>> import numpy as np
    >>> from edcore import plots
    >>> images = np.random.default_rng(0).random((4, 25))
    >>> figure = plots.mistakes(images, [0, 0, 1, 1], [0, 1, 1, 1], classes=("cat", "dog"))
    >>> figure.axes[0].get_title(loc="left")
    '1 of 4 wrong: true class → predicted class'
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['cat → dog']
    """
    images = np.asarray(x)
    if images.ndim != 2 or images.dtype.kind not in "biuf" or not np.isfinite(images).all():
        raise InputError("x", f"shape {images.shape}, dtype {images.dtype}", "finite images, shape (samples, features)")
    right, found, labels = checked_classes(true, predicted, classes)
    if len(images) != len(right):
        raise InputError("x", f"{len(images)} images", f"{len(right)}, as many as in true")
    rows, columns = _checked_shape(shape, images.shape[1])
    names = {
        label: short(name)
        for label, name in zip(labels.tolist(), labels.tolist() if classes is None else classes, strict=True)
    }
    wrong = np.flatnonzero(right != found)
    from matplotlib.patches import Rectangle

    drawn = wrong[:MOST_IMAGES]
    across = min(max(len(drawn), 4), 8)
    down = max(math.ceil(len(drawn) / across), 1)
    tall = rows / columns
    step = tall + GAP + CAPTION
    ax = axes_or_new(ax, (SIDE * across * (1 + GAP) + 0.2, SIDE * down * step + 0.4))
    ax.set_axis_off()
    if not len(wrong):
        ax.text(0.5, 0.5, f"No mistakes: all {len(right):,} are right.", ha="center", va="center", fontsize="large")
        set_title(ax, f"0 of {len(right):,} wrong")
        return ax.figure
    pairs = [(names[right[number].item()], names[found[number].item()]) for number in drawn]
    small = max(len(a) + len(b) for a, b in pairs) > SHORT
    style = {"ha": "center", "va": "bottom", "parse_math": False, "fontsize": 6 if small else 9}
    low, high = float(images[drawn].min()), float(images[drawn].max())
    for place, (image, pair) in enumerate(zip(images[drawn].reshape(-1, rows, columns), pairs, strict=True)):
        left, top = place % across * (1 + GAP), place // across * step
        extent = (left, left + 1, top + tall, top)
        ax.add_patch(Rectangle((left, top), 1, tall, fill=False, edgecolor="0.7", linewidth=0.8))
        ax.imshow(image, cmap=ACTIVITY, vmin=low, vmax=high, extent=extent, interpolation="nearest")
        ax.text(left + 0.5, top - 0.03, (" →\n" if small else " → ").join(pair), **style)
    ax.set_xlim(-GAP, across * (1 + GAP))
    ax.set_ylim(down * step - CAPTION, -CAPTION)
    part = "" if len(drawn) == len(wrong) else f", the first {len(drawn)}"
    set_title(ax, f"{len(wrong):,} of {len(right):,} wrong{part}: true class → predicted class")
    return ax.figure


def _checked_shape(shape: tuple[int, int] | None, features: int) -> tuple[int, int]:
    if shape is None:
        if (guess := image_shape(features)) is None:
            fix = "Give shape=(rows, columns)."
            raise InputError("x", f"{features} features", "square images of 5 × 5 pixels or more", fix)
        return guess
    try:
        rows, columns = (whole_number("shape", side, 1) for side in shape)
    except (TypeError, ValueError):
        rows = columns = 0
    if rows * columns != features:
        raise InputError("shape", repr(shape), f"(rows, columns) of {features} features")
    return rows, columns
