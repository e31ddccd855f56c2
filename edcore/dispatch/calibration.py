"""Which backend is the fastest at which width: a table that edcore brings, and the one that a user has measured.

`edcore bench --calibrate` measures it anew. A table orders backends on one type of device, and says nothing of others.
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
class Row:
    """The order at one width.

    Parameters
    ----------
    width : int
        Cells per stream of each layer.
    fastest : tuple of str
        The backends, the fastest first.
    ms : tuple of float
        Milliseconds of a step of the first ones in that order; of none where nothing was measured.

    Raises
    ------
    ValueError
        If it is no such row.
    """

    width: int
    fastest: tuple[str, ...]
    ms: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        whole = type(self.width) is int and 1 <= self.width <= WIDEST
        names = all(isinstance(name, str) for name in self.fastest) and len(set(self.fastest)) == len(self.fastest)
        times = all(type(ms) in (int, float) and 0 < ms < math.inf for ms in self.ms)
        if not (whole and self.fastest and names and times and len(self.ms) <= len(self.fastest)):
            raise ValueError(f"no row of a calibration: {self!r:.200}")


@dataclass(frozen=True, slots=True)
class Calibration:
    """The table of one type of device.

    Parameters
    ----------
    source : str
        Where and when it was measured.
    rows : tuple of Row
        One for each width, at least one.

    Raises
    ------
    ValueError
        If it is no such table.
    """

    source: str
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        if not (isinstance(self.source, str) and self.rows):
            raise ValueError("a calibration without a source or a row")

    def nearest(self, width: int) -> Row:
        """Return the row of the width that is nearest, in proportion."""
        return min(self.rows, key=lambda row: abs(math.log(row.width / width)))


def user_file(device_type: str) -> Path:
    """Return where the user's own table of a type of device is, if there is one."""
    import platformdirs  # not needed to import edcore

    return platformdirs.user_config_path("edcore") / f"calibration-{device_type}.json"


def calibration(device_type: str) -> Calibration | None:
    """Return the user's table of a type of device, else the one that edcore brings, else None.

    Parameters
    ----------
    device_type : str
        Such as ``"cpu"``.

    Returns
    -------
    Calibration or None
        The table. In a user's table, backends that were not there when it was measured come last, in edcore's order.
        A user's file that cannot be read is left out, with a warning.

    Examples
    --------
    >>> from edcore.dispatch.calibration import calibration
    >>> calibration("abacus") is None
    True
    """
    file, shipped = user_file(device_type), _shipped().get(device_type)
    try:
        changed = file.stat().st_mtime_ns
    except OSError:  # there is none
        return shipped
    own = _users(file, changed)
    if own is None or shipped is None:
        return own or shipped
    rows = []
    for row in own.rows:
        others = (name for name in shipped.nearest(row.width).fastest if name not in row.fastest)
        rows.append(Row(row.width, (*row.fastest, *others), row.ms))
    return Calibration(own.source, tuple(rows))


def check_folder(device_type: str) -> None:
    """Refuse, before minutes of measuring, a folder that `save` could not write to.

    Raises
    ------
    EDCoreError
        If it cannot be made or written to.
    """
    with _reported(user_file(device_type)) as file:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            raise IsADirectoryError("it is a folder")
        tempfile.TemporaryFile(dir=file.parent).close()


def save(device_type: str, table: Calibration) -> Path:
    """Write the user's table of a type of device.

    Parameters
    ----------
    device_type : str
        Such as ``"cpu"``.
    table : Calibration
        The table.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    EDCoreError
        If it cannot be written. Then the one that was there is as it was.
    """
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
            "`edcore bench --calibrate` writes it anew.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _table(value: Any) -> Calibration:
    """Return the table that JSON's values are; a ValueError for any others."""
    try:
        rows = tuple(Row(row["width"], _tuple(row["fastest"]), _tuple(row["ms"])) for row in _tuple(value["rows"]))
        return Calibration(value["source"], rows)
    except (KeyError, TypeError) as error:
        raise ValueError(f"it is no calibration: {error!r:.200}") from error


def _tuple(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f"no list: {value!r:.50}")
    return tuple(value)
