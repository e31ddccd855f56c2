"""Tables of the fastest backends for each width and batch: those that edcore brings, and the user's own.

`edcore bench --calibrate` measures such a table. It ranks backends on one type of device. edcore brings two for the
CPU, as AVX-512 makes some libraries twice as fast and others less so.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import tempfile
import warnings
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from edcore.environment import has_avx512
from edcore.errors import EDCoreError
from edcore.files.atomic import write_atomically

MOST = 10**9
"""The largest width, and the largest batch, that a row may have."""

USUAL_BATCH = 64
"""The batch where none is known: that of `ED.fit`, and of tables that older versions wrote, which name none."""

AVX512 = "cpu with AVX-512"
"""The name of edcore's table for such CPUs; the table "cpu" is for all others."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The order of the backends at one width and batch. Other values than these are a ValueError."""

    width: int  # cells per stream of each layer
    batch: int  # samples of an update
    fastest: tuple[str, ...]  # the backends, the fastest first
    ms: tuple[float, ...] = ()  # of a step of the first ones in that order; of none if nothing was measured

    def __post_init__(self) -> None:
        whole = all(type(size) is int and 1 <= size <= MOST for size in (self.width, self.batch))
        names = all(isinstance(name, str) for name in self.fastest) and len(set(self.fastest)) == len(self.fastest)
        times = all(type(ms) in (int, float) and 0 < ms < math.inf for ms in self.ms)
        if not (whole and self.fastest and names and times and len(self.ms) <= len(self.fastest)):
            raise ValueError(f"no row of a calibration: {self!r:.200}")


@dataclass(frozen=True, slots=True)
class Calibration:
    """The table of one type of device: where and when it was measured, and its rankings, at least one."""

    source: str
    rows: tuple[Ranking, ...]

    def __post_init__(self) -> None:
        if not (isinstance(self.source, str) and self.rows):
            raise ValueError("a calibration without a source or a row")

    def nearest(self, width: int, batch: int) -> Ranking:
        """Return the row that is nearest to a width and a batch, both in proportion."""
        here = math.log2(width), math.log2(max(batch, 1))  # exact for powers of two, so that the first of equals counts
        return min(self.rows, key=lambda row: math.dist(here, (math.log2(row.width), math.log2(row.batch))))


def user_file(device_type: str) -> Path:
    """Return the path of the user's own table of a type of device, which need not exist."""
    import platformdirs  # not needed to import edcore

    return platformdirs.user_config_path("edcore") / f"calibration-{device_type}.json"


def calibration(device_type: str) -> Calibration | None:
    """Return the user's table of a type of device, else the one that edcore brings, else None.

    In a user's table, backends that were not there when it was measured come last, in edcore's order. A user's file
    that cannot be read is left out, with a warning.
    """
    file, shipped = user_file(device_type), brought(device_type)
    try:
        changed = file.stat().st_mtime_ns
    except OSError:  # there is none
        return shipped
    users = _users(file, changed)
    if users is None or shipped is None:
        return users or shipped
    rows = []
    for row in users.rows:
        others = (name for name in shipped.nearest(row.width, row.batch).fastest if name not in row.fastest)
        rows.append(replace(row, fastest=(*row.fastest, *others)))
    return Calibration(users.source, tuple(rows))


def brought(device_type: str) -> Calibration | None:
    """Return the table that edcore brings for a type of device of this machine, or None."""
    return _shipped().get(AVX512 if device_type == "cpu" and has_avx512() else device_type)


def check_folder(device_type: str) -> None:
    """Refuse, before minutes of measuring, a folder that `save` could not write to."""
    with _reported(user_file(device_type)) as file:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            raise IsADirectoryError("it is a folder")
        tempfile.TemporaryFile(dir=file.parent).close()


def save(device_type: str, table: Calibration) -> Path:
    """Write the user's table of a type of device, and return the file. If that fails, an older table stays."""
    with _reported(user_file(device_type)) as file:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, (json.dumps(asdict(table), indent=1) + "\n").encode())
    return file


@contextlib.contextmanager
def _reported(file: Path) -> Any:
    """Yield the file; turn an OSError into a sentence."""
    try:
        yield file
    except OSError as error:
        fix = "Make its folder one that you can write to, or set XDG_CONFIG_HOME to another one."
        raise EDCoreError(f"--calibrate: the table cannot be written to {file} ({error}). {fix}") from error


@functools.cache
def _shipped() -> dict[str, Calibration]:
    text = files("edcore.dispatch").joinpath("calibration.json").read_text(encoding="utf-8")
    return {kind: _table(value) for kind, value in json.loads(text).items()}


@functools.lru_cache(maxsize=8)
def _users(file: Path, changed: int) -> Calibration | None:
    """Return a user's table, read once for each time that it was changed; None, with a warning, if it is none."""
    try:
        return _table(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        warnings.warn(
            f"the calibration {file} cannot be read ({error}), so edcore's own is used. "
            "`edcore bench --calibrate` writes a new one.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _table(value: Any) -> Calibration:
    """Return the table from the values of its JSON, or raise a ValueError."""
    try:
        rows = [
            Ranking(row["width"], row.get("batch", USUAL_BATCH), _tuple(row["fastest"]), _tuple(row["ms"]))
            for row in _tuple(value["rows"])
        ]
        return Calibration(value["source"], tuple(rows))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"it is no calibration: {error!r:.200}") from error


def _tuple(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f"no list: {value!r:.50}")
    return tuple(value)
