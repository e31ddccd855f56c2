"""What ``edcore train`` looks at inside a network: for --diagnose at the end, for pictures on the way as well."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from rich.console import Console
from rich.table import Column, Table

from edcore import training
from edcore.datasets import Dataset
from edcore.diagnosis import Diagnosis
from edcore.diagnostics import DeadStackWarning, diagnose
from edcore.ed import ED
from edcore.training import Progress

__all__ = ["Snapshots", "show_diagnosis"]

SAMPLES = 256
"""Training samples that a network is diagnosed on."""

SNAPSHOTS, LARGEST = 8, 10**6
"""Diagnoses during a run, and the most weights of a network that is diagnosed so often: others are so at the end."""


def show_diagnosis(ed: ED, data: Dataset, console: Console) -> None:
    """Print the diagnosis of a network on the first training samples.

    Parameters
    ----------
    ed : ED
        The network.
    data : Dataset
        The data set.
    console : Console
        Where to print.
    """
    found = _diagnosed(ed, data)
    first, *others = found.columns
    columns = Column(first, no_wrap=True), *(Column(name, justify="right") for name in others)
    table = Table(*columns, box=None, pad_edge=False)
    for row in found.rows:
        table.add_row(*row)
    console.print(f"\nlayers, on {min(SAMPLES, len(data.x_train))} training samples:\n")
    console.print(table)
    if found.warning:
        console.print(f"\nwarning: {found.warning}", soft_wrap=True)


class Snapshots:
    """Diagnoses of a network while it learns, for pictures.

    Parameters
    ----------
    ed : ED
        The network.
    data : Dataset
        The data set.
    wanted : bool
        Whether there will be pictures.

    Attributes
    ----------
    found : list of Diagnosis
        One for each time.
    at : list of int
        The batches learnt at each.
    """

    def __init__(self, ed: ED, data: Dataset, wanted: bool) -> None:
        self.found: list[Diagnosis] = []
        self.at: list[int] = []
        self._ed, self._data, self._wanted = ed, data, wanted

    def taken(self, steps: Iterator[Progress]) -> Iterator[Progress]:
        """Go through a run and diagnose the network some times."""
        often = self._wanted and self._ed.network.parameters <= LARGEST
        for progress in steps:
            # Only where there was an evaluation: after one the clock of the training stands still.
            due = (self.at[-1] if self.at else 0) + progress.batches / SNAPSHOTS
            if often and progress.accuracy is not None and progress.batch >= due:
                self.take(progress)
            yield progress

    def take(self, progress: Progress) -> None:
        """Diagnose the network after this batch, unless that is done."""
        if progress.batch not in self.at:
            self.found.append(_diagnosed(self._ed, self._data))
            self.at.append(progress.batch)


def _diagnosed(ed: ED, data: Dataset) -> Diagnosis:
    x, y = data.x_train[:SAMPLES], data.y_train[:SAMPLES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadStackWarning)  # it is printed below the table instead
        return diagnose(ed, x, training.targets(y, ed.network.columns))
