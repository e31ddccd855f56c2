"""Random numbers drawn on the host from the raw bits of PCG64, one stream for each purpose, head and layer.

Raw bits, because NumPy keeps those of PCG64 the same for ever, but not its distributions. Each head and layer has its
own stream, so that any shard of the heads starts from the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import BITS, whole_number

WEIGHTS, BIASES, SHUFFLING, PIECES = range(4)
"""The purposes of random numbers. Each has its own stream, so that none shifts another."""

Floats = npt.NDArray[np.float64]

BLOCK = 2**15
"""Numbers that are drawn at a time: to draw all weights of a wide layer at once takes many times their memory."""


def fresh_seed() -> int:
    """Return a seed from the operating system's entropy, short enough to note down."""
    return int(np.random.SeedSequence().generate_state(1, np.uint32)[0])


def checked_seed(seed: Any) -> int:
    """Return the seed as an int, a fresh one for None, or refuse it."""
    if seed is None:
        return fresh_seed()
    return whole_number("seed", seed, 0, f"None (a fresh seed each time) or a whole number from 0 to 2**{BITS} - 1")


def uniform(
    seed: int, purpose: int, head: int, layer: int, shape: tuple[int, int, int]
) -> Iterator[tuple[slice, slice, Floats]]:
    """Yield an array of numbers, uniform on [0, 1), with 53 random bits each, in blocks.

    Of a shape (parts, rows, columns), a block has all parts of some rows and columns, which are given with it.
    """
    parts, rows, columns = shape
    size = rows * columns
    streams = [_stream(seed, purpose, head, layer)]
    if size > BLOCK:  # else one block is all, part after part
        streams = [_stream(seed, purpose, head, layer).advance(part * size) for part in range(parts)]
    high, wide = max(1, BLOCK // columns), min(BLOCK, columns)
    for row in range(0, rows, high):
        for column in range(0, columns, wide):
            block = (parts // len(streams), min(high, rows - row), min(wide, columns - column))
            bits = [stream.random_raw(block) for stream in streams]
            yield slice(row, row + high), slice(column, column + wide), _uniform(np.concatenate(bits))


def half_normal(numbers: Floats) -> Floats:
    """Return absolute values of standard normal numbers, made of uniform ones in two parts (Box and Muller 1958)."""
    radius, angle = np.sqrt(-2.0 * np.log1p(-numbers[0])), 2.0 * np.pi * numbers[1]
    return np.abs(radius * np.array((np.cos(angle), np.sin(angle))))


def permutation(seed: int, epoch: int, n: int, buffer: int = 0) -> npt.NDArray[np.intp]:
    """Return the order in which an epoch visits its n samples, or those of one of its buffers."""
    return np.argsort(_raw_bits(seed, SHUFFLING, buffer, epoch, n), kind="stable")


def piece_order(seed: int, epoch: int, n: int) -> npt.NDArray[np.intp]:
    """Return the order in which an epoch reads the n pieces of a large array."""
    return np.argsort(_raw_bits(seed, PIECES, 0, epoch, n), kind="stable")


def _raw_bits(seed: int, purpose: int, head: int, layer: int, n: int) -> npt.NDArray[np.uint64]:
    return _stream(seed, purpose, head, layer).random_raw(n)


def _stream(seed: int, purpose: int, head: int, layer: int) -> np.random.PCG64:
    return np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(purpose, head, layer)))


def _uniform(bits: npt.NDArray[np.uint64]) -> Floats:
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53, np.float64)
