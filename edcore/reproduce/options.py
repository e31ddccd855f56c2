"""What a reproduction is told, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from edcore.arguments import whole_number
from edcore.datasets.catalogue import Dataset, mnist
from edcore.errors import InputError
from edcore.model.ed import ED

Value = TypeVar("Value")

FEW = 640  # training images for a quick look


def _nothing(line: str) -> None:
    """Announce to nobody."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a reproduction is told.

    Parameters
    ----------
    seeds : int or None
        Seeds of each setting; None for the reproduction's own numbers.
    quick : bool
        Take fewer seeds, epochs and settings, for a look.
    data_dir : Path or None
        The folder that holds MNIST/raw.
    backend : str
        What edcore computes with; the peers use NumPy.
    announce : callable
        Is told in a line what goes on.

    Raises
    ------
    InputError
        If there is no seed.
    """

    seeds: int | None = None
    quick: bool = False
    data_dir: Path | None = None
    backend: str = "auto"
    announce: Callable[[str], object] = _nothing

    def __post_init__(self) -> None:
        if self.seeds is not None:
            whole_number("seeds", self.seeds, 1)

    def pick(self, full: Value, quick: Value) -> Value:
        """Return the first, or the second for a quick look."""
        return quick if self.quick else full

    def count(self, full: int, quick: int = 2) -> int:
        """Return the number of seeds: as given, else so many, or so many for a quick look."""
        return self.seeds or self.pick(full, quick)

    def mnist(self, classes: tuple[int, ...] | None = None) -> Dataset:
        """Return MNIST from the folder that was given, for a quick look a part of it, or say that one is needed."""
        if self.data_dir is None:
            fix = "It is the folder that `edcore train --dataset mnist` takes, with the four files of MNIST."
            raise InputError("data_dir", "none", "for this reproduction the folder that holds MNIST/raw", fix)
        data = mnist(self.data_dir, classes)
        return replace(data, x_train=data.x_train[:FEW], y_train=data.y_train[:FEW]) if self.quick else data


def computed_by(learner: Learner) -> str:
    """Return the backend by which edcore computed; nothing for a peer."""
    return learner.backend if isinstance(learner, ED) else ""


class Learner(Protocol):
    """What ED and its peers have in common, so that they go through one loop."""

    def fit(
        self,
        x: npt.NDArray[Any],
        target: npt.NDArray[Any],
        *,
        epochs: int = 1,
        batch_size: int = 64,
        shuffle: bool = True,
        tolerance: float = 0.0,
    ) -> object:
        """Learn all samples in batches."""
        ...

    def predict(self, x: npt.NDArray[Any]) -> Any:
        """Return the outputs for x."""
        ...

    @property
    def epochs(self) -> npt.NDArray[np.intp]:
        """Epochs that each head has learnt."""
        ...
