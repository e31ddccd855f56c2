"""The oracle: the ED method in explicit loops over layers, cells and samples, summed in float64.

It is written to be obviously right, and to be copied for your own backend. This file is its entry in the registry.
"""

from __future__ import annotations

from edcore.contract.backend import Availability, Backend, BackendInfo

__all__ = ["BACKEND"]


def probe(device: str | None) -> Availability:
    """Return whether the device is the processor; it needs NumPy only."""
    only = device in (None, "cpu")
    return Availability(only, "" if only else "the processor is one device, 'cpu'")


def load(device: str | None) -> Backend:
    """Return the backend."""
    from .loops import LoopBackend  # relative, so that a copy of this folder loads its own class

    return LoopBackend()


BACKEND = BackendInfo(
    name="loop",
    summary="explicit Python loops with float64 sums: the slow reference that all others are compared with",
    install="",
    priority=0,
    device_types=("cpu",),
    namespaces=(),
    api_version=1,
    probe=probe,
    load=load,
)
