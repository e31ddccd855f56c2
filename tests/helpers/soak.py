"""A program that trains for very long, and fails if memory grows.

    python tests/helpers/soak.py --steps 100000 --backend numpy numba torch jax

Each backend has a process of its own, in which steps, calls with updates, fits, predictions and checkpoints take turns
on small networks. It prints one JSON object for each.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import psutil

import edcore
from edcore import ED, Rule, io

SAMPLES = 200
"""Readings of the memory, evenly over the run."""

MOST = 4 * 2**20
"""Bytes by which memory may grow from the end of the first quarter on: 40 for each of 100,000 steps."""


def grown(readings):
    """Return by how many bytes memory has grown over the last three quarters: the median of their end and beginning."""
    part = max(1, len(readings) // 10)
    start = len(readings) // 4
    return int(median(readings[-part:]) - median(readings[start : start + part]))


def soak(backend, steps, folder, leak=0):
    """Take so many steps, each of which leaks so many bytes; return readings of the memory and what else was done."""
    data = edcore.datasets.parity(4)
    x, y = data.x_train, data.y_train
    shape = {"in_": 4, "hidden_width": 8, "hidden_depth": 2, "seed": 1, "backend": backend}
    networks = [ED(**shape), ED(**shape, rule="split", activation="relu", rms=True)]
    networks.append(ED(**shape, rule=Rule("split", alpha=0.01, alpha_output=0.01), activation="relu"))  # is looked at
    leaked = []
    process, readings, done = psutil.Process(), [], dict.fromkeys(("steps", "fits", "predictions", "checkpoints"), 0)
    every = max(1, steps // SAMPLES)
    for step in range(steps):
        ed = networks[step % len(networks)]
        if step % 2:
            outputs = ed.step(x, y)
        else:
            outputs = ed(x)
            ed.update(y - np.asarray(outputs))
        done["steps"] += 1
        if leak:
            leaked.append(b"x" * leak)
        if step % 10 == 9:
            ed.predict(x)
            done["predictions"] += 1
        if step % 50 == 49:
            ed.fit(x, y, epochs=2, batch_size=5)
            done["fits"] += 1
        if step % 1000 == 999:
            io.save(ed, folder / "net", overwrite=True)
            networks[step % len(networks)] = io.load(folder / "net", backend=backend)
            done["checkpoints"] += 1
        if step % every == 0:
            readings.append(process.memory_info().rss)
    return readings, done


def main():
    """Soak each backend, and end with 1 if one of them has grown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--backend", nargs="+", default=["numpy", "numba"])
    parser.add_argument("--here", action="store_true", help="in this process, and for one backend")
    parser.add_argument("--leak", type=int, default=0, metavar="BYTES", help="that each step leaks, to see it found")
    options = parser.parse_args()
    if not options.here:
        how = ["--steps", str(options.steps), "--leak", str(options.leak), "--here", "--backend"]
        command = [sys.executable, __file__, *how]
        sys.exit(max(subprocess.run([*command, backend], check=False).returncode for backend in options.backend))
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        readings, done = soak(options.backend[0], options.steps, Path(folder), options.leak)
    growth = grown(readings)
    told = {"backend": options.backend[0], **done, "seconds": round(time.monotonic() - start, 1)}
    memory = {"first": readings[0], "quarter": readings[len(readings) // 4], "last": readings[-1], "grown": growth}
    print(json.dumps(told | memory | {"most": MOST}), flush=True)
    sys.exit(growth > MOST)


if __name__ == "__main__":
    main()
