"""ED beside other ways to learn, on a user's data: `edcore.compare`, and the baselines and controls that it runs."""

from edcore.comparison.result import Comparison, Scores
from edcore.comparison.run import compare

__all__ = ["Comparison", "Scores", "compare"]
