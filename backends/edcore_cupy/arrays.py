"""The in-place operations in plain array code: for CuPy where no product can be recorded, for NumPy in the tests."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from edcore.adapters.operations import Form, Operations, Runner, run_directly
from edcore.arrays import Array
from edcore.core.activations import Activation
from edcore.errors import UnknownNameError


class ArrayOperations(Operations):
    """`Operations` of CuPy or NumPy, one array operation at a time."""

    activations: Collection[str] = ("sigmoid", "tanh", "relu", "relu6", "linear")

    def __init__(self, xp: Any, slab: int) -> None:
        self.xp, self.slab = xp, slab

    def scales_biases(self, heads: int) -> bool:
        """Return False: each layer scales its own."""
        return False

    def layer(self, x: Array, weight: Array, bias: Array, form: Form, y: Array) -> None:
        """Compute the activities."""
        self._multiply(x, weight, y)
        y += bias if form.active == 1 else form.active * bias
        self.activate(form, y)

    def activate(self, form: Form, y: Array) -> None:
        """Compute the activities in place."""
        match form.activation:
            case "sigmoid":
                y *= -form.slope
                self.xp.exp(y, out=y)
                y += 1
                self.xp.divide(1, y, out=y)
            case "tanh":
                self.xp.tanh(y, out=y)
            case "relu":
                self.xp.maximum(y, 0, out=y)
            case "relu6":
                self.xp.maximum(y, 0, out=y)
                self.xp.minimum(y, 6, out=y)
            case "linear":
                pass
            case _:
                raise UnknownNameError("activation", form.activation, self.activations)

    def squares(self, z: Array, total: Array) -> None:
        """Compute the sum as a product of each sample's row and column."""
        self._multiply(z[..., None, :], z[..., :, None], total[..., None])

    def delta(self, activation: Activation, factor: Array, y: Array, delta: Array) -> None:
        """Compute δ."""
        match activation:
            case "sigmoid":
                self.xp.subtract(1, y, out=delta)
                delta *= y
            case "tanh":
                self.xp.multiply(y, y, out=delta)
                self.xp.subtract(1, delta, out=delta)
            case "relu":
                self.xp.sign(y, out=delta)
            case "relu6":  # y (6 − y) is above 0 where 0 < y < 6, and 0 at both ends
                self.xp.subtract(6, y, out=delta)
                delta *= y
                self.xp.sign(delta, out=delta)
            case "linear":
                delta[...] = 1
            case _:
                raise UnknownNameError("activation", activation, self.activations)
        delta *= factor

    def needs_product_memory(self, batch: int) -> bool:
        """Return True: a product of arrays does not add."""
        return True

    def accumulate(self, x: Array, delta: Array, product: Array | None, weight: Array) -> None:
        """Add the contraction over the batch, which is one batched product."""
        self._multiply(x.swapaxes(-1, -2), delta, product)
        weight += product

    def runner(self) -> Runner:
        """Return a runner that does the work each time."""
        return run_directly

    def computing(self) -> AbstractContextManager[None]:
        """Return a context that does nothing: code that changes the stream waits for the one before."""
        return nullcontext()

    def _multiply(self, a: Array, b: Array, out: Array) -> None:
        self.xp.matmul(a, b, out=out)
