"""What ``edcore train`` shows: a line for each evaluation, a bar below them on a terminal, and the closing summary."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from edcore.console import bar
from edcore.datasets.catalogue import Dataset
from edcore.diagnostics.diagnose import DeadStackWarning, diagnose
from edcore.diagnostics.diagnosis import Diagnosis
from edcore.environment import VERSION
from edcore.model.ed import ED
from edcore.training import loop as training
from edcore.training.loop import Progress


class RunReport:
    """Shows a run while it goes on, and sums up what was reached, at its end or wherever it was stopped.

    Parameters
    ----------
    console : Console
        Where to print. The bar, which takes control characters, is left out unless this is a terminal.
    learnt : sequence of Progress
        The batches that were learnt before, where the run goes on after a stop.
    """

    def __init__(self, console: Console, learnt: Sequence[Progress] = ()) -> None:
        self._console = console
        self._latest: Progress | None = None
        self._evaluated: Progress | None = None
        self._errors: list[float] = []  # of the batches since the latest evaluation
        self._mean_error = 0.0
        for progress in learnt:
            self._count(progress)

    def follow(self, run: Iterable[Progress]) -> None:
        """Go through the run to its end, and show it.

        Parameters
        ----------
        run : iterable of Progress
            The run.
        """
        with bar(self._console) as shown:
            task = shown.add_task("batches", total=None)
            for progress in run:
                self._count(progress)
                if progress.accuracy is not None:
                    self._print(progress)
                shown.update(task, completed=progress.batch, total=progress.batches)

    def summarise(self, ed: ED, data: Dataset) -> None:
        """Print what was reached, on what, and by which network.

        Parameters
        ----------
        ed : ED
            The network.
        data : Dataset
            The data set.
        """
        table = Table.grid(padding=(0, 3, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        for name, value in (self._stopped() | self._figures(data) | setting(ed, data)).items():
            table.add_row(name, value)
        self._console.print()
        self._console.print(table)

    def as_dict(self, ed: ED, data: Dataset) -> dict[str, Any]:
        """Return what was reached, on what, and by which network, as values that JSON has."""
        latest, evaluated = self._latest, self._evaluated
        return {
            "accuracy": evaluated and evaluated.accuracy,
            "mean_error": self._mean_error if evaluated else None,
            "seconds": evaluated and evaluated.seconds,
            "batch": latest.batch if latest else 0,
            "batches": latest and latest.batches,
            "evaluated_at_batch": evaluated and evaluated.batch,
            "dataset": data.name,
            "classes": list(data.classes),
            "train_samples": len(data.x_train),
            "test_samples": len(data.x_test),
            "network": asdict(ed.network),
            "parameters": ed.network.parameters,
            "rule": asdict(ed.rule),
            "seed": ed.seed,
            "backend": ed.backend,
            "device": ed.device,
            "edcore": VERSION,
        }

    def _count(self, progress: Progress) -> None:
        self._latest = progress
        self._errors.append(progress.error)
        if progress.accuracy is not None:
            self._evaluated, self._mean_error = progress, fmean(self._errors)
            self._errors = []

    def _print(self, progress: Progress) -> None:
        width = len(str(progress.batches))
        self._console.print(
            f"batch {progress.batch:{width}}/{progress.batches}  accuracy {progress.accuracy:7.2%}  "
            f"error {self._mean_error:.4f}  {_speed(progress):>16}  epoch {progress.epoch}"
        )

    def _figures(self, data: Dataset) -> dict[str, str]:
        if self._evaluated is None:
            return {}
        return {
            "accuracy": f"{self._evaluated.accuracy:.2%} of {len(data.x_test):,} test samples",
            "mean error": f"{self._mean_error:.4f}",
            "time in training": f"{self._evaluated.seconds:,.2f} s",
            "speed": _speed(self._evaluated),
        }

    def _stopped(self) -> dict[str, str]:
        """Return the row of a run that did not come to its end."""
        if self._latest is None:
            return {"stopped": "before the first batch was learnt"}
        if self._latest.batch == self._latest.batches:
            return {}
        figures = f"the figures are of batch {self._evaluated.batch:,}" if self._evaluated else "none was evaluated"
        return {"stopped": f"after {self._latest.batch:,} of {self._latest.batches:,} batches; {figures}"}


def setting(ed: ED, data: Dataset) -> dict[str, str]:
    """Return the data set, the network and what computes it, in words.

    Parameters
    ----------
    ed : ED
        The network.
    data : Dataset
        The data set.

    Returns
    -------
    dict of str to str
        Name and value of each.
    """
    network = ed.network
    layers = f"{network.depth:,} hidden layer{'s' * (network.depth != 1)} of 2 x {network.width:,} cells"
    outputs = f"{network.columns} output{'s' * (network.columns != 1)}"
    return {
        "data set": f"{data.name}, {len(data.x_train):,} training samples",
        "classes": ", ".join(map(str, data.classes)),
        "network": f"{network.in_:,} inputs, {layers}, {outputs}",
        "parameters": f"{network.parameters:,}",
        "rule": f"{ed.rule.error} error, learning rate {ed.rule.alpha:g}",
        "backend": ed.backend,
        "device": ed.device or "not chosen yet",
        "dtype": network.dtype,
        "seed": str(ed.seed),
    }


def _speed(evaluated: Progress) -> str:
    return f"{evaluated.samples / evaluated.seconds:,.0f} samples/s" if evaluated.seconds else "no time at all"


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
