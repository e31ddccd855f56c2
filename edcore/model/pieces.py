"""Learn samples that are not checked yet; an epoch and its mean error; features that are made a piece at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, on_its_device, rows
from edcore.contract.steps import batches
from edcore.core.rule import MEAN, check_centred
from edcore.interrupts import uninterrupted
from edcore.model.inputs import factors_of, weighed
from edcore.model.learning import LearningNetwork

Numbers = npt.NDArray[np.intp]


def fit_samples(
    ed: LearningNetwork,
    x: Array,
    target: Array,
    *,
    epochs: int,
    batch_size: int,
    shuffle: bool,
    tolerance: float = 0.0,
    sample_weight: Array | None = None,
    errors: npt.NDArray[np.float64] | None = None,
) -> float:
    """Check samples and learn them, with the arguments of `ED.fit`; return the sum of the weights that are in `errors`.

    These are (epochs, heads), and become the sums that `Schedule.errors` describes.
    """
    with on_its_device(x):
        found, target, _ = ed._see(x, target).checked()
        found, target, weights, scale = weighed(found, target, sample_weight, ed.rule, ed._network.dtype)
    check_centred(ed.rule, batch_size)
    ed._fit(found, target, epochs, batch_size, shuffle, tolerance / scale, weights, errors)
    return float(found.array.shape[0] if weights is None else weights.sum(dtype=np.float64))


def fit_epoch(
    ed: LearningNetwork,
    x: Array,
    target: Array,
    *,
    batch_size: int,
    shuffle: bool,
    sample_weight: npt.NDArray[np.float64] | None = None,
) -> float:
    """Learn one epoch as `ED.fit` does.

    Returns the mean of abs(target − output) over the samples, by their weights, each as it was visited.
    """
    errors = np.zeros((1, ed.network.heads))
    total = fit_samples(
        ed, x, target, epochs=1, batch_size=batch_size, shuffle=shuffle, sample_weight=sample_weight, errors=errors
    )
    return _mean(ed, errors, total)


def fit_in_pieces(
    ed: LearningNetwork,
    features: Callable[[Numbers], Array],
    target: Array,
    *,
    piece: int,
    batch_size: int,
    shuffle: bool,
    sample_weight: npt.NDArray[np.float64] | None = None,
    relative: bool = True,
) -> float:
    """Do the same for x of which `features(numbers)` returns these rows, about `piece` of them.

    Weights that are not relative are factors as they are, also under a rule of means. An epoch that raises is undone.
    """
    check_centred(ed.rule, batch_size)
    before, start, first = ed.epochs, ed.weights, int(ed.epochs.max())
    kept, factors = np.arange(target.shape[0]), None
    if sample_weight is not None:
        relative = relative and bool(MEAN[ed.rule.reduction])
        factors, _ = factors_of("sample_weight", sample_weight, ed.network.dtype, relative)
        kept = np.flatnonzero(factors)
    total = float(len(kept) if factors is None else factors.sum(dtype=np.float64))
    errors = np.zeros((1, ed.network.heads))
    order = kept[ed._orders(len(kept), first, first + 1, shuffle)[0]]
    try:
        for numbers in batches(order, max(1, piece // batch_size) * batch_size):  # whole batches
            x = features(numbers)
            with on_its_device(x):
                found, wanted, _ = ed._see(x, rows(target, numbers)).checked()
            own = None if factors is None or (factors == 1).all() else factors[numbers]
            part = np.zeros_like(errors)
            ed._fit(found, wanted, 1, batch_size, False, 0.0, own, part)
            errors += part
        with uninterrupted():
            ed.epochs = before + 1  # each piece has counted as one
    except BaseException:
        with uninterrupted():
            ed.load_weights(start)
            ed.epochs = before
        raise
    return _mean(ed, errors, total)


def _mean(ed: LearningNetwork, errors: npt.NDArray[np.float64], samples: float) -> float:
    return float(errors.sum()) / (samples * ed.network.columns)
