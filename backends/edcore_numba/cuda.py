"""Until the package's entry names `gpu` itself."""

from __future__ import annotations

from .gpu import NumbaCUDA, unavailable

__all__ = ["NumbaCUDA", "unavailable"]
