"""The training loop: it yields its progress after each batch and prints nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import whole_number, yes_or_no
from edcore.contract.compilation import clock
from edcore.core.randomness import permutation
from edcore.core.rule import check_centred
from edcore.datasets.catalogue import Dataset
from edcore.errors import DivergedError, InputError, shown
from edcore.model.classes import evaluate, heads, targets
from edcore.model.ed import ED, checked_ed
from edcore.model.rates import scaled

DECAY_STEPS = 100
"""Rules of a run whose rates fall: for each, the guard of the weights measures them anew."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come after one of its batches.

    Parameters
    ----------
    epoch : int
        The pass over the training samples, from 1.
    batch : int
        Batches learnt so far, over all epochs.
    batches : int
        Batches of the whole run.
    samples : int
        Samples learnt so far, over all epochs.
    error : float
        Mean of abs(target − output) over this batch, before the batch was learnt.
    seconds : float
        Seconds of training up to the latest evaluation, without the evaluations themselves.
    accuracy : float or None
        Share of the test samples whose class is predicted right; None if no evaluation followed this batch.
    bits : float or None
        Mean of −log₂ p over the test samples, for the probability p of a sample's class, such as the bits per character
        of a text; None if there was no evaluation, or the outputs are no probabilities (softmax).
    """

    epoch: int
    batch: int
    batches: int
    samples: int
    error: float
    seconds: float
    accuracy: float | None
    bits: float | None = None


def train(
    ed: ED,
    data: Dataset,
    *,
    epochs: int = 1,
    batch_size: int = 64,
    eval_every: int = 50,
    decay: bool = False,
    learnt: Sequence[Progress] = (),
) -> Iterator[Progress]:
    """Train a network on a data set. Each item of the iterator is computed when it is asked for.

    The batches are those of `ED.fit`: each epoch has its own order, drawn from the network's seed.

    Parameters
    ----------
    ed : ED
        The network, with one output for two classes, else, or with softmax, one output for each class.
    data : Dataset
        The data set.
    epochs : int
        Passes over the training samples, at least 1.
    batch_size : int
        Samples in a batch; the last one of an epoch may be smaller.
    eval_every : int
        Batches from one evaluation on the test samples to the next. The last batch is always followed by one.
    decay : bool
        Let both learning rates fall linearly over the run, in 100 steps to a hundredth. The rule of the network stays.
    learnt : sequence of Progress
        Progress of the batches that the network has learnt already, or of the latest of them alone, in a run with the
        same seed, data and batch size. The run goes on after it, to the same bits as if it had never stopped. With
        `decay`, that holds for the same number of epochs.

    Returns
    -------
    iterator of Progress
        One item for each batch, once it has been learnt. Between two items no batch is half learnt.

    Raises
    ------
    InputError
        If an argument is not accepted.
    DivergedError
        During the iteration, if weights would be NaN or infinite. The network keeps the weights of the batches before.

    Examples
    --------
    >>> import edcore
    >>> from edcore.training import train
    >>> data = edcore.datasets.load("digits", classes=(0, 1))
    >>> *_, last = train(edcore.ED(in_=data.features, seed=1), data, epochs=5, batch_size=4)
    >>> last.samples, last.accuracy > 0.95
    (1440, True)
    """
    epochs = whole_number("epochs", epochs, 1)
    batch_size = whole_number("batch_size", batch_size, 1)
    eval_every, decay = whole_number("eval_every", eval_every, 1), yes_or_no("decay", decay)
    check_centred(checked_ed(ed).rule, batch_size)
    if not isinstance(data, Dataset):
        raise InputError("data", type(data).__name__, "an edcore.datasets.Dataset(…)")
    # Checked once more, as its arrays may have changed. Samples are checked at each batch, and labels are kept.
    data = replace(data, y_train=data.y_train.copy(), y_test=data.y_test.copy())
    if not isinstance(learnt, Sequence) or not all(isinstance(progress, Progress) for progress in learnt[-1:]):
        raise InputError("learnt", shown(learnt), "a sequence of edcore.training.Progress, such as [latest]")
    latest = learnt[-1] if learnt else None
    fewest = math.ceil(latest.batch / math.ceil(len(data.y_train) / batch_size)) if latest else 1
    if latest and epochs < fewest:
        fix = f"The run has learnt {latest.batch:,} batches already, and cannot forget them."
        raise InputError("epochs", str(epochs), f"a whole number of at least {fewest:,}", fix)
    return _run(ed, data, epochs, batch_size, eval_every, decay, latest)


def _run(
    ed: ED, data: Dataset, epochs: int, batch_size: int, eval_every: int, decay: bool, latest: Progress | None
) -> Iterator[Progress]:
    outputs_of_all = heads(len(data.classes), ed.network.output_activation)
    n = len(data.y_train)
    batches_of_epoch = math.ceil(n / batch_size)
    batches = epochs * batches_of_epoch
    learnt, samples, seconds = (latest.batch, latest.samples, latest.seconds) if latest else (0, 0, 0.0)
    # The first prediction chooses the backend and gives it the initial weights, which is not training time.
    ed.bind(data.x_train[:1], min(batch_size, n))
    with np.errstate(all="ignore"):  # the first step finds an overflow, and says what helps
        ed.predict(data.x_train[:1])
    start = clock()
    remaining = _remaining(ed.seed, n, epochs, batch_size, learnt)
    for batch, (epoch, rows) in enumerate(remaining, learnt + 1):
        target = targets(data.y_train[rows], outputs_of_all)  # of a batch: those of a long text take much memory
        factor = 1 - (batch - 1) * DECAY_STEPS // batches / DECAY_STEPS if decay else 1.0
        try:
            outputs = _step(ed, data.x_train[rows], target, factor)
        except DivergedError as diverged:
            raise diverged.at(epoch, (batch - 1) % batches_of_epoch + 1) from None
        samples += len(rows)
        measured: tuple[float | None, float | None] = None, None
        # The clock is read only here: each reading must wait until the device has finished, which stalls it.
        if evaluating := batch % eval_every == 0 or batch == batches:
            ed.synchronize()
            seconds += clock() - start
            measured = evaluate(ed, data.x_test, data.y_test)
        error = float(abs(target - outputs).mean())
        yield Progress(epoch, batch, batches, samples, error, seconds, *measured)
        if evaluating:
            start = clock()


def _step(ed: ED, x: npt.NDArray[Any], target: npt.NDArray[Any], factor: float) -> npt.NDArray[Any]:
    """Learn a batch with both learning rates times a factor."""
    if factor == 1:
        return ed.step(x, target)
    rule = ed.rule
    ed.rule = scaled(rule, factor)
    try:
        return ed.step(x, target)
    finally:
        ed.rule = rule  # between two batches, a checkpoint is written


def _remaining(
    seed: int, n: int, epochs: int, batch_size: int, learnt: int
) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Yield the epoch, from 1, and the rows of each batch that has not been learnt yet."""
    first_epoch, first_batch = divmod(learnt, math.ceil(n / batch_size))
    for epoch in range(first_epoch, epochs):
        # The order depends on the seed and the epoch alone, so a resumed run needs no state of a random generator.
        order = permutation(seed, epoch, n)
        for start in range(first_batch * batch_size, n, batch_size):
            yield epoch + 1, order[start : start + batch_size]
        first_batch = 0
