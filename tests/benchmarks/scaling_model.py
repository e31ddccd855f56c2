"""The model of docs/explanation/scaling.md: seconds of a step, and bytes, for networks on many devices.

    python tests/benchmarks/scaling_model.py        # the page's tables of networks of 10⁹ and 10¹² weights

`scaling.py` times the pieces on processes, has them put together here, and measures the steps that should come out.
"""

import math
from dataclasses import dataclass, replace

ITEM = 4
"""Bytes of a number."""


@dataclass(frozen=True)
class Device:
    """A device and its link to the others."""

    flops: float  # a second
    bandwidth: float  # of its memory, bytes a second
    memory: float  # bytes
    layer: float  # least seconds of a layer, as each waits for the one before
    latency: float  # of a message, seconds
    link: float  # bytes a second


@dataclass(frozen=True)
class Stack:
    """A network of many equal layers, of `cells` cells (both signs), that learns batches of float32."""

    cells: int
    depth: int
    batch: int

    @property
    def weights(self):
        return self.depth * self.cells**2


def forward(stack, device, layers, rows, products=1):
    """Return the seconds in which rows go through layers: products or reading the weights, plus latencies."""
    products = products * 2 * rows * stack.cells**2 / device.flops
    moved = (stack.cells**2 + rows * stack.cells) * ITEM / device.bandwidth
    return layers * (device.layer + max(products, moved))


def update(stack, device, layers, rows):
    """Return the seconds in which all layers learn at once: products, or reading and writing the weights."""
    products = 2 * rows * layers * stack.cells**2 / device.flops
    moved = layers * (2 * stack.cells**2 + rows * stack.cells) * ITEM / device.bandwidth
    return max(products, moved)


def message(device, numbers):
    """Return the seconds to send numbers to another device."""
    return device.latency + numbers * ITEM / device.link


def filled(ranks, parts, forward, message):
    """Return the seconds in which a batch goes through a pipeline, from its pieces.

    The first part fills it, and the others follow at the pace of the slower of both.

    Parameters
    ----------
    ranks, parts : int
        Devices, and parts of the batch.
    forward, message : float
        Seconds of a part on a device, and of its message to the next one.
    """
    pace = max(forward, message) if ranks > 1 else forward
    return (ranks - 1) * (forward + message) + (parts - 1) * pace + forward


def pipeline(stack, device, ranks, parts):
    """Return the seconds of a step of a pipeline, with a device for each rank."""
    layers, rows = stack.depth / ranks, stack.batch / parts
    sent = message(device, rows * stack.cells) if ranks > 1 else 0.0
    errors = math.ceil(math.log2(ranks)) * message(device, stack.batch)
    passed = filled(ranks, parts, forward(stack, device, layers, rows), sent)
    return passed + errors + update(stack, device, layers, stack.batch)


def back_propagation(stack, device, ranks, parts):
    """Return the seconds of a step of back-propagation in the same pipeline: errors go back, part by part.

    A layer's way back has twice the products of its way forward, for the gradients and for the errors, and reads the
    weights; they are changed once, at the end.
    """
    layers, rows = stack.depth / ranks, stack.batch / parts
    sent = message(device, rows * stack.cells) if ranks > 1 else 0.0
    there, back = forward(stack, device, layers, rows), forward(stack, device, layers, rows, products=2)
    changed = layers * 3 * stack.cells**2 * ITEM / device.bandwidth
    return filled(ranks, parts, there, sent) + filled(ranks, parts, back, sent) + changed


def data_parallel(stack, device, ranks):
    """Return the seconds of a step in which each rank has all layers, and a ring adds up the weights."""
    rows = stack.batch / ranks
    added = 2 * (ranks - 1) * message(device, stack.weights / ranks)
    return forward(stack, device, stack.depth, rows) + update(stack, device, stack.depth, rows) + added


def bytes_needed(stack, ranks):
    """Return the bytes at each rank of a pipeline: its weights, and the activities that wait for the error."""
    return stack.depth / ranks * (stack.cells**2 + (stack.batch + 1) * stack.cells) * ITEM


def shared_cores(ranks, cores, compute, copies, added):
    """Return the seconds of a data-parallel step from its pieces, where processes share the cores."""
    return (compute + copies) * max(1, ranks / cores) + added


def schedule(ranks, parts, cores, forward, message, errors, update):
    """Return the seconds of a step of a pipeline of processes, of which there may be more than cores.

    With a core for each it is `filled`, the errors and an update.

    Parameters
    ----------
    ranks, parts, cores : int
        Processes, parts of a batch, and cores, which all processes that have something to do share evenly.
    forward, message, errors, update : float
        Seconds, on a core: of a part in a process, of a message, of the broadcast, of a process's update.
    """
    ready = {(0, part): 0.0 for part in range(parts)}  # when a part has arrived
    free = dict.fromkeys(range(ranks), 0.0)  # when the link to the next process is
    tasks = {rank: [*range(parts), "update"] for rank in range(ranks)}
    left = {}  # seconds left of the task that a process has begun
    learnt, now = math.inf, 0.0
    while any(tasks.values()):
        begins = {
            rank: learnt if todo[0] == "update" else ready.get((rank, todo[0])) for rank, todo in tasks.items() if todo
        }
        begins = {rank: begin for rank, begin in begins.items() if begin is not None}
        running = [rank for rank, begin in begins.items() if begin <= now]
        for rank in running:
            left.setdefault(rank, update if tasks[rank][0] == "update" else forward)
        share = min(1.0, cores / len(running)) if running else 1.0
        wait = min([left[rank] / share for rank in running] + [begin - now for begin in begins.values() if begin > now])
        now += wait
        for rank in running:
            left[rank] -= wait * share
            if left[rank] > 1e-12:
                continue
            del left[rank]
            done = tasks[rank].pop(0)
            if done != "update" and rank + 1 < ranks:
                free[rank] = ready[rank + 1, done] = max(now, free[rank]) + message
            elif done == parts - 1:
                learnt = now + errors
    return now


NVLINK = Device(flops=67e12, bandwidth=4.8e12, memory=141e9, layer=0.5e-6, latency=10e-6, link=450e9)
"""An H200, float32 without tensor cores, and NVLink, as the vendor gives them; a layer and the latency are guesses."""

ETHERNET = Device(flops=67e12, bandwidth=4.8e12, memory=141e9, layer=0.5e-6, latency=20e-6, link=50e9)
"""The same with a link of 400 Gbit/s for each."""

H100 = Device(flops=67e12, bandwidth=3.35e12, memory=80e9, layer=0.5e-6, latency=10e-6, link=450e9)
"""An H100 (SXM), by the vendor's figures and the same guesses."""

STACKS = {
    "10⁹, narrow": Stack(cells=64, depth=244_141, batch=64),
    "10⁹, wide": Stack(cells=4096, depth=60, batch=1024),
    "10¹², wide": Stack(cells=32_768, depth=931, batch=4096),
}


LANGUAGE, TOKENS_PER_WEIGHT = Stack(cells=8192, depth=15, batch=128), 20
"""The largest model of `language_scale.py`, without its input and output layers, and the tokens that it is to see."""

CLUSTERS = (
    *(("H100", H100, 1, batch) for batch in (1, 32, 128, 1024)),
    *(("H200", NVLINK, ranks, batch) for ranks in (1, 5, 15) for batch in (128, 1024, 8192)),
)
"""GPUs, how many, and the samples of a batch. Beyond 8 devices the link is that of `ETHERNET`."""


def best(step, stack, device, ranks):
    """Return the seconds of a step with the best number of parts, and that number."""
    return min((step(stack, device, ranks, 2**k), 2**k) for k in range(int(math.log2(stack.batch)) + 1))


HEAD = (
    *("weights", "layers × cells", "batch", "devices", "link", "GB on each", "parts", "a step, ms"),
    *("× one device", "back-propagation, ms", "data-parallel, ms"),
)


LANGUAGE_HEAD = (
    *("GPU", "devices", "batch", "GB on each", "parts", "a step, ms", "tokens a second", "days"),
    *("back-propagation, GB", "parts", "a step, ms", "days"),
)


def language(device, ranks, batch):
    """Return the cells of a row on the language model: ED, then back-propagation."""
    stack = replace(LANGUAGE, batch=batch)
    if ranks > 8:
        device = replace(ETHERNET, flops=device.flops, bandwidth=device.bandwidth)
    tokens = TOKENS_PER_WEIGHT * stack.weights
    seconds, parts = best(pipeline, stack, device, ranks)
    back, back_parts = best(back_propagation, stack, device, ranks)
    needed = bytes_needed(stack, ranks)
    gradients = ITEM * stack.weights / ranks  # as large as the weights
    return (
        *(f"{needed / 1e9:,.2f}", parts, f"{1e3 * seconds:,.2f}", f"{batch / seconds:,.0f}"),
        *(f"{tokens / batch * seconds / 86400:,.1f}", f"{(needed + gradients) / 1e9:,.2f}", back_parts),
        *(f"{1e3 * back:,.2f}", f"{tokens / batch * back / 86400:,.1f}"),
    )


def main():
    """Print the tables."""
    print(f"| {' | '.join(LANGUAGE_HEAD)} |\n|---|{'---:|' * 11}")
    for name, device, ranks, batch in CLUSTERS:
        cells = name, ranks, f"{batch:,}", *language(device, ranks, batch)
        print(f"| {' | '.join(map(str, cells))} |")
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * 2}---:|---:|---|{'---:|' * 6}")
    for name, stack in STACKS.items():
        alone = pipeline(stack, NVLINK, 1, 1)
        for ranks in (1, 8, 32, 512):
            needed = bytes_needed(stack, ranks)
            if needed > NVLINK.memory or ranks > stack.depth:
                continue
            device, link = (NVLINK, "NVLink") if ranks <= 8 else (ETHERNET, "400 Gbit/s")
            seconds, parts = best(pipeline, stack, device, ranks)
            back, _ = best(back_propagation, stack, device, ranks)
            whole = "does not fit" if ranks <= stack.batch else "too few samples"
            if bytes_needed(stack, 1) < device.memory and ranks <= stack.batch:
                whole = f"{1e3 * data_parallel(stack, device, ranks):,.1f}"
            cells = (
                *(name, f"{stack.depth:,} × {stack.cells:,}", f"{stack.batch:,}", ranks, link if ranks > 1 else ""),
                *(f"{needed / 1e9:,.2f}", parts, f"{1e3 * seconds:,.1f}", f"{alone / seconds:,.1f}"),
                *(f"{1e3 * back:,.1f}", whole),
            )
            print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
