"""Samples on many processes: each has all layers, and learns from its share of a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, HostWeights, to_numpy
from edcore.contract.backend import Backend
from edcore.core.network import LayerName, Network
from edcore.core.rule import Rule
from edcore.core.weights import initialise
from edcore.dispatch.choose import choose_backend, make_request
from edcore.distributed.shared import Shared, checksum
from edcore.errors import InputError
from edcore.model.divergence import Divergence, Found, first_in_activities, first_in_weights
from edcore.model.ed import ED
from edcore.model.inputs import checked_weights

LAYERS: tuple[LayerName, ...] = ("input", "hidden", "output")


class DataParallel(Shared):
    """A network that each process has whole, and that learns from all their samples as if they were one batch.

    ΔW is a sum over the samples of a batch (`edcore.core`), so with N processes, of which each adds N times its own
    part, the mean of their weights is W + ΔW. That mean is one all-reduce of all weights a batch, through the host's
    memory: it pays where a batch takes longer than to send them, as with wide networks, large batches and fast links.
    docs/explanation/scaling.md has the figures.

    Parameters
    ----------
    network : Network
        The network.
    rule : Rule
        How it learns, batch by batch.
    seed : int, optional
        As for `ED`. Left out, rank 0 draws one.
    weights : dict of str to ndarray, optional
        Weights to start from, the same at all ranks. Left out, they are drawn from the seed.
    epochs : int
        Passes over the samples that were learnt before, where the network goes on from `weights`.
    backend : str or Backend
        As for `ED`; it need not be the same at all ranks.
    device : str, optional
        Device of this process, as for `ED`.
    group : torch.distributed.ProcessGroup, optional
        The processes. Left out, all of them.

    Raises
    ------
    InputError
        If an argument is not accepted, or is not the same at all ranks; or if the rule is online, as then each sample
        learns from what the one before has changed.
    BackendUnavailableError
        If the backend cannot run here.
    EDCoreError
        If PyTorch is missing, or there is no process group.

    Examples
    --------
    A file to start with ``torchrun --nproc-per-node 2 train.py``:

    >>> def main():
    ...     import edcore, torch.distributed
    ...     from edcore.distributed import DataParallel
    ...
    ...     torch.distributed.init_process_group("gloo")
    ...     data = edcore.datasets.digits(classes=(0, 1))
    ...     network = edcore.Network(in_=64, width=256, depth=2)
    ...     shared = DataParallel(network, edcore.Rule(), seed=1)
    ...     shared.fit(data.x_train, data.y_train, epochs=10, batch_size=16)
    ...     print(shared.rank, shared.predict(data.x_test)[:3])
    ...     torch.distributed.destroy_process_group()
    """

    def __init__(
        self,
        network: Network,
        rule: Rule,
        *,
        seed: int | None = None,
        weights: HostWeights | None = None,
        epochs: int = 0,
        backend: str | Backend = "auto",
        device: str | None = None,
        group: Any = None,
    ) -> None:
        super().__init__(network, rule, seed, epochs, group)
        if rule.order == "online":
            raise InputError("rule", repr(rule), "a rule of order 'batch'", "Samples of an online rule take turns.")
        self._backend = choose_backend(make_request(backend, device), network, rule)
        start = (
            initialise(network, self.seed, rule.floor)
            if weights is None
            else checked_weights(network, weights, rule.floor)
        )
        self._wire.agree({"a checksum of weights": checksum(*(start[key] for key in network.weight_shapes))})
        self._weights = self._backend.from_host(start)
        self._host = self._backend.to_host(self._weights)  # to go back to, and one copy less a batch than to fetch them
        # What needs the whole batch is done here: its mean error, the division by its size, and the floor.
        self._local = replace(rule, reduction="sum", centred=False, floor=None)

    @property
    def weights(self) -> HostWeights:
        """A copy of the weights, as `ED.weights`."""
        return self._backend.to_host(self._weights)

    def step(self, x: Array, target: Array) -> npt.NDArray[Any]:
        """Learn one batch: the samples of all ranks together.

        Parameters
        ----------
        x : array, shape (own, in_)
            This rank's samples. Ranks may have different numbers of them, and each has at least one.
        target : array, shape (own,) for one output, else (own, columns)
            What the outputs should be.

        Returns
        -------
        ndarray, shape of target
            target − output of this rank's samples, from before the update.

        Raises
        ------
        InputError
            If x or target are not accepted.
        """
        target = self._checked_target(target)
        x = self._checked_x(x, len(target))
        return self._returned(self._learn_own(x, target))

    def predict(self, x: Array) -> npt.NDArray[Any]:
        """Return the outputs for this rank's x: no other rank takes part.

        Parameters
        ----------
        x : array, shape (samples, in_)
            The samples.

        Returns
        -------
        ndarray, shape (samples,) for one output, else (samples, columns)
            The outputs.
        """
        return self._returned(to_numpy(self._backend.forward(self.network, self._weights, self._checked_x(x))))

    def to_ed(self) -> ED | None:
        """Return the network as an `ED` at rank 0, to be saved or looked at; None at the others, as in a `Pipeline`."""
        if self.rank:
            return None
        return ED.from_network(self.network, self.rule, seed=self.seed, weights=self.weights, epochs=self._epochs)

    def _learn(self, x: Any, target: npt.NDArray[Any]) -> npt.NDArray[Any]:
        own = slice(len(target) * self.rank // self.size, len(target) * (self.rank + 1) // self.size)
        return self._learn_own(x[own], target[own])

    def _learn_own(self, x: Any, target: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Learn this rank's samples, of which there may be none, with those of the others."""
        trace, error = None, target
        with np.errstate(all="ignore"):  # what overflows is seen
            if len(target):
                outputs, trace = self._backend.trace(self.network, self._weights, x)
                error = target - to_numpy(outputs)
            found = self._update(trace, error)
            if found is None:
                return error
            self._weights = self._backend.from_host(self._host)
            own = first_in_activities(self.network, self._host, x) if len(target) else None
        all_found = [one for one in self._wire.everyones(own) if one is not None]
        found = min(all_found, key=lambda one: one.layer, default=found)
        raise Divergence(self.network, self.rule, *found).error()

    def _update(self, trace: Any, error: npt.NDArray[Any]) -> Found | None:
        """Learn from this rank's errors with those of the others; return what is not finite then."""
        network, backend, rule = self.network, self._backend, self.rule
        batch, *sums = self._wire.add_up(np.concatenate([[len(error)], error.sum(axis=0, dtype=np.float64)]))
        if trace is not None:
            own = error - np.asarray(sums) / batch if rule.centred else error
            factor = self.size / batch if rule.reduction == "mean" else self.size
            scaled = (own * factor).astype(network.dtype)
            self._weights = backend.update(network, self._local, self._weights, trace, scaled)
        weights = backend.to_host(self._weights)
        for key in weights:
            weights[key] = to_numpy(self._wire.add_up(weights[key]))
            weights[key] /= self.size
        if rule.floor is not None:
            self._clamp(weights)
        found = first_in_weights(weights)
        if found is None:
            self._host, self._weights = weights, backend.from_host(weights)
        return found

    def _clamp(self, weights: HostWeights) -> None:
        """Keep the weights at the rule's floor or beyond it, as `edcore.core` does."""
        for name in LAYERS:
            layer, key = self.network.layer(name), f"{name}.weight"
            signs = np.outer(layer.source_signs, layer.target_signs).astype(self.network.dtype)
            weights[key] = signs * np.maximum(weights[key] * signs, weights[key].dtype.type(self.rule.floor))

    def _also_alike(self, x: Any) -> dict[str, Any]:
        return {"a checksum of x": checksum(x)}

    def _reads_x(self) -> bool:
        return True
