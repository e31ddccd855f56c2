"""Networks, estimators and pipelines in files: any backend loads what another one has trained, on any machine.

A file is in the format of safetensors: a header, with a JSON document on the network, and arrays. It is written
atomically, and reading it executes nothing.
"""

from edcore.io.estimators import SavedEstimator
from edcore.io.header import Saved
from edcore.io.networks import inspect, load, save

__all__ = ["Saved", "SavedEstimator", "inspect", "load", "save"]
