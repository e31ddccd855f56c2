"""A table with a column to predict: what of it becomes a feature, and the pipeline that learns from it."""

from __future__ import annotations

import difflib
import numbers
import re
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from edcore.arguments import one_of
from edcore.core.randomness import permutation
from edcore.errors import InputError, UnknownNameError, listed, shown
from edcore.estimators.classifier import EDClassifier
from edcore.estimators.regressor import EDRegressor
from edcore.files.checksum import checksum
from edcore.training.options import TASKS

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 20
"""A target of whole numbers has classes if it has at most so many different ones."""

MOST_CATEGORIES = 100
"""Features of a column of texts; if it has more texts, the rarest share one."""

NAMED = 20
"""Columns that a sentence names."""

KINDS = "numbers, texts, truth values or categories"

DATE = re.compile(
    r"\d{4}([-/.])\d{1,2}\1\d{1,2}([T ].*)?|\d{1,2}([-/.])\d{1,2}\3(\d{4}|\d\d)( .*)?|\d{4}年\d{1,2}月(\d{1,2}日)?.*"
    r"|\d{1,2}:\d\d(:\d\d(\.\d+)?)?"
)
"""A date or a time of day."""


class Table:
    """A table of which one column, the target, is to be predicted from the others. `name` is its name in errors.

    Columns that say nothing are left out, and `notes` has a line for each. Rows with no target are left out, too.
    """

    def __init__(self, frame: pd.DataFrame, target: str, task: str | None = None, name: str = "frame") -> None:
        self.name, self.target, self.notes = name, target, list[str]()
        self._check(frame, target)
        self.rows = len(frame)
        present = frame[target].notna()
        if gaps := int((~present).sum()):
            self.notes.append(f"left out: {gaps:,} row{'s' * (gaps != 1)} with no {target!r}")
        frame = frame[present].reset_index(drop=True)
        if len(frame) < 2:
            given = f"column {target!r} with {len(frame)} value{'s' * (len(frame) != 1)}"
            raise InputError("target", given, "a column that most rows have a value of")
        self.y, usual = self._labels(frame[target])
        self.task = usual if task is None else one_of("task", task, TASKS)
        self._check_target(self.task == task)
        self.numbers, self.texts = self._columns(frame.drop(columns=target))
        self.x = frame[[*self.numbers, *self.texts]]
        if not self.x.columns.size:
            raise InputError(name, "no column to learn from", "a table with one beside the target", *self.notes[-1:])

    @property
    def gaps(self) -> int:
        """Cells with no value in the columns that become features."""
        return int(self.x.isna().sum().sum())

    def summary(self, features: int) -> str:
        """Return what the table is, in one line."""
        kinds = {"number": len(self.numbers), "text": len(self.texts)}
        columns = ", ".join(f"{count:,} {kind}{'s' * (count != 1)}" for kind, count in kinds.items() if count)
        filled = f"; {self.gaps:,} gap{'s' * (self.gaps != 1)} filled" if self.gaps else ""
        return f"{self.rows:,} rows, {columns} → {features:,} feature{'s' * (features != 1)}{filled}"

    def pipeline(self, **parameters: Any) -> Pipeline:
        """Return the pipeline, not fitted, with an estimator of these parameters."""
        # The estimator scales the numbers. To the encoder a gap is a category of its own, if it has learnt one.
        encoder = OneHotEncoder(
            handle_unknown="infrequent_if_exist", max_categories=MOST_CATEGORIES, sparse_output=False
        )
        imputer = SimpleImputer(strategy="median", keep_empty_features=True)
        kinds = (("numbers", imputer, self.numbers), ("texts", encoder, self.texts))
        estimator = EDClassifier if self.task == "classification" else EDRegressor
        columns = ColumnTransformer([kind for kind in kinds if kind[2]])
        return Pipeline([("columns", columns), ("network", estimator(**parameters))])

    def split(self, share: float, seed: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return the rows to learn from and those to test on: this share, of each class if there are classes."""
        return split_rows(self.y, share, seed, stratified=self.task == "classification")

    def checksum(self) -> str:
        """Return a checksum of the target and of the columns that become features."""
        columns = {**{str(name): self.x[name] for name in self.x}, self.target: self.y}
        arrays = [
            cells.to_numpy(np.float64, na_value=np.nan)
            if name in self.numbers
            else np.frombuffer(repr(cells.tolist()).encode(), np.uint8)
            for name, cells in columns.items()
        ]
        return checksum(arrays, prefix=repr(list(columns)))

    def _check(self, frame: Any, target: Any) -> None:
        names = list(getattr(frame, "columns", ()))
        if not hasattr(frame, "dtypes") or not names or not len(frame):
            raise InputError(self.name, shown(type(frame).__name__), "a pandas DataFrame with rows and columns")
        for name, count in Counter(names).items():
            if not isinstance(name, str) or count > 1:
                given = f"a column named {shown(name)}" if count == 1 else f"{count} columns named {shown(name)}"
                raise InputError(self.name, given, "a text of its own as the name of each column")
        if target not in names:
            close = difflib.get_close_matches(target if isinstance(target, str) else "", names)
            more = [] if len(names) <= NAMED else ["…"]
            raise UnknownNameError("target", target, names if not more else [*(close or names[:NAMED]), *more])

    def _refused(self, column: str, given: str, fix: str, accepted: str = KINDS) -> InputError:
        return InputError(f"{self.name}, column {column!r}", given, accepted, fix)

    def _kind(self, column: pd.Series) -> str:
        """Return whether a column has numbers or texts, or refuse it; truth values and categories are texts."""
        from pandas.api import types

        name, kind = str(column.name), column.dtype
        fix = "Make numbers of it, such as the year and the month, or remove the column."
        if types.is_datetime64_any_dtype(kind) or kind.name.startswith(("period", "timedelta")):
            raise self._refused(name, f"dates or times ({kind})", fix)
        if types.is_bool_dtype(kind) or kind.name == "category":
            return "text"
        if types.is_numeric_dtype(kind) and not types.is_complex_dtype(kind):
            return "number"
        cells = column.dropna().tolist()
        types_of = set(map(type, cells))
        if types_of <= {str} or types_of == {bool}:
            if cells and all(DATE.fullmatch(str(cell).strip()) for cell in set(cells)):
                raise self._refused(name, f"dates or times, such as {shown(cells[0])}", fix)
            return "text"
        if bool not in types_of and all(issubclass(one, numbers.Real | Decimal) for one in types_of):
            return "number"
        kinds = ", ".join(sorted(one.__name__ for one in types_of))
        if "date" in kinds or "time" in kinds:
            raise self._refused(name, f"dates or times ({kinds})", fix)
        raise self._refused(name, f"cells of the kinds {kinds}", "Make all of its cells numbers, or all texts.")

    def _columns(self, frame: pd.DataFrame) -> tuple[list[str], list[str]]:
        """Return the names of the columns of numbers and of texts that become features."""
        found: dict[str, list[str]] = {"number": [], "text": []}
        left_out: dict[str, list[str]] = {}
        many: dict[str, int] = {}
        for name in frame.columns:
            column, kind = frame[name], self._kind(frame[name])
            filled = column.dropna()
            if kind == "number" and np.isinf(values := filled.to_numpy(np.float64)).any():
                row = int(filled.index[int(np.argmax(np.isinf(values)))])
                raise self._refused(name, f"an infinite number in row {row + 1:,}", "Correct it, or make it a gap.")
            different = filled.nunique()
            if not len(filled):
                left_out.setdefault("with no value", []).append(name)
            elif different == 1 and (kind == "number" or len(filled) == len(column)):
                left_out.setdefault("with a single value", []).append(name)
            elif kind == "text" and _mostly_differ(different, len(column)):
                left_out.setdefault("of texts most of which are different", []).append(name)
            elif kind == "number" and len(filled) == len(column) > 2 and (np.diff(values) == 1).all():
                left_out.setdefault("of numbers that count the rows", []).append(name)
            else:
                found[kind].append(name)
                if kind == "text" and different > MOST_CATEGORIES:
                    many[name] = different
        if many:
            have = f"column {next(iter(many))!r} has {max(many.values()):,} different texts"
            if len(many) > 1:
                have = f"columns {listed(list(many), NAMED)} have more than {MOST_CATEGORIES} different texts each"
            most = f"the {MOST_CATEGORIES - 1} most frequent have a feature each, the others share one"
            self.notes.append(f"{have}: {most}")
        for why, names in left_out.items():
            self.notes.append(f"left out: column{'s' * (len(names) > 1)} {why}, {listed(names, NAMED)}")
        return found["number"], found["text"]

    def _labels(self, column: pd.Series) -> tuple[npt.NDArray[Any], str]:
        """Return the target as an array, and the usual task for it."""
        if self._kind(column) == "text":
            return np.array(column.tolist(), object if isinstance(column.iloc[0], str) else None), "classification"
        y = column.to_numpy(np.float64)
        if not np.isfinite(y).all():
            raise self._refused(self.target, "an infinite number", "Correct it, or make it a gap.")
        if (y == np.round(y)).all() and (abs(y) < 2**53).all():
            y = y.astype(np.int64)
            different = len(np.unique(y))
            return y, TASKS[different > MOST_CLASSES or _mostly_differ(different, len(y))]
        return y, "regression"

    def _check_target(self, asked: bool) -> None:
        """Refuse a target that does not suit the task, which was `asked` for or is the usual one."""
        different, given = len(np.unique(self.y)), f"column {self.target!r}"
        if different == 1:
            only = f"{given} with only the value {shown(self.y.tolist()[0])}"
            raise InputError("target", only, "a column that varies")
        if self.task == "regression":
            if self.y.dtype.kind not in "if":
                fix = "Leave it out, or give a target of numbers."
                raise InputError("task", f"'regression' with {given} of texts", "'classification'", fix)
        elif self.y.dtype.kind == "f":
            raise InputError("task", f"'classification' with {given} of fractions", "'regression', or whole numbers")
        elif _mostly_differ(different, len(self.y)) and not asked:
            given = f"{given} with {different:,} different texts in {len(self.y):,} rows"
            raise InputError("target", given, "a column whose texts come again and again")


def split_rows(
    y: npt.NDArray[Any], share: float, seed: int, *, stratified: bool
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the rows to learn from and those to test on, in order: this share, or this share of each class."""
    order = permutation(seed, 0, len(y))
    single = np.zeros(len(order), bool)
    if stratified:
        _, index, counts = np.unique(y, return_inverse=True, return_counts=True)
        order = order[np.argsort(index[order], kind="stable")]
        single = counts[index[order]] == 1  # to test on a class, one must learn it
    place = np.cumsum(~single)
    test = ~single & (np.floor(place * share + 1e-9) > np.floor((place - 1) * share + 1e-9))
    return np.sort(order[~test]), np.sort(order[test])


def _mostly_differ(different: int, rows: int) -> bool:
    """Return whether most values say nothing of others: those of two rows or three may be two classes."""
    return different > 2 and different > rows / 2


def table_pipeline(frame: pd.DataFrame, target: str, *, task: str | None = None, **parameters: Any) -> Pipeline:
    """Return a pipeline that learns to predict a column of a table from the others; it is not fitted.

    Numbers are features as they are, and a gap among them becomes the median. Each text, truth value or category is a
    feature of its own (one-hot), and so is a gap among them. Columns that say nothing are left out: those with no value
    or with a single one, texts most of which are different, and numbers that count the rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table, with the target in it.
    target : str
        The name of the column to predict.
    task : {"classification", "regression"}, optional
        Left out: classification if the target has texts, truth values, categories, or at most 20 different whole
        numbers, else regression.
    **parameters
        Parameters of `EDClassifier` or `EDRegressor`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Its step ``columns`` is a ColumnTransformer, its step ``network`` the estimator. It can be fitted on the whole
        table, as it takes no notice of columns that are not its features.

    Raises
    ------
    InputError
        If an argument is not accepted. A column of dates is refused, and so are infinite numbers.

    Examples
    --------
    >>> import pandas
    >>> from edcore.estimators import table_pipeline
    >>> table = pandas.DataFrame({"size": [1, 2, 1, 9, 8, None]})
    >>> table["skin"] = ["green", None, "green", "red", "red", "green"]
    >>> table["fruit"] = ["pea", "pea", "pea", "apple", "apple", "apple"]
    >>> pipeline = table_pipeline(table, "fruit", random_state=0).fit(table, table["fruit"])
    >>> pipeline.predict(pandas.DataFrame({"size": [9, 1], "skin": ["red", "green"]})).tolist()
    ['apple', 'pea']
    """
    return Table(frame, target, task).pipeline(**parameters)
