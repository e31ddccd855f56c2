"""The CUDA kernels of the forward pass: a block takes a few samples of one head through all layers, in one launch.

All weights are one flat array, in the order of `Network.weight_shapes`. A record, which an update reads, is another:
x (batch, in_); the activities of the input layer and of the hidden layers (heads, 1 + depth, batch, cells); those of
the output cells (heads, batch, output cells); and under rms the slopes of the input and hidden layers, in the shape of
their activities.

Four rules hold here and in the kernels of the update:

- Indices are unsigned: a signed one costs a test for being negative at each access.
- Constants are typed: a bare 0.0 is a float64 on the device (and is not in the simulator).
- Each loop over a local array has a constant count: so it is unrolled, and the array stays in registers.
- All threads of a block reach each barrier: the conditions on the way to one are the same for all of them.

A function that uses `cuda` at run time stands in the module of its kernel. There the simulator keeps its own `cuda` in
place until the kernel ends; in another module, only until the first of its threads returns from there.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from edcore.contract.compilation import say_compiling
from edcore.core.method import RMS_EPS
from edcore_numba.gpu.compiler import cuda
from edcore_numba.gpu.device_functions import activity, sample_access, vector_width, weight_loads
from edcore_numba.gpu.tiles import CHUNKS_AHEAD, COLUMNS, LINE, WARP, ForwardTile, Variant
from edcore_numba.gpu.vectors import prefetch

U = np.uint64
U0, U1, U2 = U(0), U(1), U(2)
targets, warp = U(COLUMNS), U(WARP)

ALL_LANES = 0xFFFFFFFF
"""The mask of an exchange of all threads of a warp."""

WEIGHTS, CHUNK, AHEAD, BIASES, RECORD, SOURCES, USED = map(U, range(7))
"""What steps on from layer to layer: the places of the weights, of the chunk of them and of the biases that are loaded
next; of what is brought to the cache; of the record; of the activities in shared memory, and the chunk in use."""

STEPPING = 7


class ForwardKernels(NamedTuple):
    """The forward pass in three forms with the same arithmetic, and so with the same bits."""

    forward: Any
    """Outputs alone."""

    trace: Any
    """Outputs and a record."""

    step: Any
    """A record and errors, for the samples that an order names."""


@cache
def forward_kernels(tile: ForwardTile, variant: Variant) -> ForwardKernels:
    """Return the forward pass for networks of this variant with layers of this width."""
    say_compiling("numba for CUDA", kept=False)  # at its first launch, which the update's follows
    plain = _forward_pass(tile, variant, records=False, gathers=False)
    recorded = _forward_pass(tile, variant, records=True, gathers=False)
    gathered = _forward_pass(tile, variant, records=True, gathers=True)

    # An argument that a form does not use is some array of a fitting type, and is never read.

    @cuda.jit
    def forward(weights, x, outputs, features, depth, batch, scale):
        plain(weights, x, x, x, x, outputs, weights, U(features), U(depth), U(batch), U0, scale)

    @cuda.jit
    def trace(weights, x, outputs, record, features, depth, batch, scale):
        recorded(weights, x, x, x, x, outputs, record, U(features), U(depth), U(batch), U0, scale)

    @cuda.jit
    def step(weights, x, target, order, learning, errors, record, features, depth, batch, start, scale):
        gathered(weights, x, target, order, learning, errors, record, U(features), U(depth), U(batch), U(start), scale)

    return ForwardKernels(forward, trace, step)


def _forward_pass(tile: ForwardTile, variant: Variant, records: bool, gathers: bool) -> Any:
    """Return the device function that takes a few samples of one head through all layers.

    The activities of the samples stay in shared memory: a layer reads those of the layer below, and writes its own
    beside them. So a barrier after each layer is enough. The weights of hidden layers are loaded in chunks, into two
    sets of registers in turn: while one chunk is used, the next is on its way, across the borders of layers too. Two
    chunks are loaded after the last, and not used: the array of the weights ends with room for them.
    """
    real = np.dtype(variant.dtype).type
    zero, bias = real(0), real(variant.bias)
    n_weights, n_biases = tile.steps * COLUMNS, min(tile.per_thread, COLUMNS) * variant.n_bias
    n_sums, n_activities = tile.sums, 2 * tile.activities
    even, rms, one_chunk, n_squares = tile.even, variant.rms, tile.chunks == 1, tile.rows * tile.squares
    cells, rows, slices, lanes, steps, per_thread = map(
        U, (tile.cells, tile.rows, tile.slices, tile.lanes, tile.steps, tile.per_thread)
    )
    threads, chunk, chunks, pitch, layer_size = map(
        U, (tile.threads, tile.chunk, tile.chunks, tile.pitch, tile.activities)
    )
    biases, outputs, output_cells, loaded_biases = map(
        U, (variant.n_bias, variant.outputs, variant.output_cells, n_biases)
    )
    ahead, line = map(U, (CHUNKS_AHEAD, LINE // real().itemsize))
    width, vectors = map(U, (vector_width(tile, variant.dtype), COLUMNS // vector_width(tile, variant.dtype)))

    learns, sample, write_result = sample_access(gathers)
    load_inside, load_tested = weight_loads(tile, variant.dtype)
    to_cache = prefetch()
    load_x = _load_of_x(tile, variant.dtype, records, sample)
    add_slices = _sum_of_slices(tile)
    activate = _activation(tile, variant, records)
    output_activity = activity(variant.output_activation, variant.dtype)

    @cuda.jit(device=True)
    def load_biases(b, weights, at, column):
        for e in range(loaded_biases):
            j = column + e // biases
            b[e] = weights[at + e % biases * cells + (j if even or j < cells else U0)]

    @cuda.jit(device=True)
    def multiply(sums, ys, w, first):
        for k in range(steps):
            for r in range(rows):
                y = ys[first + r * pitch + k]
                for m in range(targets):
                    sums[r * targets + m] += y * w[k * targets + m]

    @cuda.jit(device=True)
    def fetch(w, b, weights, place, columns, part, column):
        if even:
            load_inside(w, weights, place[WEIGHTS] + place[CHUNK] * chunk * cells)
        else:
            load_tested(w, weights, place[WEIGHTS], place[CHUNK] * chunk + part * steps, columns, cells)
        place[CHUNK] += U1
        if place[CHUNK] == chunks:
            place[CHUNK] = U0
            place[WEIGHTS] += cells * cells
        if one_chunk:
            load_biases(b, weights, place[BIASES], column)
            place[BIASES] += biases * cells

    @cuda.jit(device=True)
    def compute(
        w, b, w_next, b_next, sums, ys, squares, weights, record, place, columns, slopes_at, part, row, column, left,
        batch, scale, t,
    ):  # fmt: skip
        fetch(w_next, b_next, weights, place, columns, part, column)
        if slices > U1:  # threads are whole warps
            cuda.syncwarp()  # nothing waits for it: without it, the assembler moves these loads behind the products
        multiply(sums, ys, w, place[SOURCES] + place[USED] * chunk + part * steps)
        if not one_chunk and place[USED] == U0:
            load_biases(b, weights, place[BIASES], column)
            place[BIASES] += biases * cells
        to_cache(weights, place[AHEAD])
        place[AHEAD] += chunk * cells
        place[USED] += U1
        if place[USED] == chunks:
            place[USED] = U0
            place[AHEAD] -= (chunks * chunk - cells) * cells  # the last chunk of a layer is smaller
            place[SOURCES] = layer_size - place[SOURCES]
            add_slices(sums, part)
            activate(
                ys, squares, sums, b, record, place[SOURCES], place[RECORD], slopes_at, row, column, left, scale, t
            )
            place[RECORD] += batch * cells
            cuda.syncthreads()

    @cuda.jit(device=True)
    def forward_pass(weights, x, target, order, learning, results, record, features, depth, batch, start, scale):
        ys = cuda.shared.array(n_activities, real)
        squares = cuda.shared.array(n_squares, real) if rms else ys
        w = cuda.local.array(n_weights, real)
        w_next = cuda.local.array(n_weights, real)
        b = cuda.local.array(n_biases, real)
        b_next = cuda.local.array(n_biases, real)
        sums = cuda.local.array(n_sums, real)
        columns = cuda.local.array(COLUMNS, U)
        place = cuda.local.array(STEPPING, U)
        t = U(cuda.threadIdx.x)
        tiles = (batch + rows - U1) // rows
        heads = U(cuda.gridDim.x) // tiles
        head = U(cuda.blockIdx.x) // tiles
        row0 = U(cuda.blockIdx.x) % tiles * rows
        if head != U0 and not learns(learning, head):  # head 0 records x for all heads, also once it has stopped
            return
        part = t % warp // lanes if slices > U1 else U0
        group = t // warp * lanes + t % lanes if slices > U1 else t
        # The first row and the first cell that this thread finishes, and its samples that are in the batch.
        row, column = part * per_thread // targets, group * targets + part * per_thread % targets
        left = batch - row0 - row if row0 + row < batch else U0
        for v in range(vectors):
            j = group * targets + v * width
            columns[v] = j if even or j < cells else U0
        sources = U2 * features
        hidden_at = heads * (sources + biases) * cells
        hidden_biases_at = hidden_at + heads * depth * cells * cells
        slopes_at = heads * ((depth + U1) * cells + output_cells) * batch  # from an activity to its slope
        place[WEIGHTS] = hidden_at + head * depth * cells * cells
        if even:
            place[WEIGHTS] += part * steps * cells + group * targets
        place[AHEAD] = hidden_at + head * depth * cells * cells + ahead * chunk * cells + t * line
        place[CHUNK] = U0
        place[BIASES] = hidden_biases_at + head * depth * biases * cells
        place[RECORD] = batch * features + (head * (depth + U1) * batch + row0 + row) * cells + column
        place[SOURCES] = U0
        place[USED] = U0
        if not even:  # activities beyond the cells are multiplied by weights of 0, and so may not be NaN
            for e in range(t, U2 * layer_size, threads):
                ys[e] = zero
            cuda.syncthreads()
        for a in range(rows * targets):
            sums[a] = zero
        fetch(w, b, weights, place, columns, part, column)
        load_biases(b_next, weights, (heads * sources + head * biases) * cells, column)
        for first in range(U0, sources, chunk):
            load_tested(w_next, weights, head * sources * cells, first + part * steps, columns, sources)
            load_x(ys, x, order, record, first, features, head, row0, batch, start, t)
            cuda.syncthreads()
            multiply(sums, ys, w_next, layer_size + part * steps)
            cuda.syncthreads()
        add_slices(sums, part)
        activate(
            ys, squares, sums, b_next, record, place[SOURCES], place[RECORD], slopes_at, row, column, left, scale, t
        )
        place[RECORD] += batch * cells
        cuda.syncthreads()
        b_odd = b_next if one_chunk else b
        for _ in range(depth * chunks // U2):
            compute(
                w, b, w_next, b_odd, sums, ys, squares, weights, record, place, columns, slopes_at, part, row, column,
                left, batch, scale, t,
            )  # fmt: skip
            compute(
                w_next, b_odd, w, b, sums, ys, squares, weights, record, place, columns, slopes_at, part, row, column,
                left, batch, scale, t,
            )  # fmt: skip
        if depth * chunks % U2:
            compute(
                w, b, w_next, b_odd, sums, ys, squares, weights, record, place, columns, slopes_at, part, row, column,
                left, batch, scale, t,
            )  # fmt: skip
        output_at = hidden_biases_at + heads * depth * biases * cells
        record_at = batch * features + heads * (depth + U1) * batch * cells
        for e in range(t, output_cells * rows, threads):
            row, cell = row0 + e // output_cells, e % output_cells
            first = place[SOURCES] + e // output_cells * pitch
            z = zero
            for i in range(cells):
                z += ys[first + i] * weights[output_at + (head * cells + i) * output_cells + cell]
            for m in range(biases):
                z += bias * weights[output_at + (heads * cells + head * biases + m) * output_cells + cell]
            y = output_activity(z, scale)
            if row < batch:
                if records:
                    record[record_at + (head * batch + row) * output_cells + cell] = y
                if cell < outputs:
                    write_result(results, target, order, start + row, head * outputs + cell, y)

    return forward_pass


def _sum_of_slices(tile: ForwardTile, slices: int = 0, sums: int = 0) -> Any:
    """Return the device function that adds up the sums of all slices, and leaves each thread its share of them.

    Of two threads one gives its half of the sums for the other's, and so on: each sum is added up by one thread.
    """
    slices, sums = slices or tile.slices, sums or tile.sums
    if slices == 1:

        @cuda.jit(device=True)
        def nothing(sums, part):
            pass

        return nothing
    add_halves = _sum_of_slices(tile, slices // 2, sums // 2)
    bit, distance, half = map(U, (slices // 2, slices // 2 * tile.lanes, sums // 2))

    @cuda.jit(device=True)
    def add_slices(sums, part):
        upper = part & bit != U0
        for a in range(half):
            given = sums[a] if upper else sums[half + a]
            kept = sums[half + a] if upper else sums[a]
            sums[a] = kept + cuda.shfl_xor_sync(ALL_LANES, given, distance)
        add_halves(sums, part)

    return add_slices


def _load_of_x(tile: ForwardTile, dtype: str, records: bool, sample: Any) -> Any:
    """Return the device function that loads a chunk of x into shared memory; `sample` looks up rows of x."""
    real = np.dtype(dtype).type
    zero = real(0)
    n_loaded = -(-tile.rows * tile.chunk // tile.threads)
    rows, threads, chunk, pitch, per_stage = map(U, (tile.rows, tile.threads, tile.chunk, tile.pitch, n_loaded))
    layer_size = U(tile.activities)

    @cuda.jit(device=True)
    def load_x(ys, x, order, record, first, features, head, row0, batch, start, t):
        # All loads are issued before the first is waited for; those outside x read some place inside, unused.
        loaded = cuda.local.array(n_loaded, real)
        for u in range(per_stage):
            e = t + u * threads
            row, i = row0 + e // chunk, first + e % chunk
            inside = e < rows * chunk and row < batch and i < U2 * features
            column = (i if i < features else i - features) if inside else U0
            loaded[u] = x[sample(order, start + (row if inside else row0)), column]
        for u in range(per_stage):
            e = t + u * threads
            row, i = row0 + e // chunk, first + e % chunk
            if e < rows * chunk:
                inside = row < batch and i < U2 * features
                ys[layer_size + e // chunk * pitch + e % chunk] = loaded[u] if inside else zero
                if records and head == U0 and inside and i < features:
                    record[row * features + i] = loaded[u]

    return load_x


def _activation(tile: ForwardTile, variant: Variant, records: bool) -> Any:
    """Return the device function that turns a thread's sums into activities, and records them."""
    real = np.dtype(variant.dtype).type
    zero, one, bias = real(0), real(1), real(variant.bias)
    even, rms, n_cells = tile.even, variant.rms, tile.per_thread
    cells, rows, pitch, threads, lanes = map(U, (tile.cells, tile.rows, tile.pitch, tile.threads, tile.squares))
    per_thread, columns, biases = map(U, (n_cells, min(n_cells, COLUMNS), variant.n_bias))
    count, eps = real(tile.cells), real(RMS_EPS)
    f = activity(variant.activation, variant.dtype)

    @cuda.jit(device=True)
    def divide(y, slopes, ys, squares, here, row, column, t):
        # A few threads for each row add up squares, then each thread with a cell there adds up their sums: always in
        # the same order, so that bits are the same each time. All threads of the block meet twice.
        for e in range(per_thread):
            r, j = row + e // targets, column + e % targets
            if even or j < cells:
                ys[here + r * pitch + j] = y[e]
        cuda.syncthreads()
        for lane in range(t, rows * lanes, threads):
            total = zero
            for j in range(lane % lanes, cells, lanes):
                a = ys[here + lane // lanes * pitch + j]
                total += a * a
            squares[lane] = total
        cuda.syncthreads()
        for e in range(per_thread):
            total = zero
            for lane in range(lanes):
                total += squares[(row + e // targets) * lanes + lane]
            root = math.sqrt(total / count + eps)
            root += zero * root  # NaN where squares overflow
            y[e] /= root
            slopes[e] = (one - y[e] * y[e] / count) / root

    @cuda.jit(device=True)
    def activate(ys, squares, sums, b, record, here, record_at, slopes_at, row, column, left, scale, t):
        # Each step for all cells of the thread before the next: one cell's step runs while another's waits.
        y = cuda.local.array(n_cells, real)
        slopes = cuda.local.array(n_cells, real)
        for e in range(per_thread):
            y[e] = sums[e]
            for n in range(biases):
                y[e] += bias * b[e % columns * biases + n]
        for a in range(rows * targets):
            sums[a] = zero
        if rms:
            divide(y, slopes, ys, squares, here, row, column, t)
        for e in range(per_thread):
            y[e] = f(y[e], scale)
        for e in range(per_thread):
            r, m = e // targets, e % targets
            if even or column + m < cells:
                ys[here + (row + r) * pitch + column + m] = y[e]
        for e in range(per_thread):
            r, m = e // targets, e % targets
            if records and r < left and (even or column + m < cells):
                record[record_at + r * cells + m] = y[e]
                if rms:
                    record[record_at + slopes_at + r * cells + m] = slopes[e]

    return activate
