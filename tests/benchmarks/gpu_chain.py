"""What one library does first on a device: compared with NumPy, checked in short, timed, and checked in full.

    python tests/benchmarks/gpu_chain.py LIBRARY DEVICE [--tiny] [--from NUMBER]

The order is that of what tells most: where time is up, the rest is missing. Each part is one line of JSON on stdout. A
part that ends with another error than a difference ends the process: the device may be unusable. `gpu_first` starts
another for the parts behind it.
"""

import argparse
import json
import sys
import time
import traceback
from dataclasses import replace

import numpy as np

import edcore
from edcore import Network, Rule, arrays
from edcore.bench.contenders import make_contender
from edcore.bench.machine import median_seconds
from edcore.bench.setting import Setting
from edcore.bench.timings import milliseconds
from edcore.dispatch import registry
from edcore.testing import iter_checks
from edcore.testing.strategies import drawn_case

TELLING = (
    "check_forward",
    "check_update_signed",
    "check_update_split",
    "check_deep_stack",
    "check_sizes_beyond_one_tile",
    "check_fit",
)
"""The checks that show most of what can be wrong."""

SMALL = Network(in_=20, width=8, depth=6, heads=2, u0=1.0)
WIDE = Network(in_=150, width=200, heads=2)
BATCHES = 4  # of `fit`
RUNS = 100  # heads of one `fit`; cupy is to make them in 10 ms
COMPILED = ("cupy", "numba")  # a call of Python for each of so many samples takes the others too long


def main(arguments=None):
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("device")
    parser.add_argument("--tiny", action="store_true", help="a small network in the place of the article's")
    parser.add_argument("--from", type=int, default=0, dest="start", help="leave out so many parts")
    options = parser.parse_args(arguments)
    backend = registry.installed()[options.library].load(options.device)
    depth, repeats = (8, 2) if options.tiny else (4096, 9)
    for title, run in [*parts(backend, depth, repeats)][options.start :]:
        if not tell(title, run):
            return
    print(json.dumps({"end": True}), flush=True)


def parts(backend, depth, repeats):
    """Yield the title and the work of each part."""
    checks = dict(iter_checks(quick=True))
    small = SMALL, Rule("split"), 37, 0.3, 5
    yield "a small network as NumPy", lambda: agree(backend, drawn_case(*small), 1e-4)
    wide = WIDE, Rule(), 75, 1 / 200, 2
    yield "width 200 as NumPy", lambda: agree(backend, drawn_case(*wide), 1e-4)
    # Weights so small that no cell saturates to where it learns no more.
    deep = Network(in_=784, width=32, depth=depth), Rule("split"), 64, 0.05, 0
    yield "the article's size as NumPy", lambda: agree(backend, drawn_case(*deep), 1e-3)
    for name in TELLING:
        yield name, lambda name=name: checks[name](backend)
    article = Setting(depth=depth, repeats=repeats, device=backend.device)
    yield "times, the article's size", lambda: times(article, backend.info.name)
    digits = replace(article, features=64, depth=16)
    yield "times, digits", lambda: times(digits, backend.info.name)
    if backend.info.name in COMPILED:
        yield f"{RUNS} runs of XOR to their end", lambda: runs_of_xor(backend.info.name, backend.device)
    for name in checks:
        if name not in TELLING:
            yield name, lambda name=name: checks[name](backend)


def tell(title, run):
    """Print how a part went; return whether the process is good for more."""
    print(json.dumps({"begun": title}), flush=True)
    told, good, usable = "", False, True
    start = time.perf_counter()
    try:
        told, good = run() or "", True
    except Exception as error:
        traceback.print_exc()
        told, usable = f"{type(error).__name__}: {error}", isinstance(error, AssertionError)
    line = {"part": title, "good": good, "seconds": round(time.perf_counter() - start, 2), "told": told}
    print(json.dumps(line), flush=True)
    return usable


def agree(backend, case, most):
    """Compare a step with NumPy's; return how far the results are apart."""
    outputs, weights = step(backend, case)
    expected, expected_weights = step(registry.installed()["numpy"].load("cpu"), case)
    pairs = [(outputs, expected), *((weights[key], value) for key, value in expected_weights.items())]
    apart = max(float(np.abs(got - wanted).max()) for got, wanted in pairs)
    if not apart <= most:
        raise AssertionError(f"{apart:.2g} apart, more than {most:g}")
    return f"{apart:.2g} apart"


def step(backend, case):
    """Return the outputs and the weights after a step."""
    weights = backend.from_host(case.weights)
    outputs, trace = backend.trace(case.network, weights, case.x)
    return arrays.to_numpy(outputs), backend.to_host(
        backend.update(case.network, case.rule, weights, trace, case.error)
    )


def times(setting, library):
    """Return the milliseconds of the backend's own calls, of ED's with all its checks, and of a batch of `fit`."""
    contender = make_contender(library, setting)
    ed, x, target = contender.network, contender.x, contender.target
    backend, network, error = ed.bind(x), setting.network, target[:, None] - 0.5
    weights = backend.from_host(ed.weights)

    def step():
        nonlocal weights
        _, trace = backend.trace(network, weights, x)
        weights = backend.update(network, setting.learning_rule, weights, trace, error)

    host_x, host_target = arrays.to_numpy(x), arrays.to_numpy(target)
    samples, targets = np.tile(host_x, (BATCHES, 1)), np.tile(host_target, BATCHES)
    works = {
        "forward": lambda: backend.forward(network, weights, x),
        "trace and update": step,
        "ED.step": lambda: ed.step(x, target),
        "ED.step from NumPy": lambda: ed.step(host_x, host_target),
        "a batch of ED.fit": lambda: ed.fit(samples, targets, epochs=1, batch_size=setting.batch),
    }
    took = {what: median_seconds(work, ed.synchronize, setting.repeats) for what, work in works.items()}
    took["a batch of ED.fit"] /= BATCHES
    return ", ".join(f"{what} {milliseconds(seconds)} ms" for what, seconds in took.items())


def runs_of_xor(library, device):
    """Return the milliseconds of XOR learnt until each head's errors are small, and how many heads came so far."""
    data, epochs = edcore.datasets.xor(), 10_000
    rule = Rule("split", alpha_output=0.8, order="online")
    shape = {"hidden_width": 4, "hidden_depth": 0, "heads": RUNS, "seed": 1, "dtype": "float64"}
    target = np.repeat(data.y_train[:, None], RUNS, axis=1)
    seconds = []
    for _ in range(3):
        ed = edcore.ED(2, rule=rule, **shape, backend=library, device=device)
        ed.synchronize()
        start = time.perf_counter()
        ed.fit(data.x_train, target, epochs=epochs, shuffle=False, tolerance=0.1)
        ed.synchronize()
        seconds.append(time.perf_counter() - start)
    ended = int((ed.epochs < epochs).sum())
    if not ended:
        raise AssertionError(f"no head came to its end in {epochs} epochs")
    return f"{milliseconds(min(seconds[1:]))} ms, {ended} of {RUNS} heads at their end"


if __name__ == "__main__":
    sys.exit(main())
