"""The memory that a network needs, and the memory that a device has."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from edcore.core.network import Network

Supported: TypeAlias = Literal[True] | str
"""True, or the reason why not, as a sentence without its full stop."""


PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
"""Where Linux says what a process may have."""

UNLIMITED = 2**60
"""More bytes than any machine has: older control groups have a number near 2**63 where there is no limit."""


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
    """Return the memory of this machine, or what the container, the job or the shell lets this process have of it."""
    free, total = _machine()
    for limit, used in _limits():
        free, total = min(free, max(limit - used, 0)), min(total, limit)
    return Memory(free, total)


def _machine() -> Memory:
    """Return the memory of this machine; where a sandbox hides all figures, as much as there may be."""
    import psutil

    try:
        memory = psutil.virtual_memory()
        return Memory(int(memory.available), int(memory.total))
    except Exception:  # without /proc/meminfo, or with an empty one, it raises errors of several kinds
        try:
            pages = Memory(os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PHYS_PAGES"))
            return Memory(*(count * os.sysconf("SC_PAGE_SIZE") for count in pages))
        except (AttributeError, OSError, ValueError):
            return Memory(sys.maxsize, sys.maxsize)


def _limits() -> Iterator[tuple[int, int]]:
    """Yield each limit on this process's memory, and how much of it is in use."""
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(OSError, ValueError):  # elsewhere than on Linux there is no such file
        if 0 <= limit < UNLIMITED:
            yield limit, int(_read(PROC / "self/statm").split()[0]) * resource.getpagesize()
    for group, names in _groups(PROC, CGROUPS):
        with contextlib.suppress(OSError, ValueError):
            limit, used = (int(_read(group / name)) for name in names[:2])
            stat = dict(line.split() for line in _read(group / "memory.stat").splitlines())
            # Files that were read stay in memory only while there is room.
            yield limit, used - sum(int(stat.get(name, 0)) for name in names[2:])


@functools.cache
def _groups(proc: Path, top: Path) -> list[tuple[Path, tuple[str, ...]]]:
    """Return the control groups with a limit that this process is in, and the names of their figures, old or new."""
    try:
        lines = _read(proc / "self/cgroup").splitlines()
    except OSError:
        lines = []
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
    newer = top / paths.get("", "").lstrip("/")
    older = top / "memory" / paths.get("memory", "").lstrip("/")
    # The limits of the groups above hold too. In a container the path may be that of the host, and not be there.
    return [
        (group, names)
        for own, names in (
            (newer, ("memory.max", "memory.current", "active_file", "inactive_file")),
            (older, ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file", "total_inactive_file")),
        )
        for group in (own, *own.parents)
        if _is_limited(group / names[0])
    ]


def _is_limited(file: Path) -> bool:
    try:
        return int(_read(file)) < UNLIMITED
    except (OSError, ValueError):  # "max" is no number
        return False


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii")


def host_room() -> int:
    """Return the bytes that this process can still claim before the system ends a program, swap included."""
    import psutil

    with warnings.catch_warnings():  # a sandbox may hide some of its figures
        warnings.simplefilter("ignore")
        try:
            return host_memory().free + int(psutil.swap_memory().free)
        except Exception:
            return host_memory().free


def needed(network: Network, batch: int = 0) -> int:
    """Return the bytes of the network's weights, and of the activities of a batch in training."""
    cells = 2 * network.in_ + traced(network)
    return (network.parameters + batch * cells) * np.dtype(network.dtype).itemsize


def traced(network: Network) -> int:
    """Return the numbers that a trace keeps of each sample, beside x: activities, and slopes where there are any."""
    inner = 2 * network.hidden_count * (2 if network.rms else 1)
    return network.heads * (inner + network.weight_shapes["output.bias"][-1])


def fits(network: Network, memory: Memory) -> Supported:
    """Return True if an update of the network's weights fits into a device's memory, else the reason why not."""
    weights = 3 * needed(network)  # those before the update, those after it, and its largest intermediate
    if weights <= memory.total:
        return True
    has = memory.total / 2**30
    return f"its weights and their update need {weights / 2**30:,.1f} GiB, and the device has {has:,.1f} GiB"
