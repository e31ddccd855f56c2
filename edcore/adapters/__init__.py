"""The contract, met on any array library: by new arrays (`array_api`), or in place (`in_place`)."""

from edcore.adapters.array_api import ArrayAPIBackend, array_api_backend
from edcore.adapters.in_place import InPlaceBackend
from edcore.adapters.operations import Operations

__all__ = ["ArrayAPIBackend", "InPlaceBackend", "Operations", "array_api_backend"]
