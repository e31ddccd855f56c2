"""A step of the language model of `edcore reproduce language` at 10⁶ to 10⁹ weights: its seconds and its memory.

    python tests/benchmarks/language_scale.py          prints the tables of docs/explanation/scaling.md
    python tests/benchmarks/language_scale.py --write  writes them into the page
    python tests/benchmarks/language_scale.py --quick  the smallest model alone

Each model is measured in processes of its own, so that their peaks of memory are theirs: ED by Numba on all cores; ED
in a pipeline of two processes with one thread each; back-propagation with as many cells by PyTorch. A first step does
not count. Then steps and products of the machine's BLAS take turns, and medians count. The largest needs 15 GB of
memory, and a model that needs more than is free is left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edcore import ED, Network
from edcore.contract.memory import host_memory
from edcore.datasets import python_topics
from edcore.distributed import Pipeline
from edcore.environment import here
from edcore.reproduce.language import DEEP
from edcore.reproduce.language_runs import BATCH, CELLS, RULE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/scaling.md"
BEGIN = "<!-- language model: python tests/benchmarks/language_scale.py --write -->\n"
END = "<!-- end of language model -->\n"

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
CONTEXT, CHARACTERS, PARTS = 16, 64, 4
ROOM = 3.6  # times the weights: what both processes of a pipeline take together
SIDE = 2048  # of the matrices of the BLAS product


class Size(NamedTuple):
    """A model, and the steps of which the median counts."""

    width: int
    depth: int
    steps: int


SIZES = Size(256, 0, 30), Size(768, 3, 15), Size(2048, 6, 5), Size(4096, 15, 3)
"""10⁶, 10⁷, 10⁸ and 10⁹ weights. The first is the one of `edcore reproduce language`."""


HEADS = (
    (
        *("weights", "width × layers", "peak, GB", "drawn, s"),
        *("forward, ms", "update, ms", "samples a second", "GFLOP/s", "share of BLAS"),
    ),
    (
        *("weights", "ED, a step, ms", "ED in two processes, ms", "peak of each, GB"),
        *("weights of back-propagation", "a step, ms", "of it forward, ms", "peak, GB"),
    ),
)


def network_of(size):
    """Return the network: its cells and first weights are those of `edcore reproduce language`."""
    shape = {"width": size.width, "depth": size.depth, "outputs": CHARACTERS, "one_hot": CHARACTERS}
    return Network(CONTEXT * CHARACTERS, **shape, **(CELLS | DEEP if size.depth else CELLS))


def batches(steps):
    """Return one batch more than steps, of the text that Python ships."""
    text = python_topics(context=CONTEXT)
    rows = np.random.default_rng(0).permutation(text.train_samples)[: (steps + 1) * BATCH].reshape(-1, BATCH)
    x, y = text.x("float32"), text.y
    return [(x[some], np.eye(CHARACTERS, dtype=np.float32)[y[some]]) for some in rows]


def peak():
    """Return the most bytes of memory that this process has had, of its own and not of its parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def products():
    """Return a function that gives the operations a second of one BLAS product on all cores."""
    matrix = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    result = np.empty_like(matrix)

    def speed():
        start = time.perf_counter()
        np.matmul(matrix, matrix, out=result)
        return 2 * SIDE**3 / (time.perf_counter() - start)

    speed()
    return speed


def measure_ed(size):
    """Return what ED in one process takes."""
    network, samples = network_of(size), batches(size.steps)
    small = ED.from_network(network_of(size._replace(width=64)), RULE, seed=1, backend="numba")
    small.step(*samples[0])  # compiles the kernels
    empty, start = peak(), time.perf_counter()
    ed = ED.from_network(network, RULE, seed=1, backend="numba")
    ed.bind()
    drawn = time.perf_counter() - start
    ed.step(*samples[0])
    most, speed = peak(), products()
    forward, update, blas = [], [], []
    for x, target in samples[1:]:
        start = time.perf_counter()
        error = target - ed(x)
        middle = time.perf_counter()
        ed.update(error)
        forward.append(middle - start)
        update.append(time.perf_counter() - middle)
        blas.append(speed())
    times = {"forward": statistics.median(forward), "update": statistics.median(update)}
    return {"weights": network.parameters, "empty": empty, "peak": most, "drawn": drawn, **times} | {
        "blas": statistics.median(blas)
    }


def measure_stage(size, rank, file):
    """Return what this process of a pipeline takes. `fit` checks all weights at times, which is not in its step."""
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    samples = batches(size.steps)
    small = Pipeline(network_of(size._replace(width=64)), RULE, seed=1, backend="numba")
    small.step(*samples[0])
    pipeline = Pipeline(network_of(size), RULE, seed=1, backend="numba", parts=PARTS)
    pipeline.fit(*samples[0], batch_size=BATCH)
    seconds = []
    for x, target in samples[1:]:
        dist.barrier()
        start = time.perf_counter()
        pipeline._worker.update(pipeline.rule, pipeline._trace_errors(x, target))
        dist.barrier()
        seconds.append(time.perf_counter() - start)
    dist.destroy_process_group()
    return {"weights": pipeline.stage.parameters, "peak": peak(), "step": statistics.median(seconds)}


def measure_back_propagation(size):
    """Return what plain gradient steps of as many tanh cells take in PyTorch, whose first layer adds up rows too."""
    import torch

    torch.set_num_threads(CORES)
    torch.manual_seed(1)
    samples, cells = batches(size.steps), 2 * size.width

    def build(cells):
        layers = [torch.nn.EmbeddingBag(CONTEXT * CHARACTERS, cells, mode="sum"), torch.nn.Tanh()]
        for _ in range(size.depth):
            layers += [torch.nn.Linear(cells, cells), torch.nn.Tanh()]
        return torch.nn.Sequential(*layers, torch.nn.Linear(cells, CHARACTERS))

    def step(model, optimizer, x, target):
        inputs = torch.from_numpy(x.astype(np.int64)) + torch.arange(CONTEXT) * CHARACTERS
        start = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(model(inputs), torch.from_numpy(target))
        middle = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return middle - start, time.perf_counter() - middle

    for model in (build(64), build(cells)):  # the first one starts PyTorch's threads
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        times = [step(model, optimizer, *batch) for batch in samples][1:]
    forward, back = (statistics.median(part) for part in zip(*times, strict=True))
    weights = sum(parameter.numel() for parameter in model.parameters())
    return {"weights": weights, "peak": peak(), "forward": forward, "back": back}


def run(*words, threads=CORES):
    """Start this program for one measurement in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}
    command = [sys.executable, str(Path(__file__)), "--child", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def result(process):
    """Wait for a measurement, and return it."""
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args} ended with exit code {process.returncode}")
    return json.loads(out.splitlines()[-1])


def pipeline(size):
    """Return what both processes of a pipeline take."""
    with tempfile.TemporaryDirectory() as folder:
        ranks = [run("stage", *size, rank, Path(folder) / "meet", threads=1) for rank in range(2)]
        try:
            return [result(rank) for rank in ranks]
        finally:
            for rank in ranks:
                rank.kill()


def operations(size):
    """Return those of a step of ED: the products of hidden and output layers, and the sums of gathered rows."""
    cells = 2 * size.width
    multiplied = size.depth * cells**2 + cells * 2 * CHARACTERS
    return 4 * BATCH * multiplied + 4 * BATCH * CONTEXT * cells


def tables(sizes):
    """Measure all, and return Markdown."""
    alone, others, loads = [], [], [os.getloadavg()[0]]
    for size in sizes:
        needed, free = ROOM * 4 * network_of(size).parameters, host_memory().free
        if needed > free:
            print(f"not measured: {size} needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} are free", file=sys.stderr)
            continue
        ed = result(run("ed", *size))
        stages, back = pipeline(size), result(run("back", *size))
        step, work = ed["forward"] + ed["update"], operations(size)
        weights, shape = f"{ed['weights']:,}", f"{size.width:,} × {size.depth + 1}"
        memory = gigabytes(ed["peak"]), f"{ed['drawn']:.1f}"
        times = milliseconds(ed["forward"]), milliseconds(ed["update"]), f"{BATCH / step:,.0f}"
        alone.append((weights, shape, *memory, *times, f"{work / step / 1e9:,.0f}", f"{work / step / ed['blas']:.0%}"))
        peaks = " and ".join(gigabytes(stage["peak"]) for stage in stages)
        shared = milliseconds(max(stage["step"] for stage in stages)), peaks
        times = milliseconds(back["forward"] + back["back"]), milliseconds(back["forward"])
        others.append((weights, milliseconds(step), *shared, f"{back['weights']:,}", *times, gigabytes(back["peak"])))
        loads.append(os.getloadavg()[0])
        print(ed, stages, back, loads, file=sys.stderr, sep="\n")
    place = here()
    head = (
        f"Measured on {place.date[:10]}, commit {place.commit}, {place.cpu}, {place.cores} cores, Python "
        f"{place.python}; float32, batches of {BATCH}, load average {min(loads):.1f} to {max(loads):.1f}."
    )
    return "\n\n".join([head, *map(table, HEADS, (alone, others))]) + "\n"


def table(head, rows):
    """Return a Markdown table."""
    lines = [head, ["---:"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def gigabytes(count):
    return f"{count / 1e9:.3f}" if count < 1e8 else f"{count / 1e9:.2f}"


def milliseconds(seconds):
    return f"{1e3 * seconds:.2f}" if seconds < 0.1 else f"{1e3 * seconds:,.0f}"


def main():
    """Print the tables, or write them into the page; or be one of the measuring processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest model alone")
    parser.add_argument("--write", action="store_true", help="write the tables into the page")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, *words = options.child
        size, rest = Size(*map(int, words[:3])), words[3:]
        measures = {"ed": measure_ed, "back": measure_back_propagation}
        found = measures[kind](size) if kind in measures else measure_stage(size, int(rest[0]), rest[1])
        print(json.dumps(found))
        return
    text = tables(SIZES[:1] if options.quick else SIZES)
    if not options.write:
        print(text)
        return
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
