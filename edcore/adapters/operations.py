"""What does the same work again and again, in memory that stays where it is: anew each time, or from a recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Work: TypeAlias = Callable[[], None]

Player: TypeAlias = Callable[[Work], None]
"""It is given the same work each time, and does it."""


def anew(work: Work) -> None:
    """Do the work as it is."""
    work()


class Recorded:
    """Does the work as it is at first, which warms it up; then records it, and from then on plays it again.

    Parameters
    ----------
    record : callable
        ``record(work)`` returns what plays the work on the stream in use, or None if it cannot be recorded.
    """

    def __init__(self, record: Callable[[Work], Work | None]) -> None:
        self._record = record
        self._replay: Work | None = None
        self._runs = 0

    def __call__(self, work: Work) -> None:
        """Do the work, or play it."""
        self._runs += 1
        if self._runs == 2:
            self._replay = self._record(work)
        (self._replay or work)()
