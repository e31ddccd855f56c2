"""Run the conformance suite on all backends that are ready here, and write the table of docs/reference/testing.md.

    python tests/benchmarks/conformance.py          prints the table
    python tests/benchmarks/conformance.py --write  writes it into the page

It takes five minutes of a processor, most of them for JAX to compile.
"""

import datetime
import importlib.metadata
import platform
import subprocess
import sys
import time
from pathlib import Path

from edcore import Network, Rule, list_backends
from edcore.dispatch.choose import choose_backend, make_request
from edcore.testing import report

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/testing.md"
BEGIN, END = "<!-- scores: python tests/benchmarks/conformance.py --write -->\n", "<!-- end of scores -->\n"

PACKAGES = {
    "loop": ("numpy",),
    "numpy": ("numpy",),
    "numba": ("numba", "numpy"),
    "torch": ("torch",),
    "jax": ("jax", "numpy"),
    "array_api_strict": ("array-api-strict", "numpy"),
    "cupy": ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
}
"""The packages that a backend computes with, of which the installed ones are named."""

EMULATED = (
    ("`cupy`", "emulated GPU of compute capability 7.5", "NVRTC of CUDA 13", "31 of 31", "7c026b4"),
    ("`numba`", "emulated GPU", "numba-cuda, CUDA 13", "31 of 31", "02d4ec9"),
)
"""Rows of runs on the emulator of tests/cuda_emulator, which this program does not repeat."""


def versions(name: str) -> str:
    """Return the packages that a backend computes with, and their versions."""
    found = []
    for package in PACKAGES.get(name, ()):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def commit() -> str:
    """Return the last commit that changed edcore or a backend, with "-dirty" if their files differ from it."""
    code = ("--", "edcore", "backends")

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *words, *code], capture_output=True, text=True, check=True
        ).stdout

    return git("log", "-1", "--format=%h").strip() + "-dirty" * bool(git("status", "--porcelain"))


def rows() -> list[tuple[str, ...]]:
    """Return a row for each backend that is ready here, by running the suite on it."""
    found = []
    for status in list_backends():
        if not status.ready:
            print(f"not run: {status.name}: {status.reason}", file=sys.stderr)
            continue
        backend = choose_backend(make_request(status.name, None), Network(in_=1), Rule())
        started = time.process_time()
        result = report(backend)
        seconds = time.process_time() - started
        passed, of = len(result.passed), len(result.passed) + len(result.failed)
        print(f"{status.name}: {passed} of {of}, {seconds:.1f} s\n{result.text()}", file=sys.stderr)
        score = f"{passed} of {of}"
        found.append((status.name, backend.device, versions(status.name), score, commit()))
    return found


def table() -> str:
    """Return the table as Markdown."""
    today = datetime.datetime.now(datetime.UTC).date()
    measured = (
        f"Measured on {today} with Python {platform.python_version()} on {platform.system()} {platform.machine()}."
    )
    lines = [measured, "", "| backend | device | versions | checks passed | commit |", "|---|---|---|---|---|"]
    lines += [f"| `{name}` | {' | '.join(rest)} |" for name, *rest in rows()]
    lines += [f"| {' | '.join(row)} |" for row in EMULATED]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table, or write it into the page."""
    text = table()
    if "--write" not in sys.argv[1:]:
        print(text)
        return
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
