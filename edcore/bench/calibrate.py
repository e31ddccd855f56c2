"""Measure the table by which ``auto`` orders backends."""

from __future__ import annotations

from collections.abc import Callable

from edcore.bench.run import bench
from edcore.bench.setting import Setting
from edcore.bench.timings import Benchmark
from edcore.dispatch import registry
from edcore.dispatch.calibration import Calibration, Ranking
from edcore.errors import EDCoreError

BACKENDS = ("numba", "cupy", "numpy", "torch", "jax")
"""The backends that are measured, if they are ready. ``auto`` takes torch and jax for their own arrays only."""

WIDTHS = (4, 16, 32, 64, 128, 256, 512, 1024)

WEIGHTS, DEEPEST = 2**22, 1024
"""The most weights of the hidden layers, and the most layers."""

TIE = 1.15
"""Backends up to this many times slower than the fastest count as equally fast, as the next measurement may order them
differently; priority orders them."""


def setting_of(width: int, repeats: int, device: str) -> Setting:
    """Return the setting for a width: the article's batch, and enough layers for some milliseconds."""
    depth = min(DEEPEST, max(1, WEIGHTS // (2 * width) ** 2))
    return Setting(width=width, depth=depth, features=64, repeats=repeats, device=device)


def calibrate(device: str, repeats: int, announce: Callable[[str], object] = lambda line: None) -> Calibration:
    """Measure the backends that are ready on a device at each width; `announce` gets a line on the progress."""
    device_type = setting_of(WIDTHS[0], repeats, device).device_type
    installed = [registry.installed()[name] for name in BACKENDS if name in registry.installed()]
    states = {info.name: registry.probe(info, device) for info in installed if device_type in info.device_types}
    ready = [name for name, state in states.items() if state.ok]
    if not ready:
        raise _nothing_measured(device, {name: state.reason for name, state in states.items()})
    rows = []
    for width in WIDTHS:
        announce(f"width {width}")
        found = bench(ready, setting_of(width, repeats, device), announce)
        if not found.measured:
            raise _nothing_measured(device, {timings.name: timings.reason for timings in found.timings})
        rows.append(_row(width, found))
    return Calibration(_source(found), tuple(rows))


def _nothing_measured(device: str, reasons: dict[str, str]) -> EDCoreError:
    if not reasons:
        return EDCoreError(f"--calibrate: No backend supports device {device!r}.")
    listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return EDCoreError(f"--calibrate: no backend could be measured on {device!r}. {listed}.")


def _row(width: int, found: Benchmark) -> Ranking:
    ms = {timings.name: round(1e3 * timings.median("step"), 3) for timings in found.measured}
    priority = {name: registry.installed()[name].priority for name in ms}
    fastest = min(ms.values())
    ranked = sorted(ms, key=lambda name: (0, -priority[name]) if ms[name] <= TIE * fastest else (1, ms[name]))
    return Ranking(width, tuple(ranked), tuple(ms[name] for name in ranked))


def _source(found: Benchmark) -> str:
    where = found.environment
    device = f"{found.machine.device}, " if found.machine and found.machine.device else ""
    commit = f" (commit {where.commit})" if where.commit else ""
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    return f"{where.date[:10]}, {device}{where.cpu}, {where.cores} cores, {versions}{commit}"
