"""Pictures of a run and of a network, drawn with matplotlib: ``pip install "edcore[plots]"``.

Each function draws on the axes that it gets, or on a new figure, and returns the figure. It does not use pyplot: no
screen is needed, no figure has to be closed, and threads do not disturb each other. Colour-blind readers can tell the
colours apart, and markers or line styles differ too.
"""

from edcore.plots.animation import Animation, animate
from edcore.plots.boundary import decision_boundary
from edcore.plots.comparison import compare
from edcore.plots.confusion import confusion_matrix
from edcore.plots.depth import layer_map
from edcore.plots.distribution import outputs
from edcore.plots.drawing import network
from edcore.plots.fields import receptive_fields
from edcore.plots.layers import activities, weights
from edcore.plots.learning import learning_curve
from edcore.plots.methods import scores
from edcore.plots.misclassified import mistakes
from edcore.plots.summary import training_summary
from edcore.plots.sweeping import sweep
from edcore.plots.update import step

__all__ = [
    "Animation",
    "activities",
    "animate",
    "compare",
    "confusion_matrix",
    "decision_boundary",
    "layer_map",
    "learning_curve",
    "mistakes",
    "network",
    "outputs",
    "receptive_fields",
    "scores",
    "step",
    "sweep",
    "training_summary",
    "weights",
]
