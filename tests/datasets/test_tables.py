"""Tables of users: what is read from files, and what is refused, by name, line and column."""

import gzip
import io
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from edcore.datasets.tables import read_table
from edcore.errors import DataFileError, EDCoreError

GAP = None


@pytest.fixture
def read(tmp_path):
    """Write content into a file, and return the cells of the table in it, gaps as None, and the notes."""

    def read(content, name="t.csv", encoding="utf-8", **options):
        (tmp_path / name).write_bytes(content.encode(encoding) if isinstance(content, str) else content)
        frame = read_table(tmp_path / name, **options)
        cells = {column: [GAP if cell != cell else cell for cell in frame[column].tolist()] for column in frame}
        return cells, [note.replace(f"{tmp_path / name}: ", "") for note in frame.attrs["notes"]]

    return read


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("a,b,c\n1,x,1.5\n,y,2\n3,,NA\n", {"a": [1, GAP, 3], "b": ["x", "y", GAP], "c": [1.5, 2, GAP]}),
        ("a,b\n1,234\n2,3\n", {"a": [1, 2], "b": [234, 3]}),
        ("a;b\n1,5;x\n2;y,z\n", {"a": [1.5, 2], "b": ["x", "y,z"]}),
        ("a\tb\n1,5\tx\n2\t\n", {"a": [1.5, 2], "b": ["x", GAP]}),
        ("a|b\n1|x\n", {"a": [1], "b": ["x"]}),
        ('a,b\n"1,5",2\n"2,25",3\n', {"a": [1.5, 2.25], "b": [2, 3]}),
        ('a,b\n"1,234.5",2\n"2,250",3\n', {"a": [1234.5, 2250], "b": [2, 3]}),
        ("a;b\n1,500;1,5\n2;?\n", {"a": [1.5, 2], "b": [1.5, GAP]}),
        ("a;b\n1.234,5;x\n", {"a": [1234.5], "b": ["x"]}),
        ("a;b\n1,234;1,234,567\n", {"a": [1234], "b": [1234567]}),
        ("a, b\n1, x\n\n2, y\n\n", {"a": [1, 2], "b": ["x", "y"]}),
        ("a,b\r1,2\r3,4\r", {"a": [1, 3], "b": [2, 4]}),
        ('\n\na,"b\nc"\n1,"x\ny"\n', {"a": [1], "b\nc": ["x\ny"]}),
        ("a\n\n1\n\n2\n\n", {"a": [GAP, 1, GAP, 2]}),
        ("a,b\nTrue,1\nFALSE,2\n", {"a": ["True", "FALSE"], "b": [1, 2]}),
        ("year,2019,2020\n1,2,3\n", {"year": [1], "2019": [2], "2020": [3]}),
        ("t\n2024-01-05\n12.05.2024\n", {"t": ["2024-01-05", "12.05.2024"]}),
    ],
)
def test_separators_decimals_and_gaps(read, text, cells):
    assert read(text) == (cells, [])


def test_only_the_cells_of_named_columns_stay_as_they_are_written(read):
    assert read("a,b\n01,01\n2,NA\n", texts=["b"])[0] == {"a": [1, 2], "b": ["01", GAP]}


def test_a_separator_is_found_in_a_large_file_with_quotes_over_lines(read):
    text = 'a;b\n"x,\n;y";1,5\n' * 9000
    cells, _ = read("c;d\n" + text)
    assert len(cells["c"]) == 18000


@pytest.mark.parametrize(
    ("text", "cells", "note"),
    [
        ("1,2\n3,4\n", {"1": [1, 3], "2": [2, 4]}, "the first line has no names but numbers, so .* named 1 to 2"),
        ("0,1,2\n3,4,5\n", {"1": [0, 3], "2": [1, 4], "3": [2, 5]}, ".* counts from 0: if it names the columns, .*"),
        (",0,1\n0,4,5\n1,5,6\n", {"0": [4, 5], "1": [5, 6]}, "its first column, which has no name, is left out: .*"),
        ("Unnamed: 0,b\n7,4\n3,5\n", {"b": [4, 5]}, "its first column, 'Unnamed: 0', is left out: .*"),
        ("a,b,\n1,2,\n3,4,\n", {"a": [1, 3], "b": [2, 4]}, "a column with no name and no cells is left out"),
    ],
)
def test_what_is_not_as_it_stands_there_is_said(read, text, cells, note):
    found, (said,) = read(text)
    assert found == cells
    assert re.fullmatch(note, said)


@pytest.mark.parametrize(
    ("text", "encoding", "note"),
    [
        ("名前,年\n田中,3\n", "utf-8", None),
        ("名前,年\n田中,3\n", "utf-8-sig", None),
        ("名前,年\n田中,3\n", "utf-16", None),
        ("名前,年\n田中,3\n", "cp932", "Shift_JIS"),
        ("表,ソ\n表示ソート,3\n", "cp932", "Shift_JIS"),
        ("prénom,âge\nRené Müller,3\n", "cp1252", "Western European"),
        ("größe,straße\nÄÖÜ,3\n", "cp1252", "Western European"),
        ("it’s,he’d\ndon’t,3\n", "cp1252", "Western European"),
    ],
)
def test_encodings(read, text, encoding, note):
    cells, notes = read(text, encoding=encoding)
    assert [[name, *found] for name, found in cells.items()] == [
        [head, int(cell) if cell.isdecimal() else cell]
        for head, cell in zip(*(line.split(",") for line in text.splitlines()), strict=True)
    ]
    assert [note in said for said in notes] == [True] * bool(note)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv: an empty file"),
        ("\n \n", "t.csv: an empty file"),
        ("a,b\n", "t.csv: the names of columns and no rows"),
        (b"\x00\x01\x02", "t.csv: not a text but a binary file"),
        (b"a,b\n\x81\x81,\x81\n", "t.csv: not a text but a binary file"),
        ("a,b\n1,2\n\n3\n", "t.csv, line 4: 1 cell, .*; accepted: 2,"),
        ("a,b\n1,2\n3,4,5\n", "t.csv, line 3: 3 cells, with ',' between them; accepted: 2,.* between quotes"),
        ("a\tb\n1\t2\n3\t4\t5\n", "t.csv, line 3: 3 cells, with a tab between them; accepted: 2,"),
        ("a,b\n1,2,3\n3,4,5\n", "t.csv, line 2: 3 cells, .* If the first column has no name, give it one"),
        ("a\n1,5\n", "t.csv, line 2: 2 cells"),
        ("a,b,a\n1,2,3\n", "t.csv: 2 columns are named 'a'"),
        ("a,,b\n1,2,3\n", "t.csv: column 2 has no name"),
        ("a,,\n1,2,3\n", "t.csv: 2 columns have no name"),
        ('a,b\n1,x\n1,"x\n2,3\n', "t.csv, line 3: its quotes do not match"),
        ("a,b\n1,2\n1,1e400\n", "t.csv, line 3, column 'b': .*too large"),
        ("a,b\n1,2\n-inf,2\n", "t.csv, line 3, column 'a': an infinite number, or one too large"),
        ("a,b\n1,2\n1,12345678901234567890123\n", "t.csv, line 3, column 'b': the number '1234.* is too large"),
        ("34,yes,12.5\n22,no,1\n", "t.csv: its first line, '34,yes,12.5', is a sample"),
        ("a;b\nx;1\ny;1,500\n", "t.csv, line 3, column 'b': 1,500 may have a decimal comma, or one between thousands"),
        (
            "a;b\n1,5;1.234\n",
            "t.csv, line 2, column 'b': 1.234 may be a number of thousands, as 'a' has decimal commas",
        ),
        (
            "a,b\n" + "".join(f"{n},x\n" for n in range(30)) + "n.a.,x\n",
            "t.csv, line 32, column 'a': 'n.a.' in a column of numbers. .*gap",
        ),
    ],
)
def test_a_wrong_text_is_refused_by_file_line_and_column(read, text, message):
    with pytest.raises(DataFileError, match=message):
        read(text)


def test_a_few_numbers_among_texts_are_texts(read):
    cells, _ = read("a\n" + "1\n2\n" * 20 + "K\n")
    assert set(cells["a"]) == {"1", "2", "K"}


@pytest.mark.parametrize("name", ["t.CSV", "t.tsv", "t.Txt", "t.csv.gz", "t.TSV.GZ"])
def test_endings_in_either_case(read, name):
    content = b"a\tb\n1\tx\n"
    assert read(gzip.compress(content) if "gz" in name.lower() else content, name) == ({"a": [1], "b": ["x"]}, [])


def test_arrays(read):
    def saved(function, *arguments, **arrays):
        file = io.BytesIO()
        function(file, *arguments, **arrays)
        return file.getvalue()

    x, y = np.array([[1.5, np.nan], [2, 3]]), np.array(["p", "q"])
    assert read(saved(np.save, x), "x.npy")[0] == {"1": [1.5, 2], "2": [GAP, 3]}
    assert read(saved(np.savez, x=x, y=y), "x.npz")[0] == {"x[0]": [1.5, 2], "x[1]": [GAP, 3], "y": ["p", "q"]}
    assert read(saved(np.savez, x=x, y=y[:, None]), "x.npz")[0]["y"] == ["p", "q"]
    for arrays, message in (
        ({"x": x, "y": y[:1]}, r"x.npz: arrays with different numbers of rows \(x 2, y 1\)"),
        ({"x": np.ones((2, 2, 2))}, r"x.npz, array 'x': float64 of shape \(2, 2, 2\)"),
        ({"x": np.array([1, np.inf])}, "x.npz, array 'x': infinite numbers"),
        ({"x": np.array([{}])}, "x.npz: it cannot be read as .npz .*Object arrays"),
        ({}, "x.npz: it cannot be read as .npz .*no arrays"),
    ):
        with pytest.raises(DataFileError, match=message):
            read(saved(np.savez, **arrays), "x.npz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"PK", r"t.xlsx: a file with the ending '.xlsx'; accepted: .*\.csv.* Save it as CSV"),
        ("t", b"a", "t: a file with no ending; accepted: .*or - for standard input"),
        ("t.csv.gz", b"a,b", "t.csv.gz: not a .gz file"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "t.csv.gz: not a .gz file, or damaged"),
        ("t.npy", b"a", "t.npy: it cannot be read as .npy"),
        ("t.npz", b"a", "t.npz: it cannot be read as .npz"),
    ],
)
def test_other_files_are_refused(read, name, content, message):
    with pytest.raises(DataFileError, match=message):
        read(content, name)


def test_folders_and_missing_files_are_refused(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for name, message in (
        ("folder.csv", "folder.csv: a folder"),
        ("none.csv", "none.csv: it cannot be read .*No such"),
    ):
        with pytest.raises(DataFileError, match=message):
            read_table(tmp_path / name)


def test_standard_input_and_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a;b\n1;x\n")))
    assert read_table("-").to_dict("list") == {"a": [1], "b": ["x"]}
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "t.csv").write_text("a\n1\n")
    assert read_table("~/t.csv").to_dict("list") == {"a": [1]}


@pytest.mark.parametrize(("package", "name"), [("pandas", "t.csv"), ("pyarrow", "t.parquet")])
def test_a_missing_package_is_said(read, monkeypatch, package, name):
    monkeypatch.setitem(sys.modules, package, None)
    extra = "table" if package == "pandas" else "parquet"
    with pytest.raises(EDCoreError, match=rf'{name}.* {package}, .* pip install "edcore\[{extra}\]"'):
        read(b"a\n1\n", name)


def test_parquet(read, tmp_path):
    pytest.importorskip("pyarrow")
    import pandas

    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", None]}, index=[5, 6])
    frame.to_parquet(tmp_path / "t.parquet")
    assert read((tmp_path / "t.parquet").read_bytes(), "t.PARQUET") == ({"a": [1, 2], "b": ["x", GAP]}, [])
    with pytest.raises(DataFileError, match="t.parquet: not a Parquet file, or damaged"):
        read(b"PAR1", "t.parquet")
