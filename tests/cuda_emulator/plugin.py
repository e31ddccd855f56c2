"""Numba's CUDA kernels on the CPU: puts the stand-in libcuda under numba-cuda, and fails each test with its findings.

tests/conftest.py loads it where CUDA_EMULATOR is 1, before numba.cuda is first imported.
"""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from cuda_emulator.build import build
from cuda_emulator.stand_in import folder, stand_in, why_not

if reason := why_not():
    raise pytest.UsageError(f"CUDA_EMULATOR is 1, but {reason}")

# It has the name libcuda.so.1, so whoever asks for that gets it from now on, also where there is a real one.
driver = ctypes.CDLL(str(stand_in()))
driver.emulator_findings.restype = ctypes.c_char_p
if not hasattr(ctypes.CDLL("libcuda.so.1"), "emulator_findings"):
    raise pytest.UsageError("CUDA_EMULATOR is 1, but another libcuda.so.1 is loaded already")


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t)
def compile_ptx(ptx: bytes, answer: Any, size: int) -> int:
    """Give the driver the path of a PTX text's kernels, or why there is none."""
    try:
        words, failed = str(build(ptx.decode(), folder())), 0
    except Exception as error:
        words, failed = f"the emulator has no kernels for this PTX: {error}", 1
    ctypes.memmove(answer, words.encode()[: size - 1] + b"\0", min(len(words.encode()), size - 1) + 1)
    return failed


driver.emulator_set_compiler(compile_ptx)


def same_in_each_process(ptx: str, name: str) -> tuple[str, str]:
    """Return a kernel's text and name without what depends on the other kernels of the process: its library is kept."""
    numbers: dict[str, int] = {}

    def renumber(match: re.Match[str]) -> str:
        number = f"v{numbers.setdefault(match[1], len(numbers))}"
        return f"B{len(number)}{number}"

    # Each function has a number in its name, and a variable that no kernel uses; these stand in any order.
    ptx = re.sub(r"^\.common .*NumbaEnv.*;$", "", ptx, flags=re.MULTILINE)
    return re.sub(r"B\d+v(\d+)", renumber, ptx), re.sub(r"B\d+v(\d+)", renumber, name)


def give_ptx_to_the_driver() -> None:
    """Let numba-cuda load PTX; else it makes machine code of it, with nvJitLink."""
    from edcore_numba.gpu.compiler import fix_numpy  # which imports numba.cuda without its warnings

    fix_numpy()
    from cuda.core import ObjectCode
    from numba.cuda.codegen import CUDACodeLibrary

    def get_cubin(self: Any, cc: Any = None) -> Any:
        ptx, name = same_in_each_process("\n".join(self.get_asm_strs(cc=cc)), self._entry_name)
        return ObjectCode.from_ptx(ptx.encode(), symbol_mapping={self._entry_name: name.encode()})

    CUDACodeLibrary.get_cubin = get_cubin


if find_spec("numba_cuda"):
    give_ptx_to_the_driver()
    gc.freeze()  # a compilation makes so many objects that looking through Numba's own each time takes long


MOST_SHOWN = 10
"""Findings that are shown of a test: where one instruction is wrong, many often are."""


def findings() -> list[str]:
    """Return what the emulator has found since the last call; a context that is dead works again."""
    driver.emulator_revive()
    return driver.emulator_findings().decode().splitlines()


def _check(when: str) -> None:
    if found := findings():
        more = [f"… and {len(found) - MOST_SHOWN} more"] if len(found) > MOST_SHOWN else []
        words = [f"The CUDA emulator has found, {when}:", *found[:MOST_SHOWN], *more]
        pytest.fail("\n".join(words), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail the test in which something was found."""
    try:
        yield
    except BaseException as error:
        for finding in findings():
            error.add_note(f"CUDA emulator: {finding}")
        raise
    _check("in this test")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fail the test after whose end something was found."""
    yield
    _check("after this test")
