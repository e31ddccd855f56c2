"""Time many runs of XOR, each to its end: as heads of one `fit`, and by a plain C program on one core.

    python tests/benchmarks/xor_runs.py --runs 100
    python tests/benchmarks/xor_runs.py --backend cupy --device cuda

Both start from the same weights: eight hidden cells, the online split rule, alpha 0.8, until an epoch's sum of errors
is below 0.1. The C program is xor_runs.c, built by cc at -O2 and at -O3 -march=native. Contenders take turns. In
each turn a contender makes all runs twice, and the second time counts: threads that slept while another contender ran
take milliseconds to get a core each. The table has medians, the ratio to the first C program, and the number of runs
whose epochs differ from its epochs.
"""

import argparse
import datetime
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numba
import numpy as np

import edcore

HERE = Path(__file__).parent
FLAGS = {"C, cc -O2": ["-O2"], "C, cc -O3 -march=native": ["-O3", "-march=native"]}
REALS = {"float64": [], "float32": ["-DREAL=float", "-DEXP=expf", "-DABS=fabsf"]}
ALPHA, EPOCHS, TOLERANCE = 0.8, 10_000, 0.1
KEYS = ("input.weight", "input.bias", "output.weight", "output.bias")


def network(arguments, backend, device):
    rule = edcore.Rule("split", alpha=ALPHA, alpha_output=ALPHA, order="online")
    shape = {"in_": 2, "hidden_width": 4, "hidden_depth": 0, "heads": arguments.runs}
    return edcore.ED(**shape, rule=rule, dtype=arguments.dtype, seed=1, backend=backend, device=device)


def edcore_run(arguments):
    """Return the seconds of one fit, and the epoch at which each head stopped, 0 where it did not."""
    data = edcore.datasets.xor()
    x, target = data.x_train, np.repeat(data.y_train[:, None], arguments.runs, axis=1)
    networks = [network(arguments, arguments.backend, arguments.device) for _ in range(2)]
    for ed in networks:
        start = time.perf_counter()
        ed.fit(x, target, epochs=EPOCHS, shuffle=False, tolerance=TOLERANCE)
        seconds = time.perf_counter() - start
    return seconds, np.where(ed.epochs < EPOCHS, ed.epochs, 0)


def c_program(arguments, flags, folder):
    """Build the program, and return a function that runs it."""
    program, weights = folder / f"xor{len(list(folder.iterdir()))}", folder / "weights"
    source = str(HERE / "xor_runs.c")
    subprocess.run(["cc", *flags, *REALS[arguments.dtype], "-o", program, source, "-lm"], check=True)
    start = network(arguments, "numpy", "cpu").weights
    weights.write_bytes(np.concatenate([start[key].reshape(arguments.runs, -1) for key in KEYS], axis=1).tobytes())
    command = [program, weights, *map(str, (arguments.runs, EPOCHS, TOLERANCE, ALPHA, 0.4))]

    def run():
        seconds, stopped = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return float(seconds), np.array([int(number) for number in stopped.split()])

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--backend", default="numba")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float64", choices=REALS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        contenders = {name: c_program(arguments, flags, Path(folder)) for name, flags in FLAGS.items()}
        where = f"{numba.get_num_threads()} threads" if arguments.device == "cpu" else arguments.device
        contenders[f"edcore, {arguments.backend}, {where}"] = lambda: edcore_run(arguments)
        results = {name: [run()] for name, run in contenders.items()}  # to warm up
        for name in results:
            results[name].clear()
        for _ in range(arguments.repeats):
            for name, run in contenders.items():
                results[name].append(run())
    reference = results[next(iter(results))]
    print(f"{arguments.runs} runs of XOR, 8 hidden cells, {arguments.dtype}, {arguments.repeats} repeats;")
    print(f"{datetime.date.today()}, {os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()},")
    print(f"edcore {edcore.__version__}, numba {numba.__version__}; ", end="")
    print(f"mean epochs {reference[0][1].mean():.1f}, {(reference[0][1] == 0).sum()} runs without an end\n")
    print("| contender | ms | fastest … slowest | × the first | runs with other epochs |\n|---|---|---|---|---|")
    for name, pairs in results.items():
        times = [1e3 * seconds for seconds, _ in pairs]
        median, spread = statistics.median(times), f"{min(times):.2f} … {max(times):.2f}"
        ratio = median / statistics.median(1e3 * seconds for seconds, _ in reference)
        print(f"| {name} | {median:.2f} | {spread} | {ratio:.2f} | {(pairs[0][1] != reference[0][1]).sum()} |")


if __name__ == "__main__":
    main()
