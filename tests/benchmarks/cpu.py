"""Time a training step of many shapes on the CPU in one table: is what `auto` takes the fastest, and how near the peak.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python tests/benchmarks/cpu.py > table.md

It needs Numba, PyTorch and JAX. Each shape is a run of `edcore bench` (contenders in turns, each in its process).
"""

import argparse
import sys

from edcore.bench.run import bench
from edcore.bench.setting import Setting
from edcore.bench.timings import milliseconds
from edcore.dispatch.choose import choose_backend, make_request

CONTENDERS = ("numba", "numpy", "torch", "jax", "torch-peer", "jax-peer")
SHAPES = (  # width, depth, batch, heads
    (32, 4096, 64, 1),
    (32, 64, 64, 1),
    (8, 4096, 64, 1),
    (32, 1024, 1, 1),
    (32, 256, 1024, 1),
    (128, 64, 64, 1),
    (128, 1, 256, 10),
    (256, 16, 64, 1),
    (512, 8, 256, 1),
    (512, 4, 1024, 1),
    (1024, 4, 64, 1),
    (1024, 4, 1024, 1),
    (100, 20, 100, 1),
    (384, 6, 32, 1),
)


def main() -> None:
    """Print the table in Markdown; progress goes to stderr."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats, rows, found, bounds = parser.parse_args().repeats, [], None, None
    for width, depth, batch, heads in SHAPES:
        setting = Setting(width=width, depth=depth, batch=batch, heads=heads, repeats=repeats)
        print(f"{width} × {depth} × {batch}, {heads} heads", file=sys.stderr)
        found = bench(CONTENDERS, setting, bounds=bounds)
        bounds = found.machine
        ms = {one.name: one.median("step") for one in found.measured}
        request = make_request("auto", None)
        chosen = choose_backend(request, setting.network, setting.learning_rule, batch=batch).info.name
        others = {name: seconds for name, seconds in ms.items() if name != chosen}
        best = min(others, key=others.get)
        shares = found.shares(next(one for one in found.measured if one.name == chosen))
        name = f"{width} × {depth} × {batch}" + (f", {heads} heads" if heads > 1 else "")
        times = [milliseconds(ms[one]) if one in ms else "–" for one in CONTENDERS]
        ratio = f"{ms[chosen] / others[best]:.2f} ({best})"
        rows.append([name, *times, chosen, ratio, *(f"{shares[one]:.0%}" for one in ("product", "peak"))])
    where = found.environment
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    print(f"{where.date[:10]}, {where.cpu}, {where.cores} cores, Python {where.python}, {versions}, ", end="")
    print(f"commit {where.commit}; the peak is {bounds.peak_per_s / 1e9:.0f} GFLOP/s in registers, ", end="")
    print(f"NumPy's product {bounds.flop_per_s / 1e9:.0f} GFLOP/s ({bounds.blas}). {bounds.warning}\n")
    columns = ["width × depth × batch", *CONTENDERS, "auto takes", "× the best other", "product", "peak"]
    marks = ["---", *["---:"] * len(CONTENDERS), "---", "---", "---:", "---:"]
    for cells in (columns, marks, *rows):
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
