"""Samples that users have in files, for ``edcore predict``."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.errors import DataFileError

__all__ = ["read_samples"]

ENDINGS = (".npy", ".csv")


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
        If it cannot be read, or has no table of numbers.
    """
    if path.suffix not in ENDINGS:
        raise DataFileError(f"{path}: a file with the ending {path.suffix!r}; accepted: {' or '.join(ENDINGS)}.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataFileError(f"{path}: it cannot be read ({error.strerror or error}). Check its name.") from error
    try:
        found = _from_npy(content) if path.suffix == ".npy" else _from_csv(content)
    except (ValueError, EOFError, MemoryError) as error:  # NumPy's for a header that asks for more than there is
        raise DataFileError(f"{path}: it cannot be read as {path.suffix} ({' '.join(str(error).split())}).") from error
    if found.ndim == 2 and len(found) and found.dtype.kind in "biuf":
        return found
    fix = "One row is one sample: reshape(len(x), -1) flattens images."
    raise DataFileError(
        f"{path}: {found.dtype} of shape {found.shape}; accepted: numbers of shape (samples, features). {fix}"
    )


def _from_npy(content: bytes) -> npt.NDArray[Any]:
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))  # a pickle would run whatever it says


def _from_csv(content: bytes) -> npt.NDArray[Any]:
    lines = content.decode("utf-8-sig").splitlines()
    names = bool(lines) and not any(map(_is_number, lines[0].split(",")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of no data: they are refused above
        return np.loadtxt(lines[names:], delimiter=",", ndmin=2, comments=None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
