"""The outputs: how far a network tells the classes apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, to_numpy
from edcore.errors import InputError
from edcore.model.classes import predict_in_parts
from edcore.model.ed import ED, checked_ed
from edcore.model.inputs import checked_x
from edcore.plots.canvas import Picture, axes_or_new, class_colours, set_title
from edcore.plots.confusion import short
from edcore.plots.layers import draw_histograms

OTHERS = "0.55"
"""The colour of the samples of the other classes."""


def outputs(
    ed: ED, x: Array, y: npt.ArrayLike, classes: Sequence[object] | None = None, ax: Picture | None = None
) -> Picture:
    """Draw how the outputs are spread, for the samples of each class.

    Parameters
    ----------
    ed : ED
        A network for classes.
    x : array, shape (samples, in_)
        The samples, as for `ED.predict`.
    y : array_like of int, shape (samples,)
        Their classes: 0 or 1 for one output, else the number of the class's output.
    classes : sequence, optional
        Names of the classes, as those of a `Dataset`. Left out, their numbers.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Left out, a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, with a row for each class, in its colour. With one output, a row shows the output for the samples of
        the class; left of the line at one half, class 0 is predicted. With several outputs, a row shows the output that
        stands for the class: for its samples in colour, for all others in grey. Each row has its own scale.

    Raises
    ------
    InputError
        If x, y or classes do not fit.
    EDCoreError
        If matplotlib is not installed.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> data = edcore.datasets.digits(classes=(0, 1))
    >>> ed = edcore.ED(in_=64, seed=0).fit(data.x_train, data.y_train, epochs=5)
    >>> figure = plots.outputs(ed, data.x_test, data.y_test, data.classes)
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['0', '1']
    """
    network = checked_ed(ed).network
    n = max(network.columns, 2)
    x = checked_x(x, network, True, None).array
    label = np.asarray(y)
    if label.shape != (x.shape[0],) or not len(label) or label.dtype.kind not in "biu":
        given = f"shape {label.shape}, dtype {label.dtype}"
        raise InputError("y", given, f"whole numbers, shape ({x.shape[0]},), one class for each sample of x")
    if label.min() < 0 or label.max() >= n:
        raise InputError("y", f"classes {label.min()} to {label.max()}", f"0 to {n - 1}, as there are {n} classes")
    if classes is not None and len(classes) != n:
        raise InputError("classes", f"{len(classes)} names", f"{n}, one for each class")
    found = to_numpy(predict_in_parts(ed, x)).astype(np.float64)
    colours = class_colours(n)
    names = [short(name) for name in (range(n) if classes is None else classes)]
    ax = axes_or_new(ax, (6.5, 1.2 + 0.42 * n))
    if found.ndim == 1:
        draw_histograms(ax, names, [[found[label == k]] for k in range(n)], [[colour] for colour in colours])
        ax.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
        ax.set_xlabel("output (below the line at 0.5 the class of the upper row is predicted)")
    else:
        values = [[found[label != k, k], found[label == k, k]] for k in range(n)]
        draw_histograms(ax, names, values, [[OTHERS, colour] for colour in colours])
        ax.set_xlabel("output of the class (grey: for samples of the other classes)")
    set_title(ax, f"Outputs for {len(label):,} samples, a row for each true class")
    return ax.figure
