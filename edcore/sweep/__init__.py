"""Sweeps: a run for each seed and each combination of options, a row of figures for each run.

`Sweep` says which runs there are, and its `Sweep.rows` carries them out, wherever joblib has its workers. `Results` is
the file that rows are kept in, so that a sweep which was stopped goes on.
"""

from edcore.sweep.plan import Sweep
from edcore.sweep.results import Results

__all__ = ["Results", "Sweep"]
