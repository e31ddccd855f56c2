"""Train and predict on arrays larger than memory: a memmap, a Zarr or Dask array, an h5py dataset.

A background thread reads the next buffers while the network learns. The memory in use depends on the size of a buffer,
not on the number of samples.
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
from edcore.arrays import Array
from edcore.core.network import Network
from edcore.core.rule import check_centred
from edcore.errors import EDCoreError, InputError
from edcore.interrupts import uninterrupted
from edcore.model.bound import network_for
from edcore.model.classes import predict_in_parts
from edcore.model.ed import ED, checked_ed
from edcore.streaming.pieces import Block, Source, Transform, check_out, check_rows, piece_bounds, read_blocks

BUFFER_BYTES = 2**25
"""The size of a buffer, in the network's dtype, if no buffer_size is given."""

ORDER_BYTES = 32
"""Memory for the order of one row while a buffer is mixed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training has come, after a block of batches.

    Parameters
    ----------
    epoch : int
        The pass over the samples that is being learnt, from 1, as `ED.epochs` counts.
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
    """Learn samples from arrays that need not fit into memory, one block for each `Progress` that is taken.

    Parameters
    ----------
    ed : ED
        The network.
    x : array, shape (samples, …)
        An array with ``shape`` and ``dtype``, whose rows ``x[start:stop]`` reads: a `numpy.memmap`, an array of Zarr or
        Dask, an h5py dataset.
    target : array, shape (samples, …)
        The outputs to learn; such an array too.
    epochs : int
        Passes over the samples.
    batch_size : int
        Samples in a batch; the last one of an epoch may be smaller.
    shuffle : bool
        Visit the samples in a new order in each epoch, drawn from the seed: the pieces of x in a random order, and the
        rows in a buffer of several pieces in a random order.
    transform, target_transform : callable, optional
        Called in the reading thread with each part, a NumPy array of consecutive rows. Returns the rows to learn:
        (rows, in_) for x; (rows,) or (rows, columns) for target.
    buffer_size : int, optional
        Rows that are mixed together, and learnt in one call of `ED.fit`; never less than a chunk of x. Left out, as
        many as fill 32 MiB.
    prefetch : int
        Buffers to read in advance. With 0 no thread runs, and reading and learning take turns.
    after : Progress, optional
        The last progress of an earlier call: this call goes on from there, to the same bits as if that call had not
        ended. The rest of its epoch counts as the first of `epochs`.

    Returns
    -------
    iterator of Progress
        One for each block, once it has been learnt. Between two of them the network has learnt whole batches, and may
        be saved. To stop, close or drop the iterator; that ends its thread too.

    Raises
    ------
    InputError
        If an argument is not accepted, before anything is learnt; or if a part of the data is not, such as
        ``x[4096:8192]``, when it is read. The network keeps what it learnt before.
    DataFileError
        If a part cannot be read, or chunks of a Zarr array are gone that were there when training began. The network
        keeps what it learnt before.
    OutOfMemoryError
        If a buffer does not fit into memory. The network keeps what it learnt before.

    Notes
    -----
    The order of the samples depends on the seed, the epoch, the chunks of x and `buffer_size`, but not on `prefetch`.
    If all samples fit into one buffer, it is the order of `ED.fit`.

    The data should not change meanwhile. Each part is checked each time it is read, for its shape, for NaN and for the
    range of the targets; other changes are learnt from the next time that it is read, up to `prefetch` buffers ahead. A
    Dask array does not show whether a store behind it has lost chunks: give the Zarr array itself.

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
    source = Source(x, target, transform, target_transform)
    n, network, first = _check_x(ed, source)
    _check_target(source, n, network)
    check_centred(ed.rule, batch_size)
    buffer_rows = max(batch_size, _buffer_rows(network, buffer_size))
    batches = math.ceil(n / batch_size)
    done = int(ed.epochs.max())
    learnt = _batches_learnt(after, done, batches) * batch_size
    pieces = piece_bounds(x, buffer_rows)
    ed.bind(first, min(batch_size, n))  # only now, as a call that is refused leaves the network free

    def read(epoch: int) -> Iterator[Block]:
        order = (ed.seed, epoch) if shuffle else None
        return read_blocks(source, network, pieces, buffer_rows, batch_size, order, learnt if epoch == done else 0)

    to_learn = chain.from_iterable(map(read, range(done, done + epochs)))
    return _learn(ed, prefetched(to_learn, prefetch), n, batch_size)


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
    """Learn samples from arrays that need not fit into memory, as `train` does, to the end.

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
    ed: ED, x: Any, out: Any, *, transform: Transform | None = None, buffer_size: int | None = None, prefetch: int = 2
) -> None:
    """Write the outputs for x into another array; neither needs to fit into memory.

    Parameters
    ----------
    ed : ED
        The network.
    x : array, shape (samples, …)
        As for `train`.
    out : array, shape (samples,) for one output, else (samples, columns)
        An array that ``out[start:stop] = rows`` writes to: of NumPy, a memmap, a Zarr array, an h5py dataset. Its dtype
        is a float that can hold the outputs, and it has no memory in common with x.
    transform, buffer_size, prefetch : optional
        As for `train`. The rows keep their order.

    Raises
    ------
    InputError
        If an argument is not accepted, before anything is written; or if a part of x is not, when it is read.
    DataFileError
        If a part cannot be read. The parts before it have been written.
    OutOfMemoryError
        If a buffer does not fit into memory. The parts before it have been written.

    Examples
    --------
    >>> import numpy as np
    >>> import edcore
    >>> x = np.random.default_rng(0).random((500, 4))  # it would be a memmap
    >>> out = np.empty(500, np.float32)
    >>> edcore.streaming.predict(edcore.ED(seed=0), x, out)
    """
    prefetch, source = whole_number("prefetch", prefetch, 0), Source(x, None, transform, None)
    n, network, first = _check_x(ed, source)
    check_out(x, out, (n,) if network.columns == 1 else (n, network.columns), network.dtype)
    buffer_rows = _buffer_rows(network, buffer_size)
    ed.bind(first, min(buffer_rows, n))
    blocks = read_blocks(source, network, piece_bounds(x, buffer_rows), buffer_rows)
    with contextlib.closing(prefetched(blocks, prefetch)) as ready:
        for block in ready:
            start, outputs = block.until - len(block.x), predict_in_parts(ed, block.x)
            if (most := float(abs(outputs).max())) > float(np.finfo(out.dtype).max):
                fix = "Outputs in parts before this one have been written."
                raise InputError("out", f"{out.dtype} for an output of size {most:g}", "a dtype that can hold it", fix)
            out[start : block.until] = outputs


def _check_x(ed: ED, source: Source) -> tuple[int, Network, Array]:
    """Return the number of samples, the network with the features of the first one, and that sample."""
    n = check_rows("x", source.x)
    if source.transform is None and len(source.x.shape) != 2:
        fix = "Flatten each part: transform=lambda rows: rows.reshape(len(rows), -1)."
        raise InputError("x", f"shape {tuple(source.x.shape)}", "shape (samples, in_)", fix)
    first = source.first()
    return n, network_for(checked_ed(ed), first), first


def _check_target(source: Source, n: int, network: Network) -> None:
    """Refuse a target of a wrong shape, or with a wrong first row."""
    if (rows := check_rows("target", source.target)) != n:
        raise InputError("target", f"{rows:,} rows", f"{n:,}, one for each row of x")
    columns, given = network.columns, tuple(source.target.shape)
    accepted = (n,) if columns == 1 else (n, columns)
    if source.target_transform is None and given != accepted:
        fix = ""
        if given == (n,):
            fix = f"Write classes one-hot: target_transform=lambda rows: numpy.eye({columns})[rows]."
        elif given == (n, 1):
            fix = "For one output, drop the second axis: target_transform=lambda rows: rows[:, 0]."
        raise InputError("target", f"shape {given}", f"shape {accepted}", fix)
    source.target_rows(0, 1, network)


def _buffer_rows(network: Network, buffer_size: int | None) -> int:
    """Return the most rows of a buffer."""
    if buffer_size is not None:
        return whole_number("buffer_size", buffer_size, 1)
    return max(
        1, BUFFER_BYTES // (np.dtype(network.dtype).itemsize * (network.features + network.columns) + ORDER_BYTES)
    )


def _batches_learnt(after: Progress | None, done: int, batches: int) -> int:
    """Return how many batches of the next epoch have been learnt already."""
    match after:
        case None:
            return 0
        case Progress(epoch, batch) if after.batches == batches and (epoch, batch) == (done, batches):
            return 0
        case Progress(epoch, batch) if after.batches == batches and epoch == done + 1 and 0 < batch < batches:
            return batch
    accepted = f"the progress of a network that has learnt {done} epochs of {batches:,} batches"
    fix = "Give the network, the data and the batch_size of the call that yielded it."
    raise InputError("after", repr(after), accepted, fix)


def _learn(ed: ED, to_learn: Generator[Block], n: int, batch_size: int) -> Iterator[Progress]:
    """Learn each block, and yield the progress after it."""
    progress = None
    with contextlib.closing(to_learn):
        try:
            for block in to_learn:
                before, interrupt, stood = ed.epochs, None, progress
                try:
                    try:
                        ed.fit(block.x, block.target, batch_size=batch_size, shuffle=False)
                    finally:
                        with uninterrupted():  # fit counts each block as an epoch; only the last one of a pass ends one
                            learnt = bool((ed.epochs > before).any())
                            if learnt:
                                epoch, batch = int(before.max()) + 1, math.ceil(block.until / batch_size)
                                progress = Progress(epoch, batch, math.ceil(n / batch_size))
                            ed.epochs = before + (learnt and block.until == n)
                except KeyboardInterrupt as error:
                    if progress is stood:
                        raise
                    interrupt = error  # it came when the block had been learnt, so the caller has the progress first
                del block  # else it would stay in memory while the next one is read
                if progress is not None:
                    yield progress
                if interrupt is not None:
                    raise interrupt
        except EDCoreError as error:
            error.add_note(f"edcore: the network keeps what it learnt before ({progress or 'nothing'}).")
            raise


Item = TypeVar("Item")


def prefetched(items: Iterator[Item], count: int) -> Generator[Item]:
    """Yield items while a background thread prefetches the next `count`; the thread ends with this generator."""
    if count == 0:
        yield from items
        return
    # One thread, so that `items` is never advanced by two at once.
    pool = ThreadPoolExecutor(1, thread_name_prefix="edcore-read")
    try:
        pending: deque[Future[Item | None]] = deque(pool.submit(next, items, None) for _ in range(count))
        while (item := pending.popleft().result()) is not None:
            pending.append(pool.submit(next, items, None))
            yield item
            del item  # else it would stay in memory while the next one is read
    finally:
        pool.shutdown(cancel_futures=True)
