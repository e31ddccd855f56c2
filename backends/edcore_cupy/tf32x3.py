"""The operations of CuPy with each product as three of TF32, see `edcore.adapters.tf32x3`."""

from __future__ import annotations

import copy
from typing import Any, Self

import cupy

from edcore.adapters.operations import StreamOrder
from edcore.adapters.tf32x3 import HALF, MASK, Parts, TF32x3Backend, terms
from edcore.arrays import Array

from .backend import CuPyBackend
from .cublas import Product
from .recorded import RecordedOperations

ROUNDED = f"__uint_as_float((__float_as_uint({{}}) + {HALF:#x}) & {MASK:#x})"

split = cupy.ElementwiseKernel(
    "T x", "T high, T low", f"high = {ROUNDED.format('x')}; low = {ROUNDED.format('x - high')}", "edcore_split"
)
"""Splits float32 into its two parts."""


class CuPyTF32x3Backend(TF32x3Backend, CuPyBackend):
    """The contract met on an NVIDIA GPU: all but narrow networks, which keep their kernels, by products of TF32."""


class TF32x3Operations(RecordedOperations):
    """`Operations` of CuPy whose products of layers and of updates are three of TF32."""

    def __init__(self, slab: int, product: Product, order: StreamOrder[Any]) -> None:
        # The parts of x and δ take four times the memory of δ.
        super().__init__(slab // 4, product, order)
        self._left = self._right = Parts(cupy.empty(0, "float32"), cupy.empty(0, "float32"))

    def with_memory(self, left: int, right: int) -> Self:
        """Return operations with memory for the parts."""
        other = copy.copy(self)
        other._left, other._right = (
            Parts(cupy.empty(size, "float32"), cupy.empty(size, "float32")) for size in (left, right)
        )
        return other

    def squares(self, z: Array, total: Array) -> None:
        """Compute the sum in float32."""
        self._product(z[..., None, :], z[..., :, None], 0, total[..., None])

    def accumulate(self, x: Array, delta: Array, product: Array | None, weight: Array) -> None:
        """Add the contraction over the batch, within the products."""
        high, low = _split(x, self._left)
        self._add(Parts(high.swapaxes(-1, -2), low.swapaxes(-1, -2)), _split(delta, self._right), 1, weight)

    def _multiply(self, a: Array, b: Array, out: Array) -> None:
        self._add(_split(a, self._left), _split(b, self._right), 0, out)

    def _add(self, a: Parts, b: Parts, beta: float, out: Array) -> None:
        """Compute out = a @ b + beta · out."""
        with self._product.tf32():
            for left, right in terms(a, b):
                self._product(left, right, beta, out)
                beta = 1


def _split(array: Array, memory: Parts) -> Parts:
    """Return the parts of an array, in memory that has room for them."""
    parts = memory.shaped(array.shape)
    split(array, *parts)
    return parts
