"""The library's errors, and the one form that their sentences have.

Every message names the argument, what was given, what is accepted and what to do.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

MOST_NAMED = 8
"""Heads that a sentence names one by one."""

LONGEST = 200
"""Characters that a sentence shows of a value."""


def printable(text: str, kept: str = "") -> str:
    """Return a text with escapes, as `repr` writes them, for what commands a terminal, breaks a line or is not seen.

    Characters of `kept` stay, as do those that join letters of some scripts and parts of an emoji.
    """
    if text.isprintable():
        return text
    shown = list(text)
    for place, sign in enumerate(text):
        if sign.isprintable() or sign in kept or unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            continue  # a wide space, and what is newer than this Python's table of characters, are printed
        beside = text[place - 1 : place], text[place + 1 : place + 2]
        if sign not in "\u200c\u200d" or any(map(str.isascii, beside)):
            shown[place] = ascii(sign)[1:-1]
    return "".join(shown)


def listed(names: Sequence[str], most: int) -> str:
    """Return names for a sentence, in quotes, and how many there are beyond the `most`."""
    return ", ".join(map(repr, names[:most])) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def shown(value: object) -> str:
    """Return the repr of any value as a sentence shows it: in one line, and not too long."""
    try:
        text = printable(" ".join(repr(value).splitlines()))
    except Exception:  # Python refuses to print very large whole numbers, and a repr of others may do anything
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def said(error: BaseException) -> str:
    """Return an exception of other code as a sentence shows it: its kind, and its beginning, in one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # it may format what cannot be printed
        text = ""
    return f"{type(error).__name__}: {text[:LONGEST] or 'no message'}{'…' * (len(text) > LONGEST)}"


class EDCoreError(Exception):
    """Base class of all errors that edcore raises on purpose. They can be pickled, and so reach other processes."""

    def __str__(self) -> str:
        # A sentence has names of files and texts in them, which may be anybody's.
        return printable(super().__str__(), "\n")

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own would call __init__ with the sentence alone.
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[EDCoreError], args: tuple[Any, ...], state: dict[str, Any]) -> EDCoreError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


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
        close = difflib.get_close_matches(given if isinstance(given, str) else "", names, n=1)
        fix = f"Did you mean {close[0]!r}?" if close else fix
        super().__init__(argument, shown(given), ", ".join(map(repr, names)) or "nothing, as none is installed", fix)


class BackendUnavailableError(EDCoreError, RuntimeError):
    """A backend that was asked for by name cannot run here; nothing else was tried."""


class OutOfMemoryError(EDCoreError, MemoryError):
    """A network or a batch does not fit into the memory of its device."""


class NoTraceError(EDCoreError, RuntimeError):
    """An update was asked for with no forward pass whose trace it could use."""


class AttributeRefusedError(EDCoreError, AttributeError):
    """An attribute cannot be set, or does not exist."""


class DataFileError(EDCoreError, OSError):
    """A data file is missing, truncated or not what its name says."""


class LockedError(EDCoreError, OSError):
    """Another run is writing the file that a run was to be kept in."""


class DivergedError(EDCoreError, ArithmeticError):
    """Learning has led to weights or activities that are NaN or infinite. What was learnt before is still there.

    Parameters
    ----------
    part : {"weights", "activities"}
        The values that stopped being finite first.
    layer : str
        Their layer, such as ``"hidden layer 17 of 4,097"``; hidden layer 1 is the input layer.
    heads : tuple of int
        The heads in which they did so, counted from 0.
    of : int
        Number of heads of the network.
    kept : str
        The state of the network's weights, as a sentence.
    fix : str
        The advice, as a sentence.
    epoch, batch : int, optional
        The epoch, and the batch in it, both counted from 1; None where it is not known which.

    Examples
    --------
    >>> import edcore
    >>> ed = edcore.ED(2, hidden_width=4, activation="linear", alpha=1e18, seed=1, backend="numpy")
    >>> try:
    ...     ed.fit([[0, 1], [1, 1]], [1, 0], epochs=10, batch_size=2)
    ... except edcore.errors.DivergedError as error:
    ...     print(error.part, "of", error.layer, "in epoch", error.epoch)
    activities of hidden layer 2 of 2 in epoch 3
    """

    def __init__(
        self,
        part: str,
        layer: str,
        heads: tuple[int, ...],
        of: int,
        kept: str,
        fix: str,
        epoch: int | None = None,
        batch: int | None = None,
    ) -> None:
        self.part, self.layer, self.heads, self.epoch, self.batch = part, layer, heads, epoch, batch
        self.of, self.kept, self.fix = of, kept, fix
        named = [f"{name} {number:,}" for name, number in (("batch", batch), ("epoch", epoch)) if number is not None]
        step = f" in {' of '.join(named)}" if named else ""
        numbers = ", ".join(f"{head + 1:,}" for head in heads[:MOST_NAMED]) + (", …" if len(heads) > MOST_NAMED else "")
        where = f" (head{'s' * (len(heads) > 1)} {numbers} of {of:,})" if of > 1 else ""
        super().__init__(f"learning has diverged{step}: the {part} of {layer}{where} are NaN or infinite. {kept} {fix}")

    def at(self, epoch: int | None, batch: int | None, kept: str | None = None) -> DivergedError:
        """Return the same error with the epoch and the batch named, counted from 1; `kept` replaces the state."""
        return DivergedError(self.part, self.layer, self.heads, self.of, kept or self.kept, self.fix, epoch, batch)
