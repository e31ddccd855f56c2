"""Which backend computes a network: the registry of installed backends, and the choice among them."""

from edcore.dispatch.choose import use_backend
from edcore.dispatch.registry import BackendStatus, list_backends, refresh, register

__all__ = ["BackendStatus", "list_backends", "refresh", "register", "use_backend"]
