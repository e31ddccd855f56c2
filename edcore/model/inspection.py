"""What a network computes, layer by layer: the activities for x, and the change of all weights by a step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arrays import Array, HostWeights, on_its_device, to_numpy
from edcore.core import method as core
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.model.divergence import Divergence, first_in_cells, first_in_weights
from edcore.model.inputs import checked_x, see_samples
from edcore.model.learning import LearningNetwork
from edcore.model.out_of_memory import host_holds


class InspectedNetwork(LearningNetwork):
    """A learning network whose inside can be looked at, on the host, whatever its backend is."""

    def activities(self, x: Array) -> dict[str, npt.NDArray[Any]]:
        """Return the activities of all cells for x.

        Parameters
        ----------
        x : array, shape (batch, in_)
            As for a call, of any library and device.

        Returns
        -------
        dict of str to ndarray, shape (heads, batch, cells)
            By the name of the layer, in the order in which they follow: ``input``, ``hidden 1``, …, ``output``, as in
            `edcore.diagnostics`. The excitatory cells come first, then the inhibitory ones: of the outputs, the
            network's are the first `Network.outputs`. With softmax these are the probabilities, and the inhibitory ones
            their sums. Heads share the input, which is read-only where there are several.

        Raises
        ------
        InputError
            If x is not accepted.
        DivergedError
            If activities are not finite.
        OutOfMemoryError
            If they do not fit into the memory of this machine.

        Notes
        -----
        `edcore.core` computes them with NumPy from `ED.weights`, in the network's dtype. So they differ from those in a
        backend by rounding. The trace of the last call stays.

        Examples
        --------
        >>> import edcore
        >>> data = edcore.datasets.xor()
        >>> ed = edcore.ED(in_=2, hidden_width=3, hidden_depth=1, seed=1)
        >>> {name: cells.shape for name, cells in ed.activities(data.x_test).items()}
        {'input': (1, 4, 4), 'hidden 1': (1, 4, 6), 'hidden 2': (1, 4, 6), 'output': (1, 4, 2)}
        """
        with on_its_device(x):
            found = checked_x(x, self._network, self._in_known, None)
            samples = to_numpy(found.array)
        if not self._in_known:
            self._bind(found)
        network = self.network
        with host_holds(network, len(samples), copies=1, passes=1):
            _, trace = _run(network, self._rule, self.weights, samples)
        inputs = np.broadcast_to(trace[0].y, (network.heads, *trace[0].y.shape[1:]))
        names = ("input", *network.layer_names)
        activities = dict(zip(names, [inputs, *(cells.y for cells in trace[1:])], strict=True))
        last = activities["output"]
        last[..., : network.outputs] = core.read_out(network, last)
        return activities

    def updates(self, x: Array, target: Array) -> HostWeights:
        """Return by how much `step` would change each weight; nothing is changed.

        Parameters
        ----------
        x, target : array
            As for `step`, of any library and device.

        Returns
        -------
        dict of str to ndarray
            ΔW, under the keys and in the shapes of `ED.weights`.

        Raises
        ------
        InputError
            If x or target are not accepted.
        DivergedError
            If weights would be NaN or infinite.
        OutOfMemoryError
            If this machine has too little memory.

        Notes
        -----
        `edcore.core` computes ΔW with NumPy from `ED.weights`, in the network's dtype: activities that are rounded to 0
        or 1 there learn nothing here either. ΔW is the increment itself, and no difference of weights, whose last
        digits would be those of W. So a change far smaller than its weight is seen, although `step`, which keeps W + ΔW
        in that dtype, may lose it. Where the rule's floor stops a weight, ΔW is what is left of the change. If the rule
        is online, each sample meets the weights that the one before has left, and ΔW is the sum of their increments.
        The step of a backend differs by rounding.

        Examples
        --------
        >>> import edcore
        >>> data = edcore.datasets.xor()
        >>> ed = edcore.ED(in_=2, hidden_width=3, hidden_depth=1, seed=1)
        >>> change = ed.updates(data.x_train, data.y_train)
        >>> {key: value.shape for key, value in change.items() if key.endswith("weight")}
        {'input.weight': (1, 4, 6), 'hidden.weight': (1, 1, 6, 6), 'output.weight': (1, 6, 2)}
        >>> before = ed.weights
        >>> _ = ed.step(data.x_train, data.y_train)
        >>> bool(abs(ed.weights["input.weight"] - before["input.weight"] - change["input.weight"]).max() < 1e-6)
        True
        """
        with on_its_device(x):
            seen = see_samples(x, target, self._network, self._rule, self._in_known, None)
            found, target, _ = seen.checked()
            samples, wanted = to_numpy(found.array), to_numpy(target)
        if not self._in_known:
            self._bind(found)
        network, rule = self.network, self._rule
        wanted = wanted.reshape(len(samples), network.columns)
        size = rule.samples_per_update(len(samples))
        with host_holds(network, size, copies=5, passes=2):
            weights = self.weights
            total: HostWeights = {key: np.zeros_like(value) for key, value in weights.items()}
            for start in range(0, len(samples), size):
                part = slice(start, start + size)
                weights, change = _step(network, rule, weights, samples[part], wanted[part])
                for key, value in change.items():
                    total[key] += value
        return total


def _run(
    network: Network, rule: Rule, weights: HostWeights, x: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], core.Trace]:
    """Return the outputs and the trace for x, which are finite."""
    with np.errstate(all="ignore"):
        outputs, trace = core.trace(network, weights, x)
    if (found := first_in_cells(trace[1:])) is not None:
        raise Divergence(network, rule, *found).error()
    return outputs, trace


def _step(
    network: Network, rule: Rule, weights: HostWeights, x: npt.NDArray[Any], target: npt.NDArray[Any]
) -> tuple[HostWeights, HostWeights]:
    """Return the weights after an update for some samples, and by how much they have changed."""
    outputs, trace = _run(network, rule, weights, x)
    error = target - outputs
    zero = np.zeros((), network.dtype)  # the core writes nothing, so all share one 0
    zeros = {key: np.broadcast_to(zero, value.shape) for key, value in weights.items()}
    with np.errstate(all="ignore"):
        new = core.update(network, rule, weights, trace, error)
        change = core.update(network, replace(rule, floor=None), zeros, trace, error)
        if rule.floor is not None:
            for key, value in change.items():
                moved = new[key] != weights[key] + value  # by the floor
                change[key] = np.where(moved, new[key] - weights[key], value)
    if (found := first_in_weights(new)) is not None:
        raise Divergence(network, rule, *found).error()
    return new, change
