"""Training runs: their options, the loop over batches, and checkpoints to resume from."""

from edcore.training.history import History
from edcore.training.loop import Progress, train

__all__ = ["History", "Progress", "train"]
