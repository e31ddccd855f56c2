"""Tables of numbers on a narrow terminal."""

import io

import pytest
from rich.console import Console

from edcore.bench.tables import NumberTable
from edcore.console import print_numbers


def printed(width, *arguments):
    file = io.StringIO()
    print_numbers(Console(file=file, width=width), *arguments)
    return file.getvalue()


COLUMNS = ["name", "small", "large", "medium"]
ROWS = [["first", "1.2e-38", "3,400,000", "1.5"], ["second", "–", "7", "2.5e-100"]]


def test_a_table_that_fits_is_one():
    lines = [line.rstrip() for line in printed(60, COLUMNS, ROWS).splitlines()]
    assert lines == [
        "name      small      large    medium",
        "first   1.2e-38  3,400,000       1.5",
        "second        –          7  2.5e-100",
    ]


@pytest.mark.parametrize(("width", "parts"), [(40, 1), (35, 2), (20, 3), (5, 3)])
def test_no_number_is_cut_and_each_part_has_the_words(width, parts):
    text = printed(width, COLUMNS, ROWS)
    assert len(text.split("\n\n")) == parts
    if width > 15:
        assert text.count("first") == text.count("second") == parts
        assert all(len(line) <= width for line in text.splitlines())
        for cell in (cell for row in ROWS for cell in row[1:]):
            assert text.count(f" {cell}") == 1


def test_the_table_of_a_benchmark_or_a_reproduction_is_such_a_table():
    file = io.StringIO()
    rows = [["numba", "a", "1.2e-38"], ["numpy", "b", "1.2e+38"]]
    NumberTable(["name", "of", "value"], rows, words=2, title="Times").show(Console(file=file, width=18))
    assert [line.rstrip() for line in file.getvalue().splitlines()] == [
        "Times",
        "name   of    value",
        "numba  a   1.2e-38",
        "numpy  b   1.2e+38",
    ]
