"""The learning curve: error and accuracy over the batches of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.errors import InputError
from edcore.model.history import History as EpochHistory
from edcore.plots.canvas import COLOURS, Picture, axes_or_new, set_title
from edcore.training.history import History
from edcore.training.loop import Progress

Floats: TypeAlias = npt.NDArray[np.float64]

SMOOTHED = 50
"""The error is smoothed over one in this number of the run's batches."""

POINTS = 1000
"""Above this number of batches the raw errors are a band; a point of it spans four or more batches."""

FEW = 40
"""Up to this number of evaluations each has a marker."""

MEASURE = "(mean |target − output|)"

NAMES = "batches learnt", f"error {MEASURE}"
ACCURACIES, BITS = "accuracy on test samples", "bits on test samples"
"""What is drawn of a run: bits, where its outputs are probabilities, else accuracies."""

UNITS = {"batches": "batch", "epochs": "epoch"}

ACCURACY = "_accuracy"
"""The end of a column's name in the history of a fit."""

LEAST_SPAN = 0.1
"""The least span of an accuracy axis, so that small differences do not look large."""


class Curve(NamedTuple):
    """The points of both curves, and their names. A point of the error may stand for several batches."""

    x: Floats  # the last batch of each point
    error: Floats  # the mean
    least: Floats
    largest: Floats
    ends: npt.NDArray[np.intp]  # how many batches there are up to the end of each point
    scored: Floats  # the x of each score
    score: Floats
    unit: str
    error_name: str
    score_name: str


def learning_curve(run: Iterable[Progress] | History | EpochHistory | Any, ax: Picture | None = None) -> Picture:
    """Draw the error and the accuracy over the batches of a run, or over the epochs of a fit.

    Where outputs are probabilities (softmax), the bits of `Progress.bits` stand in place of the accuracy.

    Parameters
    ----------
    run : iterable of Progress, History, or estimator
        The items that `edcore.training.train` yields, also those of a resumed run after the first ones. Or the
        `edcore.training.History` of a run. Or the `edcore.History` of `ED.fit`, with the accuracy on the samples that
        it names last. Or a fitted estimator with ``loss_curve_``, one loss for each epoch, and perhaps as many
        ``validation_scores_``.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Left out, a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    InputError
        If the run has no batch, or is neither a run nor an estimator.
    EDCoreError
        If matplotlib is not installed.

    Notes
    -----
    From 50 batches on, the error is also drawn as its mean over the batches around, a fiftieth of the run. Of more than
    1000 batches the raw errors are a band, from the least to the largest of at least four neighbouring batches.

    Examples
    --------
    >>> import edcore
    >>> from edcore import plots
    >>> from edcore.training import train
    >>> data = edcore.datasets.digits(classes=(0, 1))
    >>> figure = plots.learning_curve(train(edcore.ED(in_=64, seed=0), data, epochs=5))
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['error (mean |target − output|)', 'accuracy on test samples']
    """
    curve = curve_of(run)
    ax = axes_or_new(ax, (7, 4.2))
    lines = _draw_error(ax, curve)
    ax.set_xlabel(curve.unit)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_ylabel(curve.error_name, color=COLOURS[0])
    ax.set_ylim(bottom=0)
    ax.spines[["top"]].set_visible(False)
    ax.grid(alpha=0.25)
    if len(curve.score):
        lines.append(_draw_score(ax.twinx(), curve))
    # Below the axes, where the legend hides no curve.
    ax.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize="small", frameon=False)
    set_title(ax, "Learning curve")
    return ax.figure


def curve_of(run: Any, name: str = "run") -> Curve:
    """Return the points of a run, a history or a fitted estimator; `name` stands in errors."""
    if isinstance(run, History):
        return _of_history(run, name)
    if isinstance(run, EpochHistory):
        return _of_epochs(run, name)
    return _of_estimator(run, name) if hasattr(run, "loss_curve_") else _of_progress(run, name)


def _of_progress(run: Any, name: str) -> Curve:
    try:
        entries = list(run)
        numbers = np.array([entry.batch for entry in entries], float)
        error = np.array([entry.error for entry in entries], float)
        places = [place for place, entry in enumerate(entries) if entry.accuracy is not None]
        score, score_name = scores_of([entries[place] for place in places])
    except (TypeError, AttributeError):
        accepted = "a sequence of edcore.training.Progress, or a History, or a fitted estimator with loss_curve_"
        raise InputError(name, type(run).__name__, accepted, "Collect it: run = list(train(ed, data)).") from None
    _check_any(entries, name)
    # A run that counts from 1 again goes on where the one before ended.
    steps = np.diff(numbers, prepend=0.0)
    x = np.cumsum(np.where(steps > 0, steps, numbers))
    ends = np.arange(1, len(x) + 1)
    return Curve(x, error, error, error, ends, x[places], score, *NAMES, score_name)


def scores_of(evaluations: Sequence[Progress]) -> tuple[Floats, str]:
    """Return the scores of evaluations, and their name: bits if all have them, else accuracies."""
    bits = [entry.bits for entry in evaluations]
    if bits and None not in bits:
        return np.array(bits, float), BITS
    return np.array([entry.accuracy for entry in evaluations], float), ACCURACIES


def _of_history(run: History, name: str) -> Curve:
    _check_any(run, name)
    scored = np.array([entry.batch for entry in run.evaluations], float)
    score, score_name = scores_of(run.evaluations)
    mean, least, largest = run.errors.T
    before = run.latest.batch - len(run) if run.latest else 0  # a history may begin with a resumed run
    return Curve((run.ends + before).astype(float), mean, least, largest, run.ends, scored, score, *NAMES, score_name)


def _of_epochs(run: EpochHistory, name: str) -> Curve:
    if not len(run):
        raise InputError(
            name, "a History of no epoch", "at least one epoch", "Call ed.fit(…, callbacks=history) first."
        )
    x, error = np.array(run["epoch"], float), np.array(run["loss"], float)
    ends = np.arange(1, len(x) + 1)
    column = next((column for column in reversed(run.columns) if column.endswith(ACCURACY)), None)
    score = np.array([] if column is None else run[column], float)
    score_name = f"accuracy on {column.removesuffix(ACCURACY)} samples" if column else ACCURACIES
    return Curve(x, error, error, error, ends, x[: len(score)], score, "epochs", f"loss {MEASURE}", score_name)


def _check_any(run: Sized, name: str) -> None:
    if not len(run):
        raise InputError(name, "no batch", "at least one edcore.training.Progress", "Train first.")


def _of_estimator(estimator: Any, name: str) -> Curve:
    error = np.asarray(estimator.loss_curve_, float)
    if error.ndim != 1 or not len(error):
        raise InputError(name, f"an estimator whose loss_curve_ has shape {error.shape}", "one loss for each epoch")
    kept = getattr(estimator, "validation_scores_", None)
    score = np.asarray([] if kept is None else kept, float)
    if len(score) not in (0, len(error)):
        given = f"an estimator with {len(error)} losses and {len(score)} validation scores"
        raise InputError(name, given, "one of each for each epoch")
    x = np.arange(1.0, len(error) + 1)
    ends = np.arange(1, len(x) + 1)
    return Curve(x, error, error, error, ends, x[: len(score)], score, "epochs", "loss", "validation score")


def _draw_error(ax: Picture, curve: Curve) -> list[Any]:
    n, known = int(curve.ends[-1]), _finite(curve.error)
    half = n // (2 * SMOOTHED)
    name, unit = curve.error_name.partition(" ")[0], curve.unit.partition(" ")[0]
    if not half:
        return ax.plot(curve.x, known, color=COLOURS[0], marker="." if n <= FEW else None, label=name)
    if n <= POINTS:
        raw = ax.plot(curve.x, known, color=COLOURS[0], alpha=0.3, linewidth=0.8, label=f"{name} of each {UNITS[unit]}")
    else:
        starts = np.linspace(0, n, min(n // 4, POINTS), endpoint=False).astype(int)
        points = np.unique(np.searchsorted(curve.ends, starts, side="right"))  # those with these batches
        low, high = np.fmin.reduceat(_finite(curve.least), points), np.fmax.reduceat(_finite(curve.largest), points)
        style = {"color": COLOURS[0], "alpha": 0.25, "linewidth": 0}
        x = _x_of(curve, np.append(0, curve.ends)[points])
        raw = [ax.fill_between(x, low, high, **style, label=f"{name}, least to largest")]
    label = f"mean over {2 * half + 1:,} {unit}"
    return [*raw, *ax.plot(*smooth_error(curve), color=COLOURS[0], linewidth=2, label=label)]


def smooth_error(curve: Curve) -> tuple[Floats, Floats]:
    """Return x and the error, as its mean over a fiftieth of the run around each of up to a thousand batches."""
    n = int(curve.ends[-1])
    picked = np.unique(np.linspace(0, n - 1, POINTS).astype(int))
    return _x_of(curve, picked), _smoothed(curve, picked, n // (2 * SMOOTHED))


def _draw_score(ax: Picture, curve: Curve) -> Any:
    marker = "o" if len(curve.score) <= FEW else None
    (line,) = ax.plot(
        curve.scored, curve.score, color=COLOURS[5], linestyle="--", marker=marker, markersize=4, label=curve.score_name
    )
    ax.set_ylabel(curve.score_name, color=COLOURS[5])
    ax.spines[["top"]].set_visible(False)
    if curve.score_name.startswith("accuracy"):
        accuracy_axis(ax, curve.score)
    return line


def accuracy_axis(ax: Picture, shares: Floats) -> None:
    """Let the axis of accuracies be in percent, and wide enough that small differences do not look large."""
    low, high = np.nanmin(shares), np.nanmax(shares)
    low, high = min(low, high - LEAST_SPAN), max(high, low + LEAST_SPAN)
    margin = 0.05 * (high - low)
    ax.set_ylim(max(low, 0) - margin, min(high, 1) + margin)
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %" if 0 <= share <= 1 else "")


def _x_of(curve: Curve, batches: npt.NDArray[np.intp]) -> Floats:
    """Return where these batches, counted from 0, are drawn."""
    start = curve.x[0] - curve.ends[0]
    return np.interp(batches + 1, np.append(0, curve.ends), np.append(start, curve.x))


def _smoothed(curve: Curve, batches: npt.NDArray[np.intp], half: int) -> Floats:
    """Return the mean error over `half` batches on each side of each of these; NaN and infinity are left out."""
    there, sizes = np.isfinite(curve.error), np.diff(curve.ends, prepend=0)
    ends = np.append(0, curve.ends)
    total = np.append(0.0, np.cumsum(np.where(there, curve.error, 0.0) * sizes))
    count = np.append(0, np.cumsum(there * sizes))
    start, stop = np.maximum(batches - half, 0), np.minimum(batches + half + 1, ends[-1])
    # Within a point that stands for several batches, each of them counts as its mean.
    found = np.interp(stop, ends, count) - np.interp(start, ends, count)
    added = np.interp(stop, ends, total) - np.interp(start, ends, total)
    return np.where(found > 0, added / np.maximum(found, 1), np.nan)


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)
