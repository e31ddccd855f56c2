"""Matrix products of any size and the sigmoid, written in LLVM's vectors, for the CPU kernels.

Each element of a product is added up in the order of its terms, one fused multiply-add after another, in every tile
alike. So results do not depend on how rows are cut into tiles and shared among threads. LLVM splits the vectors of 64
bytes into those that the processor has.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, codegen, config
from numba.extending import intrinsic

from .processor import IS_X86


def _has(feature: str) -> bool:
    """Return whether Numba compiles for a feature of x86: its settings may withhold what the processor has."""
    features = codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return f"+{feature}" in features.split(",")


VECTOR_BYTES = 64
AVX512 = _has("avx512f")

# The sums of a tile stay in registers, with a row of b beside them: 32 of 64 bytes with AVX-512, else 16 of 32.
VECTORS = 4 if AVX512 else 1
"""Vectors side by side in a tile."""

ROWS = (6, 2, 1) if not IS_X86 or _has("avx2") else (2, 1)
"""Rows of a tile, and of those for the rest of the rows."""

PANEL_BYTES = VECTORS * VECTOR_BYTES
"""Bytes of a row of a panel. Matrices lie in panels as wide as a tile, so that a product reads memory in order."""

SLICE = 128
"""Sources of the input layer whose two streams' weights are added up at a time: a panel of them stays in the cache."""

AHEAD = 8
"""Rows of b that are fetched into the fastest cache before they are used."""

LOG2_TERMS = {32: 6, 64: 12}
"""Terms of the polynomial for 2**f: its error is below a tenth of the unit of rounding."""

INDEX = ir.IntType(64)


class Vector:
    """A vector type with a number of lanes, and the operations that a tile needs."""

    def __init__(self, builder: ir.IRBuilder, bits: int, lanes: int) -> None:
        self.builder, self.bits, self.lanes = builder, bits, lanes
        self.type = ir.VectorType(ir.FloatType() if self.bits == 32 else ir.DoubleType(), lanes)
        self.integers = ir.VectorType(ir.IntType(self.bits), lanes)

    def constant(self, value: float) -> ir.Constant:
        """Return the number in all lanes."""
        rounded = float(np.float32(value)) if self.bits == 32 else value
        return ir.Constant(self.type, [rounded] * self.lanes)

    def integer(self, value: int) -> ir.Constant:
        """Return the integer in all lanes."""
        return ir.Constant(self.integers, [value] * self.lanes)

    def pointer(self, start: ir.Value, offset: ir.Value) -> ir.Value:
        """Emit the address of the vector that starts at the element `offset`."""
        return self.builder.bitcast(self.builder.gep(start, [offset]), self.type.as_pointer())

    def load(self, start: ir.Value, offset: ir.Value) -> ir.Value:
        """Emit a read from an address with the alignment of one element."""
        # LLVM would assume the alignment of the whole vector, and rows may start anywhere.
        value = self.builder.load(self.pointer(start, offset))
        value.align = self.bits // 8
        return value

    def store(self, value: ir.Value, start: ir.Value, offset: ir.Value) -> None:
        """Emit a write to an address with the alignment of one element."""
        self.builder.store(value, self.pointer(start, offset)).align = self.bits // 8

    def prefetch(self, start: ir.Value, offset: ir.Value, write: bool = False, near: int = 3) -> None:
        """Emit the hint that a vector will soon be read or written."""
        pointer, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, flag, flag, flag])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        address = self.builder.bitcast(self.pointer(start, offset), pointer)
        self.builder.call(function, [address, flag(int(write)), flag(near), flag(1)])  # data

    def splat(self, scalar: ir.Value) -> ir.Value:
        """Emit a number in all lanes."""
        return self._splat(scalar, self.type)

    def _splat(self, scalar: ir.Value, kind: ir.VectorType) -> ir.Value:
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.IntType(32)(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, mask)

    def signs(self, column: ir.Value, columns: ir.Value) -> ir.Value:
        """Emit the signs of the target cells from `column`: +1 in the first half of the columns, −1 in the second."""
        b, lanes = self.builder, ir.VectorType(INDEX, self.lanes)
        half = self._splat(b.sdiv(columns, INDEX(2)), lanes)
        numbers = b.add(self._splat(column, lanes), ir.Constant(lanes, list(range(self.lanes))))
        return b.select(b.icmp_signed("<", numbers, half), self.constant(1.0), self.constant(-1.0))

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """Emit a · b + c, rounded once where the processor can do so."""
        kind = ir.FunctionType(self.type, [self.type] * 3)
        name = f"llvm.fmuladd.v{self.lanes}f{self.bits}"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), [a, b, c])

    def clip(self, value: ir.Value, most: float) -> ir.Value:
        """Return the value between −most and most; a NaN fails both comparisons and stays."""
        for sign, bound in (("<", self.constant(-most)), (">", self.constant(most))):
            value = self.builder.select(self.builder.fcmp_ordered(sign, value, bound), bound, value)
        return value

    def sigmoid(self, z: ir.Value, scale: ir.Value) -> ir.Value:
        """Return 1 / (1 + 2**t) for t = z · scale.

        t = n + f with n an integer and |f| ≤ 1/2. Adding 1.5 · 2**mantissa rounds to n and leaves it in the lowest
        bits, from where a shift makes it an exponent.
        """
        b = self.builder
        mantissa, most, one_bits = (23, 64.0, 127 << 23) if self.bits == 32 else (52, 512.0, 1023 << 52)
        # Clipped, the exponent stays one of normal numbers.
        t = self.clip(b.fmul(z, scale), most)
        magic = self.constant(1.5 * 2.0**mantissa)
        rounded = b.fadd(t, magic)
        f = b.fsub(t, b.fsub(rounded, magic))
        *lower, highest = (self.constant(term) for term in _terms(LOG2_TERMS[self.bits]))
        power = highest
        for term in reversed(lower):
            power = self.multiply_add(power, f, term)
        exponent = b.add(b.shl(b.bitcast(rounded, self.integers), self.integer(mantissa)), self.integer(one_bits))
        one = self.constant(1.0)
        return self.reciprocal(self.multiply_add(power, b.bitcast(exponent, self.type), one))

    def reciprocal(self, value: ir.Value) -> ir.Value:
        """Return 1 / value, for a value that is normal and at least 1."""
        b, one = self.builder, self.constant(1.0)
        if not (AVX512 and self.bits == 32 and self.lanes == 16):
            return b.fdiv(one, value)
        # A division of 16 numbers takes as long as 32 multiply-adds. Newton's step doubles the 14 bits of an estimate.
        kind = ir.FunctionType(self.type, [self.type, self.type, ir.IntType(16)])
        function = cgutils.get_or_insert_function(b.module, kind, "llvm.x86.avx512.rcp14.ps.512")
        estimate = b.call(function, [value, ir.Constant(self.type, ir.Undefined), ir.IntType(16)(0xFFFF)])
        return self.multiply_add(estimate, self.multiply_add(b.fneg(value), estimate, one), estimate)


def _terms(count: int) -> list[float]:
    """Return the polynomial that interpolates 2**f at Chebyshev's points of [−1/2, 1/2], lowest power first."""
    points = np.cos((np.arange(count) + 0.5) * np.pi / count) / 2
    series = np.polynomial.Chebyshev.fit(points, np.exp2(points), count - 1, domain=[-0.5, 0.5])
    return [float(term) for term in series.convert(kind=np.polynomial.Polynomial).coef]


def _tile(vector: Vector, rows: int, vectors: int, of: dict[str, ir.Value]) -> None:
    """Emit y = c + a b for `rows` rows and `vectors` vectors of columns, and the sigmoid of that if it is asked for."""
    b = vector.builder
    places = [(row, i) for row in range(rows) for i in range(vectors)]

    def offset(name: str, place: tuple[int, int]) -> ir.Value:
        return b.add(b.mul(of[f"{name}_row"], INDEX(place[0])), INDEX(place[1] * vector.lanes))

    # The sums reach y only at the end: its cache lines are fetched while they are added up.
    for place in places:
        vector.prefetch(of["y"], offset("y", place), write=True)
    sources = [b.gep(of["a"], [b.mul(of["a_row"], INDEX(row))]) for row in range(rows)]
    before, loop, done = b.block, b.append_basic_block("tile"), b.append_basic_block("tile.done")
    b.branch(loop)
    b.position_at_end(loop)
    k = b.phi(INDEX)
    sums = {place: b.phi(vector.type) for place in places}
    a_at, b_at = b.mul(k, of["a_k"]), b.mul(k, of["b_k"])
    ahead = b.add(b_at, b.mul(of["b_k"], INDEX(AHEAD)))
    for i in range(vectors if rows > 1 else 0):
        vector.prefetch(of["b"], b.add(ahead, INDEX(i * vector.lanes)))
    if rows == ROWS[0] and vectors == VECTORS:
        vector.prefetch(of["soon"], b.mul(k, INDEX(vector.lanes)), near=2)
    columns = [vector.load(of["b"], b.add(b_at, INDEX(i * vector.lanes))) for i in range(vectors)]
    activities = [vector.splat(b.load(b.gep(source, [a_at]))) for source in sources]
    new = {(row, i): vector.multiply_add(activities[row], columns[i], sums[row, i]) for row, i in places}
    following = b.add(k, INDEX(1))
    b.cbranch(b.icmp_signed("<", following, of["k"]), loop, done)
    k.add_incoming(INDEX(0), before)
    k.add_incoming(following, loop)
    for place in places:
        sums[place].add_incoming(ir.Constant(vector.type, None), before)
        sums[place].add_incoming(new[place], loop)
    b.position_at_end(done)
    with cgutils.for_range(b, of["times"]) as time:
        apart = b.mul(time.index, of["apart"])
        for place in places:
            z = b.fadd(vector.load(of["c"], b.add(apart, offset("c", place))), new[place])
            vector.store(z, of["y"], b.add(apart, offset("y", place)))
    # A loop, as the code for all places takes long to compile; over no rows if nothing is asked for.
    with cgutils.for_range(b, b.mul(INDEX(rows), of["activated"])) as row:
        start = b.mul(of["y_row"], row.index)
        for i in range(vectors):
            at = b.add(start, INDEX(i * vector.lanes))
            vector.store(vector.sigmoid(vector.load(of["y"], at), vector.splat(of["scale"])), of["y"], at)


def in_vectors(
    builder: ir.IRBuilder,
    real: ir.Type,
    columns: ir.Value,
    emit: Callable[[Vector, ir.Value], None],
    emit_wide: Callable[[Vector, ir.Value], None] | None = None,
) -> None:
    """Emit loops over an even number of columns in vectors, long ones first; `emit_wide` does `VECTORS` at once."""
    bits = 32 if isinstance(real, ir.FloatType) else 64
    lanes = VECTOR_BYTES * 8 // bits
    shapes = [(lanes, VECTORS, emit_wide)] if emit_wide and VECTORS > 1 else []
    while lanes > 1:  # every layer has an even number of cells
        shapes.append((lanes, 1, emit))
        lanes //= 2
    first: ir.Value = INDEX(0)
    for lanes, vectors, body in shapes:
        width = INDEX(lanes * vectors)
        count = builder.sdiv(builder.sub(columns, first), width)
        with cgutils.for_range(builder, count) as block:
            body(Vector(builder, bits, lanes), builder.add(first, builder.mul(block.index, width)))
        first = builder.add(first, builder.mul(count, width))


def code_of(body: Callable[[ir.IRBuilder, Any], None]) -> Any:
    """Return the code of an intrinsic that is this body."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        body(builder, arguments)
        return context.get_dummy_value()

    return code


def function_of(name: str, real: Any, body: Callable[[ir.IRBuilder, Any], None]) -> Any:
    """Return the code of an intrinsic that calls a function with this body."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(builder.module, kind, f"edcore_{name}_{real.bitwidth}")
        if not function.blocks:
            # One copy in each module, and never inlined: a kernel has many calls, and would take long to compile.
            function.linkage = "linkonce_odr"
            function.attributes.add("noinline")
            inner = ir.IRBuilder(function.append_basic_block("entry"))
            body(inner, function.args)
            inner.ret_void()
        builder.call(function, arguments)
        return context.get_dummy_value()

    return code


def _product(builder: ir.IRBuilder, of: dict[str, ir.Value]) -> None:
    """Emit the product in tiles."""

    def columns(vectors: int) -> Callable[[Vector, ir.Value], None]:
        def emit(vector: Vector, column: ir.Value) -> None:
            first: ir.Value = INDEX(0)
            for rows in ROWS:
                many = builder.sdiv(builder.sub(of["rows"], first), INDEX(rows))
                with cgutils.for_range(builder, many) as tile:
                    row = builder.add(first, builder.mul(tile.index, INDEX(rows)))
                    corner = {**of, "b": builder.gep(of["b"], [column])}
                    if rows == ROWS[0] and vectors == VECTORS:
                        three = INDEX(3)
                        number = builder.select(builder.icmp_signed("<", tile.index, three), tile.index, three)
                        lines = builder.mul(builder.mul(number, of["k"]), INDEX(vector.lanes))
                        corner["soon"] = builder.gep(of["soon"], [lines])
                    for name, offset in (("c", column), ("y", column)):
                        corner[name] = builder.gep(of[name], [builder.add(builder.mul(row, of[f"{name}_row"]), offset)])
                    corner["a"] = builder.gep(of["a"], [builder.mul(row, of["a_tile"])])
                    is_packed = builder.icmp_signed("<", of["a_k"], INDEX(0))
                    corner["a_k"] = builder.select(is_packed, INDEX(rows), of["a_k"])
                    _tile(vector, rows, vectors, corner)
                first = builder.add(first, builder.mul(many, INDEX(rows)))

        return emit

    in_vectors(builder, of["scale"].type, of["columns"], columns(1), columns(VECTORS))


ARGUMENTS = (
    "a",
    "a_tile",
    "a_row",
    "a_k",
    "b",
    "b_k",
    "k",
    "c",
    "c_row",
    "y",
    "y_row",
    "rows",
    "columns",
    "soon",
    "times",
    "apart",
    "activated",
    "scale",
)


def product_signature(real: Any) -> Any:
    """Return the signature of `multiply`."""
    kinds = {**dict.fromkeys(("a", "b", "c", "y", "soon"), types.CPointer(real)), "scale": real}
    return types.void(*(kinds.get(argument, types.intp) for argument in ARGUMENTS))


@intrinsic
def multiply(
    context, a, a_tile, a_row, a_k, b, b_k, k, c, c_row, y, y_row, rows, columns, soon, times, apart, activated, scale
):
    """Emit y = c + a b, for a (rows, k), b (k, columns), k ≥ 1, columns even; c and y (rows, columns) may be one.

    Pointers come with the distance between their rows, in elements; a also with that between its columns. A distance
    of 0 repeats a row of c. The product is added `times` times, to a c and y each, which lie `apart`. scale gives the
    type. If `activated` is 1 the first y is 1 / (1 + 2**(scale · y)) instead.
    """

    def body(builder: ir.IRBuilder, arguments: Any) -> None:
        _product(builder, dict(zip(ARGUMENTS, arguments, strict=True)))

    return product_signature(scale), code_of(body)


@intrinsic
def shifted(context, pointer, offset):
    """Return a pointer to the element `offset` behind a pointer."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.intp), code


@intrinsic
def at(context, array, offset):
    """Return a pointer to the element `offset` of a contiguous array."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        start = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(start, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.intp), code
