"""The order in which the kernels of narrow networks keep weights in memory: in one array, as threads read them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arrays import HostWeights
from edcore.core.network import Network

WIDEST = 256
"""Cells of the widest layer that is narrow. Beyond it, the products of a library take less time than their launches."""

SLICES = 8
"""Slices into which the threads of a block divide the sources of a layer."""

MATRICES = ("input.weight", "hidden.weight")
"""The parts whose order is that of the threads."""

PADDING, FEW = 4, 2**24
"""Padding may multiply the size of the weights by this, or lead to this many numbers."""

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layout:
    """The places of weights whose layers have this many cells. kernels/common.cuh has the same.

    A layer is padded with cells that are always 0, and the sources of the input layer to a multiple of that.
    """

    cells: int
    itemsize: int

    @cached_property
    def padded(self) -> int:
        """Cells of a layer with those that are always 0."""
        return next((size for size in (16, 32, 64) if self.cells <= size), -(-self.cells // 32) * 32)

    @cached_property
    def chunk(self) -> int:
        """Sources of a slice that are copied at once: fewer in wide layers, so that a ring of chunks fits any GPU."""
        most = 8 if self.padded <= 64 else 4 if self.padded <= 128 else 2
        return max(1, min(most, self.padded // SLICES) * 4 // self.itemsize)

    @cached_property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk of all slices."""
        return SLICES * self.chunk * self.padded * self.itemsize

    @cached_property
    def ring_biases(self) -> int:
        """Biases of a bias cell that are copied with a chunk: those of all threads, where a layer is one chunk."""
        return 2 * self.padded if self.padded // SLICES == self.chunk else 0

    @cached_property
    def update_threads(self) -> int:
        """Threads of a block that updates a tile: a warp for each 16 of its targets."""
        return 32 * next(warps for warps in (4, 2, 1) if self.padded // 16 % warps == 0)

    @cached_property
    def tiles(self) -> int:
        """Blocks that update a matrix: tiles of at most 64 targets, and of 8 sources of each slice."""
        chunks = self.padded // SLICES // self.chunk
        at_once = next(number for number in (8, 4, 2, 1) if number * self.chunk <= 8 and chunks % number == 0)
        return 2 * self.padded // self.update_threads * (chunks // at_once)

    @cached_property
    def order(self) -> npt.NDArray[np.intp]:
        """For each place of a packed matrix, the place of its weight in a matrix of `padded` sources and targets."""
        return _order(self.padded, self.chunk, self.itemsize)

    def matrices(self, network: Network) -> int:
        """Return the matrices of a head: those of the input layer have as many sources as targets."""
        return -(-2 * network.in_ // self.padded) + network.depth

    def shapes(self, given: Shapes) -> Shapes:
        """Return the shapes of the padded parts, in their order, for the shapes of the weights."""
        p, sources, outputs = self.padded, given["input.weight"][-2], given["output.bias"][-1]
        sizes = {
            "input.weight": (-(-sources // p) * p, p),
            "hidden.weight": (p, p),
            "input.bias": (given["input.bias"][-2], p),
            "hidden.bias": (given["hidden.bias"][-2], p),
            "output.weight": (p, outputs),
            "output.bias": (given["output.bias"][-2], outputs),
        }
        return {key: (*given[key][:-2], *size) for key, size in sizes.items()}

    def pack(self, weights: HostWeights) -> npt.NDArray[Any]:
        """Return all weights in one array."""
        parts = []
        for key, shape in self.shapes(shapes_of(weights)).items():
            value = weights[key]
            padded = np.zeros(shape, value.dtype)
            padded[..., : value.shape[-2], : value.shape[-1]] = value
            parts.append(padded.reshape(-1, self.padded**2)[:, self.order] if key in MATRICES else padded)
        return np.concatenate([part.reshape(-1) for part in parts])

    def unpack(self, packed: npt.NDArray[Any], given: Shapes) -> HostWeights:
        """Return the weights of these shapes from the array."""
        weights, start = {}, 0
        for key, shape in self.shapes(given).items():
            part = packed[start : start + math.prod(shape)]
            start += part.size
            if key in MATRICES:
                read, part = part.reshape(-1, self.padded**2), np.empty_like(part)
                part.reshape(read.shape)[:, self.order] = read
            rows, columns = given[key][-2:]
            weights[key] = part.reshape(shape)[..., :rows, :columns].copy()
        return {key: weights[key] for key in given}


@cache
def layout_of(network: Network) -> Layout:
    """Return the layout of a network's weights."""
    return Layout(2 * network.widest, np.dtype(network.dtype).itemsize)


def shapes_of(weights: HostWeights) -> Shapes:
    """Return the shapes of weights."""
    return {key: value.shape for key, value in weights.items()}


def is_narrow(given: Shapes, itemsize: int) -> bool:
    """Return whether the kernels of narrow networks take weights of these shapes: padding may cost little memory."""
    cells = given["input.weight"][-1]
    if cells > WIDEST:
        return False
    sizes = [sum(map(math.prod, shapes.values())) for shapes in (given, Layout(cells, itemsize).shapes(given))]
    return sizes[1] <= max(PADDING * sizes[0], FEW)


@cache
def _order(padded: int, chunk: int, itemsize: int) -> npt.NDArray[np.intp]:
    warps, chunks, values = padded // 16, padded // SLICES // chunk, 16 // itemsize
    # From the outside in, and as common.cuh names them: chunk, warp, k, piece, s, c, value.
    at = np.indices((chunks, warps, chunk, 4 // values, SLICES, 4, values))
    chunk_, warp, k, piece, s, c, value = (axis.reshape(-1) for axis in at)
    turn = (s >> 1 & 2) + (s >> 1 & 1)
    sources = s * (padded // SLICES) + chunk_ * chunk + k
    targets = 16 * warp + 4 * c + (piece * values + value ^ turn)
    return sources * padded + targets
