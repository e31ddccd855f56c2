"""Measure the table by which ``auto`` orders backends."""

from __future__ import annotations

import itertools
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
"""From a network whose call takes longer than its arithmetic to layers that are nearly all product."""

BATCHES = (1, 8, 64, 512)
"""1 is that of online rules, 64 the article's; any other is at most 2.8 times as large or as small as one of these. At
more samples than 512 a step is as many products as before, only taller."""

DEEPEST, WEIGHTS, OPERATIONS = 16, 2**22, 2**31
"""The most hidden layers, weights of them, and operations of their products: more would only take more time."""

TIE = 1.15
"""Backends up to this many times slower than the fastest count as equally fast, as the next measurement may order them
differently; priority orders them."""


def setting_of(width: int, batch: int, repeats: int, device: str) -> Setting:
    """Return the setting for a width and a batch: of as many layers as take some milliseconds."""
    layer = (2 * width) ** 2
    depth = max(1, min(DEEPEST, WEIGHTS // layer, OPERATIONS // (4 * batch * layer)))
    return Setting(width=width, depth=depth, batch=batch, features=64, repeats=repeats, device=device)


def calibrate(device: str, repeats: int, announce: Callable[[str], object] = lambda line: None) -> Calibration:
    """Measure the backends that are ready on a device, at each width and batch; `announce` gets the progress."""
    device_type = setting_of(WIDTHS[0], BATCHES[0], repeats, device).device_type
    installed = [registry.installed()[name] for name in BACKENDS if name in registry.installed()]
    states = {info.name: registry.probe(info, device) for info in installed if device_type in info.device_types}
    ready = [name for name, state in states.items() if state.ok]
    if not ready:
        raise _nothing_measured(device, {name: state.reason for name, state in states.items()})
    rows, bounds = [], None
    for width, batch in itertools.product(WIDTHS, BATCHES):
        announce(f"width {width}, batch {batch}")
        found = bench(ready, setting_of(width, batch, repeats, device), announce, bounds=bounds)
        if not found.measured:
            raise _nothing_measured(device, {timings.name: timings.reason for timings in found.timings})
        rows.append(_row(found))
        bounds = found.machine
    return Calibration(_source(found), tuple(rows))


def _nothing_measured(device: str, reasons: dict[str, str]) -> EDCoreError:
    if not reasons:
        return EDCoreError(f"--calibrate: No backend supports device {device!r}.")
    listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return EDCoreError(f"--calibrate: no backend could be measured on {device!r}. {listed}.")


def _row(found: Benchmark) -> Ranking:
    ms = {timings.name: float(f"{1e3 * timings.median('step'):.4g}") for timings in found.measured}
    priority = {name: registry.installed()[name].priority for name in ms}
    fastest = min(ms.values())
    ranked = sorted(ms, key=lambda name: (0, -priority[name]) if ms[name] <= TIE * fastest else (1, ms[name]))
    return Ranking(found.setting.width, found.setting.batch, tuple(ranked), tuple(ms[name] for name in ranked))


def _source(found: Benchmark) -> str:
    where = found.environment
    device = f"{found.machine.device}, " if found.machine and found.machine.device else ""
    commit = f" (commit {where.commit})" if where.commit else ""
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    return f"{where.date[:10]}, {device}{where.cpu}, {where.cores} cores, {versions}{commit}"
