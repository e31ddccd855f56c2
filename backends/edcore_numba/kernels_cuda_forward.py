"""The CUDA kernels of the forward pass: a block takes a few samples of one head through all layers, in one launch.

All weights are one flat array, in the order of `Network.weight_shapes`. So is a record, which is what an update needs
of a forward pass: x (batch, in_); the activities of the input layer and of the hidden layers (heads, 1 + depth, batch,
cells); those of the output cells (heads, batch, 2).

Indices are unsigned: a signed one costs a test for being negative at each access. Constants are typed: a bare 0.0 is a
float64 on the device (and is not in the simulator). Local arrays stay in registers, as each loop over one has a
constant count and is unrolled. Every barrier is reached by all threads of its block: what decides on the way to one is
the same for all of them. All this holds for the update's kernels too.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from edcore_numba.gpu_tiles import ForwardTile

__all__ = ["ForwardKernels", "forward_kernels"]

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
def forward_kernels(tile: ForwardTile, n_bias: int, dtype: str) -> ForwardKernels:
    """Return the forward pass for networks with layers of this width."""
    plain = _walk(tile, n_bias, dtype, records=False, gathers=False)
    recorded = _walk(tile, n_bias, dtype, records=True, gathers=False)
    gathered = _walk(tile, n_bias, dtype, records=True, gathers=True)

    # What a form has no use for is filled with something of a fitting type, and is never looked at.

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


def _walk(tile: ForwardTile, n_bias: int, dtype: str, records: bool, gathers: bool) -> Any:
    """Return what a block does: a few samples of one head go through all layers.

    The weights come in chunks, through two sets of registers: while one chunk is computed with, the next is on its way,
    across the borders of layers. The activities of the samples stay in shared memory.
    """
    real = np.dtype(dtype).type
    zero, one = real(0), real(1)
    even = tile.even
    n_own, n_weights, n_sums = tile.per_thread, tile.steps * tile.columns, tile.rows * tile.columns
    n_biases, n_loaded = n_own * n_bias, -(-tile.rows * tile.chunk // tile.threads)
    n_activities, n_parts = tile.rows * tile.pitch, tile.rows * tile.slices * tile.part_pitch
    cells, rows, columns, groups, slices, steps = map(
        U, (tile.cells, tile.rows, tile.columns, tile.groups, tile.slices, tile.steps)
    )
    threads, chunk, chunks, pitch = map(U, (tile.threads, tile.chunk, tile.chunks, tile.pitch))
    part_pitch, own, per_stage, biases = map(U, (tile.part_pitch, n_own, n_loaded, n_bias))

    @cuda.jit(device=True)
    def sigmoid(t):
        e = math.exp(-abs(t))  # never overflows, and a NaN stays one
        return (one if t >= zero else e) / (one + e)

    if gathers:

        @cuda.jit(device=True)
        def learns(learning, head):
            return learning[head] != 0

        @cuda.jit(device=True)
        def sample(order, row):
            return U(order[row])

        @cuda.jit(device=True)
        def result(errors, target, order, row, head, y):
            errors[row, head] = target[U(order[row]), head] - y

    else:

        @cuda.jit(device=True)
        def learns(learning, head):
            return True

        @cuda.jit(device=True)
        def sample(order, row):
            return row

        @cuda.jit(device=True)
        def result(outputs, target, order, row, head, y):
            outputs[row, head] = y

    @cuda.jit(device=True)
    def fetch_weights(w, weights, q, input_chunks, sources, hidden_at, head, depth, t):
        if q < input_chunks:
            base = (head * sources + q * chunk) * cells
            left = sources - q * chunk
        else:
            within = (q - input_chunks) % chunks * chunk
            base = hidden_at + ((head * depth + (q - input_chunks) // chunks) * cells + within) * cells
            left = cells - within
        first = t // groups * steps
        at = base + first * cells + t % groups
        if even and left >= chunk:
            for k in range(steps):
                for m in range(columns):
                    w[k * columns + m] = weights[at + k * cells + m * groups]
        else:
            for k in range(steps):
                for m in range(columns):
                    inside = first + k < left and t % groups + m * groups < cells
                    w[k * columns + m] = weights[at + k * cells + m * groups] if inside else zero

    @cuda.jit(device=True)
    def fetch_biases(b, weights, q, input_chunks, sources, hidden_at, head, depth, heads, t):
        if q < input_chunks:
            base = heads * sources * cells + head * biases * cells
        else:
            layer = head * depth + (q - input_chunks) // chunks
            base = hidden_at + heads * depth * cells * cells + layer * biases * cells
        for e in range(own):
            j = (t + e * threads) % pitch
            for n in range(biases):
                b[e * biases + n] = weights[base + n * cells + j] if even or j < cells else zero

    @cuda.jit(device=True)
    def stage_x(ys, x, order, record, q, features, head, row0, batch, start, t):
        # All loads are sent off before the first is waited for; those of nothing go to a place that exists.
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

    @cuda.jit(device=True)
    def activate(ys, parts, b, record, record_at, row0, batch, scale, t):
        # Step by step for all cells of the thread, so that one cell's step is computed while another's is on its way.
        y = cuda.local.array(n_own, real)
        for e in range(own):
            at = t + e * threads
            r, j = at // pitch, at % pitch
            inside = even or (r < rows and j < cells)
            part = r * slices * part_pitch + j if inside else U0
            z = zero
            for s in range(slices):
                z += parts[part + s * part_pitch]
            for n in range(biases):
                z += b[e * biases + n]
            y[e] = z * scale
        for e in range(own):
            y[e] = sigmoid(y[e])
        for e in range(own):
            at = t + e * threads
            r, j = at // pitch, at % pitch
            if even or r < rows:
                ys[at] = y[e] if even or j < cells else zero
                if records and (even or j < cells) and row0 + r < batch:
                    record[record_at + (row0 + r) * cells + j] = y[e]

    @cuda.jit(device=True)
    def compute(
        w, b, sums, ys, parts, weights, x, order, record, q, n, input_chunks, features, hidden_at, head, heads, depth,
        row0, batch, start, scale, t,
    ):  # fmt: skip
        if q < input_chunks:
            stage_x(ys, x, order, record, q, features, head, row0, batch, start, t)
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
            fetch_weights(w, weights, q + U2, input_chunks, U2 * features, hidden_at, head, depth, t)
        if last:
            for r in range(rows):
                for m in range(columns):
                    parts[(r * slices + t // groups) * part_pitch + t % groups + m * groups] = sums[r * columns + m]
                    sums[r * columns + m] = zero
            cuda.syncthreads()
            record_at = batch * features + (head * (depth + U1) + layer) * batch * cells
            activate(ys, parts, b, record, record_at, row0, batch, scale, t)
        if q + U2 < n:
            fetch_biases(b, weights, q + U2, input_chunks, U2 * features, hidden_at, head, depth, heads, t)
        # Nobody reads the sources any more: in an input layer for the next chunk, else for the next layer. Between the
        # chunks of a hidden layer nothing is written, and nobody waits.
        if last or q < input_chunks:
            cuda.syncthreads()

    @cuda.jit(device=True)
    def walk(weights, x, target, order, learning, results, record, features, depth, batch, start, scale):
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
        if head != U0 and not learns(learning, head):  # head 0 records x, for all heads
            return
        sources = U2 * features
        input_chunks = (sources + chunk - U1) // chunk
        n = input_chunks + depth * chunks
        hidden_at = heads * (sources + biases) * cells
        for a in range(rows * columns):
            sums[a] = zero
        fetch_weights(w, weights, U0, input_chunks, sources, hidden_at, head, depth, t)
        fetch_biases(b, weights, U0, input_chunks, sources, hidden_at, head, depth, heads, t)
        if n > U1:
            fetch_weights(w_next, weights, U1, input_chunks, sources, hidden_at, head, depth, t)
            fetch_biases(b_next, weights, U1, input_chunks, sources, hidden_at, head, depth, heads, t)
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
        for e in range(t, U2 * rows, threads):
            row = row0 + e // U2
            z = zero
            for i in range(cells):
                z += ys[e // U2 * pitch + i] * weights[output_at + (head * cells + i) * U2 + e % U2]
            for m in range(biases):
                z += weights[output_at + (heads * cells + head * biases + m) * U2 + e % U2]
            y = sigmoid(z * scale)
            if row < batch:
                if records:
                    record[record_at + (head * batch + row) * U2 + e % U2] = y
                if e % U2 == U0:
                    result(results, target, order, start + row, head, y)

    return walk
