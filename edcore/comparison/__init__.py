"""ED beside other ways to learn: `edcore.compare`, its baselines and controls, and n-gram counts of a text."""

from edcore.comparison.ngrams import ngram_bits
from edcore.comparison.result import Comparison, Scores
from edcore.comparison.run import compare

__all__ = ["Comparison", "Scores", "compare", "ngram_bits"]
