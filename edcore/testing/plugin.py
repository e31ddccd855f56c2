"""The pytest plug-in: it registers the marks of the suite."""

from __future__ import annotations

from typing import Any


def pytest_configure(config: Any) -> None:
    """Register the marks."""
    config.addinivalue_line("markers", "gpu: needs a GPU")
    config.addinivalue_line("markers", "cudasim: needs Numba's CUDA simulator (NUMBA_ENABLE_CUDASIM=1)")
    config.addinivalue_line("markers", "slow: takes more than some seconds")
