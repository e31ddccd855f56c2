"""One command for an NVIDIA GPU: run the tests that need one, measure, and write a page of both.

    python tests/benchmarks/gpu.py --minutes 8

It takes about that long: the page, docs/benchmarks/gpu.md, names the parts that found no time left. The exit code is 1
if a test failed, if the tests did not come to their end, or if no GPU was found. --dry-run is the same program on the
CPU, with tiny sizes: it shows that the program works, and measures nothing. It writes only where --output says.
"""

import argparse
import importlib
import importlib.metadata
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the processes that this one starts, too

from benchmarks import gpu_tests
from edcore.bench.run import bench
from edcore.bench.setting import Setting
from edcore.bench.tables import markdown
from edcore.bench.timings import Benchmark, Timings
from edcore.bench.workers import Task, Worker, WorkerError, worker_pool
from edcore.dispatch import registry
from edcore.environment import here

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks" / "gpu.md"
LIBRARIES = ("numba", "cupy", "torch", "jax")
PACKAGES = ("numpy", "cupy", "numba", "numba_cuda", "torch", "jax")
ARTICLE, WIDE, HEADS = "The article's size", "A wide network", "Many heads"
ENDING = 10  # seconds for processes to end, and for the page
LOOKING = 60  # seconds to look for the device, at most
OF_TESTS = 0.5  # their part of the time
NO_TIME = "no time left"


@dataclass(frozen=True)
class Plan:
    """The device, the contenders and the settings of a run."""

    device: str
    contenders: tuple[str, ...]
    shapes: dict[str, dict[str, Any]]


ON_GPU = Plan(
    "cuda",
    ("numba", "cupy", "torch", "jax", "torch-peer", "torch-compile", "jax-peer", "article-cupy"),
    {
        ARTICLE: {"features": 784, "width": 32, "depth": 4096, "batch": 64, "repeats": 9},
        WIDE: {"features": 784, "width": 1024, "depth": 64, "batch": 1024, "repeats": 9},
        HEADS: {"features": 784, "width": 128, "depth": 16, "heads": 10, "batch": 256, "repeats": 9},
    },
)

DRY_RUN = Plan(
    "cpu",
    ("numba", "numpy", "torch", "jax", "torch-peer", "torch-compile", "jax-peer", "article"),
    {
        ARTICLE: {"features": 8, "width": 4, "depth": 8, "batch": 4, "repeats": 2},
        WIDE: {"features": 8, "width": 16, "depth": 2, "batch": 8, "repeats": 2},
        HEADS: {"features": 8, "width": 4, "depth": 2, "heads": 3, "batch": 4, "repeats": 2},
    },
)


@dataclass(frozen=True)
class Target:
    """A figure that a setting should reach: at most this value, or at least."""

    setting: str
    sentence: str
    figure: Callable[[Benchmark], float | str]
    goal: float
    at_most: bool
    unit: str
    unit_of_gap: str

    def row(self, found: Benchmark | str) -> tuple[str, str, str]:
        """Return the target, the figure that was found and the verdict; `found` may be the reason for no figure."""
        figure = self.figure(found) if isinstance(found, Benchmark) else found
        if isinstance(figure, str):
            return self.sentence, "–", f"not measured: {figure}"
        gap = figure - self.goal if self.at_most else self.goal - figure
        verdict = "holds" if gap <= 0 else f"missed by {gap:.3g} {self.unit_of_gap}"
        return self.sentence, f"{figure:.3g} {self.unit}", verdict


def best_backend(results: Benchmark) -> Timings | None:
    """Return the backend with the fastest step, hand-written networks left out."""
    backends = [row for row in results.measured if row.name in registry.installed()]
    return min(backends, key=lambda row: row.median("step"), default=None)


def milliseconds_of_best(results: Benchmark) -> float | str:
    """Return the milliseconds of its step."""
    best = best_backend(results)
    return 1e3 * best.median("step") if best else "no backend was measured"


def share_of_product(results: Benchmark) -> float | str:
    """Return how many percent of the device's matrix-product speed it reaches."""
    best = best_backend(results)
    if best is None:
        return "no backend was measured"
    shares = results.shares(best)
    return 100 * shares[0] if shares else f"the device's own speed was not measured ({results.machine_reason})"


def times_torch(results: Benchmark) -> float | str:
    """Return how many times as fast as PyTorch, an operation at a time, it is."""
    best, peer = best_backend(results), next((row for row in results.measured if row.name == "torch-peer"), None)
    if best is None:
        return "no backend was measured"
    return peer.median("step") / best.median("step") if peer else "torch-peer was not measured"


TARGETS = (
    Target(ARTICLE, "a step takes at most 3 ms", milliseconds_of_best, 3, True, "ms", "ms"),
    Target(WIDE, "at least 70 % of the product's speed", share_of_product, 70, False, "%", "percentage points"),
    Target(HEADS, "at least 5 times as fast as torch-peer", times_torch, 5, False, "×", "×"),
)


def look(device: str) -> tuple[Task, dict[str, tuple[str, str]]]:
    """Return for each library why it does not reach the device, and its CUDA version. This runs in a worker."""
    reasons = {name: registry.probe(registry.installed()[name], device).reason for name in LIBRARIES}
    none = device != ON_GPU.device
    found = {name: (why, "–" if why or none else cuda_of(name)) for name, why in reasons.items()}
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


def looked(device: str) -> dict[str, tuple[str, str]] | str:
    """Return the result of `look`, or why it failed."""
    with worker_pool() as pool:
        pool.append(Worker(look, device))
        try:
            return pool[0].wait_until_ready(LOOKING)
        except WorkerError as error:
            return str(error)


def driver() -> str:
    """Return each GPU's name and driver version from nvidia-smi, or why they are not known."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=LOOKING, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return f"not known, as nvidia-smi failed ({error})"
    return "; ".join(listed.splitlines())


def measured(plan: Plan, end: float) -> dict[str, Benchmark | str]:
    """Return for each setting its benchmark, or why it failed; each gets its part of the time that is left."""
    found = {}
    for number, (title, shape) in enumerate(plan.shapes.items()):
        seconds = (end - time.monotonic()) / (len(plan.shapes) - number)
        try:
            setting = Setting(**shape, device=plan.device)
            found[title] = bench(plan.contenders, setting, announce, seconds) if seconds > 0 else NO_TIME
        except Exception as error:  # the other settings are measured all the same
            found[title] = f"{type(error).__name__}: {error}"
    return found


def announce(line: str) -> None:
    """Print a line on the progress to stderr."""
    print(line, file=sys.stderr, flush=True)


def page(
    plan: Plan,
    reached: dict[str, tuple[str, str]] | str,
    outcomes: gpu_tests.Outcomes,
    found: dict[str, Benchmark | str],
    minutes: float,
) -> str:
    """Return the page: the machine and the versions, the tests, a table for each setting, and the targets."""
    dry = " (dry run)" if plan is not ON_GPU else ""
    lines = [f"# Measured on {'the CPU' if dry else 'a GPU'}{dry}", ""]
    if dry:
        lines += ["**All sizes are tiny, and no GPU took part: no figure on this page is a measurement.**", ""]
    all_bounds = [part.machine for part in found.values() if isinstance(part, Benchmark) and part.machine]
    where, bounds = here(), all_bounds[0] if all_bounds else None
    lines += [
        f"`python tests/benchmarks/gpu.py`, {where.date}, edcore {where.edcore}, commit {where.commit or 'not known'}, "
        f"in {minutes:.1f} minutes.",
        "",
        f"- device, driver: {driver()}",
        f"- host: {where.cpu}, {where.cores} cores, {where.system}, Python {where.python}",
        f"- float32 matrix product: {f'{bounds.flop_per_s / 1e12:.3g} TFLOP/s' if bounds else 'not measured'}",
        f"- copy: {f'{bounds.bytes_per_s / 1e9:.4g} GB/s' if bounds else 'not measured'}",
        f"- packages: {', '.join(f'{name} {version}' for name, version in versions().items())}",
        "",
    ]
    if isinstance(reached, str):
        lines += [f"Which libraries reach {plan.device} is not known: {reached}.", ""]
    else:
        lines += [f"| library | reaches {plan.device} | its CUDA runtime |", "|---|---|---|"]
        for name, (why, cuda) in reached.items():
            reason = " ".join(why.split()).replace("|", "\\|")
            lines.append(f"| {name} | {f'no: {reason}' if reason else 'yes'} | {cuda} |")
    lines += ["", "## Tests that need a GPU", "", gpu_tests.markdown(outcomes)]
    for title, part in found.items():
        table = f"Not measured: {part}." if isinstance(part, str) else markdown(part)
        lines += ["", f"## {title}{dry}", "", table]
    lines += ["", f"## Targets{dry}", "", "Of the backend with the fastest step:", ""]
    lines += ["| setting | target | found | |", "|---|---|---:|---|"]
    for target in TARGETS:
        sentence, figure, verdict = target.row(found[target.setting])
        verdict = "not judged in a dry run" if dry else verdict
        lines.append(f"| {' | '.join((target.setting, sentence, figure, verdict))} |")
    return "\n".join(lines) + "\n"


def versions() -> dict[str, str]:
    """Return the version of each of these packages, whichever distribution installed it."""
    found, names = dict.fromkeys(PACKAGES, "not installed"), importlib.metadata.packages_distributions()
    for package in found.keys() & names.keys():
        found[package] = importlib.metadata.version(names[package][0])
    return found


def write(text: str, path: Path) -> None:
    """Write the file in one step: a reader finds the old page or the new one."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def main(arguments: list[str] | None = None) -> int:
    """Run all parts, write and print the page, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help=f"the page; {PAGE.relative_to(ROOT)} unless a dry run")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(arguments)
    plan, output = (DRY_RUN, options.output) if options.dry_run else (ON_GPU, options.output or PAGE)
    if not options.minutes > 0:
        parser.error(f"--minutes: given {options.minutes}; accepted: a number above 0")
    if output and not output.absolute().parent.is_dir():
        parser.error(f"--output: there is no folder {output.parent}")
    start = time.monotonic()
    end = start + 60 * options.minutes - ENDING
    announce(f"looking for {plan.device}")
    reached = looked(plan.device)
    none = "no GPU was found" if isinstance(reached, str) or all(why for why, _ in reached.values()) else ""
    announce("running the tests that need a GPU")
    outcomes = gpu_tests.run(max(OF_TESTS * (end - time.monotonic()), 0))
    found: dict[str, Benchmark | str] = dict.fromkeys(plan.shapes, none)
    if not none:
        found = measured(plan, end)
    text = page(plan, reached, outcomes, found, (time.monotonic() - start) / 60)
    if output:
        write(text, output)
    print(text)
    return 0 if outcomes.good and not none else 1


if __name__ == "__main__":
    sys.exit(main())
