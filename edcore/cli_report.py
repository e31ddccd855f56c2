"""What ``edcore train`` shows: a line for each evaluation, a bar below them on a terminal, and the closing summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

import edcore
from edcore.datasets import Dataset
from edcore.ed import ED
from edcore.training import Progress

__all__ = ["RunReport", "bar", "setting"]


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
            "edcore": edcore.__version__,
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


def bar(console: Console) -> Bar:
    """Return a bar that shows how far something is, with the time left, on a terminal; elsewhere it shows nothing."""
    return Bar(
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (console.file.isatty() and console.is_interactive),
    )
