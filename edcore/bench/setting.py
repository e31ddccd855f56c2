"""What is timed: the network, its batch, where, how often; and how much work that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from edcore.arguments import one_of, whole_number
from edcore.core.network import Network
from edcore.core.presets import preset
from edcore.core.rule import Rule
from edcore.dispatch import registry
from edcore.errors import UnknownNameError

ALPHA, ALPHA_OUTPUT = 0.8, 1.0  # the article's learning rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What every contender is given.

    Parameters
    ----------
    features, width, depth, heads, dtype
        As in `Network`.
    batch : int
        Samples in the batch, at least 1.
    rule : str
        ``"signed"`` or ``"split"``, which the peers know too.
    repeats : int
        Timings of each contender, at least 1.
    device : str
        Device string, such as ``"cpu"`` or ``"cuda:1"``.

    Raises
    ------
    InputError
        If a value is not accepted.
    """

    features: int = 784
    width: int = 32
    depth: int = 4096
    heads: int = 1
    batch: int = 64
    dtype: str = "float32"
    rule: str = "signed"
    repeats: int = 9
    device: str = "cpu"

    def __post_init__(self) -> None:
        whole_number("batch", self.batch, 1)
        whole_number("repeats", self.repeats, 1)
        kinds = {kind for info in registry.installed().values() for kind in info.device_types}
        if self.device_type not in kinds:
            raise UnknownNameError("device", self.device, kinds, "An NVIDIA GPU is 'cuda', the second one 'cuda:1'.")
        one_of("rule", self.rule, ("signed", "split"))
        object.__setattr__(self, "dtype", self.network.dtype)

    @property
    def network(self) -> Network:
        """The shape of the network."""
        dtype: Any = self.dtype
        return Network(self.features, self.width, self.depth, self.heads, dtype=dtype)

    @property
    def learning_rule(self) -> Rule:
        """The rule, with the article's learning rates."""
        return preset(self.rule, ALPHA, ALPHA_OUTPUT).rule

    @property
    def device_type(self) -> str:
        """The kind of device, such as ``"cuda"``."""
        return self.device.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Work:
    """The least work that a batch takes, whoever does it.

    With W the entries of the weight matrices (biases left out), A = batch · heads · (2 · width · (depth + 1) + 2) the
    activities that the layers compute, X = batch · features the input, and s the bytes of a number:

    - forward and update are one matrix product each: 2 · batch · W floating-point operations;
    - a forward pass that keeps its trace reads W and X and writes A: (W + X + A) · s bytes;
    - an update reads A and X, reads W and writes it: (A + X + 2 · W) · s bytes.

    Parameters
    ----------
    flop_forward, flop_update : int
        Floating-point operations of the matrix products.
    bytes_trace, bytes_update : int
        Bytes that must be moved if nothing is in a cache beforehand.
    """

    flop_forward: int
    flop_update: int
    bytes_trace: int
    bytes_update: int

    @classmethod
    def of(cls, setting: Setting) -> Work:
        """Return the work of one batch."""
        network, batch = setting.network, setting.batch
        weights = sum(math.prod(shape) for key, shape in network.weight_shapes.items() if key.endswith(".weight"))
        cells = network.heads * (len(network.hidden_signs) * (network.depth + 1) + len(network.output_signs))
        activities, x, size = batch * cells, batch * network.in_, np.dtype(network.dtype).itemsize
        product = 2 * batch * weights
        return cls(product, product, (weights + x + activities) * size, (activities + x + 2 * weights) * size)

    @property
    def flop_step(self) -> int:
        """Floating-point operations of a training step."""
        return self.flop_forward + self.flop_update

    @property
    def bytes_step(self) -> int:
        """Bytes that a training step must move."""
        return self.bytes_trace + self.bytes_update
