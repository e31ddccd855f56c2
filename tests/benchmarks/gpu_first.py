"""The stage "first" of `gpu.py`: a chain of parts for each library, all at once, then the tests that need a GPU."""

import contextlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import gpu_tests
from benchmarks.gpu_pages import LIBRARIES, in_cell

PAGE, LIBRARY_BY_LIBRARY, TESTS = "gpu-first", "Library by library", "Tests that need a GPU"
CHAIN = Path(__file__).with_name("gpu_chain.py")
OF_CHAIN = 0.6  # its part of the time, at most; the tests have the rest
ALONE = 0.15  # of the time is kept for the tests that run alone
TIMED = "stream"  # in the name of a test that depends on when things happen
OTHERS = f"{TIMED} or not ({' or '.join(LIBRARIES)})"
WORKERS = {"numba": 6, "jax": 4, "cupy": 2, "torch": 2}
"""Processes of a library's tests: to compile takes longer than to compute."""


@dataclass(frozen=True)
class Sizes:
    """The options of the chains."""

    options: tuple[str, ...] = ()


FULL, TINY = Sizes(), Sizes(("--tiny",))


def run(sizes, pages, end):
    """Run the stage until the end of its time; return whether all that was tried is good."""
    pages.put(PAGE, LIBRARY_BY_LIBRARY, "Nothing is known yet.")
    alone_from = end - ALONE * (end - time.monotonic())
    chains, outcomes = {}, {}

    def show():
        pages.put(
            PAGE,
            LIBRARY_BY_LIBRARY,
            "\n\n".join(chain_text(name, *chains[name]) for name in LIBRARIES if name in chains),
        )
        found = gpu_tests.together(outcomes.values())
        pages.put(PAGE, TESTS, gpu_tests.markdown(found))

    def library(name):
        why = pages.reached if isinstance(pages.reached, str) else pages.reached[name][0]
        if why:
            chains[name] = [], f"not tried: {why}"
        else:
            until = time.monotonic() + OF_CHAIN * (alone_from - time.monotonic())
            pages.announce(f"{name}: first parts")
            chains[name] = run_chain(name, pages.device, sizes.options, until, pages.data(f"{name}.log"))
        pages.announce(f"{name}: tests")
        workers = min(WORKERS[name], os.cpu_count() or 1)
        left = max(alone_from - time.monotonic(), 0)
        outcomes[name] = gpu_tests.run(left, select=f"{of_library(name)} and not {TIMED}", workers=workers)

    with ThreadPoolExecutor(len(LIBRARIES)) as pool:
        for done in [pool.submit(library, name) for name in LIBRARIES]:
            done.result()
            show()
    pages.announce("tests that run alone")
    outcomes["alone"] = gpu_tests.run(max(end - time.monotonic(), 0), select=OTHERS)
    show()
    ended = all(not trouble or trouble.startswith("not tried") for _, trouble in chains.values())
    good = all(part["good"] for lines, _ in chains.values() for part in lines)
    return ended and good and gpu_tests.together(outcomes.values()).good


def of_library(name):
    """Return what selects a library's tests. Numba's have a file of its own, and other libraries' arrays."""
    return name if name == "numba" else f"{name} and not numba"


def run_chain(name, device, options, until, log):
    """Return the parts of a library's chain that came to their end, and why the rest did not, if so."""
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_ENABLE_X64": "1"}
    if name == "jax":  # XLA tries out many products before it takes one, which is of no use to what is right
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} --xla_gpu_autotune_level=0".strip()
    trouble = ""
    with log.open("w", encoding="utf-8") as file:
        try:
            command = [sys.executable, str(CHAIN), name, device, *options]
            left = max(until - time.monotonic(), 0.1)
            code = subprocess.run(command, stdout=file, stderr=file, env=environment, timeout=left).returncode
            if code:
                trouble = f"its process ended with exit code {code}"
        except subprocess.TimeoutExpired:
            trouble = "its time was up"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    parts = []
    for line in lines:
        with contextlib.suppress(ValueError):
            if isinstance(part := json.loads(line), dict) and "part" in part:
                parts.append(part)
    if trouble and lines and not parts:
        trouble += f"; its last words: {lines[-1][:300]}"
    return parts, trouble


def chain_text(name, parts, trouble):
    """Return what a chain has told: a line for each part that tells something, and all that failed."""
    passed = sum(part["good"] for part in parts)
    good = f"{passed} of {len(parts)} parts are good" if parts else ""
    lines = [f"### {name}", "", f"{'; then '.join(filter(None, (good, trouble))).capitalize()}.", ""]
    for part in parts:
        if part["told"] or not part["good"]:
            told = in_cell(part["told"].strip().splitlines()[-1]) if part["told"].strip() else ""
            lines.append(f"- {'' if part['good'] else '**failed** '}{part['part']} ({part['seconds']:.1f} s): {told}")
    return "\n".join(lines)
