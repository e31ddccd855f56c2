"""How the kernels of narrow networks, of edcore_cupy, are handed to CuPy: no GPU is needed."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import edcore_cupy
from edcore_cupy.programs import Programs, source


@pytest.mark.parametrize("name", ["chain", "update", "run"])
def test_any_encoding_can_write_the_source(name):
    """CuPy writes it to a file in the encoding of the system, such as that of Windows."""
    assert source(name).isascii()


def test_no_code_is_lost_with_the_signs_that_ascii_lacks():
    kernels = [*(Path(edcore_cupy.__file__).parent / "kernels").glob("*.cu*")]
    assert kernels
    for kernel in kernels:
        for line in kernel.read_text(encoding="utf-8").splitlines():
            assert line.partition("//")[0].isascii(), f"{kernel.name}: {line}"


class Kernel:
    """A kernel as the driver has it: a launch may ask for no more shared memory than was allowed last."""

    def __init__(self):
        self.max_dynamic_shared_size_bytes = 48 * 1024

    def __call__(self, grid, block, arguments, *, shared_mem):
        assert shared_mem <= self.max_dynamic_shared_size_bytes


def test_backends_on_a_device_leave_each_other_the_shared_memory():
    """CuPy loads the same code once for all of them, so they have the same kernel."""
    kernel = Kernel()
    cupy = SimpleNamespace(RawModule=lambda **given: SimpleNamespace(get_function=lambda name: kernel))
    first, second = Programs(cupy), Programs(cupy)
    for programs, size in ((first, 100_000), (second, 60_000), (first, 100_000), (second, 120_000), (first, 110_000)):
        programs.launch("run", (), 1, 32, shared=size)
