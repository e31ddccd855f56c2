"""What ``edcore train --diagnose`` adds to the summary: the figures of each layer, and a word of warning."""

from __future__ import annotations

import warnings

from rich.console import Console
from rich.table import Column, Table

from edcore import training
from edcore.datasets import Dataset
from edcore.diagnostics import DeadStackWarning, diagnose
from edcore.ed import ED

__all__ = ["show_diagnosis"]

SAMPLES = 256
"""Training samples that a network is diagnosed on."""


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
    x, y = data.x_train[:SAMPLES], data.y_train[:SAMPLES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadStackWarning)  # it is printed below the table instead
        found = diagnose(ed, x, training.targets(y, ed.network.columns))
    first, *others = found.columns
    columns = Column(first, no_wrap=True), *(Column(name, justify="right") for name in others)
    table = Table(*columns, box=None, pad_edge=False)
    for row in found.rows:
        table.add_row(*row)
    console.print(f"\nlayers, on {len(x)} training samples:\n")
    console.print(table)
    if found.warning:
        console.print(f"\nwarning: {found.warning}", soft_wrap=True)
