"""The training loop with nothing printed: what the command line shows, a program can follow as well."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edcore.arguments import whole_number
from edcore.core.randomness import permutation
from edcore.core.rule import check_centred
from edcore.datasets.catalogue import Dataset
from edcore.errors import DivergedError, InputError
from edcore.model.classes import accuracy, heads, targets
from edcore.model.ed import ED


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after one of its batches.

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
        Mean of |target − output| over this batch, before it was learnt.
    seconds : float
        Seconds spent in training up to the latest evaluation; the evaluations themselves are not counted.
    accuracy : float or None
        Share of the test samples that are told right; None where there was no evaluation after this batch.
    """

    epoch: int
    batch: int
    batches: int
    samples: int
    error: float
    seconds: float
    accuracy: float | None


def train(
    ed: ED,
    data: Dataset,
    *,
    epochs: int = 1,
    batch_size: int = 64,
    eval_every: int = 50,
    learnt: Sequence[Progress] = (),
) -> Iterator[Progress]:
    """Train a network on a data set, batch by batch, as the progress is asked for.

    The batches are those of `ED.fit`: each epoch has an order of its own, drawn from the network's seed.

    Parameters
    ----------
    ed : ED
        The network, with as many outputs as `heads` says.
    data : Dataset
        The data set.
    epochs : int
        Passes over the training samples, at least 1.
    batch_size : int
        Samples in a batch; the last one of an epoch may be smaller.
    eval_every : int
        Batches from one evaluation on the test samples to the next. There is always one after the last batch.
    learnt : sequence of Progress
        The batches that the network has learnt already, of a run with the same seed, data and batch size: the run goes
        on after them, to the same bits as if it had never stopped.

    Returns
    -------
    iterator of Progress
        One for each batch, once it has been learnt. Between two of them the network is that of whole batches.

    Raises
    ------
    InputError
        If an argument is not accepted.
    DivergedError
        If weights would be NaN or infinite, while the run goes on. Then the network is that of the batches before.

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
    eval_every = whole_number("eval_every", eval_every, 1)
    check_centred(ed.rule, batch_size)
    there = epochs * math.ceil(len(data.y_train) / batch_size)
    if len(learnt) > there:
        fix = "What has been learnt is not unlearnt."
        raise InputError("epochs", str(epochs), f"enough for the {len(learnt):,} batches learnt already", fix)
    return _run(ed, data, epochs, batch_size, eval_every, learnt)


def _run(
    ed: ED, data: Dataset, epochs: int, batch_size: int, eval_every: int, learnt: Sequence[Progress]
) -> Iterator[Progress]:
    target = targets(data.y_train, heads(len(data.classes)))
    batches = epochs * math.ceil(len(target) / batch_size)
    samples, seconds = (learnt[-1].samples, learnt[-1].seconds) if learnt else (0, 0.0)
    ed.predict(data.x_train[:1])  # now a backend is chosen and has its initial weights: that is no training
    start = time.perf_counter()
    to_learn = _batches(ed.seed, len(target), epochs, batch_size, len(learnt))
    in_epoch = math.ceil(len(target) / batch_size)
    for batch, (epoch, rows) in enumerate(to_learn, len(learnt) + 1):
        try:
            outputs = ed.step(data.x_train[rows], target[rows])
        except DivergedError as diverged:
            raise diverged.at(epoch, (batch - 1) % in_epoch + 1) from None
        samples += len(rows)
        reached = None
        # A clock that is read makes the device wait, so it is read no more often than needed.
        if evaluating := batch % eval_every == 0 or batch == batches:
            ed.synchronize()
            seconds += time.perf_counter() - start
            reached = accuracy(ed, data.x_test, data.y_test)
        error = float(abs(target[rows] - outputs).mean())
        yield Progress(epoch, batch, batches, samples, error, seconds, reached)
        if evaluating:
            start = time.perf_counter()


def _batches(
    seed: int, n: int, epochs: int, batch_size: int, learnt: int
) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Yield the epoch, from 1, and the rows of each batch that has not been learnt yet."""
    done, within = divmod(learnt, math.ceil(n / batch_size))
    for epoch in range(done, epochs):
        order = permutation(seed, epoch, n)
        for start in range(within * batch_size, n, batch_size):
            yield epoch + 1, order[start : start + batch_size]
        within = 0
