"""Read a user's files: the bytes of any, unpacked, and samples of a .npy, .csv or .tsv, for ``edcore predict``."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import math
import os
import re
import stat
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import numpy.typing as npt

from edcore.contract.memory import host_memory
from edcore.datasets.delimited import GAPS, decoded, kind_of, number, separator_of
from edcore.errors import DataFileError
from edcore.files.atomic import is_pipe

TEXT, PACKED = (".csv", ".tsv", ".txt"), (".gz", ".bz2", ".xz", ".zip")
ENDINGS = (*TEXT, *(f"{text}{packed}" for text in TEXT for packed in PACKED), ".npy")

FORMS = {
    ".npy": "Write it with numpy.save, as an array of numbers.",
    ".csv": "Write numbers with commas between them, a line for each sample.",
}

STDIN = "-"
"""The name of a file that stands for standard input, which is read as CSV."""

INDEX = ("", "Unnamed: 0")
"""Names of a first column in which pandas and others have written the number or the name of each row."""

OTHER_BASE = re.compile(r"[-+]?0[xXoObB][0-9a-fA-F]")
"""A number that is not decimal, which is no name."""

MISSING = {"", "na", "n/a", "nan", "null", "none"}
"""The texts with which other programs mark a missing number."""


UNPACK: dict[str, Callable[[Any], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}

SHARE, CHUNK = 4, 2**20
"""How many times the bytes of a file its numbers or texts take while they are read; the bytes that are read at once."""


class Content(NamedTuple):
    """The bytes of a file, unpacked; its name in sentences; and its ending in lower case, without that of packing."""

    name: str
    data: bytes
    ending: str


def ending_of(path: Path) -> str:
    """Return the ending of a file, in lower case and with that of packing."""
    return "".join(path.suffixes[-2:] if path.suffix.lower() in PACKED else path.suffixes[-1:]).lower()


def read_content(path: str | os.PathLike[str], endings: tuple[str, ...]) -> Content:
    """Return the content of a file with one of these endings, or any if there are none; standard input is .csv."""
    name = os.fspath(path)
    if name == STDIN:
        return Content("standard input", _read(sys.stdin.buffer, "standard input"), ".csv")
    file, kind = Path(os.path.expanduser(name)), ".csv"  # as it is, if there is no such user
    if "://" in name:
        if not name.lower().startswith("file://"):
            raise DataFileError(
                f"{name}: an address, of which nothing is loaded. Load the file first, and give its name."
            )
        file = Path(url2pathname(urlsplit(name).path))
    shown = ", ".join(one for one in endings if not one.endswith(PACKED))
    accepted = f"accepted: a file that ends in {shown} (a text also with {', '.join(PACKED)}), or - for standard input"
    accepted = accepted if endings else "accepted: a file, or - for standard input"
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            raise DataFileError(f"{name}: a folder; {accepted}.")
        if stat.S_ISFIFO(mode) and not is_pipe(name):  # reading it would wait for a writer
            raise DataFileError(f"{name}: a pipe; {accepted}, which a pipe can be: - < {name}")
        if not is_pipe(name):  # the name of one says nothing
            kind = ending_of(file)
            if endings and kind not in endings:
                what = f"with the ending {kind!r}" if kind else "with no ending"
                fix = " Save it as CSV (UTF-8) in the spreadsheet." if kind in (".xlsx", ".xls", ".ods") else ""
                raise DataFileError(f"{name}: a file {what}; {accepted}.{fix}")
        if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):  # some devices never end
            raise DataFileError(f"{name}: not a file; {accepted}.")
        packed = Path(f"x{kind}").suffix if kind.endswith(PACKED) else ""
        with file.open("rb") as opened:
            content = _read(opened, name)
        return Content(name, _unpacked(content, packed, name), kind.removesuffix(packed))
    except DataFileError:
        raise
    except (gzip.BadGzipFile, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise DataFileError(f"{name}: not a {file.suffix} file, or damaged ({error}). Make it again.") from error
    except OSError as error:
        if not error.strerror:  # of bz2
            raise DataFileError(f"{name}: not a {file.suffix} file, or damaged ({error}). Make it again.") from error
        raise DataFileError(f"{name}: it cannot be read ({error.strerror}). Check its name.") from error


def _read(file: IO[bytes], name: str) -> bytes:
    """Return all bytes of an open file, or refuse more than fit into memory: a few packed ones may be any number."""
    most = host_memory().free // SHARE
    content = io.BytesIO()
    while part := file.read(CHUNK):
        if content.write(part) and content.tell() > most:
            fix = "Hand it over in parts, or train in Python with edcore.streaming."
            accepted = f"up to {most / 2**30:,.1f} GiB, as reading takes {SHARE} times that, and no more memory is free"
            raise DataFileError(f"{name}: a larger file; accepted: {accepted}. {fix}")
    return content.getvalue()


def _unpacked(content: bytes, packed: str, name: str) -> bytes:
    """Return the bytes of a file with such an ending as they were before it was packed."""
    if packed == ".zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [one for one in archive.namelist() if not one.endswith("/")]
            if len(names) != 1:
                raise ValueError(f"it has {len(names):,} files, and not one")
            try:
                with archive.open(names[0]) as file:
                    return _read(file, name)
            except (RuntimeError, NotImplementedError) as error:  # of a password, or another way to pack
                raise ValueError(error) from error
    if packed in UNPACK:
        with UNPACK[packed](io.BytesIO(content)) as file:
            return _read(file, name)
    return content


def read_samples(path: str | os.PathLike[str], gaps: bool = False) -> npt.NDArray[Any]:
    """Return the samples (samples, features) of a .npy or a text such as .csv, whose first line may name its columns.

    The path "-" is standard input, with a .csv. With `gaps`, a missing number is NaN. A warning says what is left out.
    """
    name, content, ending = read_content(path, ENDINGS)
    ending = ".npy" if ending == ".npy" else ".csv"
    try:
        found = _from_npy(content) if ending == ".npy" else _from_csv(name, content, gaps)
    except DataFileError:
        raise
    except Exception as error:  # NumPy raises many kinds for a wrong header
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise DataFileError(f"{name}: it cannot be read as {ending} ({reason}). {FORMS[ending]}") from error
    if found.ndim != 2 or not found.size or found.dtype.kind not in "biuf":
        fix = "A row is a sample: reshape(len(x), -1) flattens images."
        given = f"{found.dtype} of shape {found.shape}"
        if ending == ".csv":
            given, fix = "a file with no samples", FORMS[ending]
        raise DataFileError(f"{name}: {given}; accepted: numbers of shape (samples, features). {fix}")
    if len(wrong := np.argwhere(np.isinf(found) if gaps else ~np.isfinite(found))):
        row, column = (wrong[0] + 1).tolist()
        given = f"{len(wrong):,} NaN or infinite values, the first in sample {row:,}, feature {column:,}"
        raise DataFileError(f"{name}: {given}; accepted: finite numbers. Remove or fill these first.")
    return found


def _from_npy(content: bytes) -> npt.NDArray[Any]:
    # Not np.load, which reads archives too. A pickle could run any code, so none is read.
    return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))


def _from_csv(name: str, content: bytes, gaps: bool) -> npt.NDArray[Any]:
    text, notes = decoded(name, content)
    for note in notes:
        warnings.warn(note, stacklevel=4)
    lines = text.splitlines()
    header = lines[0].split(",") if lines else []
    names = bool(header) and all(map(_is_name, header))
    try:
        if header[:1] == ["Unnamed: 0"]:
            raise ValueError
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # no data: the caller refuses that
            return np.loadtxt(lines[names:], delimiter=",", ndmin=2, comments=None)
    except ValueError:  # NumPy counts rows now from 0, now from 1
        return _cell_by_cell(name, text, gaps)


def _cell_by_cell(name: str, text: str, gaps: bool) -> npt.NDArray[Any]:
    """Return the numbers of a text with any separator, or raise an error that says in which sample and line is none."""
    rows, lines = list[list[str]](), list[int]()
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator_of(text), skipinitialspace=True, strict=True)
    header = list[str]()
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        if (not any(cells) and len(cells) < 2) or (not rows and not header and cells[0].startswith("#")):
            continue
        if not rows and not header and all(map(_is_name, cells[cells[0] in INDEX and len(cells) > 1 :])):
            header = cells
            continue
        if rows and len(cells) != len(rows[0]):
            where = f"sample {len(rows) + 1:,} (line {reader.line_num:,})"
            raise ValueError(f"{where} has {len(cells):,} columns, the first sample has {len(rows[0]):,}")
        rows.append(cells)
        lines.append(reader.line_num)
    columns = list(zip(*rows, strict=True))
    if len(columns) > 1 and header[:1] and header[0] in INDEX:
        warnings.warn(
            f"{name}: its first column, {header[0]!r}, is left out: it numbers or names the rows", stacklevel=5
        )
        columns = columns[1:]
    if len(columns) > 1 and len(rows) > 1 and not any(columns[-1]):
        columns = columns[:-1]  # each line ends with a separator
    kinds = [kind_of([cell for cell in column if cell not in GAPS]) for column in columns]
    found = np.empty((len(rows), len(columns)))
    for place, (column, kind) in enumerate(zip(columns, kinds, strict=True)):
        if kind == "either":  # 1,000 in each cell: another column may tell
            kind = next((one for one in ("comma", "thousands") if one in kinds), None)
        for row, cell in enumerate(column):
            try:
                found[row, place] = _number(cell, kind, gaps)
            except ValueError:
                where = f"sample {row + 1:,} (line {lines[row]:,}), feature {place + 1:,}"
                raise ValueError(f"{where}: {cell!r:.50} is no number") from None
    return found


def _number(cell: str, kind: str | None, gaps: bool) -> float:
    """Return the number in a cell, or raise a ValueError."""
    if "_" in cell or not cell.isascii():  # to Python also a number
        raise ValueError
    if gaps and cell.casefold() in MISSING:
        return math.nan
    return number(cell, kind == "comma") if kind else float(cell)


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
