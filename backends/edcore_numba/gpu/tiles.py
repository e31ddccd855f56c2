"""The sizes of the GPU's thread blocks. They depend on the network alone, so that bits are the same each time."""

from __future__ import annotations

from dataclasses import dataclass

from edcore.core.activations import Activation
from edcore.core.network import Network

STATIC_SHARED = 48 * 1024
"""Bytes of shared memory that a block gets on any CUDA device without asking for more."""

BANKS = 32
"""Banks of shared memory. Threads of a warp that use the same one wait for each other."""

COLUMNS = 4
"""Targets of a thread: each activity that it reads is used for all of them."""

MOST_THREADS = 256
"""Threads of a block at most: each may then have 255 registers, the most that a thread can have."""

WIDEST = COLUMNS * MOST_THREADS
"""Cells of the widest layer that fits a block."""

ACTIVATIONS = ("sigmoid", "tanh", "relu", "relu6", "linear")
"""The activations that the kernels have, see `device_functions`."""


@dataclass(frozen=True, slots=True)
class ForwardTile:
    """One block of the forward pass: `rows` samples of one head through all layers.

    Thread t holds the weights from `steps` sources (of slice t // groups) to `columns` targets (t % groups and every
    groups-th after it). Slices are added up in shared memory.
    """

    cells: int
    rows: int
    columns: int
    groups: int
    slices: int
    steps: int

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.groups * self.slices

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
        """Activities from one row to the next; those beyond the cells are 0."""
        return self.chunks * self.chunk

    @property
    def part_pitch(self) -> int:
        """Partial sums from one slice to the next, padded so that slices in a warp write to different banks."""
        padding = -(self.columns - 1) * self.groups % BANKS if self.groups < BANKS else 0
        return self.columns * self.groups + padding

    @property
    def per_thread(self) -> int:
        """Activities that a thread finishes, at most."""
        return -(-self.rows * self.pitch // self.threads)

    @property
    def shared(self) -> int:
        """Values in shared memory: activities and partial sums."""
        return self.rows * (self.pitch + self.slices * self.part_pitch)

    @property
    def lanes(self) -> int:
        """Partial sums of a row's squares under rms: about the root of the cells, so that both steps are short."""
        return 1 << self.cells.bit_length() // 2

    @property
    def even(self) -> bool:
        """Whether the threads cover a layer exactly, so that none has to test whether its place is inside."""
        covered = self.columns * self.groups == self.cells == self.pitch
        return covered and self.rows * self.pitch % self.threads == 0


@dataclass(frozen=True, slots=True)
class UpdateTile:
    """One block of the update: `side` sources × `side` targets of a layer of one head, `samples` at a time.

    Thread t holds per_source × per_target weights: those of every source_groups-th source and target_groups-th target.
    """

    source_groups: int
    per_source: int
    target_groups: int
    per_target: int
    samples: int

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


def forward_tile(cells: int, itemsize: int) -> ForwardTile:
    """Return the tile for layers with this number of cells, at most `WIDEST`."""
    columns = min(COLUMNS, cells)
    groups = -(-cells // columns)
    most_slices = min(MOST_THREADS // groups, -(-cells // 2), 8)
    slices = 1 << (most_slices.bit_length() - 1)
    steps = min(-(-cells // slices), 8 if itemsize == 4 else 4)
    tiles = (ForwardTile(cells, rows, columns, groups, slices, steps) for rows in (4, 2, 1))
    return next(tile for tile in tiles if tile.shared * itemsize <= STATIC_SHARED)


def update_tile(cells: int) -> UpdateTile:
    """Return the tile for a network whose layers have this number of cells."""
    if cells <= 8:
        return UpdateTile(2, 4, 4, 2, 16)
    if cells <= 32:
        return UpdateTile(4, 8, 8, 4, 32)
    return UpdateTile(8, 8, 16, 4, 32)


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
        activations = network.activation, network.output_activation
        return cls(*numbers, *activations, network.rms, network.outputs, len(network.output_signs))
