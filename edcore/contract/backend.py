"""The contract between the method and the backend that computes it.

A backend sees the whole network in one call, so that it can fuse it. Its arrays are opaque to the caller, who only
hands them back. `edcore.testing` checks all promises made here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from edcore.arrays import Array, HostWeights, Weights, to_numpy
from edcore.contract.memory import Memory, Supported, host_memory
from edcore.contract.steps import Schedule, batches, run_forward
from edcore.core.activations import ACTIVATIONS, FUNCTIONS
from edcore.core.network import Network
from edcore.core.rule import Rule

API_VERSION = 1
"""Version of this contract. A backend written for another version is listed, with the reason, and never loaded."""


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a backend can run here.

    Parameters
    ----------
    ok : bool
        True if it can.
    reason : str
        Why it cannot, without a full stop; empty where it can.
    """

    ok: bool
    reason: str = ""


@runtime_checkable
class Backend(Protocol):
    """The computation of a network. Subclass it to inherit `copy`, `fit`, `memory` and `synchronize`.

    All arrays that the caller hands in (x, target, error) are validated: right shape, finite, in the network's dtype;
    each is a NumPy array (perhaps read-only or not contiguous) or an array of one of `info.namespaces`, on any device.
    Outputs are a backend's own arrays: of one of `info.namespaces`, else NumPy arrays. Like weights and trace they stay
    as they are when more is computed, and the caller may write to them and to what it handed in. A call that
    raises leaves the weights that it was given whole.

    Attributes
    ----------
    info : BackendInfo
        Its entry in the registry.
    device : str
        The device that it computes on, such as ``"cpu"`` or ``"cuda:0"``.
    """

    info: BackendInfo
    device: str

    def supports(self, network: Network, rule: Rule) -> Supported:
        """Return True if this backend can run the network under the rule on its device, else the reason why not.

        It refuses each value of a field that it does not know, see `known`.
        """
        ...

    def from_host(self, weights: HostWeights) -> Weights:
        """Return this backend's own copy of the weights, on its device."""
        ...

    def to_host(self, weights: Weights) -> HostWeights:
        """Return the weights as NumPy arrays that share no memory with the backend's."""
        ...

    def forward(self, network: Network, weights: Weights, x: Array) -> Array:
        """Return the outputs (batch, columns) for x (batch, in_). Memory does not grow with depth; batch may be 0."""
        ...

    def trace(self, network: Network, weights: Weights, x: Array) -> tuple[Array, Any]:
        """Return the outputs (batch, columns) for x (batch, in_), batch ≥ 1, and what `update` will need."""
        ...

    def update(self, network: Network, rule: Rule, weights: Weights, trace: Any, error: Array) -> Weights:
        """Return the weights after one update of all layers, for error = target − output (batch, columns).

        The weights and the trace that were given may be consumed: the caller drops them.
        """
        ...

    def copy(self, weights: Weights) -> Weights:
        """Return weights to learn with, such that those given keep their values."""
        return self.from_host(self.to_host(weights))

    def fit(
        self, network: Network, rule: Rule, weights: Weights, x: Array, target: Array, schedule: Schedule
    ) -> tuple[Weights, npt.NDArray[np.intp]]:
        """Return the weights after a run over x (samples, in_) and target (samples, columns), and when heads stopped.

        The second is for each head the epoch of the schedule, from 1, after which it reached the tolerance; 0 where it
        did not.
        A backend that can stay in compiled code for the whole run overrides this. Like this one it leaves the weights
        that it was given as they were. It is called through `run_schedule`.
        """
        size = rule.samples_per_update(schedule.batch_size)
        learning, stopped = schedule.learning.copy(), np.zeros(network.heads, np.intp)
        weights = self.copy(weights)  # an update may be in place, and the run interrupted
        for epoch, order in enumerate(schedule.orders, 1):
            if not learning.any():
                break
            total: Any = 0
            for batch in batches(order, size):
                given = schedule.weights
                forward = run_forward(self, network, rule, weights, (x, target), batch, learning, given)
                if schedule.counts_errors:
                    total = total + array_namespace(forward.error).sum(abs(forward.error), axis=0)
                weights = self.update(network, rule, weights, forward.trace, forward.learnt)
            if schedule.counts_errors:
                sums = to_numpy(total).reshape(network.heads, network.outputs).sum(axis=1)
                schedule.end_epoch(epoch, sums, learning, stopped)
        return weights, stopped

    def memory(self) -> Memory:
        """Return the memory of its device; inherited, that of the machine."""
        return host_memory()

    def synchronize(self) -> None:
        """Wait until the device has finished all work that was given to it."""
        return None  # noqa: RET501 -- an empty body would make the method abstract


@runtime_checkable
class LearnsByLayer(Backend, Protocol):
    """A backend with one more method, if each layer can learn from an error of its own."""

    def update_layers(
        self, network: Network, rule: Rule, weights: Weights, trace: Any, errors: Sequence[Array]
    ) -> Weights:
        """Return the weights after one update in which each layer learns from its own error.

        `errors` has depth + 2 arrays: of the input layer, the hidden layers, the output layer. Each is (batch, columns)
        or (heads, batch, cells), see `edcore.core.update_layers`. All else is as for `Backend.update`.
        """
        ...


Fit = TypeVar("Fit", bound=Callable[..., Any])


def takes_weights(fit: Fit) -> Fit:
    """Mark a backend's own `fit` as one that learns each sample with its weight, `Schedule.weights`.

    Parameters
    ----------
    fit : callable
        The method. It may hand a schedule with weights to the inherited `fit`, which goes batch by batch.

    Returns
    -------
    callable
        The same method. An override of it needs a mark of its own.
    """
    fit.takes_weights = True  # type: ignore[attr-defined]
    return fit


def fills_errors(fit: Fit) -> Fit:
    """Mark a backend's own `fit` as one that fills in `Schedule.errors`.

    Parameters
    ----------
    fit : callable
        The method. It may hand a schedule with room for errors to the inherited `fit`.

    Returns
    -------
    callable
        The same method. An override of it needs a mark of its own.
    """
    fit.fills_errors = True  # type: ignore[attr-defined]
    return fit


def run_schedule(
    backend: Backend, network: Network, rule: Rule, weights: Weights, x: Array, target: Array, schedule: Schedule
) -> tuple[Weights, npt.NDArray[np.intp]]:
    """Return what `Backend.fit` returns; no `fit` gets weights of samples or room for errors and passes over them.

    Where a backend has no mark of `takes_weights` or `fills_errors`, such a schedule is learnt batch by batch, by its
    own `trace` and `update`.
    """
    weighs = schedule.weights is None or getattr(backend.fit, "takes_weights", False)
    if weighs and (schedule.errors is None or getattr(backend.fit, "fills_errors", False)):
        return backend.fit(network, rule, weights, x, target, schedule)
    return Backend.fit(backend, network, rule, weights, x, target, schedule)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendInfo:
    """The entry that a plug-in of the group ``edcore.backends`` names. It is light: it imports no array library.

    Parameters
    ----------
    name : str
        The name that users write, as in ``ED(backend="numpy")``.
    summary : str
        One line on what it is.
    install : str
        The command that installs what it needs; empty where nothing is needed.
    priority : int
        ``auto`` takes the ready backend with the highest one; those with 0 are used only when asked for.
    device_types : tuple of str
        Types of devices it can compute on, the preferred one first.
    namespaces : tuple of str
        Array libraries, beside NumPy, whose arrays it takes as they are, such as ``"torch"``.
    api_version : int
        The `API_VERSION` that it was written for.
    probe : callable
        ``probe(device) -> Availability``; never raises. A device of None stands for the backend's own choice.
    load : callable
        ``load(device) -> Backend``; called at first use, after a probe that was ok.
    precisions : tuple of str, optional
        Ways of multiplying, beside ``"full"``, that it has on some device, such as ``"tf32x3"``. For one of them it is
        loaded by ``load(device, precision)``, and the backend has it as its attribute `precision`.
    """

    name: str
    summary: str
    install: str
    priority: int
    device_types: tuple[str, ...]
    namespaces: tuple[str, ...]
    api_version: int
    probe: Callable[[str | None], Availability]
    load: Callable[..., Backend]
    precisions: tuple[str, ...] = ()


ANY = None
"""In the place of the values of a field: all of them."""
ONE_WIDTH = ("one width for all layers",)
"""In the place of the values of `Network.width`: all that are no tuple."""
CELLS = ("activation", "output_activation")
REGISTERED = " (activations that were registered are computed with backend='numpy')"

VALUES: dict[str, Collection[Any] | None] = {
    "width": ONE_WIDTH,
    **dict.fromkeys(("in_", "depth", "heads", "u0", "outputs", "bias", "initial"), ANY),
    **dict.fromkeys(CELLS, ("sigmoid", "tanh", "relu", "relu6", "linear")),
    **dict.fromkeys(("rms", "inhibitory_output", "centred"), (False, True)),
    "n_bias": (1, 2),
    "dtype": ("float32", "float64"),
    "error": ("signed", "split"),
    "reduction": ("mean", "sum"),
    "order": ("batch", "online"),
    **dict.fromkeys(("alpha", "alpha_output", "floor"), ANY),
}
"""The fields of `Network` and `Rule` in this version of the contract, and their values. What comes later is not added
here, as all backends would then be taken to have it: each that has it names it."""


def known(network: Network, rule: Rule, **values: Collection[Any] | None) -> Supported:
    """Return True if a backend has the value of each field of a network and a rule, else the first that it lacks.

    A backend that calls it in `supports` never computes what it does not know as something else: a new activation, a
    new field that is not at its default, or a subclass of `Network` or `Rule`.

    Parameters
    ----------
    network : Network
        The network.
    rule : Rule
        The rule.
    **values : collection or None
        The values that the backend has of a field, such as ``activation=("sigmoid", "tanh")``; None if it has all, such
        as ``width=None`` for layers of several widths. Of all other fields it has those of version 1 of the contract.

    Returns
    -------
    True or str
        True, or the reason why not.

    Examples
    --------
    >>> from edcore import Network, Rule
    >>> from edcore.contract import known
    >>> known(Network(2, activation="tanh"), Rule("split"), error=("signed",))
    "it has no error 'split'; it has signed"
    """
    has = VALUES | values
    for given, kind in ((network, Network), (rule, Rule)):
        if type(given) is not kind:
            return f"it knows {kind.__name__} alone, and not its subclass {type(given).__name__}"
        for field in fields(kind):
            value, accepted = getattr(given, field.name), has.get(field.name, (field.default,))
            if accepted is ONE_WIDTH and isinstance(value, int):
                continue
            if accepted is not ANY and value not in accepted:
                lacks = f"it has no {field.name} {value!r}; it has {', '.join(map(str, accepted))}"
                return lacks + REGISTERED * (field.name in CELLS and value in FUNCTIONS and value not in ACTIVATIONS)
    if rule.error == "split" and network.outputs > 1:
        return f"it has no error 'split' for {network.outputs} outputs, but for one"
    return True


def classic(network: Network, rule: Rule) -> Supported:
    """Return True for a network and a rule of the article's kind, but for u0 and split, else the reason why not.

    A backend that has kernels for nothing else may say so with this, in its `supports`.
    """
    sigmoid, no, yes = ("sigmoid",), (False,), (True,)
    cells = {"activation": sigmoid, "output_activation": sigmoid, "rms": no, "bias": (1.0,), "inhibitory_output": yes}
    return known(network, rule, **cells, outputs=(1,), centred=no, floor=(None,))
