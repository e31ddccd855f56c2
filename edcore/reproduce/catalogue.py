"""The reproductions by name."""

from __future__ import annotations

import importlib

from edcore.environment import here
from edcore.errors import UnknownNameError
from edcore.reproduce.options import Options
from edcore.reproduce.outcome import Outcome

FUNCTIONS = {
    "kaneko-xor": ("parity", "xor"),
    "kaneko-parity": ("parity", "parity"),
    "article-mnist01": ("mnist01", "mnist01"),
    "edla-digits": ("digits", "digits"),
    "edla-polynomial": ("polynomial", "polynomial"),
    "mnist": ("mnist", "mnist"),
    "language": ("language", "language"),
}
"""Module and function of each reproduction."""

NAMES = tuple(FUNCTIONS)


def reproduce(name: str, options: Options | None = None) -> Outcome:
    """Repeat the published result of this name.

    >>> from edcore.reproduce.catalogue import reproduce
    >>> from edcore.reproduce.options import Options
    >>> outcome = reproduce("kaneko-xor", Options(seeds=2, quick=True, backend="numpy"))
    >>> outcome.score("", "64", "edcore").seeds
    2
    """
    if name not in FUNCTIONS:
        raise UnknownNameError("NAME", name, NAMES)
    module, function = FUNCTIONS[name]
    environment = here()  # before it starts: a checkout may have moved on at the end
    outcome: Outcome = getattr(importlib.import_module(f"edcore.reproduce.{module}"), function)(options or Options())
    return outcome.in_environment(environment)
