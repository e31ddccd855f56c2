"""Diagnose each layer: saturated and dead cells, and how ED's update compares with the gradient."""

from edcore.diagnostics.diagnose import DeadStackWarning, diagnose
from edcore.diagnostics.diagnosis import Diagnosis

__all__ = ["DeadStackWarning", "Diagnosis", "diagnose"]
