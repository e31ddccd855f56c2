"""Read a user's table from a file, CSV and its kin, Parquet, .npz or .npy, as a pandas DataFrame."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edcore.contract.memory import host_memory
from edcore.datasets import user_files
from edcore.datasets.delimited import DelimitedText, decoded
from edcore.datasets.user_files import INDEX, read_content
from edcore.environment import check_package
from edcore.errors import DataFileError

if TYPE_CHECKING:
    import pandas as pd

ARRAYS = (".npz", ".npy")
ENDINGS = (*(one for one in user_files.ENDINGS if one != ".npy"), ".parquet", *ARRAYS)


def read_table(path: str | os.PathLike[str], *, texts: Collection[str] = ()) -> pd.DataFrame:
    """Return the table in a file, or with the path "-" in standard input: numbers, and other cells as texts.

    The columns named in `texts` keep their cells as they are written. ``attrs["notes"]`` of the table has a line for
    each thing that the user must know, such as a column that is left out. Wrong files are a DataFileError.
    """
    check_package("pandas", "table", f"{path}: a table")
    name, content, ending = read_content(path, ENDINGS)
    if ending in ARRAYS:
        return _from_arrays(name, content, ending)
    return _from_parquet(name, content) if ending == ".parquet" else _from_text(name, content, texts)


def _from_text(name: str, content: bytes, texts: Collection[str]) -> pd.DataFrame:
    text, notes = decoded(name, content)
    found = DelimitedText(name, text)
    frame, notes = found.frame(texts), notes + found.notes
    if frame.columns[0] in INDEX and len(frame.columns) > 1:
        first = f"its first column, {frame.columns[0]!r}" if frame.columns[0] else "its first column, which has no name"
        notes.append(f"{name}: {first}, is left out: it numbers or names the rows")
        frame = frame.iloc[:, 1:]
    if "" in frame and frame[""].isna().all():
        notes.append(f"{name}: a column with no name and no cells is left out")
        frame = frame.drop(columns="")
    if "" in frame:
        raise DataFileError(f"{name}: column {found.names.index('') + 1:,} has no name. Write one into the first line.")
    frame.attrs["notes"] = tuple(notes)
    return frame


def _from_parquet(name: str, content: bytes) -> pd.DataFrame:
    import pandas

    check_package("pyarrow", "parquet", f"{name}: a .parquet")
    try:
        frame = pandas.read_parquet(io.BytesIO(content), engine="pyarrow").reset_index(drop=True)
    except Exception as error:  # PyArrow has errors of many kinds for damage
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise DataFileError(f"{name}: not a Parquet file, or damaged ({reason}). Write it again.") from error
    frame.columns = [str(column) for column in frame.columns]
    for column in frame:  # pandas has several marks of a gap, which to encoders are as many categories
        if frame[column].dtype.name in ("object", "string", "boolean"):
            frame[column] = frame[column].astype(object).where(frame[column].notna(), np.nan)
    if not len(frame) or not len(frame.columns):
        raise DataFileError(f"{name}: a table with no rows or no columns. Write a row for each sample.")
    frame.attrs["notes"] = ()
    return frame


def _from_arrays(name: str, content: bytes, ending: str) -> pd.DataFrame:
    import pandas

    columns: dict[str, npt.NDArray[Any]] = {}
    rows: dict[str, int] = {}
    for key, array in _arrays(name, content, ending):
        what = f"{name}, array {key!r}" if key else name
        if array.ndim not in (1, 2) or not array.size or array.dtype.kind not in "biufU":
            accepted = "numbers or texts of shape (samples,) or (samples, features)"
            fix = "A row is a sample: reshape(len(x), -1) flattens images."
            raise DataFileError(f"{what}: {array.dtype} of shape {array.shape}; accepted: {accepted}. {fix}")
        if array.dtype.kind == "f" and np.isinf(array).any():
            raise DataFileError(f"{what}: infinite numbers. Correct them, or make them NaN, which is a gap.")
        rows[key] = len(array)
        if array.ndim == 1 or array.shape[1] == 1:
            columns[key or "1"] = array.reshape(-1)
        else:
            columns |= {f"{key}[{n}]" if key else str(n + 1): array[:, n] for n in range(array.shape[1])}
    if len(set(rows.values())) > 1:
        given = ", ".join(f"{key} {count:,}" for key, count in rows.items())
        raise DataFileError(f"{name}: arrays with different numbers of rows ({given}). Save those of one table alone.")
    frame = pandas.DataFrame(columns)
    frame.attrs["notes"] = ()
    return frame


def _arrays(name: str, content: bytes, ending: str) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield each array of a .npz with its name, or the one of a .npy with none; no pickle, which could run code."""
    try:
        if ending == ".npy":
            yield "", np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
            return
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = [one for one in archive.infolist() if one.filename.endswith(".npy")]
            if not files:
                raise ValueError("it has no arrays")
            need, free = 2 * sum(one.file_size for one in files), host_memory().free
            if need > free:
                raise ValueError(
                    f"unpacked it needs {need / 2**30:,.1f} GiB of memory, and {free / 2**30:,.1f} are free"
                )
            for one in files:
                array = np.lib.format.read_array(io.BytesIO(archive.read(one)), allow_pickle=False)
                yield one.filename.removesuffix(".npy"), array
    except Exception as error:  # NumPy and zipfile raise many kinds for a damaged file
        reason = " ".join(str(error).split())[:200].rstrip(".")
        fix = f"Write it with numpy.{'save' if ending == '.npy' else 'savez'}, as arrays of numbers or texts."
        raise DataFileError(f"{name}: it cannot be read as {ending} ({reason}). {fix}") from error
