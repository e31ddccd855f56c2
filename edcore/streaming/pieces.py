"""Arrays that are read a part at a time: what a piece is, in which order pieces are visited, and what is in one.

A piece is a run of rows that ends where a chunk of the array ends; a buffer is some pieces, held and mixed together.
Nothing here needs the library that an array is of: it has a shape, a dtype, and rows that are read by a slice.
"""

from __future__ import annotations

import math
import mmap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arrays import to_numpy
from edcore.core.network import Network
from edcore.core.randomness import permutation, piece_order
from edcore.errors import DataFileError, InputError, OutOfMemoryError
from edcore.model.inputs import check_range, checked

PIECE = 2**19
"""Bytes of an array that are read at once, at least: a drive or a decoder is then busy with data, not with calls."""

MIXED = 16
"""Pieces in a buffer, at least, unless chunks are too large for that: it mixes rows from so many places."""

Rows: TypeAlias = npt.NDArray[Any]
Transform: TypeAlias = Callable[[Any], Any]


class Block(NamedTuple):
    """Samples that are learnt in one call, whole batches unless they are the last of an epoch."""

    x: Rows
    target: Rows | None
    until: int  # samples of the epoch that have been visited after this block


@dataclass(frozen=True, slots=True)
class Pair:
    """The arrays x and target, with what is done to their pieces; with no target, x alone."""

    x: Any
    target: Any
    transform: Transform | None
    target_transform: Transform | None

    def x_rows(self, start: int, stop: int, network: Network) -> Rows:
        """Return these rows of x, transformed and checked as `ED.fit` checks them."""
        place = f"x[{start}:{stop}]"
        rows = _transformed(place, _read("x", self.x, start, stop), self.transform)
        return _checked(place, rows, (stop - start, network.in_), network)

    def target_rows(self, start: int, stop: int, network: Network) -> Rows:
        """Return these rows of target, likewise."""
        place, n = f"target[{start}:{stop}]", stop - start
        rows = _transformed(place, _read("target", self.target, start, stop), self.target_transform)
        target = _checked(place, rows, (n,) if network.columns == 1 else (n, network.columns), network)
        check_range(target, network.output_activation, place)
        return target

    def first(self) -> Any:
        """Return the first row of x, transformed, as an array of one row."""
        return _transformed("x[0:1]", _read("x", self.x, 0, 1), self.transform)


def check_rows(name: str, array: Any) -> int:
    """Return how many rows an array has that can be read by slices, or refuse it under its `name`."""
    try:
        shape, _, _ = tuple(array.shape), array.dtype, array.__getitem__
        stored, chunks = getattr(array, "nchunks_initialized", 0), getattr(array, "nchunks", 0)
    except (AttributeError, TypeError):
        fix = "A NumPy memmap, a Zarr or Dask array and an h5py dataset have all that."
        raise InputError(
            name, type(array).__name__, "an array with shape and dtype, whose rows a slice reads", fix
        ) from None
    except Exception as error:  # a file that has been closed, for one
        raise _unreadable(name, error) from error
    if not shape or any(math.isnan(size) for size in shape):
        fix = f"{name}.compute_chunk_sizes() finds those of a Dask array." if shape else ""
        raise InputError(name, f"shape {shape}", "a known number of rows", fix)
    if shape[0] == 0:
        raise InputError(name, f"shape {shape}", "at least one row")
    if stored < chunks and hasattr(array, "fill_value"):
        warnings.warn(
            f"{name}: {chunks - stored} of {chunks} chunks are not in the store, and are read as the fill_value "
            f"{array.fill_value!r}. Zarr leaves out chunks that hold nothing else; if they may be lost instead, look.",
            stacklevel=4,
        )
    return int(shape[0])


def borders(array: Any, most: int) -> npt.NDArray[np.intp]:
    """Return where the pieces of an array start, and its number of rows.

    A piece ends where a chunk ends. It is as many chunks as make `PIECE` bytes, or a share of the `most` rows that a
    buffer has, and at least one. Where there are no chunks, each row counts as one.
    """
    n, chunks = int(array.shape[0]), getattr(array, "chunks", None)
    rows: int = math.ceil(PIECE / max(1, array.dtype.itemsize * math.prod(array.shape[1:])))
    rows = min(rows, max(1, most // MIXED))
    if chunks and isinstance(chunks[0], tuple):  # Dask's, each with a size of its own
        pieces = [0]
        for end in map(int, np.cumsum(chunks[0])):
            if end - pieces[-1] >= rows or end == n:
                pieces.append(end)
        return np.unique(np.array(pieces, np.intp))  # a chunk may be empty
    chunk = int(chunks[0]) if chunks else 1
    return np.append(np.arange(0, n, chunk * max(1, rows // chunk), dtype=np.intp), n)


def blocks(
    pair: Pair,
    network: Network,
    pieces: npt.NDArray[np.intp],
    most: int,
    batch_size: int = 1,
    shuffled: tuple[int, int] | None = None,
    learnt: int = 0,
) -> Iterator[Block]:
    """Yield the blocks of an epoch.

    Parameters
    ----------
    pair : Pair
        What is read.
    network : Network
        What the rows must fit, once they are transformed.
    pieces : ndarray of intp
        Where pieces start, as `borders` returns it.
    most : int
        Rows of a buffer, which has at least one piece.
    batch_size : int
        What is left of a buffer after its last whole batch goes before the next one.
    shuffled : tuple of int, optional
        Seed and epoch, from which the order of pieces, and of the rows in each buffer, follow. Left out, rows stay as
        they are.
    learnt : int
        Samples of the epoch, whole batches, that are left out, as they have been learnt.

    Yields
    ------
    Block
        Samples in the order of their visit.
    """
    n = int(pieces[-1])
    order = np.arange(len(pieces) - 1) if shuffled is None else piece_order(*shuffled, len(pieces) - 1)
    x: Rows = np.empty((0, network.in_), network.dtype)
    target: Rows = np.empty((0,) if network.columns == 1 else (0, network.columns), network.dtype)
    seen = 0
    for number, parts in enumerate(_buffers(pieces, order, most)):
        size = sum(stop - start for start, stop in parts)
        seen += size
        if seen <= learnt:
            continue
        kept = len(x)
        x, target = _longer(x, size), _longer(target, size)
        places = np.arange(kept, kept + size)  # of the buffer's rows in the block
        if shuffled is not None:
            places[permutation(*shuffled, size, number)] = np.arange(kept, kept + size)
        at = 0
        for start, stop in parts:
            where = places[at : at + stop - start]
            at += stop - start
            x[where] = pair.x_rows(start, stop, network)
            if pair.target is not None:
                target[where] = pair.target_rows(start, stop, network)
        if (known := learnt - (seen - size)) > 0:
            x, target = x[known:], target[known:]
        whole = len(x) if seen == n else len(x) // batch_size * batch_size
        if whole:
            yield Block(x[:whole], None if pair.target is None else target[:whole], seen - (len(x) - whole))
        x, target = x[whole:].copy(), target[whole:].copy()


def _buffers(pieces: npt.NDArray[np.intp], order: npt.NDArray[np.intp], most: int) -> Iterator[list[tuple[int, int]]]:
    """Yield the pieces of each buffer as first row and end, in the array's order."""
    sizes, at = np.diff(pieces), 0
    while at < len(order):
        held, end = int(sizes[order[at]]), at + 1
        while end < len(order) and held + sizes[order[end]] <= most:
            held += int(sizes[order[end]])
            end += 1
        yield [(int(pieces[piece]), int(pieces[piece + 1])) for piece in np.sort(order[at:end])]
        at = end


def _longer(kept: Rows, size: int) -> Rows:
    """Return an array that starts with what was kept, with room for so many rows after it."""
    longer = np.empty((len(kept) + size, *kept.shape[1:]), kept.dtype)
    longer[: len(kept)] = kept
    return longer


def _read(name: str, array: Any, start: int, stop: int) -> Any:
    """Return these rows as a NumPy array, or say which cannot be read."""
    place = f"{name}[{start}:{stop}]"
    _check_mapped(name, array)
    try:
        rows = array[start:stop]
        rows = np.asanyarray(rows.compute() if hasattr(rows, "compute") else rows)  # a mask is kept, to be refused
    except MemoryError as error:
        fix = "Store it in smaller chunks, or give a smaller buffer_size."
        raise OutOfMemoryError(
            f"{place}: {stop - start:,} rows do not fit into the memory that is left. {fix}"
        ) from error
    except Exception as error:  # each library has its own
        raise _unreadable(place, error) from error
    if rows.shape[:1] != (stop - start,):
        raise DataFileError(f"{place}: what was read has shape {rows.shape}, not {stop - start} rows.")
    rows = rows.view()
    rows.flags.writeable = False  # a transform in place would write to the user's file
    return rows


def _unreadable(place: str, error: Exception) -> DataFileError:
    reason = f"{type(error).__name__}: {str(error).strip() or 'no message'}"
    return DataFileError(f"{place}: it cannot be read ({reason}).")


def _check_mapped(name: str, array: Any) -> None:
    """Refuse a mapped file that has been cut: to read what is missing would end the program."""
    offset = 0
    while isinstance(array, np.ndarray):
        offset, array = getattr(array, "offset", offset), array.base
    if isinstance(array, mmap.mmap):
        wanted = offset - offset % mmap.ALLOCATIONGRANULARITY + len(array)
        try:
            there = array.size()
        except OSError:  # it has no file: memory that processes share
            return
        if there < wanted:
            raise DataFileError(f"{name}: its file has {there:,} bytes, and had {wanted:,} when it was opened.")


def _transformed(place: str, rows: Any, transform: Transform | None) -> Any:
    try:
        return rows if transform is None else transform(rows)
    except Exception as error:
        error.add_note(f"edcore: raised by the transform of {place}, of shape {rows.shape} and dtype {rows.dtype}")
        raise


def _checked(place: str, rows: Any, shape: tuple[int, ...], network: Network) -> Rows:
    return to_numpy(checked(place, rows, shape, network.dtype).array)
