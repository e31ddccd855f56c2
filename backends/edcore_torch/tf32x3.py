"""The operations of PyTorch with each product as three of TF32, see `edcore.adapters.tf32x3`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Self

import torch

from edcore.adapters.operations import Form
from edcore.adapters.tf32x3 import HALF, MASK, Parts, terms
from edcore.arrays import Array

from .operations import ACTIVATE, TorchOperations, calls

SIGNED_MASK = MASK - 2**32  # the same bits; PyTorch has few operations on unsigned integers


def capability(device: Any) -> int:
    """Return the compute capability of a device, such as 75 for 7.5; 0 of what is no GPU of NVIDIA."""
    if device.type != "cuda":
        return 0
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


class TF32x3Operations(TorchOperations):
    """`Operations` on tensors whose products of layers and of updates are three of TF32."""

    def __init__(self, device: Any) -> None:
        super().__init__(device)
        self.slab //= 4  # the parts of x and δ take four times the memory of δ
        self._left = self._right = self._memory(0)

    def with_memory(self, left: int, right: int) -> Self:
        """Return operations with memory for the parts."""
        other = copy.copy(self)
        other._left, other._right = self._memory(left), self._memory(right)
        return other

    def layer(self, x: Array, weight: Array, bias: Array, form: Form, y: Array) -> None:
        """Compute the activities, with the bias added by the first of the products."""
        linear = torch.addmm if y.ndim == 2 else torch.baddbmm
        beta = 1 if bias.ndim == 1 else form.slope * form.active
        operands = terms(_split(x, self._left), _split(weight, self._right))
        with _tf32():
            for a, b in operands:
                linear(bias, a, b, beta=beta, alpha=form.slope, out=y)
                bias, beta = y, 1
        ACTIVATE[form.activation](y)

    def needs_product_memory(self, batch: int) -> bool:
        """Return False: it adds to the weights, on a GPU."""
        return False

    def accumulate(self, x: Array, delta: Array, product: Array | None, weight: Array) -> None:
        """Add the products of each layer and head to its weights."""
        target = weight.view(-1, *weight.shape[2:])  # raises if it would copy: the weights would not change
        operands = terms(_split(x, self._left), _split(delta, self._right))
        with _tf32():
            for a, b in operands:
                target.baddbmm_(a.flatten(0, 1).mT, b.flatten(0, 1))

    def computing(self) -> AbstractContextManager[None]:
        """Return a context in which no other call is on a GPU."""
        return self._turn(calls.lowered()) if self._device.type == "cuda" else nullcontext()

    def _memory(self, size: int) -> Parts:
        return Parts(*(torch.empty(size, dtype=torch.float32, device=self._device) for _ in range(2)))


def _split(array: Array, memory: Parts) -> Parts:
    """Return the parts of an array, in memory that has room for them."""
    parts = memory.shaped(array.shape)
    _round(array, parts.high)
    torch.sub(array, parts.high, out=parts.low)
    _round(parts.low, parts.low)
    return parts


def _round(array: Array, rounded: Array) -> None:
    """Round to TF32."""
    bits = rounded.view(torch.int32)
    torch.add(array.view(torch.int32), HALF, out=bits).bitwise_and_(SIGNED_MASK)


@contextmanager
def _tf32() -> Iterator[None]:
    """Let the products in a block read TF32 of their operands: PyTorch's switch is that of the whole process."""
    switch = torch.backends.cuda.matmul
    before, switch.fp32_precision = switch.fp32_precision, "tf32"
    try:
        yield
    finally:
        switch.fp32_precision = before
