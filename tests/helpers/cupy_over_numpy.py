"""Stand-ins over NumPy for the parts of CuPy and cuBLAS that the backend uses: recorded streams, kernels, the product.

A kernel's code is valid C++ and valid Python, so the tests run the code that a GPU compiles. As on a GPU, work on a
stream that is recorded does not run; the graph runs it when it is launched, with the memory of the recording.
"""

import ctypes
from collections import Counter
from types import ModuleType, SimpleNamespace

import numpy as np

from tensor_cores import product_of_tf32

HANDLE, TF32 = 4711, 3


class Stream:
    current = None

    def __init__(self, non_blocking=False):
        self.ptr, self.non_blocking = id(self), non_blocking
        self.log, self.recording, self.waited_for, self._before = [], False, [], []

    def __enter__(self):
        self._before.append(Stream.current)
        Stream.current = self
        return self

    def __exit__(self, *error):
        Stream.current = self._before.pop()

    def begin_capture(self):
        assert self.non_blocking, "the default stream cannot be captured"
        self.log, self.recording = [], True

    def end_capture(self):
        self.recording = False
        return Graph(self.log)

    def record(self):
        return self

    def wait_event(self, event):
        self.waited_for.append(event)

    def do(self, work):
        if self.recording:
            self.log.append(work)
        else:
            work()


class Graph:
    launched = 0

    def __init__(self, log):
        self.log = log

    def launch(self):
        Graph.launched += 1
        for work in self.log:
            work()


class Array(np.ndarray):
    """Memory of a GPU: operations on it go to the stream, and a result without `out` needs new memory."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        def plain(values):
            return tuple(np.asarray(value) if isinstance(value, Array) else value for value in values)

        if not out:
            assert not Stream.current.recording, f"{ufunc.__name__} asks for memory while it is recorded"
            return getattr(ufunc, method)(*plain(inputs), **options)
        Stream.current.do(lambda: getattr(ufunc, method)(*plain(inputs), out=plain(out), **options))
        return out[0]


class ElementwiseKernel:
    def __init__(self, ins, outs, code, name):
        self.ins, self.outs = ([part.split()[1] for part in side.split(",")] for side in (ins, outs))
        statements = [statement.split("=", 1) for statement in code.split(";")]
        self.code = {target.strip(): compile(value.strip(), name, "eval") for target, value in statements}

    def __call__(self, *arguments):
        names = dict(zip([*self.ins, *self.outs], arguments, strict=True))
        dtypes = {np.asarray(value).dtype for value in arguments}
        assert len(dtypes) == 1, f"T would stand for {dtypes}"
        shape = np.broadcast_shapes(*(np.shape(value) for value in arguments))
        assert {names[target].shape for target in self.code} == {shape}

        def work():
            with np.errstate(over="ignore"):
                for target, code in self.code.items():
                    names[target][...] = eval(code, FUNCTIONS, names)

        Stream.current.do(work)


FUNCTIONS = {
    "exp": np.exp,
    "__float_as_uint": lambda x: np.ascontiguousarray(x).view(np.uint32),
    "__uint_as_float": lambda bits: bits.view(np.float32),
}
"""CUDA's, by which kernels compute."""


class CuBLAS:
    """The functions of cuBLAS, by their definition: column-major, with transposes, leading dimensions, strides."""

    def __init__(self):
        self.stream, self.workspace, self.called, self.in_graphs = None, None, Counter(), []
        self.mode, self.modes = 0, Counter()

    def cublasSetStream_v2(self, handle, stream):  # noqa: N802
        assert handle.value == HANDLE
        self.called["stream"] += 1
        self.stream, self.workspace = stream.value, None
        return 0

    def cublasSetWorkspace_v2(self, handle, address, size):  # noqa: N802
        assert handle.value == HANDLE
        self.called["workspace"] += 1
        self.workspace = address.value, size.value
        return 0

    def cublasGetMathMode(self, handle, mode):  # noqa: N802
        assert handle.value == HANDLE
        mode._obj.value = self.mode
        return 0

    def cublasSetMathMode(self, handle, mode):  # noqa: N802
        assert handle.value == HANDLE
        self.mode = mode.value
        return 0

    def cublasSgemmStridedBatched(self, *arguments):  # noqa: N802
        return self._product(np.float32, ctypes.c_float, *arguments)

    def cublasDgemmStridedBatched(self, *arguments):  # noqa: N802
        return self._product(np.float64, ctypes.c_double, *arguments)

    def _product(self, dtype, number, handle, ta, tb, m, n, k, alpha, a, la, sa, b, lb, sb, beta, c, lc, sc, count):
        assert handle.value == HANDLE
        assert self.stream == Stream.current.ptr
        self.called["product"] += 1
        self.modes[self.mode] += 1
        multiply = product_of_tf32 if self.mode == TF32 and dtype == np.float32 else np.matmul
        if Stream.current.recording:
            self.in_graphs.append(self.workspace)
        alpha, beta = (ctypes.cast(pointer, ctypes.POINTER(number))[0] for pointer in (alpha, beta))
        ta, tb, m, n, k, la, lb, lc, sa, sb, sc, count = (
            argument.value for argument in (ta, tb, m, n, k, la, lb, lc, sa, sb, sc, count)
        )
        if la < max(1, k if ta else m) or lb < max(1, n if tb else k) or lc < max(1, m):
            return 7  # CUBLAS_STATUS_INVALID_VALUE

        def columns(pointer, rows, columns, leading, stride):
            size = np.dtype(dtype).itemsize
            memory = ctypes.c_char * ((count - 1) * stride * size + ((columns - 1) * leading + rows) * size)
            flat = np.frombuffer(memory.from_address(pointer.value), dtype)
            strides = (stride * size, size, leading * size)
            return np.lib.stride_tricks.as_strided(flat, (count, rows, columns), strides)

        left = columns(a, k if ta else m, m if ta else k, la, sa)
        right = columns(b, n if tb else k, k if tb else n, lb, sb)
        out = columns(c, m, n, lc, sc)

        def work():
            product = multiply(left.swapaxes(1, 2) if ta else left, right.swapaxes(1, 2) if tb else right)
            out[...] = alpha * product + (beta * out if beta else 0)

        Stream.current.do(work)
        return 0


class Device(str):
    """A device as CuPy has it, and as NumPy's namespace takes it."""

    def __new__(cls, index):
        device = super().__new__(cls, "cpu")
        device.id = index
        return device


def address(array):
    return array.ctypes.data


def namespace(xp):
    """Return NumPy's namespace, with `Array` as new memory."""
    module = ModuleType(xp.__name__)
    module.__dict__.update(vars(xp))
    module.empty = lambda *arguments, **options: xp.empty(*arguments, **options).view(Array)
    return module


def make(monkeypatch):
    """Replace CuPy by it, and return it."""
    import importlib.machinery
    import sys

    module = ModuleType("cupy")
    module.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    for name in ("matmul", "exp", "divide", "tanh", "maximum", "minimum", "subtract", "multiply", "sign"):
        setattr(module, name, getattr(np, name))
    module.ElementwiseKernel = ElementwiseKernel
    module.zeros = np.zeros  # of which edcore takes the namespace
    module.empty = lambda shape, dtype: np.empty(shape, dtype).view(Array)
    module.cuda = SimpleNamespace(Stream=Stream, get_current_stream=lambda: Stream.current, Device=Device)
    monkeypatch.setattr(Stream, "current", Stream())
    monkeypatch.setattr(Graph, "launched", 0)
    monkeypatch.setitem(sys.modules, "cupy", module)
    for name in ("recorded", "tf32x3"):
        monkeypatch.delitem(sys.modules, f"edcore_cupy.{name}", raising=False)
    return module
