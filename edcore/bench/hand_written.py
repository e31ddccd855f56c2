"""The method as a good programmer writes it by hand in PyTorch or JAX, for the signed rule and the batch's mean.

A backend has to beat these. They compute the same as `edcore.core`, from the same weights, and have the calls of
`edcore.ED`, with targets of shape (batch, heads). Inside, the layers are the first axis, then the heads.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

from edcore.arrays import Array, HostWeights, exact, native_device, synchronize
from edcore.core.network import LAYERS, Network
from edcore.core.rule import Rule

UNROLLED = 64
"""The most hidden layers for which the compiled forward pass is one graph. Thousands would compile for minutes."""


class TorchNetwork:
    """PyTorch, one operation at a time: a product and a sigmoid for each layer; all hidden layers learn at once."""

    def __init__(self, network: Network, rule: Rule, weights: HostWeights, batch: int, device: str) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.device = native_device("torch", device)
        self._rule, self._batch, self._slope = rule, batch, 2 / network.u0
        # One head needs no batched product, and a call of addmm is shorter.
        one = network.heads == 1
        self._linear = self.torch.addmm if one else self.torch.baddbmm
        self.weights = {key: self._copy(_layers_first(key, weights)) for key in network.weight_shapes}
        signs = zip(LAYERS, (layer.target_signs for layer in network.stacks), strict=True)
        self._signs = {name: self._copy(np.asarray(values, network.dtype)) for name, values in signs}
        cells = 2 * network.width
        self._x = self._copy(np.empty((batch, 2 * network.in_), network.dtype))  # both streams see the same input
        self._hidden = self._copy(np.empty((network.depth + 1, network.heads, batch, cells), network.dtype))
        self._output = self._copy(np.empty((1, network.heads, batch, 2), network.dtype))
        buffers = [*self._hidden, *self._output]
        pairs = [
            pair
            for name in LAYERS
            for pair in zip(self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], strict=True)
        ]
        # These views are made once and stay valid, as updates are in place.
        self._views = [
            [tensor[0] if one else tensor for tensor in (w, b, y)] for (w, b), y in zip(pairs, buffers, strict=True)
        ]
        self._heads = () if one else (network.heads,)

    def predict(self, x: Array) -> Array:
        """Return the outputs (batch, heads)."""
        with exact("torch", self.device):
            return self._predict(x)

    def __call__(self, x: Array) -> Array:
        """Return the outputs (batch, heads), and keep all activities."""
        with exact("torch", self.device):
            self.torch.cat([x, x], dim=-1, out=self._x)
            return self._trace()

    def update(self, error: Array) -> None:
        """Learn in place, for error = target − output (batch, heads)."""
        with exact("torch", self.device):
            self._update(error)

    def synchronize(self) -> None:
        """Wait for the device."""
        synchronize("torch", self.device, None)

    # Below: the methods that `CompiledTorchNetwork` compiles.

    def _predict(self, x: Any) -> Any:
        y = self.torch.cat([x, x], dim=-1).expand(*self._heads, -1, -1)
        for w, b, _ in self._views:
            y = self._layer(y, w, b)
        return self._outputs(y)

    def _trace(self) -> Any:
        y = self._x.expand(*self._heads, -1, -1)
        for w, b, buffer in self._views:
            y = self._layer(y, w, b, buffer)
        return self._outputs(y)

    def _layer(self, y: Any, w: Any, b: Any, out: Any = None) -> Any:
        return self._linear(b, y, w, beta=self._slope, alpha=self._slope, out=out).sigmoid_()

    def _update(self, error: Any) -> None:
        e = error.T[..., None] / self._batch
        x = self._x.expand(1, e.shape[0], -1, -1)
        self._learn("input", x, self._hidden[:1], e * self._rule.alpha)
        self._learn("hidden", self._hidden[:-1], self._hidden[1:], e * self._rule.alpha)
        self._learn("output", self._hidden[-1:], self._output, e * self._rule.alpha_output)

    def _learn(self, name: str, x: Any, y: Any, e: Any) -> None:
        delta = (1 - y).mul_(y).mul_(e * self._signs[name])
        self.weights[f"{name}.weight"].flatten(0, 1).baddbmm_(x.flatten(0, 1).mT, delta.flatten(0, 1))
        self.weights[f"{name}.bias"].add_(delta.sum(-2, keepdim=True))

    def _outputs(self, y: Any) -> Any:
        return y[..., 0].reshape(-1, self._batch).T.clone()

    def _copy(self, array: Any) -> Any:
        return self.torch.asarray(array, device=self.device, copy=True)


class CompiledTorchNetwork(TorchNetwork):
    """`TorchNetwork`, compiled: the update as one function; the forward pass as one or, if deep, a layer at a time."""

    def __init__(
        self, network: Network, rule: Rule, weights: HostWeights, batch: int, device: str, unrolled: int = UNROLLED
    ) -> None:
        super().__init__(network, rule, weights, batch, device)
        # On an NVIDIA GPU "reduce-overhead" records a CUDA graph. Such a graph copies each input before it runs, unless
        # its address never changes; and no graph is recorded of a function that writes to another input.
        views = [tensor for views in self._views for tensor in views]
        for tensor in [self._x, self._hidden, self._output, *self.weights.values(), *self._signs.values(), *views]:
            self.torch._dynamo.mark_static_address(tensor)
        compiled = functools.partial(self.torch.compile, fullgraph=True, dynamic=False)
        recorded = functools.partial(compiled, mode="reduce-overhead")
        in_one = network.depth <= unrolled
        self._compiled_predict = recorded(super()._predict) if in_one else super()._predict
        self._compiled_trace = recorded(super()._trace) if in_one else super()._trace
        self._compiled_layer = super()._layer if in_one else compiled(super()._layer)
        self._compiled_update = recorded(super()._update)

    def _predict(self, x: Array) -> Any:
        return self._compiled_predict(x).clone()  # the next run of a CUDA graph overwrites its outputs

    def _trace(self) -> Any:
        return self._compiled_trace().clone()

    def _layer(self, y: Any, w: Any, b: Any, out: Any = None) -> Any:
        return self._compiled_layer(y, w, b, out)

    def _update(self, error: Any) -> None:
        self._compiled_update(error)


class JaxNetwork:
    """JAX, compiled: a scan over the layers; all hidden layers learn in one product, in the memory of the weights."""

    def __init__(self, network: Network, rule: Rule, weights: HostWeights, device: str) -> None:
        self.jax: Any = importlib.import_module("jax")
        self.device = native_device("jax", device)
        first = {key: _layers_first(key, weights) for key in network.weight_shapes}
        self.weights = self.jax.device_put(first, self.device)
        slope = 2 / network.u0
        self._predict = self.jax.jit(functools.partial(_jax_forward, self.jax, slope, False))
        self._trace = self.jax.jit(functools.partial(_jax_forward, self.jax, slope, True))
        self._update = self.jax.jit(functools.partial(_jax_update, self.jax, network, rule), donate_argnums=0)
        self._latest: Any = None

    def predict(self, x: Array) -> Array:
        """Return the outputs (batch, heads)."""
        with exact("jax", self.device):
            self._latest, _ = self._predict(self.weights, x)
        return self._latest

    def __call__(self, x: Array) -> Array:
        """Return the outputs (batch, heads), and keep all activities."""
        with exact("jax", self.device):
            self._latest = outputs, self._activities = self._trace(self.weights, x)
        return outputs

    def update(self, error: Array) -> None:
        """Learn, for error = target − output (batch, heads)."""
        with exact("jax", self.device):
            self._latest = self.weights = self._update(self.weights, self._activities, error)

    def synchronize(self) -> None:
        """Wait for the device."""
        synchronize("jax", self.device, self._latest)


def _jax_forward(jax: Any, slope: float, traced: bool, weights: dict[str, Any], x: Any) -> tuple[Any, Any]:
    """Return the outputs (batch, heads) and, if `traced`, the activities of the input, hidden and output layers."""
    jnp = jax.numpy

    def layer(y: Any, parameters: tuple[Any, Any]) -> tuple[Any, Any]:
        w, b = parameters
        return jax.nn.sigmoid(slope * (y @ w + b)), y if traced else None

    doubled = jnp.concatenate([x, x], axis=-1)[None]  # both streams see the same input
    y, _ = layer(doubled, (weights["input.weight"][0], weights["input.bias"][0]))
    last, before = jax.lax.scan(layer, y, (weights["hidden.weight"], weights["hidden.bias"]))
    out, _ = layer(last, (weights["output.weight"][0], weights["output.bias"][0]))
    activities = (doubled, jnp.concatenate([before, last[None]]), out[None]) if traced else None
    return out[..., 0].T, activities


def _jax_update(
    jax: Any, network: Network, rule: Rule, weights: dict[str, Any], activities: tuple[Any, ...], error: Any
) -> dict[str, Any]:
    """Return the weights after one update of all layers."""
    jnp = jax.numpy
    doubled, hidden, out = activities
    e = error.T[..., None] / error.shape[0]
    x = jnp.broadcast_to(doubled, (1, network.heads, *doubled.shape[-2:]))
    learned = {}
    for name, source, y, signs, rate in (
        ("input", x, hidden[:1], network.layer("input").target_signs, rule.alpha),
        ("hidden", hidden[:-1], hidden[1:], network.layer("hidden").target_signs, rule.alpha),
        ("output", hidden[-1:], out, network.output_signs, rule.alpha_output),
    ):
        delta = y * (1 - y) * (e * rate * jnp.asarray(signs, y.dtype))
        learned[f"{name}.weight"] = weights[f"{name}.weight"] + jnp.einsum("dhbi,dhbj->dhij", source, delta)
        learned[f"{name}.bias"] = weights[f"{name}.bias"] + delta.sum(-2, keepdims=True)
    return learned


def _layers_first(key: str, weights: HostWeights) -> Any:
    """Return the weights as (layers, heads, sources, targets); input and output are stacks of one layer."""
    return np.ascontiguousarray(weights[key].swapaxes(0, 1)) if key.startswith("hidden") else weights[key][None]
