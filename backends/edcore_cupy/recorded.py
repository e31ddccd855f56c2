"""The in-place operations of CuPy on a GPU: fused element-wise kernels, recordable products, CUDA graphs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cupy

from edcore.adapters.operations import Form, RecordedGraph, Runner, StreamOrder, Work
from edcore.arrays import Array
from edcore.core.activations import Activation

from . import cublas
from .arrays import ArrayOperations
from .cublas import Product

logger = logging.getLogger("edcore")

activate = cupy.ElementwiseKernel(
    "T bias, T active, T slope", "T y", "y = 1 / (1 + exp(-slope * (y + active * bias)))", "edcore_activate"
)
"""Replaces the products in y by the activities of sigmoid cells."""

add_bias = cupy.ElementwiseKernel("T bias, T active", "T y", "y = y + active * bias", "edcore_add_bias")

derive = cupy.ElementwiseKernel("T factor, T y", "T delta", "delta = factor * y * (1 - y)", "edcore_derive")
"""Computes δ of sigmoid cells."""


class RecordedOperations(ArrayOperations):
    """`Operations` of CuPy with a product of cuBLAS that works on any stream, also on one that is recorded."""

    def __init__(self, slab: int, product: Product, order: StreamOrder[Any]) -> None:
        super().__init__(cupy, slab)
        self._product, self._order = product, order

    def layer(self, x: Array, weight: Array, bias: Array, form: Form, y: Array) -> None:
        """Compute the activities by a product and, for a sigmoid, one kernel."""
        self._multiply(x, weight, y)
        number = y.dtype.type
        if form.activation == "sigmoid":
            activate(bias, number(form.active), number(form.slope), y)
        else:
            add_bias(bias, number(form.active), y)
            self.activate(form, y)

    def delta(self, activation: Activation, factor: Array, y: Array, delta: Array) -> None:
        """Compute δ, for a sigmoid by one kernel."""
        if activation == "sigmoid":
            derive(factor, y, delta)
        else:
            super().delta(activation, factor, y, delta)

    def needs_product_memory(self, batch: int) -> bool:
        """Return False: cuBLAS sums over the batch first, and then adds to the weights."""
        return False

    def accumulate(self, x: Array, delta: Array, product: Array | None, weight: Array) -> None:
        """Add the contraction over the batch, within the product itself."""
        self._product(x.swapaxes(-1, -2), delta, 1, weight)

    def _multiply(self, a: Array, b: Array, out: Array) -> None:
        self._product(a, b, 0, out)

    def runner(self) -> Runner:
        """Return a runner that records a CUDA graph."""
        return RecordedGraph(self._record)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Let one call follow another."""
        with self._order():
            self._product.prepare()
            yield

    def _record(self, work: Work) -> Work | None:
        try:
            return record(work, self._product.prepare)
        finally:
            self._product.prepare()


def record(work: Work, begin: Work = lambda: None) -> Work | None:
    """Return a replay of the work as a CUDA graph on the current stream, or None where it cannot be recorded.

    `begin` is called first, on the stream on which the work is recorded.
    """
    # Nothing runs on this stream: its work is only recorded. The default stream cannot be captured.
    stream = cupy.cuda.Stream(non_blocking=True)
    try:
        with stream:
            begin()
            stream.begin_capture()
            try:
                work()
            finally:
                graph = stream.end_capture()  # also after an error: a stream left in capture refuses all other work
    except Exception as error:
        logger.info("cupy: the layers' work is not recorded as a CUDA graph: %r", error)
        return None
    replay: Work = graph.launch
    return replay


def shared(device: int) -> tuple[Product, StreamOrder[Any]]:
    """Return what all backends on a device share: the product, whose workspace is large, and so the order of calls."""
    if device not in _shared:
        order = StreamOrder(cupy.cuda.get_current_stream, lambda stream, before: stream.wait_event(before.record()))
        _shared.setdefault(device, (cublas.load(cupy), order))  # of two threads, the first sets it
    return _shared[device]


_shared: dict[int, tuple[Product, StreamOrder[Any]]] = {}
