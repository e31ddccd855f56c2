"""The sizes of the GPU's thread blocks, by the network and the batch. No bit of a result depends on the batch's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edcore.core.activations import FUNCTIONS, Activation
from edcore.core.network import Network

STATIC_SHARED = 48 * 1024
"""Bytes of shared memory that a block gets on any CUDA device without asking for more."""

BANKS = 32
"""Banks of shared memory. Threads of a warp that use the same one wait for each other."""

WARP = 32
"""Threads of a warp, which give each other values without shared memory."""

COLUMNS = 4
"""Neighbouring targets of a thread: each activity that it reads is used for all of them."""

MOST_THREADS = 256
"""Threads of a block at most: each may then have 255 registers, the most that a thread can have."""

WIDEST = COLUMNS * MOST_THREADS
"""Cells of the widest layer that fits a block."""

ROWS = 4
"""Samples of a block at most: each weight that it reads is used for all of them."""

FEW_BLOCKS = 32
"""Blocks of `ROWS` samples that leave most of a GPU empty: there, each has half of them and is through a layer sooner.
More blocks would wait for the L2 cache, which each asks for all weights."""

CHUNKS_AHEAD = 8
"""Chunks of weights before one is loaded that it is brought from memory to the L2 cache."""

LINE = 128
"""Bytes of a line of the L2 cache, and of a thread's weights in a chunk at most."""

PADDING = (CHUNKS_AHEAD + 2) * MOST_THREADS * LINE
"""Bytes beyond the last weights that the forward pass reads, and does not use: so it need not look where they end."""

ACTIVATIONS = ("sigmoid", "tanh", "relu", "relu6", "linear")
"""The activations that the kernels have, see `device_functions`."""


@dataclass(frozen=True, slots=True)
class ForwardTile:
    """One block of the forward pass: `rows` samples of one head through all layers.

    A thread holds the weights from `steps` sources to `COLUMNS` targets. All slices of the sources are in one warp, for
    a few groups of targets: thread slice · lanes + group of the warp. So sums over slices need no shared memory.
    """

    cells: int
    rows: int
    slices: int
    steps: int

    @property
    def groups(self) -> int:
        """Groups of targets."""
        return -(-self.cells // COLUMNS)

    @property
    def lanes(self) -> int:
        """Groups of a warp."""
        return WARP // self.slices

    @property
    def threads(self) -> int:
        """Threads of a block: whole warps where slices are added up."""
        return self.groups if self.slices == 1 else -(-self.groups // self.lanes) * WARP

    @property
    def chunk(self) -> int:
        """Sources whose weights a block holds at once."""
        return self.slices * self.steps

    @property
    def chunks(self) -> int:
        """Chunks of a hidden layer."""
        return -(-self.cells // self.chunk)

    @property
    def pitch(self) -> int:
        """Activities from one row to the next; those beyond the cells are 0, and padding sets rows in other banks."""
        covered = self.chunks * self.chunk
        return covered + BANKS // 2 if covered % BANKS == 0 else covered

    @property
    def sums(self) -> int:
        """Sums of a thread over its sources."""
        return self.rows * COLUMNS

    @property
    def per_thread(self) -> int:
        """Activities that a thread finishes: its share of the sums over all slices."""
        return self.sums // self.slices

    @property
    def activities(self) -> int:
        """Activities of a layer in shared memory, where there are two layers at once."""
        return self.rows * self.pitch

    @property
    def squares(self) -> int:
        """Partial sums of a row's squares under rms: about the root of the cells, so that both steps are short."""
        return 1 << self.cells.bit_length() // 2

    @property
    def even(self) -> bool:
        """Whether the threads cover a layer exactly, so that none has to test whether its place is inside."""
        covered = COLUMNS * self.groups == self.cells == self.chunks * self.chunk
        return covered and self.threads == self.groups * self.slices


@dataclass(frozen=True, slots=True)
class UpdateTile:
    """One block of the update: `side` sources × `side` targets of a layer of one head, `samples` at a time.

    Thread t holds the weights from per_source neighbouring sources to per_target neighbouring targets. `vector` of
    them are always all in the layer or all outside.
    """

    source_groups: int
    per_source: int
    target_groups: int
    per_target: int
    samples: int
    vector: int

    @property
    def side(self) -> int:
        """Sources of a tile, and its targets."""
        return self.target_groups * self.per_target

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.source_groups * self.target_groups

    @property
    def rows(self) -> int:
        """Samples that a block loads at once."""
        return self.threads // self.side

    @property
    def staged(self) -> int:
        """Samples that a thread loads of its source and of its target."""
        return self.samples // self.rows

    def tiles(self, sources: int, targets: int) -> int:
        """Return the number of tiles of a weight matrix."""
        return -(-sources // self.side) * -(-targets // self.side)


def forward_tile(cells: int, itemsize: int, few: bool = False, adds_slices: bool = True) -> ForwardTile:
    """Return the tile for layers with this number of cells, at most `WIDEST`; `few` if there are few blocks.

    Without `adds_slices` a thread has all sources: Numba's simulator lets no threads exchange values.
    """
    groups = -(-cells // COLUMNS)
    most = min(MOST_THREADS // groups, -(-cells // 2), 8) if adds_slices else 1
    slices = 1 << (most.bit_length() - 1)
    chunks = -(-cells // (slices * (8 if itemsize == 4 else 4)))
    steps = -(-cells // (slices * chunks))
    tile = ForwardTile(cells, ROWS // 2 if few else ROWS, slices, steps)
    if 2 * tile.activities * itemsize > STATIC_SHARED:
        tile = ForwardTile(cells, ROWS // 2, slices, steps)
    return tile


def update_tile(cells: int) -> UpdateTile:
    """Return the tile for a network whose layers have this number of cells."""
    if cells <= 8:
        return UpdateTile(2, 4, 4, 2, SAMPLES // 2, 2)
    vector = math.gcd(cells, 4)
    if cells <= 32:
        return UpdateTile(4, 8, 8, 4, SAMPLES, vector)
    return UpdateTile(8, 8, 16, 4, SAMPLES, vector)


SAMPLES = 32
"""Samples of a block of the update at most."""

SMALLEST = 1e-20
"""Weights of this size and below are always updated: products of their size would not be normal numbers."""

MOST_QUIET = 1 << 20
"""Samples of a batch at most whose sum is known to be too small to change a weight."""


def still_share(variant: Variant, batch: int) -> float:
    """Return the share of the smallest weight that the largest α·s·g·E stays below where a batch changes no weight.

    A sum of `batch` products with activities (or the bias) is then below a quarter of a unit in the last place of each
    weight, also with what rounding adds to it. So each weight plus the sum is the weight, to the bit.
    """
    largest = largest_source(variant)
    return 0.0 if largest is None or batch > MOST_QUIET else float(np.finfo(variant.dtype).eps) / 8 / (batch * largest)


def largest_source(variant: Variant) -> float | None:
    """Return the largest activity that a hidden or an output layer learns from, if there is one."""
    largest = FUNCTIONS[variant.activation].largest
    return max(largest, abs(variant.bias)) if math.isfinite(largest) else None


@dataclass(frozen=True, slots=True)
class Variant:
    """The fields of a network that kernels are compiled for; other sizes are arguments, or in the tile."""

    dtype: str
    n_bias: int
    bias: float
    activation: Activation
    output_activation: Activation
    rms: bool
    outputs: int
    output_cells: int

    @classmethod
    def of(cls, network: Network) -> Variant:
        """Return the variant of a network."""
        numbers = network.dtype, network.n_bias, network.bias
        activations = network.activation, network.output_cells
        return cls(*numbers, *activations, network.rms, network.outputs, len(network.output_signs))
