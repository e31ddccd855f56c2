"""Pictures of a run and of a network, drawn with matplotlib: ``pip install "edcore[plots]"``.

Every function draws on the axes that it is given, or on a figure of its own, and returns the figure. pyplot is not
used: no screen is needed, nothing has to be closed, and threads do not disturb each other. Colours can be told apart by
colour-blind readers, and where colours name things, markers or line styles do so too.
"""

from edcore.plots.boundary import decision_boundary
from edcore.plots.confusion import confusion_matrix
from edcore.plots.depth import layer_map
from edcore.plots.fields import receptive_fields
from edcore.plots.learning import learning_curve
from edcore.plots.summary import training_summary

__all__ = [
    "confusion_matrix",
    "decision_boundary",
    "layer_map",
    "learning_curve",
    "receptive_fields",
    "training_summary",
]
