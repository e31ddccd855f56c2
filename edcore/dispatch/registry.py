"""The backends that are installed: entry points of the group ``edcore.backends``, ours and anybody's alike.

A plug-in that is broken warns once, is listed with the reason, and breaks nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from edcore.contract.backend import API_VERSION, Availability, Backend, BackendInfo
from edcore.errors import EDCoreError, InputError, printable, shown
from edcore.interrupts import ForkLock

GROUP = "edcore.backends"


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """One line of `list_backends`.

    Parameters
    ----------
    name, summary, install, priority
        As in `BackendInfo`.
    ready : bool
        True if it can run here.
    devices : tuple of str
        The types of devices on which it can run here.
    reason : str
        Why it cannot run here; empty where it can.
    """

    name: str
    summary: str
    ready: bool
    devices: tuple[str, ...]
    reason: str
    install: str
    priority: int


_lock = ForkLock()  # a cache alone lets two threads fill it, and what one registers in its own would be lost


def installed() -> dict[str, BackendInfo]:
    """Return name → entry of every backend that is installed or registered, broken ones included."""
    with _lock:
        return _find()


OWN = {
    "array_api_strict": "edcore.adapters.array_api:ARRAY_API_STRICT",
    "cupy": "edcore_cupy:BACKEND",
    "jax": "edcore_jax:BACKEND",
    "loop": "edcore_loop:BACKEND",
    "numba": "edcore_numba:BACKEND",
    "numpy": "edcore.adapters.array_api:NUMPY",
    "torch": "edcore_torch:BACKEND",
}
"""edcore's backends, for where its metadata are missing: in a copied folder, an archive, a program of PyInstaller."""


def _points() -> list[EntryPoint]:
    points = list(entry_points(group=GROUP))
    if not any(point.value == OWN["numpy"] for point in points):
        here = {name: value for name, value in OWN.items() if find_spec(value.partition(":")[0].partition(".")[0])}
        points += [EntryPoint(name, value, GROUP) for name, value in here.items()]
    return sorted(points, key=lambda point: point.name)


@functools.cache
def _find() -> dict[str, BackendInfo]:
    found: dict[str, BackendInfo] = {}
    for point in _points():
        if point.name in found:
            _warn(f"the backend {point.name!r} is registered twice; the one of {point.value!r} is left out")
        else:
            found[point.name] = _load(point)
    return found


def refresh() -> None:
    """Look for backends again, as after a package was installed. Those that `register` added are dropped."""
    with _lock:
        _find.cache_clear()


def register(info: BackendInfo) -> None:
    """Add a backend to this process without installing it.

    Parameters
    ----------
    info : BackendInfo
        Its entry. It replaces one of the same name.

    Raises
    ------
    InputError
        If it is no `BackendInfo`, or was written for another version of the contract.
    """
    if not isinstance(info, BackendInfo):
        raise InputError(
            "info", shown(info), "a BackendInfo", "Describe the backend with edcore.contract.backend.BackendInfo(…)."
        )
    if info.api_version != API_VERSION:
        raise InputError("info", f"api_version={info.api_version}", f"api_version={API_VERSION}", "Port the backend.")
    installed()[info.name] = info


def probe(info: BackendInfo, device: str | None) -> Availability:
    """Return the backend's own word on whether it can run here, and its reason where the probe itself fails."""
    try:
        state = info.probe(device)
    except Exception as error:
        return Availability(False, f"its probe failed ({error!r})")
    return state if isinstance(state, Availability) else Availability(False, f"its probe returned {state!r}")


def list_backends() -> list[BackendStatus]:
    """Return the state of every backend, the one that ``auto`` prefers first.

    Returns
    -------
    list of BackendStatus
        One for each backend. To probe them, the array libraries that are installed are imported.

    Examples
    --------
    >>> import edcore
    >>> [status.ready for status in edcore.list_backends() if status.name == "numpy"]
    [True]
    """
    return [_status(info) for info in sorted(installed().values(), key=lambda info: (-info.priority, info.name))]


def _status(info: BackendInfo) -> BackendStatus:
    states = {kind: probe(info, kind) for kind in info.device_types}
    devices = tuple(kind for kind, state in states.items() if state.ok)
    reason = "" if devices else next((state.reason for state in states.values()), probe(info, None).reason)
    return BackendStatus(info.name, info.summary, bool(devices), devices, reason, info.install, info.priority)


def _load(point: EntryPoint) -> BackendInfo:
    """Return the entry that a plug-in names, or an entry with the reason why it is broken."""
    try:
        info = point.load()
        if not isinstance(info, BackendInfo):
            raise TypeError(f"{point.value} is no BackendInfo")
        if info.api_version != API_VERSION:
            raise TypeError(f"it was written for version {info.api_version} of the contract, and this is {API_VERSION}")
    except Exception as error:
        reason = f"its plug-in {point.value!r} is broken ({error!r})"
        _warn(f"the backend {point.name!r} cannot be used: {reason}")
        return _broken(point.name, reason)
    return dataclasses.replace(info, name=point.name)


def _broken(name: str, reason: str) -> BackendInfo:
    def load(device: str | None) -> Backend:
        raise EDCoreError(reason)

    return BackendInfo(
        name=name,
        summary="a broken plug-in",
        install="",
        priority=0,
        device_types=(),
        namespaces=(),
        api_version=API_VERSION,
        probe=lambda device: Availability(False, reason),
        load=load,
    )


def _warn(message: str) -> None:
    warnings.warn(printable(message), RuntimeWarning, stacklevel=2)
