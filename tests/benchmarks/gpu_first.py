"""The stage "first" of `gpu.py`: a chain of parts for each library, all at once, then the tests that need a GPU."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import gpu_tests
from benchmarks.gpu_pages import Pages, in_cell
from benchmarks.gpu_tests import LIBRARIES

PAGE, LIBRARY_BY_LIBRARY, TESTS = "gpu-first", "Library by library", "Tests that need a GPU"
CHAIN = Path(__file__).with_name("gpu_chain.py")
OF_CHAIN = 0.6  # its part of the time, at most; the tests have the rest
ALONE = 0.15  # of the time is kept for the tests that run alone
DEATHS = 3  # of a chain's processes, after which it is given up
TIMED = "stream"  # in the name of a test that depends on when things happen
OTHERS = f"{TIMED} or not ({' or '.join(LIBRARIES)})"
WORKERS = {"numba": 6, "jax": 4, "cupy": 2, "torch": 2}
"""Processes of a library's tests: to compile takes longer than to compute."""


class Chain:
    """The parts of a library that came to their end, and why others did not."""

    def __init__(self) -> None:
        self.parts: list[dict] = []
        self.begun = ""  # the part that runs
        self.trouble = ""
        self.ended = False

    @property
    def good(self) -> bool:
        """Whether no part failed, and all were tried."""
        return not self.trouble and all(part["good"] for part in self.parts)


def run(options: tuple[str, ...], pages: Pages, end: float) -> bool:
    """Run the stage until the end of its time, the chains with these options; return whether all is good."""
    alone_from = end - ALONE * (end - time.monotonic())
    chains_until = time.monotonic() + OF_CHAIN * (alone_from - time.monotonic())
    unreachable = {name: pages.why_not(name) for name in LIBRARIES}
    chains, outcomes = {name: Chain() for name in LIBRARIES}, {}
    lock = threading.Lock()

    def show() -> None:
        with lock:
            texts = [chain_text(name, chains[name], unreachable[name]) for name in LIBRARIES]
            pages.put(PAGE, LIBRARY_BY_LIBRARY, "\n\n".join(texts))
            missing = [name for name in (*LIBRARIES, "alone") if name not in outcomes]
            told = gpu_tests.markdown(gpu_tests.together(outcomes)) if outcomes else ""
            running = f"**Not at their end: the tests of {', '.join(missing)}.**" if missing else ""
            pages.put(PAGE, TESTS, "\n\n".join(filter(None, (running, told))))

    def tests(name: str, seconds: float, select: str, workers: int = 1) -> None:
        pages.announce(f"{name}: tests")
        found = gpu_tests.run(max(seconds, 0), select=select, workers=workers)
        if not found.good and found.printed:
            pages.data(f"{name}-tests.log").write_text(found.printed, encoding="utf-8")
        with lock:
            outcomes[name] = found
        show()

    def library(name: str) -> None:
        if not unreachable[name]:
            pages.announce(f"{name}: compared with NumPy, checked and timed")
            run_chain(chains[name], name, pages.device, options, chains_until, pages.data(f"{name}.log"), show)
        workers = 1 if unreachable[name] else min(WORKERS[name], os.cpu_count() or 1)
        tests(name, alone_from - time.monotonic(), f"{of_library(name)} and not {TIMED}", workers)

    show()
    with ThreadPoolExecutor(len(LIBRARIES)) as pool:
        for done in [pool.submit(library, name) for name in LIBRARIES]:
            done.result()
    tests("alone", end - time.monotonic(), OTHERS)
    return all(chain.good for chain in chains.values()) and gpu_tests.together(outcomes).good


def of_library(name: str) -> str:
    """Return what selects a library's tests. Numba's have files of their own, and other libraries' arrays."""
    return name if name == "numba" else f"{name} and not numba"


def run_chain(
    chain: Chain, name: str, device: str, options: tuple[str, ...], until: float, log: Path, show=lambda: None
) -> None:
    """Run a library's chain, and show each part as soon as it came to its end."""
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_ENABLE_X64": "1"}
    if name == "jax":  # XLA tries out many products before it takes one, which is of no use to what is right
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} --xla_gpu_autotune_level=0".strip()
    command = [sys.executable, str(CHAIN), name, device, *options]
    deaths = 0
    with log.open("w", encoding="utf-8") as file:
        while not chain.ended and not chain.trouble:
            # A part that fails can leave the device unusable for its process: another one goes on behind it.
            at = ["--from", str(len(chain.parts))]
            code = one_process(chain, [*command, *at], environment, until, file, show)
            if code is None:
                chain.trouble = "" if chain.ended else "its time was up"
            elif code:
                deaths += 1
                last = (log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"])[-1]
                told = f"its process ended with exit code {code}; its last words: {last[:300]}"
                chain.parts.append({"part": chain.begun or "the start", "good": False, "seconds": 0, "told": told})
                chain.trouble = "given up, as its processes die" if deaths == DEATHS else ""
            show()


def one_process(chain, command, environment, until, file, show) -> int | None:
    """Run a process of a chain; return its exit code, or None if its time was up."""
    # Both through one pipe, so that its last words are the last that it said.
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True, errors="replace"
    )
    late = threading.Timer(max(until - time.monotonic(), 0), started.kill)
    late.start()
    with started, contextlib.ExitStack() as stack:
        stack.callback(late.cancel)
        stack.callback(started.kill)
        for line in started.stdout:
            file.write(line)
            file.flush()
            with contextlib.suppress(ValueError):  # a library's own words, which may also begin the line of a part
                match json.loads(line[line.find("{") :]):
                    case {"begun": title}:
                        chain.begun = title
                    case {"part": _} as part:
                        chain.parts.append(part)
                        show()
                    case {"end": True}:
                        chain.begun, chain.ended = "the end of its process", True
        code = started.wait()
    return None if code and time.monotonic() >= until else code


def chain_text(name: str, chain: Chain, unreachable: str) -> str:
    """Return what a chain has told: a line for each part that tells something, and all that failed."""
    passed, state = sum(part["good"] for part in chain.parts), chain.trouble
    if not chain.ended and not state:
        state = f"not tried: {in_cell(unreachable)}" if unreachable else "not at its end"
    told = "; ".join(filter(None, (f"{passed} of {len(chain.parts)} parts are good" if chain.parts else "", state)))
    lines = [f"### {name}", "", f"{told[:1].upper()}{told[1:]}.", ""]
    for part in chain.parts:
        if part["told"] or not part["good"]:
            failed = "" if part["good"] else "**failed** "
            lines.append(f"- {failed}{part['part']} ({part['seconds']:.1f} s): {in_cell(part['told'])}")
    return "\n".join(lines).rstrip()
