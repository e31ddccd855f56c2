"""What single instructions compute, against exact numbers of Python: one kernel an instruction, compiled together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cuda_emulator import build
from cuda_emulator.build import c_compiler
from cuda_emulator.harness import Kernels

pytestmark = pytest.mark.skipif(c_compiler() is None, reason="there is no C compiler here")

INF, NAN = math.inf, math.nan
ROUNDINGS = ("rn", "rz", "rm", "rp")
NUMPY = {"f32": np.float32, "f64": np.float64, "pred": np.uint32}
NUMPY |= {f"{kind}{bits}": np.dtype(f"u{bits // 8}").type for kind in "bu" for bits in (8, 16, 32, 64)}
NUMPY |= {f"s{bits}": np.dtype(f"i{bits // 8}").type for bits in (8, 16, 32, 64)}


def wholes(bits: int, signed: bool) -> list[int]:
    """Return numbers of this many bits, the ends of their range among them."""
    top = 1 << (bits - 1 if signed else bits)
    values = [0, 1, 2, 3, 7, 31, 100, top - 1, top - 2, top // 3]
    return values + ([-1, -2, -5, -100, -top, -top + 1, -top // 3] if signed else [top // 2, top // 2 + 1])


FLOATS = [0.0, -0.0, 1.0, -1.0, 1.5, -2.5, 0.1, -7.3, 3.0, 16777217.0, 1e-3, -1234.5678, 2.0**31, -(2.0**63), 2.0**-130]
VALUES = {
    **{f"{kind}{bits}": wholes(bits, kind == "s") for kind in "bus" for bits in (8, 16, 32, 64)},
    "f32": [*FLOATS, 2.0**-149, 3e38, -3e38, INF, -INF, NAN],
    "f64": [*FLOATS, 2.0**-1074, 1e-310, 1.7e308, INF, -INF, NAN],
    "pred": [0, 1],
}
FINITE = [1.0, -1.5, 0.1, 3.0, -7.3, 1e-3, 1234.5678, 2.0**24 - 1, -(2.0**-20), 2.0**60]
SHIFTS = [0, 1, 5, 15, 16, 31, 32, 33, 63, 64, 65, 255, 256, 1 << 31, 2**32 - 1]


@dataclass(frozen=True)
class Case:
    """An instruction, the types of its result and its operands, and what it computes. `text` may have more lines."""

    text: str
    result: str
    operands: str
    expected: Callable[..., Any]
    values: tuple[list[Any], ...] = ()
    tolerance: float = 0

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the operands' values, as NumPy's numbers of their types."""
        types = self.operands.split()
        values = self.values or tuple(VALUES[each] for each in types)
        rows = list(itertools.product(*values))
        step = max(1, len(rows) // 400) | 1  # odd, so that it does not always pass over the same
        return [tuple(NUMPY[kind](value) for kind, value in zip(types, row, strict=True)) for row in rows[::step]]

    def kernel(self, name: str) -> str:
        """Return a kernel in which each block takes a row."""
        lines, types = [], self.operands.split()
        for letter, kind in zip("abcd", types, strict=False):
            place = 8 * "abcd".index(letter)
            width = "b16" if kind in ("u8", "s8", "b8") else kind
            lines.append(f".reg .{width} %{letter};")
            if kind == "pred":
                lines.append(f".reg .u32 %{letter}w; ld.global.u32 %{letter}w, [%row+{place}];")
                lines.append(f"setp.ne.u32 %{letter}, %{letter}w, 0;")
            else:
                lines.append(f"ld.global.{kind} %{letter}, [%row+{place}];")
        width = {"u8": "u16", "s8": "s16", "pred": "pred"}.get(self.result, self.result)
        names = ", ".join(f"%{each}" for each in "abcd"[: len(types)])
        lines += [f".reg .{width} %r;", f"{self.text};" if "%" in self.text else f"{self.text} %r, {names};"]
        if self.result == "pred":
            lines.append(".reg .u32 %rw; selp.u32 %rw, 1, 0, %r; st.global.u32 [%row+56], %rw;")
        else:
            lines.append(f"st.global.{self.result} [%row+56], %r;")
        return KERNEL.format(name=name, body="\n".join(lines))


KERNEL = """.visible .entry {name}(.param .u64 {name}_param_0)
{{
.reg .b64 %row; .reg .b32 %block;
ld.param.u64 %row, [{name}_param_0];
mov.u32 %block, %ctaid.x;
mad.wide.u32 %row, %block, 64, %row;
{body}
ret;
}}
"""


def rounded(exact: Fraction, kind: str, mode: str = "rn") -> float:
    """Return the float of this type next to an exact number, by the mode; within the range of normal numbers."""
    number = NUMPY[kind]
    near = number(float(exact))
    around = [np.nextafter(near, number(-INF)), near, np.nextafter(near, number(INF))]
    below = max(each for each in around if Fraction(float(each)) <= exact)
    above = min(each for each in around if Fraction(float(each)) >= exact)
    if mode == "rz":
        return below if exact > 0 else above
    if mode in ("rm", "rp"):
        return below if mode == "rm" else above
    low, high = exact - Fraction(float(below)), Fraction(float(above)) - exact
    if low != high:
        return below if low < high else above
    return below if not below.view(f"u{below.itemsize}") & 1 else above


def exactly(operation: Callable[..., Fraction], kind: str, mode: str) -> Callable[..., float]:
    """Return an operation on floats, rounded once."""
    return lambda *values: rounded(operation(*(Fraction(float(each)) for each in values)), kind, mode)


def root(kind: str, mode: str) -> Callable[[float], float]:
    """Return the square root, rounded once: its square is enclosed with 200 bits."""

    def compute(x: float) -> float:
        exact = Fraction(float(x))
        scaled = math.isqrt(exact.numerator * exact.denominator << 400)
        low = Fraction(scaled, exact.denominator << 200)
        return rounded(low if low * low == exact else low + Fraction(1, exact.denominator << 201), kind, mode)

    return compute


def wrapped(value: int, kind: str) -> Any:
    """Return a whole number as one of this type, modulo its range."""
    bits = int(kind[1:])
    value %= 1 << bits
    return NUMPY[kind](value - (1 << bits) if kind[0] == "s" and value >> bits - 1 else value)


def clamped(value: int, kind: str) -> int:
    info = np.iinfo(NUMPY[kind])
    return min(max(value, int(info.min)), int(info.max))


def flush(x: float) -> float:
    return math.copysign(0.0, x) if abs(x) < 2.0**-126 else x


def c_quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def extremes(sign: int, nan: bool = False) -> Callable[[float, float], float]:
    def compute(a: float, b: float) -> float:
        if math.isnan(a) or math.isnan(b):
            return NAN if nan or (math.isnan(a) and math.isnan(b)) else b if math.isnan(a) else a
        return max(a, b, key=lambda x: (sign * x, sign * math.copysign(1, x)))

    return compute


def to_whole(round_: Callable[[float], int], kind: str, given: str) -> Callable[[float], int]:
    """Return a conversion: what is out of range becomes the end of the range, and NaN 0 or the highest bit."""

    def compute(x: float) -> int:
        if math.isnan(x):
            return 1 << int(kind[1:]) - 1 if "64" in kind + given else 0
        info = np.iinfo(NUMPY[kind])
        return clamped(round_(float(x)), kind) if math.isfinite(x) else int(info.max if x > 0 else info.min)

    return compute


def integers() -> Iterator[Case]:
    for kind in ("u16", "s16", "u32", "s32", "u64", "s64"):
        bits, two, three = int(kind[1:]), f"{kind} {kind}", f"{kind} {kind} {kind}"
        yield Case(f"add.{kind}", kind, two, lambda a, b: a + b)
        yield Case(f"sub.{kind}", kind, two, lambda a, b: a - b)
        yield Case(f"mul.lo.{kind}", kind, two, lambda a, b: a * b)
        yield Case(f"mul.hi.{kind}", kind, two, lambda a, b, bits=bits: a * b >> bits)
        yield Case(f"mad.lo.{kind}", kind, three, lambda a, b, c: a * b + c)
        yield Case(f"mad.hi.{kind}", kind, three, lambda a, b, c, bits=bits: (a * b >> bits) + c)
        if bits < 64:
            wide = f"{kind[0]}{2 * bits}"
            yield Case(f"mul.wide.{kind}", wide, two, lambda a, b: a * b)
            yield Case(f"mad.wide.{kind}", wide, f"{two} {wide}", lambda a, b, c: a * b + c)
        yield Case(f"min.{kind}", kind, two, min)
        yield Case(f"max.{kind}", kind, two, max)
        yield Case(f"sad.{kind}", kind, three, lambda a, b, c: c + abs(a - b))
        some = [each for each in VALUES[kind] if each]
        yield Case(f"div.{kind}", kind, two, c_quotient, (VALUES[kind], some))
        yield Case(f"rem.{kind}", kind, two, lambda a, b: a - b * c_quotient(a, b), (VALUES[kind], some))
        yield Case(f"shr.{kind}", kind, f"{kind} u32", lambda a, n: a >> n, (VALUES[kind], SHIFTS))
        yield Case(f"setp.lt.{kind}", "pred", two, lambda a, b: a < b)
        yield Case(f"setp.ge.{kind}", "pred", two, lambda a, b: a >= b)
        yield Case(f"selp.{kind}", kind, f"{two} pred", lambda a, b, c: a if c else b)
        if kind[0] == "s":
            yield Case(f"neg.{kind}", kind, kind, lambda a: -a)
            yield Case(f"abs.{kind}", kind, kind, abs)
        else:
            yield Case(f"setp.hi.{kind}", "pred", two, lambda a, b: a > b)
            flat = f"b{bits}"
            yield Case(f"shl.{flat}", flat, f"{flat} u32", lambda a, n: a << n if n < 99 else 0, (VALUES[flat], SHIFTS))
            yield Case(f"and.{flat}", flat, f"{flat} {flat}", lambda a, b: a & b)
            yield Case(f"xor.{flat}", flat, f"{flat} {flat}", lambda a, b: a ^ b)
            yield Case(f"or.{flat}", flat, f"{flat} {flat}", lambda a, b: a | b)
            yield Case(f"not.{flat}", flat, flat, lambda a: ~a)
            yield Case(f"cnot.{flat}", flat, flat, lambda a: int(a == 0))
    halves = ".reg .b32 %x<9>; mov.b64 {%x0, %x1}, %a; mov.b64 {%x2, %x3}, %b; "
    whole = "; mov.b64 %r, {%x4, %x5}"
    for name, expected in {"add": lambda a, b: a + b, "sub": lambda a, b: a - b}.items():
        text = f"{name}.cc.u32 %x4, %x0, %x2; {name}c.u32 %x5, %x1, %x3"
        yield Case(halves + text + whole, "b64", "b64 b64", expected)
    # The lower 64 bits of a product, of 32-bit words.
    text = "mul.lo.u32 %x4, %x0, %x2; mul.lo.u32 %x5, %x0, %x3; mad.lo.u32 %x5, %x1, %x2, %x5; "
    text += "mad.lo.cc.u32 %x4, %x6, %x6, %x4; madc.hi.u32 %x5, %x0, %x2, %x5"
    yield Case(halves + text + whole, "b64", "b64 b64", lambda a, b: a * b)
    text = "mov.u32 %x6, -1; mad.lo.cc.u32 %x4, %x0, %x2, %x6; madc.hi.cc.u32 %x5, %x0, %x2, 0; addc.u32 %x4, %x6, 1"
    low = 2**32 - 1
    expected = lambda a, b: ((a & low) * (b & low) + low >> 32) << 32 | ((a & low) * (b & low) + low >> 64)  # noqa: E731
    yield Case(halves + text + whole, "b64", "b64 b64", expected)
    text = "mad.lo.cc.s32 %x4, %x0, %x2, 0; madc.hi.s32 %x5, %x0, %x2, 0"
    signed = lambda a: (a & low ^ 1 << 31) - (1 << 31)  # noqa: E731
    yield Case(halves + text + whole, "b64", "b64 b64", lambda a, b: signed(a) * signed(b))
    yield Case("add.sat.s32", "s32", "s32 s32", lambda a, b: clamped(a + b, "s32"))
    yield Case("sub.sat.s32", "s32", "s32 s32", lambda a, b: clamped(a - b, "s32"))
    yield Case("slct.u32.s32", "u32", "u32 u32 s32", lambda a, b, c: a if c >= 0 else b)
    yield Case("set.lt.u32.s32", "u32", "s32 s32", lambda a, b: -(a < b))
    yield Case("set.eq.f32.s32", "f32", "s32 s32", lambda a, b: float(a == b))
    yield Case("setp.le.or.s32", "pred", "s32 s32 pred", lambda a, b, c: a <= b or c)
    second = ".reg .pred %q; setp.lt.and.s32 %q|%r, %a, %b, !%c"
    yield Case(second, "pred", "s32 s32 pred", lambda a, b, c: a >= b and not c)
    yield Case("xor.pred", "pred", "pred pred", lambda a, b: a ^ b)
    yield Case("not.pred", "pred", "pred", lambda a: not a)


def bits_of() -> Iterator[Case]:
    for kind in ("u32", "s32", "u64", "s64"):
        bits = int(kind[1:])

        def extract(a: int, at: int, length: int, kind: str = kind, bits: int = bits) -> int:
            at, length, flat = at & 255, length & 255, a % (1 << bits)
            sign = kind[0] == "s" and length > 0 and flat >> min(at + length - 1, bits - 1) & 1
            get = lambda i: flat >> at + i & 1 if i < length and at + i < bits else int(sign)  # noqa: E731
            return sum(get(i) << i for i in range(bits))

        def insert(a: int, b: int, at: int, length: int, bits: int = bits) -> int:
            for i in range(min(length & 255, max(bits - (at & 255), 0))):
                place = (at & 255) + i
                b = b & ~(1 << place) | (a >> i & 1) << place
            return b

        def find(a: int, bits: int = bits) -> int:
            return (a if a >= 0 else ~a).bit_length() - 1

        at = [0, 3, 31, 32, 40, 63, 64, 250, 257]
        yield Case(f"bfe.{kind}", kind, f"{kind} u32 u32", extract, (VALUES[kind], at, at))
        yield Case(f"bfind.{kind}", "u32", kind, find)
        shift = lambda a, bits=bits, find=find: bits - 1 - find(a) if find(a) >= 0 else -1  # noqa: E731
        yield Case(f"bfind.shiftamt.{kind}", "u32", kind, shift)
        if kind[0] == "u":
            flat, some = f"b{bits}", VALUES[kind][1::3]
            yield Case(f"bfi.{flat}", flat, f"{flat} {flat} u32 u32", insert, (some, some, at, at))
            yield Case(f"popc.{flat}", "u32", flat, lambda a: a.bit_count())
            yield Case(f"clz.{flat}", "u32", flat, lambda a, bits=bits: bits - a.bit_length())
            yield Case(f"brev.{flat}", flat, flat, lambda a, bits=bits: int(f"{a:0{bits}b}"[::-1], 2))
    control = [0x3210, 0x7654, 0x8F10, 0xBA98, 0x5140]

    def permute(a: int, b: int, c: int) -> int:
        data = (b << 32 | a).to_bytes(8, "little")
        pick = lambda n: (255 if data[n & 7] > 127 else 0) if n & 8 else data[n & 7]  # noqa: E731
        return int.from_bytes(bytes(pick(c >> 4 * i & 15) for i in range(4)), "little")

    yield Case("prmt.b32", "b32", "b32 b32 b32", permute, (VALUES["u32"], [0x80FF7F01, 5], control))
    both = lambda a, b: b << 32 | a  # noqa: E731
    yield Case("shf.l.wrap.b32", "b32", "b32 b32 u32", lambda a, b, n: both(a, b) << (n & 31) >> 32)
    yield Case("shf.r.clamp.b32", "b32", "b32 b32 u32", lambda a, b, n: both(a, b) >> min(n, 32))
    yield Case("lop3.b32 %r, %a, %b, %c, 0xE8", "b32", "b32 b32 b32", lambda a, b, c: a & b | b & c | a & c)
    yield Case("mov.b64 %r, {%a, %b}", "b64", "b32 b32", both)
    yield Case(".reg .b16 %x<4>; mov.b64 {%x0, %x1, %x2, %x3}, %a; mov.b32 %r, {%x3, %x1}", "b32", "b64",
               lambda a: a >> 48 | (a >> 16 & 0xFFFF) << 16)  # fmt: skip


def floats() -> Iterator[Case]:
    for kind in ("f32", "f64"):
        two, three = f"{kind} {kind}", f"{kind} {kind} {kind}"
        yield Case(f"add.{kind}", kind, two, lambda a, b: a + b)
        yield Case(f"sub.{kind}", kind, two, lambda a, b: a - b)
        yield Case(f"mul.{kind}", kind, two, lambda a, b: a * b)
        yield Case(f"div.rn.{kind}", kind, two, lambda a, b: a / b)
        yield Case(f"sqrt.rn.{kind}", kind, kind, np.sqrt)
        yield Case(f"rcp.rn.{kind}", kind, kind, lambda a: type(a)(1) / a)
        yield Case(f"neg.{kind}", kind, kind, lambda a: -a)
        yield Case(f"abs.{kind}", kind, kind, abs)
        yield Case(f"min.{kind}", kind, two, extremes(-1))
        yield Case(f"max.{kind}", kind, two, extremes(1))
        yield Case(f"copysign.{kind}", kind, two, lambda a, b: math.copysign(b, a))
        yield Case(f"selp.{kind}", kind, f"{two} pred", lambda a, b, c: a if c else b)
        yield Case(f"testp.subnormal.{kind}", "pred", kind, lambda a: 0 < abs(a) < np.finfo(type(a)).tiny)
        for name, test in {"eq": np.equal, "lt": np.less, "ge": np.greater_equal}.items():
            yield Case(f"setp.{name}.{kind}", "pred", two, test)
            yield Case(f"setp.{name}u.{kind}", "pred", two, lambda a, b, test=test: test(a, b) or a != a or b != b)
        yield Case(f"setp.ne.{kind}", "pred", two, lambda a, b: a == a and b == b and a != b)
        yield Case(f"setp.neu.{kind}", "pred", two, lambda a, b: a != b)
        yield Case(f"setp.nan.{kind}", "pred", two, lambda a, b: a != a or b != b)
        yield Case(f"setp.num.{kind}", "pred", two, lambda a, b: a == a and b == b)
        for mode in ROUNDINGS:
            pairs, positive = (FINITE, FINITE), [abs(each) for each in FINITE]
            yield Case(
                f"add.{mode}.{kind}", kind, two, exactly(lambda a, b: a + b, kind, mode), (FINITE, [0.7, 1e9, 1e-9])
            )
            yield Case(f"mul.{mode}.{kind}", kind, two, exactly(lambda a, b: a * b, kind, mode), pairs)
            yield Case(f"div.{mode}.{kind}", kind, two, exactly(lambda a, b: a / b, kind, mode), pairs)
            fused = exactly(lambda a, b, c: a * b + c, kind, mode)
            yield Case(f"fma.{mode}.{kind}", kind, three, fused, (*pairs, [0.3, -1e-4, 77.7]))
            yield Case(f"rcp.{mode}.{kind}", kind, kind, exactly(lambda a: 1 / a, kind, mode), (FINITE,))
            yield Case(f"sqrt.{mode}.{kind}", kind, kind, root(kind, mode), (positive,))
    yield Case("min.NaN.f32", "f32", "f32 f32", extremes(-1, nan=True))
    yield Case("max.NaN.f32", "f32", "f32 f32", extremes(1, nan=True))
    yield Case("add.ftz.f32", "f32", "f32 f32", lambda a, b: flush(np.float32(flush(a)) + np.float32(flush(b))))
    yield Case("add.sat.f32", "f32", "f32 f32", lambda a, b: min(a + b, 1.0) if a + b > 0 else 0.0)
    yield Case("setp.gt.ftz.f32", "pred", "f32 f32", lambda a, b: flush(a) > flush(b))
    two_roundings = ".reg .f32 %t; mul.f32 %t, %a, %b; add.f32 %r, %t, %c"
    yield Case(two_roundings, "f32", "f32 f32 f32", lambda a, b, c: a * b + c)
    near, wide = [0.0, -0.0, 1.0, -1.0, 2.5, -126.5, -140.0, 127.5, -INF, INF, NAN], [0.5, 3.0, 1e-30, 1e30, INF, NAN]
    yield Case("ex2.approx.ftz.f32", "f32", "f32", lambda a: flush(np.exp2(a)), (near,), 1e-6)
    yield Case("ex2.approx.f32", "f32", "f32", np.exp2, (near,), 1e-6)
    yield Case("lg2.approx.f32", "f32", "f32", np.log2, (wide,), 1e-6)
    yield Case("rcp.approx.ftz.f32", "f32", "f32", lambda a: flush(np.float32(1) / np.float32(flush(a))), (), 1e-6)
    yield Case("rsqrt.approx.f32", "f32", "f32", lambda a: 1 / np.sqrt(np.float64(a)), (wide,), 1e-6)
    yield Case("sqrt.approx.ftz.f32", "f32", "f32", np.sqrt, (wide,), 1e-6)
    yield Case("div.approx.f32", "f32", "f32 f32", lambda a, b: a * np.float32(0) if 2.0**126 < abs(b) < INF else a / b,
               (FINITE, [*FINITE, 3e38]), 1e-6)  # fmt: skip
    yield Case("tanh.approx.f32", "f32", "f32", np.tanh, (near,), 5e-4 if build.ROUGH else 1e-6)
    yield Case("rcp.approx.ftz.f64", "f64", "f64", lambda a: 1 / a, (FINITE,), 1e-6)


def conversions() -> Iterator[Case]:
    modes = {"rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}
    for mode, kind, given in itertools.product(modes, ("s32", "u32", "s64", "u8", "s16"), ("f32", "f64")):
        yield Case(f"cvt.{mode}.{kind}.{given}", kind, given, to_whole(modes[mode], kind, given))
    for mode, kind, given in itertools.product(ROUNDINGS, ("f32", "f64"), ("s32", "u32", "s64", "u64", "s16")):
        expected = lambda a, kind=kind, mode=mode: rounded(Fraction(a), kind, mode)  # noqa: E731
        yield Case(f"cvt.{mode}.{kind}.{given}", kind, given, expected)
    kinds = ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64")
    for given, kind in itertools.product(kinds, kinds):
        yield Case(f"cvt.{kind}.{given}", kind, given, lambda a: a)
        yield Case(f"cvt.sat.{kind}.{given}", kind, given, lambda a, kind=kind: clamped(a, kind))
    yield Case(".reg .b64 %w; cvt.s8.s32 %w, %a; mov.b64 %r, %w", "s64", "s32", lambda a: (a + 128) % 256 - 128)
    yield Case(".reg .b64 %w; cvt.u8.s32 %w, %a; mov.b64 %r, %w", "s64", "s32", lambda a: a % 256)
    yield Case("ld.global.s8 %r, [%row+3]", "s32", "u32", lambda a: (a >> 24) - (a >> 31 << 8))
    for mode in ROUNDINGS:
        halves = [each + 2.0**-30 for each in FINITE] + [0.5]
        yield Case(f"cvt.{mode}.f32.f64", "f32", "f64", exactly(lambda a: a, "f32", mode), (halves,))
    yield Case("cvt.rn.f32.f64", "f32", "f64", np.float32, ([1e300, -1e300, 1e-60, INF, NAN, -0.0],))
    yield Case("cvt.f64.f32", "f64", "f32", np.float64)
    yield Case("cvt.ftz.f64.f32", "f64", "f32", flush)
    yield Case("cvt.rni.f32.f32", "f32", "f32", np.rint)
    yield Case("cvt.rzi.f64.f64", "f64", "f64", np.trunc)
    yield Case("cvt.sat.f32.f32", "f32", "f32", lambda a: min(a, 1.0) if a > 0 else 0.0)


CASES = [*integers(), *bits_of(), *floats(), *conversions()]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    ptx = "".join(case.kernel(f"k{i}") for i, case in enumerate(CASES))
    return Kernels(ptx, tmp_path_factory.mktemp("kernels"))


def python(value: Any) -> Any:
    """Return a whole number as Python's own, which has no range; a float stays of its width."""
    return value if isinstance(value, np.floating) else int(value)


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case.text for case in CASES])
def test_instruction(kernels: Kernels, index: int) -> None:
    case = CASES[index]
    rows, number = case.rows(), NUMPY[case.result]
    memory = np.zeros((len(rows), 64), np.uint8)
    for at, row in enumerate(rows):
        for place, value in enumerate(row):
            memory[at, 8 * place : 8 * place + value.nbytes] = np.frombuffer(value.tobytes(), np.uint8)
    kernels.run(f"k{index}", memory, blocks=len(rows))
    given = memory[:, 56 : 56 + number().nbytes].copy().view(number)[:, 0]
    with np.errstate(all="ignore"):
        results = [case.expected(*map(python, row)) for row in rows]
        whole = not issubclass(number, np.floating)
        kind = "u32" if case.result == "pred" else case.result
        wanted = np.array([wrapped(int(each), kind) if whole else number(each) for each in results], number)
    if case.tolerance:
        np.testing.assert_allclose(given, wanted, case.tolerance, 0)
    else:
        same = np.where(wanted == 0, (given == 0) & (np.signbit(given) == np.signbit(wanted)), given == wanted)
        same |= (given != given) & (wanted != wanted)
        assert same.all(), [(rows[i], given[i], wanted[i]) for i in np.flatnonzero(~same)[:5]]


ABOUT = {
    "ex2.approx.ftz.f32": (np.exp2, -22),
    "rcp.approx.ftz.f32": (lambda a: 1 / a, -23),
    "rsqrt.approx.f32": (lambda a: 1 / np.sqrt(a), -22.8),
    "tanh.approx.f32": (np.tanh, -11),
}


def test_approximations_are_off_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = np.linspace(1 / 16, 8, 128, dtype=np.float32)  # among them powers of 2, with exact results
    cases = [Case(text, "f32", "f32", expected, (values.tolist(),)) for text, (expected, _) in ABOUT.items()]
    monkeypatch.setattr(build, "ROUGH", ("-DEMU_ROUGH",))
    build._made_by.cache_clear()
    try:
        kernels = Kernels("".join(case.kernel(f"k{i}") for i, case in enumerate(cases)), tmp_path)
    finally:
        build._made_by.cache_clear()
    for i, (expected, most) in enumerate(ABOUT.values()):
        memory = np.zeros((len(values), 64), np.uint8)
        memory[:, :4] = values.view(np.uint8).reshape(-1, 4)
        kernels.run(f"k{i}", memory, blocks=len(values))
        exact = expected(values.astype(np.float64))
        off = memory[:, 56:60].copy().view(np.float32)[:, 0] / exact - 1
        assert (off[exact == exact.astype(np.float32)] == 0).all()
        for worst in (off.max(), -off.min()):
            assert 2.0 ** (most - 1) < worst < 2.0**most + 2.0**-24
