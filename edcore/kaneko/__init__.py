"""Kaneko's program of 1999, to the bit in double precision."""

from edcore.kaneko.parameters import Parameters
from edcore.kaneko.program import Epoch, Program, Result, layered_weights, run
from edcore.kaneko.rand import Rand

__all__ = ["Epoch", "Parameters", "Program", "Rand", "Result", "layered_weights", "run"]
