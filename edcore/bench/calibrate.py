"""The measurement behind the table by which ``auto`` orders backends."""

from __future__ import annotations

from collections.abc import Callable

from edcore.bench.results import Results
from edcore.bench.run import bench
from edcore.bench.setting import Setting
from edcore.dispatch import registry
from edcore.dispatch.calibration import Calibration, Row
from edcore.errors import EDCoreError

BACKENDS = ("numba", "cupy", "numpy", "torch", "jax")
"""What is measured where it is ready; among NumPy arrays ``auto`` never takes torch or jax, but among their own."""

WIDTHS = (4, 16, 32, 64, 128, 256, 512, 1024)

WEIGHTS, DEEPEST = 2**22, 1024
"""Weights of the hidden layers, at most; and the most layers."""

TIE = 1.15
"""Times the fastest up to which a backend is as fast: measured again, it may be the first. Then priority decides."""


def setting(width: int, repeats: int, device: str) -> Setting:
    """Return what is measured at a width: the article's batch, through as many layers as take some milliseconds."""
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
    installed = [registry.installed()[name] for name in BACKENDS if name in registry.installed()]
    states = {info.name: registry.probe(info, device) for info in installed if kind in info.device_types}
    ready = [name for name, state in states.items() if state.ok]
    if not ready:
        raise _nothing(device, {name: state.reason for name, state in states.items()})
    rows = []
    for width in WIDTHS:
        announce(f"width {width}")
        results = bench(ready, setting(width, repeats, device), announce)
        if not results.measured:
            raise _nothing(device, {row.name: row.reason for row in results.rows})
        rows.append(_row(width, results))
    return Calibration(_source(results), tuple(rows))


def _nothing(device: str, reasons: dict[str, str]) -> EDCoreError:
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "there is none for it"
    return EDCoreError(f"--calibrate: no backend could be measured on {device!r}. {told}.")


def _row(width: int, results: Results) -> Row:
    ms = {row.name: round(1e3 * row.median("step"), 3) for row in results.measured}
    priority = {name: registry.installed()[name].priority for name in ms}
    fastest = min(ms.values())
    ranked = sorted(ms, key=lambda name: (0, -priority[name]) if ms[name] <= TIE * fastest else (1, ms[name]))
    return Row(width, tuple(ranked), tuple(ms[name] for name in ranked))


def _source(results: Results) -> str:
    where = results.environment
    device = f"{results.machine.device}, " if results.machine and results.machine.device else ""
    commit = f" (commit {where.commit})" if where.commit else ""
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    return f"{where.date[:10]}, {device}{where.cpu}, {where.cores} cores, {versions}{commit}"
