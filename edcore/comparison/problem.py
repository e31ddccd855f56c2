"""The samples of a comparison: what is learnt, which rows each seed tests on, and which features a network gets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import r2_score

from edcore.arguments import one_of, real
from edcore.arrays import to_numpy
from edcore.datasets.catalogue import Dataset
from edcore.errors import InputError, shown
from edcore.estimators.inputs import cast, check_one_kind, readable
from edcore.estimators.labels import distinct
from edcore.estimators.table import MOST_CLASSES, Table, split_rows
from edcore.model.inputs import checked
from edcore.training.options import TASKS, TEST_SIZE

FEW = 64
"""Samples to learn from below which a part of them says nothing, so that settings are chosen by all of them."""

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Problem:
    """Samples and their targets, and what to do with them."""

    x: Any  # an array (samples, features), or a table
    y: npt.NDArray[Any]
    task: str
    test_size: float
    fixed: int | None = None  # samples from here on are those to test on, for each seed; None: each seed has its own
    columns: Any = None  # the transformer that makes features of a table, not fitted
    name: str = ""
    notes: tuple[str, ...] = field(default=())

    def split(self, seed: int) -> tuple[Rows, Rows]:
        """Return the rows that a seed learns from, and those that it tests on."""
        if self.fixed is not None:
            return np.arange(self.fixed), np.arange(self.fixed, len(self.y))
        return split_rows(self.y, self.test_size, seed, stratified=self.task == "classification")

    @cached_property
    def tests_what_it_learns(self) -> bool:
        """Whether the samples to test on are those to learn from, as all patterns of XOR are."""
        if self.fixed is None or 2 * self.fixed != len(self.y) or not isinstance(self.x, np.ndarray):
            return False
        return all(np.array_equal(part[: self.fixed], part[self.fixed :]) for part in (self.x, self.y))

    def validation(self, train: Rows, seed: int) -> tuple[Rows, Rows]:
        """Return of the rows to learn from those that learn, and those by which settings are chosen."""
        if self.tests_what_it_learns or len(train) < FEW:
            return train, train
        inner = split_rows(self.y[train], self.test_size, seed, stratified=self.task == "classification")
        return train[inner[0]], train[inner[1]]

    def rows(self, numbers: Rows) -> Any:
        """Return these samples as the user gave them."""
        return self.x[numbers] if isinstance(self.x, np.ndarray) else self.x.iloc[numbers]

    def score(self, name: str, y: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> float:
        """Return the accuracy of the classes that a method has predicted, or R² of its numbers; refuse other values."""
        accepted = f"a {'class of y' if self.task == 'classification' else 'number'} for each sample"
        if predicted.shape == (len(y), 1):
            predicted = predicted[:, 0]
        if predicted.shape != y.shape:  # NumPy would compare a single one with all targets
            given = f"predictions of shape {predicted.shape} for {len(y):,} samples"
            raise InputError(f"methods[{name!r}]", given, accepted)
        if self.task == "classification":
            known = set(self.y.tolist())
            if strange := [value for value in predicted.tolist() if value not in known]:
                raise InputError(f"methods[{name!r}]", f"predictions such as {shown(strange[0])}", accepted)
            return float(np.mean(predicted == y))
        if predicted.dtype.kind not in "fiub":
            raise InputError(f"methods[{name!r}]", f"predictions such as {shown(predicted.tolist()[0])}", accepted)
        return float(r2_score(y, predicted)) if np.isfinite(predicted).all() else math.nan

    @property
    def measure(self) -> str:
        """The name of the score."""
        return "accuracy" if self.task == "classification" else "R²"


def problem_of(x: Any, y: Any, test: Any, task: str | None, test_size: float, name: str = "") -> Problem:
    """Return the problem of arrays or of a table, or refuse them; `test` is what to test on, (x, y), or None."""
    if test is None:
        if _is_table(x):
            return _table(x, y, task, test_size, name)
        return _checked(_arrays(x, y, task, test_size, name))
    if not isinstance(test, tuple | list) or len(test) != 2:
        raise InputError("test", shown(test), "None, or a pair (x, y) of samples to test on")
    if _is_table(x) or _is_table(test[0]):
        raise InputError("test", "a table", "None for a table", "Let each seed have rows of its own to test on.")
    first = _arrays(x, y, task, test_size, name)
    x_test, y_test = test
    last = _arrays(x_test, y_test, first.task, test_size, name, "test ")
    if first.x.shape[1] != last.x.shape[1]:
        raise InputError("test", f"{last.x.shape[1]} features", f"the {first.x.shape[1]} features of x")
    if (first.y.dtype.kind in "OSU") != (last.y.dtype.kind in "OSU"):  # NumPy would write numbers as texts
        raise InputError("test", "labels of another kind than y", "labels of the same kind")
    if first.task == "regression" and len(last.y) < 2:
        raise InputError("test", "1 sample", "at least 2 samples, as R² needs")
    notes = _unknown_classes(first.y, last.y) if first.task == "classification" else ()
    both = np.concatenate([first.x, last.x]), np.concatenate([first.y, last.y])
    return _checked(Problem(*both, first.task, test_size, len(first.y), name=name, notes=notes))


def _unknown_classes(y: npt.NDArray[Any], y_test: npt.NDArray[Any]) -> tuple[str, ...]:
    """Return a sentence on test samples that no method can get right, as where labels count from 1; or none."""
    unknown = y_test[~np.isin(y_test, y)]
    if not unknown.size:
        return ()
    given = shown(np.unique(unknown).tolist())
    return (f"{unknown.size:,} of {len(y_test):,} test samples are of classes that no sample to learn has: {given}.",)


def problem_of_table(table: Table, test_size: float) -> Problem:
    """Return the problem of a table whose target has been picked."""
    y = table.y if table.task == "classification" else table.y.astype(np.float64)
    columns, notes = table.pipeline()[0], tuple(table.notes)
    return _checked(Problem(table.x, y, table.task, test_size, columns=columns, name=table.name, notes=notes))


def problem_of_data(data: Dataset, test_size: float | None) -> Problem:
    """Return the problem of a data set: with its own samples to test on, or of digits with others for each seed."""
    labels = np.array(data.classes)
    x, y = np.concatenate([data.x_train, data.x_test]), labels[np.concatenate([data.y_train, data.y_test])]
    if data.name == "digits":  # which images are tested makes most of the spread
        return problem_of(x, y, None, "classification", TEST_SIZE if test_size is None else test_size, data.name)
    if test_size is not None:
        accepted = f"none for {data.name}, which has samples of its own to test on"
        raise InputError("test_size", f"{test_size:g}", accepted, "Leave it out.")
    return Problem(x, y, "classification", TEST_SIZE, len(data.y_train), name=data.name)


def _is_table(x: Any) -> bool:
    return hasattr(x, "columns") and hasattr(x, "iloc")


def _table(x: Any, y: Any, task: str | None, test_size: float, name: str) -> Problem:
    """Return the problem of a table of pandas and its targets."""
    target = "y"
    while target in x.columns:
        target += "_"
    try:
        whole = x.reset_index(drop=True).assign(**{target: np.asarray(y)})
    except ValueError:
        raise InputError("y", f"{len(y):,} targets", f"{len(x):,} of them, as many as x has rows") from None
    return problem_of_table(Table(whole, target, task, name or "x"), test_size)


def _arrays(x: Any, y: Any, task: str | None, test_size: float, name: str, of: str = "") -> Problem:
    """Return the problem of two arrays."""
    samples = to_numpy(checked(f"{of}x", x, (None, None), _dtype(x)).array)
    if not samples.size:
        raise InputError(f"{of}x", f"shape {samples.shape}", "at least one sample of at least one feature")
    given = readable(f"{of}y", y)
    labels = np.asarray(to_numpy(given) if hasattr(given, "__array_namespace__") else given)
    check_one_kind(f"{of}y", given, labels)
    if labels.shape != (len(samples),):
        raise InputError(f"{of}y", f"shape {labels.shape}", f"({len(samples)},), a class or a number for each sample")
    usual = _usual_task(labels)
    task = usual if task is None else one_of("task", task, TASKS)
    if task == "regression":
        targets = to_numpy(checked(f"{of}y", y, (len(samples),), "float64").array)
        if not of and not np.ptp(targets):
            raise InputError("y", "a single value", "targets that vary")
        return Problem(samples, targets, task, test_size, name=name)
    classes = distinct(f"{of}y", labels)
    if not of and len(classes) < 2:
        raise InputError("y", f"only one class, {shown(classes[0].tolist())}", "at least two classes")
    if labels.dtype.kind == "f" and (labels % 1).any():
        raise InputError("task", "'classification' with fractions in y", "'regression', or whole numbers")
    return Problem(samples, labels, task, test_size, name=name)


def _checked(problem: Problem) -> Problem:
    """Return the problem, or refuse its share of the samples to test on, as one that leaves nothing on one side."""
    share, y = real("test_size", problem.test_size, positive=True), problem.y
    if share >= 1:
        raise InputError("test_size", f"{share:g}", "a number between 0 and 1")
    if problem.fixed is None:
        _, test = problem.split(0)
        least = 1 if problem.task == "classification" else 2
        if min(len(test), len(y) - len(test)) < least:
            given = f"{share:g} of {len(y):,} samples, which are {len(test):,} to test on"
            accepted = f"a share that leaves at least {least} on each side"
            raise InputError("test_size", given, accepted, "Give more samples.")
    return replace(problem, test_size=share)


def _dtype(x: Any) -> str:
    """Return the precision in which an estimator would learn x."""
    try:
        return str(cast(np.asarray(x), None).dtype)
    except Exception:  # the check says what is wrong with it
        return "float64"


def _usual_task(y: npt.NDArray[Any]) -> str:
    """Return what targets are for, as of a column of a table."""
    if y.dtype.kind not in "fiu":
        return "classification"
    whole = y.dtype.kind in "iu" or not (y % 1).any()
    different = len(np.unique(y))
    return TASKS[not whole or different > MOST_CLASSES or (different > 2 and different > len(y) / 2)]
