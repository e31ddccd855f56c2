"""The options that all reproductions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from edcore.arguments import whole_number
from edcore.comparison.baselines import Learner
from edcore.datasets.catalogue import Dataset, mnist
from edcore.errors import InputError
from edcore.model.ed import ED

Value = TypeVar("Value")

FEW = 640  # training images for a quick look


def _say_nothing(line: str) -> None:
    """Ignore a line on the progress."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a reproduction."""

    seeds: int | None = None  # of each setting, at least 1; None for the number that the published result asks for
    quick: bool = False  # fewer seeds, epochs and settings, for a look
    data_dir: Path | None = None  # the folder that holds MNIST/raw
    backend: str = "auto"  # of edcore; the other methods use NumPy
    announce: Callable[[str], object] = _say_nothing  # gets lines on the progress

    def __post_init__(self) -> None:
        if self.seeds is not None:
            whole_number("seeds", self.seeds, 1)

    def pick(self, full: Value, quick: Value) -> Value:
        """Return the first value, or for a quick look the second."""
        return quick if self.quick else full

    def count(self, full: int, quick: int = 2) -> int:
        """Return the number of seeds: the option if given, else one of these two."""
        return self.seeds or self.pick(full, quick)

    def mnist(self, classes: tuple[int, ...] | None = None) -> Dataset:
        """Return MNIST from the given folder, for a quick look a part of it; without a folder, raise InputError."""
        if self.data_dir is None:
            fix = "It is the folder that `edcore train --dataset mnist` takes, with the four files of MNIST."
            raise InputError("data_dir", "none", "for this reproduction the folder that holds MNIST/raw", fix)
        data = mnist(self.data_dir, classes)
        return replace(data, x_train=data.x_train[:FEW], y_train=data.y_train[:FEW]) if self.quick else data


def backend_of(learner: Learner) -> str:
    """Return the backend of an ED; nothing for a baseline."""
    return learner.backend if isinstance(learner, ED) else ""
