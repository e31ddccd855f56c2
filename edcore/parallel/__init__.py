"""Independent heads and tasks on many cores, or on a cluster."""

from edcore.parallel.heads import fit_heads

__all__ = ["fit_heads"]
