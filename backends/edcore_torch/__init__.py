"""The registry entry of the PyTorch backend: stacks of layers in place, on the CPU, an NVIDIA GPU or an Apple GPU."""

from __future__ import annotations

import dataclasses

from edcore import arrays as libraries
from edcore.adapters.array_api import array_api_backend
from edcore.contract.backend import Backend

__all__ = ["BACKEND"]


def load(device: str | None, precision: str = "full") -> Backend:
    """Return the backend on a device; None stands for the CPU."""
    import torch

    from edcore.adapters.in_place import InPlaceBackend

    from .operations import TorchOperations

    namespace, native = libraries.namespace_of(torch), libraries.native_device("torch", device or "cpu")
    if precision == "tf32x3":
        from edcore.adapters.tf32x3 import TF32x3Backend

        from .tf32x3 import TF32x3Operations, capability

        backend = TF32x3Backend(namespace, native, BACKEND, TF32x3Operations(native))
        backend.capability = capability(native)
        return backend
    return InPlaceBackend(namespace, native, BACKEND, TorchOperations(native))


BACKEND = dataclasses.replace(
    array_api_backend(
        name="torch",
        module="torch",
        summary="PyTorch, on any device that it supports",
        install='pip install "edcore[torch]"',
        priority=0,
        device_types=("cpu", "cuda", "mps"),
    ),
    load=load,
    precisions=("tf32x3",),
)
