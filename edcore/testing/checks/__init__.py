"""The checks of a backend: the promises of the contract, one plain function each.

A check takes a backend and raises AssertionError if it breaks a promise. The examples are the same in each run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TypeAlias

from edcore.contract.backend import Backend
from edcore.testing.checks import calls, contract, memory, numbers, runs, seams
from edcore.testing.checks.examples import QUICK

Check: TypeAlias = Callable[[Backend], None]


def iter_checks(quick: bool = False) -> Iterator[tuple[str, Check]]:
    """Yield the name and the function of each check, in the order in which they are best read.

    Parameters
    ----------
    quick : bool
        Try a tenth of the examples, and smaller sizes: for a slow simulator.

    Yields
    ------
    name : str
        The name, such as ``"check_forward"``.
    check : callable
        ``check(backend)``; it raises AssertionError if the backend breaks a promise.

    Examples
    --------
    >>> from edcore.testing import iter_checks
    >>> [name for name, check in iter_checks()][:2]
    ['check_protocol', 'check_probe_never_raises']
    """
    for module in (contract, numbers, memory, calls, runs, seams):
        for name, check in vars(module).items():
            if name.startswith("check_"):
                yield name, functools.partial(check, extent=QUICK) if quick else check
