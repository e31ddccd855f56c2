"""The CUDA kernel of the update, for all layers at once. `kernels_forward` describes arrays and rules of both."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from edcore_numba.gpu.compiler import cuda
from edcore_numba.gpu.device_functions import slope
from edcore_numba.gpu.tiles import UpdateTile, Variant

U = np.uint64
U0, U1, U2 = U(0), U(1), U(2)


@cache
def update_kernel(tile: UpdateTile, variant: Variant, split: bool, floor: float | None) -> Any:
    """Return the update of all layers in one launch: a block for each head, layer and tile of its weight matrix.

    A block sums over the whole batch by itself, without atomic operations: so the order of each sum is always the same.
    Loads of one array are issued before the first is waited for. Those of activities and errors outside the layer or
    the batch read some place inside, unused; of the weights, which other threads write, a thread reads its own alone.
    """
    real = np.dtype(variant.dtype).type
    zero, bias = real(0), real(variant.bias)
    n_bias, rms = variant.n_bias, variant.rms
    n_sums, n_staged, n_activities = tile.per_source * tile.per_target, tile.staged, tile.samples * tile.side
    side, samples, rows, staged = map(U, (tile.side, tile.samples, tile.rows, tile.staged))
    source_groups, target_groups, per_source, per_target, biases = map(
        U, (tile.source_groups, tile.target_groups, tile.per_source, tile.per_target, n_bias)
    )
    outputs, output_cells, output_across = map(
        U, (variant.outputs, variant.output_cells, tile.tiles(1, variant.output_cells))
    )
    inner_slope, output_slope = (slope(name, variant.dtype) for name in (variant.activation, variant.output_activation))

    @cuda.jit(device=True)
    def credit(error, excitatory):  # the part of an error that a weight of a source of this sign learns from
        if excitatory:
            return zero if error < zero else error  # a NaN stays one
        return zero if error > zero else error

    @cuda.jit(device=True)
    def add(weight, change):
        return weight + change if change != zero else weight  # −0 + 0 has other bits than −0

    if floor is None:

        @cuda.jit(device=True)
        def clamped(weight, positive):
            return weight

    else:
        least, most = real(floor), real(-floor)

        @cuda.jit(device=True)
        def clamped(weight, positive):  # a NaN stays one
            if positive:
                return least if weight < least else weight
            return most if weight > most else weight

    @cuda.jit
    def update(weights, record, errors, learning, features_, cells_, depth_, batch_, start_, rate, rate_output):
        xs = cuda.shared.array(n_activities, real)
        ds = cuda.shared.array(n_activities, real)
        x = cuda.local.array(n_staged, real)
        y = cuda.local.array(n_staged, real)
        slopes = cuda.local.array(n_staged, real)
        error = cuda.local.array(n_staged, real)
        sums = cuda.local.array(n_sums, real)
        w = cuda.local.array(n_sums, real)
        bias_sums = cuda.local.array(n_bias, real)
        t, batch, start = U(cuda.threadIdx.x), U(batch_), U(start_)
        features, cells, depth, heads = U(features_), U(cells_), U(depth_), U(learning.size)
        input_tiles = (U2 * features + side - U1) // side
        cell_tiles = (cells + side - U1) // side
        head_tiles = input_tiles * cell_tiles + depth * cell_tiles * cell_tiles + cell_tiles * output_across
        head = U(cuda.blockIdx.x) // head_tiles
        q = U(cuda.blockIdx.x) % head_tiles
        if learning[head] == 0:
            return
        # The block's layer: its sizes, and the places of its weights and of its sources' and targets' activities.
        hidden_at = heads * (U2 * features + biases) * cells
        output_at = hidden_at + heads * depth * (cells + biases) * cells
        layers_at = batch * features + head * (depth + U1) * batch * cells
        is_output = q >= head_tiles - cell_tiles * output_across
        sources, wrap, source_half, source_pitch = cells, cells, cells // U2, cells
        targets, target_half, alpha, across = cells, cells // U2, rate, cell_tiles
        if q < input_tiles * cell_tiles:
            sources, wrap, source_half, source_pitch = U2 * features, features, features, features
            weight_at = head * sources * cells
            bias_at = (heads * sources + head * biases) * cells
            source_at = U0
            target_at = layers_at
        elif not is_output:
            layer = (q - input_tiles * cell_tiles) // (cell_tiles * cell_tiles)
            q = (q - input_tiles * cell_tiles) % (cell_tiles * cell_tiles)
            weight_at = hidden_at + (head * depth + layer) * cells * cells
            bias_at = hidden_at + (heads * depth * cells + (head * depth + layer) * biases) * cells
            source_at = layers_at + layer * batch * cells
            target_at = source_at + batch * cells
        else:
            q -= head_tiles - cell_tiles * output_across
            targets, target_half, alpha, across = output_cells, outputs, rate_output, output_across
            weight_at = output_at + head * cells * output_cells
            bias_at = output_at + (heads * cells + head * biases) * output_cells
            source_at = layers_at + depth * batch * cells
            target_at = batch * features + (heads * (depth + U1) * cells + head * output_cells) * batch
        i0 = q // across * side
        j0 = q % across * side

        thread_i, thread_j = t // target_groups, t % target_groups

        # A thread loads one source and one target into shared memory, for every rows-th sample of a part of the batch.
        column, row = t % side, t // side
        i, j = i0 + column, j0 + column
        i_inside, j_inside, excitatory = i < sources, j < targets, i < source_half
        factor = alpha if j < target_half else -alpha
        teacher = head * outputs + (j if j < target_half else j - target_half) % outputs
        source_at += (i if i < wrap else i - wrap) if i_inside else U0
        target_at += j if j_inside else U0
        slope_at = target_at if is_output else target_at + heads * ((depth + U1) * cells + output_cells) * batch
        for a in range(per_source * per_target):
            sums[a] = zero
        for n in range(biases):
            bias_sums[n] = zero
        for first in range(U0, batch, samples):
            for u in range(staged):
                b = first + row + u * rows
                b = b if b < batch else U0
                x[u] = record[source_at + b * source_pitch]
                y[u] = record[target_at + b * targets]
                if rms:
                    slopes[u] = record[slope_at + b * targets]
                error[u] = errors[start + b, teacher]
            for u in range(staged):
                in_batch = first + row + u * rows < batch
                g = output_slope(y[u]) if is_output else inner_slope(y[u])
                if rms and not is_output:
                    g *= slopes[u]
                d = g * factor if j_inside and in_batch else zero
                e = error[u] if in_batch else zero
                if split:
                    for n in range(biases):
                        bias_sums[n] += credit(e, n == U0) * d
                    x[u] *= credit(e, excitatory)
                else:
                    d *= e
                    for n in range(biases):
                        bias_sums[n] += d
                at = (row + u * rows) * side + column
                xs[at] = x[u] if i_inside and in_batch else zero
                ds[at] = d
            cuda.syncthreads()
            for s in range(samples):
                for n in range(per_target):
                    d = ds[s * side + thread_j + n * target_groups]
                    for m in range(per_source):
                        sums[m * per_target + n] += xs[s * side + thread_i + m * source_groups] * d
            cuda.syncthreads()

        for a in range(per_source * per_target):
            i, j = i0 + thread_i + a // per_target * source_groups, j0 + thread_j + a % per_target * target_groups
            w[a] = weights[weight_at + i * targets + j] if i < sources and j < targets else zero
        for a in range(per_source * per_target):
            i, j = i0 + thread_i + a // per_target * source_groups, j0 + thread_j + a % per_target * target_groups
            if i < sources and j < targets:
                positive = (i < source_half) == (j < target_half)
                weights[weight_at + i * targets + j] = clamped(add(w[a], sums[a]), positive)
        if i0 == U0:
            for n in range(biases):
                ds[(n * rows + row) * side + column] = bias_sums[n]
            cuda.syncthreads()
            if row == U0 and j_inside:
                for n in range(biases):
                    change = zero
                    for s in range(rows):
                        change += ds[(n * rows + s) * side + column]
                    at = bias_at + n * targets + j0 + column
                    weights[at] = add(weights[at], bias * change)

    return update
