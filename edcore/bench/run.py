"""A benchmark from its start to its results: the contenders take turns, so that a slow minute hits them all."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from edcore.bench import contenders, machine
from edcore.bench.contenders import Contender
from edcore.bench.machine import _seconds
from edcore.bench.results import Results, Row
from edcore.bench.setting import Setting
from edcore.bench.workers import LateError, Task, Worker, WorkerError, workers
from edcore.environment import here
from edcore.errors import UnknownNameError

SETTLE = 0.25
"""Seconds before each turn: idle thread pools go on spinning for a while (those of LLVM's OpenMP for 0.2 s)."""

READY = 0.75
"""How much of the time, where it is limited, is for getting ready; the rest is for the rounds."""

NO_TIME = "no time left"


def bench(
    names: Sequence[str],
    setting: Setting,
    announce: Callable[[str], object] = lambda line: None,
    seconds: float | None = None,
) -> Results:
    """Time the contenders, each in a process of its own.

    Parameters
    ----------
    names : sequence of str
        The contenders; none for the usual ones of the device.
    setting : Setting
        What each is given.
    announce : callable
        Is told in a line what goes on.
    seconds : float or None
        When to end; None for as long as it takes. A quarter is kept for the rounds, and one starts only if there is
        time for the longest before it. To get ready, nobody may take more than half of what is left to all for that.

    Returns
    -------
    Results
        A row for each contender, in their order; one that failed has the reason. The repeats of its setting are those
        for which there was time.

    Raises
    ------
    UnknownNameError
        If a name is not known. Then nothing was started.
    """
    end = None if seconds is None else time.monotonic() + seconds
    ready_by = None if seconds is None else time.monotonic() + READY * seconds
    names = names or contenders.defaults(setting.device_type)
    for name in names:
        if name not in contenders.known():
            fix = "`edcore info` lists the backends."
            raise UnknownNameError("CONTENDERS", name, contenders.known(), fix)
    announce("measuring the machine")
    bounds, reason = _machine(setting, ready_by)
    rows = _rows(names, setting, announce, ready_by, end)
    made = max((len(row.seconds["step"]) for row in rows if row.seconds), default=setting.repeats)
    return Results(here(), replace(setting, repeats=made), bounds, reason, rows)


def _machine(setting: Setting, ready_by: float | None) -> tuple[machine.Machine | None, str]:
    if (left := _left(ready_by)) == 0:
        return None, NO_TIME
    sizes = machine.CPU if setting.device_type == "cpu" else machine.GPU
    with workers() as pool:
        pool.append(Worker(_measure, setting.device, setting.dtype, sizes))
        try:
            return pool[0].told(left and left / 2), ""
        except WorkerError as error:
            return None, str(error)


def _rows(
    names: Sequence[str],
    setting: Setting,
    announce: Callable[[str], object],
    ready_by: float | None,
    end: float | None,
) -> list[Row]:
    rows, ready = [Row(name) for name in names], []
    with workers() as pool:
        for row in rows:
            if (left := _left(ready_by)) == 0:
                break
            announce(f"warming up {row.name}")
            pool.append(Worker(_contender, row.name, setting))
            try:
                row.device, row.versions = pool[-1].told(left and left / 2)
                ready.append((row, pool[-1]))
            except WorkerError as error:
                row.reason = str(error)
        longest = 0.0
        for number in range(setting.repeats):
            if (left := _left(end)) is not None and left <= longest:
                break
            announce(f"round {number + 1} of {setting.repeats}")
            start = time.monotonic()
            for row, worker in ready:
                if not row.reason and _left(end) != 0:
                    _take_turn(row, worker, end)
            longest = max(longest, time.monotonic() - start)
    for row in rows:
        if not row.reason and not row.seconds:
            row.reason = NO_TIME
    return rows


def _take_turn(row: Row, worker: Worker, end: float | None) -> None:
    time.sleep(SETTLE)
    try:
        seconds = worker.run(_left(end))
    except LateError as error:
        row.reason = "" if row.seconds else str(error)  # what it did before counts
        return
    except WorkerError as error:
        row.reason, row.seconds = str(error), {}
        return
    for key, value in seconds.items():
        row.seconds.setdefault(key, []).append(value)


def _left(end: float | None) -> float | None:
    """Return the seconds until then, at least 0; None for no end."""
    return None if end is None else max(end - time.monotonic(), 0.0)


# Below: what happens in the workers.


def _measure(device: str, dtype: str, sizes: machine.Sizes) -> tuple[Task, machine.Machine]:
    bounds = machine.measured(device, dtype, sizes)
    return lambda: bounds, bounds


def _contender(name: str, setting: Setting) -> tuple[Task, tuple[str, dict[str, str]]]:
    made = contenders.contender(name, setting)
    task: functools.partial[Any] = functools.partial(turn, made)
    task()  # compiles and allocates
    return task, (made.device, contenders.versions())


def turn(contender: Contender) -> dict[str, float]:
    """Return the seconds of one forward pass, and of the two halves of one training step.

    Before them comes a step that is not timed: in training a step follows a step, but here other contenders had the
    caches since the last one.
    """
    network, x, target = contender.network, contender.x, contender.target
    network.update(target - network(x))
    forward = _seconds(lambda: network.predict(x), network.synchronize)
    outputs = []
    trace = _seconds(lambda: outputs.append(network(x)), network.synchronize)
    update = _seconds(lambda: network.update(target - outputs[0]), network.synchronize)
    return {"forward": forward, "trace": trace, "update": update, "step": trace + update}
