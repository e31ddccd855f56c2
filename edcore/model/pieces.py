"""Learn samples that are not checked yet; an epoch and its mean error; features that are made a piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, Located, on_its_device, rows
from edcore.contract.steps import batches
from edcore.core.rule import MEAN, Rule, check_centred
from edcore.interrupts import uninterrupted
from edcore.model.callbacks import Callback, EpochRecord, any_stops
from edcore.model.learning import Fit, LearningNetwork
from edcore.model.rates import scaled
from edcore.model.sample_weights import checked_weights_of, factors_of, weighed

Numbers = npt.NDArray[np.intp]


def fit_samples(
    ed: LearningNetwork,
    x: Array,
    target: Array,
    *,
    epochs: int,
    callbacks: Sequence[Callback] = (),
    factor: Callable[[int, int], float] | None = None,
    **options: Any,
) -> None:
    """Check samples and learn them, with the arguments of `ED.fit`; `factor` is the schedule, checked."""
    with on_its_device(x):
        found, target, _ = ed._see(x, target).checked()
        if callbacks:  # which may change the user's arrays, and nobody would check them again
            found = found._replace(array=found.xp.asarray(found.array, copy=True))
            target = found.xp.asarray(target, copy=True)
            if (weight := options.get("sample_weight")) is not None:
                options["sample_weight"] = checked_weights_of(weight, found.array.shape[0]).copy()
    fit = _begin(ed, found, target, **options)
    if not callbacks and factor is None:
        fit.learn_all(epochs)
        return
    for number in range(epochs):
        if fit.rule is not ed.rule:  # a callback has set another
            before, fit = fit, _begin(ed, found, target, **options)
            fit.learning, fit.losses, fit.first = before.learning, before.losses, before.first
        if not fit.learning.any():
            break
        rule = ed.rule if factor is None else scaled(ed.rule, factor(number, fit.first))
        if not callbacks:
            fit.learn(1, rule)
            continue
        losses, learnt = fit.learn_epoch(rule), ed.epochs
        record = EpochRecord(fit.first, float(losses.mean()), ed=ed, losses=losses.copy(), rule=rule)
        if any_stops(callbacks, record):
            break
        if (ed.epochs != learnt).any():  # a callback has learnt, or has set them
            fit.first = int(ed.epochs.max())


def fit_epoch(
    ed: LearningNetwork,
    x: Array,
    target: Array,
    *,
    batch_size: int,
    shuffle: bool,
    sample_weight: npt.NDArray[np.float64] | None = None,
    rule: Rule | None = None,
) -> npt.NDArray[np.float64]:
    """Learn one epoch as `ED.fit` does, under this rule or else the network's.

    Returns each head's mean of abs(target − output) over the samples, by their weights, each as it was visited.
    """
    with on_its_device(x):
        found, target, _ = ed._see(x, target).checked()
    fit = _begin(ed, found, target, batch_size=batch_size, shuffle=shuffle, sample_weight=sample_weight)
    return fit.learn_epoch(rule)


def _begin(
    ed: LearningNetwork,
    x: Located,
    target: Array,
    *,
    batch_size: int,
    shuffle: bool,
    tolerance: float = 0.0,
    sample_weight: Array | None = None,
) -> Fit:
    """Return the fit of checked samples, by their weights under the network's rule."""
    with on_its_device(x.array):
        x, target, weights, scale = weighed(x, target, sample_weight, ed.rule, ed._network.dtype)
    check_centred(ed.rule, batch_size)
    return Fit(ed, x, target, batch_size, shuffle, tolerance / scale, weights)


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
    rule: Rule | None = None,
) -> npt.NDArray[np.float64]:
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
            Fit(ed, found, wanted, batch_size, False, weights=own).learn(1, rule, part)
            errors += part
        with uninterrupted():
            ed.epochs = before + 1  # each piece has counted as one
    except BaseException:
        with uninterrupted():
            ed.load_weights(start)
            ed.epochs = before
        raise
    return errors[0] / (total * ed.network.outputs)
