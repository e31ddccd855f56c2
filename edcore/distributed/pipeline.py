"""Split the layers over processes: activities go forward, and only the errors of the outputs come back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import whole_number
from edcore.arrays import Array, HostWeights, to_numpy
from edcore.contract.backend import Backend
from edcore.contract.stages import Stage, Staged, divide, initialise_stage, join_weights
from edcore.core import method as core
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.dispatch import registry
from edcore.dispatch.choose import choose_backend, make_request
from edcore.distributed.shared import Batch, SharedNetwork
from edcore.errors import BackendUnavailableError, InputError
from edcore.model.divergence import Divergence, Found, finite, first_in_cells, first_in_weights, outputs_of
from edcore.model.ed import ED
from edcore.model.inputs import checked_weights


class Pipeline(SharedNetwork):
    """A network whose layers are split: each process has consecutive ones, with about the same number of weights.

    A batch goes through the processes in parts, so that a process works on one part while the next process works on the
    part before. The last process broadcasts the errors, one number for each sample and output. Then all layers of all
    processes learn at the same time: ED has no backward pass (`edcore.core`). The result is that of one process, up to
    rounding; with the backend ``"numba"``, bit for bit.

    Parameters
    ----------
    network : Network
        The network, with at least as many layers (depth + 2) as processes.
    rule : Rule
        How it learns.
    seed : int, optional
        As for `ED`. Left out, rank 0 draws one.
    weights : dict of str to ndarray, optional
        All weights to start from, as `ED.weights` returns them, or those of this process's stage, as
        `Pipeline.weights` returns them. Left out, each process draws its own from the seed; no process has them all.
    epochs : int
        Passes over the samples that `weights` have learnt.
    parts : int, optional
        Parts of a batch, at most one for each sample. More parts keep more processes busy, but each costs a message and
        another reading of the weights. Left out, as many as processes.
    backend : str or Backend
        ``"numba"`` on the CPU, or one that follows the Array API (``"numpy"``, ``"torch"``, ``"cupy"``). ``"auto"`` is
        PyTorch in an NCCL group, else Numba if it is installed, else NumPy, unless `edcore.use_backend` or the
        environment names another one.
    device : str, optional
        Device of this process, as for `ED`.
    group : torch.distributed.ProcessGroup, optional
        The processes. Left out, all of them.

    Attributes
    ----------
    stage : Stage
        The layers of this process.

    Raises
    ------
    InputError
        If an argument is not accepted, or differs between ranks.
    BackendUnavailableError
        If the backend cannot run here, or has no stages.
    EDCoreError
        If PyTorch is missing, or no process group has been started.

    Notes
    -----
    All processes must make the same calls. After an error in one of them, the others wait for its messages until it
    ends; ``torchrun`` then ends them too.

    Examples
    --------
    A program for ``torchrun --nproc-per-node 2 train.py``:

    >>> def main():
    ...     import edcore, torch.distributed
    ...     from edcore.distributed import Pipeline
    ...
    ...     torch.distributed.init_process_group("gloo")
    ...     data = edcore.datasets.digits(classes=(0, 1))
    ...     pipeline = Pipeline(edcore.Network(in_=64, width=32, depth=32), edcore.Rule(), seed=1)
    ...     pipeline.fit(data.x_train, data.y_train, epochs=10, batch_size=4)
    ...     if (ed := pipeline.to_ed()) is not None:
    ...         edcore.io.save(ed, "network.safetensors")
    ...     torch.distributed.destroy_process_group()
    """

    def __init__(
        self,
        network: Network,
        rule: Rule,
        *,
        seed: int | None = None,
        weights: HostWeights | None = None,
        epochs: int = 0,
        parts: int | None = None,
        backend: str | Backend = "auto",
        device: str | None = None,
        group: Any = None,
    ) -> None:
        super().__init__(network, rule, seed, epochs, group)
        self._parts = None if parts is None else whole_number("parts", parts, 1)
        self._comm.check_same({"parts": self._parts})
        self.stage: Stage
        self._set(stage=divide(network, self.size)[self.rank])
        request = make_request(backend, device)
        if request.backend == "auto" and device is None:
            request = make_request(*self._default_backend())
        self._backend = choose_backend(request, self.stage.part, rule)
        if not isinstance(self._backend, Staged):
            raise BackendUnavailableError(
                f"the backend {self.backend!r} on {self.device!r} has no stages: it cannot compute some layers of a "
                "network. These can: 'numba' on 'cpu', 'numpy', 'torch', 'cupy' and 'jax'."
            )
        if weights is None:
            weights = initialise_stage(self.stage, self.seed, self.rule.floor)
        elif {key: np.shape(value) for key, value in weights.items()} == self.stage.weight_shapes:
            weights = checked_weights(network, weights, self.rule.floor, shapes=self.stage.weight_shapes)
        else:
            weights = self.stage.of(checked_weights(network, weights, self.rule.floor))
        self._staged: Staged = self._backend
        self._worker = self._staged.stage(self.stage, weights)

    @property
    def weights(self) -> HostWeights:
        """A copy of the weights of this process's stage, under the keys of `Stage.weight_shapes`."""
        return self._worker.to_host()

    def step(self, x: Array | None, target: Array) -> npt.NDArray[Any]:
        """Learn one batch, and check all new weights; `fit` is faster, as it checks them once for many batches.

        Parameters
        ----------
        x : array, shape (batch, in_)
            The samples. Only rank 0 needs them; at the others x may be None.
        target : array, shape (batch,) for one output, else (batch, columns)
            The outputs to learn. The last rank uses the values; the others use only the length, which must be the same.

        Returns
        -------
        ndarray, shape of target
            target − output before the update, at each rank.

        Raises
        ------
        InputError
            If x or target are not accepted, or the rule is online and the batch is larger than one sample.
        DivergedError
            At each rank, if outputs or new weights are not finite. Then the weights have not changed.
        """
        target = self._checked_target(target)
        if self.rule.samples_per_update(len(target)) < len(target):
            fix = "Use fit, which learns the samples one by one."
            raise InputError("target", f"{len(target)} samples", "one sample, as the rule is online", fix)
        x = self._checked_x(x, len(target))
        self._comm.check_same({"the number of samples": len(target)})
        return self._squeezed(self._learn_batch(x, target))

    def predict(self, x: Array | None, samples: int | None = None) -> npt.NDArray[Any]:
        """Return the outputs for x, at each rank.

        Parameters
        ----------
        x : array, shape (samples, in_)
            The samples. Only rank 0 needs them; at the others x may be None.
        samples : int, optional
            The number of samples; needed if x is None.

        Returns
        -------
        ndarray, shape (samples,) for one output, else (samples, columns)
            The outputs.
        """
        if samples is None:
            if x is None:
                raise InputError("samples", "None beside x=None", "the number of samples, if x is None")
            samples = len(x)
        x = self._checked_x(x, samples)
        self._comm.check_same({"the number of samples": samples})
        outputs = self._run_stage(x, samples, lambda rows, part: self._worker.predict(part))
        return self._squeezed(to_numpy(self._comm.broadcast(outputs, self.size - 1)))

    def to_ed(self) -> ED | None:
        """Return the network as an `ED` at rank 0; None at the others.

        Returns
        -------
        ED or None
            The network with all weights, for which rank 0 needs the memory.
        """
        weights = self._comm.gather(self.weights)
        if weights is None:
            return None
        return ED.from_network(
            self.network, self.rule, seed=self.seed, weights=join_weights(weights), epochs=self._epochs
        )

    def _learn_batches(self, x: Any, target: npt.NDArray[Any], batches: Sequence[Batch]) -> None:
        """Learn the batches, and check the weights once, at the end."""
        kept = self._worker.to_host()
        with np.errstate(all="ignore"):  # overflows show in the errors and the weights
            for batch in batches:
                error = self._trace_errors(*batch.select(x, target))
                if not finite(error):
                    break
                self._worker.update(self.rule, error)
            else:
                if not self._first_of_ranks(first_in_weights(self._worker.to_host())):
                    return
        # Some batch has diverged. The weights go back, and each step is checked, to find it.
        self._worker = self._staged.stage(self.stage, kept)
        super()._learn_batches(x, target, batches)

    def _learn_batch(self, x: Any, target: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with np.errstate(all="ignore"):  # overflows show in the errors and the weights
            error, kept, found = self._trace_errors(x, target), self._worker.to_host(), None
            if finite(error):  # the same errors at all ranks, so all take the same branch
                self._worker.update(self.rule, error)
                found = self._first_of_ranks(first_in_weights(self._worker.to_host(), self.stage.start))
                if found is None:
                    return error
            self._worker = self._staged.stage(self.stage, kept)
            found = self._first_in_activities(x, len(target)) or found
        network, rule = self.network, self.rule
        divergence = outputs_of(network, rule, error) if found is None else Divergence(network, rule, *found)
        raise divergence.error()

    def _trace_errors(self, x: Any, target: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run a batch through all stages, which keep their traces, and return its errors at each rank."""
        self._worker.begin(len(target))
        outputs = self._run_stage(x, len(target), self._worker.forward)
        return to_numpy(self._comm.broadcast(target - outputs, self.size - 1))

    def _first_of_ranks(self, found: Found | None) -> Found | None:
        """Return the finding of the first rank that has one."""
        return next((one for one in self._comm.all_gather(found) if one is not None), None)

    def _first_in_activities(self, x: Any, samples: int) -> Found | None:
        """Return the first layer with activities that are not finite, computed by NumPy."""
        found, weights = [], self._worker.to_host()

        def compute(rows: slice, arriving: Array) -> Array:
            first = self.stage.first
            cells = core.input_cells(self.network, arriving) if first else core.Cells(to_numpy(arriving), None)
            layers = list(core.run_layers(self.network, weights, cells))[1:]
            found.append(first_in_cells(layers, self.stage.start))
            return core.outputs(self.network, layers[-1].y) if self.stage.last else layers[-1].y

        self._run_stage(x, samples, compute)
        return self._first_of_ranks(min(filter(None, found), key=lambda one: one.layer, default=None))

    def _run_stage(self, x: Any, samples: int, compute: Callable[[slice, Array], Array]) -> npt.NDArray[Any]:
        """Run a batch through this stage, part by part; the last rank returns the outputs, the others zeros."""
        network, comm = self.network, self._comm
        parts = min(self._parts or self.size, samples)
        cuts = [samples * part // parts for part in range(parts + 1)]
        rows = [slice(start, stop) for start, stop in itertools.pairwise(cuts)]
        first, last, before = self.stage.first, self.stage.last, max(self.stage.start - 1, 0)
        shapes = [(network.heads, part.stop - part.start, 2 * network.widths[before]) for part in rows]
        # All receives are posted first, so that a part arrives while the part before is computed.
        arriving = [] if first else [comm.receive(shape, network.dtype, self.rank - 1) for shape in shapes]
        outputs, leaving = np.zeros((samples, network.columns), network.dtype), []
        for number, part in enumerate(rows):
            result = compute(part, x[part] if first else arriving[number].wait())
            if last:
                outputs[part] = to_numpy(result)
            else:
                leaving.append(comm.send(result, self.rank + 1))
        for transfer in leaving:
            transfer.wait()
        return outputs

    def _default_backend(self) -> tuple[str, str | None]:
        """Return the backend and the device of ``auto``."""
        if self._comm.device.type == "cuda":
            return "torch", str(self._comm.device)
        numba = registry.installed().get("numba")
        return ("numba", "cpu") if numba and registry.probe(numba, "cpu").ok else ("numpy", None)

    def _needs_x(self) -> bool:
        return self.stage.first
