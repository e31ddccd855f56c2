"""The library's errors, and the one form that their sentences have.

Every message names the argument, what was given, what is accepted and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BackendUnavailableError",
    "DataFileError",
    "EDCoreError",
    "InputError",
    "NoTraceError",
    "OutOfMemoryError",
    "UnknownNameError",
]


class EDCoreError(Exception):
    """Base class of all errors that edcore raises on purpose."""


class InputError(EDCoreError, ValueError):
    """An argument has a value that is not accepted.

    Parameters
    ----------
    argument : str
        Name of the argument, as the caller wrote it.
    given : str
        What was given, in words.
    accepted : str
        What is accepted, in words.
    fix : str
        What to do, as a sentence with its full stop. May be empty where `accepted` says it all.

    Examples
    --------
    >>> from edcore.errors import InputError
    >>> raise InputError("u0", "-1", "a finite number above 0", "Leave it out for the article's 0.4.")
    Traceback (most recent call last):
    edcore.errors.InputError: u0: given -1; accepted: a finite number above 0. Leave it out for the article's 0.4.
    """

    def __init__(self, argument: str, given: str, accepted: str, fix: str = "") -> None:
        self.argument = argument
        super().__init__(f"{argument}: given {given}; accepted: {accepted}. {fix}".rstrip())


class UnknownNameError(InputError):
    """A name (of a rule, a backend, a device, a data set, …) is not one of those known.

    Parameters
    ----------
    argument : str
        Name of the argument.
    given : object
        The unknown name.
    known : iterable of str
        The names that are accepted.
    fix : str
        What to do where no known name resembles the one given.
    """

    def __init__(self, argument: str, given: object, known: Iterable[str], fix: str = "") -> None:
        names = sorted(known)
        close = difflib.get_close_matches(str(given), names, n=1)
        fix = f"Did you mean {close[0]!r}?" if close else fix
        super().__init__(argument, repr(given), ", ".join(map(repr, names)) or "nothing, as none is installed", fix)


class BackendUnavailableError(EDCoreError, RuntimeError):
    """A backend that was asked for by name cannot run here; nothing else was tried."""


class OutOfMemoryError(EDCoreError, MemoryError):
    """A network or a batch does not fit into the memory of its device."""


class NoTraceError(EDCoreError, RuntimeError):
    """An update was asked for with no forward pass whose trace it could use."""


class DataFileError(EDCoreError, OSError):
    """A data file is missing, truncated or not what its name says."""
