"""Networks in files: any backend loads a network that another one has trained, on any machine.

A file is in the format of safetensors: a header, with a JSON document on the network, and arrays. It is written
atomically, and reading it executes nothing.
"""

from edcore.io.header import Saved
from edcore.io.networks import inspect, load, save

__all__ = ["Saved", "inspect", "load", "save"]
