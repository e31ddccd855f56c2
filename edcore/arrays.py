"""Arrays of any library: what and where they are, and what the standard leaves open: waiting, precision, NumPy.

No library is imported here unless the user has named it or handed in one of its arrays.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, to_device
from array_api_compat import device as array_device

from edcore.environment import missing
from edcore.errors import EDCoreError, said
from edcore.interrupts import ForkLock, uninterrupted

Array: TypeAlias = Any
"""An array of any library that follows the Array API standard (which has no typing of its own)."""

Weights: TypeAlias = Any
"""A backend's own weights, in whatever form it likes: the caller never looks."""

HostWeights: TypeAlias = dict[str, npt.NDArray[Any]]
"""Weights as NumPy arrays, with the keys and shapes of `Network.weight_shapes`, in the network's dtype."""

Reduction: TypeAlias = Callable[[Any, Array], Array]
"""A function of an Array API namespace and an array, to an array of one number."""

CUPY_DEFAULT, CUPY_TF32 = 1, 7
"""CuPy's numbers for how products are computed."""


class Place(NamedTuple):
    """Where an array is: its library, and the string of its device, as in ``ED(device=…)``."""

    library: str
    device: str


HOST = Place("numpy", "cpu")


class Located(NamedTuple):
    """An array, with its library and device: they are looked up once, when the user hands it in."""

    array: Array
    xp: Any  # its library's Array API namespace
    place: Place
    square: float = math.nan  # at least the sum of its squares, infinity if that is too large; NaN if not computed


INHERITED: set[str] = set()
"""Libraries that were in use when this process was forked, and have threads that it lacks."""

NO_FORK = "JAX was in use when this process was forked, and JAX cannot go on in a forked process"


def check_fork(library: str) -> None:
    """Let PyTorch go on in a forked process, and refuse JAX there: each would wait for its threads without end."""
    if library not in INHERITED:
        return
    if library == "jax":
        raise EDCoreError(f"{NO_FORK}. Start processes by multiprocessing.get_context('spawn') or 'forkserver'.")
    sys.modules[library].set_num_threads(1)
    INHERITED.discard(library)


def _note_fork() -> None:
    """Note which libraries this new process inherits."""
    if hasattr(sys.modules.get("torch"), "set_num_threads"):
        INHERITED.add("torch")
    started = getattr(sys.modules.get("jax._src.xla_bridge"), "backends_are_initialized", lambda: True)
    if "jax" in sys.modules and started():
        INHERITED.add("jax")


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_note_fork)


@functools.cache
def numpy_namespace() -> Any:
    """Return NumPy's Array API namespace, which loads much that `import edcore` does not need."""
    return array_namespace(np.empty(0))


def locate(array: Array) -> Located:
    """Return the array with its library and device."""
    if type(array) is np.ndarray:  # in a step of a small network, asking takes longer than computing
        return Located(array, numpy_namespace(), HOST)
    xp = array_namespace(array)
    library = library_name(xp)
    check_fork(library)
    return Located(array, xp, Place(library, device_string(library, array_device(array))))


def place(array: Array) -> Place:
    """Return where the array is."""
    return locate(array).place


def library_name(namespace: Any) -> str:
    """Return the name of the library behind an Array API namespace, such as ``"torch"``."""
    return str(namespace.__name__).removeprefix("array_api_compat.").partition(".")[0]


def namespace_of(module: Any) -> Any:
    """Return the Array API namespace of an array library."""
    return module.numpy if module.__name__ == "jax" else array_namespace(module.zeros(0))


def detached(array: Array) -> Array:
    """Return the array without PyTorch's record of how to differentiate it, nor a minus or a conjugate put off."""
    return array.detach().resolve_conj().resolve_neg() if hasattr(array, "detach") else array


def to_numpy(array: Array) -> npt.NDArray[Any]:
    """Return the array as a NumPy array, which may share its memory and be read-only."""
    if isinstance(array, np.ndarray):
        return array
    library = library_name(array_namespace(array))
    if library == "torch":
        array = to_device(detached(array), "cpu")
        try:
            return np.asarray(array)
        except TypeError:  # NumPy has no bfloat16 or float8
            return np.asarray(array.float())
    if library == "dpnp":
        return importlib.import_module(library).asnumpy(array)
    if library == "jax":
        with unguarded(importlib.import_module(library)):
            return np.asarray(array)
    if library == "array_api_strict":  # it refuses NumPy's own conversion from its made-up devices
        return np.from_dlpack(array)
    return np.asarray(to_device(array, "cpu") if library == "cupy" else array)


def squares(xp: Any, array: Array) -> Array:
    """Return the sum of the squares, where the array is."""
    return xp.sum(array * array)


def least(xp: Any, array: Array) -> Array:
    """Return the least value, where the array is; NaN if a value is NaN."""
    return xp.min(array)


def most(xp: Any, array: Array) -> Array:
    """Return the largest value, where the array is; NaN if a value is NaN."""
    return xp.max(array)


def read(*wanted: tuple[Reduction, Array]) -> list[float]:
    """Return numbers of arrays of one library, all on one device: the host waits for it once."""
    reductions, arrays = zip(*wanted, strict=True)
    numbers: list[float] = to_numpy(_stacking(library_name(array_namespace(arrays[0])))(reductions, arrays)).tolist()
    return numbers


def _stacked(reductions: tuple[Reduction, ...], arrays: tuple[Array, ...]) -> Array:
    xp = array_namespace(arrays[0])
    return xp.stack([reduction(xp, array) for reduction, array in zip(reductions, arrays, strict=True)])


@functools.cache
def _stacking(library: str) -> Callable[..., Array]:
    """Return `_stacked`; for JAX as one compiled call, as it takes a third of the time of its operations one by one."""
    return importlib.import_module(library).jit(_stacked, static_argnums=0) if library == "jax" else _stacked


def like(array: Array, x: Array) -> Array:
    """Return the array as one of x's library, on x's device."""
    xp = array_namespace(x)
    if library_name(array_namespace(array)) == library_name(xp):
        return to_device(array, array_device(x))
    return xp.asarray(to_numpy(array).copy(), device=array_device(x))


def rows(array: Array, numbers: npt.NDArray[np.intp]) -> Array:
    """Return the rows with these numbers."""
    return array_namespace(array).take(array, like(numbers, array), axis=0)


def device_type(device: str) -> str:
    """Return the type of a device: ``"cuda"`` of ``"cuda:1"``."""
    return device.partition(":")[0]


def native_device(library: str, device: str) -> Any:
    """Return the library's own device object for a device string such as ``"cuda:1"``."""
    kind, _, index = device.partition(":")
    module = importlib.import_module(library)
    match library:
        case "torch":  # with its number: plain "cuda" means another device when the current one changes
            return module.device(f"{kind}:{index or 0}" if kind == "cuda" else device)
        case "jax":
            return module.devices(kind)[int(index or 0)]
        case "cupy":
            return module.cuda.Device(int(index or 0))
        case "array_api_strict":
            return module.Device("CPU_DEVICE" if kind == "cpu" else kind)
        case _:
            return device


def device_string(library: str, device: Any) -> str:
    """Return the device string of a library's own device object, the inverse of `native_device`."""
    match library:
        case "jax" if hasattr(device, "platform"):
            return "cpu" if device.platform == "cpu" else f"{device.platform.replace('gpu', 'cuda')}:{device.id}"
        case "cupy":
            return f"cuda:{device.id}"
        case "dpnp":
            return str(device.sycl_device.filter_string).partition(":")[2]  # without SYCL's own backend
        case "array_api_strict":
            return str(device).split("'")[1].replace("CPU_DEVICE", "cpu")
        case _:
            return str(device)


def unavailable(library: str, device: str) -> str:
    """Return why the library cannot compute on the device here, or an empty string where it can. Never raises."""
    kind, _, index = device.partition(":")
    try:
        if reason := missing(library):
            return reason
        number = int(index or 0)
        module = importlib.import_module(library)
        match library, kind:
            case "numpy", _ if index:
                return "the processor is one device, 'cpu'"
            case "torch", _ if not hasattr(module.backends.cuda.matmul, "fp32_precision"):
                return f"it needs PyTorch 2.9 or later, and this is {module.__version__}"
            case "torch", "cuda" if not module.cuda.is_available():
                return f"PyTorch sees no CUDA device here, so there is no {device!r}"
            case "torch", "mps" if not module.backends.mps.is_available():
                return f"PyTorch sees no Apple GPU here, so there is no {device!r}"
            case "torch", "cuda":
                count = module.cuda.device_count()
            case "cupy", "cuda":
                count = module.cuda.runtime.getDeviceCount()
            case "jax", _ if "jax" in INHERITED:
                return NO_FORK
            case "jax", _:
                count = len(module.devices(kind))
            case _:
                count = 1
    except Exception as error:  # a broken driver can raise anything
        return missing(library) or f"{library} does not work on {device!r} here ({said(error)})"
    if number < count:
        return ""
    return f"{library} sees {count} device{'s' * (count != 1)} of type {kind!r} here, so there is no {device!r}"


def has_dtype(namespace: Any, device: Any, dtype: str) -> bool:
    """Return whether a device of an array library computes in this dtype."""
    if dtype == "float64" and getattr(device, "type", "") == "mps":  # PyTorch lists what some device has
        return False
    return dtype in namespace.__array_namespace_info__().dtypes(device=device, kind="real floating")


def missing_dtype(library: str, dtype: str) -> str:
    """Return the sentence that says that a device lacks a dtype."""
    if library == "jax":
        switch = "jax.config.update('jax_enable_x64', True)"
        return f"JAX has {dtype} switched off; {switch} before its first use switches it on"
    return f"the device has no {dtype}"


def synchronize(library: str, device: Any, latest: Any) -> None:
    """Wait until the device has finished all work that was given to it; `latest` is the newest result."""
    match library:
        case "torch" if device.type in ("cuda", "mps"):
            module = importlib.import_module(library)
            if device.type == "cuda":
                module.cuda.synchronize(device)
            else:
                module.mps.synchronize()
        case "cupy":
            device.synchronize()
        case "jax" if latest is not None:
            jax = importlib.import_module(library)
            # Arrays whose memory was donated to a later call are deleted: that call is waited for instead.
            jax.block_until_ready([array for array in jax.tree.leaves(latest) if not array.is_deleted()])


_NO_SWITCH = contextlib.nullcontext()


def on_its_device(array: Any) -> contextlib.AbstractContextManager[Any]:
    """Make the device of a CuPy array the current one, as its kernels run there; lift JAX's guard for one of JAX."""
    library = type(array).__module__.partition(".")[0]
    if library == "jaxlib":
        return unguarded(importlib.import_module("jax"))
    return array.device if library == "cupy" else _NO_SWITCH


def unguarded(jax: Any) -> contextlib.AbstractContextManager[Any]:
    """Lift the user's guard of JAX against transfers, if there is one: numbers such as rates come from the host."""
    guards = {jax.config.jax_transfer_guard_host_to_device, jax.config.jax_transfer_guard_device_to_host}
    return jax.transfer_guard("allow") if guards - {None, "allow"} else _NO_SWITCH


def exact(library: str, device: Any) -> contextlib.AbstractContextManager[None]:
    """Compute in full precision (no TF32, no bfloat16), on the device, and do not warn of the exp that saturates."""
    check_fork(library)
    if library in ("torch", "jax", "cupy"):
        return _exact(library, device)
    return np.errstate(over="ignore", under="ignore")


@contextlib.contextmanager
def _exact(library: str, device: Any) -> Iterator[None]:
    match library:
        case "torch":
            module = importlib.import_module(library)
            # The user's inference mode is left, as its tensors could not be written to outside it, and so is autocast.
            with (
                _torch_switches(module),
                module.inference_mode(False),
                module.no_grad(),
                module.autocast(device.type, enabled=False),
                module.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext(),
            ):
                yield
        case "jax":
            module = importlib.import_module(library)
            with module.default_matmul_precision("highest"), module.numpy_rank_promotion("allow"), unguarded(module):
                yield
        case "cupy":  # its kernels run on the current device, wherever their arrays are
            with device, _cupy_switch(importlib.import_module(library)):
                yield


@contextlib.contextmanager
def _cupy_switch(cupy: Any) -> Iterator[None]:
    """Hold CuPy's products at full precision, where the environment variable CUPY_TF32 has asked for less."""
    core, float32 = cupy._core, np.dtype("float32")  # there is no public switch
    if core.get_compute_type(float32) != CUPY_TF32:
        yield
        return
    core.set_compute_type(float32, CUPY_DEFAULT)
    try:
        yield
    finally:
        core.set_compute_type(float32, CUPY_TF32)


class _Held:
    """How many threads are inside `_torch_switches`, and the user's own switches."""

    lock = ForkLock()
    inside = 0
    before: ClassVar[list[tuple[Any, str]]] = []


@contextlib.contextmanager
def _torch_switches(torch: Any) -> Iterator[None]:
    """Hold PyTorch at full precision. The switches are the whole process's, so the last thread out restores them."""
    entered = False
    try:
        with uninterrupted(), _Held.lock:
            if _Held.inside == 0:
                _Held.before = _lowered(torch)
                for switch, _ in _Held.before:
                    switch.fp32_precision = "ieee"
            _Held.inside += 1
            entered = True
        yield
    finally:
        if entered:
            with uninterrupted(), _Held.lock:
                _Held.inside -= 1
                if _Held.inside == 0:
                    for switch, precision in _Held.before:
                        switch.fp32_precision = precision


def _lowered(torch: Any) -> list[tuple[Any, str]]:
    """Return the switches that let products be less precise, each with what restores it."""
    found = []
    for switch in (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul):
        precision = switch.fp32_precision
        if precision not in ("ieee", "none"):
            # A switch that equals PyTorch's general one may only follow it: "none" lets it follow again.
            found.append((switch, "none" if precision == torch.backends.fp32_precision else precision))
    return found
