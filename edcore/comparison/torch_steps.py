"""The steps of the baselines by PyTorch: the same from the same weights, faster in wide networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from edcore.comparison.baselines import DECAY, EPS, SQUARE_DECAY, Baseline, Floats
from edcore.core.activations import ACTIVATIONS
from edcore.core.network import Layer, Network
from edcore.core.randomness import permutation
from edcore.diagnostics.gradient import RMS_EPS, layer_part
from edcore.environment import missing
from edcore.errors import InputError

WIDE = 1_000_000
"""Weights of a network from which PyTorch is faster than NumPy; for smaller ones its calls take longer than they do."""


def suits(network: Network) -> bool:
    """Return whether PyTorch is installed, computes the network, and is faster than NumPy for it."""
    known = all(layer.activation in ACTIVATIONS for layer in network.layers)  # a registered one is NumPy's
    return known and network.parameters >= WIDE and not missing("torch")


class TorchBaseline(Baseline):
    """A baseline that steps by PyTorch, on the same weights in memory; it has no tolerance."""

    _tensors: dict[str, Any] | None = None
    _optimizer: Any = None

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
        import torch

        if tolerance:
            raise InputError("tolerance", f"{tolerance:g} by PyTorch", "0", "NumPy's baseline has heads that stop.")
        network, dtype = self.network, self.network.dtype
        inputs = torch.from_numpy(np.concatenate([x, x], axis=1).astype(dtype, copy=False))
        wanted = torch.from_numpy(target.reshape(len(x), network.heads, -1).swapaxes(0, 1).astype(dtype))
        feedback = self._feedback and [torch.from_numpy(matrices) for matrices in self._feedback]
        weights, optimizer = self._prepared()
        first = int(self.epochs.max())
        for epoch in range(first, first + epochs):
            order = permutation(self.seed, epoch, len(x)) if shuffle else np.arange(len(x))
            for start in range(0, len(order), batch_size):
                rows = torch.from_numpy(order[start : start + batch_size])
                optimizer.zero_grad(set_to_none=True)
                self._ascent(weights, inputs[rows], wanted[:, rows], feedback).backward()
                optimizer.step()
            self.epochs += 1
        return self

    def _prepared(self) -> tuple[dict[str, Any], Any]:
        """Return the weights as tensors, which share their memory, and the optimizer with the present rates."""
        import torch

        if self._tensors is None:
            self._tensors = {key: torch.from_numpy(value).requires_grad_() for key, value in self.weights.items()}
            parts = [
                [value for key, value in self._tensors.items() if key.startswith("output") is of]
                for of in (False, True)
            ]
            groups = [{"params": part, "lr": rate} for part, rate in zip(parts, self.rates, strict=True)]
            options: dict[str, Any] = {"maximize": True, "fused": True}
            if self._moments:
                options |= {"betas": (DECAY, SQUARE_DECAY), "eps": EPS}
            self._optimizer = (torch.optim.Adam if self._moments else torch.optim.SGD)(groups, **options)
        for group, rate in zip(self._optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate
        return self._tensors, self._optimizer

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
        functions = {"tanh": torch.tanh, "relu": torch.relu, "relu6": torch.nn.functional.relu6, "linear": lambda z: z}
        return functions[layer.activation](z)
