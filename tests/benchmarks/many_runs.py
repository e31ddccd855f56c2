"""Time many runs of XOR: as heads of one `fit`, one after the other, and in joblib's processes.

    python tests/benchmarks/many_runs.py --backend numba

All start from the same weights and go through the same epochs, which is checked. A run is Kaneko's preset with eight
hidden cells, until an epoch's sum of errors is below 0.1; its time includes making the network. The ways take turns. In
each turn a way makes all runs twice, and the second time counts. The first turn does not count, so the processes exist
before the clock starts. The table has medians.
"""

import argparse
import datetime
import os
import platform
import statistics
import time

import numpy as np
from joblib import Parallel, delayed

import edcore

SHAPE = {"in_": 2, "hidden_width": 4, "rule": "kaneko"}
RUN = {"epochs": 10_000, "tolerance": 0.1, "shuffle": False}
DATA = edcore.datasets.xor()


def as_heads(runs, backend):
    ed = edcore.ED(**SHAPE, heads=runs, seed=1, backend=backend)
    targets = np.repeat(DATA.y_train[:, None], runs, axis=1)
    return ed.fit(DATA.x_train, targets, **RUN).epochs


def alone(network, rule, weights, backend):
    ed = edcore.ED.from_network(network, rule, seed=1, weights=weights, backend=backend)
    return int(ed.fit(DATA.x_train, DATA.y_train, **RUN).epochs[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--backend", default="numba")
    arguments = parser.parse_args()
    runs, backend = arguments.runs, arguments.backend
    start = edcore.ED(**SHAPE, heads=runs, seed=1, backend="numpy").weights
    single = edcore.ED(**SHAPE, seed=1)
    jobs = [
        (single.network, single.rule, {key: value[run : run + 1] for key, value in start.items()}, backend)
        for run in range(runs)
    ]
    with Parallel(n_jobs=os.cpu_count()) as parallel:
        ways = {
            "heads of one network": lambda: as_heads(runs, backend),
            "one after the other": lambda: [alone(*job) for job in jobs],
            f"joblib, {os.cpu_count()} processes": lambda: parallel(delayed(alone)(*job) for job in jobs),
        }
        times = {name: [] for name in ways}
        for turn in range(arguments.repeats + 1):
            epochs = []
            for name, way in ways.items():
                way()  # threads that slept while another way ran take a while to get a core each
                begin = time.perf_counter()
                epochs.append(np.asarray(way()))
                if turn:
                    times[name].append(1e3 * (time.perf_counter() - begin))
            assert all(np.array_equal(found, epochs[0]) for found in epochs), "the ways differ"
    print(f"{runs} runs of XOR, {backend}, {arguments.repeats} repeats, {epochs[0].mean():.1f} epochs on average;")
    print(f"{datetime.date.today()}, {os.cpu_count()} cores {platform.machine()}, edcore {edcore.__version__}\n")
    print("| way | ms | fastest … slowest | × the first |\n|---|---|---|---|")
    first = statistics.median(times[next(iter(times))])
    for name, measured in times.items():
        median, spread = statistics.median(measured), f"{min(measured):.1f} … {max(measured):.1f}"
        print(f"| {name} | {median:.1f} | {spread} | {median / first:.1f} |")


if __name__ == "__main__":
    main()
