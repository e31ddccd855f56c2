"""edcore: Kaneko's ED method (error diffusion learning), on any array library and device."""

from typing import TYPE_CHECKING, Any

from edcore import datasets, io
from edcore.backend import Availability, Backend, BackendInfo
from edcore.ed import ED
from edcore.errors import (
    BackendUnavailableError,
    DataFileError,
    DivergedError,
    EDCoreError,
    InputError,
    LockedError,
    NoTraceError,
    OutOfMemoryError,
    UnknownNameError,
)
from edcore.initial import Initial
from edcore.network import Network
from edcore.presets import PRESETS, Preset
from edcore.registry import BackendStatus, list_backends, refresh, register
from edcore.rule import Rule
from edcore.select import use_backend

if TYPE_CHECKING:
    from edcore.estimators import EDClassifier, EDRegressor

__version__ = "0.1.0"

__all__ = [
    "ED",
    "PRESETS",
    "Availability",
    "Backend",
    "BackendInfo",
    "BackendStatus",
    "BackendUnavailableError",
    "DataFileError",
    "DivergedError",
    "EDClassifier",
    "EDCoreError",
    "EDRegressor",
    "Initial",
    "InputError",
    "LockedError",
    "Network",
    "NoTraceError",
    "OutOfMemoryError",
    "Preset",
    "Rule",
    "UnknownNameError",
    "__version__",
    "datasets",
    "io",
    "list_backends",
    "refresh",
    "register",
    "use_backend",
]

_ESTIMATORS = ("EDClassifier", "EDRegressor")  # scikit-learn is loaded when one of them is first asked for


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        from edcore import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ESTIMATORS})
