"""The method: what a network and a rule are, one forward pass, and one update of all layers at once.

`edcore.core.method` states it in the Array API standard; nothing in this folder knows of a device or of a file.
"""

from edcore.core.method import (
    RMS_EPS,
    Cells,
    Trace,
    expand_one_hot,
    forward,
    input_cells,
    outputs,
    read_out,
    run_layers,
    trace,
    update,
    update_layers,
    weighted_error,
)
from edcore.core.network import Initial, Network
from edcore.core.presets import PRESETS, Preset, preset
from edcore.core.rule import Rule
from edcore.core.weights import initialise

__all__ = [
    "PRESETS",
    "RMS_EPS",
    "Cells",
    "Initial",
    "Network",
    "Preset",
    "Rule",
    "Trace",
    "expand_one_hot",
    "forward",
    "initialise",
    "input_cells",
    "outputs",
    "preset",
    "read_out",
    "run_layers",
    "trace",
    "update",
    "update_layers",
    "weighted_error",
]
