"""Which backend is the fastest at which width: a table that edcore brings, and the one that a user has measured.

`edcore bench --calibrate` measures it anew. A table orders backends on one type of device, and says nothing of others.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import warnings
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

__all__ = ["Calibration", "Row", "calibration", "save", "user_file"]


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
        Milliseconds of a step of each, in that order; empty if nothing was measured.
    """

    width: int
    fastest: tuple[str, ...]
    ms: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        names = all(isinstance(name, str) for name in self.fastest) and len(set(self.fastest)) == len(self.fastest)
        if not (isinstance(self.width, int) and self.width >= 1 and names and len(self.ms) in (0, len(self.fastest))):
            raise ValueError(f"no row of a calibration: {self!r}")


@dataclass(frozen=True, slots=True)
class Calibration:
    """The table of one type of device.

    Parameters
    ----------
    source : str
        Where and when it was measured.
    rows : tuple of Row
        One for each width, at least one.
    """

    source: str
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        if not (isinstance(self.source, str) and self.rows):
            raise ValueError("a calibration without a source or a row")

    def nearest(self, width: int) -> Row:
        """Return the row of the width that is nearest, in proportion."""
        return min(self.rows, key=lambda row: abs(math.log(row.width / width)))


def user_file() -> Path:
    """Return where the user's own table is, if there is one."""
    import platformdirs  # not needed to import edcore

    return platformdirs.user_config_path("edcore") / "calibration.json"


def calibration(device_type: str) -> Calibration | None:
    """Return the user's table of a type of device, else the one that edcore brings, else None.

    Parameters
    ----------
    device_type : str
        Such as ``"cpu"``.

    Returns
    -------
    Calibration or None
        The table. A user's file that cannot be read is left out, with a warning.

    Examples
    --------
    >>> from edcore.calibration import calibration
    >>> calibration("abacus") is None
    True
    """
    try:
        tables = _read(user_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        tables = {}
    except (OSError, ValueError) as error:
        warnings.warn(
            f"the calibration {user_file()} cannot be read ({error}), so edcore's own is used. "
            "`edcore bench --calibrate` writes it anew.",
            RuntimeWarning,
            stacklevel=2,
        )
        tables = {}
    return tables.get(device_type) or _read(_shipped()).get(device_type)


def save(device_type: str, table: Calibration) -> Path:
    """Write the user's table of a type of device; those of other types stay as they are.

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
    """
    file = user_file()
    try:
        tables = _read(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is none, or none that could be used
        tables = {}
    tables[device_type] = table
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({kind: asdict(one) for kind, one in tables.items()}, indent=1) + "\n"
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as new:
        new.write(text)
    os.replace(new.name, file)
    return file


def _shipped() -> str:
    return files("edcore").joinpath("calibration.json").read_text(encoding="utf-8")


def _read(text: str) -> dict[str, Calibration]:
    """Return the tables in a file's text; a ValueError for any other text."""
    try:
        return {kind: _table(**value) for kind, value in json.loads(text).items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"it is no calibration: {error}") from error


def _table(source: str, rows: list[dict[str, Any]]) -> Calibration:
    return Calibration(source, tuple(Row(row["width"], tuple(row["fastest"]), tuple(row["ms"])) for row in rows))
