"""Compile the CUDA kernels without a GPU, and print what each needs of a multiprocessor, as Markdown.

It takes NVVM and NVRTC, from a CUDA toolkit or from the packages of numba-cuda[cu13] and cupy-cuda13x, and ptxas and
nvdisasm of the same version, from the toolkit or from the packages of cuda-toolkit[nvcc,nvdisasm].
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import raw_kernels, sass
from benchmarks.cycle_model import H100, RTX_3070, Card, predicted
from benchmarks.sass import KINDS, Layer, disassembled, hidden_layer
from edcore import Network
from edcore_numba.gpu.tiles import FEW_BLOCKS, ROWS, Variant, forward_tile, update_tile

CAPABILITIES = ((9, 0), (7, 5))

ARTICLE, BATCH = Network(784, 32, depth=4096), 64
"""The article's network, and samples of a batch."""

LAYER_BYTES = (2 * ARTICLE.width) ** 2 * 4
"""Of a hidden layer's weights."""

PER_SAMPLE = 32
"""Products of a thread for a sample, in the kernels that update such a layer: it has 8 × 4 weights."""

FOR_ONE_WIDTH = ("forward", "trace", "step")
"""Kernels that are compiled for each width anew."""


@dataclass(frozen=True)
class Kernel:
    """A kernel as Python, the types of its arguments, and the threads of its blocks."""

    name: str
    function: Callable[..., Any]
    signature: tuple[Any, ...]
    threads: int
    rows: int = 0
    """Samples that a block takes through all layers, in a kernel that does so."""


@dataclass(frozen=True)
class Needs:
    """What ptxas says that a kernel needs."""

    registers: int
    shared: int
    stack: int
    spill_stores: int
    spill_loads: int
    code: bytes = field(repr=False)
    """The machine code, a cubin."""


@dataclass(frozen=True)
class Chain:
    """A compiled kernel whose blocks each take a few samples of the article's network through all layers."""

    name: str
    rows: int
    threads: int
    needs: Needs

    def layer(self, nvdisasm: str) -> Layer:
        """Return what a hidden layer takes."""
        (instructions,) = disassembled(self.needs.code, nvdisasm).values()
        return hidden_layer(instructions, self.rows * (2 * ARTICLE.width) ** 2 / self.threads)


def kernels(network: Network, floor: float | None = None, few: bool = False) -> Iterator[Kernel]:
    """Yield every kernel for networks of this width and kind; `few` for a batch that makes few blocks."""
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
        "update": (flat, flat, flat, table, learning, whole, whole, whole, whole, whole, real, real, real),
    }
    tile = forward_tile(cells, np.dtype(network.dtype).itemsize, few)
    # Not the cached ones: what they call is compiled once, for one compute capability.
    for name, kernel in forward_kernels.__wrapped__(tile, kind)._asdict().items():
        yield Kernel(name, kernel.py_func, signatures[name], tile.threads, tile.rows)
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
    """Return what ptxas says of the only kernel of some PTX."""
    (needs,) = assembled_kernels(ptx, capability, ptxas).values()
    return needs


def assembled_kernels(ptx: str, capability: tuple[int, int], ptxas: str) -> dict[str, Needs]:
    """Return what ptxas says of each kernel of some PTX."""
    with tempfile.TemporaryDirectory() as folder:
        source, cubin = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(ptx)
        architecture = f"-arch=sm_{capability[0]}{capability[1]}"
        command = [ptxas, "-v", architecture, str(source), "-o", str(cubin)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(f"{ptxas} refuses the kernel: {run.stderr.strip()}")
        code = cubin.read_bytes()
    patterns = {
        "registers": r"Used (\d+) registers",
        "shared": r"(\d+) bytes smem",
        "stack": r"(\d+) bytes stack frame",
        "spill_stores": r"(\d+) bytes spill stores",
        "spill_loads": r"(\d+) bytes spill loads",
    }
    _, *parts = re.split(r"Compiling entry function '([^']+)'", run.stderr)
    found = {}
    for name, said in zip(parts[::2], parts[1::2], strict=True):
        numbers = {key: re.search(pattern, said) for key, pattern in patterns.items()}
        found[name] = Needs(**{key: int(number[1]) if number else 0 for key, number in numbers.items()}, code=code)
    return found


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
    """Return where ptxas is: in the wheels of a CUDA toolkit, else on the PATH."""
    return _tool("ptxas")


def nvdisasm_path() -> str | None:
    """Return where nvdisasm is, in the same places."""
    return _tool("nvdisasm")


def _tool(name: str) -> str | None:
    """Return where a program of the CUDA toolkit is."""
    nvidia = importlib.util.find_spec("nvidia")
    folders = nvidia.submodule_search_locations if nvidia else None
    found = [path for folder in folders or () for path in sorted(Path(folder).glob(f"*/bin/{name}"))]
    return str(found[0]) if found else shutil.which(name)


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


def raw_chain(capability: tuple[int, int], ptxas: str) -> Chain:
    """Return CuPy's kernel that takes the article's network through its layers."""
    kernel = next(kernel for kernel in raw_kernels.kernels(ARTICLE, BATCH, capability) if kernel.name == "chain")
    needs = assembled(raw_kernels.compiled(kernel, capability), capability, ptxas)
    return Chain("CuPy, `chain`", kernel.rows, kernel.threads, needs)


def numba_chain(capability: tuple[int, int], ptxas: str) -> Chain:
    """Return the kernel of Numba that a training step of the article's network takes through its layers."""
    kernel = next(kernel for kernel in kernels(ARTICLE, few=-(-BATCH // ROWS) <= FEW_BLOCKS) if kernel.name == "trace")
    needs = assembled(compiled(kernel, capability), capability, ptxas)
    return Chain("Numba, `trace`", kernel.rows, kernel.threads, needs)


def print_layers(chains: dict[tuple[int, int], list[Chain]], nvdisasm: str) -> None:
    """Print what a hidden layer takes in each kernel, and the times that are predicted from that."""
    layers = {}
    columns = [kind for kind in KINDS if kind not in ("STS", "BAR")]  # few of them, and a page's width is limited
    print(f"| kernel | sm | samples | instructions | {' | '.join(columns)} | other | stalls |")
    print("|---|" + "---:|" * (len(columns) + 5))
    for capability, given in chains.items():
        for chain in given:
            layer = layers[capability, chain.name] = chain.layer(nvdisasm)
            shown = [layer.kinds[kind] for kind in columns]
            kinds = " | ".join(f"{count:g}" for count in (*shown, layer.instructions - sum(shown)))
            start = f"| {chain.name} | {capability[0]}{capability[1]} | {chain.rows} "
            print(f"{start}| {layer.instructions:g} | {kinds} | {layer.stalls:g} |")
    span = "{:.0f} … {:.0f}".format
    times, limits = [], []
    for card in (H100, RTX_3070):
        for chain in chains[card.capability]:
            blocks = -(-BATCH // chain.rows)
            made = predicted(layers[card.capability, chain.name], card, blocks, LAYER_BYTES)
            low, high = (cycles * ARTICLE.depth / card.clock * 1e3 for cycles in made.layer)
            start = f"| {chain.name} | {card.name} |"
            times.append(f"{start} {blocks} | {span(*made.layer)} | {low:.2f} … {high:.2f} |")
            least = f"{made.into_multiprocessor:.0f} | {made.shared_memory:.0f} | {span(*made.cache)}"
            limits.append(f"{start} {span(*made.chain)} | {least} | {made.memory_once:.0f} | {made.memory_each:.0f} |")
    print("\n| kernel | GPU | blocks | cycles a layer | forward pass, ms |\n|---|---|---:|---:|---:|", *times, sep="\n")
    print("\n| kernel | GPU | chain | into SM | shared | L2 | memory | not in step |")
    print("|---|---|" + "---:|" * 6, *limits, sep="\n")


def print_updates(ptxas: str, nvdisasm: str) -> None:
    """Print the least times of an update: to issue the products' instructions, and to move what changes."""
    print("\n| kernel | GPU | instructions a sample | issue, ms | memory, ms: all layers change | none changes |")
    print("|---|---|---:|---:|---:|---:|")
    for card in (H100, RTX_3070):
        raw = next(each for each in raw_kernels.kernels(ARTICLE, BATCH, card.capability) if each.name == "update")
        numba = next(each for each in kernels(ARTICLE) if each.name.startswith("update"))
        for library, ptx in (
            ("CuPy", raw_kernels.compiled(raw, card.capability)),
            ("Numba", compiled(numba, card.capability)),
        ):
            needs = next(iter(assembled_kernels(ptx, card.capability, ptxas).values()))
            found = disassembled(needs.code, nvdisasm)
            instructions = next(each for name, each in found.items() if "update" in name)
            loop = sass.innermost(instructions, PER_SAMPLE).instructions
            issue, *memory = (seconds * 1e3 for seconds in update_seconds(loop, card))
            times = f"{issue:.3f} | {memory[0]:.3f} | {memory[1]:.3f}"
            print(f"| {library}, `update` | {card.name} | {loop:g} | {times} |")


def update_seconds(instructions: float, card: Card) -> tuple[float, float, float]:
    """Return the least seconds of an update: of issuing, of memory where all layers change, and where none does."""
    warps = 4 * ARTICLE.depth  # a block of four for each layer
    issue = warps * BATCH * instructions / (4 * card.multiprocessors * card.clock)
    weights, activities = ARTICLE.depth * LAYER_BYTES, ARTICLE.depth * BATCH * 2 * ARTICLE.width * 4
    return issue, (2 * weights + activities) / card.memory, activities / card.memory


def print_resources(ptxas: str) -> None:
    """Print what ptxas says of each kernel."""
    print("\n| kernel | dtype | width | capability | threads | registers | shared bytes | stack | spills |")
    print("|---|---|---:|---|---:|---:|---:|---:|---:|")
    for capability in raw_kernels.GPUS:
        for dtype in ("float32", "float64"):
            for width in (32, 8, 128) if capability == CAPABILITIES[0] else (32,):
                network = Network(64, width, depth=16, dtype=dtype)
                for raw in raw_kernels.kernels(network, BATCH, capability):
                    needs = assembled_kernels(raw_kernels.compiled(raw, capability), capability, ptxas)[raw.name]
                    _print_needs(f"CuPy, `{raw.name}`", network, capability, raw.threads, needs)
    for capability in CAPABILITIES:
        for dtype in ("float32", "float64"):
            for width in (32, 17, 64, 512) if capability == CAPABILITIES[0] else (32,):
                network = Network(1, width, dtype=dtype)
                for kernel in kernels(network):
                    if width == 32 or kernel.name in FOR_ONE_WIDTH:
                        needs = assembled(compiled(kernel, capability), capability, ptxas)
                        _print_needs(f"Numba, `{kernel.name}`", network, capability, kernel.threads, needs)


def _print_needs(name: str, network: Network, capability: tuple[int, int], threads: int, needs: Needs) -> None:
    spills = needs.spill_stores + needs.spill_loads
    where = f"{network.dtype} | {network.width} | {'.'.join(map(str, capability))}"
    print(f"| {name} | {where} | {threads} | {needs.registers} | {needs.shared} | {needs.stack} | {spills} |")


def main() -> None:
    """Print the tables."""
    ptxas, nvdisasm = ptxas_path(), nvdisasm_path()
    missing = "" if ptxas and nvdisasm else "ptxas or nvdisasm is not here"
    if reason := why_not() or raw_kernels.why_not() or missing:
        raise SystemExit(reason)
    version = re.search(r"V([\d.]+)", subprocess.run([ptxas, "--version"], capture_output=True, text=True).stdout)[1]
    packages = [name for name in ("numba", "numba-cuda") if importlib.util.find_spec(name.replace("-", "_"))]
    numba = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(
        f"{datetime.datetime.now(datetime.UTC).date()}, commit {commit}, {numba}, NVRTC and ptxas {version}, "
        f"Python {platform.python_version()}. Compiled, not run.\n"
    )
    chains = {
        capability: [raw_chain(capability, ptxas), numba_chain(capability, ptxas)] for capability in raw_kernels.GPUS
    }
    print_layers(chains, nvdisasm)
    print_updates(ptxas, nvdisasm)
    print_resources(ptxas)


if __name__ == "__main__":
    main()
