"""Split each batch over processes: each has the whole network, and learns from its share of the samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, HostWeights, to_numpy
from edcore.contract.backend import Backend
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.core.weights import initialise
from edcore.dispatch.choose import choose_backend, make_request
from edcore.distributed.shared import SharedNetwork, short_checksum
from edcore.errors import InputError
from edcore.model.divergence import Divergence, Found, first_in_activities, first_in_weights
from edcore.model.ed import ED
from edcore.model.inputs import checked_weights


class DataParallel(SharedNetwork):
    """A network of which each process has a copy; together they learn from all their samples as from one batch.

    ΔW is a sum over the samples of a batch (`edcore.core`). If each of N processes adds N times its own part, the mean
    of their weights is W + ΔW. That mean takes one all-reduce of all weights a batch, through the host's memory. It
    pays if a batch takes longer than that, as with wide networks, large batches and fast links:
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
        Passes over the samples that `weights` have learnt.
    backend : str or Backend
        As for `ED`; it need not be the same at all ranks.
    device : str, optional
        Device of this process, as for `ED`.
    group : torch.distributed.ProcessGroup, optional
        The processes. Left out, all of them.

    Raises
    ------
    InputError
        If an argument is not accepted, or differs between ranks; or if the rule is online, as each sample then learns
        with the weights that the sample before has changed.
    BackendUnavailableError
        If the backend cannot run here.
    EDCoreError
        If PyTorch is missing, or no process group has been started.

    Examples
    --------
    A program for ``torchrun --nproc-per-node 2 train.py``:

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
            raise InputError("rule", repr(rule), "a rule of order 'batch'")
        self._backend = choose_backend(make_request(backend, device), network, rule)
        start = (
            initialise(network, self.seed, rule.floor)
            if weights is None
            else checked_weights(network, weights, rule.floor)
        )
        ordered = (start[key] for key in network.weight_shapes)
        self._comm.check_same({"a checksum of weights": short_checksum(*ordered)})
        self._weights = self._backend.from_host(start)
        self._host = self._backend.to_host(self._weights)  # the weights to restore if a batch diverges
        # The mean error, the division by the batch's size, and the floor need the whole batch, so `_update` does them.
        self._local = replace(rule, reduction="sum", centred=False, floor=None)

    @property
    def weights(self) -> HostWeights:
        """A copy of the weights, as `ED.weights`."""
        return self._backend.to_host(self._weights)

    def step(self, x: Array, target: Array) -> npt.NDArray[Any]:
        """Learn one batch: the samples of all ranks together.

        Parameters
        ----------
        x : array, shape (share, in_)
            This rank's samples, at least one. Ranks may have different numbers of them.
        target : array, shape (share,) for one output, else (share, columns)
            The outputs to learn.

        Returns
        -------
        ndarray, shape of target
            target − output of this rank's samples, before the update.

        Raises
        ------
        InputError
            If x or target are not accepted.
        """
        target = self._checked_target(target)
        x = self._checked_x(x, len(target))
        return self._squeezed(self._learn_share(x, target))

    def predict(self, x: Array) -> npt.NDArray[Any]:
        """Return the outputs for this rank's x. The other ranks need not call it.

        Parameters
        ----------
        x : array, shape (samples, in_)
            The samples.

        Returns
        -------
        ndarray, shape (samples,) for one output, else (samples, columns)
            The outputs.
        """
        return self._squeezed(to_numpy(self._backend.forward(self.network, self._weights, self._checked_x(x))))

    def to_ed(self) -> ED | None:
        """Return the network as an `ED` at rank 0; None at the others, as in a `Pipeline`."""
        if self.rank:
            return None
        return ED.from_network(self.network, self.rule, seed=self.seed, weights=self.weights, epochs=self._epochs)

    def _learn_batch(self, x: Any, target: npt.NDArray[Any]) -> npt.NDArray[Any]:
        share = slice(len(target) * self.rank // self.size, len(target) * (self.rank + 1) // self.size)
        return self._learn_share(x[share], target[share])

    def _learn_share(self, x: Any, target: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Learn this rank's samples, which may be none, together with the other ranks' samples."""
        trace, error = None, target
        with np.errstate(all="ignore"):  # overflows show in the weights
            if len(target):
                outputs, trace = self._backend.trace(self.network, self._weights, x)
                error = target - to_numpy(outputs)
            found = self._update(trace, error)
            if found is None:
                return error
            self._weights = self._backend.from_host(self._host)
            here = first_in_activities(self.network, self._host, x) if len(target) else None
        # The activities of one share may be finite, so the ranks compare: the first layer of all shares counts.
        all_found = [one for one in self._comm.all_gather(here) if one is not None]
        found = min(all_found, key=lambda one: one.layer, default=found)
        raise Divergence(self.network, self.rule, *found).error()

    def _update(self, trace: Any, error: npt.NDArray[Any]) -> Found | None:
        """Update the weights with all ranks' errors; return the first layer that is not finite then."""
        network, backend, rule = self.network, self._backend, self.rule
        batch, *sums = self._comm.all_reduce(np.concatenate([[len(error)], error.sum(axis=0, dtype=np.float64)]))
        if trace is not None:
            centred = error - np.asarray(sums) / batch if rule.centred else error
            factor = self.size / batch if rule.reduction == "mean" else self.size
            scaled = (centred * factor).astype(network.dtype)
            self._weights = backend.update(network, self._local, self._weights, trace, scaled)
        weights = backend.to_host(self._weights)
        for key in weights:
            weights[key] = to_numpy(self._comm.all_reduce(weights[key]))
            weights[key] /= self.size
        if rule.floor is not None:
            self._clamp(weights)
        found = first_in_weights(weights)
        if found is None:
            self._host, self._weights = weights, backend.from_host(weights)
        return found

    def _clamp(self, weights: HostWeights) -> None:
        """Hold the weights at the rule's floor, as `edcore.core` does."""
        for layer in self.network.stacks:
            key = f"{layer.name}.weight"
            signs = np.outer(layer.source_signs, layer.target_signs).astype(self.network.dtype)
            weights[key] = signs * np.maximum(weights[key] * signs, weights[key].dtype.type(self.rule.floor))

    def _compared(self, x: Any) -> dict[str, Any]:
        return {"a checksum of x": short_checksum(x)}

    def _needs_x(self) -> bool:
        return True
