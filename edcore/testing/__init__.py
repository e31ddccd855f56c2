"""The conformance suite for backends, ours and those of others.

The complete test file of a backend::

    from edcore.testing import parametrize_with_backend_checks

    @parametrize_with_backend_checks(["my_backend"])
    def test_conformance(backend, check):
        check(backend)

and ``edcore check my_backend`` does the same on the command line. The suite needs ``pip install "edcore[testing]"``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edcore.testing.checks import iter_checks
    from edcore.testing.findings import Report
    from edcore.testing.parametrize import parametrize_with_backend_checks
    from edcore.testing.reporting import report


__all__ = ["Report", "iter_checks", "parametrize_with_backend_checks", "report"]


MODULES = {
    "Report": "findings",
    "iter_checks": "checks",
    "parametrize_with_backend_checks": "parametrize",
    "report": "reporting",
}


def __getattr__(name: str) -> Any:
    # Loaded at first use: pytest imports this package for its plug-in in every environment with edcore, also without
    # Hypothesis.
    if name in MODULES:
        return getattr(importlib.import_module(f"{__name__}.{MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
