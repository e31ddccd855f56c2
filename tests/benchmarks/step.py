"""Times one training step (forward with trace, update) of the backends beside the article's algorithm, in one run.

    python tests/benchmarks/step.py --depth 4096 --width 32 --batch 64

Each contender is warmed up once; then they take turns, so that a slow minute of the machine hits them all; the device
is synchronised before each reading of the clock. Printed are medians, and each step as a multiple of the first
contender's. The article's algorithm is edcore/bench/article.py: NumPy, with an outer product for every sample.
"""

import argparse
import datetime
import importlib.metadata
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np

import edcore
from edcore.bench import article


class Article:
    """The article's algorithm, with the calls of `edcore.ED`."""

    def __init__(self, arguments):
        self.network = article.Network(arguments.features, arguments.width, arguments.depth, 0.8, seed=0)
        for layer in self.network.layers:
            layer.weight, layer.bias = layer.weight.astype(arguments.dtype), layer.bias.astype(arguments.dtype)
        self.update = self.network.update

    def __call__(self, x):
        return self.network(x)

    def synchronize(self):
        """NumPy is never ahead of the clock."""


def contender(name, arguments):
    if name == "article":
        return Article(arguments)
    shape = (arguments.features, arguments.width, arguments.depth)
    return edcore.ED(*shape, dtype=arguments.dtype, seed=0, backend=name, device=arguments.device)


def timed(network, x, target):
    network.synchronize()
    start = time.perf_counter()
    outputs = network(x)
    network.synchronize()
    middle = time.perf_counter()
    network.update((target - outputs).astype(x.dtype))
    network.synchronize()
    return middle - start, time.perf_counter() - middle


def measured(arguments):
    random = np.random.default_rng(0)
    x = random.random((arguments.batch, arguments.features)).astype(arguments.dtype)
    target = random.integers(0, 2, arguments.batch).astype(arguments.dtype)
    networks = {name: contender(name, arguments) for name in arguments.contenders}
    for network in networks.values():
        timed(network, x, target)
    times = {name: [] for name in networks}
    for _ in range(arguments.repeats):
        for name, network in networks.items():
            times[name].append(timed(network, x, target))
    return times


def table(times):
    yield "| contender | forward ms | update ms | step ms | step, fastest … slowest | × the first |"
    yield "|---|---|---|---|---|---|"
    steps = {name: [forward + update for forward, update in pairs] for name, pairs in times.items()}
    first = statistics.median(next(iter(steps.values())))
    for name, pairs in times.items():
        forward, update = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
        step = 1e3 * statistics.median(steps[name])
        spread = f"{1e3 * min(steps[name]):.1f} … {1e3 * max(steps[name]):.1f}"
        yield f"| {name} | {forward:.1f} | {update:.1f} | {step:.1f} | {spread} | {step / 1e3 / first:.2f} |"


def versions(contenders):
    names = {"numpy", "edcore"} | {name for name in contenders if name not in ("article", "loop")}
    for name in sorted(names):
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} (version unknown)"


def commit():
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("depth", 4096), ("width", 32), ("batch", 64), ("features", 784), ("repeats", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--device")
    parser.add_argument("contenders", nargs="*", default=["numpy", "article"], help="'article' or names of backends")
    arguments = parser.parse_args()
    times = measured(arguments)
    print(f"depth {arguments.depth}, width {arguments.width}, batch {arguments.batch}, {arguments.features} features,")
    print(f"{arguments.dtype}, {arguments.repeats} repeats; {datetime.date.today()}, commit {commit()},")
    print(f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()},")
    print(f"{', '.join(versions(arguments.contenders))}\n")
    print("\n".join(table(times)))


if __name__ == "__main__":
    main()
