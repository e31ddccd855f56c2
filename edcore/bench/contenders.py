"""The contenders by name: each is a network with the calls of `edcore.ED`, and a batch where it wants it.

They are made in the process where they will be timed, so that none of their libraries is loaded anywhere else.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from edcore import arrays as libraries
from edcore.arrays import Array, HostWeights
from edcore.bench import article
from edcore.bench import hand_written as peers
from edcore.bench.hand_written import CompiledPeer
from edcore.bench.setting import Setting
from edcore.core.network import Network
from edcore.core.weights import initialise
from edcore.dispatch import registry
from edcore.errors import EDCoreError, UnknownNameError
from edcore.model.ed import ED

SEED = 0
HAND_WRITTEN = {
    "article": "numpy",
    "article-cupy": "cupy",
    "torch-peer": "torch",
    "torch-compile": "torch",
    "jax-peer": "jax",
    "products": "numpy",
}
"""What is no backend, and the library that it uses."""


class Timed(Protocol):
    """The calls that are timed; `edcore.ED` has them."""

    def predict(self, x: Array) -> Array:
        """Return the outputs for x."""
        ...

    def __call__(self, x: Array) -> Array:
        """Return the outputs for x, and keep what `update` needs."""
        ...

    def update(self, error: Array) -> None:
        """Update all layers, for error = target − output."""
        ...

    def synchronize(self) -> None:
        """Wait until the device has finished."""
        ...


@dataclass(frozen=True, slots=True)
class Contender:
    """A network, and a batch in the library and on the device where it computes.

    Parameters
    ----------
    network : Timed
        The network.
    x, target : array
        The batch.
    device : str
        Where it computes.
    """

    network: Timed
    x: Array
    target: Array
    device: str


class ArticleHeads:
    """The article's algorithm: a network for each head.

    Parameters
    ----------
    setting : Setting
        The shape.
    xp : module
        NumPy or CuPy.
    device : object
        The library's own device.
    """

    def __init__(self, setting: Setting, xp: Any, device: Any) -> None:
        shape = (setting.features, setting.width, setting.depth, setting.learning_rule.alpha)
        self.networks = [article.Network(*shape, SEED + head, xp, setting.dtype) for head in range(setting.heads)]
        self._xp, self._device = xp, device

    def __call__(self, x: Array) -> Array:
        """Return the outputs (batch, heads)."""
        return self._xp.stack([network(x) for network in self.networks], axis=1)

    predict = __call__  # it knows no pass that keeps nothing

    def update(self, error: Array) -> None:
        """Update all networks."""
        for head, network in enumerate(self.networks):
            network.update(error[:, head])

    def synchronize(self) -> None:
        """Wait for the device."""
        libraries.synchronize(self._xp.__name__, self._device, None)


def known() -> list[str]:
    """Return the names of all contenders."""
    return sorted({*HAND_WRITTEN, *registry.installed()})


def defaults(device_type: str) -> list[str]:
    """Return the contenders that are compared where none are named, the reference first."""
    if device_type == "cpu":
        return ["numba", "numpy", "torch-peer", "jax-peer", "article"]
    return ["numba", "cupy", "torch-peer", "jax-peer", "article-cupy"]


def contender(name: str, setting: Setting) -> Contender:
    """Return a contender, not yet warmed up.

    Raises
    ------
    EDCoreError
        If it is not known, or cannot run this setting here.
    """
    # JAX reads both when it is first imported. It would take most of a GPU's memory, which the others need too.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if setting.dtype == "float64":
        os.environ["JAX_ENABLE_X64"] = "1"
    random = np.random.default_rng(SEED)
    x = random.random((setting.batch, setting.features)).astype(setting.dtype)
    target = random.integers(0, 2, (setting.batch, setting.heads)).astype(setting.dtype)
    if name in HAND_WRITTEN:
        return _hand_written(name, setting, x, target)
    if name not in registry.installed():
        raise UnknownNameError("CONTENDERS", name, known(), "`edcore info` lists the backends.")
    return _backend(name, setting, x, target[:, 0] if setting.heads == 1 else target)


def _backend(name: str, setting: Setting, x: Array, target: Array) -> Contender:
    ed = ED(
        setting.features,
        setting.width,
        setting.depth,
        heads=setting.heads,
        rule=setting.learning_rule,
        dtype=setting.dtype,
        seed=SEED,
        backend=name,
        device=setting.device,
    )
    device, kind = str(ed.device), setting.device_type
    # On the CPU, NumPy's arrays serve every backend, and no other library's threads come into its process with them.
    for library in registry.installed()[name].namespaces if kind != "cpu" else ():
        info = registry.installed().get(library)
        if info and kind in info.device_types and registry.probe(info, device).ok:
            x, target = (_placed(array, library, device) for array in (x, target))
            break
    return Contender(ed, x, target, device)


def _hand_written(name: str, setting: Setting, x: Array, target: Array) -> Contender:
    library, device = HAND_WRITTEN[name], setting.device
    if setting.rule != "signed" and name != "products":
        raise EDCoreError(f"it has the signed rule only, and not {setting.rule!r}")
    if library == "numpy" and setting.device_type != "cpu":
        raise EDCoreError(f"it computes on the CPU only, and not on {device!r}")
    if library == "cupy" and setting.device_type != "cuda":
        raise EDCoreError(f"it computes on an NVIDIA GPU only (--device cuda), and not on {device!r}")
    if reason := libraries.unavailable(library, device):
        raise EDCoreError(f"{reason}. Its packages are installed by: {registry.installed()[library].install}")
    network, rule = setting.network, setting.learning_rule
    timed: Timed
    if name.startswith("article"):
        native = libraries.native_device(library, device)
        if library == "cupy":
            native.use()
        timed = ArticleHeads(setting, importlib.import_module(library), native)
    elif name == "products":
        timed = Products(network, initialise(network, SEED), setting.batch)
    elif library == "torch":
        peer = CompiledPeer if name == "torch-compile" else peers.TorchPeer
        timed = peer(network, rule, initialise(network, SEED), setting.batch, device)
    else:
        timed = peers.JaxPeer(network, rule, initialise(network, SEED), device)
    x, target = (_placed(array, library, device) for array in (x, target))
    return Contender(timed, x, target, device)


def _placed(array: Array, library: str, device: str) -> Array:
    """Return a NumPy array as one of the library's, on the device."""
    xp = libraries.namespace(importlib.import_module(library))
    return xp.asarray(array, device=libraries.native_device(library, device))


class Products:
    """One product for each layer, forward and in the update, with the calls of `edcore.ED`; nothing is learnt.

    Each layer has activities of its own, between 0 and 1, that stay as they are, so that no number gets out of hand.

    Parameters
    ----------
    network : Network
        The shape.
    weights : dict of str to ndarray
        Its weights.
    batch : int
        Samples in each batch.
    """

    def __init__(self, network: Network, weights: HostWeights, batch: int) -> None:
        random = np.random.default_rng(0)
        self._heads, self._batch = network.heads, batch
        self._layers = []
        for head in range(network.heads):
            for layer in network.layers:
                weight = weights[f"{layer.name}.weight"][layer.where(head)]
                sources, targets = ((batch, count) for count in weight.shape)
                x, g = (random.random(shape).astype(network.dtype) for shape in (sources, targets))
                self._layers.append((x, weight, np.empty_like(g), g, np.empty_like(weight)))

    def __call__(self, x: Array) -> Array:
        """Multiply activities by weights in all layers; return zeros (batch, heads)."""
        for own_x, weight, y, _, _ in self._layers:
            np.matmul(own_x, weight, out=y)
        return np.zeros((self._batch, self._heads), x.dtype)

    predict = __call__

    def update(self, error: Array) -> None:
        """Multiply activities by the factors of their targets in all layers."""
        for own_x, _, _, g, change in self._layers:
            np.matmul(own_x.T, g, out=change)

    def synchronize(self) -> None:
        """Do nothing: NumPy is never ahead of the clock."""
