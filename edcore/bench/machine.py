"""The machine's own speed, to compare with: its matrix product in the dtype, and copying. Also the stopwatch."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore import arrays
from edcore.errors import EDCoreError


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of the product and of the copy."""

    side: int  # rows and columns of the square matrices
    copied: int  # bytes, well above the caches
    repeats: int = 7  # timings, of which the median counts


CPU, GPU = Sizes(2048, 2**28), Sizes(8192, 2**30)


@dataclass(frozen=True, slots=True)
class Machine:
    """The speed of the machine: upper bounds for what a backend can reach."""

    device: str  # empty for the CPU
    flop_per_s: float  # floating-point operations a second of the matrix product
    product_by: str
    bytes_per_s: float  # bytes read plus bytes written a second, of a copy
    copy_by: str


def measure(device: str, dtype: str, sizes: Sizes) -> Machine:
    """Return the speed of the device: by NumPy and Numba on the CPU, by PyTorch or CuPy elsewhere."""
    random = np.random.default_rng(0)
    matrix = random.random((sizes.side, sizes.side)).astype(dtype)
    source = random.random(sizes.copied // matrix.itemsize).astype(dtype)
    on_device = _on_cpu if arrays.device_type(device) == "cpu" else _on_gpu
    product, copy, name, product_by, copy_by = on_device(device, matrix, source, sizes.repeats)
    return Machine(name, 2 * sizes.side**3 / product, product_by, 2 * source.nbytes / copy, copy_by)


def _on_cpu(
    device: str, matrix: npt.NDArray[Any], source: npt.NDArray[Any], repeats: int
) -> tuple[float, float, str, str, str]:
    result, target = np.empty_like(matrix), np.empty_like(source)
    product = median_seconds(lambda: np.matmul(matrix, matrix, out=result), _no_wait, repeats)
    try:
        import numba
    except ImportError:
        copy = median_seconds(lambda: np.copyto(target, source), _no_wait, repeats)
        return product, copy, "", "NumPy", "NumPy on one thread"

    prange = numba.prange

    # NumPy copies on one thread only, which does not fill the memory bus.
    @numba.njit(parallel=True)  # type: ignore[untyped-decorator]
    def in_parallel(target: npt.NDArray[Any], source: npt.NDArray[Any]) -> None:
        for i in prange(len(source)):
            target[i] = source[i]

    copy = median_seconds(lambda: in_parallel(target, source), _no_wait, repeats)
    return product, copy, "", "NumPy", f"Numba on {numba.get_num_threads()} threads"


def _on_gpu(
    device: str, matrix: npt.NDArray[Any], source: npt.NDArray[Any], repeats: int
) -> tuple[float, float, str, str, str]:
    reasons = {library: arrays.unavailable(library, device) for library in ("torch", "cupy")}
    library = next((library for library, reason in reasons.items() if not reason), None)
    if library is None:
        raise EDCoreError("; ".join(reasons.values()))
    module, native = importlib.import_module(library), arrays.native_device(library, device)
    xp = arrays.namespace_of(module)

    def synchronize() -> None:
        arrays.synchronize(library, native, None)

    with arrays.exact(library, native):  # no TF32
        a, b = (xp.asarray(array, device=native) for array in (matrix, source))
        product = median_seconds(lambda: a @ a, synchronize, repeats)
        copy = median_seconds(lambda: xp.asarray(b, copy=True), synchronize, repeats)
    by = "PyTorch" if library == "torch" else "CuPy"
    return product, copy, _gpu_name(module, native), by, by


def _gpu_name(module: Any, native: Any) -> str:
    if module.__name__ == "cupy":
        return str(module.cuda.runtime.getDeviceProperties(native.id)["name"].decode())
    return str(module.cuda.get_device_name(native)) if native.type == "cuda" else str(native)


def _no_wait() -> None:
    """NumPy and Numba return only when they are done."""


def median_seconds(work: Callable[[], object], synchronize: Callable[[], None], repeats: int) -> float:
    """Return the median seconds of a call, after two runs that do not count."""
    return median([seconds_of(work, synchronize) for _ in range(2 + repeats)][2:])


def seconds_of(work: Callable[[], object], synchronize: Callable[[], None]) -> float:
    """Return the seconds of one call, from an idle device to an idle device."""
    synchronize()
    start = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - start
