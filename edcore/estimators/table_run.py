"""A run on a user's table: set up from the options of ``edcore train --data``, or to go on from its file."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import Pipeline

from edcore.arguments import real, whole_number, yes_or_no
from edcore.core.randomness import fresh_seed
from edcore.datasets.tables import ENDINGS, read_table
from edcore.datasets.user_files import STDIN, ending_of
from edcore.errors import BackendUnavailableError, EDCoreError, InputError
from edcore.estimators.table import Table
from edcore.files.container import damaged
from edcore.io import networks
from edcore.model.callbacks import EpochRecord
from edcore.training.options import TASKS, TEST_SIZE, parsed_width, typed_command, width_in_words

PARAMETERS = {
    "width": "hidden_width",
    "depth": "hidden_depth",
    "alpha": "alpha",
    "alpha_output": "alpha_output",
    "rule": "rule",
    "u0": "u0",
    "activation": "activation",
    "output_activation": "output_activation",
    "rms": "rms",
    "batch_size": "batch_size",
    "early_stopping": "early_stopping",
    "validation": "validation_fraction",
    "backend": "backend",
    "device": "device",
}
"""Options that are parameters of the estimator, by their names there."""

CHANGE = ("alpha", "alpha_output", "backend", "device")
"""Those that may change when a run goes on."""

KEPT = ("data", "target", "test_size", "seed", "epochs", "finished")
"""What a run has beside its table and its pipeline."""

OF_TABLES = "options of runs on a table"

EPOCHS = 100
LARGEST_SEED = 2**32 - 1

TABLE = "table"
"""The key of the run in the header of its file."""


@dataclass(kw_only=True)
class TableRun:
    """A table, the rows to learn from and those to test on, and the pipeline that learns."""

    table: Table
    pipeline: Pipeline
    data: str  # as it was given, and so is the target
    target: str
    test_size: float
    seed: int
    epochs: int  # of the whole run
    finished: bool = False  # early stopping may end it before

    @property
    def estimator(self) -> Any:
        """The classifier or the regressor."""
        return self.pipeline.steps[-1][1]

    @property
    def learnt(self) -> int:
        """Epochs learnt."""
        return self.estimator.n_iter_ if self.estimator.__sklearn_is_fitted__() else 0

    @cached_property
    def rows(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """The rows to learn from and those to test on, as places in `Table.x`."""
        return self.table.split(self.test_size, self.seed)

    @property
    def command(self) -> str:
        """The command that repeats the run."""
        estimator = self.estimator
        options = {"data": self.data, "target": self.target, "task": self.table.task, "test_size": self.test_size}
        options |= {"epochs": self.epochs, "seed": self.seed}
        usual = type(estimator)()
        for name, parameter in PARAMETERS.items():
            if not hasattr(usual, parameter):  # a regressor has no kind of outputs
                continue
            value = getattr(estimator, parameter)
            if value != getattr(usual, parameter):
                options[name] = width_in_words(value) if name == "width" else value
        return typed_command("train", (), options)

    def learn(self, callback: Callable[[EpochRecord], None] | None = None) -> None:
        """Learn the epochs that are left; `callback` is called after each."""
        columns, estimator = self.pipeline[0], self.estimator
        before, (train, _) = self.learnt, self.rows
        if before >= self.epochs or self.finished:
            return
        x, y = self.table.x.iloc[train], self.table.y[train]
        features = columns.transform(x)
        estimator.set_params(max_iter=self.epochs - before, warm_start=before > 0, callbacks=callback)
        try:
            estimator.fit(features, y)
            self.finished = True
        finally:
            estimator.set_params(max_iter=self.epochs, warm_start=False, callbacks=None)

    def save(self, path: Path, *, new: bool) -> None:
        """Write the pipeline and the options of the run into a file, also while it learns."""
        pipeline, estimator = copy.copy(self.pipeline), copy.copy(self.estimator)
        estimator.set_params(max_iter=self.epochs, warm_start=False, callbacks=None)
        pipeline.steps = [*self.pipeline.steps[:-1], (self.pipeline.steps[-1][0], estimator)]
        state = {name: getattr(self, name) for name in KEPT}
        state |= {"task": self.table.task, "checksum": self.table.checksum()}
        networks.write(path, pipeline, target=self.table.target, run={TABLE: state}, new=new)

    def tested(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return the targets of the test rows and what is predicted for them; without test rows, of all."""
        train, test = self.rows
        test = test if len(test) else train
        return self.table.y[test], self.pipeline.predict(self.table.x.iloc[test])

    def scores(self) -> dict[str, Any]:
        """Return how well rows are predicted that were not learnt, beside a guess that knows no features."""
        train, _ = self.rows
        y, predicted = self.tested()
        if self.table.task == "classification":
            labels, counts = np.unique(self.table.y[train], return_counts=True)
            guess = labels[np.argmax(counts)]
            return {
                "accuracy": float(np.mean(predicted == y)),
                "baseline_accuracy": float(np.mean(y == guess)),
                "most_frequent": guess.item() if hasattr(guess, "item") else guess,
            }
        guess = np.full(len(y), self.table.y[train].mean())
        with np.errstate(over="ignore"):
            return {
                "r2": _finite(r2_score(y, predicted) if len(y) > 1 else math.nan),
                "mean_absolute_error": _finite(mean_absolute_error(y, predicted)),
                "baseline_r2": _finite(r2_score(y, guess) if len(y) > 1 else math.nan),
                "baseline_mean_absolute_error": _finite(mean_absolute_error(y, guess)),
            }


def begin(given: Mapping[str, Any], read: Callable[..., Table] | None = None) -> TableRun:
    """Return a new run from the options that were given, by the names of ``edcore train``.

    `read` stands in for `load_table`.
    """
    given = {name: value for name, value in given.items() if value is not None}
    known = {*PARAMETERS, "data", "target", "task", "test_size", "seed", "epochs"}
    for name in given:
        if name not in known:
            raise InputError(name, f"{given[name]!r} beside --data", OF_TABLES, "Leave it out.")
    if "data" not in given:
        name = next(name for name in ("target", "task", "test_size", "early_stopping", "validation") if name in given)
        raise InputError(name, f"{given[name]!r} without --data", "an option beside --data FILE", "Give that, too.")
    if "target" not in given:
        raise InputError("target", "none", "the name of the column of --data to predict")
    if "validation" in given and not given.get("early_stopping"):
        raise InputError(
            "validation",
            f"{given['validation']:g} without --early-stopping",
            "both or none",
            "Give --early-stopping, too.",
        )
    test_size = real("test_size", given.get("test_size", TEST_SIZE))
    if test_size >= 1:
        raise InputError("test_size", f"{test_size:g}", "a number from 0 to 1, without 1")
    seed = whole_number("seed", given.get("seed", fresh_seed()), 0)
    if seed > LARGEST_SEED:
        raise InputError("seed", str(seed), "a whole number from 0 to 2**32 - 1 beside --data")
    epochs = whole_number("epochs", given.get("epochs", EPOCHS), 1)
    table = (read or load_table)(given["data"], given["target"], given.get("task"))
    if "output_activation" in given and table.task == "regression":
        fix = "The outputs of a regression are linear: leave it out."
        raise InputError("output_activation", repr(given["output_activation"]), "none for numbers", fix)
    parameters = {PARAMETERS[name]: value for name, value in given.items() if name in PARAMETERS}
    if "width" in given:
        parameters["hidden_width"] = parsed_width(given["width"])
    pipeline = table.pipeline(**parameters, max_iter=epochs, random_state=seed)
    run = TableRun(
        table=table,
        pipeline=pipeline,
        data=given["data"],
        target=given["target"],
        test_size=test_size,
        seed=seed,
        epochs=epochs,
    )
    pipeline[0].fit(table.x.iloc[run.rows[0]])
    return run


def resume(file: Path, given: Mapping[str, Any], fewer_epochs: bool) -> TableRun:
    """Return the run of a file, with the options that were given. `fewer_epochs` allows to shorten the run."""
    given = {name: value for name, value in given.items() if value is not None}
    saved, arrays = networks.read(file)
    if TABLE not in (found := saved.run or {}):
        fix = "To learn more from other data, load it in Python with edcore.io.load, and call fit with warm_start."
        raise InputError("resume", repr(str(file)), "a file of edcore train --data --checkpoint", fix)
    state = _checked_state(file, found[TABLE])
    try:
        _, pipeline = networks.read_model(file, given.get("backend"), given.get("device"))
        estimator = pipeline.steps[-1][1]
        if estimator.backend == "auto":  # another backend than that which wrote it would differ in the last bits
            estimator.ed_ = networks.build(saved, arrays, saved.backend, estimator.device or saved.device or None)
    except BackendUnavailableError as error:
        if "backend" in given:
            raise
        fix = "To go on with another backend, whose results differ in the last bits, give --backend."
        raise BackendUnavailableError(f"{error} The run in {file} used it. {fix}") from error
    fixed = {name: state[name] for name in ("target", "task", "test_size", "seed")}
    fixed |= {name: getattr(estimator, parameter, None) for name, parameter in PARAMETERS.items() if name not in CHANGE}
    fixed["width"] = width_in_words(fixed["width"])
    for name, value in given.items():
        if name not in (*fixed, *CHANGE, "data", "epochs"):
            raise InputError(name, f"{value!r} beside --resume of a run on a table", OF_TABLES, "Leave it out.")
        if name in fixed and value != fixed[name]:
            fix = "Leave it out, or start a new run without --resume."
            raise InputError(name, f"{value!r} beside --resume", f"{fixed[name]!r}, as in {file}", fix)
    estimator.set_params(**{name: given[name] for name in ("alpha", "alpha_output") if name in given})
    epochs = whole_number("epochs", given.get("epochs", state["epochs"]), 1)
    data = given.get("data", state["data"])
    table = load_table(data, state["target"], state["task"])
    if table.checksum() != state["checksum"]:
        fix = "Give the same table with --data, or start a new run."
        raise EDCoreError(f"{file}: {data} has other cells than where the run started. {fix}")
    epochs = epochs if fewer_epochs else max(epochs, state["epochs"])
    kept = {name: state[name] for name in KEPT}
    kept |= {"data": data, "epochs": epochs, "finished": state["finished"] and "epochs" not in given}
    run = TableRun(table=table, pipeline=pipeline, **kept)
    if epochs < run.learnt:
        raise InputError("epochs", str(epochs), f"at least the {run.learnt:,} that are learnt already")
    return run


def _checked_state(file: Path, state: Any) -> dict[str, Any]:
    """Return the entries of a run in a file, or raise a DataFileError."""
    try:
        texts = all(isinstance(state[name], str) for name in ("data", "target", "checksum"))
        if not texts or state["task"] not in TASKS or not 0 <= real("test_size", state["test_size"]) < 1:
            raise ValueError("a wrong text, task or test_size")
        whole_number("epochs", state["epochs"], 1)
        whole_number("seed", state["seed"], 0)
        yes_or_no("finished", state["finished"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(file, f"its run on a table ({error!s:.100})") from error
    return cast(dict[str, Any], state)


def load_table(data: str, target: str, task: str | None) -> Table:
    """Return the table in a file, with the target in a file of its own if that is meant."""
    frame = read_table(data)
    notes = list(frame.attrs["notes"])
    beside = Path(os.path.expanduser(target))
    if target not in frame and ending_of(beside) in ENDINGS and beside.is_file():
        column = read_table(beside)
        if column.shape[1] != 1 or len(column) != len(frame):
            given = f"{target} with {len(column):,} rows and {column.shape[1]:,} columns"
            raise InputError("target", given, f"one column with the {len(frame):,} rows of {data}")
        frame, target = frame.assign(**{beside.stem: column.iloc[:, 0]}), beside.stem
    table = Table(frame, target, task, "standard input" if data == STDIN else data)
    table.notes[:0] = notes
    return table


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
