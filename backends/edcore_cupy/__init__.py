"""The entry of the CuPy backend: the Array API core over CuPy, on an NVIDIA GPU."""

from __future__ import annotations

from edcore.array_api import array_api_backend

__all__ = ["BACKEND"]

BACKEND = array_api_backend(
    name="cupy",
    module="cupy",
    summary="CuPy on an NVIDIA GPU",
    install='pip install "edcore[cupy]" (CUDA 12) or pip install "edcore[cupy13]" (CUDA 13)',
    priority=100,
    device_types=("cuda",),
)
