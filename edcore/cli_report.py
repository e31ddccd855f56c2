"""What ``edcore train`` shows: a line for each evaluation, a bar below them on a terminal, and the closing summary."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from edcore.datasets import Dataset
from edcore.ed import ED
from edcore.training import Progress

__all__ = ["RunReport"]


class RunReport:
    """Shows a run while it goes on, and sums up what was reached, at its end or wherever it was stopped.

    Parameters
    ----------
    console : Console
        Where to print. The bar, which takes control characters, is left out unless this is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._latest: Progress | None = None
        self._evaluated: Progress | None = None
        self._errors: list[float] = []  # of the batches since the latest evaluation
        self._mean_error = 0.0

    def follow(self, run: Iterable[Progress]) -> None:
        """Go through the run to its end, and show it.

        Parameters
        ----------
        run : iterable of Progress
            The run.
        """
        with _bar(self._console) as bar:
            task = bar.add_task("batches", total=None)
            for progress in run:
                self._take(progress)
                bar.update(task, completed=progress.batch, total=progress.batches)

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
        for name, value in (self._stopped() | self._figures(data) | _setting(ed, data)).items():
            table.add_row(name, value)
        self._console.print()
        self._console.print(table)

    def _take(self, progress: Progress) -> None:
        self._latest = progress
        self._errors.append(progress.error)
        if progress.accuracy is None:
            return
        self._evaluated, self._mean_error = progress, fmean(self._errors)
        self._errors = []
        width = len(str(progress.batches))
        self._console.print(
            f"batch {progress.batch:{width}}/{progress.batches}  accuracy {progress.accuracy:7.2%}  "
            f"error {self._mean_error:.4f}  {_speed(progress):>16}  epoch {progress.epoch}"
        )

    def _figures(self, data: Dataset) -> dict[str, str]:
        if self._evaluated is None:
            return {}
        return {
            "accuracy": f"{self._evaluated.accuracy:.2%} of {len(data.x_test):,} test images",
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


def _setting(ed: ED, data: Dataset) -> dict[str, str]:
    network = ed.network
    layers = f"{network.depth:,} hidden layer{'s' * (network.depth != 1)} of 2 x {network.width:,} cells"
    outputs = f"{network.columns} output{'s' * (network.columns != 1)}"
    return {
        "data set": f"{data.name}, {len(data.x_train):,} training images",
        "classes": ", ".join(map(str, data.classes)),
        "network": f"{network.in_:,} inputs, {layers}, {outputs}",
        "parameters": f"{network.parameters:,}",
        "rule": f"{ed.rule.error}, learning rate {ed.rule.alpha:g}",
        "backend": ed.backend,
        "device": ed.device or "not chosen yet",
        "dtype": network.dtype,
        "seed": str(ed.seed),
    }


def _speed(evaluated: Progress) -> str:
    return f"{evaluated.samples / evaluated.seconds:,.0f} images/s"


def _bar(console: Console) -> Bar:
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
