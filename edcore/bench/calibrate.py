"""The measurement behind the table by which ``auto`` orders backends."""

from __future__ import annotations

from collections.abc import Callable

from edcore import registry
from edcore.bench.results import Results
from edcore.bench.run import bench
from edcore.bench.setting import Setting
from edcore.calibration import Calibration, Row
from edcore.errors import EDCoreError

__all__ = ["BACKENDS", "calibrate", "setting"]

BACKENDS = ("numba", "cupy", "numpy", "torch", "jax")
"""What is measured where it is ready; among NumPy arrays ``auto`` never takes torch or jax, but among their own."""

WIDTHS = (4, 16, 64, 256, 1024)

WEIGHTS, DEEPEST = 2**22, 1024
"""Weights of the hidden layers, about as many at each width, and the most layers."""


def setting(width: int, repeats: int, device: str) -> Setting:
    """Return what is measured at a width: the article's batch, on some 10⁶ weights."""
    depth = min(DEEPEST, max(1, WEIGHTS // (2 * width) ** 2))
    return Setting(width=width, depth=depth, features=64, repeats=repeats, device=device)


def calibrate(device: str, repeats: int, announce: Callable[[str], object] = lambda line: None) -> Calibration:
    """Measure the backends that are ready on a device, at a few widths.

    Parameters
    ----------
    device : str
        Device string, such as ``"cpu"``.
    repeats : int
        Timings of each backend at each width.
    announce : callable
        Is told in a line what goes on.

    Returns
    -------
    Calibration
        The table of the device's type.

    Raises
    ------
    EDCoreError
        If no backend could be measured at some width.
    """
    kind = setting(WIDTHS[0], repeats, device).device_type
    installed = registry.installed()
    ready = [
        name
        for name in BACKENDS
        if name in installed and kind in installed[name].device_types and registry.probe(installed[name], device).ok
    ]
    rows, results = [], None
    for width in WIDTHS:
        announce(f"width {width}")
        results = bench(ready, setting(width, repeats, device), announce) if ready else None
        if results is None or not results.measured:
            reasons = "; ".join(f"{row.name}: {row.reason}" for row in results.rows) if results else "none is ready"
            raise EDCoreError(f"--calibrate: no backend could be measured on {device!r} at width {width} ({reasons})")
        rows.append(_row(width, results))
    assert results is not None
    return Calibration(_source(results), tuple(rows))


def _row(width: int, results: Results) -> Row:
    ranked = sorted(results.measured, key=lambda row: row.median("step"))
    return Row(width, tuple(row.name for row in ranked), tuple(round(1e3 * row.median("step"), 3) for row in ranked))


def _source(results: Results) -> str:
    where = results.environment
    device = f"{results.machine.device}, " if results.machine and results.machine.device else ""
    commit = f" (commit {where.commit})" if where.commit else ""
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    return f"{where.date[:10]}, {device}{where.cpu}, {where.cores} cores, {versions}{commit}"
