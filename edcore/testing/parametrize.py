"""The suite as pytest parameters."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from edcore.contract.backend import Backend
from edcore.core.network import Network
from edcore.core.rule import Rule
from edcore.dispatch.choose import choose_backend, make_request
from edcore.errors import BackendUnavailableError, UnknownNameError
from edcore.testing.checks import Check, iter_checks
from edcore.testing.findings import lines_of
from edcore.testing.reporting import explain


def parametrize_with_backend_checks(
    backends: Iterable[str | Backend], expected_failures: Mapping[str, str] | None = None, *, quick: bool = False
) -> pytest.MarkDecorator:
    """Return a decorator that runs a test for each pair of a backend and a check.

    Parameters
    ----------
    backends : iterable of str or Backend
        Names of backends, or backends themselves. Those that cannot run here are skipped, with the reason.
    expected_failures : mapping of str to str, optional
        Name of a check → why it is known to fail. A check listed here that passes is a failure.
    quick : bool
        Try a tenth of the examples, and smaller sizes: for a slow simulator.

    Returns
    -------
    pytest.MarkDecorator
        A decorator for a test with the arguments ``backend`` and ``check``. A failure has a note of what is likely
        wrong.

    Raises
    ------
    UnknownNameError
        If a backend or a check is not known.

    Examples
    --------
    >>> from edcore.testing import parametrize_with_backend_checks
    >>> @parametrize_with_backend_checks(["loop"])
    ... def test_conformance(backend, check):
    ...     check(backend)
    """
    expected = dict(expected_failures or {})
    checks = dict(iter_checks(quick))
    if unknown := expected.keys() - checks.keys():
        raise UnknownNameError("expected_failures", sorted(unknown)[0], checks)
    parameters = []
    for given in backends:
        backend, name, marks = _ready(given)
        for check_name, check in checks.items():
            xfail = [pytest.mark.xfail(reason=expected[check_name], strict=True)] if check_name in expected else []
            explained = functools.partial(_explained, check_name, check)
            parameters.append(pytest.param(backend, explained, marks=[*marks, *xfail], id=f"{name}-{check_name}"))
    return pytest.mark.parametrize(("backend", "check"), parameters)


def _explained(name: str, check: Check, backend: Backend) -> None:
    """Run a check; what is likely wrong is a note of the error that it raises."""
    try:
        check(backend)
    except Exception as error:
        for line in lines_of(explain(backend, name, error)):
            error.add_note(line)
        raise


def _ready(given: str | Backend) -> tuple[Backend | None, str, list[Any]]:
    if not isinstance(given, str):
        return given, given.info.name, []
    try:
        return choose_backend(make_request(given, None), Network(in_=1), Rule()), given, []
    except BackendUnavailableError as error:
        return None, given, [pytest.mark.skip(reason=str(error))]
