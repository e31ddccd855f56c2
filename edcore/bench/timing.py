"""Reading the clock: the device has finished all earlier work before, and this work after."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from edcore.bench.contenders import Contender

__all__ = ["median_seconds", "turn"]


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


def median_seconds(work: Callable[[], object], synchronize: Callable[[], None], repeats: int) -> float:
    """Return the median seconds of some work, after two runs that do not count."""
    return median([_seconds(work, synchronize) for _ in range(2 + repeats)][2:])


def _seconds(work: Callable[[], object], synchronize: Callable[[], None]) -> float:
    synchronize()
    start = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - start
