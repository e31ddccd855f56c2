"""Training from arrays larger than memory: a memmap, a Zarr or Dask array, an h5py dataset.

They are read a part at a time, by a thread of its own, while the network learns what was read before. Memory follows
from the parts, not from the number of samples.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from edcore.arguments import whole_number, yes_or_no
from edcore.core.network import Network
from edcore.core.rule import check_centred
from edcore.errors import EDCoreError, InputError
from edcore.model.classes import ROWS_AT_ONCE
from edcore.model.ed import ED
from edcore.streaming.pieces import Block, Pair, Transform, blocks, borders, check_rows

BUFFER = 2**25
"""Bytes of a buffer, in the network's dtype, where no buffer_size is given."""

ORDER = 32
"""Bytes that the order of a row takes while a buffer is mixed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands after a block of batches.

    Parameters
    ----------
    epoch : int
        The pass over the samples that is being learnt, from 1, as `ED.epochs` will count it.
    batch : int
        Batches of this epoch learnt so far.
    batches : int
        Batches of an epoch.
    """

    epoch: int
    batch: int
    batches: int


def train(
    ed: ED,
    x: Any,
    target: Any,
    *,
    epochs: int = 1,
    batch_size: int = 64,
    shuffle: bool = True,
    transform: Transform | None = None,
    target_transform: Transform | None = None,
    buffer_size: int | None = None,
    prefetch: int = 2,
    after: Progress | None = None,
) -> Iterator[Progress]:
    """Learn samples from arrays that need not fit into memory, block by block, as the progress is asked for.

    Parameters
    ----------
    ed : ED
        The network.
    x : array, shape (samples, …)
        What has ``shape`` and ``dtype``, and rows that ``x[start:stop]`` reads: a `numpy.memmap`, an array of Zarr or
        Dask, an h5py dataset.
    target : array, shape (samples, …)
        What the outputs should be; likewise.
    epochs : int
        Passes over the samples.
    batch_size : int
        Samples in a batch; the last one of an epoch may be smaller.
    shuffle : bool
        Visit the samples in an order of each epoch's own, drawn from the seed: pieces of x in a random order, and the
        rows in a buffer of several pieces in a random order.
    transform, target_transform : callable, optional
        Called with each part that is read, as a NumPy array of consecutive rows, in a thread of its own. It returns
        what stands in their place, row by row: (rows, in_) for x; (rows,) or (rows, columns) for target.
    buffer_size : int, optional
        Rows that are mixed together, and learnt in one call of `ED.fit`; never less than a chunk of x. Left out, as
        many as take 32 MiB.
    prefetch : int
        Buffers that are read ahead. With 0 there is no thread, and reading and learning take turns.
    after : Progress, optional
        Where an earlier call stood when it ended: this one goes on from there, to the same bits as if it had not ended.
        The rest of an epoch counts as the first of `epochs`.

    Returns
    -------
    iterator of Progress
        One for each block, once it has been learnt. Between two of them the network is that of whole batches, and may
        be saved. Close it, or drop it, to stop: no thread is left.

    Raises
    ------
    InputError
        If an argument is not accepted, before anything is learnt; or if a part of the data is not, such as
        ``x[4096:8192]``, when its turn comes. What was learnt before it stays.
    DataFileError
        If a part cannot be read. Likewise.
    OutOfMemoryError
        If a buffer does not fit into memory. Likewise.

    Notes
    -----
    The order of visits follows from the seed, the epoch, the chunks of x and `buffer_size`, and not from `prefetch`.
    Where all samples fit into one buffer it is that of `ED.fit`.

    Examples
    --------
    >>> import edcore
    >>> from edcore import streaming
    >>> data = edcore.datasets.digits(classes=(0, 1))  # it would be a memmap
    >>> ed = edcore.ED(seed=0)
    >>> for progress in streaming.train(ed, data.x_train, data.y_train, epochs=2):
    ...     print(progress)
    Progress(epoch=1, batch=5, batches=5)
    Progress(epoch=2, batch=5, batches=5)
    """
    epochs, batch_size = whole_number("epochs", epochs, 0), whole_number("batch_size", batch_size, 1)
    prefetch, shuffle = whole_number("prefetch", prefetch, 0), yes_or_no("shuffle", shuffle)
    pair = Pair(x, target, transform, target_transform)
    n, network = _opened(ed, pair)
    _check_target(pair, n, network)
    check_centred(ed.rule, batch_size)
    most = max(batch_size, _buffer_rows(network, buffer_size))
    batches = math.ceil(n / batch_size)
    done = int(ed.epochs.max())
    learnt = _learnt(after, done, batches) * batch_size
    pieces = borders(x, most)

    def read(epoch: int) -> Iterator[Block]:
        order = (ed.seed, epoch) if shuffle else None
        return blocks(pair, network, pieces, most, batch_size, order, learnt if epoch == done else 0)

    to_learn = chain.from_iterable(map(read, range(done, done + epochs)))
    return _run(ed, ahead(to_learn, prefetch), n, batch_size)


def fit(
    ed: ED,
    x: Any,
    target: Any,
    *,
    epochs: int = 1,
    batch_size: int = 64,
    shuffle: bool = True,
    transform: Transform | None = None,
    target_transform: Transform | None = None,
    buffer_size: int | None = None,
    prefetch: int = 2,
) -> ED:
    """Learn samples from arrays that need not fit into memory: `train`, to its end.

    Parameters
    ----------
    ed : ED
        The network.
    x, target : array, shape (samples, …)
        As for `train`.
    epochs, batch_size, shuffle, transform, target_transform, buffer_size, prefetch : optional
        As for `train`.

    Returns
    -------
    ED
        The network itself.

    Raises
    ------
    EDCoreError
        As `train`.

    Examples
    --------
    >>> import numpy as np
    >>> import edcore
    >>> images = np.random.default_rng(0).integers(0, 256, (500, 8, 8), dtype=np.uint8)  # it would be a memmap
    >>> labels = np.arange(500) % 3
    >>> ed = edcore.streaming.fit(
    ...     edcore.ED(heads=3, seed=0),
    ...     images,
    ...     labels,
    ...     transform=lambda rows: rows.reshape(len(rows), -1) / 255,
    ...     target_transform=lambda rows: np.eye(3)[rows],
    ... )
    >>> ed.epochs.tolist()
    [1, 1, 1]
    """
    for _ in train(
        ed,
        x,
        target,
        epochs=epochs,
        batch_size=batch_size,
        shuffle=shuffle,
        transform=transform,
        target_transform=target_transform,
        buffer_size=buffer_size,
        prefetch=prefetch,
    ):
        pass
    return ed


def predict(
    ed: ED,
    x: Any,
    out: Any,
    *,
    transform: Transform | None = None,
    buffer_size: int | None = None,
    prefetch: int = 2,
) -> None:
    """Write the outputs for x, which need not fit into memory, into an array that need not either.

    Parameters
    ----------
    ed : ED
        The network.
    x : array, shape (samples, …)
        As for `train`.
    out : array, shape (samples,) for one output, else (samples, columns)
        What takes ``out[start:stop] = rows``: a NumPy array or memmap, a Zarr array, an h5py dataset.
    transform, buffer_size, prefetch : optional
        As for `train`; rows stay in their order.

    Raises
    ------
    InputError
        If an argument is not accepted, before anything is written; or if a part of x is not, when its turn comes.
    DataFileError
        If a part cannot be read. What was written before it stays.
    OutOfMemoryError
        If a buffer does not fit into memory. Likewise.

    Examples
    --------
    >>> import numpy as np
    >>> import edcore
    >>> x = np.random.default_rng(0).random((500, 4))  # it would be a memmap
    >>> out = np.empty(500, np.float32)
    >>> edcore.streaming.predict(edcore.ED(seed=0), x, out)
    """
    prefetch, pair = whole_number("prefetch", prefetch, 0), Pair(x, None, transform, None)
    n, network = _opened(ed, pair)
    shape, given = (n,) if network.columns == 1 else (n, network.columns), getattr(out, "shape", None)
    if given != shape or not hasattr(out, "__setitem__"):
        kind = type(out).__name__ if given is None else f"shape {given}"
        raise InputError("out", kind, f"an array of shape {shape}, for outputs in {network.dtype}")
    most = _buffer_rows(network, buffer_size)
    with contextlib.closing(ahead(blocks(pair, network, borders(x, most), most), prefetch)) as parts:
        for block in parts:
            outputs = [ed.predict(block.x[i : i + ROWS_AT_ONCE]) for i in range(0, len(block.x), ROWS_AT_ONCE)]
            out[block.until - len(block.x) : block.until] = np.concatenate(outputs)


def _opened(ed: ED, pair: Pair) -> tuple[int, Network]:
    """Return the number of samples, and the network as the first one has it; refuse what can be seen to be wrong."""
    if not isinstance(ed, ED):
        raise InputError("ed", type(ed).__name__, "an edcore.ED(…)", "An estimator has its network in ed_.")
    n = check_rows("x", pair.x)
    if pair.transform is None and len(pair.x.shape) != 2:
        fix = "Flatten each part: transform=lambda rows: rows.reshape(len(rows), -1)."
        raise InputError("x", f"shape {tuple(pair.x.shape)}", "shape (samples, in_)", fix)
    ed.bind(pair.first())
    return n, ed.network


def _check_target(pair: Pair, n: int, network: Network) -> None:
    """Refuse a target that can be seen to be wrong."""
    if (rows := check_rows("target", pair.target)) != n:
        raise InputError("target", f"{rows:,} rows", f"{n:,}, one for each row of x")
    columns, given = network.columns, tuple(pair.target.shape)
    accepted = (n,) if columns == 1 else (n, columns)
    if pair.target_transform is None and given != accepted:
        fix = ""
        if given == (n,):
            fix = f"Classes are written one-hot: target_transform=lambda rows: numpy.eye({columns})[rows]."
        elif given == (n, 1):
            fix = "One output has one axis: target_transform=lambda rows: rows[:, 0]."
        raise InputError("target", f"shape {given}", f"shape {accepted}", fix)
    pair.target_rows(0, 1, network)


def _buffer_rows(network: Network, buffer_size: int | None) -> int:
    """Return the most rows of a buffer."""
    if buffer_size is not None:
        return whole_number("buffer_size", buffer_size, 1)
    return max(1, BUFFER // (np.dtype(network.dtype).itemsize * (network.in_ + network.columns) + ORDER))


def _learnt(after: Progress | None, done: int, batches: int) -> int:
    """Return how many batches of the next epoch have been learnt."""
    match after:
        case None:
            return 0
        case Progress(epoch, batch) if after.batches == batches and (epoch, batch) == (done, batches):
            return 0
        case Progress(epoch, batch) if after.batches == batches and epoch == done + 1 and 0 < batch < batches:
            return batch
    accepted = f"one of a network that has learnt {done} epochs of {batches:,} batches"
    fix = "Give the network, the data and the batch_size that were there when it was told."
    raise InputError("after", repr(after), accepted, fix)


def _run(ed: ED, to_learn: Generator[Block], n: int, batch_size: int) -> Iterator[Progress]:
    progress = None
    with contextlib.closing(to_learn):
        try:
            for block in to_learn:
                counted = ed.epochs
                epoch = int(counted.max()) + 1
                try:
                    ed.fit(block.x, block.target, batch_size=batch_size, shuffle=False)
                    counted += block.until == n
                finally:
                    ed.epochs = counted  # a block is no epoch, but for the last one of a pass
                progress = Progress(epoch, math.ceil(block.until / batch_size), math.ceil(n / batch_size))
                del block  # or it would be held while the next one is waited for
                yield progress
        except EDCoreError as error:
            error.add_note(f"edcore: what was learnt before stays ({progress or 'nothing yet'}).")
            raise


T = TypeVar("T")


def ahead(items: Iterator[T], count: int) -> Generator[T]:
    """Yield the items, so many of them made ahead in a thread of its own, which is gone when this ends."""
    if count == 0:
        yield from items
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="edcore-read")
    try:
        pending: deque[Future[T | None]] = deque(pool.submit(next, items, None) for _ in range(count))
        while (item := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, items, None))
            yield item
            del item  # or it would be held while the next one is waited for
    finally:
        pool.shutdown(cancel_futures=True)
