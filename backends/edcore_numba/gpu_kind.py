"""What kernels are compiled for beside their tiles: the kind of network, in constants that cost nothing at run time."""

from __future__ import annotations

from dataclasses import dataclass

from edcore.network import Activation, Network

__all__ = ["Kind"]


@dataclass(frozen=True, slots=True)
class Kind:
    """The fields of a network that its kernels are made for; all its other sizes are arguments or in the tile."""

    dtype: str
    n_bias: int
    bias: float
    activation: Activation
    output_activation: Activation
    rms: bool
    outputs: int
    output_cells: int

    @classmethod
    def of(cls, network: Network) -> Kind:
        """Return the kind of a network."""
        return cls(
            network.dtype,
            network.n_bias,
            network.bias,
            network.activation,
            network.output_activation,
            network.rms,
            network.outputs,
            len(network.output_signs),
        )
