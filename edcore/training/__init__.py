"""Runs: the options of a run, the loop over its batches, and the checkpoint that it can be resumed from."""

from edcore.training.loop import Progress, train

__all__ = ["Progress", "train"]
