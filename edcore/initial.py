"""What weights are before training: a frozen value, part of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edcore.errors import InputError
from edcore.values import assign, one_of, real

__all__ = ["Initial"]

MOST_FAN_IN = 10  # beyond it, all weights are as good as zero


@dataclass(frozen=True, slots=True)
class Initial:
    """How the initial weights are drawn: W_ij = s_i s_j · weight · factor · d_ij / sources**fan_in.

    Biases are s_b s_j · bias · U(0, 1).

    Parameters
    ----------
    distribution : {"half_normal", "uniform"}
        What d is drawn from: abs(N(0, 1)), as in the article of 2024, or U(0, 1), as Kaneko (1999) and Fujita (2025)
        have it.
    weight : float
        Scale of the weights, at least 0 (Kaneko: 1; Fujita: 1e-4, for regression 1).
    bias : float
        The biases' largest magnitude, at least 0: they are uniform below it.
    fan_in : float
        The power of the number of a layer's source cells (both streams) by which its weights are divided, at least 0: 0
        leaves them as they are, 0.5 keeps the spread of the sums the same for all widths. At most 10.
    excitatory : float
        Factor of the positive weights of each layer but the output layer, at least 0 (Diffusing Blame, 2026: 1.5).
    inhibitory : float
        Factor of the negative weights of each layer but the output layer, at least 0 (Diffusing Blame: 0.5).

    Raises
    ------
    InputError
        If a value is outside what is listed above.

    Examples
    --------
    >>> from edcore import Initial, Network
    >>> Network(in_=64, width=2, initial=Initial("uniform", weight=1e-4, bias=1e-4)).initial.weight
    0.0001
    """

    distribution: Literal["half_normal", "uniform"] = "half_normal"
    weight: float = 1.0
    bias: float = 1.0
    fan_in: float = 0.0
    excitatory: float = 1.0
    inhibitory: float = 1.0

    def __post_init__(self) -> None:
        one_of("distribution", self.distribution, ("half_normal", "uniform"))
        for name in ("weight", "bias", "fan_in", "excitatory", "inhibitory"):
            assign(self, name, real(name, getattr(self, name)))
        if self.fan_in > MOST_FAN_IN:
            raise InputError("fan_in", repr(self.fan_in), f"a number of at most {MOST_FAN_IN}", "0.5 suits all widths.")
