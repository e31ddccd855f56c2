"""Read a user's samples from a .npy or .csv file, for ``edcore predict``."""

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
    ".npy": "Write it with numpy.save, as an array of numbers.",
    ".csv": "Write numbers with commas between them, a line for each sample.",
}
ENDINGS = tuple(FORMS)

MISSING = {"", "na", "n/a", "nan", "null", "none"}
"""The texts with which other programs mark a missing number."""


def read_samples(path: Path) -> npt.NDArray[Any]:
    """Return the samples (samples, features) of a .npy, or of a .csv in UTF-8 whose first line may name its columns."""
    accepted = f"accepted: a {' or '.join(ENDINGS)} with a row for each sample"
    if path.suffix not in ENDINGS:
        raise DataFileError(f"{path}: a file with the ending {path.suffix!r}; {accepted}.")
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for a writer, and some devices never end
            raise DataFileError(f"{path}: not a file; {accepted}.")
        content = path.read_bytes()
    except DataFileError:
        raise
    except OSError as error:
        raise DataFileError(f"{path}: it cannot be read ({error.strerror or error}). Check its name.") from error
    try:
        found = _from_npy(content) if path.suffix == ".npy" else _from_csv(content)
    except Exception as error:  # NumPy raises many kinds for a wrong header
        # NumPy advises its own option usecols, which no user of ours can set.
        reason = " ".join(str(error).partition("; use `usecols`")[0].split())[:200].rstrip(".")
        raise DataFileError(f"{path}: it cannot be read as {path.suffix} ({reason}). {FORMS[path.suffix]}") from error
    if found.ndim != 2 or not len(found) or found.dtype.kind not in "biuf":
        fix = "A row is a sample: reshape(len(x), -1) flattens images."
        raise DataFileError(
            f"{path}: {found.dtype} of shape {found.shape}; accepted: numbers of shape (samples, features). {fix}"
        )
    if len(wrong := np.argwhere(~np.isfinite(found))):
        row, column = (wrong[0] + 1).tolist()
        given = f"{len(wrong):,} NaN or infinite values, the first in sample {row:,}, feature {column:,}"
        raise DataFileError(f"{path}: {given}; accepted: finite numbers. Remove or fill these first.")
    return found


def _from_npy(content: bytes) -> npt.NDArray[Any]:
    # Not np.load, which reads archives too. A pickle could run any code, so none is read.
    return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))


def _from_csv(content: bytes) -> npt.NDArray[Any]:
    lines = content.decode("utf-8-sig").splitlines()
    names = bool(lines) and all(map(_is_name, lines[0].split(",")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no data: the caller refuses that
        return np.loadtxt(lines[names:], delimiter=",", ndmin=2, comments=None)


def _is_name(text: str) -> bool:
    """Return whether a cell names a column: it is neither a number nor the mark of a missing one."""
    text = text.strip().strip("\"'")
    if text.casefold() in MISSING or not any(map(str.isalpha, text)):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
