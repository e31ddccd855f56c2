"""The stage "bench" of `gpu.py`: three settings, each with its JSON and its table, and the targets."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.gpu_pages import Pages
from edcore.bench.run import bench
from edcore.bench.setting import Setting
from edcore.bench.tables import markdown
from edcore.bench.timings import Benchmark, Timings
from edcore.dispatch import registry
from edcore.files.atomic import write_atomically

PAGE = "gpu-bench"
ARTICLE, WIDE, HEADS = "The article's size", "A wide network", "Many heads"
FILES = {ARTICLE: "article", HEADS: "heads", WIDE: "wide"}
PARTS = {ARTICLE: 0.42, HEADS: 0.5, WIDE: 1.0}
"""The settings in their order, each with its part of the time that is left."""

LEFT_OUT = {WIDE: ("article", "article-cupy")}
"""The article's program makes an array for each sample, which takes it seconds in a wide network."""

NO_TIME, NO_TURN = "no time left", "the run ended before its turn"


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
        HEADS: {"features": 784, "width": 128, "depth": 16, "heads": 10, "batch": 256, "repeats": 9},
        WIDE: {"features": 784, "width": 1024, "depth": 64, "batch": 1024, "repeats": 9},
    },
)

DRY_RUN = Plan(
    "cpu",
    ("numba", "numpy", "torch", "jax", "torch-peer", "torch-compile", "jax-peer", "article"),
    {
        ARTICLE: {"features": 8, "width": 4, "depth": 8, "batch": 4, "repeats": 2},
        HEADS: {"features": 8, "width": 4, "depth": 2, "heads": 3, "batch": 4, "repeats": 2},
        WIDE: {"features": 8, "width": 16, "depth": 2, "batch": 8, "repeats": 2},
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


def milliseconds(name: str) -> Callable[[Benchmark], float | str]:
    """Return a function that returns the milliseconds of this contender's step."""

    def figure(results: Benchmark) -> float | str:
        row = next((row for row in results.measured if row.name == name), None)
        return 1e3 * row.median("step") if row else f"{name} was not measured"

    return figure


def share_of_product(results: Benchmark) -> float | str:
    """Return how many percent of the device's matrix-product speed it reaches."""
    best = best_backend(results)
    if best is None:
        return "no backend was measured"
    shares = results.shares(best)
    return 100 * shares["product"] if shares else f"the device's own speed was not measured ({results.machine_reason})"


def times(name: str) -> Callable[[Benchmark], float | str]:
    """Return a function that returns how many times as fast as this contender the fastest backend is."""

    def figure(results: Benchmark) -> float | str:
        best, other = best_backend(results), next((row for row in results.measured if row.name == name), None)
        if best is None:
            return "no backend was measured"
        return other.median("step") / best.median("step") if other else f"{name} was not measured"

    return figure


TARGETS = (
    Target(ARTICLE, "a step of cupy takes at most 1.3 ms", milliseconds("cupy"), 1.3, True, "ms", "ms"),
    Target(ARTICLE, "a step of numba takes at most 2 ms", milliseconds("numba"), 2, True, "ms", "ms"),
    Target(ARTICLE, "at least 300 times as fast as article-cupy", times("article-cupy"), 300, False, "×", "×"),
    Target(WIDE, "at least 85 % of the product's speed", share_of_product, 85, False, "%", "percentage points"),
    Target(HEADS, "at least as fast as torch-peer", times("torch-peer"), 1, False, "×", "×"),
)


def run(plan: Plan, pages: Pages, end: float) -> None:
    """Measure each setting until the end of the time; JSON and page are written after each."""
    found: dict[str, Benchmark | str] = dict.fromkeys(plan.shapes, pages.no_device or NO_TURN)
    bounds = None
    show(pages, found)
    for title, part in PARTS.items() if not pages.no_device else ():
        seconds = part * (end - time.monotonic())
        if seconds <= 0:
            found[title] = NO_TIME
            show(pages, found)
            continue
        names = [name for name in plan.contenders if name not in LEFT_OUT.get(title, ())]
        try:
            setting = Setting(**plan.shapes[title], device=plan.device)
            result = replace(bench(names, setting, pages.announce, seconds, bounds), environment=pages.where)
            bounds = result.machine  # the machine is the same in each setting
            found[title] = result
            text = json.dumps(result.as_dict(), indent=1) + "\n"
            write_atomically(pages.data(f"{FILES[title]}.json"), text.encode())
        except Exception as error:  # the other settings are measured all the same
            found[title] = f"{type(error).__name__}: {error}"
        show(pages, found)


def show(pages: Pages, found: dict[str, Benchmark | str]) -> None:
    """Write the page as far as it is known."""
    machines = [part.machine for part in found.values() if isinstance(part, Benchmark) and part.machine]
    speed = "Not measured."
    if machines:
        product, copy = machines[0].flop_per_s / 1e12, machines[0].bytes_per_s / 1e9
        speed = f"float32 matrix product: {product:.3g} TFLOP/s; copy: {copy:.4g} GB/s."
    pages.put(PAGE, "The device's own speed", speed)
    lines = ["Of the backend with the fastest step:", "", "| setting | target | found | |", "|---|---|---:|---|"]
    for target in TARGETS:
        sentence, figure, verdict = target.row(found[target.setting])
        verdict = "not judged in a dry run" if pages.dry else verdict
        lines.append(f"| {' | '.join((target.setting, sentence, figure, verdict))} |")
    pages.put(PAGE, "Targets", "\n".join(lines))
    for title, part in found.items():
        pages.put(PAGE, title, f"Not measured: {part}." if isinstance(part, str) else markdown(part))
