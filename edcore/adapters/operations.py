"""The operations in which array libraries differ, and how to repeat them: directly, or from a recorded graph."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, NamedTuple, Protocol, Self, TypeAlias, TypeVar

from edcore.arrays import Array
from edcore.core import activations
from edcore.core.activations import Activation

Work: TypeAlias = Callable[[], None]

Runner: TypeAlias = Callable[[Work], None]
"""It is given the same work each time, and does it."""

Stream = TypeVar("Stream")


class Form(NamedTuple):
    """How a layer's cells follow from its sources: f(slope · (x W + active · bias))."""

    activation: Activation
    slope: float
    active: float  # the activity of the bias cells


class Operations(Protocol):
    """What differs between libraries. Results are written into the last argument.

    Attributes
    ----------
    activations : collection of str
        The activations that it has, beside softmax.
    slab : int
        Numbers δ that are computed at once: few enough for a CPU's cache, or for a GPU's memory.
    """

    activations: Collection[str]
    slab: int

    def with_memory(self, left: int, right: int) -> Self:
        """Return operations with the memory that they need beside what they are given, or themselves.

        Their products have operands of so many numbers at most. They are kept while recorded work may be played.
        """
        return self

    def scales_biases(self, heads: int) -> bool:
        """Return whether `layer` takes slope · active · bias, as one row (cells,), computed for all layers at once."""
        ...

    def layer(self, x: Array, weight: Array, bias: Array, form: Form, y: Array) -> None:
        """Compute y = f(slope · (x W + active · bias)), of one layer: (batch, cells), or (heads, batch, cells)."""
        ...

    def activate(self, form: Form, y: Array) -> None:
        """Replace z by f(slope · z) in y."""
        ...

    def softmax(self, z: Array) -> Array:
        """Return the softmax of z over its last axis, in new memory."""
        return activations.softmax(z)

    def squares(self, z: Array, total: Array) -> None:
        """Compute the sum of z² over the cells, which `total` has as an axis of 1."""
        ...

    def delta(self, activation: Activation, factor: Array, y: Array, delta: Array) -> None:
        """Compute δ = factor · g(y), of layers (layers, heads, batch, cells) that share the factor."""
        ...

    def needs_product_memory(self, batch: int) -> bool:
        """Return whether `accumulate` needs memory for the product, before it adds that to the weights."""
        ...

    def accumulate(self, x: Array, delta: Array, product: Array | None, weight: Array) -> None:
        """Add einsum("lhbi,lhbj->lhij", x, δ): one product for each layer and head, which contracts the batch.

        It takes no new memory, so that too little of it is found before the first weight changes.
        """
        ...

    def runner(self) -> Runner:
        """Return a runner for one piece of work."""
        ...

    def computing(self) -> AbstractContextManager[None]:
        """Return a context for one call, in which it gives the device work that follows the work of earlier calls."""
        ...


def run_directly(work: Work) -> None:
    """Do the work."""
    work()


class StreamOrder(Generic[Stream]):
    """Calls one at a time, each on the stream that is current in its thread, after the work of the call before.

    Graphs read and write at fixed addresses, which calls of several threads and on several streams may share.
    """

    def __init__(self, current: Callable[[], Stream], wait: Callable[[Stream, Stream], object]) -> None:
        self._current, self._wait = current, wait
        self._lock = threading.RLock()
        self._before: Stream | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Wait for the call before: the host until it has given all its work, the stream until that is done."""
        with self._lock:
            stream = self._current()
            if self._before is not None and self._before != stream:
                self._wait(stream, self._before)
            self._before = stream
            yield


class RecordedGraph:
    """Run work directly the first time, record it the second time, and replay it from then on.

    The first run warms the library up: compiling or allocating is not allowed while a graph is recorded.
    `record(work)` returns what replays the work on the current stream, or None if it cannot be recorded.
    """

    def __init__(self, record: Callable[[Work], Work | None]) -> None:
        self._record = record
        self._replay: Work | None = None
        self._runs = 0

    def __call__(self, work: Work) -> None:
        """Do the work, or replay it."""
        self._runs += 1
        if self._runs == 2:
            self._replay = self._record(work)
        (self._replay or work)()
