"""The choice of a backend.

An instance decides, else a name, else the context `use_backend`, else the environment variable EDCORE_BACKEND, else
``auto``. A backend that is named runs or is an error; only ``auto`` tries others.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from array_api_compat import device as array_device

from edcore.adapters.array_api import ArrayAPIBackend
from edcore.arguments import one_of
from edcore.arrays import Located, device_type
from edcore.contract.backend import Backend, BackendInfo
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.dispatch import registry
from edcore.dispatch.calibration import USUAL_BATCH
from edcore.dispatch.preferences import SIMULATOR, Candidate, preferences
from edcore.environment import install_helps
from edcore.errors import BackendUnavailableError, InputError, UnknownNameError, shown

ENVIRONMENT = "EDCORE_BACKEND"
FULL = "full"
WHERE = {"tf32x3": " on cuda in float32"}
"""Where backends have a precision, for a sentence."""

logger = logging.getLogger("edcore")

_context: ContextVar[str | Backend | None] = ContextVar("edcore_backend", default=None)


@dataclass(frozen=True, slots=True)
class Request:
    """The backend that is asked for: a name, ``"auto"``, or a backend itself."""

    backend: str | Backend
    asked_by: str  # the start of an error's sentence
    device: str | None
    precision: str = FULL


@contextlib.contextmanager
def use_backend(backend: str | Backend) -> Iterator[None]:
    """Use a backend wherever none is named, in a block.

    Parameters
    ----------
    backend : str or Backend
        A name of `list_backends`, ``"auto"``, or a backend itself.

    Raises
    ------
    UnknownNameError
        If no backend has that name.

    Examples
    --------
    >>> import edcore
    >>> with edcore.use_backend("loop"):
    ...     ed = edcore.ED(in_=2)
    >>> ed.backend
    'loop'
    """
    _checked(backend, "use_backend")
    token = _context.set(backend)
    try:
        yield
    finally:
        _context.reset(token)


def make_request(backend: str | Backend, device: str | None, precision: str = FULL) -> Request:
    """Return the request of the arguments, the context or the environment; refuse a name that cannot run here."""
    _check_device(device)
    if not isinstance(precision, str) or precision != FULL:
        one_of("precision", precision, known_precisions())
    if not isinstance(backend, str) or backend != "auto":
        return _request(backend, "backend", f"backend={shown(backend)}", device, precision)
    if (context := _context.get()) is not None:
        return _request(context, "use_backend", f"use_backend({shown(context)})", device, precision)
    if name := os.environ.get(ENVIRONMENT):
        return _request(name, ENVIRONMENT, f"the environment variable {ENVIRONMENT}={name}", device, precision)
    kinds = {kind for info in registry.installed().values() for kind in info.device_types}
    if device and device_type(device) not in kinds:
        fix = "An NVIDIA GPU is 'cuda', the second one 'cuda:1', an Apple GPU 'mps'."
        raise InputError("device", repr(device), ", ".join(map(repr, sorted(kinds))), fix)
    return Request("auto", "auto", device, precision)


def choose_backend(
    request: Request, network: Network, rule: Rule, x: Located | None = None, batch: int | None = None
) -> Backend:
    """Return the backend that will compute the network, for a first x like this one; None counts as NumPy's.

    `batch` has the samples of a training step, if they are known; else x is one.
    """
    if not isinstance(request.backend, str):
        return check_support(request.backend, request.asked_by, network, rule)
    if request.backend != "auto":
        # Checked again: the request may be old, or come from another machine in a pickle.
        _checked(request.backend, "backend")
        _check_ready(registry.installed()[request.backend], request)
        reason, backend = _placed(registry.installed()[request.backend], request, network, rule)
        return _refused(reason, request.asked_by) if reason else backend
    if batch is None:
        batch = USUAL_BATCH if x is None else x.array.shape[0]
    batch = rule.samples_per_update(batch)
    if x is None or x.place.library == "numpy":
        return _auto(request, network, rule, batch)
    return _follow(x, request, network, rule, batch)


def _auto(request: Request, network: Network, rule: Rule, batch: int) -> Backend:
    """Return the first ready backend in the order of preference; log why each before it was passed over."""
    preferred = preferences(network.widest, request.device, batch=batch)
    passed_over = []
    for candidate in preferred.candidates:
        reason, backend = why_not(candidate, network, rule, request.precision)
        if backend is not None:
            logger.info("auto: %s on %s", candidate.info.name, backend.device)
            return backend
        logger.info("auto: %s passed over: %s", candidate.name, reason)
        passed_over.append(f"{candidate.name}: {reason}")
    passed_over.extend(f"{name}: {reason}" for name, reason in preferred.excluded)
    where = f" on device={request.device!r}" if request.device else ""
    raise BackendUnavailableError(f"auto: no backend can run this network{where}. " + "; ".join(passed_over) + ".")


def why_not(candidate: Candidate, network: Network, rule: Rule, precision: str = FULL) -> tuple[str, Backend | None]:
    """Return why ``auto`` passes a candidate over, or else the backend."""
    info, device = candidate.info, candidate.device
    if lacks := _lacks(info, precision):
        return lacks, None
    if not (state := registry.probe(info, device)).ok:
        return state.reason, None
    try:
        backend = _load(info, Request(info.name, "auto", device, precision))
    except BackendUnavailableError as error:
        return f"it failed to load ({error.__cause__!r})", None
    if device_type(backend.device) == SIMULATOR:
        return "a simulator is used only when asked for", None
    reason = _unsupported(backend, network, rule)
    return (reason, None) if reason else ("", backend)


def _placed(info: BackendInfo, request: Request, network: Network, rule: Rule) -> tuple[str, Backend]:
    """Return why a named backend does not support the network, empty if it does, and the backend.

    It is loaded on the device that was asked for, else on its preferred one, else on one that supports the network.
    """
    backend = _load(info, request)
    reason = _unsupported(backend, network, rule)
    others = () if request.device else info.device_types
    for kind in others if reason else ():
        if kind in (SIMULATOR, device_type(backend.device)) or not registry.probe(info, kind).ok:
            continue
        with contextlib.suppress(BackendUnavailableError):
            other = _load(info, replace(request, device=kind))
            if not _unsupported(other, network, rule):
                return "", other
    return reason, backend


def _follow(x: Located, request: Request, network: Network, rule: Rule, batch: int) -> Backend:
    """Return a backend for arrays of x's library, on its device unless another one was asked for."""
    library, where = x.place
    device = request.device or where
    who = f"auto, which follows x to {library},"
    own = registry.installed().get(library)
    if not own or device_type(device) not in own.device_types:
        if request.device:
            raise InputError("device", repr(device), f"{where!r}, where x is")
        if request.precision != FULL:
            _lacking(request.precision, who)
        return _followed(ArrayAPIBackend(x.xp, array_device(x.array)), library, who, network, rule)
    for candidate in preferences(network.widest, device, library, batch=batch).candidates:
        if candidate.info is own:
            break
        reason, backend = why_not(candidate, network, rule, request.precision)
        if backend is not None:
            return _followed(backend, library, who, network, rule)
        logger.info("auto: %s passed over: %s", candidate.name, reason)
    asked = Request(library, who, device, request.precision)
    _check_ready(own, asked)
    return _followed(_load(own, asked), library, who, network, rule)


def _followed(backend: Backend, library: str, who: str, network: Network, rule: Rule) -> Backend:
    logger.info("auto: %s on %s, as x is an array of %s", backend.info.name, backend.device, library)
    return check_support(backend, who, network, rule)


def _load(info: BackendInfo, request: Request) -> Backend:
    try:
        # Only a backend that has another precision takes a second argument.
        precision = () if request.precision == FULL else (request.precision,)
        backend = info.load(request.device, *precision)
        if not isinstance(backend, Backend):
            raise TypeError(f"load returned {backend!r}, which is no Backend")
    except Exception as error:
        raise _unavailable(request.asked_by, f"it failed to load ({error!r})", info) from error
    backend.info = info  # a plug-in may be registered under another name than its own
    return backend


def check_support(backend: Backend, asked_by: str, network: Network, rule: Rule) -> Backend:
    """Return the backend, or refuse a network and a rule that it does not support."""
    reason = _unsupported(backend, network, rule)
    return _refused(reason, asked_by) if reason else backend


def _refused(reason: str, asked_by: str) -> NoReturn:
    raise BackendUnavailableError(f"{asked_by} cannot run this network: {reason}. Nothing else was tried.")


def _unsupported(backend: Backend, network: Network, rule: Rule) -> str:
    """Return why the backend does not support the network, or an empty string where it does."""
    try:
        supported = backend.supports(network, rule)
    except Exception as error:
        return f"its method supports() failed ({error!r})"
    return "" if supported is True else str(supported)


def _unavailable(asked_by: str, reason: str, info: BackendInfo) -> BackendUnavailableError:
    install = f" Its packages are installed by: {info.install}." if info.install and install_helps(reason) else ""
    return BackendUnavailableError(f"{asked_by} cannot run here: {reason}. Nothing else was tried.{install}")


def _request(backend: str | Backend, argument: str, asked_by: str, device: str | None, precision: str) -> Request:
    _checked(backend, argument)
    if isinstance(backend, str):
        request = Request(backend, asked_by, device, precision)
        if backend != "auto":
            _check_ready(registry.installed()[backend], request)
        return request
    if device not in (None, backend.device):
        raise InputError("device", repr(device), f"{backend.device!r}, where the given backend is")
    own = getattr(backend, "precision", FULL)
    if precision not in (FULL, own):
        raise InputError("precision", repr(precision), f"{own!r}, that of the given backend")
    return Request(backend, f"the given backend {backend.info.name!r}", device, own)


def _check_ready(info: BackendInfo, request: Request) -> None:
    device = request.device
    if device and device_type(device) not in info.device_types:
        raise InputError("device", repr(device), f"a device of {info.name}: {', '.join(info.device_types)}")
    if _lacks(info, request.precision):
        _lacking(request.precision, request.asked_by)
    state = registry.probe(info, device)
    if not state.ok:
        raise _unavailable(request.asked_by, state.reason, info)


def known_precisions() -> set[str]:
    """Return the precisions that some backend has, one that cannot run here included."""
    return {FULL}.union(*(info.precisions for info in registry.installed().values()))


def _lacks(info: BackendInfo, precision: str) -> str:
    """Return the sentence that says that a backend lacks a precision, or an empty string where it has it."""
    return "" if precision in (FULL, *info.precisions) else f"it has no precision {precision!r}"


def _lacking(precision: str, asked_by: str) -> NoReturn:
    have = sorted(name for name, info in registry.installed().items() if precision in info.precisions)
    reason = f"it has no precision {precision!r}; these have it{WHERE.get(precision, '')}: {', '.join(have)}"
    raise BackendUnavailableError(f"{asked_by} cannot run here: {reason}. Nothing else was tried.")


def _checked(backend: Any, argument: str) -> None:
    if isinstance(backend, str):
        if backend != "auto" and backend not in registry.installed():
            fix = "`edcore info` lists the backends and how to install more."
            raise UnknownNameError(argument, backend, {"auto", *registry.installed()}, fix)
    elif not isinstance(backend, Backend):
        raise InputError(argument, shown(backend), "a backend's name, 'auto', or a Backend")


def _check_device(device: Any) -> None:
    if device is None or (isinstance(device, str) and re.fullmatch(r"[a-z]\w*(:(0|[1-9]\d*))?", device, re.ASCII)):
        return
    raise InputError("device", shown(device), "None or a device string, such as 'cpu', 'cuda' or 'cuda:1'")
