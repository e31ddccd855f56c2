"""The command line."""

from edcore.cli.app import main

__all__ = ["main"]
