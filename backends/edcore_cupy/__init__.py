"""The registry entry of the CuPy backend: kernels of its own for narrow networks, batched products for all others."""

from __future__ import annotations

import dataclasses
import logging

from edcore import arrays as libraries
from edcore.adapters.array_api import array_api_backend
from edcore.contract.backend import Backend

__all__ = ["BACKEND"]

SLAB = 2**26
"""Numbers δ at once: all of the article's network in one product, and only a part of a GPU's memory."""

logger = logging.getLogger("edcore")


def load(device: str | None, precision: str = "full") -> Backend:
    """Return the backend on a GPU; None stands for the first one."""
    import cupy

    from edcore.adapters.operations import Operations

    from .arrays import ArrayOperations
    from .backend import CuPyBackend
    from .narrow import Narrow
    from .recorded import RecordedOperations, record, shared

    namespace, native = libraries.namespace_of(cupy), libraries.native_device("cupy", device or "cuda")
    if precision == "tf32x3":
        from .tf32x3 import CuPyTF32x3Backend, TF32x3Operations

        # Without CuPy's cuBLAS this raises: array code has no product of TF32 that it could record.
        precise = TF32x3Operations(SLAB, *shared(native.id))
        backend = CuPyTF32x3Backend(namespace, native, BACKEND, precise, Narrow(cupy, native, record))
        backend.capability = int(native.compute_capability)
        return backend
    operations: Operations
    try:
        operations = RecordedOperations(SLAB, *shared(native.id))
    except Exception as error:  # of any kind that the finder raises: plain array code works without it
        logger.info("cupy: no graph is recorded, as CuPy's cuBLAS was not found: %r", error)
        operations = ArrayOperations(cupy, SLAB)
    return CuPyBackend(namespace, native, BACKEND, operations, Narrow(cupy, native, record))


BACKEND = dataclasses.replace(
    array_api_backend(
        name="cupy",
        module="cupy",
        summary="CuPy on an NVIDIA GPU: batched products, fused kernels, CUDA graphs",
        install='pip install "edcore[cupy]" (CUDA 12) or pip install "edcore[cupy13]" (CUDA 13)',
        priority=100,
        device_types=("cuda",),
    ),
    load=load,
    precisions=("tf32x3",),
)
