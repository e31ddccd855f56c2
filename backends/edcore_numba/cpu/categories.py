"""The input layer where x holds categories: rows of its weights are gathered, in place of products with ones and zeros.

The kernels give the same sums as those of `kernels` would for the inputs, each added up in the order of the samples. An
update reads and writes the weights of those inputs alone that are 1 in some sample of its batch.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiling import compiled_inside, inlined
from .functions import call
from .variants import clamp
from .vectors import INDEX, PANEL_BYTES, VECTORS, Vector, at, code_of, in_vectors, shifted

COLUMNS = 4
"""Columns of x whose inputs learn in one piece of work."""


@compiled_inside
def gather_weights(x, first, weight, bias, y, cells, rows, activated, variant, group) -> None:
    """Write y = bias + the sum of the rows of W for the categories of `rows` rows of x, or the sigmoid of it.

    The arguments are those of `_multiply` in `kernels`, with x and the weights of a head as arrays.
    """
    features, sources, flat = x.shape[1], weight.shape[0] // 2, weight.ravel()
    panel, (part, parts, _), one = PANEL_BYTES // x.itemsize, group, np.ones(1, x.dtype)
    panels, places, none = (cells + panel - 1) // panel, np.empty(2 * features, np.intp), np.int64(0)
    # Panel after panel, as the inputs of a panel stay in the cache for all rows.
    for number in range(panels * part // parts, panels * (part + 1) // parts):
        low = number * panel
        width = min(panel, cells - low)
        b, to, start = shifted(bias, low), shifted(y, low), at(flat, low * 2 * sources)
        for row in range(rows):
            for feature in range(features):
                places[feature] = (feature * variant.categories + int(x[first + row, feature])) * width
                places[features + feature] = places[feature] + sources * width
            add_rows(shifted(to, row * cells), start, at(places, 0), 2 * features, width, 0, 0, 0, -one[0])
        given = at(one, 0), none, none, none, b, width, none + 1, to, cells, to, cells, rows, width, b
        call(variant.multiply, (*given, 1, 0, activated, variant.scale))


@inlined
def new_order(batch, categories) -> Any:
    """Return room for what `order_rows` finds in a batch."""
    return np.empty(4 * COLUMNS * batch + categories + 1 if categories else 0, np.intp)


@compiled_inside
def order_rows(x, start, rows, columns, categories, room) -> Any:
    """Sort some rows of x by their category, for each of some columns.

    Returns the rows (columns · rows,), and for each pair of a column and a category that occurs its input, and where
    its rows begin and end. They lie in the room, which is from `new_order`.
    """
    size, pairs = (columns[1] - columns[0]) * rows, 0
    order, found, ends = room[:size], room[size : 4 * size].reshape(size, 3), room[4 * size : 4 * size + categories + 1]
    for column in range(columns[0], columns[1]):
        ends[:] = 0
        for row in range(start, start + rows):
            ends[int(x[row, column]) + 1] += 1
        ends[0] = (column - columns[0]) * rows
        for category in range(categories):
            count = ends[category + 1]
            ends[category + 1] += ends[category]
            if count:
                found[pairs, 0], found[pairs, 1] = column * categories + category, ends[category]
                found[pairs, 2] = ends[category + 1]
                pairs += 1
        for row in range(rows):
            category = int(x[start + row, column])
            order[ends[category]] = row
            ends[category] += 1
    return order, found[:pairs]


@compiled_inside
def learn_inputs(ordered, delta, weight, column, targets, stream, streams, floor) -> None:
    """Add the factors delta (rows, targets) to the weights of the inputs that are 1, in the panel from `column` on.

    `ordered` is from `order_rows`, and `streams` streams learn, from `stream` on. They are clamped if the floor is at
    least 0.
    """
    (order, found), start = ordered, column * weight.shape[0]
    (sources, cells), places = weight.shape, order * targets
    for pair in range(len(found)):
        input_, begin, end = found[pair, 0], found[pair, 1], found[pair, 2]
        for other in range(stream, stream + streams):
            learning = at(weight, start + (other * (sources // 2) + input_) * targets)
            terms, sign = at(places, begin), 1 - 2 * other
            add_rows(learning, at(delta, 0), terms, end - begin, targets, column, cells, sign, floor)


@compiled_inside
def clamp_inputs(found, weight, floor, panel) -> None:
    """Clamp the weights of the inputs that have learnt; all others are as they were clamped before."""
    for pair in range(len(found)):
        for stream in range(2):
            clamp(weight, stream * (weight.shape[0] // 2) + found[pair, 0], 1, stream == 0, floor, panel)


@intrinsic
def add_rows(context, y, rows, places, count, columns, first, cells, sign, floor):
    """Emit y_j = y_j + Σ_n rows[places_n + j] for an even number of columns; y_j starts as 0 if sign is 0.

    With a floor of at least 0, each y_j gets the sign s_j · sign and at least its magnitude, for the target cells from
    `first` on of a layer's cells.
    """

    def body(builder: ir.IRBuilder, arguments: Any) -> None:
        y, rows, places, count, columns, first, cells, sign, floor = arguments
        kept = builder.icmp_signed("!=", sign, INDEX(0))
        clamped = builder.fcmp_ordered(">=", floor, ir.Constant(floor.type, 0.0))

        def some(vectors: int) -> Callable[[Vector, ir.Value], None]:
            def emit(vector: Vector, column: ir.Value) -> None:
                b = vector.builder
                at = [b.add(column, INDEX(i * vector.lanes)) for i in range(vectors)]
                sums = [cgutils.alloca_once(b, vector.type) for _ in at]
                for place, total in zip(at, sums, strict=True):
                    b.store(b.select(kept, vector.load(y, place), vector.constant(0.0)), total)
                with cgutils.for_range(b, count) as term:
                    start = b.load(b.gep(places, [term.index]))
                    for place, total in zip(at, sums, strict=True):
                        b.store(b.fadd(b.load(total), vector.load(rows, b.add(start, place))), total)
                with b.if_then(clamped):
                    least, side = vector.splat(floor), vector.splat(b.sitofp(sign, floor.type))
                    for place, total in zip(at, sums, strict=True):
                        signs, value = b.fmul(vector.signs(b.add(first, place), cells), side), b.load(total)
                        below = b.fcmp_ordered("<", b.fmul(value, signs), least)  # a NaN is not, and stays
                        b.store(b.select(below, b.fmul(least, signs), value), total)
                for place, total in zip(at, sums, strict=True):
                    vector.store(b.load(total), y, place)

            return emit

        in_vectors(builder, floor.type, columns, some(1), some(VECTORS))

    pointer, n = types.CPointer(floor), types.intp
    return types.void(pointer, pointer, types.CPointer(n), n, n, n, n, n, floor), code_of(body)
