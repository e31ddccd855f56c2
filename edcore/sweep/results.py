"""The file of a sweep: a row for each run that is done. A crash leaves no half-written row in it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Set
from contextlib import ExitStack
from types import MappingProxyType, TracebackType
from typing import Any

from edcore.arguments import ReadOnly, checked_path
from edcore.errors import DataFileError, InputError, shown
from edcore.files.atomic import with_retries
from edcore.files.locking import locked
from edcore.sweep.options import cell
from edcore.sweep.plan import Sweep
from edcore.sweep.tables import CSV, Parquet, Table, columns_of

SHARE = 10
"""The time from one save to the next, in multiples of the time that the last save took."""

FORMATS: dict[str, type[Table]] = {".csv": CSV, ".parquet": Parquet}


class Results(ReadOnly):
    """The file of a sweep's rows. A sweep that was stopped goes on in it.

    Only one process at a time can use it: it is locked from ``with`` to the end of the block.

    Parameters
    ----------
    path : path
        The file, which may be new: a .csv, to which each row is added, or a .parquet, which is rewritten with each row
        unless that would take more than a tenth of the time (``pip install "edcore[parquet]"``).
    sweep : Sweep
        The sweep.

    Attributes
    ----------
    columns : mapping of str to type
        Names and types of the columns.
    done : set-like of int
        Numbers of the runs that have a row. It is read-only, and grows with the rows.
    failed : int
        How many of these runs have failed.

    Raises
    ------
    InputError
        If an argument is not accepted, the name has another ending, or the file has rows of another sweep or another
        content. The file is not changed.
    DataFileError
        If the file cannot be written, or is damaged other than by a last line that was cut short.
    LockedError
        If another process uses it.
    EDCoreError
        If a .parquet is named where PyArrow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from edcore.sweep import Results, Sweep
    >>> sweep = Sweep({"dataset": "xor", "width": 2, "depth": 0, "epochs": 5}, seeds=3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for runs in 1, 3:  # the second time, the missing runs
    ...         with Results(f"{folder}/xor.csv", sweep) as results:
    ...             print(sorted(results.done))
    ...             for row in sweep.rows(n_jobs=1, done=results.done):
    ...                 results.add(row)
    ...                 if len(results.done) == runs:
    ...                     break
    []
    [0]
    """

    columns: Mapping[str, type]
    done: Set[int]
    failed: int

    def __init__(self, path: str | os.PathLike[str], sweep: Sweep) -> None:
        self._path, self._sweep = checked_path("out", path), sweep
        if self._path.suffix.lower() not in FORMATS:
            raise InputError("out", repr(str(path)), f"a file whose name ends in {' or '.join(FORMATS)}")
        if not isinstance(sweep, Sweep):
            raise InputError("sweep", shown(sweep), "an edcore.sweep.Sweep(…)")
        self._done: dict[int, None] = {}
        texts = ["width"] if isinstance({**sweep.train, **sweep.points[0]}.get("width"), str) else []
        self._set(columns=MappingProxyType(columns_of(sweep.parameters, texts)), done=self._done.keys(), failed=0)
        self._fingerprint = sweep.fingerprint
        self._stack = ExitStack()
        self._table: Table | None = None  # of the block
        self._due = 0.0  # on the clock

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._path, self._sweep)

    def __enter__(self) -> Results:
        with ExitStack() as stack:
            stack.enter_context(locked(self._path, "out"))
            self._done.clear()  # another block may have been there
            self._set(failed=0)
            table = FORMATS[self._path.suffix.lower()]
            try:
                opened = stack.enter_context(table(self._path, self.columns, self._fingerprint))
            except OSError as error:
                raise self._unwritten(error) from error
            for row in opened.rows:
                self._count(row["run"], row["seed"], row["failed"])
            self._table, self._stack = opened, stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._stack:
            try:
                self.save()
            finally:
                self._table = None

    def add(self, row: dict[str, Any]) -> None:
        """Add the row of a run.

        Parameters
        ----------
        row : dict
            A row of `Sweep.rows`. It is ignored if its run has a row already.

        Raises
        ------
        InputError
            If it is no row of the sweep, or this is no block of ``with``. Nothing is written.
        DataFileError
            If it cannot be written. Earlier rows stay.
        """
        table, cells = self._opened(), self._checked(row)
        if cells["run"] in self._done:
            return
        try:
            with_retries(lambda: table.add(cells))
        except OSError as error:
            raise self._unwritten(error) from error
        self._done[cells["run"]] = None
        self._set(failed=self.failed + (cells["failed"] is not None))
        if time.monotonic() >= self._due:
            self.save()

    def save(self) -> None:
        """Write all rows to the disk.

        Raises
        ------
        InputError
            If this is no block of ``with``.
        DataFileError
            If they cannot be written.
        """
        table, start = self._opened(), time.monotonic()
        try:
            with_retries(table.save)
        except OSError as error:
            raise self._unwritten(error) from error
        end = time.monotonic()
        self._due = end + SHARE * (end - start)

    def _opened(self) -> Table:
        if self._table is None:
            fix = "Write: with Results(path, sweep) as results: …"
            raise InputError("results", "a file that is not open", "use within a block of with", fix)
        return self._table

    def _checked(self, row: Any) -> dict[str, Any]:
        """Return the cells of a row of this sweep, or refuse what is none, as it would be when it is read again."""
        if not isinstance(row, Mapping) or not self.columns.keys() <= row.keys():
            raise InputError("row", shown(row), f"a row of Sweep.rows, which has {', '.join(self.columns)}")
        cells: dict[str, Any] = {
            name: None if row[name] is None else cell(f"row, {name}", row[name], kind)
            for name, kind in self.columns.items()
        }
        cells["failed"] = cells["failed"] or None
        number, sweep = cells["run"], self._sweep
        if number is None or not 0 <= number < len(sweep):
            raise InputError("row, run", shown(number), f"the number of a run, from 0 to {len(sweep) - 1:,}")
        run = sweep.run(number)
        given = dict(run.given)
        wanted = {"seed": run.seed, **{name: given[name] for name in sweep.parameters}, "sweep": self._fingerprint}
        for name, value in wanted.items():
            if cells[name] != value:
                raise InputError(
                    f"row, {name}", shown(cells[name]), f"{shown(value)}, as run {number} of this sweep has"
                )
        return cells

    def _count(self, run: int | None, seed: int | None, failed: str | None) -> None:
        """Count a row of the file."""
        point, sweep = len(self._sweep.points), self._sweep
        if run is None or not 0 <= run < len(sweep) or sweep.seeds[run // point] != seed:
            fix = "Use another file, or append new seeds to those that were there."
            raise InputError("out", f"{str(self._path)!r}, whose run {run} has seed {seed}", "rows of this sweep", fix)
        if run in self._done:
            raise DataFileError(f"{self._path}: run {run} has two rows. Remove one of them.")
        self._done[run] = None
        self._set(failed=self.failed + (failed is not None))

    def _unwritten(self, error: OSError) -> DataFileError:
        if isinstance(error, DataFileError):
            return error
        fix = "Its rows are kept; the same command goes on."
        return DataFileError(f"{self._path} cannot be written ({error.strerror or error}). {fix}")
