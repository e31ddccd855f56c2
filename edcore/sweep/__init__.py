"""Sweeps: a run for each seed and each combination of options, a row of results for each run.

`Sweep` lists the runs, and `Sweep.rows` carries them out with the workers of joblib. `Results` is the file of the rows;
a sweep that was stopped goes on in it. `summarise` has the means over the seeds, with their intervals.
"""

from edcore.sweep.plan import Sweep
from edcore.sweep.results import Results
from edcore.sweep.summary import Point, Summary, summarise

__all__ = ["Point", "Results", "Summary", "Sweep", "summarise"]
