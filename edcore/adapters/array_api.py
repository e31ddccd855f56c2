"""The contract met by `edcore.core.method`, for any library that follows the Array API standard."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, to_device
from array_api_compat import device as array_device

from edcore.arrays import (
    Array,
    HostWeights,
    Weights,
    detached,
    device_string,
    device_type,
    exact,
    has_dtype,
    library_name,
    missing_dtype,
    namespace_of,
    native_device,
    synchronize,
    to_numpy,
    unavailable,
)
from edcore.contract.backend import (
    ANY,
    API_VERSION,
    ONE_WIDTH,
    Availability,
    Backend,
    BackendInfo,
    fills_errors,
    known,
    takes_weights,
)
from edcore.contract.memory import Memory, Supported, fits, memory
from edcore.contract.stages import Stage
from edcore.contract.steps import Schedule
from edcore.core import method as core
from edcore.core.activations import ACTIVATIONS, FUNCTIONS, SOFTMAX
from edcore.core.method import Cells, Trace
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.core.trial import fault


class ArrayAPIBackend(Backend):
    """The core over one array library, on one device.

    Parameters
    ----------
    namespace : module
        The library's Array API namespace, as ``array_api_compat.array_namespace`` returns it.
    device : object
        A device of that library; None for the library's own choice.
    info : BackendInfo, optional
        Its entry in the registry; one named after the library is made where none is given.

    Attributes
    ----------
    activations : collection of str
        The activations that it has, here the core's, with those that were registered. A subclass that computes them by
        itself names its own.
    has_softmax : bool
        Whether it has softmax outputs too: True, but for a subclass that names its activations and not this.
    has_several_widths : bool
        Whether it has layers of several widths: True, but for a subclass that computes a pass or an update by itself
        and does not name this.
    """

    activations: Collection[str] = FUNCTIONS
    has_softmax = True
    has_several_widths = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if vars(cls).keys() & {"forward", "trace", "update"} and "has_several_widths" not in vars(cls):
            cls.has_several_widths = False
        if "activations" in vars(cls) and "has_softmax" not in vars(cls):
            cls.has_softmax = False
        if "update" in vars(cls) and "update_layers" not in vars(cls):  # the core's would not do the same
            cls.update_layers = None  # type: ignore[assignment, method-assign]

    def __init__(self, namespace: Any, device: Any = None, info: BackendInfo | None = None) -> None:
        self.namespace = namespace
        self.library = library_name(namespace)
        self._device = array_device(namespace.empty(0)) if device is None else device
        self.device = device_string(self.library, self._device)
        kinds = (device_type(self.device),)
        self.info = info or array_api_backend(
            self.library, self.library, f"the array library {self.library}", "", 0, kinds
        )
        self._latest: Any = None  # `synchronize` waits for these arrays, as some libraries offer nothing else

    def supports(self, network: Network, rule: Rule) -> Supported:
        """Return True, or what it lacks: a value of a field, or the dtype or the memory of its device."""
        outputs = (*self.activations, SOFTMAX) if self.has_softmax else self.activations
        has = known(
            network,
            rule,
            activation=self.activations,
            output_activation=outputs,
            one_hot=ANY,
            width=ANY if self.has_several_widths else ONE_WIDTH,
        )
        if has is not True:
            return has
        if not has_dtype(self.namespace, self._device, network.dtype):
            return missing_dtype(self.library, network.dtype)
        for name in {network.activation, network.output_cells}.difference(ACTIVATIONS):
            if wrong := self.fault(name, network):
                fix = "it takes functions of the Array API standard, by array_api_compat.array_namespace"
                return f"the {wrong[0]} of {name!r} {wrong[1]}; {fix}"
        return fits(network, self.memory())

    def fault(self, activation: str, network: Network) -> tuple[str, str] | None:
        """Return which function of a registered activation fails on this library's arrays, and how; None if none."""
        with self.exact():
            z = self.on_device(np.ones((1, 2, 3), network.dtype))
            return fault(*FUNCTIONS[activation][:2], z, network.u0)

    def memory(self) -> Memory:
        """Return the memory of the device."""
        return memory(self.library, self._device)

    def from_host(self, weights: HostWeights) -> Weights:
        """Return the weights as this library's arrays, on its device."""
        return {key: self.on_device(value) for key, value in weights.items()}

    def to_host(self, weights: Weights) -> HostWeights:
        """Return the weights as NumPy arrays."""
        return {key: to_numpy(value).copy() for key, value in weights.items()}

    def forward(self, network: Network, weights: Weights, x: Array) -> Array:
        """Return the outputs of `core.forward`."""
        with self.exact():
            outputs = core.forward(network, weights, self.on_device(x))
        self._latest = outputs
        return outputs

    def trace(self, network: Network, weights: Weights, x: Array) -> tuple[Array, Any]:
        """Return the outputs and the trace of `core.trace`."""
        with self.exact():
            outputs, trace = core.trace(network, weights, self.on_device(x))
            # The caller may write to the outputs, and the trace must not see it.
            outputs = self.namespace.asarray(outputs, copy=True)
        self._latest = outputs
        return outputs, trace

    def update(self, network: Network, rule: Rule, weights: Weights, trace: Any, error: Array) -> Weights:
        """Return the weights of `core.update`."""
        with self.exact():
            learned = core.update(network, rule, weights, trace, self.on_device(error))
        self._latest = learned
        return learned

    def update_layers(
        self, network: Network, rule: Rule, weights: Weights, trace: Any, errors: Sequence[Array]
    ) -> Weights:
        """Return the weights of `core.update_layers`."""
        with self.exact():
            learned = core.update_layers(network, rule, weights, trace, [self.on_device(error) for error in errors])
        self._latest = learned
        return learned

    def copy(self, weights: Weights) -> Weights:
        """Return the weights themselves: nothing is written in place."""
        return weights

    @takes_weights
    @fills_errors
    def fit(
        self, network: Network, rule: Rule, weights: Weights, x: Array, target: Array, schedule: Schedule
    ) -> tuple[Weights, npt.NDArray[np.intp]]:
        """Run the inherited loop on the device, where the samples then are."""
        with self.exact():
            return super().fit(network, rule, weights, self.on_device(x), self.on_device(target), schedule)

    def stage(self, stage: Stage, weights: HostWeights) -> ArrayStage:
        """Return the stage, met with the core."""
        return ArrayStage(stage, weights, self)

    def synchronize(self) -> None:
        """Wait for the device."""
        synchronize(self.library, self._device, self._latest)

    def exact(self) -> AbstractContextManager[None]:
        """Have the library compute in full precision, on this device, in a block."""
        return exact(self.library, self._device)

    def on_device(self, array: Array) -> Array:
        """Return the array as one of this library, on this device."""
        if isinstance(array, np.ndarray):
            # Always a copy: libraries share NumPy's memory, refuse what is read-only or has a negative stride, and give
            # other bits for another layout.
            array = np.array(array, order="C")
            return array if self.library == "numpy" else self.namespace.asarray(array, device=self._device)
        if library_name(array_namespace(array)) == self.library:
            return to_device(detached(array), self._device)
        return self.namespace.asarray(array, device=self._device)


def array_api_backend(
    name: str, module: str, summary: str, install: str, priority: int, device_types: tuple[str, ...]
) -> BackendInfo:
    """Return the registry entry of the core over one array library.

    Parameters
    ----------
    name : str
        The backend's name.
    module : str
        The library's import name.
    summary, install, priority, device_types
        As in `BackendInfo`.

    Returns
    -------
    BackendInfo
        An entry whose probe and load import the library no sooner than they are called.

    Examples
    --------
    >>> from edcore.adapters.array_api import array_api_backend
    >>> array_api_backend("dpnp", "dpnp", "dpnp on a SYCL device", "pip install dpnp", 0, ("gpu",)).probe(None)
    Availability(ok=False, reason='the package dpnp is not installed')
    """

    def probe(device: str | None) -> Availability:
        if device is not None and device_type(device) not in device_types:
            return Availability(False, f"it does not compute on {device!r}")
        reason = unavailable(module, device or device_types[0])
        return Availability(not reason, reason)

    def load(device: str | None) -> Backend:
        namespace = namespace_of(importlib.import_module(module))
        return ArrayAPIBackend(namespace, native_device(module, device or device_types[0]), info)

    info = BackendInfo(
        name=name,
        summary=summary,
        install=install,
        priority=priority,
        device_types=device_types,
        namespaces=(module,),
        api_version=API_VERSION,
        probe=probe,
        load=load,
    )
    return info


NUMPY = array_api_backend("numpy", "numpy", "NumPy on the CPU", "", 10, ("cpu",))
ARRAY_API_STRICT = array_api_backend(
    "array_api_strict",
    "array_api_strict",
    "the standard's own strict library, for tests",
    "pip install array-api-strict",
    0,
    ("cpu", "device1", "device2", "no_float64", "no_x64"),
)


class ArrayStage:
    """A stage of a network over one array library, see `edcore.contract.stages.StageWorker`."""

    def __init__(self, stage: Stage, weights: HostWeights, backend: ArrayAPIBackend) -> None:
        self._stage, self._backend = stage, backend
        # In the method's layout, whatever layout the backend has for a whole network.
        self._weights = {key: backend.on_device(value) for key, value in weights.items()}
        self._parts: list[Trace] = []

    def begin(self, batch: int) -> None:
        """Forget the batch before."""
        self._parts = []

    def forward(self, rows: slice, arriving: Array) -> Array:
        """Take the rows through the layers, and keep their activities."""
        with self._backend.exact():
            self._parts.append(tuple(core.run_layers(self._stage.network, self._weights, self._entering(arriving))))
            return self._leaving(self._parts[-1][-1])

    def update(self, rule: Rule, error: Array) -> None:
        """Learn from all parts of the batch as one."""
        with self._backend.exact():
            trace = tuple(map(_join_cells, zip(*self._parts, strict=True)))
            error = self._backend.on_device(error)
            self._weights = core.update(self._stage.network, rule, self._weights, trace, error)
        self._parts = []

    def predict(self, arriving: Array) -> Array:
        """Take the rows through the layers, keeping no more than one layer's activities."""
        with self._backend.exact():
            for cells in core.run_layers(self._stage.network, self._weights, self._entering(arriving)):
                last = cells
            return self._leaving(last)

    def to_host(self) -> HostWeights:
        """Return a copy of the weights."""
        return {key: to_numpy(value).copy() for key, value in self._weights.items()}

    def _entering(self, arriving: Array) -> Cells:
        arriving = self._backend.on_device(arriving)
        return core.input_cells(self._stage.network, arriving) if self._stage.first else Cells(arriving, None)

    def _leaving(self, cells: Cells) -> Array:
        return core.outputs(self._stage.network, cells.y) if self._stage.last else cells.y


def _join_cells(parts: tuple[Cells, ...]) -> Cells:
    """Return the cells of one layer for all rows of a batch."""
    if len(parts) == 1:
        return parts[0]
    xp = array_namespace(parts[0].y)
    slopes = [cells.slope for cells in parts if cells.slope is not None]
    return Cells(xp.concat([cells.y for cells in parts], axis=1), xp.concat(slopes, axis=1) if slopes else None)
