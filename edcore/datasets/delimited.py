"""The text of a CSV file as a table: its encoding, separator, names of columns, gaps, and marks of decimals."""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any, Literal

import numpy as np

from edcore.errors import DataFileError, shown

SEPARATORS = "\t;|,"
"""In the order in which they are tried: decimal commas and texts may put as many commas in each line."""

SNIFFED, ROWS = 2**16, 100
"""Characters and rows in which the separator is looked for."""

GAPS = frozenset(
    case(mark) for mark in ("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none") for case in (str.lower, str.upper)
) | {"NaN", "Null", "None", "?"}
"""The cells with which other programs mark a gap."""

MARKS = {
    b"\x1f\x8b": "packed with gzip",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ": "packed with xz",
    b"PK\x03\x04": "a zip file or a spreadsheet",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"PAR1": "a Parquet file",
    b"\x93NUMPY": "an array of NumPy",
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF",
}
"""What files of other formats begin with."""

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
DECIMAL_COMMA = re.compile(r"[-+]?(\d+|[1-9]\d{0,2}(\.\d{3})+)?,\d+([eE][-+]?\d+)?", re.ASCII)
WHOLE_BESIDE_COMMAS = re.compile(r"[-+]?(\d+|[1-9]\d{0,2}(\.\d{3})+)", re.ASCII)
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", re.ASCII)
POINT_OR_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(\.\d{3})+", re.ASCII)
MARKED_SEPARATOR = re.compile(r"""\A"?sep=."?(?=[\r\n])""", re.I)
"""The first line with which a file tells Excel its separator."""

MANY_NUMBERS, FEW_TEXTS = 20, 0.1
"""A column of more different numbers than this, and a smaller share of texts than this, is one of numbers."""


def decoded(name: str, content: bytes) -> tuple[str, list[str]]:
    """Return the text of a file, and a line about its encoding unless it is UTF-8."""
    for mark, what in MARKS.items():
        if content.startswith(mark):
            raise DataFileError(f"{name}: no text but {what}. Give it the ending of what it is, or save it as CSV.")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        tried: tuple[str, ...] = ("utf-16",)
    else:
        tried = ("utf-8-sig", "cp932", "cp1252")
    for encoding in tried:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        if encoding == "cp932" and not _is_japanese(text):
            continue
        text = MARKED_SEPARATOR.sub("", text)  # the line stays, so that those below it keep their numbers
        words = {"cp932": "Shift_JIS (cp932)", "cp1252": "Western European (cp1252)"}
        return text, [f"{name}: read as {words[encoding]}, as it is not UTF-8"] if encoding in words else []
    fix = "Save it as CSV in UTF-8; a spreadsheet can do that."
    raise DataFileError(f"{name}: not a text but a binary file, or in an unknown encoding. {fix}")


def _is_japanese(text: str) -> bool:
    """Return whether what cp932 makes of a text is Japanese: bytes of other texts make Kanji, too."""
    # Kana (82, 83) and common Kanji begin with a byte of 81 to 9F, letters with accents do not; nor is each second byte
    # in ASCII, as it is where a quotation mark and a letter make a Kanji.
    codes = {sign.encode("cp932"): count for sign, count in Counter(text).items() if sign > "\x7f"}
    common = {code: count for code, count in codes.items() if len(code) == 2 and code[0] < 0xA0}
    beyond_ascii = sum(count for code, count in common.items() if code[1] > 0x7F or code[0] in (0x82, 0x83))
    return 2 * sum(common.values()) > sum(codes.values()) and 5 * beyond_ascii > sum(common.values())


def separator_of(text: str) -> str:
    """Return the separator between the cells of a text."""
    whole, text = len(text), text[:SNIFFED]
    if cut := whole > SNIFFED:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    widths: dict[str, list[int]] = {}
    for separator in SEPARATORS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        try:
            widths[separator] = [len(row) for row in islice(reader, ROWS) if row]
        except csv.Error:
            widths[separator] = [1]
        if cut and len(widths[separator]) > 1:  # the last may end within quotes
            widths[separator].pop()
    for separator, found in widths.items():
        if min(found, default=1) == max(found, default=1) > 1:
            return separator
    return max(reversed(SEPARATORS), key=lambda one: widths[one][0] if widths[one] else 0)


class DelimitedText:
    """A text with a line for each row. `name` is that of its file, for errors."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text.rstrip("\r\n")
        if not self.text.strip():
            raise DataFileError(f"{name}: an empty file. Write the names of the columns, and a line for each row.")
        self.separator = separator_of(self.text)
        self.notes: list[str] = []
        (_, first), *_ = islice(self.rows(), 1)
        self.header = self._has_header(first)
        self.names = [cell.strip() for cell in first] if self.header else [str(n + 1) for n in range(len(first))]
        self._check_names()
        self.samples = self._count_checked()

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row with the number of its line, the names of the columns among them."""
        lines = csv.reader(
            io.StringIO(self.text, newline=""), delimiter=self.separator, skipinitialspace=True, strict=True
        )
        start, width = 1, 0
        while True:
            try:
                row = next(lines, None)
            except csv.Error as error:
                reason = f"{self.name}, line {start:,}: its quotes do not match ({error})"
                fix = 'Write a quote within quotes twice: "so ""called""".'
                if "field limit" in str(error):
                    reason = f"{self.name}, line {start:,}: a cell of more than {csv.field_size_limit():,} characters"
                    fix = "Close its quotes, if they are open; or remove the column."
                raise DataFileError(f"{reason}. {fix}") from error
            if row is None:
                return
            if row not in ([], [""]):
                width = width or len(row)
                yield start, row
            elif width == 1:  # of a single column, a gap
                yield start, [""]
            start = lines.line_num + 1

    def line_of(self, sample: int) -> int:
        """Return the line of a sample, which is counted from 0."""
        return next(islice(self.rows(), sample + self.header, None))[0]

    def refuse(self, sample: int, column: str, given: str, fix: str) -> DataFileError:
        """Return the error for a cell."""
        return DataFileError(f"{self.name}, line {self.line_of(sample):,}, column {column!r}: {given}. {fix}")

    def _has_header(self, first: Sequence[str]) -> bool:
        cells = [cell.strip() for cell in first]
        if cells[0] == "" and len(cells) > 1 and cells[1:] == [str(n) for n in range(len(cells) - 1)]:
            return True  # pandas writes so a table whose columns have no names
        numbers = [cell for cell in cells if NUMBER.fullmatch(cell) or DECIMAL_COMMA.fullmatch(cell)]
        if all(cell in numbers or cell in GAPS for cell in cells):
            names = f"its columns are named {'1' if len(cells) == 1 else f'1 to {len(cells):,}'}"
            self.notes.append(f"{self.name}: the first line has no names but numbers, so {names}")
            if len(cells) > 2 and cells == [str(n) for n in range(len(cells))]:
                self.notes[-1] += "; it counts from 0: if it names the columns, remove it"
            return False
        if any(not cell.isdecimal() for cell in numbers):
            fix = "Write a line with the names of the columns above it."
            raise DataFileError(f"{self.name}: its first line, {shown(self.separator.join(cells))}, is a sample. {fix}")
        return True

    def _check_names(self) -> None:
        for name, count in Counter(self.names).items():
            if count > 1:
                named = f"are named {name!r}" if name else "have no name"
                fix = "Give each a name of its own."
                if any(map(NUMBER.fullmatch, self.names)):
                    fix = "If the first line is a sample, write a line with the names of the columns above it."
                raise DataFileError(f"{self.name}: {count} columns {named}. {fix}")

    def _count_checked(self) -> int:
        """Return the number of samples; refuse a row with more or fewer cells than the first."""
        width, count = len(self.names), 0
        for line, row in self.rows():
            if len(row) != width:
                fix = "Put a text that has a separator in it between quotes"
                if line > 1 and count == self.header and len(row) == width + 1:
                    fix = "If the first column has no name, give it one"
                if self.names[0].startswith("#"):
                    fix = "If the first line is a comment, remove it"
                separator = {"\t": "a tab"}.get(self.separator, repr(self.separator))
                cells = f"{len(row):,} cell{'s' * (len(row) != 1)}, with {separator} between them"
                raise DataFileError(f"{self.name}, line {line:,}: {cells}; accepted: {width:,}, as above. {fix}.")
            count += 1
        if count == self.header:
            raise DataFileError(f"{self.name}: the names of columns and no rows. Write a line for each row below.")
        return count - self.header

    def frame(self, texts: Collection[str]) -> Any:
        """Return the table as a pandas DataFrame; the columns `texts` keep their cells as they are written."""
        numbers = {name: column for name, column in self._read(None).items() if column.dtype.kind in "iuf"}
        others = self._read([name for name in self.names if name not in numbers or name in texts])
        kinds = {
            name: kind_of(column.dropna().unique().tolist()) for name, column in others.items() if name not in texts
        }
        commas = [name for name, kind in kinds.items() if kind == "comma"]
        if commas:
            self._check_points([name for name, column in numbers.items() if column.dtype.kind == "f"], commas[0])
        for name, kind in kinds.items():
            column = others[name]
            if kind == "either" and not commas:
                if "thousands" not in kinds.values():
                    first = next(n for n, cell in enumerate(column) if isinstance(cell, str) and "," in cell)
                    reads = f"{column[first]} may have a decimal comma, or one between thousands"
                    raise self.refuse(first, name, reads, "Write it with a decimal point, or with no comma.")
                kind = "thousands"
            if kind:
                column = column.map(lambda cell, comma=kind != "thousands": number(cell, comma), na_action="ignore")
                numbers[name] = column.astype(np.float64)
            else:
                self._check_slips(name, column)
        for name, column in numbers.items():
            if name not in texts and column.dtype.kind == "f" and np.isinf(column).any():
                given = "an infinite number, or one too large"
                raise self.refuse(int(np.argmax(np.isinf(column))), name, given, "Correct the cell, or empty it.")
        pandas = _pandas()
        return pandas.DataFrame(
            {name: others[name] if name in texts else numbers.get(name, others.get(name)) for name in self.names}
        )

    def _read(self, columns: list[str] | None) -> dict[str, Any]:
        """Return columns: those that are named, as texts; or all, with the kinds that pandas finds."""
        if columns == []:
            return {}
        options = {} if columns is None else {"usecols": columns, "dtype": str}
        found = _pandas().read_csv(
            io.StringIO(self.text.lstrip("\r\n")),
            sep=self.separator,
            header=0 if self.header else None,
            names=self.names,
            index_col=False,
            skipinitialspace=True,
            skip_blank_lines=len(self.names) > 1,
            na_values=sorted(GAPS),
            keep_default_na=False,
            low_memory=False,
            **options,
        )
        if len(found) != self.samples:
            raise DataFileError(
                f"{self.name}: {self.samples:,} rows, of which pandas reads {len(found):,}. Check its quotes."
            )
        return {str(name): found[name] for name in found.columns}

    def _check_points(self, columns: list[str], commas: str) -> None:
        """Refuse numbers such as 1.234 in a file with decimal commas: they may be thousands."""
        for name, column in self._read(columns).items():
            points = [(n, cell) for n, cell in enumerate(column) if isinstance(cell, str) and "." in cell]
            if points and all(POINT_OR_THOUSANDS.fullmatch(cell) for _, cell in points):
                given = f"{points[0][1]} may be a number of thousands, as {commas!r} has decimal commas"
                raise self.refuse(points[0][0], name, given, "Write it with no point, or all numbers with points.")

    def _check_slips(self, name: str, column: Any) -> None:
        """Refuse numbers in other digits than 0 to 9, a few texts in a column of numbers, and numbers too large."""
        counts = column.value_counts()
        wide = next((cell for cell in counts.index if not cell.isascii()), None)
        if wide and all(NUMBER.fullmatch(_in_ascii(cell)) for cell in counts.index):
            fix = f"Write it as {_in_ascii(wide)}, and so all of the column."
            raise self.refuse(int(np.argmax(column == wide)), name, f"{shown(wide)} has other digits than 0 to 9", fix)
        wrong = [cell for cell in counts.index if not NUMBER.fullmatch(cell)]
        numbers = len(counts) - len(wrong)
        if numbers and not wrong:
            cell = max(counts.index, key=len)
            fix = "Rescale the column, or remove it if it only names the rows."
            raise self.refuse(int(np.argmax(column == cell)), name, f"the number {shown(cell)} is too large", fix)
        if numbers > MANY_NUMBERS and sum(counts[cell] for cell in wrong) < FEW_TEXTS * counts.sum():
            first = int(np.argmax(column.isin(wrong)))
            given = f"{shown(column[first])} in a column of numbers"
            raise self.refuse(first, name, given, "Correct the cell, or empty it, which makes it a gap.")


def kind_of(cells: list[str]) -> Literal["comma", "thousands", "either"] | None:
    """Return how the numbers in the cells of a column are written; None if they are no numbers with commas."""
    with_comma = [cell for cell in cells if "," in cell]
    others = [cell for cell in cells if "," not in cell]
    if not with_comma:
        return None
    comma = _all(DECIMAL_COMMA, with_comma) and _all(WHOLE_BESIDE_COMMAS, others)
    thousands = _all(THOUSANDS, with_comma) and _all(NUMBER, others)
    return "either" if comma and thousands else "comma" if comma else "thousands" if thousands else None


def _in_ascii(cell: str) -> str:
    """Return a cell with digits, points and signs of other scripts and widths, as １５０, in those of ASCII."""
    return "".join(str(unicodedata.decimal(sign, sign)) for sign in unicodedata.normalize("NFKC", cell))


def _all(pattern: re.Pattern[str], cells: list[str]) -> bool:
    return all(map(pattern.fullmatch, cells))


def number(cell: str, comma: bool) -> float:
    """Return the number in a cell with a decimal comma, or with commas between thousands."""
    return float(cell.replace(".", "").replace(",", ".") if comma else cell.replace(",", ""))


def _pandas() -> Any:
    import pandas  # here, as it is an extra, and slow to load

    return pandas
