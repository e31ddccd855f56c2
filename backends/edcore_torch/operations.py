"""PyTorch's form of the operations: products with bias and output in one call, and CUDA graphs."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from typing import Any

import torch

from edcore.adapters.operations import Form, RecordedGraph, Runner, Work, run_directly
from edcore.arrays import Array
from edcore.core.activations import Activation
from edcore.interrupts import uninterrupted

CACHE, SHARE = 2**20, 2**26
"""Numbers δ at once: on a CPU what its cache holds beside x, y and the weights; on a GPU a share of its memory."""

SMALL = 16
"""Rows or columns below which a CPU's product that adds to the weights rounds at their size for each sample, and not
once for the sum over the batch (MKL)."""

recording = threading.Lock()
"""PyTorch records one graph at a time in a process, and waits for the device before, which breaks another recording."""

logger = logging.getLogger("edcore")

ACTIVATE: dict[Activation, Callable[[Array], Any]] = {
    "sigmoid": torch.sigmoid_,
    "tanh": torch.tanh_,
    "relu": torch.relu_,
    "relu6": functools.partial(torch.clamp_, min=0, max=6),
    "linear": lambda y: y,
}

derivatives = torch.ops.aten
DERIVE: dict[Activation, Callable[[Array, Array, Array], Any]] = {
    "sigmoid": lambda factor, y, delta: derivatives.sigmoid_backward.grad_input(factor, y, grad_input=delta),
    "tanh": lambda factor, y, delta: derivatives.tanh_backward.grad_input(factor, y, grad_input=delta),
    "relu": lambda factor, y, delta: derivatives.threshold_backward.grad_input(factor, y, 0, grad_input=delta),
    "relu6": lambda factor, y, delta: derivatives.hardtanh_backward.grad_input(factor, y, 0, 6, grad_input=delta),
    "linear": lambda factor, y, delta: delta.copy_(factor),
}


class TorchOperations:
    """See `edcore.adapters.in_place.Operations`.

    Parameters
    ----------
    device : torch.device
        Where the tensors are.
    """

    def __init__(self, device: Any) -> None:
        self.slab = CACHE if device.type == "cpu" else SHARE
        self._device = device
        self._stream: Any = None

    def layer(self, x: Array, weight: Array, bias: Array, form: Form, y: Array) -> None:
        """Compute the activities with the bias added by the product."""
        # One head needs no batched product: addmm takes less time to call.
        linear = torch.addmm if y.ndim == 2 else torch.baddbmm
        linear(bias, x, weight, beta=form.slope * form.active, alpha=form.slope, out=y)
        ACTIVATE[form.activation](y)

    def activate(self, form: Form, y: Array) -> None:
        """Compute the activities in place."""
        if form.slope != 1:
            y *= form.slope
        ACTIVATE[form.activation](y)

    def squares(self, z: Array, total: Array) -> None:
        """Compute the sum by the norm, which needs no memory for the squares."""
        torch.linalg.vector_norm(z, dim=-1, keepdim=True, out=total).square_()

    def delta(self, activation: Activation, factor: Array, y: Array, delta: Array) -> None:
        """Compute δ by the kernel that PyTorch has for an activation's derivative."""
        DERIVE[activation](factor, y, delta)

    def needs_product_memory(self, weight: Array) -> bool:
        """Return whether a product that adds would be imprecise, of all sources or of those of one sign."""
        return self._device.type == "cpu" and min(weight.shape[-2:]) < 2 * SMALL

    def accumulate(self, x: Array, delta: Array, product: Array | None, weight: Array) -> None:
        """Add the product of each layer and head to its weights."""
        target = weight if product is None else product
        target = target.view(-1, *target.shape[2:])  # or an error: a copy would be filled in its place
        x, delta = x.flatten(0, 1).mT, delta.flatten(0, 1)
        if product is None:
            target.baddbmm_(x, delta)
        else:
            torch.bmm(x, delta, out=target)
            weight += product

    def runner(self) -> Runner:
        """Return a player that records a CUDA graph; elsewhere the work is done anew each time."""
        return (
            RecordedGraph(functools.partial(_recorded, self._device)) if self._device.type == "cuda" else run_directly
        )

    def order_streams(self) -> None:
        """Let the stream in use wait for the one of the call before."""
        if self._device.type != "cuda":
            return
        stream = torch.cuda.current_stream(self._device)
        if self._stream is not None and self._stream != stream:
            stream.wait_stream(self._stream)
        self._stream = stream


def _recorded(device: Any, work: Work) -> Work | None:
    """Return what plays the work on the current stream as a graph; None if it cannot be recorded."""
    graph = torch.cuda.CUDAGraph()
    # PyTorch's own stream for this is on the device that was first used.
    how = {"stream": torch.cuda.Stream(device), "capture_error_mode": "thread_local"}
    # What fails leaves that stream in use, so the one before is put back here.
    restored = torch.cuda.stream(torch.cuda.current_stream(device))
    try:
        with recording, uninterrupted(), restored, torch.cuda.graph(graph, **how):
            work()
    except RuntimeError as error:
        logger.info("torch: the layers' work is not recorded as a CUDA graph: %s", error)
        return None
    replay: Work = graph.replay
    return replay
