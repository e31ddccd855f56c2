"""edcore: Kaneko's ED method (error diffusion learning), on any array library and device."""

from edcore import datasets
from edcore.backend import Availability, Backend, BackendInfo
from edcore.ed import ED
from edcore.errors import (
    BackendUnavailableError,
    DataFileError,
    EDCoreError,
    InputError,
    NoTraceError,
    OutOfMemoryError,
    UnknownNameError,
)
from edcore.network import Network, Rule
from edcore.registry import BackendStatus, list_backends, refresh, register
from edcore.select import use_backend

__version__ = "0.1.0"

__all__ = [
    "ED",
    "Availability",
    "Backend",
    "BackendInfo",
    "BackendStatus",
    "BackendUnavailableError",
    "DataFileError",
    "EDCoreError",
    "InputError",
    "Network",
    "NoTraceError",
    "OutOfMemoryError",
    "Rule",
    "UnknownNameError",
    "__version__",
    "datasets",
    "list_backends",
    "refresh",
    "register",
    "use_backend",
]
