"""The steps of the baselines by PyTorch: the same from the same weights, faster in wide networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from edcore.comparison.baselines import DECAY, EPS, SQUARE_DECAY, Baseline, Floats
from edcore.core.network import Layer, Network
from edcore.core.randomness import permutation
from edcore.diagnostics.gradient import RMS_EPS, layer_part
from edcore.environment import missing

WIDE = 300_000
"""Weights of a network from which PyTorch is faster than NumPy; for smaller ones its calls take longer than they do."""


def suits(network: Network) -> bool:
    """Return whether PyTorch is installed, and faster for the network."""
    return network.parameters >= WIDE and not missing("torch")


class TorchBaseline(Baseline):
    """A baseline that steps by PyTorch, on the same weights in memory; without a tolerance."""

    def fit(
        self,
        x: Floats,
        target: Floats,
        *,
        epochs: int = 1,
        batch_size: int = 64,
        shuffle: bool = True,
        tolerance: float = 0.0,
    ) -> Baseline:
        """Learn all samples in batches, as `Baseline.fit` does."""
        if tolerance:  # heads would stop by themselves
            options: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "shuffle": shuffle}
            return super().fit(x, target, **options, tolerance=tolerance)
        import torch

        network, dtype = self.network, self.network.dtype
        inputs = torch.from_numpy(np.concatenate([x, x], axis=1).astype(dtype, copy=False))
        wanted = torch.from_numpy(target.reshape(len(x), network.heads, -1).swapaxes(0, 1).astype(dtype))
        weights = {key: torch.from_numpy(value).requires_grad_() for key, value in self.weights.items()}
        moments = {
            key: (torch.from_numpy(mean), torch.from_numpy(square)) for key, (mean, square) in self._moments.items()
        }
        feedback = self._feedback and [torch.from_numpy(matrices) for matrices in self._feedback]
        first = int(self.epochs.max())
        for epoch in range(first, first + epochs):
            order = permutation(self.seed, epoch, len(x)) if shuffle else np.arange(len(x))
            for start in range(0, len(order), batch_size):
                rows = torch.from_numpy(order[start : start + batch_size])
                ascent = self._ascent(weights, inputs[rows], wanted[:, rows], feedback)
                steps = torch.autograd.grad(ascent, list(weights.values()), allow_unused=True)
                with torch.no_grad():
                    self._steps += bool(moments)
                    for (key, value), step in zip(weights.items(), steps, strict=True):
                        if step is None:  # a layer that the network does not have
                            continue
                        taken = self._adam_step(*moments[key], step) if moments else step
                        value.add_(taken, alpha=self.rates[key.startswith("output")])
            self.epochs += 1
        return self

    def _ascent(self, weights: dict[str, Any], x: Any, wanted: Any, feedback: Any) -> Any:
        """Return a number whose gradient is the step of the method."""
        activities, y = [], x[None]
        for layer in self.network.layers:
            # Under feedback alignment a layer gets its signal, and hands none back.
            y = self._layer(layer, weights, y.detach() if feedback else y)
            activities.append(y)
        outputs = y[..., : self.network.outputs]
        signal = (wanted - outputs).detach() / len(x)
        ascent = (outputs * signal).sum()
        for cells, matrices in zip(activities, feedback or (), strict=False):
            ascent = ascent + (cells * (signal @ matrices)).sum()
        return ascent

    def _layer(self, layer: Layer, weights: dict[str, Any], y: Any) -> Any:
        import torch

        weight, bias = (layer_part(weights, layer, part) for part in ("weight", "bias"))
        z = y @ weight + self.network.bias * bias.sum(axis=1, keepdims=True)
        if layer.rms:
            z = z / torch.sqrt((z * z).mean(dim=-1, keepdim=True) + RMS_EPS)
        if layer.activation == "sigmoid":
            return torch.sigmoid(z * (2 / self.network.u0))
        known = {"tanh": torch.tanh, "relu": torch.relu, "relu6": torch.nn.functional.relu6, "linear": lambda z: z}
        return known[layer.activation](z)

    def _adam_step(self, mean: Any, square: Any, step: Any) -> Any:
        mean += (1 - DECAY) * (step - mean)
        square += (1 - SQUARE_DECAY) * (step * step - square)
        root = (square / (1 - SQUARE_DECAY**self._steps)).sqrt()
        return mean / (1 - DECAY**self._steps) / (root + EPS)
