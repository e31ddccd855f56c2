"""Samples that users have in files, for ``edcore predict``."""

from __future__ import annotations

import io
import stat
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.errors import DataFileError

FORMS = {
    ".npy": "numpy.save writes an array of numbers so.",
    ".csv": "Numbers stand with commas between them, a line for each sample.",
}
ENDINGS = tuple(FORMS)

MISSING = {"", "na", "n/a", "nan", "null", "none"}
"""What other programs write for a number that is missing."""


def read_samples(path: Path) -> npt.NDArray[Any]:
    """Return the samples of a file, a row for each.

    Parameters
    ----------
    path : Path
        A ``.npy`` of NumPy, or a ``.csv`` in UTF-8, whose first line may name its columns.

    Returns
    -------
    ndarray, shape (samples, features)
        Numbers, as they stand in the file.

    Raises
    ------
    DataFileError
        If it cannot be read, or has no table of finite numbers.
    """
    if path.suffix not in ENDINGS:
        raise DataFileError(f"{path}: a file with the ending {path.suffix!r}; accepted: {' or '.join(ENDINGS)}.")
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, and some devices never end
            raise DataFileError(f"{path}: no file; accepted: a {' or '.join(ENDINGS)} with a row for each sample.")
        content = path.read_bytes()
    except DataFileError:
        raise
    except OSError as error:
        raise DataFileError(f"{path}: it cannot be read ({error.strerror or error}). Check its name.") from error
    try:
        found = _from_npy(content) if path.suffix == ".npy" else _from_csv(content)
    except Exception as error:  # NumPy's reader has many kinds for a header that is none
        told = " ".join(str(error).partition("; use `usecols`")[0].split())[:200].rstrip(".")  # no option of ours
        raise DataFileError(f"{path}: it cannot be read as {path.suffix} ({told}). {FORMS[path.suffix]}") from error
    if found.ndim == 2 and len(found) and found.dtype.kind in "biuf":
        if len(wrong := np.argwhere(~np.isfinite(found))):
            row, column = (wrong[0] + 1).tolist()
            given = f"{len(wrong):,} NaN or infinite values, the first in sample {row:,}, feature {column:,}"
            raise DataFileError(f"{path}: {given}; accepted: finite numbers. Clean it first.")
        return found
    fix = "One row is one sample: reshape(len(x), -1) flattens images."
    raise DataFileError(
        f"{path}: {found.dtype} of shape {found.shape}; accepted: numbers of shape (samples, features). {fix}"
    )


def _from_npy(content: bytes) -> npt.NDArray[Any]:
    # Not np.load, which takes archives as well. A pickle would run whatever it says.
    return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))


def _from_csv(content: bytes) -> npt.NDArray[Any]:
    lines = content.decode("utf-8-sig").splitlines()
    names = bool(lines) and all(map(_is_name, lines[0].split(",")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of no data: they are refused above
        return np.loadtxt(lines[names:], delimiter=",", ndmin=2, comments=None)


def _is_name(text: str) -> bool:
    """Return whether a cell names a column: neither a number, nor what stands for one that is missing."""
    text = text.strip().strip("\"'")
    if text.casefold() in MISSING or not any(map(str.isalpha, text)):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
