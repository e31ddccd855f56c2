"""Networks in files: what one backend has learnt, any other one loads, on any machine."""

from edcore.io.networks import Saved, inspect, load, save

__all__ = ["Saved", "inspect", "load", "save"]
