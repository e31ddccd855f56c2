"""The registry entry of the JAX backend: the method compiled by XLA, for the CPU or a GPU."""

from __future__ import annotations

import dataclasses

from edcore.adapters.array_api import array_api_backend
from edcore.contract.backend import Backend

__all__ = ["BACKEND"]


def load(device: str | None) -> Backend:
    """Return the backend on a device; None stands for the CPU."""
    from .backend import JaxBackend

    return JaxBackend(device or "cpu", BACKEND)


BACKEND = dataclasses.replace(
    array_api_backend(
        name="jax",
        module="jax",
        summary="JAX, compiled, on the CPU or a GPU",
        install='pip install "edcore[jax]"',
        priority=0,
        device_types=("cpu", "cuda"),
    ),
    load=load,
)
