"""Run a benchmark: the contenders take turns, so that a slow minute of the machine hits them all."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from edcore.bench import machine
from edcore.bench.contenders import Contender, check_known, default_names, make_contender
from edcore.bench.machine import seconds_of
from edcore.bench.setting import Setting
from edcore.bench.timings import Benchmark, Timings
from edcore.bench.workers import LateError, Task, Worker, WorkerError, worker_pool
from edcore.environment import here, versions

SETTLE = 0.25
"""Seconds before each turn: idle thread pools go on spinning for a while (those of LLVM's OpenMP for 0.2 s)."""

READY = 0.75
"""Share of a limited time for getting ready; the rest is for the rounds."""

SHORT, MOST_STEPS = 0.1, 50
"""In a turn a step is timed again until this many seconds are over, this many times at most; the medians count: in
training a step follows a step."""

NO_TIME = "no time left"


def bench(
    names: Sequence[str],
    setting: Setting,
    announce: Callable[[str], object] = lambda line: None,
    seconds: float | None = None,
    bounds: machine.Machine | None = None,
) -> Benchmark:
    """Time contenders, or the usual ones of the device, each in its own process, in `seconds` if given.

    A contender that fails has its reason in the result. An unknown name is refused before anything starts. `bounds` is
    the machine's speed where another setting's result has it.
    """
    end = None if seconds is None else time.monotonic() + seconds
    ready_by = None if seconds is None else time.monotonic() + READY * seconds
    names = names or default_names(setting.device_type)
    for name in names:
        check_known(name)
    reason = ""
    if bounds is None:
        announce("measuring the machine")
        bounds, reason = _machine(setting, ready_by)
    timings = _timings(names, setting, announce, ready_by, end)
    repeats = max((len(one.seconds["step"]) for one in timings if one.seconds), default=setting.repeats)
    return Benchmark(here(), replace(setting, repeats=repeats), bounds, reason, timings)


def _machine(setting: Setting, ready_by: float | None) -> tuple[machine.Machine | None, str]:
    if (left := _left(ready_by)) == 0:
        return None, NO_TIME
    sizes = machine.CPU if setting.device_type == "cpu" else machine.GPU
    with worker_pool() as pool:
        pool.append(Worker(_measure, setting.device, setting.dtype, sizes))
        try:
            return pool[0].wait_until_ready(left and left / 2), ""
        except WorkerError as error:
            return None, str(error)


def _timings(
    names: Sequence[str],
    setting: Setting,
    announce: Callable[[str], object],
    ready_by: float | None,
    end: float | None,
) -> list[Timings]:
    contenders, ready = [Timings(name) for name in names], []
    with worker_pool() as pool:
        for one in contenders:
            if (left := _left(ready_by)) == 0:
                break
            announce(f"warming up {one.name}")
            pool.append(Worker(_prepare, one.name, setting))
            try:
                # No more than half of the time that is left: one that hangs leaves time for the others.
                one.device, one.versions = pool[-1].wait_until_ready(left and left / 2)
                ready.append((one, pool[-1]))
            except WorkerError as error:
                one.reason = str(error)
        longest = 0.0
        for number in range(setting.repeats):
            # A round starts only if time is left for the longest so far, so that all contenders get the same turns.
            if (left := _left(end)) is not None and left <= longest:
                break
            announce(f"round {number + 1} of {setting.repeats}")
            start = time.monotonic()
            for one, worker in ready:
                if not one.reason and _left(end) != 0:
                    _take_turn(one, worker, end)
            longest = max(longest, time.monotonic() - start)
    for one in contenders:
        if not one.reason and not one.seconds:
            one.reason = NO_TIME
    return contenders


def _take_turn(timings: Timings, worker: Worker, end: float | None) -> None:
    time.sleep(SETTLE)
    try:
        seconds = worker.run(_left(end))
    except LateError as error:
        timings.reason = "" if timings.seconds else str(error)  # its earlier turns count
        return
    except WorkerError as error:
        timings.reason, timings.seconds = str(error), {}
        return
    for part, value in seconds.items():
        timings.seconds.setdefault(part, []).append(value)


def _left(end: float | None) -> float | None:
    """Return the seconds until the end, at least 0; None for no end."""
    return None if end is None else max(end - time.monotonic(), 0.0)


# Below: code that runs in the workers.


def _measure(device: str, dtype: str, sizes: machine.Sizes) -> tuple[Task, machine.Machine]:
    bounds = machine.measure(device, dtype, sizes)
    return lambda: bounds, bounds


def _prepare(name: str, setting: Setting) -> tuple[Task, tuple[str, dict[str, str]]]:
    contender = make_contender(name, setting)
    task: functools.partial[Any] = functools.partial(time_step, contender)
    task()  # compiles and allocates
    return task, (contender.device, versions())


def time_step(contender: Contender) -> dict[str, float]:
    """Return the seconds of a forward pass, and of the two halves of a training step: medians, if they are short."""
    network, x, target = contender.network, contender.x, contender.target
    # A step that is not timed: in training a step follows a step, but here other contenders have used the caches.
    outputs = network(x)
    network.update(target - outputs)

    def run_trace() -> None:
        nonlocal outputs
        outputs = network(x)

    parts = {
        "forward": lambda: network.predict(x),
        "trace": run_trace,
        "update": lambda: network.update(target - outputs),
    }
    seconds: dict[str, list[float]] = {part: [] for part in parts}
    start = time.perf_counter()
    while not seconds["update"] or (len(seconds["update"]) < MOST_STEPS and time.perf_counter() - start < SHORT):
        for part, call in parts.items():
            seconds[part].append(seconds_of(call, network.synchronize))
    medians = {part: median(values) for part, values in seconds.items()}
    return medians | {"step": medians["trace"] + medians["update"]}
