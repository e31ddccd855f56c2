"""The article's network (2024), transcribed independently: its own layout, and its per-sample updates.

weight[p, q, i, o]: target stream p, source stream q. Streams: 0 excitatory, 1 inhibitory. ope = (+1, −1). It runs on
any library with NumPy's names. An update makes an outer product for each sample, as the article's program does; the
tests compare `edcore.core`, which never makes one, with its numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edcore.arrays import Array


class TwoStreamLayer:
    """One layer, with two streams of source cells and two of target cells."""

    def __init__(
        self,
        in_: int,
        out: int,
        alpha: float,
        random: np.random.Generator,
        xp: Any = np,
        dtype: str = "float64",
        u0: float = 0.4,
    ) -> None:
        weight = np.abs(random.standard_normal((2, 2, in_, out)))
        weight[:, 1] *= -1
        self.weight = xp.asarray(weight, dtype=dtype)
        self.bias = xp.asarray(random.uniform(0, 1, (2, 1, out)), dtype=dtype)
        self.alpha, self.u0, self.xp = alpha, u0, xp

    def __call__(self, x: list[Array]) -> list[Array]:
        """Return the activities of both streams, and keep them for `update`."""
        self.x: list[Array] = x
        self.y: list[Array] = []
        for p, ope in enumerate((1.0, -1.0)):
            z = (x[0] @ self.weight[p, 0] + x[1] @ self.weight[p, 1] + self.bias[p]) * ope
            with np.errstate(over="ignore"):
                self.y.append(1 / (1 + self.xp.exp(-2 * z / self.u0)))
        return self.y

    def update(self, error: Array) -> None:
        """Learn from the error of each sample, target − output."""
        for p in range(2):
            delta = error[:, None] * self.y[p] * (1 - self.y[p])
            for q in range(2):
                per_sample = self.x[q][:, :, None] * delta[:, None, :]
                self.weight[p, q] += self.alpha * per_sample.mean(axis=0)
            self.bias[p, 0] += self.alpha * delta.mean(axis=0)


class Network:
    """The article's network of one output; `xp` is NumPy, or a library with the same names."""

    def __init__(
        self, in_: int, width: int, depth: int, alpha: float, seed: int, xp: Any = np, dtype: str = "float64"
    ) -> None:
        random = np.random.default_rng(seed)
        # The article's output layer learns at a rate of 1 for every alpha.
        stack = [TwoStreamLayer(width, width, alpha, random, xp, dtype) for _ in range(depth)]
        first = TwoStreamLayer(in_, width, alpha, random, xp, dtype)
        last = TwoStreamLayer(width, 1, 1.0, random, xp, dtype)
        self.layers = [first, *stack, last]

    def __call__(self, x: Array) -> Array:
        """Return the outputs (batch,) for x (batch, in_)."""
        y = [x, x]
        for layer in self.layers:
            y = layer(y)
        return y[0][:, 0]

    def update(self, error: Array) -> None:
        """Update all layers, for error = target − output (batch,) of the last call."""
        for layer in self.layers:
            layer.update(error)
