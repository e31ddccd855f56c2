"""The contract: what a backend owes to the library, and what the library promises to a backend."""

from edcore.arrays import Array, HostWeights, Weights
from edcore.contract.backend import (
    API_VERSION,
    Availability,
    Backend,
    BackendInfo,
    LearnsByLayer,
    classic,
    fills_errors,
    known,
    run_schedule,
    takes_weights,
)
from edcore.contract.memory import Memory, Supported, fits, host_memory, needed, traced
from edcore.contract.steps import Schedule

__all__ = [
    "API_VERSION",
    "Array",
    "Availability",
    "Backend",
    "BackendInfo",
    "HostWeights",
    "LearnsByLayer",
    "Memory",
    "Schedule",
    "Supported",
    "Weights",
    "classic",
    "fills_errors",
    "fits",
    "host_memory",
    "known",
    "needed",
    "run_schedule",
    "takes_weights",
    "traced",
]
