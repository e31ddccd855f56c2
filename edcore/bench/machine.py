"""What the machine itself can do: its matrix product in the dtype, and copying."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore import arrays as libraries
from edcore.errors import EDCoreError


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is multiplied and copied.

    Parameters
    ----------
    side : int
        Rows and columns of the square matrices.
    copied : int
        Bytes of the array that is copied; well above the caches.
    repeats : int
        Timings, of which the median counts.
    """

    side: int
    copied: int
    repeats: int = 7


CPU, GPU = Sizes(2048, 2**28), Sizes(8192, 2**30)


@dataclass(frozen=True, slots=True)
class Machine:
    """The bounds that were measured.

    Parameters
    ----------
    device : str
        Name of the device; empty for the CPU.
    flop_per_s : float
        Floating-point operations a second of the matrix product.
    product_by : str
        Whose matrix product.
    bytes_per_s : float
        Bytes read and bytes written a second, of a copy.
    copy_by : str
        Whose copy.
    """

    device: str
    flop_per_s: float
    product_by: str
    bytes_per_s: float
    copy_by: str


def measured(device: str, dtype: str, sizes: Sizes) -> Machine:
    """Return the bounds of the device: by NumPy and Numba on the CPU, by PyTorch or CuPy elsewhere."""
    random = np.random.default_rng(0)
    matrix = random.random((sizes.side, sizes.side)).astype(dtype)
    source = random.random(sizes.copied // matrix.itemsize).astype(dtype)
    on_cpu = device.partition(":")[0] == "cpu"
    product, copy, name, product_by, copy_by = (_on_cpu if on_cpu else _on_gpu)(device, matrix, source, sizes.repeats)
    return Machine(name, 2 * sizes.side**3 / product, product_by, 2 * source.nbytes / copy, copy_by)


def _on_cpu(
    device: str, matrix: npt.NDArray[Any], source: npt.NDArray[Any], repeats: int
) -> tuple[float, float, str, str, str]:
    result, target = np.empty_like(matrix), np.empty_like(source)
    product = median_seconds(lambda: np.matmul(matrix, matrix, out=result), _at_once, repeats)
    try:
        import numba
    except ImportError:
        copy = median_seconds(lambda: np.copyto(target, source), _at_once, repeats)
        return product, copy, "", "NumPy", "NumPy on one thread"

    prange = numba.prange

    @numba.njit(parallel=True)  # type: ignore[untyped-decorator]
    def in_parallel(target: npt.NDArray[Any], source: npt.NDArray[Any]) -> None:
        for i in prange(len(source)):
            target[i] = source[i]

    copy = median_seconds(lambda: in_parallel(target, source), _at_once, repeats)
    return product, copy, "", "NumPy", f"Numba on {numba.get_num_threads()} threads"


def _on_gpu(
    device: str, matrix: npt.NDArray[Any], source: npt.NDArray[Any], repeats: int
) -> tuple[float, float, str, str, str]:
    reasons = {library: libraries.unavailable(library, device) for library in ("torch", "cupy")}
    library = next((library for library, reason in reasons.items() if not reason), None)
    if library is None:
        raise EDCoreError("; ".join(reasons.values()))
    module, native = importlib.import_module(library), libraries.native_device(library, device)
    xp = libraries.namespace(module)

    def synchronize() -> None:
        libraries.synchronize(library, native, None)

    with libraries.exact(library, native):  # no TF32
        a, b = (xp.asarray(array, device=native) for array in (matrix, source))
        product = median_seconds(lambda: a @ a, synchronize, repeats)
        copy = median_seconds(lambda: xp.asarray(b, copy=True), synchronize, repeats)
    by = "PyTorch" if library == "torch" else "CuPy"
    return product, copy, _gpu_name(module, native), by, by


def _gpu_name(module: Any, native: Any) -> str:
    if module.__name__ == "cupy":
        return str(module.cuda.runtime.getDeviceProperties(native.id)["name"].decode())
    return str(module.cuda.get_device_name(native)) if native.type == "cuda" else str(native)


def _at_once() -> None:
    """NumPy and Numba are never ahead of the clock."""


def median_seconds(work: Callable[[], object], synchronize: Callable[[], None], repeats: int) -> float:
    """Return the median seconds of some work, after two runs that do not count."""
    return median([_seconds(work, synchronize) for _ in range(2 + repeats)][2:])


def _seconds(work: Callable[[], object], synchronize: Callable[[], None]) -> float:
    synchronize()
    start = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - start
