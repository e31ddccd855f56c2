"""The CUDA C++ of edcore_cupy as it would be launched on a GPU, and its PTX: neither a GPU nor its driver is needed."""

import importlib.util
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from edcore import Network, Rule
from edcore.core.weights import initialise


@dataclass(frozen=True)
class Launch:
    """A launch of a kernel: what NVRTC is given for it, and its sizes."""

    name: str
    code: str
    options: tuple[str, ...]
    blocks: int
    threads: int
    shared: int

    @property
    def macros(self) -> dict[str, str]:
        """The macros that it is compiled for."""
        return dict(option.removeprefix("-D").split("=") for option in self.options if option.startswith("-D"))


GPUS = {(9, 0): (132, 227), (8, 6): (46, 99), (8, 0): (108, 163), (7, 5): (46, 64)}
"""Multiprocessors and KiB of shared memory for a block: of H100, RTX 3070, A100 and RTX 2080."""


def launches(network: Network, batch: int, capability: tuple[int, int], rule: Rule | None = None) -> dict[str, Launch]:
    """Return what a training step launches, for one of `GPUS`."""
    from edcore_cupy.narrow import Narrow

    found = {}

    def module(*, code, options):
        def get_function(name):
            def launch(grid, block, arguments, *, shared_mem):
                found[name] = Launch(name, code, options, grid[0], block[0], shared_mem)

            return launch

        return SimpleNamespace(get_function=lambda name: _Kernel(get_function(name)))

    cupy = SimpleNamespace(
        RawModule=module, empty=np.empty, zeros=np.zeros, asarray=np.asarray, asnumpy=np.asarray, uint64=np.uint64
    )
    multiprocessors, kilobytes = GPUS[capability]
    sizes = {"MultiProcessorCount": multiprocessors, "MaxSharedMemoryPerBlockOptin": kilobytes * 1024}
    narrow = Narrow(cupy, SimpleNamespace(attributes=sizes), record=None)  # graphs are for fit alone
    weights = narrow.pack(initialise(network, 0))
    x = np.zeros((batch, network.in_), network.dtype)
    outputs, record = narrow.trace(network, weights, x)
    narrow.update(network, rule or Rule(), weights, record, outputs)
    return found


class _Kernel:
    """A kernel that notes how it is launched."""

    max_dynamic_shared_size_bytes = 0

    def __init__(self, launch):
        self._launch = launch

    def __call__(self, *arguments, **sizes):
        self._launch(*arguments, **sizes)


def why_not() -> str:
    """Return why CUDA C++ becomes no PTX here, or an empty string where it does."""
    try:
        if importlib.util.find_spec("cuda.bindings.nvrtc") is None:
            return "NVRTC's bindings, of cuda-bindings, are not installed"
        compiled(Launch("nothing", 'extern "C" __global__ void nothing() {}', (), 1, 1, 0), (7, 5))
    except Exception as error:
        return f"NVRTC makes no PTX here: {' '.join(str(error).split())}"
    return ""


def compiled(launch: Launch, capability: tuple[int, int]) -> str:
    """Return the PTX that NVRTC makes with the options that CuPy adds."""
    from cuda.bindings import nvrtc

    target = f"-arch=compute_{capability[0]}{capability[1]}"
    flags = [*launch.options, target, "--device-as-default-execution-space", "-ftz=true"]
    _, program = nvrtc.nvrtcCreateProgram(launch.code.encode(), b"raw.cu", 0, [], [])
    (error,) = nvrtc.nvrtcCompileProgram(program, len(flags), [flag.encode() for flag in flags])
    if error:
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        log = bytes(size)
        nvrtc.nvrtcGetProgramLog(program, log)
        raise RuntimeError(f"NVRTC refuses the kernel: {log.rstrip(bytes(1)).decode()}")
    _, size = nvrtc.nvrtcGetPTXSize(program)
    ptx = bytes(size)
    nvrtc.nvrtcGetPTX(program, ptx)
    return ptx.rstrip(bytes(1)).decode()
