"""The entry of the PyTorch backend: whole stacks of layers in place, on the CPU, an NVIDIA GPU or an Apple GPU."""

from __future__ import annotations

from edcore import libraries
from edcore.backend import API_VERSION, Availability, Backend, BackendInfo

__all__ = ["BACKEND"]


def probe(device: str | None) -> Availability:
    """Return whether PyTorch is here and reaches the device."""
    reason = libraries.unavailable("torch", device or "cpu")
    return Availability(not reason, reason)


def load(device: str | None) -> Backend:
    """Return the backend on a device; None stands for the CPU."""
    import torch

    from edcore.stacked import StackedBackend

    from .operations import TorchOperations

    native = libraries.native_device("torch", device or "cpu")
    return StackedBackend(libraries.namespace(torch), native, BACKEND, TorchOperations(native))


BACKEND = BackendInfo(
    name="torch",
    summary="PyTorch, on whatever device it reaches",
    install='pip install "edcore[torch]"',
    priority=0,
    device_types=("cpu", "cuda", "mps"),
    namespaces=("torch",),
    api_version=API_VERSION,
    probe=probe,
    load=load,
)
