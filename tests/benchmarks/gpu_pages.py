"""The pages of `gpu.py`: what every page says of the machine, and their writing, part by part."""

import contextlib
import importlib
import importlib.metadata
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from benchmarks.gpu_tests import LIBRARIES
from edcore.bench.workers import Task, Worker, WorkerError, worker_pool
from edcore.dispatch import registry
from edcore.environment import Environment
from edcore.files.atomic import write_atomically

PACKAGES = ("numpy", "cupy", "numba", "numba_cuda", "cuda.core", "cuda.bindings", "torch", "jax")
LOOKING = 60  # seconds to look for the device, and for nvidia-smi, at most

Reached: TypeAlias = dict[str, tuple[str, str]]
"""For each library why it does not reach the device, and its CUDA version."""


def looked(device: str) -> Reached:
    """Return the result of `look` for each library, from processes of their own, or why there is none."""
    found, end = {}, time.monotonic() + LOOKING
    with worker_pool() as pool:
        for name in LIBRARIES:
            pool.append(Worker(look, name, device))
        for name, worker in zip(LIBRARIES, pool, strict=True):
            try:
                found[name] = worker.wait_until_ready(max(end - time.monotonic(), 0.1))
            except WorkerError as error:
                found[name] = str(error), "–"
    return found


def look(library: str, device: str) -> tuple[Task, tuple[str, str]]:
    """Return why a library does not reach the device, and its CUDA version. This runs in a worker."""
    why = registry.probe(registry.installed()[library], device).reason
    found = why, "–" if why or device == "cpu" else cuda_of(library)
    return (lambda: found), found


def cuda_of(library: str) -> str:
    """Return the version of the CUDA runtime that a library uses, or "–" if it does not say."""
    try:
        match library:
            case "torch":
                return importlib.import_module("torch").version.cuda or "–"
            case "cupy":
                version = importlib.import_module("cupy").cuda.runtime.runtimeGetVersion()
                return f"{version // 1000}.{version % 1000 // 10}"
            case "numba":
                compiler = importlib.import_module("edcore_numba.gpu.compiler")
                return ".".join(map(str, compiler.cuda.runtime.get_version()))
    except Exception as error:  # a broken installation can raise anything, and is no reason to measure nothing
        return f"{type(error).__name__}: {error}"
    return "–"


def driver() -> str:
    """Return each GPU's name and driver version from nvidia-smi, or why they are not known."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=LOOKING, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return f"not known, as nvidia-smi failed ({error})"
    return "; ".join(listed.splitlines())


def versions() -> dict[str, str]:
    """Return the version of each of these packages, whichever distribution installed it."""
    found = dict.fromkeys(PACKAGES, "not installed")
    names = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(names.get(package, [package.replace(".", "-")])[0])
    return found


@dataclass
class Pages:
    """Where the pages of a run lie, and what each of them says first."""

    folder: Path
    device: str
    dry: bool
    driver: str
    compiler: str  # how CUDA's is found
    where: Environment
    packages: dict[str, str] = field(default_factory=versions)
    reached: Reached = field(default_factory=dict)  # empty until the device was looked for
    start: float = field(default_factory=time.monotonic)
    _sections: dict[str, dict[str, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def why_not(self, library: str) -> str:
        """Return why a library does not reach the device; empty if it does."""
        return self.reached[library][0]

    @property
    def no_device(self) -> str:
        """Why nothing can be measured; empty if a library reaches the device."""
        return "" if any(not why for why, _ in self.reached.values()) else f"no library reaches {self.device}"

    def data(self, name: str) -> Path:
        """Return the path of a file beside the pages."""
        (self.folder / "gpu").mkdir(exist_ok=True)
        return self.folder / "gpu" / name

    def put(self, page: str, title: str = "", text: str = "") -> None:
        """Write a page with this section, or with this text in its place; without a title, as far as it is known."""
        with self._lock:
            sections = self._sections.setdefault(page, {})
            if title:
                sections[title] = text
            dry = " (dry run)" if self.dry else ""
            parts = [self._head(page), *(f"## {title}{dry}\n\n{text}\n" for title, text in sections.items())]
            write_atomically(self.folder / f"{page}.md", "\n".join(parts).encode())

    def announce(self, line: str) -> None:
        """Print a line on the progress to stderr."""
        sys.stderr.write(f"{time.monotonic() - self.start:4.0f} s  {line}\n")  # in one piece: threads do it too
        sys.stderr.flush()

    def _head(self, page: str) -> str:
        where, stage = self.where, page.removeprefix("gpu-")
        title = {"first": "First run", "bench": "Benchmark"}[stage]
        lines = [f"# {title} on {'the CPU (dry run)' if self.dry else 'a GPU'}", ""]
        if self.dry:
            lines += ["**All sizes are tiny, and no GPU took part: no figure on this page is a measurement.**", ""]
        lines += [
            f"`python tests/benchmarks/gpu.py --stage {stage}`, {where.date}, edcore {where.edcore}, commit "
            f"{where.commit or 'not known'}, after {(time.monotonic() - self.start) / 60:.1f} minutes.",
            "",
            f"- device, driver: {self.driver}",
            f"- host: {where.cpu}, {where.cores} cores, {where.system}, Python {where.python}",
            f"- packages: {', '.join(f'{name} {version}' for name, version in self.packages.items())}",
            f"- CUDA's compiler: {self.compiler}",
            "",
        ]
        if self.reached:
            lines += [f"| library | reaches {self.device} | its CUDA runtime |", "|---|---|---|"]
            for name, (why, cuda) in self.reached.items():
                lines.append(f"| {name} | {f'no: {in_cell(why)}' if why else 'yes'} | {cuda} |")
            lines.append("")
        return "\n".join(lines)


def in_cell(text: str) -> str:
    """Return a text as a cell of a table has it."""
    return " ".join(text.split()).replace("|", "\\|")
