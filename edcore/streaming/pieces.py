"""Read large arrays in pieces, shuffle them in buffers, and yield blocks of whole batches.

A piece is a range of rows that ends where a chunk of the array ends. A buffer is several pieces, mixed together. Any
array works that has a shape, a dtype, and rows that a slice reads; its library is never imported.
"""

from __future__ import annotations

import itertools
import math
import mmap
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arrays import to_numpy
from edcore.core.network import Network
from edcore.core.randomness import permutation, piece_order
from edcore.errors import DataFileError, InputError, OutOfMemoryError, said, shown
from edcore.model.inputs import check_range, checked
from edcore.model.values import check_dense

PIECE_BYTES = 2**19
"""The least size of a piece; below it, a drive or a decoder spends its time on calls instead of data."""

PIECES_PER_BUFFER = 16
"""The least number of pieces in a buffer, unless chunks are too large: rows are mixed from as many places."""

Rows: TypeAlias = npt.NDArray[Any]
Transform: TypeAlias = Callable[[Any], Any]


class Block(NamedTuple):
    """Samples for one call of `fit`: whole batches, but for the last block of an epoch."""

    x: Rows
    target: Rows | None
    until: int  # samples of the epoch up to the end of this block


@dataclass(frozen=True, slots=True)
class Source:
    """The arrays x and target, with their transforms; target is None for prediction."""

    x: Any
    target: Any
    transform: Transform | None
    target_transform: Transform | None
    chunks: dict[str, int] = field(default_factory=dict)
    """The chunks that each array had in its store when it was last counted; arrays of other kinds have none."""

    def __post_init__(self) -> None:
        for name in ("transform", "target_transform"):
            if (function := getattr(self, name)) is not None and not callable(function):
                raise InputError(name, shown(function), "None, or a function of rows")

    def check_chunks(self) -> None:
        """Refuse an array that has lost chunks since they were last counted."""
        for name, array in (("x", self.x), ("target", self.target)):
            self._count_chunks(name, array)

    def _count_chunks(self, name: str, array: Any) -> None:
        if not hasattr(array, "fill_value"):
            return
        try:
            stored = int(getattr(array, "nchunks_initialized", 0))
        except Exception as error:  # each store raises its own
            raise _unreadable(name, error) from error
        if (lost := self.chunks.get(name, 0) - stored) > 0:
            raise DataFileError(
                f"{name}: {lost} of the {stored + lost} chunks that were in its store are gone; they would be read as "
                f"the fill_value {array.fill_value}. Put them back, and go on after the last Progress."
            )
        self.chunks[name] = stored

    def _read(self, name: str, array: Any, start: int, stop: int) -> Any:
        """Return these rows as a read-only NumPy array."""
        rows = _read(name, array, start, stop)
        # Zarr reads a chunk that is lost as the fill_value. To count them takes long, so only such a one is a reason.
        if name in self.chunks and _has_empty_chunk(rows, start, array.chunks, array.fill_value):
            self._count_chunks(name, array)
        return rows

    def x_rows(self, start: int, stop: int, network: Network) -> Rows:
        """Return these rows of x, transformed and checked as `ED.fit` checks them."""
        place = f"x[{start}:{stop}]"
        rows = _transformed(place, self._read("x", self.x, start, stop), self.transform)
        return _checked(place, rows, (stop - start, network.features), network)

    def target_rows(self, start: int, stop: int, network: Network) -> Rows:
        """Return these rows of target, transformed and checked."""
        place, n = f"target[{start}:{stop}]", stop - start
        rows = _transformed(place, self._read("target", self.target, start, stop), self.target_transform)
        target = _checked(place, rows, (n,) if network.columns == 1 else (n, network.columns), network)
        check_range(target.min(), target.max(), network.output_activation, place)
        return target

    def first(self) -> Any:
        """Return the first row of x, transformed, as an array (1, …)."""
        return _transformed("x[0:1]", _read("x", self.x, 0, 1), self.transform)


def check_rows(name: str, array: Any) -> int:
    """Return the number of rows of an array, or refuse an array whose rows a slice cannot read."""
    try:
        check_dense(name, array)
        shape, _, _ = tuple(array.shape), array.dtype, array.__getitem__
        stored, chunks = getattr(array, "nchunks_initialized", 0), getattr(array, "nchunks", 0)
    except InputError:
        raise
    except (AttributeError, TypeError):
        fix = "A NumPy memmap, a Zarr or Dask array and an h5py dataset are accepted."
        raise InputError(
            name, type(array).__name__, "an array with shape and dtype, whose rows a slice reads", fix
        ) from None
    except Exception as error:  # such as that of a closed file
        raise _unreadable(name, error) from error
    if not shape or any(math.isnan(size) for size in shape):
        fix = f"For a Dask array, call {name}.compute_chunk_sizes()." if shape else ""
        raise InputError(name, f"shape {shape}", "a known number of rows", fix)
    if shape[0] == 0:
        raise InputError(name, f"shape {shape}", "at least one row")
    if stored < chunks and hasattr(array, "fill_value"):
        warnings.warn(
            f"{name}: {chunks - stored} of {chunks} chunks are not in the store; they are read as the fill_value "
            f"{array.fill_value}. Either they hold nothing else, and Zarr did not write them, or they are lost.",
            stacklevel=4,
        )
    return int(shape[0])


def check_out(x: Any, out: Any, shape: tuple[int, ...], dtype: str) -> None:
    """Refuse an `out` that cannot take the outputs as they are, or that would overwrite x."""
    accepted = f"an array of NumPy, Zarr or h5py of shape {shape} that can be written, for outputs in {dtype}"
    try:
        given, kind = tuple(out.shape), np.dtype(out.dtype)
    except (AttributeError, TypeError):  # a tensor has a dtype of its own
        raise InputError(
            "out", type(out).__name__, accepted, "Of a PyTorch tensor on the CPU, give .numpy()."
        ) from None
    if given != shape or isinstance(out, np.ma.MaskedArray):
        mask = "a masked array, " if isinstance(out, np.ma.MaskedArray) else ""
        raise InputError("out", f"{mask}shape {given}", accepted)
    if kind.kind != "f":
        raise InputError("out", f"dtype {kind}", accepted, "Round the outputs afterwards, where they are classes.")
    if isinstance(out, np.ndarray) and any(
        size > 1 and not step for size, step in zip(given, out.strides, strict=True)
    ):
        raise InputError("out", "an array whose rows are one row in memory", accepted, "Give another array.")
    if _overlap(x, out):
        raise InputError("out", "memory that x uses too", accepted, "Give another array: x is read in advance.")
    try:
        out[0:1] = np.asarray(out[0:1])
    except Exception as error:  # each library raises its own for an array that is read-only
        raise InputError("out", f"a {type(out).__name__} that cannot be written ({said(error)})", accepted) from error


def _overlap(x: Any, out: Any) -> bool:
    """Return whether two arrays have values in common, as far as their libraries tell."""
    if not (isinstance(x, np.ndarray) and isinstance(out, np.ndarray)):
        return x is out or (type(x) is type(out) and (x == out) is True)  # h5py, Zarr
    files: list[Any] = [getattr(array, "filename", None) for array in (x, out)]
    if None not in files and os.path.samefile(*files):  # mapped twice, it is at two places in memory
        (first, end), (other_first, other_end) = map(_bytes_in_file, (x, out))
        return first < other_end and other_first < end
    return bool(np.shares_memory(np.asarray(x), np.asarray(out)))  # a subclass may refuse NumPy's functions


def _bytes_in_file(array: Any) -> tuple[int, int]:
    """Return where the values of a memmap begin and end in its file."""
    root = array
    while isinstance(root.base, np.memmap):
        root = root.base
    low, high = np.lib.array_utils.byte_bounds(array)
    first = root.offset + low - np.lib.array_utils.byte_bounds(root)[0]
    return first, first + high - low


def piece_bounds(array: Any, buffer_rows: int) -> npt.NDArray[np.intp]:
    """Return the first rows of an array's pieces, and its number of rows."""
    n, chunks = int(array.shape[0]), getattr(array, "chunks", None)
    # A piece is as many whole chunks as make PIECE_BYTES or a share of the buffer, as to read any row of a chunk reads
    # or decodes all of it. In an array without chunks each row counts as one.
    rows: int = math.ceil(PIECE_BYTES / max(1, getattr(array.dtype, "itemsize", 8) * math.prod(array.shape[1:])))
    rows = min(rows, max(1, buffer_rows // PIECES_PER_BUFFER))
    if chunks and isinstance(chunks[0], tuple):  # Dask's chunks have different sizes
        pieces = [0]
        for end in map(int, np.cumsum(chunks[0])):
            if end - pieces[-1] >= rows or end == n:
                pieces.append(end)
        return np.unique(np.array(pieces, np.intp))  # a chunk may be empty
    chunk = int(chunks[0]) if chunks else 1
    return np.append(np.arange(0, n, chunk * max(1, rows // chunk), dtype=np.intp), n)


def read_blocks(
    source: Source,
    network: Network,
    pieces: npt.NDArray[np.intp],
    buffer_rows: int,
    batch_size: int = 1,
    shuffled: tuple[int, int] | None = None,
    learnt: int = 0,
) -> Iterator[Block]:
    """Yield the blocks of an epoch, without its first `learnt` samples; `shuffled` is the seed and the epoch."""
    n = int(pieces[-1])
    source.check_chunks()
    order = np.arange(len(pieces) - 1) if shuffled is None else piece_order(*shuffled, len(pieces) - 1)
    x: Rows = np.empty((0, network.features), network.dtype)
    target: Rows = np.empty((0,) if network.columns == 1 else (0, network.columns), network.dtype)
    seen = 0
    for number, parts in enumerate(_buffers(pieces, order, buffer_rows)):
        size = sum(stop - start for start, stop in parts)
        seen += size
        if seen <= learnt:  # these pieces need not be read at all
            continue
        kept = len(x)  # rows of the last buffer that did not fill a batch; they come first
        x, target = _longer(x, size), _longer(target, size)
        places = np.arange(kept, kept + size)  # of the buffer's rows in the block
        if shuffled is not None:
            places[permutation(*shuffled, size, number)] = np.arange(kept, kept + size)
        # Each piece goes straight to its places, so that the buffer is held once and not a second time to shuffle it.
        at = 0
        for start, stop in parts:
            rows = places[at : at + stop - start]
            at += stop - start
            x[rows] = source.x_rows(start, stop, network)
            if source.target is not None:
                target[rows] = source.target_rows(start, stop, network)
        if (skipped := learnt - (seen - size)) > 0:
            x, target = x[skipped:], target[skipped:]
        ready = len(x) if seen == n else len(x) // batch_size * batch_size
        if ready:
            yield Block(x[:ready], None if source.target is None else target[:ready], seen - (len(x) - ready))
        x, target = x[ready:].copy(), target[ready:].copy()  # copies, as a view would keep the buffer in memory


def _buffers(
    pieces: npt.NDArray[np.intp], order: npt.NDArray[np.intp], buffer_rows: int
) -> Iterator[list[tuple[int, int]]]:
    """Yield the pieces of each buffer as first row and end, in the array's order, in which a file reads fastest."""
    sizes, at = np.diff(pieces), 0
    while at < len(order):
        held, end = int(sizes[order[at]]), at + 1
        while end < len(order) and held + sizes[order[end]] <= buffer_rows:
            held += int(sizes[order[end]])
            end += 1
        yield [(int(pieces[piece]), int(pieces[piece + 1])) for piece in np.sort(order[at:end])]
        at = end


def _longer(kept: Rows, size: int) -> Rows:
    """Return an array with the kept rows, and room for `size` more."""
    longer = np.empty((len(kept) + size, *kept.shape[1:]), kept.dtype)
    longer[: len(kept)] = kept
    return longer


def _read(name: str, array: Any, start: int, stop: int) -> Any:
    """Return these rows as a read-only NumPy array."""
    place = f"{name}[{start}:{stop}]"
    _check_mapped(name, array)
    try:
        rows = getattr(array, "iloc", array)[start:stop]  # a Series of Pandas may count by its labels otherwise
        rows = rows.compute() if hasattr(rows, "compute") else rows
        rows = np.asanyarray(rows)  # with its mask, if it has one: that is refused later
    except MemoryError as error:
        fix = "Store it in smaller chunks, or give a smaller buffer_size."
        raise OutOfMemoryError(f"{place}: {stop - start:,} rows do not fit into the free memory. {fix}") from error
    except Exception as error:  # each library raises its own
        raise _unreadable(place, error) from error
    if rows.shape[:1] != (stop - start,):
        raise DataFileError(f"{place}: given an array of shape {rows.shape}; expected {stop - start} rows.")
    rows = rows.view()
    rows.flags.writeable = False  # a transform in place would write to the user's file
    return rows


def _has_empty_chunk(rows: Rows, start: int, chunks: tuple[int, ...], fill: Any) -> bool:
    """Return whether the part of a chunk that is among these rows, from `start` on, holds nothing but fill values."""
    if fill is None:  # Zarr 2 may then read anything
        return True
    value = np.asarray(fill, rows.dtype)
    starts = [range(-(start % chunks[0]), len(rows), chunks[0])]
    starts += [range(0, size, chunk) for size, chunk in zip(rows.shape[1:], chunks[1:], strict=True)]
    for corner in itertools.product(*starts):
        part = rows[tuple(slice(max(0, at), at + chunk) for at, chunk in zip(corner, chunks, strict=True))]
        if ((part == value) | ((part != part) & (value != value))).all():  # NaN is not equal to itself
            return True
    return False


def _unreadable(place: str, error: Exception) -> DataFileError:
    return DataFileError(f"{place}: it cannot be read ({said(error)}).")


def _check_mapped(name: str, array: Any) -> None:
    """Refuse a memory-mapped file that has been truncated: reading the missing part would kill the process."""
    offset = 0
    while isinstance(array, np.ndarray):
        offset, array = getattr(array, "offset", offset), array.base
    if isinstance(array, mmap.mmap):
        wanted = offset - offset % mmap.ALLOCATIONGRANULARITY + len(array)
        try:
            there = array.size()
        except OSError:  # memory that processes share has no file
            return
        if there < wanted:
            raise DataFileError(f"{name}: its file has {there:,} bytes; it had {wanted:,} when it was opened.")


def _transformed(place: str, rows: Any, transform: Transform | None) -> Any:
    try:
        return rows if transform is None else transform(rows)
    except StopIteration as error:  # in a generator, as the caller is, Python makes another error of it
        raise DataFileError(
            f"{place}: its transform raised StopIteration. Give it a default, as in next(…, None)."
        ) from error
    except Exception as error:
        error.add_note(f"edcore: raised by the transform of {place}, of shape {rows.shape} and dtype {rows.dtype}")
        raise


def _checked(place: str, rows: Any, shape: tuple[int, ...], network: Network) -> Rows:
    return to_numpy(checked(place, rows, shape, network.dtype).array)
