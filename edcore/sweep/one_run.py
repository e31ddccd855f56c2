"""One run of a sweep: train, test, and return a row of results."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from edcore.arrays import HostWeights
from edcore.contract.compilation import clock, compiling_on_stderr
from edcore.datasets import Dataset
from edcore.environment import VERSION
from edcore.errors import DataFileError, EDCoreError, printable
from edcore.model.classes import ROWS_AT_ONCE, accuracy, predict_in_parts, targets
from edcore.sweep.options import Value
from edcore.training.checkpoint import fingerprint
from edcore.training.options import OF_TABLES, OPTIONS, TrainOptions, as_options
from edcore.training.setup import begin, load_data

LONGEST = 2000
"""Characters of the column ``failed``: a compiler's error can be a whole program; readers of tables have a limit."""


ONCE = "EDCORE_SWEEP_COMPILES"
"""The environment variable that tells workers on this machine the file `once` of `compiling_on_stderr`."""

RESULTS = ("accuracy", "error", "learnt_epochs", "seconds", "weights")
"""Columns of what a run has found."""


@dataclasses.dataclass(frozen=True, slots=True)
class SweepRun:
    """A run of a sweep, as a worker gets it."""

    number: int
    seed: int
    given: tuple[tuple[str, Value], ...]  # options and their values
    version: str  # of edcore, where the sweep was started

    @property
    def options(self) -> TrainOptions:
        """All options of the run."""
        values: dict[str, Any] = {name: value for name, value in self.given if name != "tolerance"}
        return TrainOptions(**values, seed=self.seed)


def carry_out(run: SweepRun) -> dict[str, Any]:
    """Carry out a run and return its row, with the error in it if it failed. A wrong version is an EDCoreError."""
    if run.version != VERSION:
        fix = "Install the same version everywhere."
        raise EDCoreError(f"a worker has edcore {VERSION}, and this program has {run.version}. {fix}")
    given = dict(run.given)
    row: dict[str, Any] = {"run": run.number, "seed": run.seed, **given}
    row |= dict.fromkeys(RESULTS)
    row |= {"backend": run.options.backend, "device": run.options.device, "failed": None}
    try:
        # What overflows is an error, which says what helps. stdout is the command's, which may print JSON.
        with _compiling_on_stderr(), np.errstate(all="ignore"), contextlib.redirect_stdout(sys.stderr):
            return row | _train(run)
    except EDCoreError as error:
        return row | {"failed": _on_one_line(as_options(str(error), toml=True))}
    except MemoryError:
        return row | {"failed": "there is not enough memory"}
    except Exception as error:  # a backend can raise anything, and the other runs do not depend on this one
        return row | {"failed": _on_one_line(f"{type(error).__name__}: {error}")}


def _compiling_on_stderr() -> contextlib.AbstractContextManager[None]:
    """Let a worker of ``edcore sweep`` say that it compiles, in place of the program that started it."""
    once = os.environ.get(ONCE)
    return compiling_on_stderr(Path(once)) if once else contextlib.nullcontext()


def _on_one_line(text: str) -> str:
    """Return a text as one line that a table can hold."""
    line = " ".join(text.split())
    line = printable(line)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 2]} …"


def check_run(run: SweepRun, local: bool) -> None:
    """Refuse a run that cannot begin. One that is not `local` has its backend and its data on another machine."""
    options = run.options if local else dataclasses.replace(run.options, backend="auto", device=None)
    try:
        if _has_table(run):
            _begin_table(run)
        else:
            begin(options, keep=False, data=_load(options))
    except DataFileError:
        if local:
            raise


def _train(run: SweepRun) -> dict[str, Any]:
    """Carry out a run and return its results, and under "samples" what names its data, with their fingerprint."""
    if _has_table(run):
        return _learn_table(run)
    options = run.options
    key = options.dataset, options.data_dir, options.classes, options.dtype
    data = _load(options)
    started = begin(run.options, keep=False, data=data)
    ed, state = started.ed, started.state
    # The first prediction chooses the backend and gives it the initial weights, which is not training time.
    ed.bind(data.x_train[:1], min(state.batch_size, len(data.x_train)))
    ed.predict(data.x_train[:1])
    target = targets(data.y_train, ed.network.columns)
    tolerance: Any = dict(run.given).get("tolerance", 0.0)
    start = clock()
    ed.fit(data.x_train, target, epochs=state.epochs, batch_size=state.batch_size, tolerance=tolerance)
    ed.synchronize()
    seconds = clock() - start
    errors = abs(target - predict_in_parts(ed, data.x_train))
    # Summed in parts, as in version 0.1, so that a sweep goes on in an old file with the same bits.
    parts = [errors[row : row + ROWS_AT_ONCE] for row in range(0, len(errors), ROWS_AT_ONCE)]
    return {
        "accuracy": accuracy(ed, data.x_test, data.y_test),
        "error": sum(float(part.sum(dtype=np.float64)) for part in parts) / target.size,
        "learnt_epochs": int(ed.epochs.max()),
        "seconds": seconds,
        "weights": _checksum(ed.weights),
        "backend": ed.backend,
        "device": ed.device,
        "samples": (*key, _cached(*key)[1]),
    }


def _has_table(run: SweepRun) -> bool:
    """Return whether a run is on a user's own table."""
    return any(name in OF_TABLES for name, _ in run.given)


def _begin_table(run: SweepRun) -> Any:
    """Return a run on a table, which is not learnt."""
    from edcore.estimators import table_run  # here, as scikit-learn is slow to load

    return table_run.begin({**dict(run.given), "seed": run.seed}, _cached_table)


def _learn_table(run: SweepRun) -> dict[str, Any]:
    """Carry out a run on a table, and return what `_train` does; the accuracy of a regression is R²."""
    started = _begin_table(run)
    start = clock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the row shows what has become of the run
        started.learn()
    seconds = clock() - start
    estimator, scores = started.estimator, started.scores()
    return {
        "accuracy": scores["accuracy"] if "accuracy" in scores else scores["r2"],
        "error": estimator.loss_curve_[-1],
        "learnt_epochs": estimator.n_iter_,
        "seconds": seconds,
        "weights": _checksum(estimator.ed_.weights),
        "backend": estimator.ed_.backend,
        "device": estimator.ed_.device,
        "samples": (started.data, started.target, started.table.checksum()),
    }


@functools.lru_cache(maxsize=2)
def _cached_table(data: str, target: str, task: str | None) -> Any:
    from edcore.estimators import table_run

    return table_run.load_table(data, target, task)


def _load(options: TrainOptions) -> Dataset:
    return _cached(options.dataset, options.data_dir, options.classes, options.dtype)[0]


@functools.lru_cache(maxsize=2)  # consecutive runs in a process mostly have the same data
def _cached(dataset: str, data_dir: str | Path, classes: str, dtype: str) -> tuple[Dataset, str]:
    named_in = None if Path(data_dir) == OPTIONS["data_dir"].default else "the sweep"
    data = load_data(dataset, data_dir, classes, dtype, named_in)
    return data, fingerprint(data)


def _checksum(weights: HostWeights) -> str:
    """Return a checksum of weights, which is the same on two machines if all bits are."""
    # Not `edcore.files.checksum`: files of older sweeps have this one, and a sweep goes on in its file.
    sha256 = hashlib.sha256()
    for key, value in weights.items():
        sha256.update(f"{key} {value.dtype} {value.shape} ".encode())
        sha256.update(np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes())
    return sha256.hexdigest()
