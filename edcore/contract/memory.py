"""The memory that a network needs, and the memory that a device has."""

from __future__ import annotations

import importlib
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from edcore.core.network import Network

Supported: TypeAlias = Literal[True] | str
"""True, or the reason why not, as a sentence without its full stop."""


class Memory(NamedTuple):
    """The memory of a device, in bytes."""

    free: int
    total: int


def memory(library: str, device: Any) -> Memory:
    """Return the memory of the device; memory that a library keeps for later use counts as free."""
    match library:
        case "torch" if device.type == "cuda":
            cuda = importlib.import_module(library).cuda
            free, total = cuda.mem_get_info(device)
            return Memory(int(free + cuda.memory_reserved(device) - cuda.memory_allocated(device)), int(total))
        case "cupy":
            free, total = device.mem_info
            with device:
                kept = importlib.import_module(library).get_default_memory_pool().free_bytes()
            return Memory(int(free + kept), int(total))
        case "jax" if (stats := getattr(device, "memory_stats", lambda: None)()) and "bytes_limit" in stats:
            return Memory(int(stats["bytes_limit"] - stats.get("bytes_in_use", 0)), int(stats["bytes_limit"]))
        case _:
            return host_memory()


def host_memory() -> Memory:
    """Return the memory of this machine."""
    import psutil

    memory = psutil.virtual_memory()
    return Memory(int(memory.available), int(memory.total))


def needed(network: Network, batch: int = 0) -> int:
    """Return the bytes of the network's weights, and of the activities of a batch in training."""
    cells = 2 * network.in_ + traced(network)
    return (network.parameters + batch * cells) * np.dtype(network.dtype).itemsize


def traced(network: Network) -> int:
    """Return the numbers that a trace keeps of each sample, beside x: activities, and slopes where there are any."""
    inner = 2 * network.width * (network.depth + 1) * (2 if network.rms else 1)
    return network.heads * (inner + len(network.output_signs))


def fits(network: Network, memory: Memory) -> Supported:
    """Return True if an update of the network's weights fits into a device's memory, else the reason why not."""
    weights = 3 * needed(network)  # those before the update, those after it, and its largest intermediate
    if weights <= memory.total:
        return True
    has = memory.total / 2**30
    return f"its weights and their update need {weights / 2**30:,.1f} GiB, and the device has {has:,.1f} GiB"
