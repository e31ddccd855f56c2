"""Read a user's samples from a .npy or .csv file, for ``edcore predict``."""

from __future__ import annotations

import io
import math
import os
import re
import stat
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.errors import DataFileError

FORMS = {
    ".npy": "Write it with numpy.save, as an array of numbers.",
    ".csv": "Write numbers with commas between them, a line for each sample.",
}
ENDINGS = tuple(FORMS)

STDIN = "-"
"""The name of a file that stands for standard input, which is read as CSV."""

OTHER_BASE = re.compile(r"[-+]?0[xXoObB][0-9a-fA-F]")
"""A number that is not decimal, which is no name."""

MISSING = {"", "na", "n/a", "nan", "null", "none"}
"""The texts with which other programs mark a missing number."""


def read_samples(path: Path, gaps: bool = False) -> npt.NDArray[Any]:
    """Return the samples (samples, features) of a .npy, or of a .csv in UTF-8 whose first line may name its columns.

    The path "-" is standard input, with a .csv. With `gaps`, a missing number is NaN.
    """
    accepted = f"accepted: a {' or '.join(ENDINGS)} with a row for each sample, or - for standard input"
    ending = ".csv" if str(path) == STDIN else path.suffix.lower()
    if ending not in ENDINGS:
        raise DataFileError(f"{path}: a file with the ending {path.suffix!r}; {accepted}.")
    try:
        content = sys.stdin.buffer.read() if str(path) == STDIN else _content(Path(os.path.expanduser(path)), accepted)
    except DataFileError:
        raise
    except OSError as error:
        raise DataFileError(f"{path}: it cannot be read ({error.strerror or error}). Check its name.") from error
    try:
        found = _from_npy(content) if ending == ".npy" else _from_csv(content, gaps)
    except Exception as error:  # NumPy raises many kinds for a wrong header
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise DataFileError(f"{path}: it cannot be read as {ending} ({reason}). {FORMS[ending]}") from error
    if found.ndim != 2 or not len(found) or found.dtype.kind not in "biuf":
        fix = "A row is a sample: reshape(len(x), -1) flattens images."
        raise DataFileError(
            f"{path}: {found.dtype} of shape {found.shape}; accepted: numbers of shape (samples, features). {fix}"
        )
    if len(wrong := np.argwhere(np.isinf(found) if gaps else ~np.isfinite(found))):
        row, column = (wrong[0] + 1).tolist()
        given = f"{len(wrong):,} NaN or infinite values, the first in sample {row:,}, feature {column:,}"
        raise DataFileError(f"{path}: {given}; accepted: finite numbers. Remove or fill these first.")
    return found


def _content(path: Path, accepted: str) -> bytes:
    """Return the bytes of a file."""
    if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for a writer, and some devices never end
        raise DataFileError(f"{path}: not a file; {accepted}.")
    return path.read_bytes()


def _from_npy(content: bytes) -> npt.NDArray[Any]:
    # Not np.load, which reads archives too. A pickle could run any code, so none is read.
    return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))


def _from_csv(content: bytes, gaps: bool) -> npt.NDArray[Any]:
    lines = content.decode("utf-8-sig").splitlines()
    names = bool(lines) and all(map(_is_name, lines[0].split(",")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no data: the caller refuses that
        try:
            return np.loadtxt(lines[names:], delimiter=",", ndmin=2, comments=None)
        except ValueError:  # NumPy counts rows now from 0, now from 1
            return _cell_by_cell(lines, names, gaps)


def _cell_by_cell(lines: list[str], names: bool, gaps: bool) -> npt.NDArray[Any]:
    """Return the numbers of a .csv, or raise an error that says in which sample and line there is none."""
    rows: list[list[float]] = []
    for line, text in enumerate(lines[names:], 1 + names):
        if not text.strip():
            continue
        where, cells = f"sample {len(rows) + 1:,} (line {line:,})", [cell.strip() for cell in text.split(",")]
        if rows and len(cells) != len(rows[0]):
            raise ValueError(f"{where} has {len(cells):,} columns, the first sample has {len(rows[0]):,}")
        row: list[float] = []
        for column, cell in enumerate(cells, 1):
            try:
                if "_" in cell or not cell.isascii():  # to Python also a number
                    raise ValueError
                row.append(math.nan if gaps and cell.casefold() in MISSING else float(cell))
            except ValueError:
                raise ValueError(f"{where}, feature {column:,}: {cell!r:.50} is no number") from None
        rows.append(row)
    return np.array(rows, np.float64)


def _is_name(text: str) -> bool:
    """Return whether a cell names a column: it is neither a number nor the mark of a missing one."""
    text = text.strip().strip("\"'")
    if text.casefold() in MISSING or not any(map(str.isalpha, text)) or OTHER_BASE.match(text):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
