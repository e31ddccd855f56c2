"""Tables with a target: the pipeline that learns from one, what is left out or refused, and the rows to test on."""

import datetime
from decimal import Decimal

import numpy as np
import pandas
import pytest

from edcore import EDClassifier, EDRegressor
from edcore.errors import InputError
from edcore.estimators import table_pipeline
from edcore.estimators.table import Table

ROWS = 60


@pytest.fixture
def frame():
    """A table of which `fruit` follows from the two other columns, each with gaps."""
    random = np.random.default_rng(0)
    size, skin = random.uniform(0, 10, ROWS), random.choice(["red", "green"], ROWS)
    fruit = np.where(size > 5, "melon", np.where(skin == "red", "cherry", "pea"))
    frame = pandas.DataFrame({"size": size, "skin": skin, "fruit": fruit})
    frame.loc[[3, 4, 5], "size"] = np.nan
    frame.loc[[6, 7], "skin"] = None
    return frame


def test_a_pipeline_learns_from_numbers_texts_and_gaps(frame):
    pipeline = table_pipeline(frame, "fruit", max_iter=60, random_state=0, backend="numpy").fit(frame, frame["fruit"])
    assert pipeline.score(frame, frame["fruit"]) > 0.9
    x = pipeline["columns"].transform(frame.iloc[[3, 6, 8]])
    median = frame["size"].median()
    assert x[:, 0].tolist() == [median, *frame["size"][[6, 8]]]
    assert x[:, 1:].tolist() == [
        [skin == name for name in ("green", "red", None)] for skin in (frame["skin"][3], None, frame["skin"][8])
    ]
    unknown = pandas.DataFrame({"skin": ["blue"], "size": [1.0], "other": [0]})
    assert pipeline["columns"].transform(unknown).tolist() == [[1, 0, 0, 0]]


def test_a_table_sums_itself_up(frame):
    frame["name"] = [f"n{n}" for n in range(ROWS)]
    frame["id"] = np.arange(ROWS) + 7
    frame["empty"], frame["same"], frame["word"] = np.nan, 3, "a"
    frame.loc[:1, "fruit"] = None
    table = Table(frame, "fruit")
    assert (table.numbers, table.texts, table.task) == (["size"], ["skin"], "classification")
    assert table.summary(4) == "60 rows, 1 number, 1 text → 4 features; 5 gaps filled"
    assert table.notes == [
        "left out: 2 rows with no 'fruit'",
        "left out: column of texts most of which are different, 'name'",
        "left out: column of numbers that count the rows, 'id'",
        "left out: column with no value, 'empty'",
        "left out: columns with a single value, 'same', 'word'",
    ]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([1, 2, 4], "number"),
        ([1.5, None, 2.5], "number"),
        (pandas.array([1, None, 3], "Int64"), "number"),
        (pandas.Series([1, Decimal("2.5"), None], dtype=object), "number"),
        (["a", "a", None], "text"),
        ([True, False, True], "text"),
        (pandas.Series([True, False, None], dtype=object), "text"),
        (pandas.Categorical([1, 2, 1]), "text"),
        (["1-2", "3-4", "1-2"], "text"),
        (["2024-01-05", "b", "b"], "text"),
    ],
)
def test_kinds_of_columns(cells, kind):
    frame = pandas.DataFrame({"c": cells, "y": ["p", "q", "p"]})
    frame = pandas.concat([frame, frame], ignore_index=True)
    table = Table(frame, "y")
    assert len(table.checksum()) == 64
    assert {"number": table.numbers, "text": table.texts}[kind] == ["c"]
    assert table.pipeline(max_iter=1, backend="numpy").fit(table.x, table.y).predict(table.x[:1]).tolist() in (
        ["p"],
        ["q"],
    )


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (pandas.to_datetime(["2024-01-05"] * 2), "dates or times .*year and the month"),
        (pandas.to_timedelta([1, 2]), "dates or times"),
        ([datetime.date(2024, 1, 5)] * 2, "dates or times"),
        (["2024-01-05", None], "dates or times, such as '2024-01-05'"),
        (["5.1.2024", "12.1.24"], "dates or times, such as '5.1.2024'"),
        (["2024/01/05 12:30", "2024/01/06 13:30"], "dates or times"),
        (["2024年1月5日", "2024年1月6日"], "dates or times"),
        (["12:30", "13:45:10"], "dates or times"),
        ([[1], [2]], "list"),
        (pandas.Series([1, "a"], dtype=object), "cells of the kinds int, str; .*all texts"),
        ([1 + 2j, 1j], "complex"),
        ([1, np.inf], "an infinite number in row 2;"),
    ],
)
def test_columns_that_are_refused(cells, message):
    frame = pandas.DataFrame({"c": cells, "y": [0, 1]})
    with pytest.raises(InputError, match=f"^frame, column 'c': given .*{message}"):
        Table(frame, "y")


def test_the_rarest_of_many_texts_share_a_feature():
    texts = [f"t{n}" for n in range(120)]
    frame = pandas.DataFrame({"c": texts * 3, "y": [1.5, 2, 3] * 120})
    table = Table(frame, "y")
    assert table.notes == [
        "column 'c' has 120 different texts: the 99 most frequent have a feature each, the others share one"
    ]
    assert table.pipeline(max_iter=1, backend="numpy").fit(table.x, table.y)["columns"].transform(table.x).shape == (
        360,
        100,
    )


@pytest.mark.parametrize(
    ("y", "task", "labels"),
    [
        (["a", "b"] * 15, "classification", ["a", "b"]),
        ([True, False] * 15, "classification", [False, True]),
        ([1.0, 2, None] * 10, "classification", [1, 2]),
        (pandas.Categorical([5, 6] * 15), "classification", [5, 6]),
        ([*range(20), *range(20)], "classification", list(range(20))),
        ([*range(21), *range(21)], "regression", list(range(21))),
        ([1, 2, 3], "regression", [1, 2, 3]),
        ([1, 2.5, 3] * 10, "regression", [1, 2.5, 3]),
    ],
)
def test_the_target_decides_the_task(y, task, labels):
    frame = pandas.DataFrame({"c": np.arange(len(y)) ** 2, "y": y})
    table = Table(frame, "y")
    assert (table.task, np.unique(table.y).tolist()) == (task, labels)
    assert all(type(label) in (str, bool, int, float) for label in table.y.tolist())
    assert isinstance(table.pipeline()[-1], EDClassifier if task == "classification" else EDRegressor)


def test_the_task_may_be_given():
    frame = pandas.DataFrame({"c": [1, 2, 4] * 20, "y": list(range(30)) * 2, "z": [1, 2] * 30})
    assert Table(frame, "y", "classification").task == "classification"
    assert Table(frame, "z", "regression").task == "regression"
    assert Table(frame[:30], "y", "classification").task == "classification"


@pytest.mark.parametrize(
    ("target", "task", "message"),
    [
        ("z", None, "target: given 'z'; accepted: 'c', 'f', 's', 't', 'u', 'y'"),
        ("yy", None, "Did you mean 'y'"),
        (3, None, "target: given 3"),
        ("y", "guess", "task: given 'guess'; accepted: 'classification', 'regression'"),
        ("s", "regression", "task: given 'regression' with column 's' of texts"),
        ("f", "classification", "task: given 'classification' with column 'f' of fractions"),
        ("t", None, "target: given column 't' with 4 different texts in 4 rows"),
        ("u", None, "target: given column 'u' with only the value 'a'"),
    ],
)
def test_targets_that_are_refused(target, task, message):
    frame = pandas.DataFrame({"c": [1, 2, 4, 5], "y": [0, 1, 0, 1], "f": [0.5, 1, 1, 1], "s": list("abab")})
    frame["t"], frame["u"] = list("abcd"), "a"
    with pytest.raises(InputError, match=message):
        Table(frame, target, task)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([[1, 2]], "frame: given 'list'; accepted: a pandas DataFrame"),
        (pandas.DataFrame({"y": []}), "accepted: a pandas DataFrame with rows"),
        (pandas.DataFrame({0: [1, 2], "y": [0, 1]}), "frame: given a column named 0; accepted: a text"),
        (pandas.DataFrame([[1, 2, 0]] * 2, columns=["a", "a", "y"]), "frame: given 2 columns named 'a'"),
        (pandas.DataFrame({"a": [1, 1, 1], "y": [0, 1, 0]}), "no column to learn from; .* single value, 'a'"),
        (pandas.DataFrame({"a": [1, 1], "y": [0, None]}), "column 'y' with 1 value;"),
        (pandas.DataFrame({"a": [1, 2], "y": [0, np.inf]}), "column 'y': given an infinite number"),
    ],
)
def test_tables_that_are_refused(frame, message):
    with pytest.raises(InputError, match=message):
        Table(frame, "y")


def test_the_split_is_seeded_and_has_the_share_of_each_class(frame):
    frame["fruit"] = ["a"] * 30 + ["b"] * 20 + ["c"] * 9 + ["only one"]
    table = Table(frame, "fruit")
    train, test = table.split(0.2, seed=1)
    assert sorted([*train, *test]) == list(range(ROWS))
    counts = pandas.Series(table.y[test]).value_counts()
    assert (counts["a"], counts["b"], 1 <= counts["c"] <= 2, "only one" in counts) == (6, 4, True, False)
    assert all((one == other).all() for one, other in zip((train, test), table.split(0.2, seed=1), strict=True))
    assert test.tolist() != table.split(0.2, seed=2)[1].tolist()
    assert len(table.split(0.0, seed=1)[1]) == 0
    numbers = Table(pandas.DataFrame({"c": [1, 2, 4] * 20, "y": np.linspace(0, 1, 60)}), "y")
    assert len(numbers.split(0.25, seed=1)[1]) == 15


@pytest.mark.parametrize("column", ["size", "skin", "fruit"])
def test_the_checksum_is_that_of_what_is_learnt(frame, column):
    before = Table(frame, "fruit").checksum()
    assert Table(frame.assign(empty=np.nan), "fruit").checksum() == before
    frame.loc[9, column] = frame.loc[10:, column][frame[column] != frame.loc[9, column]].iloc[0]
    assert Table(frame, "fruit").checksum() != before
