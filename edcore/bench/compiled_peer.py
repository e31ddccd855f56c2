"""The method in PyTorch under torch.compile, which a user tries first where PyTorch is too slow."""

from __future__ import annotations

import functools
from typing import Any

from edcore.backend import Array, HostWeights
from edcore.bench.peers import TorchPeer
from edcore.network import Network
from edcore.rule import Rule

__all__ = ["CompiledPeer"]

UNROLLED = 64
"""Hidden layers up to which the forward pass is one graph. Thousands would be compiled for minutes."""


class CompiledPeer(TorchPeer):
    """`TorchPeer`, compiled: the update as one function, and the forward pass as one or, if deep, a layer at a time.

    What is compiled whole becomes a CUDA graph on an NVIDIA GPU.

    Parameters
    ----------
    network, rule, weights, batch, device
        As in `TorchPeer`.
    """

    def __init__(self, network: Network, rule: Rule, weights: HostWeights, batch: int, device: str) -> None:
        super().__init__(network, rule, weights, batch, device)
        # A CUDA graph copies its inputs before each run, all but those whose address never changes; and there is none
        # of a function that writes to any others.
        views = [tensor for views in self._views for tensor in views]
        own = [self._x, self._hidden, self._output, *self._weights.values(), *self._signs.values()]
        for tensor in [*own, *views]:
            self.torch._dynamo.mark_static_address(tensor)
        compiled = functools.partial(self.torch.compile, fullgraph=True, dynamic=False)
        whole = functools.partial(compiled, mode="reduce-overhead")
        in_one = network.depth <= UNROLLED
        self._compiled_predict = whole(super()._predict) if in_one else super()._predict
        self._compiled_trace = whole(super()._trace) if in_one else super()._trace
        self._compiled_layer = super()._layer if in_one else compiled(super()._layer)
        self._compiled_update = whole(super()._update)

    def _predict(self, x: Array) -> Any:
        return self._compiled_predict(x).clone()  # the next run of a CUDA graph overwrites its outputs

    def _trace(self) -> Any:
        return self._compiled_trace().clone()

    def _layer(self, y: Any, w: Any, b: Any, place: Any = None) -> Any:
        return self._compiled_layer(y, w, b, place)

    def _update(self, error: Any) -> None:
        self._compiled_update(error)
