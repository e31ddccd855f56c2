"""Predict the cycles of a hidden layer from machine code: nothing here is measured.

A block with one warp for each of a multiprocessor's four schedulers has nothing to hide a wait behind. So its time is
that of one warp, instruction by instruction: each waits for the stall of the one before, and for the barriers that its
control bits name. How long those take is not in the machine code. It is assumed, as a lower and an upper figure, within
what public microbenchmarks of Volta to Hopper report (arXiv 1804.06826, 1903.07486, 2208.11174, 2402.13499).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.sass import Instruction, Layer

WARPS = 4
"""Warps of a block, one for each scheduler."""

TURNS = 6
"""Turns of the loop that are gone through; the last one counts, as the first ones start with nothing under way."""


@dataclass(frozen=True)
class Latencies:
    """Cycles until a result is there, by what makes it."""

    shared: int  # a load from shared memory
    shuffle: int
    special: int  # an exponential, a reciprocal, a root
    barrier: int  # of a block, when the last warp has come
    register: int  # a special register, a constant
    memory: int  # a load from device memory, or from L2
    other: int
    operands: int  # until a store has read its operands
    jump: int  # a branch that is taken
    broadcast: int
    """Parts of 128 bytes in which a load of 16 bytes a thread comes at least: 1 if its threads mostly read the same."""


SHORT = Latencies(
    shared=23, shuffle=22, special=18, barrier=20, register=20, memory=300, other=12, operands=6, jump=0, broadcast=1
)
LONG = Latencies(
    shared=31, shuffle=28, special=24, barrier=30, register=50, memory=800, other=20, operands=12, jump=10, broadcast=4
)


@dataclass(frozen=True)
class Card:
    """A GPU, from its data sheet; the speeds of the L2 cache are assumptions."""

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    clock: float  # cycles a second, boosted
    lanes: int  # of float32, for each scheduler
    memory: float  # bytes a second
    cache: tuple[float, float]  # bytes a second from L2, low and high


H100 = Card("H100", (9, 0), 132, 1.98e9, 32, 3.35e12, (4e12, 5.5e12))
RTX_3070 = Card("RTX 3070", (8, 6), 46, 1.73e9, 32, 448e9, (1e12, 2e12))
INTO_MULTIPROCESSOR = 64
"""Bytes a cycle that a multiprocessor takes from L2."""
SHARED_WIDTH = 128
"""Bytes a cycle that a multiprocessor's shared memory gives or takes."""


@dataclass(frozen=True)
class Prediction:
    """Cycles of a hidden layer: of the chain of instructions, and the least by each limit of memory."""

    chain: tuple[float, float]
    into_multiprocessor: float
    shared_memory: float
    cache: tuple[float, float]
    memory_once: float
    memory_each: float
    """Where each block reads the weights from memory, because none runs in step with another."""

    @property
    def layer(self) -> tuple[float, float]:
        """The least and the most, if the blocks run in step."""
        least = max(self.chain[0], self.into_multiprocessor, self.cache[0], self.memory_once)
        return least, max(least, self.chain[1], self.shared_memory, self.cache[1])


def predicted(layer: Layer, card: Card, blocks: int, layer_bytes: int) -> Prediction:
    """Return the prediction for a kernel whose blocks each read all weights, `layer_bytes` a layer."""
    low, high = (_turn(layer.path, latencies, card.lanes) / layer.layers for latencies in (SHORT, LONG))
    busy = sum(map(_shared_bytes, layer.path)) * WARPS / SHARED_WIDTH / layer.layers
    read = blocks * layer_bytes
    slow, fast = card.cache
    return Prediction(
        (low, high),
        layer_bytes / INTO_MULTIPROCESSOR,
        busy,
        (read / fast * card.clock, read / slow * card.clock),
        layer_bytes / card.memory * card.clock,
        read / card.memory * card.clock,
    )


def _bytes(instruction: Instruction) -> int:
    """Return the bytes of a load or store, for all threads of a warp."""
    modifiers = instruction.opcode.split(".")
    return 32 * (16 if "128" in modifiers else 8 if "64" in modifiers else 4)


def _shared_bytes(instruction: Instruction) -> int:
    """Return what an instruction moves through shared memory, at most."""
    if instruction.never or instruction.name not in ("LDS", "STS", "LDGSTS", "SHFL"):
        return 0
    return _bytes(instruction)


def _turn(path: tuple[Instruction, ...], latencies: Latencies, lanes: int) -> float:
    """Return the cycles of a turn of the loop, when many have gone before."""
    *_, before, last = _ends(path, latencies, lanes)
    return last - before


def _ends(path: tuple[Instruction, ...], latencies: Latencies, lanes: int) -> Iterator[float]:
    """Yield when each turn of the loop ends: one warp, while three others do the same."""
    now, shared, special, floats = (
        0.0,
        0.0,
        0.0,
        0.0,
    )  # when the next instruction starts, and until when units are taken
    barriers = [0.0] * 6
    until = {
        "SHFL": latencies.shuffle, "LDS": latencies.shared, "MUFU": latencies.special, "S2R": latencies.register,
        "S2UR": latencies.register, "LDC": latencies.register, "LDG": latencies.memory,
    }  # fmt: skip
    for _ in range(TURNS):
        for each in path:
            if each.never:
                now += each.stall
                continue
            start = max(now, *(barriers[barrier] for barrier in each.waits_for), 0)
            if each.name in ("FFMA", "FADD", "FMUL"):
                start = max(start, floats)
                floats = start + 32 / lanes
            begun = start
            if each.name in ("LDS", "STS", "SHFL"):
                begun = max(start, shared)
                parts = min(_shared_bytes(each) / SHARED_WIDTH, latencies.broadcast)
                shared = begun + parts * WARPS
                begun = shared - WARPS
            elif each.name == "MUFU":  # four lanes
                begun = max(start, special)
                special = begun + 8
            done, read = begun + until.get(each.name, latencies.other), begun + latencies.operands
            for barrier, when in ((each.sets_until_written, done), (each.sets_until_read, read)):
                if barrier < len(barriers):
                    barriers[barrier] = max(barriers[barrier], when)
            now = start + max(each.stall, 1)
            if each.name == "BAR":
                now = max(now, start + latencies.barrier)
        now += latencies.jump
        yield now
