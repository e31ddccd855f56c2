"""Out of memory: what a network needs, what a device has, and which batch would fit."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from edcore.backend import Backend, needed
from edcore.errors import OutOfMemoryError
from edcore.network import Network

__all__ = ["explained", "most", "too_much"]

SIGNS = re.compile("out of memory|out_of_memory|resource_exhausted|can't allocate memory|not enough memory", re.I)
"""How array libraries say it, whose errors have no class in common."""


def most(network: Network, backend: Backend) -> int:
    """Return the largest batch whose activities, with the weights, the whole device could hold."""
    weights = needed(network)
    return (backend.memory().total - weights) // (needed(network, 1) - weights)


def too_much(network: Network, backend: Backend, batch: int) -> OutOfMemoryError:
    """Return the error for a batch that cannot be held.

    It is raised before anything is tried: some systems end a program that asks for too much, with no error at all.
    """
    return OutOfMemoryError(_sentence(network, backend, batch, backend.memory().total - needed(network)))


@contextlib.contextmanager
def explained(network: Network, backend: Backend, batch: int) -> Iterator[None]:
    """Turn whatever a library raises when memory is short into an error that says how much is needed.

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
        raise OutOfMemoryError(_sentence(network, backend, batch, backend.memory().free)) from error


def _sentence(network: Network, backend: Backend, batch: int, free: int) -> str:
    weights, activities = needed(network), needed(network, batch) - needed(network)
    # Beside the activities, an update makes up to as many δ.
    fitting = min(free // (2 * (needed(network, 1) - weights)), batch - 1)
    fix = f"A batch of {fitting:,} would fit." if fitting > 0 else "A smaller network would fit; no smaller batch does."
    return (
        f"{backend.device} is out of memory: the network's weights need {_size(weights)}, a batch of {batch:,} needs "
        f"{_size(activities)} more for its activities, and {_size(max(free, 0))} are left. {fix}"
    )


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"
