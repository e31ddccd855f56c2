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
from edcore_numba.gpu.device_functions import activity, sample_access, weight_loads
from edcore_numba.gpu.tiles import ForwardTile, Variant

U = np.uint64
U0, U1, U2 = U(0), U(1), U(2)


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

    The weights are loaded in chunks, into two sets of registers in turn: while one chunk is used, the next is on its
    way, across the borders of layers too. The activities of the samples stay in shared memory.
    """
    real = np.dtype(variant.dtype).type
    zero, bias = real(0), real(variant.bias)
    n_weights, n_biases, n_sums = tile.steps * tile.columns, tile.per_thread * variant.n_bias, tile.rows * tile.columns
    n_activities, n_parts = tile.rows * tile.pitch, tile.rows * tile.slices * tile.part_pitch
    cells, rows, columns, groups, slices, steps = map(
        U, (tile.cells, tile.rows, tile.columns, tile.groups, tile.slices, tile.steps)
    )
    threads, chunk, chunks, pitch, part_pitch = map(
        U, (tile.threads, tile.chunk, tile.chunks, tile.pitch, tile.part_pitch)
    )
    biases, outputs, output_cells = map(U, (variant.n_bias, variant.outputs, variant.output_cells))

    learns, sample, write_result = sample_access(gathers)
    load_weights, load_biases = weight_loads(tile, variant.n_bias, variant.dtype)
    load_x = _load_of_x(tile, variant.dtype, records, sample)
    activate = _activation(tile, variant, records)
    output_activity = activity(variant.output_activation, variant.dtype)

    @cuda.jit(device=True)
    def compute(
        w, b, sums, ys, parts, weights, x, order, record, q, n, input_chunks, features, hidden_at, head, heads, depth,
        row0, batch, start, scale, t,
    ):  # fmt: skip
        if q < input_chunks:
            load_x(ys, x, order, record, q, features, head, row0, batch, start, t)
            cuda.syncthreads()
            first = t // groups * steps
            layer = U0
            last = q + U1 == input_chunks
        else:
            within = (q - input_chunks) % chunks
            first = within * chunk + t // groups * steps
            layer = (q - input_chunks) // chunks + U1
            last = within + U1 == chunks
        for k in range(steps):
            for r in range(rows):
                y = ys[r * pitch + first + k]
                for m in range(columns):
                    sums[r * columns + m] += y * w[k * columns + m]
        if q + U2 < n:
            load_weights(w, weights, q + U2, input_chunks, U2 * features, hidden_at, head, depth, t)
        if last:
            for r in range(rows):
                for m in range(columns):
                    parts[(r * slices + t // groups) * part_pitch + t % groups + m * groups] = sums[r * columns + m]
                    sums[r * columns + m] = zero
            cuda.syncthreads()
            record_at = batch * features + (head * (depth + U1) + layer) * batch * cells
            slope_at = record_at + heads * ((depth + U1) * cells + output_cells) * batch
            activate(ys, parts, b, record, record_at, slope_at, row0, batch, scale, t)
        if q + U2 < n:
            load_biases(b, weights, q + U2, input_chunks, U2 * features, hidden_at, head, depth, heads, t)
        # Now all threads have read the sources: in the input layer the next chunk of x may replace them, after a layer
        # its own activities have. Between the chunks of a hidden layer nothing is written, and no thread waits.
        if last or q < input_chunks:
            cuda.syncthreads()

    @cuda.jit(device=True)
    def forward_pass(weights, x, target, order, learning, results, record, features, depth, batch, start, scale):
        ys = cuda.shared.array(n_activities, real)
        parts = cuda.shared.array(n_parts, real)
        w = cuda.local.array(n_weights, real)
        w_next = cuda.local.array(n_weights, real)
        b = cuda.local.array(n_biases, real)
        b_next = cuda.local.array(n_biases, real)
        sums = cuda.local.array(n_sums, real)
        t = U(cuda.threadIdx.x)
        tiles = (batch + rows - U1) // rows
        heads = U(cuda.gridDim.x) // tiles
        head = U(cuda.blockIdx.x) // tiles
        row0 = U(cuda.blockIdx.x) % tiles * rows
        if head != U0 and not learns(learning, head):  # head 0 records x for all heads, also once it has stopped
            return
        sources = U2 * features
        input_chunks = (sources + chunk - U1) // chunk
        n = input_chunks + depth * chunks
        hidden_at = heads * (sources + biases) * cells
        for a in range(rows * columns):
            sums[a] = zero
        load_weights(w, weights, U0, input_chunks, sources, hidden_at, head, depth, t)
        load_biases(b, weights, U0, input_chunks, sources, hidden_at, head, depth, heads, t)
        if n > U1:
            load_weights(w_next, weights, U1, input_chunks, sources, hidden_at, head, depth, t)
            load_biases(b_next, weights, U1, input_chunks, sources, hidden_at, head, depth, heads, t)
        for q in range(U0, n, U2):
            compute(
                w, b, sums, ys, parts, weights, x, order, record, q, n, input_chunks, features, hidden_at, head, heads,
                depth, row0, batch, start, scale, t,
            )  # fmt: skip
            if q + U1 < n:
                compute(
                    w_next, b_next, sums, ys, parts, weights, x, order, record, q + U1, n, input_chunks, features,
                    hidden_at, head, heads, depth, row0, batch, start, scale, t,
                )  # fmt: skip
        output_at = hidden_at + heads * depth * (cells + biases) * cells
        record_at = batch * features + heads * (depth + U1) * batch * cells
        for e in range(t, output_cells * rows, threads):
            row, cell = row0 + e // output_cells, e % output_cells
            z = zero
            for i in range(cells):
                z += ys[e // output_cells * pitch + i] * weights[output_at + (head * cells + i) * output_cells + cell]
            for m in range(biases):
                z += bias * weights[output_at + (heads * cells + head * biases + m) * output_cells + cell]
            y = output_activity(z, scale)
            if row < batch:
                if records:
                    record[record_at + (head * batch + row) * output_cells + cell] = y
                if cell < outputs:
                    write_result(results, target, order, start + row, head * outputs + cell, y)

    return forward_pass


def _load_of_x(tile: ForwardTile, dtype: str, records: bool, sample: Any) -> Any:
    """Return the device function that loads a chunk of x into shared memory; `sample` looks up rows of x."""
    real = np.dtype(dtype).type
    zero = real(0)
    n_loaded = -(-tile.rows * tile.chunk // tile.threads)
    rows, threads, chunk, pitch, per_stage = map(U, (tile.rows, tile.threads, tile.chunk, tile.pitch, n_loaded))

    @cuda.jit(device=True)
    def load_x(ys, x, order, record, q, features, head, row0, batch, start, t):
        # All loads are issued before the first is waited for; those outside x read some place inside, unused.
        loaded = cuda.local.array(n_loaded, real)
        for u in range(per_stage):
            e = t + u * threads
            row, i = row0 + e // chunk, q * chunk + e % chunk
            inside = e < rows * chunk and row < batch and i < U2 * features
            column = (i if i < features else i - features) if inside else U0
            loaded[u] = x[sample(order, start + (row if inside else row0)), column]
        for u in range(per_stage):
            e = t + u * threads
            row, i = row0 + e // chunk, q * chunk + e % chunk
            if e < rows * chunk:
                inside = row < batch and i < U2 * features
                ys[e // chunk * pitch + e % chunk] = loaded[u] if inside else zero
                if records and head == U0 and inside and i < features:
                    record[row * features + i] = loaded[u]

    return load_x


def _activation(tile: ForwardTile, variant: Variant, records: bool) -> Any:
    """Return the device function that turns a layer's partial sums into activities, and records them."""
    real = np.dtype(variant.dtype).type
    zero, one, bias = real(0), real(1), real(variant.bias)
    even, rms, n_cells = tile.even, variant.rms, tile.per_thread
    cells, rows, slices, pitch, part_pitch = map(U, (tile.cells, tile.rows, tile.slices, tile.pitch, tile.part_pitch))
    threads, per_thread, biases, lanes = map(U, (tile.threads, n_cells, variant.n_bias, tile.lanes))
    count, eps = real(tile.cells), real(RMS_EPS)
    f = activity(variant.activation, variant.dtype)

    @cuda.jit(device=True)
    def divide(y, slopes, ys, parts, t):
        # A few threads for each row add up squares, then each thread with a cell there adds up their sums: always in
        # the same order, so that bits are the same each time. All threads of the block meet twice.
        for e in range(per_thread):
            at = t + e * threads
            if even or at < rows * pitch:
                ys[at] = y[e] if even or at % pitch < cells else zero
        cuda.syncthreads()
        for lane in range(t, rows * lanes, threads):
            total = zero
            for j in range(lane % lanes, cells, lanes):
                a = ys[lane // lanes * pitch + j]
                total += a * a
            parts[lane] = total
        cuda.syncthreads()
        for e in range(per_thread):
            at = t + e * threads
            first = at // pitch * lanes if even or at < rows * pitch else U0
            total = zero
            for lane in range(lanes):
                total += parts[first + lane]
            root = math.sqrt(total / count + eps)
            root += zero * root  # NaN where squares overflow
            y[e] /= root
            slopes[e] = (one - y[e] * y[e] / count) / root

    @cuda.jit(device=True)
    def activate(ys, parts, b, record, record_at, slope_at, row0, batch, scale, t):
        # Each step for all cells of the thread before the next: one cell's step runs while another's waits.
        y = cuda.local.array(n_cells, real)
        slopes = cuda.local.array(n_cells, real)
        for e in range(per_thread):
            at = t + e * threads
            r, j = at // pitch, at % pitch
            inside = even or (r < rows and j < cells)
            part = r * slices * part_pitch + j if inside else U0
            z = zero
            for s in range(slices):
                z += parts[part + s * part_pitch]
            for n in range(biases):
                z += bias * b[e * biases + n]
            y[e] = z
        if rms:
            divide(y, slopes, ys, parts, t)
        for e in range(per_thread):
            y[e] = f(y[e], scale)
        for e in range(per_thread):
            at = t + e * threads
            r, j = at // pitch, at % pitch
            if even or r < rows:
                ys[at] = y[e] if even or j < cells else zero
                if records and (even or j < cells) and row0 + r < batch:
                    record[record_at + (row0 + r) * cells + j] = y[e]
                    if rms:
                        record[slope_at + (row0 + r) * cells + j] = slopes[e]

    return activate
