"""The in-place operations of PyTorch: a product with its bias in one call, and CUDA graphs."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from edcore.adapters.operations import Form, Operations, RecordedGraph, Runner, StreamOrder, Work, run_directly
from edcore.arrays import Array
from edcore.core.activations import Activation, ByName
from edcore.interrupts import ForkLock, uninterrupted

CPU_SLAB, GPU_SLAB = 2**20, 2**26
"""Numbers δ at once: they fit a CPU's cache beside x, y and the weights; on a GPU they take a part of its memory."""

recording = ForkLock()
"""Held while a graph is recorded: PyTorch records one at a time, and waits for the device before, which would break a
recording of another thread."""

POLL = 1e-5
"""Seconds between two looks at whether other threads' calls are over."""

logger = logging.getLogger("edcore")

ACTIVATE: ByName[Callable[[Array], Any]] = ByName(
    "activation",
    {
        "sigmoid": torch.sigmoid_,
        "tanh": torch.tanh_,
        "relu": torch.relu_,
        "relu6": functools.partial(torch.clamp_, min=0, max=6),
        "linear": lambda y: y,
    },
)

derivatives = torch.ops.aten
DERIVE: ByName[Callable[[Array, Array, Array], Any]] = ByName(
    "activation",
    {
        "sigmoid": lambda factor, y, delta: derivatives.sigmoid_backward.grad_input(factor, y, grad_input=delta),
        "tanh": lambda factor, y, delta: derivatives.tanh_backward.grad_input(factor, y, grad_input=delta),
        "relu": lambda factor, y, delta: derivatives.threshold_backward.grad_input(factor, y, 0, grad_input=delta),
        "relu6": lambda factor, y, delta: derivatives.hardtanh_backward.grad_input(factor, y, 0, 6, grad_input=delta),
        "linear": lambda factor, y, delta: delta.copy_(factor),
    },
)


class TorchOperations(Operations):
    """`Operations` on tensors of one device, which write into given memory alone, so that a graph can record them."""

    activations: Collection[str] = ACTIVATE

    def __init__(self, device: Any) -> None:
        self.slab = CPU_SLAB if device.type == "cpu" else GPU_SLAB
        self._device = device
        self._shared = _shared.setdefault(str(device), _Shared(device))

    def scales_biases(self, heads: int) -> bool:
        """Return whether the product can add a bias within its kernel."""
        # It does so on CUDA, for a bias that is one row and has a factor of 1; else a kernel copies the bias first.
        return self._device.type == "cuda" and heads == 1

    def layer(self, x: Array, weight: Array, bias: Array, form: Form, y: Array) -> None:
        """Compute the activities with the bias added by the product."""
        # For one head, addmm: it takes less time to call than the batched product.
        linear = torch.addmm if y.ndim == 2 else torch.baddbmm
        beta = 1 if bias.ndim == 1 else form.slope * form.active
        linear(bias, x, weight, beta=beta, alpha=form.slope, out=y)
        ACTIVATE[form.activation](y)

    def activate(self, form: Form, y: Array) -> None:
        """Compute the activities in place."""
        if form.slope != 1:
            y *= form.slope
        ACTIVATE[form.activation](y)

    def softmax(self, z: Array) -> Array:
        """Return the softmax by PyTorch's kernel."""
        return torch.softmax(z, dim=-1)

    def squares(self, z: Array, total: Array) -> None:
        """Compute the sum as a norm, which needs no memory for the squares."""
        torch.linalg.vector_norm(z, dim=-1, keepdim=True, out=total).square_()

    def delta(self, activation: Activation, factor: Array, y: Array, delta: Array) -> None:
        """Compute δ by PyTorch's kernel for the activation's derivative."""
        DERIVE[activation](factor, y, delta)

    def needs_product_memory(self, batch: int) -> bool:
        """Return whether a product that adds to the weights would be imprecise."""
        # On some processors MKL adds the samples to the weights one by one, for some shapes. Each is then rounded at
        # the size of the weights, and what is below half of its last digit is lost, however many samples there are.
        return self._device.type == "cpu" and batch > 1

    def accumulate(self, x: Array, delta: Array, product: Array | None, weight: Array) -> None:
        """Add the product of each layer and head to its weights."""
        target = weight if product is None else product
        target = target.view(-1, *target.shape[2:])  # raises if it would copy: the weights would not change
        x, delta = x.flatten(0, 1).mT, delta.flatten(0, 1)
        if product is None:
            target.baddbmm_(x, delta)
        else:
            torch.bmm(x, delta, out=target)
            weight += product

    def runner(self) -> Runner:
        """Return a runner that records a CUDA graph; on other devices, one that does the work each time."""
        if self._device.type != "cuda":
            return run_directly
        return RecordedGraph(self._record)

    def computing(self) -> AbstractContextManager[None]:
        """Return a context in which one call follows another; on other devices, one that does nothing."""
        return self._turn(calls.full()) if self._device.type == "cuda" else nullcontext()

    @contextmanager
    def _turn(self, alone: AbstractContextManager[None]) -> Iterator[None]:
        with self._shared.order(), alone:
            yield

    def _record(self, work: Work) -> Work | None:
        """Return a replay of the work as a CUDA graph on the current stream; None if it cannot be recorded."""
        graph = torch.cuda.CUDAGraph()
        # Thread-local, as other threads may go on with calls that a recording of the whole process would forbid.
        options = {"stream": self._shared.recorded(), "capture_error_mode": "thread_local"}
        # A recording that fails leaves that stream current, so this puts back the one before.
        restored = torch.cuda.stream(torch.cuda.current_stream(self._device))
        try:
            with recording, uninterrupted(), restored, torch.cuda.graph(graph, **options):
                work()
        except RuntimeError as error:
            logger.info("torch: the layers' work is not recorded as a CUDA graph: %s", error)
            return None
        replay: Work = graph.replay
        return replay


class _Shared:
    """What all backends on a device share: the stream on which graphs are recorded, and so the order of calls.

    PyTorch keeps memory for cuBLAS for each stream that has had a product, which all graphs recorded there use.
    """

    def __init__(self, device: Any) -> None:
        self.order: StreamOrder[Any] = StreamOrder(
            lambda: torch.cuda.current_stream(device), lambda stream, before: stream.wait_stream(before)
        )
        # PyTorch's own stream for recordings is on the device that was used first.
        self.recorded = functools.cache(lambda: torch.cuda.Stream(device))


_shared: dict[str, _Shared] = {}


class _Calls:
    """Calls on GPUs: those at full precision side by side, one with products of TF32 alone.

    PyTorch's switch of TF32 is the whole process's, and would lower what other threads start meanwhile.
    """

    def __init__(self) -> None:
        self._lock = ForkLock()  # of the one with TF32
        self._lowered = False
        self._full: set[object] = set()  # a set, as an interrupt may come before or after a count has changed

    @contextmanager
    def full(self) -> Iterator[None]:
        """Be one of those at full precision."""
        call = object()
        try:
            self._full.add(call)
            while self._lowered:
                self._full.discard(call)
                with self._lock:  # until it is over
                    pass
                self._full.add(call)
            yield
        finally:
            self._full.discard(call)

    @contextmanager
    def lowered(self) -> Iterator[None]:
        """Be the one with products of TF32."""
        with self._lock:
            try:
                self._lowered = True
                while self._full:
                    time.sleep(POLL)
                yield
            finally:
                self._lowered = False


calls = _Calls()
