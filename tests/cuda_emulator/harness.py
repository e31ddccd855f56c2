"""Kernels from PTX text on NumPy arrays, without libcuda: for the tests of the translator."""

from __future__ import annotations

import ctypes
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cuda_emulator.build import HERE, build, c_compiler


class _Kernel(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("run", ctypes.c_void_p),
        ("parameter_count", ctypes.c_uint32),
        ("parameters", ctypes.POINTER(ctypes.c_uint32 * 2)),
        *(
            (name, ctypes.c_uint32)
            for name in ("parameter_bytes", "static_shared", "dynamic_shared", "local", "max_threads")
        ),
    ]


class _Variable(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
        ("bytes", ctypes.c_uint64),
        ("constant", ctypes.c_int),
    ]


class _Library(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_uint32),
        ("kernel_count", ctypes.c_uint32),
        ("kernels", ctypes.POINTER(_Kernel)),
        ("variable_count", ctypes.c_uint32),
        ("variables", ctypes.POINTER(_Variable)),
        ("site_count", ctypes.c_uint32),
        ("sites", ctypes.POINTER(ctypes.c_char_p)),
    ]


class FaultError(Exception):
    """What a kernel has done wrong, and its instruction."""


class Kernels:
    """The kernels of a PTX text."""

    def __init__(self, ptx: str, folder: Path) -> None:
        self._runner = _runner(folder)
        self.library = _Library.in_dll(ctypes.CDLL(str(build(ptx, folder))), "emu_library")
        self.kernels = {each.name.decode(): each for each in self.library.kernels[: self.library.kernel_count]}
        self.variables = {each.name.decode(): each for each in self.library.variables[: self.library.variable_count]}

    def run(
        self, name: str, *arguments: Any, blocks: int = 1, threads: int = 1, dynamic: int = 0, memory: Any = ()
    ) -> None:
        """Run a kernel. An array is given by its address, a NumPy scalar or bytes by its bytes.

        The kernel may use the arrays among its arguments, those of `memory`, and the module's variables.
        """
        arrays = [*memory, *(each for each in arguments if isinstance(each, np.ndarray))]
        ranges = [(each.address, each.bytes) for each in self.variables.values()]
        ranges += [(each.ctypes.data, each.nbytes) for each in arrays]
        data = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                argument = np.uint64(argument.ctypes.data)
            data.append(
                ctypes.create_string_buffer(bytes(argument) if isinstance(argument, bytes) else argument.tobytes())
            )
        parameters = (ctypes.c_void_p * len(data))(*(ctypes.addressof(each) for each in data))
        known = (ctypes.c_uint64 * (2 * len(ranges) + 1))(*(number for pair in ranges for number in pair))
        site = ctypes.c_int()
        kernel = ctypes.byref(self.kernels[name])
        message = self._runner.run(kernel, blocks, threads, parameters, known, dynamic, ctypes.byref(site))
        if message is not None:
            raise FaultError(f"{message.decode()}: {self.library.sites[site.value].decode()}")


@cache
def _runner(folder: Path) -> Any:
    """Return harness.c, compiled."""
    path = folder / "harness.so"
    command = [c_compiler(), "-O1", "-fPIC", "-shared", f"-I{HERE}", str(HERE / "harness.c"), "-o", str(path)]
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(path))
    library.run.restype = ctypes.c_char_p
    return library
