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

from edcore.bench.workers import Task
from edcore.dispatch import registry
from edcore.environment import here
from edcore.files.atomic import write_atomically

LIBRARIES = ("numba", "cupy", "torch", "jax")
PACKAGES = ("numpy", "cupy", "numba", "numba_cuda", "cuda.core", "cuda.bindings", "torch", "jax")
LOOKING = 60  # seconds that nvidia-smi may take

Reached: TypeAlias = dict[str, tuple[str, str]] | str
"""For each library why it does not reach the device, and its CUDA version; or why nothing is known."""


def look(device: str) -> tuple[Task, Reached]:
    """Return for each library why it does not reach the device, and its CUDA version. This runs in a worker."""
    reasons = {name: registry.probe(registry.installed()[name], device).reason for name in LIBRARIES}
    found = {name: (why, "–" if why or device == "cpu" else cuda_of(name)) for name, why in reasons.items()}
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
                return ".".join(map(str, importlib.import_module("numba.cuda").runtime.get_version()))
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
    driver: str
    device: str
    dry: bool
    told: str = ""  # what was done before the libraries were looked for
    reached: Reached = "it was not looked for"
    start: float = field(default_factory=time.monotonic)
    _sections: dict[str, dict[str, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def no_device(self) -> str:
        """Why no library reaches the device; empty if one does."""
        if isinstance(self.reached, str):
            return f"no {self.device} was found: {self.reached}"
        return "" if any(not why for why, _ in self.reached.values()) else f"no library reaches {self.device}"

    def data(self, name: str) -> Path:
        """Return the path of a file beside the pages."""
        (self.folder / "gpu").mkdir(exist_ok=True)
        return self.folder / "gpu" / name

    def put(self, page: str, title: str, text: str) -> None:
        """Write a page with this section, or with this text in its place."""
        with self._lock:
            sections = self._sections.setdefault(page, {})
            sections[title] = text
            dry = " (dry run)" if self.dry else ""
            parts = [self._head(page), *(f"## {title}{dry}\n\n{text}\n" for title, text in sections.items())]
            write_atomically(self.folder / f"{page}.md", "\n".join(parts).encode())

    def announce(self, line: str) -> None:
        """Print a line on the progress to stderr."""
        print(f"{time.monotonic() - self.start:4.0f} s  {line}", file=sys.stderr, flush=True)

    def _head(self, page: str) -> str:
        where = here()
        stage = page.removeprefix("gpu-")
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
            f"- packages: {', '.join(f'{name} {version}' for name, version in versions().items())}",
            *([f"- {self.told}"] if self.told else []),
            "",
        ]
        if isinstance(self.reached, str):
            lines += [f"Which libraries reach {self.device} is not known: {self.reached}.", ""]
        else:
            lines += [f"| library | reaches {self.device} | its CUDA runtime |", "|---|---|---|"]
            for name, (why, cuda) in self.reached.items():
                lines.append(f"| {name} | {f'no: {in_cell(why)}' if why else 'yes'} | {cuda} |")
            lines.append("")
        return "\n".join(lines)


def in_cell(text: str) -> str:
    """Return a text as a cell of a table has it."""
    return " ".join(text.split()).replace("|", "\\|")
