"""Training from files: the time that prefetching hides, and memory beside the size of the data.

    python tests/benchmarks/streaming.py time --folder DIR
    python tests/benchmarks/streaming.py memory --folder DIR --gigabytes 0.25 1 3 --limit 1.5

``time`` goes round by round through all ways to learn one epoch, so that other load on the machine meets them alike.
Cold files are those whose pages the system was asked to drop (`posix_fadvise`). ``memory`` learns files of several
sizes, each in a process with a limit in gigabytes: of address space for Zarr (as under ``ulimit -v``), of data for a
memmap, which itself takes address space (as under ``ulimit -d``).
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zarr

import edcore
from edcore import streaming

FEATURES, GIGABYTE = 784, 10**9


def scaled(rows):
    return rows / np.float32(255)


def made(folder, kind, rows):
    """Make a file of random images, unless it exists, and wait until it is on the disk."""
    path = folder / f"{rows}.{kind}"
    if not path.exists():
        random = np.random.default_rng(0)
        shape = (rows, FEATURES)
        if kind == "memmap":
            array = np.memmap(path, np.uint8, "w+", shape=shape)
        else:
            array = zarr.create_array(path, shape=shape, chunks=(1000, FEATURES), dtype="uint8")
        for start in range(0, rows, 50_000):
            stop = min(start + 50_000, rows)
            array[start:stop] = random.integers(0, 256, (stop - start, FEATURES), np.uint8)
        os.sync()
    return path


def opened(path):
    if path.suffix == ".memmap":
        return np.memmap(path, np.uint8, "r").reshape(-1, FEATURES)
    return zarr.open_array(path, mode="r")


def dropped(path):
    """Ask the system to forget the pages of a file; it keeps mapped pages."""
    for file in [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]:
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_at_once(path):
    """Return the scaled samples of a file, and the seconds to read and scale them."""
    start = time.perf_counter()
    x = scaled(np.asarray(opened(path)[:]))
    return x, time.perf_counter() - start


def timed(paths, target, options, rounds):
    """Return name → seconds of each round."""
    networks = {}
    in_memory, _ = read_at_once(paths["memmap"])

    def network(name):
        return networks.setdefault(name, edcore.ED(FEATURES, seed=0, **options))

    def streamed(name, path, prefetch, cold):
        if cold:
            dropped(path)
        ed, x = network(name), opened(path)
        start = time.perf_counter()
        streaming.fit(ed, x, target, transform=scaled, prefetch=prefetch)
        ed.synchronize()
        return time.perf_counter() - start

    seconds = {}
    for _ in range(rounds + 1):  # the first one is not counted
        ed = network("memory")
        start = time.perf_counter()
        ed.fit(in_memory, target)
        ed.synchronize()
        seconds.setdefault("ED.fit, in memory", []).append(time.perf_counter() - start)
        for kind, path in paths.items():
            for cold in (False, True):
                state = "cold" if cold else "warm"
                if cold:
                    dropped(path)
                seconds.setdefault(f"{kind}, {state}: read at once", []).append(read_at_once(path)[1])
                for prefetch in (0, 1, 2):
                    name = f"{kind}, {state}: prefetch={prefetch}"
                    seconds.setdefault(name, []).append(streamed(name, path, prefetch, cold))
    return {name: values[1:] for name, values in seconds.items()}


def measure_time(arguments):
    rows = arguments.rows
    paths = {kind: made(arguments.folder, kind, rows) for kind in ("memmap", "zarr")}
    target = (np.arange(rows) % 2).astype(np.float32)
    for options in (
        {"backend": "numba", "hidden_width": 8, "hidden_depth": 0},
        {"backend": "numba", "hidden_width": 32, "hidden_depth": 4},
        {"backend": "numpy", "hidden_width": 32, "hidden_depth": 1},
    ):
        seconds = timed(paths, target, options, arguments.rounds)
        fit = statistics.median(seconds["ED.fit, in memory"])
        print(f"\n{options}, {rows:,} rows, medians of {arguments.rounds} rounds (load {os.getloadavg()[0]:.1f})")
        for name, values in seconds.items():
            median = statistics.median(values)
            print(f"  {name:32} {median:7.3f} s  {min(values):.3f} … {max(values):.3f}  {median / fit:5.2f} × ED.fit")


def status():
    """Return megabytes by their names in the system's table of this process."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {line[0][:-1]: int(line[1]) / 1e3 for line in lines if line[-1] == "kB"}


def learn(path, way, limit):
    """Learn an epoch within this memory, and print the most memory that was used."""
    which = resource.RLIMIT_DATA if path.suffix == ".memmap" else resource.RLIMIT_AS
    resource.setrlimit(which, (int(limit * GIGABYTE),) * 2)
    x, peak = opened(path), 0.0

    def watched(rows):
        nonlocal peak
        peak = max(peak, status()["RssAnon"])
        return scaled(rows)

    ed, target = edcore.ED(FEATURES, 8, 0, seed=0, backend="numpy"), np.zeros(x.shape[0], np.float32)
    start = time.perf_counter()
    try:
        if way == "streaming":
            streaming.fit(ed, x, target, transform=watched, batch_size=256)
        else:
            ed.fit(x, target, batch_size=256)
        outcome = "learnt"
    except (MemoryError, edcore.EDCoreError) as error:
        outcome = f"{type(error).__name__}: {error}"
    shown = {"outcome": outcome, "seconds": time.perf_counter() - start, "anonymous": peak, **status()}
    print(json.dumps(shown))


def measure_memory(arguments):
    # Products in one thread: on a busy machine several wait for each other, and here nothing but memory counts.
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for kind in arguments.kinds:
        for size in arguments.gigabytes:
            path = made(arguments.folder, kind, int(size * GIGABYTE / FEATURES))
            for way in ("streaming", "ED.fit"):
                command = [sys.executable, __file__, "learn", str(path), way, str(arguments.limit)]
                done = subprocess.run(command, capture_output=True, text=True, env=alone)
                if done.returncode:
                    print(f"{kind}, {size} GB, {way}: exit {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
                    continue
                shown = json.loads(done.stdout)
                anonymous = f"at most {shown['anonymous']:,.0f} MB of its own, " if way == "streaming" else ""
                print(
                    f"{kind}, {size} GB, {way}: {shown['outcome']} in {shown['seconds']:.1f} s; {anonymous}"
                    f"at most {shown['VmHWM']:,.0f} MB with the pages of files"
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(required=True)
    timing = kinds.add_parser("time")
    timing.add_argument("--folder", type=Path, required=True)
    timing.add_argument("--rows", type=int, default=60_000)
    timing.add_argument("--rounds", type=int, default=7)
    timing.set_defaults(run=measure_time)
    memory = kinds.add_parser("memory")
    memory.add_argument("--folder", type=Path, required=True)
    memory.add_argument("--gigabytes", type=float, nargs="+", default=[0.25, 1, 3])
    memory.add_argument("--kinds", nargs="+", default=["memmap", "zarr"])
    memory.add_argument("--limit", type=float, default=1.5)
    memory.set_defaults(run=measure_memory)
    learning = kinds.add_parser("learn")
    learning.add_argument("path", type=Path)
    learning.add_argument("way")
    learning.add_argument("limit", type=float)
    learning.set_defaults(run=lambda arguments: learn(arguments.path, arguments.way, arguments.limit))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
