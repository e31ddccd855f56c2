"""One command for an NVIDIA GPU: run what needs one, measure, and write pages of both.

    python tests/benchmarks/gpu.py --stage first --minutes 4
    python tests/benchmarks/gpu.py --stage bench --minutes 5

The stage "first" compares each library with NumPy, takes first times, and runs the tests that need a GPU; it writes
gpu-first.md. The stage "bench" measures three settings against their targets; it writes gpu-bench.md. "all" is both.
Pages, the JSON of each setting (gpu/*.json) and logs (gpu/*.log) lie in --output, docs/benchmarks. Each is written as
soon as something is known, so what is cut short keeps what it has.

The exit code is 1 if a check or a test failed, if the tests did not come to their end, or if no GPU was found.
--dry-run is the same program on the CPU, with tiny sizes: it shows that the program works, and measures nothing. It
writes only where --output says.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from glob import glob
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the processes that this one starts, too

from benchmarks import gpu_bench, gpu_first
from benchmarks.gpu_pages import Pages, driver, looked
from edcore.environment import commit, here

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "benchmarks"
ENDING = 10  # seconds for processes to end
OF_FIRST = 0.45  # its part of the time, where the benchmark follows
TOOLKITS = ("/usr/local/cuda", "/usr/local/cuda-*", "/opt/cuda*")
LIBRARIES = ("nvvm/lib64", "lib64", "lib")
LOADED = "from cuda.pathfinder import load_nvidia_dynamic_lib as load; print(load('nvvm').abs_path)"


def find_compiler() -> str:
    """Set CUDA_HOME for the processes to come, where Numba finds libNVVM in no other way; return what is so."""
    given = next((name for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)), None)
    tried = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    if tried.returncode == 0:
        return f"libNVVM is {tried.stdout.strip()}" + (f", and {given} is {os.environ[given]}" if given else "")
    if given:
        return f"libNVVM is not found, and {given} is {os.environ[given]}"
    for root in (path for pattern in TOOLKITS for path in sorted(glob(pattern), reverse=True)):
        for folder in (folder for folder in LIBRARIES if glob(f"{root}/{folder}/libnvvm.so*")):
            os.environ["CUDA_HOME"] = root
            if folder != LIBRARIES[0]:  # where the system's loader alone finds it
                paths = (f"{root}/{folder}", os.environ.get("LD_LIBRARY_PATH"))
                os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, paths))
            return f"CUDA_HOME was set to {root}, as no package brings libNVVM; it is in {root}/{folder}"
    return "libNVVM is not found"


def main(arguments: list[str] | None = None) -> int:
    """Run the stages, write their pages, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=("first", "bench", "all"), default="all")
    parser.add_argument("--minutes", type=float, default=9, help="of all stages that run (9)")
    parser.add_argument("--output", type=Path, help="the folder of the pages; docs/benchmarks unless a dry run")
    parser.add_argument("--commit", help="for the pages, where this is a copy without its git folder")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(arguments)
    if not 0 < options.minutes < float("inf"):
        parser.error(f"--minutes: given {options.minutes}; accepted: a number above 0")
    if options.output and not options.output.is_dir():
        parser.error(f"--output: there is no folder {options.output}; make it first")
    end = time.monotonic() + 60 * options.minutes - ENDING
    where = replace(here(), commit=options.commit or commit(ROOT))
    with tempfile.TemporaryDirectory() as nowhere:
        folder = options.output or (Path(nowhere) if options.dry_run else FOLDER)
        device = "cpu" if options.dry_run else "cuda"
        pages = Pages(folder.absolute(), device, options.dry_run, driver(), find_compiler(), where)
        return run(options.stage, pages, end)


def run(stage: str, pages: Pages, end: float) -> int:
    """Run the stages until the end of their time."""
    pages.put(gpu_bench.PAGE if stage == "bench" else gpu_first.PAGE)
    pages.announce(f"looking for {pages.device}")
    pages.reached = looked(pages.device)
    good = True
    if stage != "bench":
        share = 1.0 if stage == "first" else OF_FIRST
        first_end = time.monotonic() + share * (end - time.monotonic())
        good = gpu_first.run(("--tiny",) if pages.dry else (), pages, first_end)
    if stage != "first":
        gpu_bench.run(gpu_bench.DRY_RUN if pages.dry else gpu_bench.ON_GPU, pages, end)
    return 0 if good and not pages.no_device else 1


if __name__ == "__main__":
    sys.exit(main())
