"""The training loop with nothing printed: what the command line shows, a program can follow as well."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.datasets import Dataset
from edcore.ed import ED
from edcore.errors import DivergedError, InputError
from edcore.randomness import permutation
from edcore.rule import check_centred
from edcore.values import whole_number

__all__ = ["Progress", "accuracy", "heads", "targets", "told", "train"]

ROWS_AT_ONCE = 1024  # a test set is predicted in parts, so that its size does not show in memory


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


def heads(classes: int) -> int:
    """Return how many outputs tell this many classes apart: one tells two, and beyond that each class has its own.

    They are heads, or under the modulo rule the outputs of one network.

    Parameters
    ----------
    classes : int
        Number of classes.

    Returns
    -------
    int
        Number of outputs.

    Examples
    --------
    >>> from edcore.training import heads
    >>> heads(2), heads(3)
    (1, 3)
    """
    return 1 if classes == 2 else classes


def targets(y: npt.NDArray[np.int64], heads: int) -> npt.NDArray[Any]:
    """Return what the heads should put out for these classes.

    Parameters
    ----------
    y : ndarray of int64, shape (samples,)
        Index of each sample's class.
    heads : int
        Number of heads.

    Returns
    -------
    ndarray, shape (samples,) for one head, else (samples, heads)
        The class itself, 0 or 1, for one head; else 1 for the head of the class and 0 for the others.

    Examples
    --------
    >>> import numpy as np
    >>> from edcore.training import targets
    >>> targets(np.array([0, 2]), 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return y if heads == 1 else np.eye(heads)[y]


def told(outputs: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the index of the class that outputs tell of each sample.

    Parameters
    ----------
    outputs : ndarray, shape (samples,) for two classes, else (samples, classes)
        Outputs, or targets.

    Returns
    -------
    ndarray of intp, shape (samples,)
        1 where one output is above one half, else 0; of several outputs the largest one.

    Examples
    --------
    >>> import numpy as np
    >>> from edcore.training import told
    >>> told(np.array([0.2, 0.9])).tolist(), told(np.array([[0.1, 0.3, 0.2]])).tolist()
    ([0, 1], [1])
    """
    return (outputs > 0.5).astype(np.intp) if outputs.ndim == 1 else outputs.argmax(axis=1)


def accuracy(ed: ED, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> float:
    """Return the share of samples whose class the network tells right.

    Parameters
    ----------
    ed : ED
        The network. Its outputs tell a class as `told` has it.
    x : ndarray, shape (samples, features)
        The samples.
    y : ndarray of int64, shape (samples,)
        Index of each sample's class.

    Returns
    -------
    float
        Between 0 and 1.
    """
    right = 0
    for start in range(0, len(x), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        right += int((told(ed.predict(x[rows])) == y[rows]).sum())
    return right / len(x)


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
