"""Products of float32 as three of TF32, which a GPU's tensor cores compute: what PyTorch's and CuPy's have in common.

TF32 has the exponents of float32 and 11 of its 24 significant bits. A number a is split into a high part, a rounded to
TF32, and a low part, the rest rounded to TF32. Then, added up in float32,

    a · b  ≈  a_low · b_high + a_high · b_low + a_high · b_high.

Products of parts are exact, as they have 22 bits. Low parts are at most 2⁻¹¹ of the numbers, and what they leave out
2⁻²³. With low · low, which is left out too, a product is off by 2⁻²¹ |a| |b| at most, and seldom by more than 2⁻²³.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Self

from edcore.adapters.in_place import InPlaceBackend
from edcore.arrays import Array, device_type
from edcore.contract.memory import Supported
from edcore.core.network import Network
from edcore.core.rule import Rule

TF32X3 = "tf32x3"

HALF, MASK = 0x1000, 0xFFFFE000
"""Half of a unit of TF32's last digit, and the bits of a float32 that TF32 has: a sum and a mask round the bits of a
number, to the nearest, away from zero where two are as near."""

AMPERE = 80
"""The compute capability from which on GPUs have TF32."""


class Parts(NamedTuple):
    """The parts of an array, or flat memory for them."""

    high: Array
    low: Array

    def shaped(self, shape: tuple[int, ...]) -> Self:
        """Return a part of the memory, as parts of this shape."""
        size = math.prod(shape)
        return self._replace(high=self.high[:size].reshape(shape), low=self.low[:size].reshape(shape))


def terms(a: Parts, b: Parts) -> tuple[tuple[Array, Array], ...]:
    """Return the operands of the three products, those of the small terms first."""
    return (a.low, b.high), (a.high, b.low), (a.high, b.high)


class TF32x3Backend(InPlaceBackend):
    """The contract met in place, with operations whose products are three of TF32.

    Attributes
    ----------
    capability : int
        The device's compute capability, such as 75 for 7.5; 0 for what is no GPU of NVIDIA.
    """

    precision = TF32X3
    capability = 0

    def supports(self, network: Network, rule: Rule) -> Supported:
        """Return True, or what it lacks: float32, or a device with TF32, or what the backend itself lacks."""
        if network.dtype != "float32":
            return f"it has the precision {TF32X3!r} in float32 alone, and not in {network.dtype}"
        if device_type(self.device) != "cuda":
            return f"it has the precision {TF32X3!r} on cuda alone, and not on {self.device!r}"
        if self.capability < AMPERE:
            has = f"{self.device!r} has {self.capability // 10}.{self.capability % 10}"
            return f"it has the precision {TF32X3!r} on GPUs of compute capability 8.0 or later, and {has}"
        return super().supports(network, rule)
