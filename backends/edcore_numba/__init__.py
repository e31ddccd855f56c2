"""The entry of the Numba backend. Its kernels come with a later version of edcore; until then the probe says so."""

from __future__ import annotations

from importlib.util import find_spec

from edcore.backend import Availability, Backend, BackendInfo

__all__ = ["BACKEND"]

MISSING_KERNELS = "this version of edcore does not contain the Numba kernels yet"


def probe(device: str | None) -> Availability:
    """Return why it cannot run here."""
    if find_spec("numba") is None:
        return Availability(False, f"Numba is not installed, and {MISSING_KERNELS}")
    return Availability(False, MISSING_KERNELS)


def load(device: str | None) -> Backend:
    """Refuse: no probe says that this can be loaded."""
    raise NotImplementedError(MISSING_KERNELS)


BACKEND = BackendInfo(
    name="numba",
    summary="fused kernels, compiled by Numba for the CPU and for CUDA",
    install='pip install "edcore[numba]"',
    priority=50,
    device_types=("cpu", "cuda", "cudasim"),
    namespaces=(),
    api_version=1,
    probe=probe,
    load=load,
)
