"""Whether Numba can compute on a GPU here, and why not."""

from __future__ import annotations

import re

SIMULATOR = "cudasim"

ADVICE = {
    r"nvvm|libdevice|nvrtc|nvjitlink|linker": (
        "libNVVM, libdevice, NVRTC and nvJitLink come with the package numba-cuda[cu12] (nvidia-cuda-nvcc-cu12) or "
        "numba-cuda[cu13] (nvidia-nvvm); those of a CUDA toolkit are found if CUDA_HOME names its folder"
    ),
    r"_PTX|_IMAGE|_NO_BINARY|Function .* not found": (
        "the driver is older than this CUDA; nvidia-smi shows the highest one that it supports"
    ),
}
"""What to do, by a pattern of the error."""


def unavailable(device: str | None) -> str:
    """Return why Numba cannot compute on the device ("cuda", "cuda:1", "cudasim", None) here; empty if it can."""
    try:
        on_simulator = simulated()
        kind, _, number = (device or (SIMULATOR if on_simulator else "cuda")).partition(":")
        if kind not in ("cuda", SIMULATOR):
            return f"Numba has no CUDA device {device!r}"
        if kind == SIMULATOR and not on_simulator:
            return "the simulator is off: NUMBA_ENABLE_CUDASIM=1 must be set before Numba is first imported"
        if kind == "cuda" and on_simulator:
            return "NUMBA_ENABLE_CUDASIM=1 replaces CUDA by a simulator; ask for that with device='cudasim'"
        from edcore_numba.gpu.compiler import cuda, try_out

        index, count = int(number or 0), len(cuda.gpus)
        if not 0 <= index < count:
            return f"Numba sees {count} CUDA device{'s' * (count != 1)} here, so there is no {device!r}"
        if not on_simulator:
            try_out(index)
    except Exception as error:  # a broken driver can raise anything, and a probe never raises
        return f"Numba does not work on {device or 'cuda'!r} here ({_explained(error)})"
    return ""


def simulated() -> bool:
    """Return whether Numba has replaced CUDA by its simulator."""
    from numba.core import config

    return bool(config.ENABLE_CUDASIM)


def _explained(error: Exception) -> str:
    """Return what an error says, in one line, and what to do."""
    lines = [line.strip() for line in str(error).splitlines()]
    message = next((line for line in lines if line and not line.endswith(":")), "no message").rstrip(".")
    advice = next((f"; {advice}" for pattern, advice in ADVICE.items() if re.search(pattern, str(error), re.I)), "")
    return f"{type(error).__name__}: {message}{advice}"
