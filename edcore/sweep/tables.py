"""Tables in files: CSV, to which lines are added, and Parquet, which is rewritten as a whole."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from edcore.environment import check_package
from edcore.errors import DataFileError, EDCoreError, InputError
from edcore.files.atomic import write_atomically
from edcore.sweep.options import TYPES

OTHER = "Use another file, or the sweep that wrote this one: all options and the version of edcore must be the same."


def columns_of(parameters: Iterable[str], texts: Collection[str] = ()) -> dict[str, type]:
    """Return names and types of the columns of a sweep with these options, of which some are texts here."""
    kinds = TYPES | dict.fromkeys(texts, str)
    columns: dict[str, type] = {"run": int, "seed": int} | {name: kinds[name] for name in parameters}
    columns |= {"accuracy": float, "error": float, "learnt_epochs": int, "seconds": float, "weights": str}
    return columns | dict.fromkeys(("backend", "device", "failed", "sweep"), str)


class Table(Protocol):
    """A file of rows. The last column holds the fingerprint of the sweep."""

    rows: list[dict[str, Any]]  # in the file when it was opened

    def __init__(self, path: Path, columns: Mapping[str, type], fingerprint: str) -> None: ...

    def __enter__(self) -> Table: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def add(self, row: dict[str, Any]) -> None:
        """Add a row, which has all columns."""

    def save(self) -> None:
        """Write the added rows to the disk."""


class CSV:
    """A table of comma-separated values; None is an empty cell."""

    def __init__(self, path: Path, columns: Mapping[str, type], fingerprint: str) -> None:
        self._path, self._columns, self._fingerprint = path, columns, fingerprint
        self.rows: list[dict[str, Any]] = []
        content, header = path.read_bytes() if path.exists() else None, _line(columns)
        if not content:
            write_atomically(path, header, new=content is None)
            content = header
        elif content != header and header.startswith(content):  # written as a whole, so this may be another program's
            raise DataFileError(f"{path} has a part of a header, and no rows. Remove it, or give another --out.")
        # Lines are written one after the other, so a crash can only cut the last one, which is dropped.
        whole = content[: content.rfind(b"\n") + 1]
        self._read(whole)
        self._file = path.open("r+b", buffering=0)
        self._end = len(whole)
        self._file.truncate(self._end)

    def __enter__(self) -> CSV:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, row: dict[str, Any]) -> None:
        """Add a line. On a full disk, no part of it stays in the file."""
        self._follow()
        line = memoryview(_line(row.values()))
        self._file.seek(self._end)
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError:
            self._file.truncate(self._end)
            raise
        self._end = self._file.tell()

    def save(self) -> None:
        """Write the lines to the disk."""
        os.fsync(self._file.fileno())

    def _follow(self) -> None:
        """Go on with the file that has the name now, if another program has put a copy there or removed it."""
        mine = os.fstat(self._file.fileno())
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._path.stat(), mine):
                return
            self._file.seek(0)
            if self._path.read_bytes() != self._file.read():
                raise _replaced(self._path)
        self._file.seek(0)
        write_atomically(self._path, self._file.read())
        self._file.close()
        self._file = self._path.open("r+b", buffering=0)

    def _read(self, content: bytes) -> None:
        try:
            lines = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
            names = next(lines, [])
            found = [(lines.line_num, values) for values in lines]
        except (ValueError, csv.Error) as error:
            raise DataFileError(f"{self._path} is not a CSV table ({error}). Give another file.") from error
        if names != list(self._columns):
            raise InputError("out", f"{str(self._path)!r}, which has other columns", "a file of this sweep", OTHER)
        for number, values in found:
            try:
                row: dict[str, Any] = dict(zip(names, values, strict=True))
                row |= {"run": int(row["run"]), "seed": int(row["seed"]), "failed": row["failed"] or None}
            except ValueError:
                fix = "Remove it, and its run is made again."
                raise DataFileError(f"{self._path}, line {number} is damaged. {fix}") from None
            _check_sweep(self._path, row["sweep"], self._fingerprint)
            self.rows.append(row)


class Parquet:
    """A Parquet file. All its rows are in memory, and each write replaces the file."""

    def __init__(self, path: Path, columns: Mapping[str, type], fingerprint: str) -> None:
        try:
            import pyarrow
        except ImportError as error:
            fix = 'Install it with: pip install "edcore[parquet]".'
            raise EDCoreError(f"{path} needs the package pyarrow, which is not installed. {fix}") from error

        kinds = {int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_(), str: pyarrow.string()}
        self._path, self._schema = path, pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
        self.rows: list[dict[str, Any]] = []
        self._content: bytes | None = None  # of the file, as this program knows it
        if path.exists():
            self._content = content = path.read_bytes()
            table, rows = _read_parquet(path, content)
            if not table.schema.equals(self._schema):
                raise InputError("out", f"{str(path)!r}, which has other columns", "a file of this sweep", OTHER)
            self.rows = rows
            for row in self.rows:
                _check_sweep(path, row["sweep"], fingerprint)
        self._all, self._saved = list(self.rows), -1

    def __enter__(self) -> Parquet:
        self.save()  # now, so that a folder or a disk that refuses it costs no training
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def add(self, row: dict[str, Any]) -> None:
        """Add a row. The next save writes it."""
        self._all.append(row)

    def save(self) -> None:
        """Write all rows, if there are new ones."""
        import pyarrow
        from pyarrow import parquet

        if self._saved == len(self._all):
            return
        if self._content is not None and self._path.exists() and self._path.read_bytes() != self._content:
            raise _replaced(self._path)
        file = io.BytesIO()
        parquet.write_table(pyarrow.Table.from_pylist(self._all, self._schema), file)
        write_atomically(self._path, file.getvalue(), new=self._content is None)
        self._content, self._saved = file.getvalue(), len(self._all)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a sweep's file, with values of their types, but for a last line that was cut short."""
    ending = path.suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise InputError("rows", repr(str(path)), "a file of edcore sweep, whose name ends in .csv or .parquet")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataFileError(f"{path} cannot be read ({error.strerror or error}). Check its name.") from error
    if ending == ".parquet":
        check_package("pyarrow", "parquet", str(path))
        table, rows = _read_parquet(path, content)
        _check_columns(path, table.column_names)
        yield from rows
        return
    kinds = columns_of(TYPES)
    try:
        whole = content[: content.rfind(b"\n") + 1].decode("utf-8")
        lines = csv.DictReader(io.StringIO(whole, newline=""), strict=True)
        _check_columns(path, lines.fieldnames or ())
        for row in lines:
            yield {name: _value(kinds.get(name, str), text) for name, text in row.items()}
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise DataFileError(f"{path} is not the table of a sweep, or damaged ({error}).") from error


def _read_parquet(path: Path, content: bytes) -> tuple[Any, list[dict[str, Any]]]:
    """Return the table in the content of a Parquet file, and its rows, or refuse it."""
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(io.BytesIO(content))
        return table, table.to_pylist()
    except (ArrowException, OSError, ValueError) as error:  # PyArrow has an OSError for damage, too
        reason = " ".join(str(error).split())
        raise DataFileError(f"{path} is not a Parquet file, or damaged ({reason:.200}).") from error


def _check_columns(path: Path, names: Iterable[str]) -> None:
    if not {"run", "seed", "accuracy", "learnt_epochs", "failed", "sweep"} <= {*names}:
        raise InputError("rows", f"{str(path)!r}, which has other columns", "a file of edcore sweep")


def _value(kind: type, text: str) -> Any:
    """Return the value of a cell; None of an empty one."""
    if not text:
        return None
    if kind is int and "," in text:  # several widths
        return text
    return {"True": True, "False": False}[text] if kind is bool else kind(text)


def _replaced(path: Path) -> DataFileError:
    return DataFileError(f"{path}: another program has written this file. Give another --out.")


def _line(values: Any) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerow(values)
    return file.getvalue().encode()


def _check_sweep(path: Path, found: str | None, fingerprint: str) -> None:
    if found != fingerprint:
        raise InputError(
            "out", f"{str(path)!r} with rows of sweep {found!r:.30}", f"rows of this sweep, {fingerprint!r}", OTHER
        )
