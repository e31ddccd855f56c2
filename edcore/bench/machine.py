"""The machine's own speed, to compare with: its peak, its matrix product, its copying. Also the stopwatch."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_info

from edcore import arrays
from edcore.errors import EDCoreError


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of the product and of the copy."""

    side: int  # rows and columns of the square matrices; on the CPU also twice as many, and the faster product counts
    copied: int  # bytes, well above the caches
    repeats: int = 7  # timings, of which the median counts


CPU, GPU = Sizes(2048, 2**28), Sizes(8192, 2**30)

LIBRARIES = {"openblas": "OpenBLAS", "mkl": "MKL", "blis": "BLIS", "flexiblas": "FlexiBLAS"}
"""Names of BLAS, by those that threadpoolctl has."""

HOLDING = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_ENABLE_INSTRUCTIONS",
    "BLIS_ARCH_TYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_MAX_CPU_ISA",
    "XLA_FLAGS",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
)
"""Environment variables that make a library compute as on an older processor."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The speed of the machine: upper bounds for what a backend can reach."""

    device: str  # empty for the CPU
    flop_per_s: float  # floating-point operations a second of the matrix product
    product_by: str
    bytes_per_s: float  # bytes read plus bytes written a second, of a copy
    copy_by: str
    peak_per_s: float | None = None  # floating-point operations a second in registers; None on a GPU or without Numba
    peak_by: str = ""
    blas: str = ""  # of NumPy's product, with the kernel that it has chosen
    held_by: str = ""  # the environment variables of `HOLDING` that are set, with their values

    @property
    def warning(self) -> str:
        """A sentence, if variables may slow libraries down."""
        if not self.held_by:
            return ""
        return (
            f"Warning: {self.held_by} may hold libraries to older instructions than this processor has. Then they are "
            "slower than as shipped, and shares of NumPy's product are too large. Unset it to compare them."
        )


def measure(device: str, dtype: str, sizes: Sizes) -> Machine:
    """Return the speed of the device: by NumPy and Numba on the CPU, by PyTorch or CuPy elsewhere."""
    random = np.random.default_rng(0)
    matrix = random.random((sizes.side, sizes.side)).astype(dtype)
    source = random.random(sizes.copied // matrix.itemsize).astype(dtype)
    if arrays.device_type(device) == "cpu":
        return _measure_cpu(matrix, source, sizes.repeats)
    return _measure_gpu(device, matrix, source, sizes.repeats)


def _measure_cpu(matrix: npt.NDArray[Any], source: npt.NDArray[Any], repeats: int) -> Machine:
    # Two sizes, as many cores, or a cache of several levels, need a larger one to show their best.
    product = max(_product_speed(matrix, repeats), _product_speed(np.tile(matrix, (2, 2)), (repeats + 1) // 2))
    target = np.empty_like(source)
    found = partial(Machine, "", product, "NumPy", blas=_blas(), held_by=_held_by())
    try:
        import numba

        from edcore.bench.peak import measure_peak

        threads = numba.get_num_threads()
    except (ImportError, ValueError):  # it cannot start threads of the kind that NUMBA_THREADING_LAYER asks for
        copy = median_seconds(lambda: np.copyto(target, source), _no_wait, repeats)
        return found(2 * source.nbytes / copy, "NumPy on one thread")

    prange = numba.prange

    # NumPy copies on one thread only, which does not fill the memory bus.
    @numba.njit(parallel=True)  # type: ignore[untyped-decorator]
    def in_parallel(target: npt.NDArray[Any], source: npt.NDArray[Any]) -> None:
        for i in prange(len(source)):
            target[i] = source[i]

    copy = median_seconds(lambda: in_parallel(target, source), _no_wait, repeats)
    # The shortest time counts, as a bound that is exceeded in a quiet moment is none.
    peak, by = measure_peak(matrix.dtype.name, lambda work: min(seconds_of(work, _no_wait) for _ in range(2 + repeats)))
    return found(2 * source.nbytes / copy, f"Numba on {threads} threads", peak, by)


def _product_speed(matrix: npt.NDArray[Any], repeats: int) -> float:
    """Return the operations a second of NumPy's product of a square matrix with itself."""
    result = np.empty_like(matrix)
    seconds = median_seconds(lambda: np.matmul(matrix, matrix, out=result), _no_wait, repeats)
    return float(2 * len(matrix) ** 3 / seconds)


def _blas() -> str:
    """Return the BLAS of NumPy, with the kernel that it has chosen for this processor, if it says so."""
    found = [one for one in threadpool_info() if one["user_api"] == "blas"]
    found.sort(key=lambda one: "numpy" not in one["filepath"])  # SciPy may have loaded another one
    if not found:
        return str(np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"])
    name = found[0]["internal_api"]
    return f"{LIBRARIES.get(name, name)} {found[0].get('architecture', '')}".strip()


def _held_by() -> str:
    set_here = {name: value for name in HOLDING if (value := os.environ.get(name)) is not None}
    if "max_isa" not in set_here.get("XLA_FLAGS", ""):  # it has many other flags
        set_here.pop("XLA_FLAGS", None)
    return ", ".join(f"{name}={value}" for name, value in set_here.items())


def _measure_gpu(device: str, matrix: npt.NDArray[Any], source: npt.NDArray[Any], repeats: int) -> Machine:
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
    return Machine(_gpu_name(module, native), 2 * len(matrix) ** 3 / product, by, 2 * source.nbytes / copy, by)


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
