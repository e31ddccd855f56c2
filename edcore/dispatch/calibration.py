"""Tables of the fastest backends for each width: the one that edcore brings, and the one that a user has measured.

`edcore bench --calibrate` measures such a table. It ranks backends on one type of device.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import tempfile
import warnings
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from edcore.errors import EDCoreError
from edcore.files.atomic import write_atomically

WIDEST = 10**9


@dataclass(frozen=True, slots=True)
class Ranking:
    """The order of the backends at one width. Other values than these are a ValueError."""

    width: int  # cells per stream of each layer
    fastest: tuple[str, ...]  # the backends, the fastest first
    ms: tuple[float, ...] = ()  # of a step of the first ones in that order; of none if nothing was measured

    def __post_init__(self) -> None:
        whole = type(self.width) is int and 1 <= self.width <= WIDEST
        names = all(isinstance(name, str) for name in self.fastest) and len(set(self.fastest)) == len(self.fastest)
        times = all(type(ms) in (int, float) and 0 < ms < math.inf for ms in self.ms)
        if not (whole and self.fastest and names and times and len(self.ms) <= len(self.fastest)):
            raise ValueError(f"no row of a calibration: {self!r:.200}")


@dataclass(frozen=True, slots=True)
class Calibration:
    """The table of one type of device: where and when it was measured, and a ranking for each width, at least one."""

    source: str
    rows: tuple[Ranking, ...]

    def __post_init__(self) -> None:
        if not (isinstance(self.source, str) and self.rows):
            raise ValueError("a calibration without a source or a row")

    def nearest(self, width: int) -> Ranking:
        """Return the row of the width that is nearest, in proportion."""
        return min(self.rows, key=lambda row: abs(math.log(row.width / width)))


def user_file(device_type: str) -> Path:
    """Return the path of the user's own table of a type of device, which need not exist."""
    import platformdirs  # not needed to import edcore

    return platformdirs.user_config_path("edcore") / f"calibration-{device_type}.json"


def calibration(device_type: str) -> Calibration | None:
    """Return the user's table of a type of device, else the one that edcore brings, else None.

    In a user's table, backends that were not there when it was measured come last, in edcore's order. A user's file
    that cannot be read is left out, with a warning.
    """
    file, shipped = user_file(device_type), _shipped().get(device_type)
    try:
        changed = file.stat().st_mtime_ns
    except OSError:  # there is none
        return shipped
    users = _users(file, changed)
    if users is None or shipped is None:
        return users or shipped
    rows = []
    for row in users.rows:
        others = (name for name in shipped.nearest(row.width).fastest if name not in row.fastest)
        rows.append(Ranking(row.width, (*row.fastest, *others), row.ms))
    return Calibration(users.source, tuple(rows))


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
        rows = tuple(Ranking(row["width"], _tuple(row["fastest"]), _tuple(row["ms"])) for row in _tuple(value["rows"]))
        return Calibration(value["source"], rows)
    except (KeyError, TypeError) as error:
        raise ValueError(f"it is no calibration: {error!r:.200}") from error


def _tuple(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f"no list: {value!r:.50}")
    return tuple(value)
