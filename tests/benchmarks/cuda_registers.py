"""Compile the CUDA kernels without a GPU, and print what each needs of a multiprocessor, as Markdown.

It takes NVVM, from a CUDA toolkit or from the package numba-cuda[cu12] or numba-cuda[cu13], and ptxas of the same
version, from the toolkit or from the package nvidia-cuda-nvcc.
"""

import contextlib
import datetime
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
import tempfile
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edcore import Network
from edcore_numba.gpu.tiles import Variant, forward_tile, update_tile

CAPABILITIES = ((9, 0), (7, 5))

FOR_ONE_WIDTH = ("forward", "trace", "step")
"""Kernels that are compiled for each width anew."""


@dataclass(frozen=True)
class Kernel:
    """A kernel as Python, the types of its arguments, and the threads of its blocks."""

    name: str
    function: Callable[..., Any]
    signature: tuple[Any, ...]
    threads: int


@dataclass(frozen=True)
class Needs:
    """What ptxas says that a kernel needs."""

    registers: int
    shared: int
    stack: int
    spill_stores: int
    spill_loads: int


def kernels(network: Network, floor: float | None = None) -> Iterator[Kernel]:
    """Yield every kernel for networks of this width and kind."""
    import numba

    from edcore_numba.gpu.kernels_errors import SUM_THREADS, centre, error_sums
    from edcore_numba.gpu.kernels_forward import forward_kernels
    from edcore_numba.gpu.kernels_update import update_kernel

    kind, cells, real = Variant.of(network), 2 * network.width, getattr(numba, network.dtype)
    flat, table, whole, learning = real[::1], real[:, ::1], numba.int64, numba.uint8[::1]
    signatures = {
        "forward": (flat, table, table, whole, whole, whole, real),
        "trace": (flat, table, table, flat, whole, whole, whole, real),
        "step": (flat, table, table, whole[::1], learning, table, flat, whole, whole, whole, whole, real),
        "update": (flat, flat, table, learning, whole, whole, whole, whole, whole, real, real),
    }
    tile = forward_tile(cells, np.dtype(network.dtype).itemsize)
    # Not the cached ones: what they call is compiled once, for one compute capability.
    for name, kernel in forward_kernels.__wrapped__(tile, kind)._asdict().items():
        yield Kernel(name, kernel.py_func, signatures[name], tile.threads)
    tile = update_tile(cells)
    for split in (False, True) if network.outputs == 1 else (False,):
        kernel = update_kernel.__wrapped__(tile, kind, split, floor)
        name = f"update, {'split' if split else 'signed'}"
        yield Kernel(name, kernel.py_func, signatures["update"], tile.threads)
    kernel = error_sums.__wrapped__(network.outputs)
    yield Kernel("error_sums", kernel.py_func, (table, numba.float64[::1]), SUM_THREADS)
    yield Kernel("centre", centre.py_func, (table, table, whole, whole), SUM_THREADS)


def compiled(kernel: Kernel, capability: tuple[int, int]) -> str:
    """Return a kernel's PTX."""
    import numba

    from edcore_numba.gpu.compiler import cuda, fix_numpy

    fix_numpy()
    with _asked_for(capability):
        signature = numba.void(*kernel.signature)
        return cuda.compile(kernel.function, signature, device=False, cc=capability, abi="numba")[0]


def assembled(ptx: str, capability: tuple[int, int], ptxas: str) -> Needs:
    """Return what ptxas says of a kernel's PTX."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "kernel.ptx")
        source.write_text(ptx)
        architecture = f"-arch=sm_{capability[0]}{capability[1]}"
        command = [ptxas, "-v", architecture, str(source), "-o", str(Path(folder, "kernel.cubin"))]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{ptxas} refuses the kernel: {run.stderr.strip()}")
    patterns = {
        "registers": r"Used (\d+) registers",
        "shared": r"(\d+) bytes smem",
        "stack": r"(\d+) bytes stack frame",
        "spill_stores": r"(\d+) bytes spill stores",
        "spill_loads": r"(\d+) bytes spill loads",
    }
    return Needs(**{name: int(re.search(pattern, run.stderr)[1]) for name, pattern in patterns.items()})


def why_not() -> str:
    """Return why Numba makes no PTX here, or an empty string where it does."""
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed"
    from numba.core import config

    if config.ENABLE_CUDASIM:
        return "NUMBA_ENABLE_CUDASIM=1 puts a simulator in the place of the compiler"
    try:
        import numba

        from edcore_numba.gpu.compiler import cuda, fix_numpy

        fix_numpy()
        cuda.compile(lambda array: None, numba.void(numba.float32[::1]), device=False, cc=(9, 0), abi="numba")
    except Exception as error:
        return f"Numba makes no PTX here: {' '.join(str(error).split())}"
    return ""


def ptxas_path() -> str | None:
    """Return where ptxas is: in the wheels that Numba takes NVVM from, else on the PATH."""
    nvidia = importlib.util.find_spec("nvidia")
    folders = nvidia.submodule_search_locations if nvidia and importlib.util.find_spec("numba_cuda") else None
    found = [path for folder in folders or () for path in sorted(Path(folder).glob("*/bin/ptxas"))]
    return str(found[0]) if found else shutil.which("ptxas")


@contextlib.contextmanager
def _asked_for(capability: tuple[int, int]) -> Iterator[None]:
    """Compile device functions for this capability: Numba asks the current device for it, and there may be none."""
    from numba.cuda import dispatcher

    real = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=capability)
    try:
        yield
    finally:
        dispatcher.get_current_device = real


def main() -> None:
    """Print the table."""
    ptxas = ptxas_path()
    if reason := why_not() or ("" if ptxas else "ptxas is not here"):
        raise SystemExit(reason)
    version = re.search(r"V([\d.]+)", subprocess.run([ptxas, "--version"], capture_output=True, text=True).stdout)[1]
    packages = [name for name in ("numba", "numba-cuda") if importlib.util.find_spec(name.replace("-", "_"))]
    numba = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(
        f"{datetime.datetime.now(datetime.UTC).date()}, commit {commit}, {numba}, ptxas {version}, "
        f"Python {platform.python_version()}. Compiled, not run.\n"
    )
    print("| kernel | dtype | width | capability | threads | registers | shared bytes | stack | spills |")
    print("|---|---|---|---|---|---|---|---|---|")
    for capability in CAPABILITIES:
        for dtype in ("float32", "float64"):
            for width in (32, 17, 64, 512) if capability == CAPABILITIES[0] else (32,):
                for kernel in kernels(Network(1, width, dtype=dtype)):
                    if width != 32 and kernel.name not in FOR_ONE_WIDTH:
                        continue
                    needs = assembled(compiled(kernel, capability), capability, ptxas)
                    spills = needs.spill_stores + needs.spill_loads
                    print(
                        f"| {kernel.name} | {dtype} | {width} | {capability[0]}.{capability[1]} | {kernel.threads} "
                        f"| {needs.registers} | {needs.shared} | {needs.stack} | {spills} |"
                    )


if __name__ == "__main__":
    main()
