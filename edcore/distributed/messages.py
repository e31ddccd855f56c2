"""Arrays between processes: torch.distributed, and what it needs to know of other libraries' arrays."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from edcore.arrays import Array, to_numpy
from edcore.errors import EDCoreError, InputError


class Message:
    """Something under way.

    Parameters
    ----------
    tensor : torch.Tensor
        What is sent, or where what comes is written to.
    work : torch.distributed.Work
        The transfer.
    """

    def __init__(self, tensor: Any, work: Any) -> None:
        self._tensor, self._work = tensor, work

    def wait(self) -> Array:
        """Return the array, once it is there: NumPy's on the CPU, else PyTorch's."""
        self._work.wait()
        return self._tensor.numpy() if self._tensor.device.type == "cpu" else self._tensor


class Wire:
    """The processes of a group of torch.distributed.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup, optional
        The processes. Left out, all of them.

    Attributes
    ----------
    rank, size : int
        This process's number in the group, from 0, and how many there are.

    Raises
    ------
    EDCoreError
        If PyTorch is missing, or has no process group yet.
    """

    def __init__(self, group: Any = None) -> None:
        try:
            self._torch = importlib.import_module("torch")
        except ImportError as error:
            raise EDCoreError(
                'edcore.distributed needs PyTorch, which carries its messages: pip install "edcore[torch]".'
            ) from error
        self._dist = self._torch.distributed
        if not (self._dist.is_available() and self._dist.is_initialized()):
            raise EDCoreError(
                "edcore.distributed needs a process group: start the program with torchrun --nproc-per-node N and call "
                'torch.distributed.init_process_group("gloo") in it before this ("nccl" between GPUs).'
            )
        self.group = group
        self.rank: int = self._dist.get_rank(group)
        self.size: int = self._dist.get_world_size(group)
        if self.rank < 0:
            raise InputError("group", repr(group), "a group that this process belongs to")
        # What gloo sends lies in the host's memory, what NCCL sends on this process's GPU.
        gpu = "nccl" in str(self._dist.get_backend(group))
        self.device = (
            self._torch.device("cuda", self._torch.cuda.current_device()) if gpu else self._torch.device("cpu")
        )

    def send(self, array: Array, to: int) -> Message:
        """Send an array to a rank. It must not change before the message's `wait` has returned."""
        tensor = self._tensor(array)
        return Message(tensor, self._dist.isend(tensor, group=self.group, group_dst=to))

    def receive(self, shape: tuple[int, ...], dtype: str, source: int) -> Message:
        """Expect an array from a rank; messages of one rank come in the order in which it sent them."""
        tensor = self._torch.empty(shape, dtype=getattr(self._torch, dtype), device=self.device)
        return Message(tensor, self._dist.irecv(tensor, group=self.group, group_src=source))

    def broadcast(self, array: Array, source: int) -> Array:
        """Return one rank's array at each; the others give one of the same shape, which may be written to."""
        tensor = self._tensor(array)
        self._dist.broadcast(tensor, group=self.group, group_src=source)
        return self._array(tensor)

    def add_up(self, array: Array) -> Array:
        """Return the sum of all ranks' arrays at each; what was given may be written to."""
        tensor = self._tensor(array)
        self._dist.all_reduce(tensor, group=self.group)
        return self._array(tensor)

    def everyones(self, value: Any) -> list[Any]:
        """Return what each rank has given, by rank: small values of plain Python."""
        values: list[Any] = [None] * self.size
        self._dist.all_gather_object(values, value, group=self.group)
        return values

    def gathered(self, value: Any) -> list[Any] | None:
        """Return what each rank has given at rank 0, None at the others."""
        values: list[Any] | None = [None] * self.size if self.rank == 0 else None
        self._dist.gather_object(value, values, group=self.group, group_dst=0)
        return values

    def agree(self, settings: dict[str, Any]) -> None:
        """Refuse settings that are not the same at all ranks: each would wait for messages of another kind."""
        theirs: Sequence[dict[str, Any]] = self.everyones(settings)
        for rank, other in enumerate(theirs):
            for name, value in other.items():
                if value != theirs[0][name]:
                    accepted = f"{theirs[0][name]!r} as at rank 0"
                    raise InputError(name, f"{value!r} at rank {rank}", accepted, "All processes are given the same.")

    def _tensor(self, array: Array) -> Any:
        if isinstance(array, self._torch.Tensor):
            return array.detach().to(self.device).contiguous()
        return self._torch.from_numpy(np.require(to_numpy(array), requirements=["C", "W"])).to(self.device)

    def _array(self, tensor: Any) -> Array:
        return tensor.numpy() if tensor.device.type == "cpu" else tensor
