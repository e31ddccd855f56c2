"""The reproductions by name."""

from __future__ import annotations

import importlib
from dataclasses import replace

from edcore.environment import here
from edcore.errors import UnknownNameError
from edcore.reproduce.options import Options
from edcore.reproduce.outcome import Outcome

WHERE = {
    "kaneko-xor": ("parity", "xor"),
    "kaneko-parity": ("parity", "parity"),
    "article-mnist01": ("article", "mnist01"),
    "edla-digits": ("digits", "digits"),
    "edla-polynomial": ("polynomial", "polynomial"),
    "mnist": ("mnist", "mnist"),
}
"""Module and function of each."""

NAMES = tuple(WHERE)


def reproduce(name: str, options: Options | None = None) -> Outcome:
    """Make a reproduction.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    options : Options, optional
        What it is told. Left out: everything as it is meant.

    Returns
    -------
    Outcome
        What it found.

    Raises
    ------
    UnknownNameError
        If there is none of this name.

    Examples
    --------
    >>> from edcore.reproduce.catalogue import reproduce
    >>> from edcore.reproduce.options import Options
    >>> outcome = reproduce("kaneko-xor", Options(seeds=2, quick=True, backend="numpy"))
    >>> outcome.row("", "64", "edcore").seeds
    2
    """
    if name not in WHERE:
        raise UnknownNameError("NAME", name, NAMES)
    module, function = WHERE[name]
    environment = here()  # before it starts: a checkout may have moved on at the end
    found: Outcome = getattr(importlib.import_module(f"edcore.reproduce.{module}"), function)(options or Options())
    return replace(found, environment=environment)
