"""What ``edcore info`` shows: the backends and their states, and what ``auto`` would take for a network."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Column, Table

import edcore
from edcore import registry
from edcore.backend import needed
from edcore.calibration import calibration
from edcore.explain import explain, followed
from edcore.network import Network
from edcore.rule import Rule
from edcore.select import requested

__all__ = ["backends_as_dict", "show_backends", "show_choice"]


def show_backends(console: Console) -> None:
    """Print each backend with its state, and the command that installs what is not ready.

    Parameters
    ----------
    console : Console
        Where to print.
    """
    name = Column("backend", no_wrap=True)
    table = _table(name, "state", "devices", "why not")
    states = registry.list_backends()
    for state in states:
        table.add_row(state.name, "ready" if state.ready else "not ready", ", ".join(state.devices), state.reason)
    console.print(table)
    for state in states:
        if state.install and not state.ready:
            # Never folded, so that the command can be copied.
            console.print(f"\n{state.name} needs: {state.install}", soft_wrap=True)


def backends_as_dict(network: Network, rule: Rule) -> dict[str, Any]:
    """Return the backends, and what ``auto`` takes for a network and why, as values that JSON has.

    Parameters
    ----------
    network : Network
        The network.
    rule : Rule
        How it learns.

    Returns
    -------
    dict
        Of each backend what `edcore.list_backends` tells; of ``auto`` what comes of each candidate, in its order.
    """
    verdicts = explain(network, rule)
    taken = next((one for one in verdicts if not one.reason), None)
    return {
        "edcore": edcore.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "backends": [asdict(state) for state in registry.list_backends()],
        "network": asdict(network),
        "auto": taken and {"backend": taken.name, "device": taken.device},
        "candidates": [asdict(one) for one in verdicts],
    }


def show_choice(network: Network, rule: Rule, console: Console) -> None:
    """Print what ``auto`` takes for a network, what it likes better or less, and what it knows of their speed.

    Parameters
    ----------
    network : Network
        The network.
    rule : Rule
        How it learns.
    console : Console
        Where to print.
    """
    console.print(
        f"{network.in_:,} inputs, {network.depth:,} hidden layers of 2 x {network.width:,} cells: "
        f"{network.parameters:,} weights, {needed(network) / 2**20:,.1f} MiB\n"
    )
    table = _table("backend", "device", Column("ms", justify="right"), "verdict")
    verdicts = explain(network, rule)
    taken = next((one for one in verdicts if not one.reason), None)
    for one in verdicts:
        ms = "" if one.ms is None else f"{one.ms:,.3g}"
        table.add_row(one.name, one.device, ms, one.reason or ("taken" if one is taken else "ready"))
    console.print(table)
    choice = f"{taken.name} on {taken.device}" if taken else "nothing"
    asked = requested("auto", None)
    if asked.backend != "auto":
        console.print(f"\n{asked.asked_by} decides before auto does.")
    console.print(f"\nauto takes {choice} for NumPy arrays.")
    for library, kind, name in followed(network, rule):
        console.print(f"For arrays of {library} on {kind} it takes {name}.")
    for kind in dict.fromkeys(one.device for one in verdicts if one.device and not one.reason):
        if table_of_kind := calibration(kind):
            width = table_of_kind.nearest(network.width).width
            console.print(f"\nThe order on {kind} is that of width {width}: {table_of_kind.source}.", soft_wrap=True)
    console.print("\nms: a step of a smaller network of that width. Measure this machine by: edcore bench --calibrate")


def _table(*columns: Column | str) -> Table:
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
