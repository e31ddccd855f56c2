"""An independent transcription of the article's network (2024), in its own layout and with its per-sample updates.

weight[p, q, i, o]: target stream p, source stream q. Streams: 0 excitatory, 1 inhibitory. ope = (+1, −1). It runs on
any library with NumPy's names. An update makes an outer product for every sample, as the article's program does; the
tests hold `edcore.core`, which never builds one, to its numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edcore.arrays import Array


class Layer:
    """One layer, of two streams of source cells and two of target cells.

    Parameters
    ----------
    in_, out : int
        Source cells and target cells of each stream.
    alpha : float
        Learning rate.
    random : numpy.random.Generator
        What the initial weights are drawn from.
    xp : module
        The array library: NumPy, or one with the same names.
    dtype : str
        Precision of the weights.
    u0 : float
        Width of the activation.
    """

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
    """The article's network of one output.

    Parameters
    ----------
    in_ : int
        Input features.
    width : int
        Cells per stream of each layer.
    depth : int
        Hidden layers.
    alpha : float
        Learning rate of all layers but the output layer, which has 1.
    seed : int
        Seed of the initial weights.
    xp : module
        The array library: NumPy, or one with the same names.
    dtype : str
        Precision of the weights.
    """

    def __init__(
        self, in_: int, width: int, depth: int, alpha: float, seed: int, xp: Any = np, dtype: str = "float64"
    ) -> None:
        random = np.random.default_rng(seed)
        stack = [Layer(width, width, alpha, random, xp, dtype) for _ in range(depth)]
        first, last = Layer(in_, width, alpha, random, xp, dtype), Layer(width, 1, 1.0, random, xp, dtype)
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
