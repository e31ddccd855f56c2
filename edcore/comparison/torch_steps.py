"""The steps of the baselines by PyTorch: the same from the same weights, faster in wide networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.comparison.baselines import DECAY, EPS, SQUARE_DECAY, Baseline, Floats, Learning
from edcore.core.activations import ACTIVATIONS, SOFTMAX
from edcore.core.network import Layer, Network
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

    _tensors: Any = None  # the weights, once a fit has begun
    _optimizer: Any = None

    def fit(self, x: Floats, target: Floats, *, tolerance: float = 0.0, **options: Any) -> Baseline:
        """Learn all samples in batches, as `Baseline.fit` does."""
        if tolerance:
            raise InputError("tolerance", f"{tolerance:g} by PyTorch", "0", "NumPy's baseline has heads that stop.")
        return super().fit(x, target, **options)

    def _begin(self, x: Floats) -> Learning:
        """Return all heads, with their weights as tensors, which share their memory, and the present rates."""
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
        return super()._begin(x)

    def _learn(self, part: Learning, x: Floats, target: Floats, rows: npt.NDArray[np.intp]) -> Floats:
        """Learn some rows of x, whose targets are given; return their errors (batch, columns)."""
        import torch

        network, samples = self.network, x[rows]
        activities, y = [], torch.from_numpy(np.concatenate([samples, samples], axis=1))[None]
        feedback = [torch.from_numpy(matrices) for matrices in part.fixed]
        for layer in network.layers:
            # Under feedback alignment a layer gets its signal, and hands none back.
            y = self._layer(layer, self._tensors, y.detach() if feedback else y)
            activities.append(y)
        outputs = y[..., : network.outputs]
        wanted = torch.from_numpy(target.reshape(len(rows), network.heads, -1)).swapaxes(0, 1)
        read = torch.softmax(outputs, dim=-1) if network.output_activation == SOFTMAX else outputs
        error = (wanted - read).detach()
        signal = error / len(rows)
        ascent = (outputs * signal).sum()  # whose gradient is the step of the method
        for cells, matrices in zip(activities, feedback, strict=False):
            ascent = ascent + (cells * (signal @ matrices)).sum()
        self._optimizer.zero_grad(set_to_none=True)
        ascent.backward()
        self._optimizer.step()
        return error.swapaxes(0, 1).reshape(target.shape).numpy()

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
