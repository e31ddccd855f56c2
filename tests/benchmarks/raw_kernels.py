"""The CUDA C++ kernels of edcore_cupy, compiled for a GPU as CuPy would: neither a GPU nor its driver is needed."""

from collections.abc import Iterator
from dataclasses import dataclass

from edcore import Network, Rule
from edcore_cupy.layout import layout_of
from edcore_cupy.narrow import chain_tile
from edcore_cupy.programs import chain_macros, source, update_macros
from edcore_cupy.runs import plan, run_macros

GPUS = {(9, 0): (132, 227 * 1024), (8, 6): (46, 99 * 1024), (8, 0): (108, 163 * 1024), (7, 5): (46, 64 * 1024)}
"""Multiprocessors, and bytes of shared memory for a block at most: of H100, RTX 3070, A100 and RTX 2080."""


@dataclass(frozen=True)
class RawKernel:
    """A kernel: what NVRTC is given for it, the threads of its blocks, and the samples that a block takes at once."""

    name: str
    code: str
    options: tuple[str, ...]
    threads: int
    rows: int = 0


def kernels(network: Network, batch: int, capability: tuple[int, int], rule: Rule | None = None) -> Iterator[RawKernel]:
    """Yield the kernels of training steps and of whole runs, with the sizes that they have on one of `GPUS`."""
    rule, layout = rule or Rule(), layout_of(network)
    tile = chain_tile(network.heads, batch, network.n_bias, layout, *GPUS[capability])
    options = chain_macros(network, layout, tile.rows, tile.slots)
    yield RawKernel("chain", source("chain"), options, 2 * layout.padded, tile.rows)
    yield RawKernel("update", source("update"), update_macros(network, rule, layout), layout.update_threads)
    _, most_shared = GPUS[capability]
    if own := plan(network, batch, most_shared):
        options = run_macros(network, rule, layout, own)
        yield RawKernel("run", source("run"), options, own.threads, own.rows)


def why_not() -> str:
    """Return why CUDA C++ becomes no PTX here, or an empty string where it does."""
    try:
        compiled(RawKernel("nothing", 'extern "C" __global__ void nothing() {}', (), 1), (7, 5))
    except Exception as error:
        return f"NVRTC makes no PTX here: {' '.join(str(error).split())}"
    return ""


def compiled(kernel: RawKernel, capability: tuple[int, int]) -> str:
    """Return the PTX that NVRTC makes with the options that CuPy adds."""
    from cuda.bindings import nvrtc

    target = f"-arch=compute_{capability[0]}{capability[1]}"
    flags = [*kernel.options, target, "--device-as-default-execution-space", "-ftz=true"]
    _, program = nvrtc.nvrtcCreateProgram(kernel.code.encode(), b"raw.cu", 0, [], [])
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
