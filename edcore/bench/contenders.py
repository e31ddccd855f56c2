"""The contenders by name: each is a network with the calls of `edcore.ED`, and a batch where it wants it.

A contender is made in the process where it is timed, so that its library is loaded nowhere else.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from edcore import arrays
from edcore.arrays import Array, HostWeights
from edcore.bench import article
from edcore.bench.hand_written import CompiledTorchNetwork, JaxNetwork, TorchNetwork
from edcore.bench.setting import Setting
from edcore.contract.memory import host_memory, needed
from edcore.core.network import Network
from edcore.core.weights import initialise
from edcore.dispatch import registry
from edcore.dispatch.choose import FULL
from edcore.errors import EDCoreError, OutOfMemoryError, UnknownNameError
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
"""The contenders that are not backends, each with the library that it uses."""


class TimedNetwork(Protocol):
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
    """A network, and a batch in its library and on its device."""

    network: TimedNetwork
    x: Array
    target: Array
    device: str


class ArticleHeads:
    """The article's algorithm, with one network for each head."""

    def __init__(self, setting: Setting, xp: Any, device: Any) -> None:
        shape = (setting.features, setting.width, setting.depth, setting.learning_rule.alpha)
        self.networks = [article.Network(*shape, SEED + head, xp, setting.dtype) for head in range(setting.heads)]
        self._xp, self._device = xp, device

    def __call__(self, x: Array) -> Array:
        """Return the outputs (batch, heads)."""
        return self._xp.stack([network(x) for network in self.networks], axis=1)

    predict = __call__  # it has no pass that keeps nothing

    def update(self, error: Array) -> None:
        """Update all networks."""
        for head, network in enumerate(self.networks):
            network.update(error[:, head])

    def synchronize(self) -> None:
        """Wait for the device."""
        arrays.synchronize(self._xp.__name__, self._device, None)


class ProductsOnly:
    """The matrix products of each layer, forward and in the update, and nothing else: a bound for NumPy."""

    def __init__(self, network: Network, weights: HostWeights, batch: int) -> None:
        random = np.random.default_rng(0)
        self._heads, self._batch = network.heads, batch
        self.layers = []
        # Each layer has its own activities, between 0 and 1, which never change, so that no number overflows.
        for head in range(network.heads):
            for layer in network.layers:
                weight = weights[f"{layer.name}.weight"][layer.where(head)]
                sources, targets = ((batch, count) for count in weight.shape)
                x, g = (random.random(shape).astype(network.dtype) for shape in (sources, targets))
                self.layers.append((x, weight, np.empty_like(g), g, np.empty_like(weight)))

    def __call__(self, x: Array) -> Array:
        """Multiply activities by weights in all layers; return zeros (batch, heads)."""
        for layer_x, weight, y, _, _ in self.layers:
            np.matmul(layer_x, weight, out=y)
        return np.zeros((self._batch, self._heads), x.dtype)

    predict = __call__

    def update(self, error: Array) -> None:
        """Multiply activities by the factors of their targets in all layers."""
        for layer_x, _, _, g, change in self.layers:
            np.matmul(layer_x.T, g, out=change)

    def synchronize(self) -> None:
        """Do nothing: NumPy returns only when it is done."""


def known_names() -> list[str]:
    """Return the names of all contenders."""
    return sorted({*HAND_WRITTEN, *registry.installed()})


def check_known(name: str) -> None:
    """Refuse a name that no contender has."""
    if name not in known_names():
        raise UnknownNameError("CONTENDERS", name, known_names(), "`edcore info` lists the backends.")


def default_names(device_type: str) -> list[str]:
    """Return the contenders that are compared if none are named, the reference first."""
    if device_type == "cpu":
        return ["numba", "numpy", "torch-peer", "jax-peer", "article"]
    return ["numba", "cupy", "torch-peer", "jax-peer", "article-cupy"]


def make_contender(name: str, setting: Setting) -> Contender:
    """Return a contender, not yet warmed up; an EDCoreError says why it cannot run this setting here."""
    check_known(name)
    # JAX reads both when it is first imported. It would take most of a GPU's memory, which the others need too.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if setting.dtype == "float64":
        os.environ["JAX_ENABLE_X64"] = "1"
    network, batch, free = setting.network, setting.batch, host_memory().free
    need = 2 * needed(network) + 8 * batch * (network.in_ + network.columns)  # what is made on the host
    need += needed(network, batch) if setting.device_type == "cpu" else 0
    if need > free:
        raise OutOfMemoryError(f"it needs at least {need / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB are free")
    random = np.random.default_rng(SEED)
    x = random.random((setting.batch, setting.features)).astype(setting.dtype)
    target = random.integers(0, 2, (setting.batch, setting.heads)).astype(setting.dtype)
    if name in HAND_WRITTEN:
        return _hand_written(name, setting, x, target)
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
        precision=setting.precision,
    )
    device, device_type = str(ed.device), setting.device_type
    # On the CPU, NumPy's arrays serve every backend, and no other library's threads come into its process with them.
    for library in registry.installed()[name].namespaces if device_type != "cpu" else ():
        info = registry.installed().get(library)
        if info and device_type in info.device_types and registry.probe(info, device).ok:
            x, target = (_placed(array, library, device) for array in (x, target))
            break
    return Contender(ed, x, target, device)


def _hand_written(name: str, setting: Setting, x: Array, target: Array) -> Contender:
    library, device = HAND_WRITTEN[name], setting.device
    if setting.rule != "signed" and name != "products":
        raise EDCoreError(f"it has the signed rule only, not {setting.rule!r}")
    if setting.precision != FULL:
        raise EDCoreError(f"it has full precision only, not {setting.precision!r}")
    if library == "numpy" and setting.device_type != "cpu":
        raise EDCoreError(f"it computes on the CPU only, not on {device!r}")
    if library == "cupy" and setting.device_type != "cuda":
        raise EDCoreError(f"it computes on an NVIDIA GPU only (--device cuda), not on {device!r}")
    if reason := arrays.unavailable(library, device):
        raise EDCoreError(f"{reason}. Install it with: {registry.installed()[library].install}")
    network, rule, native = setting.network, setting.learning_rule, arrays.native_device(library, device)
    timed: TimedNetwork
    if name.startswith("article"):
        if library == "cupy":
            native.use()
        timed = ArticleHeads(setting, importlib.import_module(library), native)
    elif name == "products":
        timed = ProductsOnly(network, initialise(network, SEED), setting.batch)
    elif library == "torch":
        kind = CompiledTorchNetwork if name == "torch-compile" else TorchNetwork
        timed = kind(network, rule, initialise(network, SEED), setting.batch, device)
    else:
        timed = JaxNetwork(network, rule, initialise(network, SEED), device)
    x, target = (_placed(array, library, device) for array in (x, target))
    return Contender(timed, x, target, device)


def _placed(array: Array, library: str, device: str) -> Array:
    """Return a NumPy array as one of the library's, on the device."""
    xp = arrays.namespace_of(importlib.import_module(library))
    return xp.asarray(array, device=arrays.native_device(library, device))
