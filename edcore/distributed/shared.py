"""The base class of networks that several processes train together: same arguments, same batches in the same order."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edcore.arguments import ReadOnly, whole_number, yes_or_no
from edcore.arrays import Array, to_numpy
from edcore.contract.backend import Backend
from edcore.core.network import Network
from edcore.core.randomness import checked_seed, permutation
from edcore.core.rule import Rule, check_centred, check_together
from edcore.distributed.messages import Communicator
from edcore.errors import DivergedError, InputError
from edcore.files.checksum import checksum
from edcore.model.inputs import check_range, checked, warn_of_negative

BATCHES_PER_CHECK = 64
"""Batches between two divergence checks; each check copies all weights to the host."""


def short_checksum(*arrays: npt.NDArray[Any]) -> str:
    """Return a checksum by which ranks compare arrays, short enough for an error message."""
    return checksum(arrays)[:16]


class Batch(NamedTuple):
    """The numbers of a batch's samples, and its place in the run."""

    epoch: int  # from 1
    number: int  # in the epoch, from 1
    last: bool  # of the epoch
    rows: npt.NDArray[np.intp]

    def select(self, x: npt.NDArray[Any] | None, target: npt.NDArray[Any]) -> tuple[Any, npt.NDArray[Any]]:
        """Return its samples, or None where x is None, and its targets."""
        return None if x is None else x[self.rows], target[self.rows]


class SharedNetwork(ReadOnly, abc.ABC):
    """A network that the processes of a group train together; all make the same calls, in the same order."""

    rank: int  # of this process in the group, from 0
    size: int  # of the group
    network: Network
    rule: Rule
    seed: int
    _backend: Backend

    def __init__(self, network: Network, rule: Rule, seed: int | None, epochs: int, group: Any) -> None:
        for name, value, kind in (("network", network, Network), ("rule", rule, Rule)):
            if not isinstance(value, kind):
                raise InputError(name, repr(value), f"an edcore.{kind.__name__}(…)")
        check_together(network, rule)
        self._comm = Communicator(group)
        self._set(rank=self._comm.rank, size=self._comm.size, network=network, rule=rule)
        # Without a seed, rank 0 draws one for all, and the others have none to compare.
        given = checked_seed(seed) if seed is not None or self.rank == 0 else None
        self._set(seed=self._comm.all_gather(given)[0])
        self._epochs = whole_number("epochs", epochs, 0)
        seeds = self.seed if given is None else given
        self._comm.check_same({"network": network, "rule": rule, "seed": seeds, "epochs": self._epochs})

    @property
    def epochs(self) -> int:
        """Passes over the samples so far, with those before this object; the order of the next one follows from it."""
        return self._epochs

    @property
    def backend(self) -> str:
        """Name of the backend that computes here."""
        return self._backend.info.name

    @property
    def device(self) -> str:
        """Device string of that backend."""
        return self._backend.device

    def fit(self, x: Array, target: Array, *, epochs: int = 1, batch_size: int = 64, shuffle: bool = True) -> Any:
        """Learn all samples, in the same batches as `ED.fit` with the same seed.

        Parameters
        ----------
        x : array, shape (samples, in_)
            The samples. A rank that does not need them may give None.
        target : array, shape (samples,) for one output, else (samples, columns)
            The outputs to learn, the same at all ranks.
        epochs : int
            Passes over the samples.
        batch_size : int
            Samples in a batch, over all ranks together; the last one of an epoch may be smaller.
        shuffle : bool
            Visit the samples in a new order in each epoch, drawn from the seed.

        Returns
        -------
        object
            This object itself.

        Raises
        ------
        InputError
            If an argument is not accepted. Then nothing has been learnt.
        DivergedError
            At each rank, if weights or activities would be NaN or infinite. It names the step and the layer. Then the
            weights are those from before that step.
        """
        epochs, batch_size = whole_number("epochs", epochs, 0), whole_number("batch_size", batch_size, 1)
        shuffle = yes_or_no("shuffle", shuffle)
        check_centred(self.rule, batch_size)
        target = self._checked_target(target)
        samples = len(target)
        x = self._checked_x(x, samples)
        schedule = {"epochs": epochs, "batch_size": batch_size, "shuffle": shuffle, "samples": samples}
        self._comm.check_same({**schedule, "a checksum of target": short_checksum(target), **self._compared(x)})
        batches = self._batches(samples, epochs, self.rule.samples_per_update(batch_size), shuffle)
        while some := list(itertools.islice(batches, BATCHES_PER_CHECK)):
            self._learn_batches(x, target, some)
            self._epochs = some[-1].epoch - (not some[-1].last)
        return self

    def _learn_batches(self, x: Any, target: npt.NDArray[Any], batches: Sequence[Batch]) -> None:
        """Learn some batches of checked samples."""
        for batch in batches:
            try:
                self._learn_batch(*batch.select(x, target))
            except DivergedError as error:
                self._epochs = batch.epoch - 1
                raise error.at(batch.epoch, batch.number) from None

    @abc.abstractmethod
    def _learn_batch(self, x: Any, target: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Learn one checked batch, and return its errors from before, or raise a DivergedError at all ranks."""

    def _batches(self, samples: int, epochs: int, size: int, shuffle: bool) -> Iterator[Batch]:
        for epoch in range(self._epochs, self._epochs + epochs):
            order = permutation(self.seed, epoch, samples) if shuffle else np.arange(samples)
            for number, start in enumerate(range(0, samples, size), 1):
                yield Batch(epoch + 1, number, start + size >= samples, order[start : start + size])

    def _compared(self, x: Any) -> dict[str, Any]:
        """Return other values that must be the same at all ranks, by their names in an error."""
        return {}

    @abc.abstractmethod
    def _needs_x(self) -> bool:
        """Return whether this rank needs x."""

    def _checked_x(self, x: Any, samples: int | None = None) -> npt.NDArray[Any] | None:
        """Return x as a NumPy array; None if this rank does not need it."""
        if not self._needs_x():
            return None
        if x is None:
            raise InputError("x", f"None at rank {self.rank}", "the samples")
        shape = samples, self.network.features
        x = to_numpy(checked("x", x, shape, self.network.dtype, ", a row for each target").array)
        if self.rule.error == "split" and self.rule.floor is None:
            warn_of_negative(x.min())
        return x

    def _checked_target(self, target: Any) -> npt.NDArray[Any]:
        """Return the target as a NumPy array (samples, columns)."""
        columns = self.network.columns
        shape = (None,) if columns == 1 else (None, columns)
        target = to_numpy(checked("target", target, shape, self.network.dtype, ", one for each output").array)
        if len(target) == 0:
            raise InputError("target", "an empty batch", "at least one sample")
        check_range(target.min(), target.max(), self.network.output_activation)
        return target.reshape(len(target), columns)

    def _squeezed(self, columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return outputs or errors (samples, columns) without the second axis if there is one column."""
        return columns[:, 0] if self.network.columns == 1 else columns
