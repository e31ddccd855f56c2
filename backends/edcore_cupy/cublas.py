"""cuBLAS's batched product, called through ctypes, so that a CUDA graph can record it.

CuPy (14) refuses all calls of cuBLAS on a stream that is captured into a graph, though cuBLAS allows them. So the one
function that is needed is called here, on CuPy's own handle, from the library that CuPy has loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from edcore.arrays import Array

NORMAL, TRANSPOSED = 0, 1
TF32 = 3
"""cuBLAS's number for products of float32 by tensor cores, which read TF32 of their operands."""

MOST = 65535
"""Products in one call at most: a grid of CUDA has no more blocks in its third direction."""

FUNCTIONS = {
    "float32": ("cublasSgemmStridedBatched", ctypes.c_float),
    "float64": ("cublasDgemmStridedBatched", ctypes.c_double),
}

HOPPER, LARGE, SMALL = 90, 32 * 2**20, 4 * 2**20
"""From this compute capability on, NVIDIA advises a large workspace, before it a small one, in bytes."""


class Workspace(NamedTuple):
    """Memory of a device for cuBLAS."""

    memory: Any  # holds it
    address: int
    size: int


def load(cupy: Any) -> Product:
    """Return the product of the cuBLAS that CuPy uses; the finder's errors pass through if it finds none."""
    from cuda.pathfinder import load_nvidia_dynamic_lib  # CuPy finds it in the same way

    library = ctypes.CDLL(load_nvidia_dynamic_lib("cublas").abs_path)

    def current() -> tuple[int, int]:
        # CuPy has one handle for each thread and device.
        return cupy.cuda.device.get_cublas_handle(), cupy.cuda.get_current_stream().ptr

    def allocate() -> Workspace:
        size = LARGE if int(cupy.cuda.Device().compute_capability) >= HOPPER else SMALL
        memory = cupy.cuda.alloc(size)
        return Workspace(memory, int(memory.ptr), size)

    return Product(library, current, lambda array: int(array.data.ptr), allocate)


class Product:
    """``product(a, b, beta, out)`` computes out = a @ b + beta · out, of matrices or of stacks of them.

    It needs the library, its current handle and stream, the address of an array, and memory for a workspace. All
    products of a device share that, also those of recorded graphs, so each has to follow the one before.
    """

    def __init__(
        self,
        library: Any,
        current: Callable[[], tuple[int, int]],
        address: Callable[[Array], int],
        allocate: Callable[[], Workspace],
        most: int = MOST,
    ) -> None:
        self._library, self._current, self._address, self._allocate = library, current, address, allocate
        self._most = most
        self._handle: Any = None
        self._workspace: Workspace | None = None
        self._set_workspace = getattr(library, "cublasSetWorkspace_v2", None)  # which older ones lack

    def prepare(self) -> None:
        """Let the products that follow work on this thread's current stream.

        To be called once a pass, as CuPy sets the stream of the same handle for products of its own.
        """
        handle, stream = map(ctypes.c_void_p, self._current())
        _check("cublasSetStream_v2", self._library.cublasSetStream_v2(handle, stream))
        if self._set_workspace is not None:
            # After the stream, with which the library takes back its own: on a stream that is recorded it would make
            # memory a part of each graph.
            if self._workspace is None:
                self._workspace = self._allocate()
            address, size = ctypes.c_void_p(self._workspace.address), ctypes.c_size_t(self._workspace.size)
            _check("cublasSetWorkspace_v2", self._set_workspace(handle, address, size))
        self._handle = handle

    @contextlib.contextmanager
    def tf32(self) -> Iterator[None]:
        """Let the products in a block read TF32 of their operands. The mode is that of this thread's handle."""
        before = ctypes.c_int()
        _check("cublasGetMathMode", self._library.cublasGetMathMode(self._handle, ctypes.byref(before)))
        _check("cublasSetMathMode", self._library.cublasSetMathMode(self._handle, ctypes.c_int(TF32)))
        try:
            yield
        finally:
            _check("cublasSetMathMode", self._library.cublasSetMathMode(self._handle, before))

    def __call__(self, a: Array, b: Array, beta: float, out: Array) -> None:
        """Compute the product."""
        if not out.size:
            return
        function, number = FUNCTIONS[out.dtype.name]
        rows, columns = out.shape[-2:]
        stack = 1
        for size in out.shape[:-2]:
            stack *= size
        (ta, la, sa), (tb, lb, sb), (to, lo, so) = _matrix(a), _matrix(b), _matrix(out)
        if to != NORMAL:
            raise ValueError(f"the rows of the result are not contiguous: shape {out.shape}, strides {out.strides}")
        step = out.dtype.itemsize
        for start in range(0, stack, self._most):
            # cuBLAS stores matrices by columns, so it sees the transpose of each: outᵀ = bᵀ aᵀ.
            status = getattr(self._library, function)(
                *(self._handle, ctypes.c_int(tb), ctypes.c_int(ta)),
                *(ctypes.c_int(columns), ctypes.c_int(rows), ctypes.c_int(a.shape[-1])),
                ctypes.byref(number(1)),
                *(ctypes.c_void_p(self._address(b) + start * sb * step), ctypes.c_int(lb), ctypes.c_longlong(sb)),
                *(ctypes.c_void_p(self._address(a) + start * sa * step), ctypes.c_int(la), ctypes.c_longlong(sa)),
                ctypes.byref(number(beta)),
                *(ctypes.c_void_p(self._address(out) + start * so * step), ctypes.c_int(lo), ctypes.c_longlong(so)),
                ctypes.c_int(min(self._most, stack - start)),
            )
            _check(function, status)


def _matrix(array: Array) -> tuple[int, int, int]:
    """Return a stack of matrices in cuBLAS's terms: transposed or not, its leading dimension, and its stride."""
    size = array.dtype.itemsize
    *outer, rows, columns = (stride // size for stride in array.strides)
    height, width = array.shape[-2:]
    stride = _one_stride(array.shape[:-2], outer)
    if width == 1 or columns == 1:
        return NORMAL, max(rows if height > 1 else 1, width), stride
    if height == 1 or rows == 1:
        return TRANSPOSED, max(columns, height), stride
    raise ValueError(f"neither rows nor columns are contiguous: shape {array.shape}, strides {array.strides}")


def _one_stride(shape: tuple[int, ...], strides: list[int]) -> int:
    """Return the stride from each matrix of a stack to the next."""
    axes = [(size, stride) for size, stride in zip(shape, strides, strict=True) if size > 1]
    for (_, stride), (inner, inner_stride) in itertools.pairwise(axes):
        if stride != inner * inner_stride:
            raise ValueError(f"the matrices are not evenly spaced: shape {shape}, strides {strides}")
    return axes[-1][1] if axes else 0


def _check(function: str, status: int) -> None:
    if status:
        raise RuntimeError(f"{function} failed with status {status}")
