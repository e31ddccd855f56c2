"""The CUDA kernel of the update, for all layers at once. `kernels_forward` describes arrays and rules of both."""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from edcore_numba.gpu.compiler import cuda
from edcore_numba.gpu.device_functions import slope
from edcore_numba.gpu.tiles import SMALLEST, WARP, UpdateTile, Variant, largest_source
from edcore_numba.gpu.vectors import BYTES, vector_copies

U = np.uint64
U0, U1, U2 = U(0), U(1), U(2)
warp = U(WARP)
ZERO = np.uint32(0)
no, yes = np.int32(0), np.int32(1)


@cache
def update_kernel(tile: UpdateTile, variant: Variant, split: bool, floor: float | None, skips: bool = True) -> Any:
    """Return the update of all layers in one launch: a block for each head, layer and tile of its weight matrix.

    A block sums over the whole batch by itself, without atomic operations: so the order of each sum is always the same.
    Loads of one array are issued before the first is waited for. Those of activities outside the layer or the batch
    read some place inside the record, unused; of the weights, which other threads write, a thread reads its own alone.

    `skips` is for tests: a block that would change no bit of its weights returns before it reads them.
    """
    real = np.dtype(variant.dtype).type
    zero, bias, tiny, unknown = real(0), real(variant.bias), real(SMALLEST), real(np.inf)
    n_bias, rms = variant.n_bias, variant.rms
    n_source, n_target, n_staged, n_activities = (
        tile.per_source,
        tile.per_target,
        min(tile.staged, 8),
        tile.samples * tile.side,
    )
    n_sums = n_source * n_target
    n_vector = math.gcd(tile.vector, variant.output_cells, BYTES // real().itemsize)
    side, samples, rows, staged, threads = map(U, (tile.side, tile.samples, tile.rows, n_staged, tile.threads))
    target_groups, per_source, per_target, biases, width = map(
        U, (tile.target_groups, n_source, n_target, n_bias, n_vector)
    )
    outputs, output_cells, output_across = map(
        U, (variant.outputs, variant.output_cells, tile.tiles(1, variant.output_cells))
    )
    skips = skips and largest_source(variant) is not None
    inner_slope, output_slope = (slope(name, variant.dtype) for name in (variant.activation, variant.output_activation))
    load, store = vector_copies(n_vector)

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

    @cuda.jit(device=True)
    def smaller(size, weight):  # NaN counts as 0
        a = abs(weight)
        return size if a >= size else a if a < size else zero

    @cuda.jit
    def update(
        weights, smallest, record, errors, learning, features_, cells_, depth_, batch_, start_, rate, rate_output, still
    ):  # fmt: skip
        xs = cuda.shared.array(n_activities, real)
        ds = cuda.shared.array(n_activities, real)
        x = cuda.local.array(n_staged, real)
        y = cuda.local.array(n_staged, real)
        slopes = cuda.local.array(n_staged, real)
        error = cuda.local.array(n_staged, real)
        sources_used = cuda.local.array(n_source, real)
        targets_used = cuda.local.array(n_target, real)
        sums = cuda.local.array(n_sums, real)
        w = cuda.local.array(n_sums, real)
        bias_sums = cuda.local.array(n_bias, real)
        t, block, batch, start = U(cuda.threadIdx.x), U(cuda.blockIdx.x), U(batch_), U(start_)
        features, cells, depth, heads = U(features_), U(cells_), U(depth_), U(learning.size)
        input_tiles = (U2 * features + side - U1) // side
        cell_tiles = (cells + side - U1) // side
        head_tiles = input_tiles * cell_tiles + depth * cell_tiles * cell_tiles + cell_tiles * output_across
        head = block // head_tiles
        q = block % head_tiles
        if learning[head] == 0:
            return
        # The block's layer: its sizes, and the places of its weights and of its sources' and targets' activities.
        hidden_at = heads * (U2 * features + biases) * cells
        output_at = hidden_at + heads * depth * (cells + biases) * cells
        layers_at = batch * features + head * (depth + U1) * batch * cells
        is_input = q < input_tiles * cell_tiles
        is_output = q >= head_tiles - cell_tiles * output_across
        sources, wrap, source_half, source_pitch = cells, cells, cells // U2, cells
        targets, target_half, alpha, across = cells, cells // U2, rate, cell_tiles
        if is_input:
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

        # A thread loads one source and one target into shared memory, for every rows-th sample of a part of the batch.
        column, row = t % side, t // side
        i, j = i0 + column, j0 + column
        i_inside, j_inside, excitatory = i < sources, j < targets, i < source_half
        factor = alpha if j < target_half else -alpha
        teacher = head * outputs + (j if j < target_half else j - target_half) % outputs
        source_at += row * source_pitch + ((i if i < wrap else i - wrap) if i_inside else U0)
        target_at += row * targets + (j if j_inside else U0)
        # From an activity to its slope; the output's are not read.
        slopes_at = U0 if is_output else heads * ((depth + U1) * cells + output_cells) * batch

        if skips and not is_input:
            limit = smallest[block] * still
            quiet = limit > zero
            for first in range(U0, batch if quiet else U0, samples):
                moves = no
                left = min(batch - first, samples)
                for base in range(U0, left, staged * rows):
                    at = target_at + (first + base) * targets
                    for u in range(staged):
                        y[u] = record[at]
                        if rms:
                            slopes[u] = record[at + slopes_at]
                        at += rows * targets
                        b = np.uint32(base + row + u * rows)
                        error[u] = errors[start + first + U(b if b < np.uint32(left) else ZERO), teacher]
                    for u in range(staged):
                        in_batch = np.uint32(base + row + u * rows) < np.uint32(left)
                        y_used = y[u] if in_batch else zero
                        g = output_slope(y_used) if is_output else inner_slope(y_used)
                        if rms and not is_output:
                            g *= slopes[u]
                        if not abs(g * factor * error[u]) < limit and in_batch and j_inside:  # a NaN changes weights
                            moves = yes
                if cuda.syncthreads_or(moves):
                    quiet = False
                    break
            if quiet:
                return

        for a in range(per_source * per_target):
            sums[a] = zero
        for n in range(biases):
            bias_sums[n] = zero
        for first in range(U0, batch, samples):
            left = min(batch - first, samples)
            for base in range(U0, left, staged * rows):
                for u in range(staged):
                    x[u] = record[source_at]
                    y[u] = record[target_at]
                    if rms:
                        slopes[u] = record[target_at + slopes_at]
                    source_at += rows * source_pitch
                    target_at += rows * targets
                    b = np.uint32(base + row + u * rows)
                    error[u] = errors[start + first + U(b if b < np.uint32(left) else ZERO), teacher]
                for u in range(staged):
                    at = base + row + u * rows
                    in_batch = np.uint32(at) < np.uint32(left)
                    y_used, x_used = y[u] if in_batch else zero, x[u] if i_inside and in_batch else zero
                    e = error[u] if in_batch else zero
                    g = output_slope(y_used) if is_output else inner_slope(y_used)
                    if rms and not is_output:
                        g *= slopes[u] if in_batch else zero
                    d = g * factor
                    if split:
                        for n in range(biases):
                            bias_sums[n] += credit(e, n == U0) * d
                        x_used *= credit(e, excitatory)
                    else:
                        d *= e
                        for n in range(biases):
                            bias_sums[n] += d
                    xs[at * side + column] = x_used
                    ds[at * side + column] = d
            cuda.syncthreads()
            for s in range(left):
                for m in range(per_source):
                    sources_used[m] = xs[s * side + t // target_groups * per_source + m]
                for n in range(per_target):
                    targets_used[n] = ds[s * side + t % target_groups * per_target + n]
                for m in range(per_source):
                    for n in range(per_target):
                        sums[m * per_target + n] += sources_used[m] * targets_used[n]
            cuda.syncthreads()

        # The thread's weights: of neighbouring sources to neighbouring targets.
        i0 += t // target_groups * per_source
        j = j0 + t % target_groups * per_target
        at = weight_at + i0 * targets + j
        for m in range(per_source):
            for n in range(U0, per_target, width):
                if i0 + m < sources and j + n < targets:
                    load(w, m * per_target + n, weights, at + m * targets + n)
        size = unknown
        for m in range(per_source):
            for n in range(U0, per_target, width):
                if i0 + m < sources and j + n < targets:
                    for a in range(m * per_target + n, m * per_target + n + width):
                        w[a] = add(w[a], sums[a])
                        w[a] = clamped(w[a], (i0 + m < source_half) == (j + a % per_target < target_half))
                        size = smaller(size, w[a])
                    store(w, m * per_target + n, weights, at + m * targets + n)
        if q // across == U0:
            for n in range(biases):
                ds[(n * rows + row) * side + column] = bias_sums[n]
            cuda.syncthreads()
            if row == U0 and j_inside:
                for n in range(biases):
                    change = zero
                    for s in range(rows):
                        change += ds[(n * rows + s) * side + column]
                    bias_place = bias_at + n * targets + j0 + column
                    new = add(weights[bias_place], bias * change)
                    weights[bias_place] = new
                    size = smaller(size, new)
        if skips and not is_input:
            xs[t] = size
            cuda.syncthreads()
            if t < warp:
                for other in range(t + warp, threads, warp):
                    size = smaller(size, xs[other])
                xs[t] = size
            cuda.syncthreads()
            if t == U0:
                for other in range(U1, threads if threads < warp else warp):
                    size = smaller(size, xs[other])
                smallest[block] = size if size > tiny else zero

    return update
