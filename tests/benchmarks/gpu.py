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
from glob import glob
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the processes that this one starts, too

from benchmarks import gpu_bench, gpu_first
from benchmarks.gpu_pages import Pages, Reached, driver, look
from edcore.bench.workers import Worker, WorkerError, worker_pool

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "benchmarks"
ENDING = 10  # seconds for processes to end
LOOKING = 60  # seconds to look for the device, at most
OF_FIRST = 0.45  # its part of the time, where the benchmark follows
TOOLKITS = ("/usr/local/cuda", "/usr/local/cuda-*", "/opt/cuda*")


def looked(device: str) -> Reached:
    """Return the result of `look`, from a process of its own, or why it failed."""
    with worker_pool() as pool:
        pool.append(Worker(look, device))
        try:
            return pool[0].wait_until_ready(LOOKING)
        except WorkerError as error:
            return str(error)


def find_compiler() -> str:
    """Let the processes to come find libNVVM in a toolkit, where no package brings it; return what was done."""
    found = "from cuda.pathfinder import load_nvidia_dynamic_lib as load; load('nvvm')"
    if (
        os.environ.get("CUDA_HOME")
        or subprocess.run([sys.executable, "-c", found], capture_output=True).returncode == 0
    ):
        return ""
    for root in sorted(path for pattern in TOOLKITS for path in glob(pattern)):
        if glob(f"{root}/nvvm/lib64/libnvvm.so*"):
            os.environ["CUDA_HOME"] = root
            return f"CUDA_HOME was set to {root}, as no package brings libNVVM"
    return ""


def main(arguments: list[str] | None = None) -> int:
    """Run the stages, write their pages, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=("first", "bench", "all"), default="all")
    parser.add_argument("--minutes", type=float, default=9, help="of all stages that run (9)")
    parser.add_argument("--output", type=Path, help="the folder of the pages; docs/benchmarks unless a dry run")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(arguments)
    if not 0 < options.minutes < float("inf"):
        parser.error(f"--minutes: given {options.minutes}; accepted: a number above 0")
    if options.output and not options.output.is_dir():
        parser.error(f"--output: there is no folder {options.output}; make it first")
    end = time.monotonic() + 60 * options.minutes - ENDING
    with tempfile.TemporaryDirectory() as nowhere:
        folder = options.output or (Path(nowhere) if options.dry_run else FOLDER)
        return run(options.stage, options.dry_run, folder.absolute(), end)


def run(stage: str, dry: bool, folder: Path, end: float) -> int:
    """Run the stages until the end of their time."""
    device = "cpu" if dry else "cuda"
    told = find_compiler()
    pages = Pages(folder, driver(), device, dry, told)
    pages.announce(f"looking for {device}")
    pages.reached = looked(device)
    good = True
    if stage != "bench":
        share = 1.0 if stage == "first" else OF_FIRST
        first_end = time.monotonic() + share * (end - time.monotonic())
        good = gpu_first.run(gpu_first.TINY if dry else gpu_first.FULL, pages, first_end)
    if stage != "first":
        gpu_bench.run(gpu_bench.DRY_RUN if dry else gpu_bench.ON_GPU, pages, end)
    return 0 if good and not pages.no_device else 1


if __name__ == "__main__":
    sys.exit(main())
