"""Out of memory: what a network needs, what a device has, and which batch would fit."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from edcore.contract.backend import Backend
from edcore.contract.memory import needed
from edcore.core.network import Network
from edcore.errors import OutOfMemoryError

SIGNS = re.compile("out of memory|out_of_memory|resource_exhausted|can't allocate memory|not enough memory", re.I)
"""How array libraries say it, whose errors have no class in common."""


def most(network: Network, backend: Backend) -> int:
    """Return the largest batch whose activities, with the weights, the whole device could hold."""
    return (backend.memory().total - needed(network)) // _sample(network)


def too_much(network: Network, backend: Backend, batch: int) -> OutOfMemoryError:
    """Return the error for a batch that cannot be held.

    It is raised before anything is tried: some systems end a program that asks for too much, with no error at all.
    """
    fix = _fix(most(network, backend))
    what = f"{_weights(network)}, {_activities(network, batch)}, and it has {_size(backend.memory().total)}"
    return OutOfMemoryError(f"{backend.device} is too small: {what}. {fix}")


@contextlib.contextmanager
def explained(
    network: Network, backend: Backend, batch: int, *, inference: bool = False, samples: int = 0
) -> Iterator[None]:
    """Turn whatever a library raises when memory is short into an error that says how much is needed.

    Parameters
    ----------
    network : Network
        The network.
    backend : Backend
        Where it is computed.
    batch : int
        Samples whose activities are held at a time.
    inference : bool
        Two layers' activities are held, and not those of all.
    samples : int
        Samples that lie on the device beside them.

    Raises
    ------
    OutOfMemoryError
        In place of the library's.
    """
    try:
        yield
    except OutOfMemoryError:
        raise
    except Exception as error:
        if not isinstance(error, MemoryError) and not SIGNS.search(f"{type(error).__name__} {error}"):
            raise
        free = max(backend.memory().free, 0)
        held = replace(network, depth=min(network.depth, 1)) if inference else network
        what = f"{_weights(network)}, {_activities(held, batch)}"
        if samples:
            what += f", {samples:,} samples {_size(_data(network, samples))}"
        fitting = free // (2 * _sample(held))  # an update makes up to as many δ beside the activities
        fix = _fix(fitting) if fitting < batch else "Other arrays or programs have the rest: free it, or hand in less."
        sentence = f"{backend.device} is out of memory: {what}, and {_size(free)} are left. {fix}"
        raise OutOfMemoryError(sentence) from error


def _sample(network: Network) -> int:
    return needed(network, 1) - needed(network)


def _data(network: Network, samples: int) -> int:
    return samples * (network.in_ + network.columns) * np.dtype(network.dtype).itemsize


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
