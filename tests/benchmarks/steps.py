"""Times `ED.step` and `ED.predict` of two checkouts of edcore, in turns, in one run.

    python tests/benchmarks/steps.py --old FOLDER --old-python PYTHON --new FOLDER --new-python PYTHON

Each checkout has a process: its own Python, with its folder and its `backends` first on PYTHONPATH. A round gives each
process one block of calls, the old first in even rounds and the new first in odd ones; the other process sleeps
meanwhile. A block begins with a few calls that do not count, because the other process has used the caches. Printed are
the median microseconds of a call over the rounds, and the median of the rounds' ratios new/old with its quartiles.
Pairs of one round are compared, so that a load that comes and goes on the machine slows both. On a machine that others
use, `--clock cpu` counts the processor's time of the process, all threads together, instead of the time that passes.

Unset OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE first, if they are set: OpenBLAS obeys them, in both processes.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

SIZES = {  # inputs, width and depth as the README writes them, and rows of a batch
    "xor": ({"in_": 2, "hidden_width": 8, "hidden_depth": 0}, 4),
    "digits": ({"in_": 64, "hidden_width": 32, "hidden_depth": 32}, 32),
    "digits-64": ({"in_": 64, "hidden_width": 32, "hidden_depth": 64}, 64),
    "article": ({"in_": 784, "hidden_width": 32, "hidden_depth": 4096}, 64),
    # No cell of these is saturated, at the start or later; most of those above are, from the sixth layer on or so.
    "living-64": ({"in_": 64, "hidden_width": 32, "hidden_depth": 64, "u0": 20.0, "alpha": 1e-4}, 64),
    "living-wide": ({"in_": 784, "hidden_width": 512, "hidden_depth": 4, "u0": 64.0, "alpha": 1e-4}, 64),
}
CALLS = ("step", "predict")
BACKENDS = ("numpy", "numba")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
BLOCK = 0.02
"""Seconds that a block takes, and at least one call."""


def data(size):
    """Return x and target of a size: XOR's four patterns, or random features with random classes."""
    shape, rows = SIZES[size]
    if size == "xor":
        return np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0], np.float32)
    generator = np.random.default_rng(0)
    x = generator.random((rows, shape["in_"]), np.float32)
    return x, generator.integers(0, 2, rows).astype(np.float32)


def worker(tree, clock):
    """Time the blocks that stdin asks for, one JSON object a line, with the edcore of `tree`."""
    import edcore

    if not Path(edcore.__file__).is_relative_to(tree):
        sys.exit(f"edcore is {edcore.__file__}, not of {tree}")
    networks = {}
    for line in sys.stdin:
        size, backend, name, calls, uncounted = json.loads(line)
        x, target = data(size)
        if (size, backend) not in networks:
            networks.clear()  # the article's weights take 60 MB
            networks[size, backend] = edcore.ED(**SIZES[size][0], seed=0, backend=backend, device="cpu")
        ed = networks[size, backend]
        call, arguments = getattr(ed, name), (x, target) if name == "step" else (x,)
        for _ in range(uncounted):
            call(*arguments)
        start = clock()
        for _ in range(calls):
            call(*arguments)
        print(json.dumps((clock() - start) / calls), flush=True)


class Checkout:
    """A checkout of edcore, and the process that times its calls."""

    def __init__(self, tree, python, clock):
        tree = Path(tree).resolve()
        path = os.pathsep.join([str(tree), str(tree / "backends")])
        command = [python, str(Path(__file__).resolve()), "--worker", str(tree), "--clock", clock]
        environment = os.environ | {"PYTHONPATH": path}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def seconds(self, size, backend, name, calls, uncounted=0):
        """Return the seconds of a call, over a block of calls."""
        self.process.stdin.write(json.dumps((size, backend, name, calls, uncounted)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"a process has ended with {self.process.wait()}")
        return json.loads(answer)

    def end(self):
        """Let the process end."""
        self.process.stdin.close()
        self.process.wait()


def compared(old, new, case, seconds):
    """Return the rounds' microseconds, old and new, of one case."""
    for checkout in (old, new):  # compiles, and starts threads
        checkout.seconds(*case, 3)
    a_call = max(checkout.seconds(*case, 3) for checkout in (old, new))
    calls = max(1, math.ceil(BLOCK / a_call))
    uncounted = max(1, calls // 10)
    rounds = max(8, round(seconds / (2 * (calls + uncounted) * a_call)))
    times = {old: [], new: []}
    for number in range(rounds):
        for checkout in (old, new) if number % 2 == 0 else (new, old):
            times[checkout].append(1e6 * checkout.seconds(*case, calls, uncounted))
    return times[old], times[new]


def main():
    """Compare each case, and print a row of a Markdown table for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--old", metavar="FOLDER", help="the checkout to compare with")
    parser.add_argument("--old-python", metavar="PATH", default=sys.executable, help="its Python")
    parser.add_argument("--new", metavar="FOLDER", default=".", help="the checkout that is compared")
    parser.add_argument("--new-python", metavar="PATH", default=sys.executable, help="its Python")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--backends", nargs="+", default=BACKENDS)
    parser.add_argument("--calls", nargs="+", choices=CALLS, default=CALLS)
    parser.add_argument("--seconds", type=float, default=20, help="for each case")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--worker", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(Path(options.worker), CLOCKS[options.clock])
        return
    if not options.old:
        parser.error("--old: name the checkout to compare with")
    old = Checkout(options.old, options.old_python, options.clock)
    new = Checkout(options.new, options.new_python, options.clock)
    print("| size | backend | call | rounds | old, µs | new, µs | new/old | quartiles |")
    print("|---" * 8 + "|", flush=True)
    for case in itertools.product(options.sizes, options.backends, options.calls):
        before, after = compared(old, new, case, options.seconds)
        low, ratio, high = statistics.quantiles([b / a for a, b in zip(before, after, strict=True)], n=4)
        medians = f"{statistics.median(before):.1f} | {statistics.median(after):.1f}"
        print(f"| {' | '.join(case)} | {len(before)} | {medians} | {ratio:.3f} | {low:.3f}-{high:.3f} |", flush=True)
    old.end()
    new.end()


if __name__ == "__main__":
    main()
