"""Messages between processes: arrays and small values, over torch.distributed."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from edcore.arrays import Array, to_numpy
from edcore.errors import EDCoreError, InputError


class Transfer:
    """A transfer in progress: an array that is being sent or received."""

    def __init__(self, tensor: Any, work: Any) -> None:
        # The tensor is held here, as its memory is in use until the work is done.
        self._tensor, self._work = tensor, work

    def wait(self) -> Array:
        """Wait for the end of the transfer, and return the array: NumPy's on the CPU, else PyTorch's."""
        self._work.wait()
        return _to_array(self._tensor)


class Communicator:
    """The processes of a torch.distributed group (None: all of them), and this one's rank among them."""

    def __init__(self, group: Any = None) -> None:
        try:
            self._torch = importlib.import_module("torch")
        except ImportError as error:
            raise EDCoreError('edcore.distributed needs PyTorch: pip install "edcore[torch]".') from error
        self._dist = self._torch.distributed
        if not (self._dist.is_available() and self._dist.is_initialized()):
            raise EDCoreError(
                "edcore.distributed needs a process group. Start the program by torchrun --nproc-per-node N and call "
                'torch.distributed.init_process_group("gloo") first ("nccl" between GPUs).'
            )
        self.group = group
        self.rank: int = self._dist.get_rank(group)
        self.size: int = self._dist.get_world_size(group)
        if self.rank < 0:
            raise InputError("group", repr(group), "a group that this process belongs to")
        # gloo sends from the host's memory, NCCL from this process's GPU.
        gpu = "nccl" in str(self._dist.get_backend(group))
        self.device = self._torch.device(*(("cuda", self._torch.cuda.current_device()) if gpu else ("cpu",)))

    def send(self, array: Array, to: int) -> Transfer:
        """Send an array to a rank. It must not change before the transfer has ended."""
        tensor = self._to_tensor(array)
        return Transfer(tensor, self._dist.isend(tensor, group=self.group, group_dst=to))

    def receive(self, shape: tuple[int, ...], dtype: str, source: int) -> Transfer:
        """Receive an array from a rank; the arrays of one rank come in the order in which it sent them."""
        tensor = self._torch.empty(shape, dtype=getattr(self._torch, dtype), device=self.device)
        return Transfer(tensor, self._dist.irecv(tensor, group=self.group, group_src=source))

    def broadcast(self, array: Array, source: int) -> Array:
        """Return one rank's array at each rank; the others give one of the same shape, which may be overwritten."""
        tensor = self._to_tensor(array)
        self._dist.broadcast(tensor, group=self.group, group_src=source)
        return _to_array(tensor)

    def all_reduce(self, array: Array) -> Array:
        """Return the sum of all ranks' arrays at each rank; the given array may be overwritten."""
        tensor = self._to_tensor(array)
        self._dist.all_reduce(tensor, group=self.group)
        return _to_array(tensor)

    def all_gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks at each rank, as a list by rank; they are small and of plain Python."""
        values: list[Any] = [None] * self.size
        self._dist.all_gather_object(values, value, group=self.group)
        return values

    def gather(self, value: Any) -> list[Any] | None:
        """Return the values of all ranks at rank 0; None at the others."""
        values: list[Any] | None = [None] * self.size if self.rank == 0 else None
        self._dist.gather_object(value, values, group=self.group, group_dst=0)
        return values

    def check_same(self, values: dict[str, Any]) -> None:
        """Refuse values that differ between ranks, which would then wait for each other's messages for ever."""
        first, *others = self.all_gather(values)
        for rank, other in enumerate(others, 1):
            for name, value in other.items():
                if value != first[name]:
                    accepted = f"{first[name]!r} as at rank 0"
                    raise InputError(name, f"{value!r} at rank {rank}", accepted, "Give the same in all processes.")

    def _to_tensor(self, array: Array) -> Any:
        if isinstance(array, self._torch.Tensor):
            return array.detach().to(self.device).contiguous()
        return self._torch.from_numpy(np.require(to_numpy(array), requirements=["C", "W"])).to(self.device)


def _to_array(tensor: Any) -> Array:
    return tensor.numpy() if tensor.device.type == "cpu" else tensor
