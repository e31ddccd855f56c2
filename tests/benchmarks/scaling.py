"""Time a network on several processes, and compare with the model of docs/explanation/scaling.md.

    torchrun --nproc-per-node 4 tests/benchmarks/scaling.py

For a pipeline and for data-parallel training on 1, 2 and all processes: the pieces of a step are timed alone (a part of
a batch in a stage, the update of a stage, a message), the model puts them together, and the table shows it beside the
step that was measured in `fit`. Each process has one thread. Its work is timed by its own clock, which stands still
while another process has the core, and while all processes compute, as in a step: they share caches and memory. Pieces
and steps take turns in rounds; the table has medians over rounds, without the first. Before that, weights are compared
with those of one process.
"""

import argparse
import datetime
import itertools
import os
import statistics
import subprocess
import time
from collections import defaultdict

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # before Numba is there

import numpy as np
import torch.distributed as dist
from scaling_model import schedule, shared_cores

import edcore
from edcore import ED, Network, Rule
from edcore.distributed import DataParallel, Pipeline
from edcore.distributed.shared import BATCHES_PER_CHECK
from edcore.model.divergence import first_in_weights

CORES = len(os.sched_getaffinity(0))


def clock():
    """Wait for all processes, and return the time."""
    dist.barrier()
    return time.perf_counter()


def seconds(repeats, call, now=time.perf_counter):
    """Return the median time of a call, after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        start = now()
        call()
        times.append(now() - start)
    return statistics.median(times[1:])


def everyones(value):
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def slowest(value):
    """Return the largest of all processes' values; a process without a value passes None."""
    return max(found for found in everyones(value) if found is not None)


def together(call):
    """Call in all processes that take part at the same time; return the means of their times."""
    dist.barrier()
    return np.mean([value for value in everyones(call and call()) if value is not None], axis=0).tolist()


def ping(comm, shape, repeats):
    """Return the seconds of a message between the first two ranks: half the time there and back."""
    array = np.zeros(shape, np.float32)

    def there_and_back():
        if comm.rank == 0:
            comm.send(array, 1).wait()
            comm.receive(shape, "float32", 1).wait()
        else:
            comm.receive(shape, "float32", 0).wait()
            comm.send(array, 0).wait()

    return seconds(repeats, there_and_back) / 2


def errors(comm, shape, repeats):
    """Return the seconds until all ranks have the last one's errors: half the time of that and of a word back."""

    def both():
        comm.broadcast(np.zeros(shape, np.float32), comm.size - 1)
        comm.broadcast(np.zeros(1, np.float32), 0)

    return seconds(repeats, both) / 2


def pipeline_pieces(pipeline, network, batch, parts, repeats):
    """Return the seconds of a part in a stage, of its update, and of a look at its weights."""
    worker = pipeline._worker
    cuts = [batch * part // parts for part in range(parts + 1)]
    rows = [slice(start, stop) for start, stop in itertools.pairwise(cuts)]
    random = np.random.default_rng(0)
    first = pipeline.stage.first
    shape = (batch, network.in_) if first else (network.heads, batch, 2 * network.width)
    arriving = random.random(shape).astype(network.dtype)
    error = random.normal(0, 0.1, (batch, network.columns)).astype(network.dtype)
    forward, update = [], []
    for _ in range(repeats + 1):
        worker.begin(batch)
        start = time.thread_time()
        for part in rows:
            worker.forward(part, arriving[part] if first else arriving[:, part])
        forward.append((time.thread_time() - start) / parts)
        start = time.thread_time()
        worker.update(pipeline.rule, error)
        update.append(time.thread_time() - start)
    look = seconds(2, lambda: (worker.to_host(), first_in_weights(worker.to_host())), time.thread_time)
    return statistics.median(forward[1:]), statistics.median(update[1:]), look


def pipeline_predicted(pipeline, network, options, parts, size):
    """Return the seconds of a step by the model, from pieces that are timed now."""
    batch, repeats, inside = options.batch, options.repeats, pipeline is not None

    def pieces():
        return pipeline_pieces(pipeline, network, batch, parts, repeats)

    forward, update, look = together(pieces if inside else None)
    message = errors_seconds = None
    if inside and size > 1:
        if pipeline.rank < 2:
            message = ping(pipeline._comm, (network.heads, -(-batch // parts), 2 * network.width), 10 * repeats)
        dist.barrier(pipeline._comm.group)
        errors_seconds = errors(pipeline._comm, (batch, network.columns), 10 * repeats)
    message, errors_seconds = (slowest(message), slowest(errors_seconds)) if size > 1 else (0.0, 0.0)
    looks = look * max(1, size / CORES) / min(BATCHES_PER_CHECK, options.batches)
    step = schedule(size, parts, min(CORES, size), forward, message, errors_seconds, update) + looks
    pieces = {"forward": forward * parts, "update": update, "message": message, "errors": errors_seconds, "look": looks}
    return step, pieces


def data_parallel_predicted(shared, network, options, size):
    """Return the seconds of a step by the model, likewise."""
    inside, rows = shared is not None, options.batch // size
    random = np.random.default_rng(0)
    x = random.random((rows, network.in_)).astype(network.dtype)
    error = random.normal(0, 0.1, (rows, network.columns)).astype(network.dtype)

    def pieces():
        backend, own = shared._backend, {"weights": shared._weights}

        def learn():
            _, trace = backend.trace(network, own["weights"], x)
            own["weights"] = backend.update(network, shared._local, own["weights"], trace, error * 0)

        def copies():  # to the host, its mean, a look, and back
            host = backend.to_host(own["weights"])
            for value in host.values():
                value /= 1
            first_in_weights(host)
            backend.from_host(host)

        return [seconds(options.repeats, call, time.thread_time) for call in (learn, copies)]

    compute, copying = together(pieces if inside else None)
    added = None
    if inside and size > 1:
        weights = shared.weights
        added = seconds(options.repeats, lambda: [shared._comm.all_reduce(value) for value in weights.values()])
    added = slowest(added) if size > 1 else 0.0
    return shared_cores(size, CORES, compute, copying, added), {
        "compute": compute,
        "copies": copying,
        "all-reduce": added,
    }


def measured(shared, x, target, options):
    """Return the seconds of a step in `fit`."""
    start = clock()
    if shared is not None:
        shared.fit(x, target, batch_size=options.batch, shuffle=False)
    return (clock() - start) / (len(target) // options.batch)


def check(shared, network, options, x, target):
    """Compare the weights after three batches with those of one process, and say how."""
    rows = 3 * options.batch
    shared.fit(x[:rows], target[:rows], batch_size=options.batch, shuffle=False)
    ed = shared.to_ed()
    if shared.rank:
        return
    alone = ED.from_network(network, Rule(), seed=1, backend="numba")
    alone.fit(x[:rows], target[:rows], batch_size=options.batch, shuffle=False)
    same = all(np.array_equal(value, alone.weights[key]) for key, value in ed.weights.items())
    most = max(abs(value - alone.weights[key]).max() for key, value in ed.weights.items())
    kind = type(shared).__name__
    print(f"{kind} on {shared.size}: {'the same bits' if same else f'within {most:.1e}'} as one process", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=4096)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--parts", type=int, nargs="+", default=[1, 2, 4], help="of a batch, in a pipeline")
    parser.add_argument("--batches", type=int, default=BATCHES_PER_CHECK, help="in each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5, help="of a piece in a round")
    options = parser.parse_args()
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    network = Network(in_=784, width=options.width, depth=options.depth)
    random = np.random.default_rng(0)
    samples = options.batch * options.batches
    x = random.random((samples, network.in_)).astype(np.float32)
    target = random.integers(0, 2, samples).astype(np.float32)

    sizes = sorted({1, 2, world})
    groups = {size: dist.new_group(list(range(size))) for size in sizes}
    settings = [(Pipeline, size, parts) for size in sizes for parts in options.parts]
    settings += [(DataParallel, size, None) for size in sizes]
    compared = set()
    predictions, steps, pieces = defaultdict(list), defaultdict(list), {}
    for turn in range(options.rounds + 1):
        for setting in settings:
            kind, size, parts = setting
            shared = None
            if rank < size:
                more = {} if parts is None else {"parts": parts}
                shared = kind(network, Rule(), seed=1, backend="numba", group=groups[size], **more)
                if (kind, size) not in compared:
                    check(shared, network, options, x, target)
                    compared.add((kind, size))
            if kind is Pipeline:
                predicted, found = pipeline_predicted(shared, network, options, parts, size)
            else:
                predicted, found = data_parallel_predicted(shared, network, options, size)
            count = options.batch * (options.batches if kind is Pipeline else options.batches // 4)
            step = measured(shared, x[:count], target[:count], options)
            if turn:
                predictions[setting].append(predicted)
                steps[setting].append(step)
                pieces.setdefault(setting, []).append(found)
    if rank == 0:
        report(options, settings, predictions, steps, pieces)
    dist.destroy_process_group()


def report(options, settings, predictions, steps, pieces):
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    print(
        f"\n{datetime.date.today()}, edcore {edcore.__version__} ({commit.strip()}), numba, {CORES} cores, gloo; depth "
        f"{options.depth}, width {options.width}, batch {options.batch}; {options.rounds} rounds of {options.batches} "
        f"batches (data-parallel: a quarter), medians (load {os.getloadavg()[0]:.1f})\n"
    )
    print("| kind | processes | parts | measured, ms | fastest … slowest | model, ms | measured / model | pieces, ms |")
    print("|---|---:|---:|---:|---|---:|---:|---|")
    for setting in settings:
        kind, size, parts = setting
        step, model = statistics.median(steps[setting]), statistics.median(predictions[setting])
        spread = f"{1e3 * min(steps[setting]):.1f} … {1e3 * max(steps[setting]):.1f}"
        listed = ", ".join(
            f"{name} {1e3 * statistics.median([found[name] for found in pieces[setting]]):.2f}"
            for name in pieces[setting][0]
        )
        print(
            f"| {kind.__name__} | {size} | {parts or ''} | {1e3 * step:.1f} | {spread} | {1e3 * model:.1f} | "
            f"{step / model:.2f} | {listed} |"
        )


if __name__ == "__main__":
    main()
