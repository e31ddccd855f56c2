"""A text as numbers: its characters, and the windows from which the next character is learnt."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from edcore.arguments import ReadOnly, dtype_name, real, whole_number
from edcore.contract.memory import host_room
from edcore.datasets.catalogue import Dataset
from edcore.datasets.user_files import read_content
from edcore.errors import DataFileError, InputError, OutOfMemoryError, shown

OTHER = "\N{REPLACEMENT CHARACTER}"
"""The last character of each vocabulary: it stands for all characters that are not in it."""

CHARACTERS, CONTEXT, HELD_OUT = 64, 8, 0.1
"""Characters of a vocabulary, those from which the next one is predicted, and the share of the text that only tests."""

MOST_CHARACTERS = 2**16

TOPICS = "topics"
"""The name of the text that Python has."""

BYTES = 48
"""Memory that a run needs for each character of its text: windows, targets, and the order of an epoch."""


class Text(ReadOnly):
    """A text as numbers, of which a network learns each next character from those before it.

    The codes of the most frequent characters are 0, 1, …; all others share the last code, which is shown as "�".
    The last part of the text is held out, and not windows drawn at random: neighbouring windows share all characters
    but one, so a network would be tested on what it has learnt. Characters and their codes come from the first part
    alone.

    Parameters
    ----------
    content : str
        The text. Line ends of all kinds become one.
    name : str
        Its name, for tables and errors.
    characters : int or sequence of str
        The most codes, at least 3; or the characters of another text, such as `Text.characters`, in the order of their
        codes.
    context : int
        Characters from which the next one is predicted, at least 1.
    held_out : float
        Share of the text, at its end, that only tests: above 0 and below 1.

    Attributes
    ----------
    name, context
        As above.
    characters : tuple of str
        The characters in the order of their codes; the last one is "�", which stands for all others.
    codes : ndarray of shape (characters of the text,)
        The code of each character of the text, in the smallest unsigned dtype that holds them.
    cut : int
        Characters of the first part, which is learnt.
    digest : str
        The SHA-256 of the text in UTF-8.

    Raises
    ------
    InputError
        If an argument is not accepted, or the text is too short.
    OutOfMemoryError
        If there is not enough memory to learn it.

    Examples
    --------
    >>> from edcore.datasets import Text
    >>> text = Text("to be or not to be, that is the question", characters=5, context=4)
    >>> text.characters
    (' ', 't', 'e', 'o', '�')
    >>> text.decode(text.codes[:12])
    'to �e o� �ot'
    >>> x, y = text.x("float32"), text.y
    >>> x.shape, y.shape, text.decode(x[0]), text.decode(y[:1])
    ((36, 4), (36,), 'to �', 'e')
    """

    name: str
    characters: tuple[str, ...]
    codes: npt.NDArray[Any]
    context: int
    cut: int
    digest: str

    def __init__(
        self,
        content: str,
        *,
        name: str = "text",
        characters: int | Sequence[str] = CHARACTERS,
        context: int = CONTEXT,
        held_out: float = HELD_OUT,
    ) -> None:
        for argument, value in (("content", content), ("name", name)):
            if not isinstance(value, str):
                raise InputError(argument, shown(value), "a text")
        context, held_out = whole_number("context", context, 1), real("held_out", held_out, positive=True)
        if held_out >= 1:
            raise InputError("held_out", repr(held_out), "a number above 0 and below 1", "0.1 holds a tenth out.")
        content = normalised(content)
        points = code_points("content", content)
        least = max(math.ceil(1 / held_out), math.ceil((context + 1) / (1 - held_out)))
        if len(points) < least:
            fix = "Give a longer text, or a smaller context."
            raise InputError("content", f"{name} with {len(points):,} characters", f"at least {least:,}", fix)
        cut = len(points) - int(len(points) * held_out)
        if (need := BYTES * len(points)) > 2**28 and need > (room := host_room()):
            sizes = f"need {need / 2**30:,.1f} GiB, and {room / 2**30:,.1f} are free"
            raise OutOfMemoryError(f"content: {len(points):,} characters {sizes}. Give a part of the text.")
        if isinstance(characters, int | np.integer):
            known = _most_frequent(name, points[:cut], _checked_number(characters))
        else:
            known = checked_characters(characters)
        digest = hashlib.sha256(content.encode()).hexdigest()
        self._set(name=name, characters=known, context=context, cut=cut, digest=digest)
        self._set(codes=encode(points, known))
        self.codes.flags.writeable = False

    def __repr__(self) -> str:
        """Return the name, and the numbers of characters."""
        return (
            f"Text({self.name!r}, {len(self.codes):,} characters, {len(self.characters):,} codes, "
            f"context {self.context:,}, the last {len(self.codes) - self.cut:,} held out)"
        )

    @property
    def y(self) -> npt.NDArray[Any]:
        """The code of the character that follows each window: a view of `codes`."""
        return self.codes[self.context :]

    @property
    def train_samples(self) -> int:
        """Windows whose next character is in the first part; all windows after them only test."""
        return self.cut - self.context

    def x(self, dtype: str) -> npt.NDArray[Any]:
        """Return the codes of each window.

        Parameters
        ----------
        dtype : {"float32", "float64"}
            The precision of the network that learns them.

        Returns
        -------
        ndarray of shape (samples, context)
            Whole numbers; window i has the characters before number i + context. It is a read-only view of one number
            for each character, so windows take no memory of their own.
        """
        return np.lib.stride_tricks.sliding_window_view(self.codes.astype(dtype_name(dtype)), self.context)[:-1]

    def dataset(self, dtype: str = "float32") -> Dataset:
        """Return the windows as a `Dataset`, whose classes are the characters.

        Parameters
        ----------
        dtype : {"float32", "float64"}
            The precision of the network that learns them.

        Returns
        -------
        Dataset
            The last `Text.context` characters of the first part precede the first character that is held out, so each
            of these is tested once.
        """
        x, y, train = self.x(dtype), self.y.astype(np.int64), self.train_samples
        return Dataset(self.name, x[:train], y[:train], x[train:], y[train:], self.characters)

    def decode(self, codes: npt.ArrayLike) -> str:
        """Return the text of some codes.

        Parameters
        ----------
        codes : array_like of shape (n,)
            Whole numbers from 0 to the number of `characters` - 1, of any dtype.

        Returns
        -------
        str
            The text, with "�" for each of the other characters.
        """
        return "".join(np.array(self.characters, object)[np.asarray(codes).astype(np.intp)])


def read_text(
    path: str | os.PathLike[str],
    *,
    characters: int | Sequence[str] = CHARACTERS,
    context: int = CONTEXT,
    held_out: float = HELD_OUT,
) -> Text:
    """Return the text of a file in UTF-8, with or without a mark at its begin, and with line ends of any kind.

    Parameters
    ----------
    path : path
        A file with any ending; with .gz, .bz2, .xz or .zip it is unpacked. "-" is standard input.
    characters, context, held_out
        As for `Text`.

    Returns
    -------
    Text
        The text, with the name of the file.

    Raises
    ------
    DataFileError
        If the file cannot be read, is empty, or is not in UTF-8.
    InputError, OutOfMemoryError
        As for `Text`.

    Examples
    --------
    >>> from edcore.datasets import read_text
    >>> read_text("book.txt", context=32)  # doctest: +SKIP
    Text('book.txt', 1,115,394 characters, 64 codes, context 32, the last 111,539 held out)
    """
    name, content, _ = read_content(path, ())
    if not content:
        raise DataFileError(f"{name}: an empty file. Give a text.")
    try:
        decoded = content.decode("utf-8-sig")
        if "\0" in decoded:
            raise UnicodeDecodeError("utf-8", content, content.index(0), content.index(0) + 1, "no text has it")
    except UnicodeDecodeError as error:
        given = f"byte {error.start + 1:,}, {content[error.start]:#04x}"
        fix = "Save it as UTF-8 in an editor; iconv -f SHIFT_JIS -t UTF-8 does it for Shift_JIS."
        raise DataFileError(f"{name}: not a text in UTF-8, as its {given}, shows. {fix}") from error
    try:
        return Text(decoded, name=name, characters=characters, context=context, held_out=held_out)
    except InputError as error:
        if error.argument != "content":
            raise
        raise DataFileError(str(error).removeprefix("content: ")) from error


def python_topics(
    *, characters: int | Sequence[str] = CHARACTERS, context: int = CONTEXT, held_out: float = HELD_OUT
) -> Text:
    """Return the manual's pages that Python has for ``help()``: an English text that needs no download.

    Each version of Python has its own text: `Text.digest` tells them apart. That of Python 3.11 has 465,048 characters.

    Parameters
    ----------
    characters, context, held_out
        As for `Text`.

    Returns
    -------
    Text
        The topics in the order of their names, with line ends between them.

    Raises
    ------
    InputError
        As for `Text`.

    Examples
    --------
    >>> from edcore.datasets import python_topics
    >>> text = python_topics(context=8)
    >>> len(text.characters), text.context, len(text.codes) > 400_000
    (64, 8, True)
    """
    from pydoc_data.topics import topics

    content = "\n".join(topics[name] for name in sorted(topics))
    return Text(content, name=TOPICS, characters=characters, context=context, held_out=held_out)


def normalised(content: str) -> str:
    """Return a text with line ends of one kind, and without the mark that editors put at its begin."""
    return content.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").replace("\r\n", "\n").replace("\r", "\n")


def code_points(argument: str, content: str) -> npt.NDArray[np.uint32]:
    """Return the code points of a text, or refuse half of a UTF-16 pair, which is no character."""
    try:
        return np.frombuffer(content.encode("utf-32-le"), "<u4")
    except UnicodeEncodeError as error:
        given = f"{content[error.start]!r} at character {error.start + 1:,}"
        raise InputError(argument, given, "whole characters", "Read the text as UTF-8.") from error


def encode(points: npt.NDArray[np.uint32], characters: Sequence[str]) -> npt.NDArray[Any]:
    """Return the code of each code point; the last one for those that are not among the characters."""
    known = np.array([ord(one) for one in characters[:-1]], np.uint32)
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known, points, sorter=order), len(known) - 1)
    found = order[place]
    dtype = np.min_scalar_type(len(characters) - 1)
    return np.where(known[found] == points, found, len(known)).astype(dtype)


def are_characters(classes: Sequence[Any] | None) -> TypeGuard[Sequence[str]]:
    """Return whether the classes of a network are the characters of texts."""
    return (
        classes is not None
        and 3 <= len(classes) == len(set(classes)) <= MOST_CHARACTERS
        and all(isinstance(one, str) and len(one) == 1 for one in classes)
        and classes[-1] == OTHER
    )


def checked_characters(characters: Iterable[Any]) -> tuple[str, ...]:
    """Return the characters of a vocabulary, in the order of their codes, or refuse them."""
    found = tuple(characters) if isinstance(characters, Iterable) else ()
    if not are_characters(found):
        accepted = f"a whole number, or from 3 to {MOST_CHARACTERS:,} different ones of which {OTHER!r} is the last"
        raise InputError("characters", shown(characters), accepted)
    return tuple(found)


def _checked_number(characters: int) -> int:
    number = whole_number("characters", characters, 3)
    if number > MOST_CHARACTERS:
        raise InputError("characters", f"{number:,}", f"a whole number from 3 to {MOST_CHARACTERS:,}")
    return number


def _most_frequent(name: str, points: npt.NDArray[np.uint32], most: int) -> tuple[str, ...]:
    """Return the most frequent characters, and the one that stands for the others."""
    known, counts = np.unique(points[points != ord(OTHER)], return_counts=True)
    if len(known) < 2:
        fix = "There is nothing to predict."
        raise InputError("content", f"{name} with only one character, again and again", "a text", fix)
    order = np.lexsort((known, -counts))[: most - 1]
    return (*map(chr, known[order].tolist()), OTHER)
