"""One epoch of samples whose features are made a piece at a time, so that memory holds no more than a piece."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, on_its_device, rows
from edcore.contract.steps import batches
from edcore.core.rule import MEAN, check_centred
from edcore.interrupts import uninterrupted
from edcore.model.ed import ED
from edcore.model.inputs import factors_of

Numbers = npt.NDArray[np.intp]


def fit_in_pieces(
    ed: ED,
    features: Callable[[Numbers], Array],
    target: Array,
    *,
    piece: int,
    batch_size: int,
    shuffle: bool,
    sample_weight: npt.NDArray[np.float64] | None = None,
    relative: bool = True,
) -> None:
    """Learn one epoch as `ED.fit` does; `features(numbers)` returns x for these rows of the target, about `piece`.

    Weights that are not relative are factors as they are, also under a rule of means. An epoch that raises is undone.
    """
    check_centred(ed.rule, batch_size)
    before, start, first = ed.epochs, ed.weights, int(ed.epochs.max())
    kept, factors = np.arange(target.shape[0]), None
    if sample_weight is not None:
        relative = relative and bool(MEAN[ed.rule.reduction])
        factors, _ = factors_of("sample_weight", sample_weight, ed.network.dtype, relative)
        kept = np.flatnonzero(factors)
    order = kept[ed._orders(len(kept), first, first + 1, shuffle)[0]]
    try:
        for numbers in batches(order, max(1, piece // batch_size) * batch_size):  # whole batches
            x = features(numbers)
            with on_its_device(x):
                found, wanted, _ = ed._see(x, rows(target, numbers)).checked()
            own = None if factors is None or (factors == 1).all() else factors[numbers]
            ed._fit(found, wanted, 1, batch_size, False, 0.0, own)
        with uninterrupted():
            ed.epochs = before + 1  # each piece has counted as one
    except BaseException:
        with uninterrupted():
            ed.load_weights(start)
            ed.epochs = before
        raise
