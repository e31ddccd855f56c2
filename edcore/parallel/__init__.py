"""Heads of a network, and other independent tasks, on many cores or on a cluster, by joblib."""

from edcore.parallel.heads import fit_heads
from edcore.parallel.tasks import run_tasks

__all__ = ["fit_heads", "run_tasks"]
