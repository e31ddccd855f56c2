"""A benchmark from its start to its results: the contenders take turns, so that a slow minute hits them all."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

from edcore.bench import contenders, machine
from edcore.bench.results import Results, Row, here
from edcore.bench.setting import Setting
from edcore.bench.timing import turn
from edcore.bench.workers import Task, Worker, WorkerError, workers
from edcore.errors import UnknownNameError

__all__ = ["bench"]

SETTLE = 0.25
"""Seconds before each turn: idle thread pools go on spinning for a while (those of LLVM's OpenMP for 0.2 s)."""


def bench(names: Sequence[str], setting: Setting, announce: Callable[[str], object] = lambda line: None) -> Results:
    """Time the contenders, each in a process of its own.

    Parameters
    ----------
    names : sequence of str
        The contenders; none for the usual ones of the device.
    setting : Setting
        What each is given.
    announce : callable
        Is told in a line what goes on.

    Returns
    -------
    Results
        A row for each contender, in their order; one that failed has the reason.

    Raises
    ------
    UnknownNameError
        If a name is not known. Then nothing was started.
    """
    names = names or contenders.defaults(setting.device_type)
    for name in names:
        if name not in contenders.known():
            fix = "`edcore info` lists the backends."
            raise UnknownNameError("CONTENDERS", name, contenders.known(), fix)
    announce("measuring the machine")
    bounds, reason = _machine(setting)
    return Results(here(), setting, bounds, reason, _rows(names, setting, announce))


def _machine(setting: Setting) -> tuple[machine.Machine | None, str]:
    sizes = machine.CPU if setting.device_type == "cpu" else machine.GPU
    with workers() as pool:
        pool.append(Worker(_measure, setting.device, setting.dtype, sizes))
        try:
            return pool[0].told(), ""
        except WorkerError as error:
            return None, str(error)


def _rows(names: Sequence[str], setting: Setting, announce: Callable[[str], object]) -> list[Row]:
    rows = [Row(name) for name in names]
    with workers() as pool:
        for row in rows:
            announce(f"warming up {row.name}")
            pool.append(Worker(_contender, row.name, setting))
            try:
                row.device, row.versions = pool[-1].told()
            except WorkerError as error:
                row.reason = str(error)
        for number in range(setting.repeats):
            announce(f"round {number + 1} of {setting.repeats}")
            for row, worker in zip(rows, pool, strict=True):
                if not row.reason:
                    _take_turn(row, worker)
    return rows


def _take_turn(row: Row, worker: Worker) -> None:
    time.sleep(SETTLE)
    try:
        seconds = worker.run()
    except WorkerError as error:
        row.reason, row.seconds = str(error), {}
        return
    for key, value in seconds.items():
        row.seconds.setdefault(key, []).append(value)


# Below: what happens in the workers.


def _measure(device: str, dtype: str, sizes: machine.Sizes) -> tuple[Task, machine.Machine]:
    bounds = machine.measured(device, dtype, sizes)
    return lambda: bounds, bounds


def _contender(name: str, setting: Setting) -> tuple[Task, tuple[str, dict[str, str]]]:
    made = contenders.contender(name, setting)
    task: functools.partial[Any] = functools.partial(turn, made)
    task()  # compiles and allocates
    return task, (made.device, contenders.versions())
