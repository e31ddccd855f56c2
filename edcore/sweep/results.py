"""The file of a sweep: a row for each run that is done. A crash leaves no half-written row in it."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from edcore.arguments import ReadOnly
from edcore.errors import DataFileError, InputError
from edcore.files.atomic import with_retries
from edcore.files.locking import locked
from edcore.sweep.options import TYPES
from edcore.sweep.plan import Sweep
from edcore.sweep.tables import CSV, Parquet, Table

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
    columns : dict of str to type
        Names and types of the columns.
    done : set of int
        Numbers of the runs that have a row.
    failed : int
        How many of these runs have failed.

    Raises
    ------
    InputError
        If the name has another ending, or the file has rows of another sweep. The file is not changed.
    DataFileError
        If the file cannot be written, or is damaged other than by a last line that was cut short.
    LockedError
        If another process uses it.

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

    columns: dict[str, type]
    done: set[int]
    failed: int

    def __init__(self, path: str | os.PathLike[str], sweep: Sweep) -> None:
        self._path, self._sweep = Path(path), sweep
        if self._path.suffix not in FORMATS:
            raise InputError("out", repr(str(path)), f"a file whose name ends in {' or '.join(FORMATS)}")
        columns: dict[str, type] = {"run": int, "seed": int} | {name: TYPES[name] for name in sweep.parameters}
        columns |= {"accuracy": float, "error": float, "learnt_epochs": int, "seconds": float, "weights": str}
        columns |= dict.fromkeys(("backend", "device", "failed", "sweep"), str)
        self._set(columns=columns, done=set(), failed=0)
        self._stack = ExitStack()
        self._table: Table
        self._due = 0.0  # on the clock

    def __enter__(self) -> Results:
        with ExitStack() as stack:
            stack.enter_context(locked(self._path, "out"))
            table = FORMATS[self._path.suffix]
            try:
                self._table = stack.enter_context(table(self._path, self.columns, self._sweep.fingerprint))
            except OSError as error:
                raise self._unwritten(error) from error
            for row in self._table.rows:
                self._count(row["run"], row["seed"], row["failed"])
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._stack:
            self.save()

    def add(self, row: dict[str, Any]) -> None:
        """Add the row of a run.

        Parameters
        ----------
        row : dict
            A row of `Sweep.rows`. It is ignored if its run has a row already.

        Raises
        ------
        DataFileError
            If it cannot be written. Earlier rows stay.
        """
        if row["run"] in self.done:
            return
        try:
            with_retries(lambda: self._table.add({name: row[name] for name in self.columns}))
        except OSError as error:
            raise self._unwritten(error) from error
        self.done.add(row["run"])
        self._set(failed=self.failed + (row["failed"] is not None))
        if time.monotonic() >= self._due:
            self.save()

    def save(self) -> None:
        """Write all rows to the disk.

        Raises
        ------
        DataFileError
            If they cannot be written.
        """
        start = time.monotonic()
        try:
            with_retries(self._table.save)
        except OSError as error:
            raise self._unwritten(error) from error
        end = time.monotonic()
        self._due = end + SHARE * (end - start)

    def _count(self, run: int, seed: int, failed: str | None) -> None:
        """Count a row of the file."""
        point, sweep = len(self._sweep.points), self._sweep
        if not 0 <= run < len(sweep) or sweep.seeds[run // point] != seed:
            fix = "Use another file, or append new seeds to those that were there."
            raise InputError("out", f"{str(self._path)!r}, whose run {run} has seed {seed}", "rows of this sweep", fix)
        if run in self.done:
            raise DataFileError(f"{self._path}: run {run} has two rows. Remove one of them.")
        self.done.add(run)
        self._set(failed=self.failed + (failed is not None))

    def _unwritten(self, error: OSError) -> DataFileError:
        if isinstance(error, DataFileError):
            return error
        fix = "Its rows are kept; the same command goes on."
        return DataFileError(f"{self._path} cannot be written ({error.strerror or error}). {fix}")
