"""Out of memory: what a network needs, what a device has, and which batch would fit."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from edcore.contract.backend import Backend
from edcore.contract.memory import fits, host_memory, host_room, needed
from edcore.core.network import Network
from edcore.errors import OutOfMemoryError

SIGNS = re.compile("out of memory|out_of_memory|resource_exhausted|can't allocate memory|not enough memory", re.I)
"""How array libraries say it: their errors have no class in common."""

FREE = "Other arrays or programs have the rest: free it, or hand in less."


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error, of any library, says that memory is short."""
    return isinstance(error, MemoryError) or bool(SIGNS.search(f"{type(error).__name__} {error}"))


def largest_batch(network: Network, backend: Backend) -> int:
    """Return the largest batch whose activities, with the weights, the whole device could hold."""
    return (backend.memory().total - needed(network)) // _sample(network)


def check_room(network: Network) -> None:
    """Refuse a network whose initial weights this machine cannot hold: some systems just end the program."""
    if (reason := fits(network, host_memory())) is not True:
        raise OutOfMemoryError(f"the initial weights are drawn on this machine, which is too small: {reason}.")
    need, left = 2 * needed(network), host_memory().free  # as they are drawn, and as the backend has them
    if need > left and need > (left := host_room()):
        making = f"to draw the weights and hand them to the backend needs {_size(need)}"
        raise OutOfMemoryError(f"this machine is out of memory: {making}, and {_size(left)} are left. {FREE}")


@contextlib.contextmanager
def host_holds(network: Network, batch: int, *, copies: int, passes: int) -> Iterator[None]:
    """Refuse a block that needs copies of the weights and passes of a batch on this machine, if there is no room."""
    weights, sample = copies * needed(network), passes * _sample(network)
    need, left = weights + batch * sample, host_memory().free
    of_weights = f"{copies} copies of the weights need {_size(weights)}" if copies > 1 else _weights(network)
    what = f"{of_weights}, the activities of a batch of {batch:,} {_size(batch * sample)} more"
    if need > left and need > (left := host_room()):
        raise _host_is_full(what, left, weights, sample)
    try:
        yield
    except MemoryError as error:
        raise _host_is_full(what, host_room(), weights, sample) from error


def _host_is_full(what: str, left: int, weights: int, sample: int) -> OutOfMemoryError:
    fix = _fix((left - weights) // sample)
    return OutOfMemoryError(f"this machine is out of memory: {what}, and {_size(left)} are left. {fix}")


def too_much(network: Network, backend: Backend, batch: int) -> OutOfMemoryError:
    """Return the error for a batch that cannot be held.

    It is raised before anything is tried: some systems end a program that asks for too much, with no error at all.
    """
    fix = _fix(largest_batch(network, backend))
    need = f"{_weights(network)}, {_activities(network, batch)}, and it has {_size(backend.memory().total)}"
    return OutOfMemoryError(f"{backend.device} is too small: {need}. {fix}")


def explain_memory(
    error: Exception, network: Network, backend: Backend, batch: int, *, inference: bool = False, samples: int = 0
) -> None:
    """Raise an error that says how much memory is needed, if this one says that memory is short; else do nothing.

    `batch` samples have their activities in memory, those of two layers in `inference`, of all layers otherwise;
    `samples` more lie on the device beside them.
    """
    if isinstance(error, OutOfMemoryError) or not is_out_of_memory(error):
        return
    free = max(backend.memory().free, 0)
    held = replace(network, depth=min(network.depth, 1)) if inference else network
    need = f"{_weights(network)}, {_activities(held, batch)}"
    if samples:
        need += f", {samples:,} samples {_size(_data(network, samples))}"
    fitting = free // (2 * _sample(held))  # an update makes up to as many δ beside the activities
    fix = _fix(fitting) if fitting < batch else FREE
    sentence = f"{backend.device} is out of memory: {need}, and {_size(free)} are left. {fix}"
    raise OutOfMemoryError(sentence) from error


def _sample(network: Network) -> int:
    return needed(network, 1) - needed(network)


def _data(network: Network, samples: int) -> int:
    return samples * (network.features + network.columns) * np.dtype(network.dtype).itemsize


def _weights(network: Network) -> str:
    return f"the weights need {_size(needed(network))}"


def _activities(network: Network, batch: int) -> str:
    return f"the activities of a batch of {batch:,} {_size(batch * _sample(network))} more"


def _fix(fitting: int) -> str:
    return f"A batch of {fitting:,} would fit." if fitting > 0 else "A smaller network would fit, but no smaller batch."


def _size(count: int) -> str:
    for power, unit in ((3, "GiB"), (2, "MiB")):
        if count >= 2 ** (10 * power):
            return f"{count / 2 ** (10 * power):,.1f} {unit}"
    return f"{count / 2**10:,.1f} KiB"
