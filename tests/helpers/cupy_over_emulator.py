"""A stand-in for CuPy over the CUDA emulator: raw modules, which NVRTC compiles, on arrays of the emulator's memory.

It takes no more than CuPy does, and refuses what CuPy lets pass though it is a mistake: an argument of another size
than its parameter, None, and an array that is not contiguous. What kernels do wrong, the emulator finds.
"""

import ctypes
import functools
import hashlib
import importlib
import importlib.machinery
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

import emulated_arrays as arrays
import emulated_device as device
from cuda_emulator.plugin import driver
from cuda_emulator.stand_in import folder
from emulated_arrays import ndarray
from emulated_device import Device, call, context, do, refuse_in_capture, state

NUMBERS = {np.dtype(code).type for code in "?bhilqBHILQefdFD"}


class CompileException(Exception):  # noqa: N818
    """NVRTC refuses a source: its log."""


class RawModule:
    """CUDA C++, compiled for the current device when a kernel of it is first used."""

    def __init__(self, *, code, options=(), backend="nvrtc", name_expressions=None):
        if not isinstance(code, str) or not isinstance(options, tuple) or backend != "nvrtc" or name_expressions:
            raise TypeError("code must be str, and options a tuple; the stand-in has NVRTC without name_expressions")
        self.code, self.options, self._handles = code, options, {}

    def get_function(self, name):
        """Return a kernel; a name that the module lacks is an error."""
        kernel = RawKernel(self, name)
        kernel.handle  # noqa: B018
        return kernel

    def compile(self, log_stream=None):
        """Compile it now."""
        return self._handle

    @property
    def _handle(self):
        index, capability = state.devices[-1], Device().compute_capability
        if (index, capability) not in self._handles:
            refuse_in_capture("compiling")
            handle = ctypes.c_void_p()
            with context():
                call("cuModuleLoadData", ctypes.byref(handle), ptx(self.code, self.options, capability).encode())
            self._handles[index, capability] = handle
        return self._handles[index, capability]


class RawKernel:
    """A kernel of a raw module."""

    ATTRIBUTES = {  # noqa: RUF012
        "max_threads_per_block": 0,
        "shared_size_bytes": 1,
        "local_size_bytes": 3,
        "num_regs": 4,
        "max_dynamic_shared_size_bytes": 8,
    }

    def __init__(self, module, name):
        self.module, self.name, self._handles = module, name, {}

    @property
    def handle(self):
        """The driver's function, with attributes of its own on each device."""
        module = self.module._handle
        if module.value not in self._handles:
            handle = ctypes.c_void_p()
            call("cuModuleGetFunction", ctypes.byref(handle), module, self.name.encode())
            self._handles[module.value] = handle
        return self._handles[module.value]

    @property
    def attributes(self):
        """The attributes of the function, by CuPy's names."""
        return {name: self._attribute(name) for name in self.ATTRIBUTES}

    def _attribute(self, name):
        value = ctypes.c_int()
        call("cuFuncGetAttribute", ctypes.byref(value), self.ATTRIBUTES[name], self.handle)
        return value.value

    @property
    def max_dynamic_shared_size_bytes(self):
        """The most dynamic shared memory that a launch may ask for."""
        return self._attribute("max_dynamic_shared_size_bytes")

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size):
        call("cuFuncSetAttribute", self.handle, 8, ctypes.c_int(size))

    @functools.cached_property
    def _sizes(self):
        """The sizes of the parameters."""
        sizes, offset, size = [], ctypes.c_size_t(), ctypes.c_size_t()
        while not driver.cuFuncGetParamInfo(
            self.handle, ctypes.c_size_t(len(sizes)), ctypes.byref(offset), ctypes.byref(size)
        ):
            sizes.append(size.value)
        return sizes

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        if not isinstance(grid, tuple) or not isinstance(block, tuple):
            raise TypeError("grid and block must be tuples")
        if len(args) != len(self._sizes):
            raise TypeError(f"{self.name} has {len(self._sizes)} parameters, and {len(args)} are given")
        data = [argument(value) for value in args]
        for i, (each, size, value) in enumerate(zip(data, self._sizes, args, strict=True)):
            if len(each) != size:
                raise TypeError(f"{self.name}: parameter {i} has {size} bytes, and {value!r} has {len(each)}")
        sizes = [
            *(int(max(1, size)) for size in (*grid, 1, 1)[:3]),
            *(int(max(1, size)) for size in (*block, 1, 1)[:3]),
        ]
        on, handle, index = state.streams[-1] if stream is None else stream, self.handle, state.devices[-1]

        def work():
            buffers = [ctypes.create_string_buffer(each, len(each)) for each in data]
            pointers = (ctypes.c_void_p * len(data))(*map(ctypes.addressof, buffers))
            with context(index):
                call("cuLaunchKernel", handle, *sizes, int(shared_mem), ctypes.c_void_p(on.ptr), pointers, None)

        do(work)


def argument(value):
    """Return the bytes that a kernel gets for a value."""
    if isinstance(value, ndarray):
        if not value._host.flags.c_contiguous:
            raise TypeError(f"an array that is not contiguous: shape {value.shape}, strides {value.strides}")
        return np.uint64(value.data.ptr).tobytes()
    if type(value) in NUMBERS:
        return value.tobytes()
    if isinstance(value, int):  # also a bool
        return np.int64(value).tobytes()
    if isinstance(value, float):
        return np.float64(value).tobytes()
    raise TypeError(f"Unsupported type {type(value)}")


def ptx(code, options, capability):
    """Return the PTX that NVRTC makes; it is kept beside the emulator's libraries."""
    from cuda.bindings import nvrtc

    standard = () if any("-std=" in each for each in options) else ("-std=c++17",)
    flags = [*options, *standard, f"-arch=sm_{capability}", "-ftz=true", "--device-as-default-execution-space"]
    text = "\n".join([str(nvrtc.nvrtcVersion()), *flags, code])
    kept = folder() / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.ptx"
    if not kept.exists():
        _, program = nvrtc.nvrtcCreateProgram(code.encode(), b"raw.cu", 0, [], [])
        (error,) = nvrtc.nvrtcCompileProgram(program, len(flags), [each.encode() for each in flags])
        if error:
            _, size = nvrtc.nvrtcGetProgramLogSize(program)
            log = bytes(size)
            nvrtc.nvrtcGetProgramLog(program, log)
            raise CompileException(log.decode())
        _, size = nvrtc.nvrtcGetPTXSize(program)
        made = bytes(size)
        nvrtc.nvrtcGetPTX(program, made)
        folder().mkdir(parents=True, exist_ok=True)
        kept.write_text(made.rstrip(b"\0").decode())
    return kept.read_text()


class ElementwiseKernel:
    """An element-wise kernel, whose code is valid Python too."""

    def __init__(self, ins, outs, code, name):
        self.names = [part.split()[1] for side in (ins, outs) for part in side.split(",")]
        self.target, expression = (side.strip() for side in code.split("=", 1))
        self.code = compile(expression, name, "eval")

    def __call__(self, *arguments):
        names = dict(zip(self.names, map(arrays.host, arguments), strict=True))

        def work():
            with np.errstate(all="ignore"):
                names[self.target][...] = eval(self.code, {"exp": np.exp}, names)

        do(work)


class Capability:
    """The compute capability of the emulator's devices: `value` sets it."""

    @property
    def value(self):
        """Such as 90."""
        with Device(0):
            return int(Device().compute_capability)

    @value.setter
    def value(self, capability):
        call("emulator_set_capability", capability)


@functools.cache
def _modules():
    """Return the modules of the stand-in, by name."""
    cupy = ModuleType("cupy")
    cupy.__version__ = "14.0.0"
    cupy.__dict__.update(arrays.functions(np))
    own = ("ndarray", "asarray", "array", "ascontiguousarray", "asnumpy", "empty", "full")
    cupy.__dict__.update({name: getattr(arrays, name) for name in own})
    cupy.zeros = lambda shape, dtype=float, order="C": arrays.full(shape, 0, dtype)
    cupy.ones = lambda shape, dtype=float, order="C": arrays.full(shape, 1, dtype)
    cupy.RawModule, cupy.ElementwiseKernel = RawModule, ElementwiseKernel
    cupy._core = SimpleNamespace(get_compute_type=lambda dtype: 1, set_compute_type=lambda dtype, kind: None)
    cupy.get_default_memory_pool = lambda: SimpleNamespace(free_bytes=lambda: 0, free_all_blocks=lambda: None)
    parts = {
        "linalg": arrays.functions(np.linalg),
        "fft": arrays.functions(np.fft),
        "cuda": {name: getattr(device, name) for name in ("Device", "Stream", "Event", "Graph")},
        "cuda.device": {"Device": Device},
        "cuda.runtime": {"getDeviceCount": lambda: 2, "getDevice": lambda: state.devices[-1]},
        "cuda.compiler": {"CompileException": CompileException},
        "cuda.driver": {"CUDADriverError": device.CUDADriverError},
    }
    parts["cuda"] |= {
        "get_current_stream": lambda: state.streams[-1],
        "get_elapsed_time": device.elapsed,
        "alloc": arrays.Memory,
    }
    modules = {"cupy": cupy}
    for name, members in parts.items():
        outer, _, inner = f"cupy.{name}".rpartition(".")
        module = modules[f"cupy.{name}"] = ModuleType(f"cupy.{name}")
        module.__dict__.update(members)
        setattr(modules[outer], inner, module)
    for name, module in modules.items():
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    return modules


def make(monkeypatch, capability=90):
    """Replace CuPy by it, and return it; its devices have this compute capability."""
    import array_api_compat

    monkeypatch.setattr(state, "devices", [0])
    monkeypatch.setattr(state, "all_streams", {})
    monkeypatch.setattr(Capability(), "value", capability)
    compat = [f"array_api_compat.cupy{part}" for part in ("", "._aliases", "._info", "._typing", ".linalg", ".fft")]
    package = Path(importlib.import_module("edcore_cupy").__file__).parent
    own = [*compat, "edcore_cupy", *(f"edcore_cupy.{path.stem}" for path in package.glob("[!_]*.py"))]
    for name in own:  # those that have the real one, now or after the test
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    for name, module in _modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(array_api_compat, "cupy", None, raising=False)  # which the import sets
    importlib.import_module("array_api_compat.cupy")
    return sys.modules["cupy"]
