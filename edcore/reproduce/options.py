"""The options that all reproductions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy.typing as npt

from edcore.arguments import whole_number
from edcore.comparison.baselines import Learner
from edcore.comparison.controls import FROZEN, READOUT, Readout, freeze
from edcore.datasets.catalogue import Dataset, mnist
from edcore.errors import InputError, UnknownNameError
from edcore.model.ed import ED
from edcore.reproduce.outcome import EDCORE

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
    text: Path | None = None  # a text to learn, for language; None for the one that Python has
    backend: str = "auto"  # of edcore; the other methods use NumPy
    methods: tuple[str, ...] | None = None  # those to run; None for all
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

    def chosen(self, methods: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of a reproduction's methods that are to run, in their order; refuse what is none of them."""
        for method in self.methods or ():
            if method not in methods:
                raise UnknownNameError("methods", method, methods)
        return methods if self.methods is None else tuple(method for method in methods if method in self.methods)

    def mnist(self, classes: tuple[int, ...] | None = None) -> Dataset:
        """Return MNIST from the given folder, for a quick look a part of it; without a folder, raise InputError."""
        if self.data_dir is None:
            fix = "It is the folder that `edcore train --dataset mnist` takes, with the four files of MNIST."
            raise InputError("data_dir", "none", "for this reproduction the folder that holds MNIST/raw", fix)
        data = mnist(self.data_dir, classes)
        return replace(data, x_train=data.x_train[:FEW], y_train=data.y_train[:FEW]) if self.quick else data


def from_cells(ed: ED, method: str) -> Learner:
    """Return an ED that learns by one of the methods that start from ED's cells."""
    if method == READOUT:
        return Readout(ed)
    return {EDCORE: lambda ed: ed, FROZEN: freeze}[method](ed)


def draw(learner: Learner, x: npt.NDArray[Any]) -> None:
    """Let an ED choose its backend and draw its weights, which then is not timed."""
    if isinstance(learner, ED):
        learner.bind(x)


def backend_of(learner: Learner) -> str:
    """Return the backend of an ED; nothing for a baseline."""
    return learner.backend if isinstance(learner, ED) else ""
