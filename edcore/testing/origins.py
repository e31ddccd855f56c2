"""Where an exception comes from: the innermost line of a backend's own code."""

from __future__ import annotations

import dataclasses
import os
import sys
import traceback
from pathlib import Path

from edcore.contract.backend import Backend
from edcore.errors import said

METHODS = (
    "from_host",
    "to_host",
    "forward",
    "trace",
    "update",
    "copy",
    "fit",
    "memory",
    "synchronize",
    "supports",
    "probe",
)
TESTING = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Source:
    """Where an exception comes from: the innermost line of the backend's code.

    Parameters
    ----------
    type, message : str
        Its kind, and what it says.
    file : str
        The file, relative to the current folder if it lies there.
    line : int
        The line, from 1.
    function : str
        The function that the line is in.
    call : str
        The method of the contract that was called, such as ``"update"``; empty if none was.
    """

    type: str
    message: str
    file: str
    line: int
    function: str
    call: str


def innermost(error: Exception) -> Exception:
    """Return the error itself: Hypothesis wraps one that it does not see again in a group."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def source_of(backend: Backend, error: Exception) -> Source:
    """Return where an exception comes from: the innermost line of the backend's own code, or else outside the suite."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if not is_ours(frame.filename)]
    home = _home(backend)
    own = [frame for frame in outside if Path(frame.filename).is_relative_to(home)]
    frame = (own or outside or list(frames))[-1]
    calls = [frame.name for frame in outside if frame.name in METHODS]
    kind, _, message = said(error).partition(": ")
    file = os.path.relpath(frame.filename)
    return Source(
        kind,
        message,
        frame.filename if file.startswith("..") else file,
        frame.lineno or 0,
        frame.name,
        (calls or [""])[0],
    )


def is_ours(file: str) -> bool:
    """Return whether a file is of the suite, or of what runs it."""
    path = Path(file)
    return path.is_relative_to(TESTING) or path.name == "threading.py" or "hypothesis" in path.parts


def _home(backend: Backend) -> Path:
    """Return the folder of a backend's package, or the file of its module."""
    name = type(backend).__module__
    package, module = (getattr(sys.modules.get(one), "__file__", None) for one in (name.partition(".")[0], name))
    if package and Path(package).name == "__init__.py":
        return Path(package).parent
    return Path(module or "nowhere")
