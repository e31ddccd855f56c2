"""The registry entry of the Numba backend: fused kernels, compiled for the CPU and for CUDA."""

from __future__ import annotations

import importlib
import os

from edcore.arrays import device_type
from edcore.contract.backend import Availability, Backend, BackendInfo
from edcore.environment import missing

__all__ = ["BACKEND"]


def probe(device: str | None) -> Availability:
    """Return whether Numba compiles here, and whether it can use the device."""
    if reason := missing("numba"):
        return Availability(False, reason)
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return Availability(False, "NUMBA_DISABLE_JIT is set, and without compilation there are no kernels")
    try:
        importlib.import_module("numba")
    except Exception as error:  # for example: this Numba is too old for this NumPy
        return Availability(False, f"numba does not work here ({type(error).__name__}: {error})")
    if reason := missing("numba"):  # what was imported has no version
        return Availability(False, reason)
    if device_type(device or "cpu") == "cpu":
        only = device in (None, "cpu")
        return Availability(only, "" if only else "the processor is one device, 'cpu'")
    reason = _unavailable(device)
    return Availability(not reason, reason)


def load(device: str | None) -> Backend:
    """Return the kernels for a device; None stands for a GPU if it can be used, else for the CPU."""
    if device == "cpu" or (device is None and _unavailable("cuda")):
        from .cpu.backend import NumbaCPU

        return NumbaCPU()
    from .gpu.backend import NumbaCUDA

    return NumbaCUDA(device)


def _unavailable(device: str | None) -> str:
    from .gpu.probe import unavailable

    return unavailable(device)


BACKEND = BackendInfo(
    name="numba",
    summary="fused kernels, compiled by Numba for the CPU and for CUDA",
    install='pip install "edcore[numba]"',
    priority=50,
    device_types=("cuda", "cpu", "cudasim"),
    namespaces=("cupy", "torch"),
    api_version=1,
    probe=probe,
    load=load,
)
