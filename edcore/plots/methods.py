"""A comparison of methods: the value of each seed, means and intervals."""

from __future__ import annotations

from edcore.comparison.result import Comparison
from edcore.errors import InputError, printable
from edcore.plots.canvas import METHODS, Picture, axes_or_new, method_styles, set_title

SPREAD = 0.16
"""Half the height over which the values of a method are spread, in rows."""


def scores(comparison: Comparison, ax: Picture | None = None) -> Picture:
    """Draw a comparison: for each method the value of each seed, and the mean with its interval of 95 %.

    Parameters
    ----------
    comparison : Comparison
        What `edcore.compare` has returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Left out, a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. A line stands at the mean of the first method. Two intervals that overlap do not say that two
        methods are equal: seeds are pairs, and the table of the comparison has the intervals of their differences.

    Raises
    ------
    InputError
        If `comparison` is none.
    EDCoreError
        If matplotlib is not installed.

    Examples
    --------
    >>> import edcore
    >>> data = edcore.datasets.digits(classes=(3, 8))
    >>> found = edcore.compare(data.x_train, data.y_train, methods=["ED", "linear"], seeds=3, epochs=5, trials=1)
    >>> figure = edcore.plots.scores(found)
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['ED', 'logistic regression']
    """
    if not isinstance(comparison, Comparison):
        raise InputError("comparison", type(comparison).__name__, "what edcore.compare has returned")
    names = [one.method for one in comparison.scores]
    ax = axes_or_new(ax, (6.8, 1.3 + 0.34 * len(names)))
    factor = 100 if comparison.task == "classification" else 1
    styles = method_styles(names)
    for row, one in enumerate(comparison.scores):
        values = [factor * value for value in one.found]
        places = [row + SPREAD * (n % 3 - 1) for n in range(len(values))]  # apart, as values may be equal
        ax.plot(values, places, ".", color="0.72", markersize=4, zorder=1)
        mean = comparison.mean(one.method)
        if mean is not None:
            half = None if mean.half is None else factor * mean.half
            style = styles[one.method]
            if one.method.startswith("ED "):
                style = style | {"color": METHODS["ED"]}
            ax.errorbar(factor * mean.value, row, xerr=half, capsize=3, markersize=6, linewidth=1.6, zorder=3, **style)
    first = comparison.mean(names[0])
    if first is not None:
        ax.axvline(factor * first.value, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
    ax.set_yticks(range(len(names)), [printable(name) for name in names], parse_math=False)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel(f"{comparison.measure}{' (%)' if factor == 100 else ''} on test samples")
    ax.grid(axis="x", alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    count = len(comparison.seeds)
    quick = ", a quick look" if comparison.quick else ""
    title = f"{comparison.name or 'methods'}: {count} seed{'s' * (count != 1)}, means and 95 %{quick}"
    set_title(ax, title)
    return ax.figure
