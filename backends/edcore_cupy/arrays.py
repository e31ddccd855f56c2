"""The operations in plain array code: for CuPy where no product can be recorded, and over NumPy in the tests."""

from __future__ import annotations

from typing import Any

from edcore.backend import Array
from edcore.players import Player, anew

__all__ = ["ArrayOperations"]


class ArrayOperations:
    """See `edcore.stacked.Operations`.

    Parameters
    ----------
    xp : module
        CuPy or NumPy.
    slab : int
        Numbers δ that are made at once.
    """

    def __init__(self, xp: Any, slab: int) -> None:
        self.xp, self.slab = xp, slab

    def layer(self, x: Array, weight: Array, bias: Array, slope: float, y: Array) -> None:
        """Compute the activities, an operation at a time."""
        self.xp.matmul(x, weight, out=y)
        y += bias
        y *= -slope
        self.xp.exp(y, out=y)
        y += 1
        self.xp.divide(1, y, out=y)

    def delta(self, factor: Array, y: Array, delta: Array) -> None:
        """Compute δ, an operation at a time."""
        self.xp.subtract(1, y, out=delta)
        delta *= y
        delta *= factor

    def adds_apart(self, weight: Array) -> bool:
        """Return True: a product of arrays does not add."""
        return True

    def accumulate(self, x: Array, delta: Array, product: Array | None, weight: Array) -> None:
        """Add the contraction over the batch, which is one batched product."""
        self.xp.matmul(x.swapaxes(-1, -2), delta, out=product)
        weight += product

    def add_rows(self, delta: Array, rows: Array, bias: Array) -> None:
        """Add the sum over the batch."""
        self.xp.sum(delta, axis=-2, keepdims=True, out=rows)
        bias += rows

    def player(self) -> Player:
        """Return what does the work anew each time."""
        return anew

    def ordered(self) -> None:
        """Do nothing: whoever changes the stream waits for it."""
