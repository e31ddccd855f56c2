"""Random numbers drawn on the host from the raw bits of PCG64, one stream for each purpose, head and layer.

Raw bits, because NumPy keeps those of PCG64 the same for ever, but not its distributions. Each head and layer has its
own stream, so that any shard of the heads starts from the same weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import BITS, whole_number

WEIGHTS, BIASES, SHUFFLING, PIECES = range(4)
"""The purposes of random numbers. Each has its own stream, so that none shifts another."""


def fresh_seed() -> int:
    """Return a seed from the operating system's entropy, short enough to note down."""
    return int(np.random.SeedSequence().generate_state(1, np.uint32)[0])


def checked_seed(seed: Any) -> int:
    """Return the seed as an int, a fresh one for None, or refuse it."""
    if seed is None:
        return fresh_seed()
    return whole_number("seed", seed, 0, f"None (a fresh seed each time) or a whole number from 0 to 2**{BITS} - 1")


def uniform(seed: int, purpose: int, head: int, layer: int, n: int) -> npt.NDArray[np.float64]:
    """Return n numbers, uniform on [0, 1), with 53 random bits each."""
    return np.asarray((_raw_bits(seed, purpose, head, layer, n) >> np.uint64(11)) * 2.0**-53, np.float64)


def half_normal(seed: int, purpose: int, head: int, layer: int, n: int) -> npt.NDArray[np.float64]:
    """Return n absolute values of standard normal numbers (Box and Muller 1958)."""
    radius, angle = uniform(seed, purpose, head, layer, n + n % 2).reshape(2, -1)
    radius = np.sqrt(-2.0 * np.log1p(-radius))
    angle = 2.0 * np.pi * angle
    return np.abs(np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]))[:n]


def permutation(seed: int, epoch: int, n: int, buffer: int = 0) -> npt.NDArray[np.intp]:
    """Return the order in which an epoch visits its n samples, or those of one of its buffers."""
    return np.argsort(_raw_bits(seed, SHUFFLING, buffer, epoch, n), kind="stable")


def piece_order(seed: int, epoch: int, n: int) -> npt.NDArray[np.intp]:
    """Return the order in which an epoch reads the n pieces of a large array."""
    return np.argsort(_raw_bits(seed, PIECES, 0, epoch, n), kind="stable")


def _raw_bits(seed: int, purpose: int, head: int, layer: int, n: int) -> npt.NDArray[np.uint64]:
    return np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(purpose, head, layer))).random_raw(n)
