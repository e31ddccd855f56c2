"""The setting of a benchmark (network, batch, device, repeats), and the least work that it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from edcore.arguments import one_of, whole_number
from edcore.arrays import device_type
from edcore.core.network import Network
from edcore.core.presets import preset
from edcore.core.rule import Rule
from edcore.dispatch import registry
from edcore.dispatch.choose import FULL, known_precisions
from edcore.errors import UnknownNameError

ALPHA, ALPHA_OUTPUT = 0.8, 1.0  # the article's learning rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The network, the batch and the device that all contenders share; bad values raise an InputError."""

    features: int = 784
    width: int = 32
    depth: int = 4096
    heads: int = 1
    batch: int = 64
    dtype: str = "float32"
    rule: str = "signed"  # or "split"
    repeats: int = 9  # timings of each contender
    device: str = "cpu"  # or "cuda", "cuda:1", …
    precision: str = FULL  # of the backends, see `ED`

    def __post_init__(self) -> None:
        whole_number("batch", self.batch, 1)
        whole_number("repeats", self.repeats, 1)
        types = {name for info in registry.installed().values() for name in info.device_types}
        if self.device_type not in types:
            raise UnknownNameError("device", self.device, types, "An NVIDIA GPU is 'cuda', the second one 'cuda:1'.")
        one_of("rule", self.rule, ("signed", "split"))
        one_of("precision", self.precision, known_precisions())
        object.__setattr__(self, "dtype", self.network.dtype)  # making the network checks its sizes too

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
        """The type of the device, such as ``"cuda"``."""
        return device_type(self.device)


@dataclass(frozen=True, slots=True)
class Work:
    """The least work that a batch takes: operations of the matrix products, and bytes to move with cold caches."""

    flop_forward: int
    flop_update: int
    bytes_trace: int
    bytes_update: int

    @classmethod
    def of(cls, setting: Setting) -> Work:
        """Return the work of one batch."""
        # Forward and update are one product each: 2 · batch · W operations, for W entries of weight matrices (biases
        # left out). A forward pass that keeps its trace reads the weights and the input, and writes all activities; an
        # update reads input, activities and weights, and writes the weights.
        network, batch = setting.network, setting.batch
        weights = sum(math.prod(shape) for key, shape in network.weight_shapes.items() if key.endswith(".weight"))
        cells = 2 * network.hidden_count + network.weight_shapes["output.bias"][-1]
        activities, x, size = batch * network.heads * cells, batch * network.in_, np.dtype(network.dtype).itemsize
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
