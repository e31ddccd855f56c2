"""What one library does first on a device: compared with NumPy, checked in short, timed, and checked in full.

    python tests/benchmarks/gpu_chain.py LIBRARY DEVICE [--tiny]

The order is that of what tells most: where time is up, the rest is missing. Each part is one line of JSON on stdout.
"""

import argparse
import importlib
import json
import sys
import time
import traceback
from dataclasses import replace

import numpy as np

from edcore import ED, Network, Rule, arrays
from edcore.core.weights import initialise
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
ARTICLE = Network(in_=784, width=32, depth=4096)
DIGITS = Network(in_=64, width=32, depth=16)


def main(arguments=None):
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("device")
    parser.add_argument("--tiny", action="store_true", help="a small network in the place of the article's")
    options = parser.parse_args(arguments)
    backend = registry.installed()[options.library].load(options.device)
    article = replace(ARTICLE, depth=8) if options.tiny else ARTICLE
    for title, run in parts(backend, options.library, options.device, article, steps=2 if options.tiny else 20):
        tell(title, run)


def parts(backend, library, device, article, steps):
    """Yield the title and the work of each part."""
    checks = dict(iter_checks(quick=True))
    small = drawn_case(SMALL, Rule("split"), batch=37, scale=0.3, seed=5)
    yield "a small network as NumPy", lambda: agree(backend, small, 1e-4)
    wide = drawn_case(WIDE, Rule(), batch=75, scale=1 / 200, seed=2)
    yield "width 200 as NumPy", lambda: agree(backend, wide, 1e-4)
    # Weights so small that no cell saturates to where it learns no more.
    deep = drawn_case(article, Rule("split"), batch=64, scale=0.05, seed=0)
    yield "the article's size as NumPy", lambda: agree(backend, deep, 1e-3)
    for name in TELLING:
        yield name, lambda name=name: checks[name](backend)
    yield "times, the article's size", lambda: times(backend, library, device, article, steps)
    yield "times, digits", lambda: times(backend, library, device, DIGITS, steps)
    for name in checks:
        if name not in TELLING:
            yield name, lambda name=name: checks[name](backend)


def tell(title, run):
    """Print how a part went."""
    start = time.perf_counter()
    try:
        told, good = run() or "", True
    except Exception as error:
        told, good = "".join(traceback.format_exception(error)), False
    line = {"part": title, "good": good, "seconds": round(time.perf_counter() - start, 2), "told": told}
    print(json.dumps(line), flush=True)


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


def times(backend, library, device, network, steps, batch=64):
    """Return the milliseconds of the backend's own calls, and of ED's with all its checks."""
    random = np.random.default_rng(0)
    host = random.random((batch, network.in_), np.float32)
    target = random.integers(0, 2, batch).astype(np.float32)
    own = library if library != "numba" else "cupy" if arrays.unavailable("cupy", device) == "" else "numpy"
    x, error = put(own, device, host), put(own, device, np.full((batch, 1), 0.1, np.float32))
    weights = backend.from_host(initialise(network, seed=0))

    def whole():
        nonlocal weights
        _, trace = backend.trace(network, weights, x)
        weights = backend.update(network, Rule(), weights, trace, error)

    def milliseconds(work, repeats, wait):
        for _ in range(3):
            work()
        wait()
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        wait()
        return 1e3 * (time.perf_counter() - start) / repeats

    def new():
        return ED(network.in_, network.width, network.depth, seed=0, backend=library, device=device)

    wait = backend.synchronize
    told = [f"forward {milliseconds(lambda: backend.forward(network, weights, x), steps, wait):.3f}"]
    told.append(f"trace and update {milliseconds(whole, steps, wait):.3f}")
    given = {"NumPy": (host, target)} | ({f"{own} there": (x, put(own, device, target))} if own != "numpy" else {})
    for title, batch_of in given.items():
        ed = new()
        took = milliseconds(lambda ed=ed, batch_of=batch_of: ed.step(*batch_of), steps, ed.synchronize)
        told.append(f"ED.step from {title} {took:.3f}")
    ed, samples, targets = new(), np.tile(host, (4, 1)), np.tile(target, 4)
    fitted = milliseconds(lambda: ed.fit(samples, targets, epochs=1, batch_size=batch), steps, ed.synchronize)
    told.append(f"ED.fit, a batch of 4, {fitted / 4:.3f}")
    return "ms: " + ", ".join(told)


def put(library, device, array):
    """Return a NumPy array as one of the library's, on the device."""
    if library == "numpy":
        return array
    native = arrays.native_device(library, device)
    with arrays.exact(library, native):  # CuPy allocates on the device in use
        return arrays.namespace_of(importlib.import_module(library)).asarray(array.copy(), device=native)


if __name__ == "__main__":
    sys.exit(main())
