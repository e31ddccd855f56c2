"""The form of edcore's files: safetensors, arrays of plain numbers, with one JSON document in its header.

Nothing in such a file is ever executed, and nothing in it is believed: the header is limited, the document is checked,
and checksums of it and of each array stand in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.errors import DataFileError

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

FORMAT = 1
"""The version of the form that this edcore writes, and the newest one that it reads."""

KEY = "edcore"
"""The entry of the header's metadata that has the document."""

SUMS, ITSELF = "sha256", "header"
"""The entry of the document that has the checksums of the arrays, and in it that of the rest of the document."""

LARGEST_HEADER = 2**20
"""Bytes; ours have a few thousand. A header is read whole before anything of it can be checked."""


def pack(document: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the bytes of a file.

    Parameters
    ----------
    document : mapping
        Values that JSON has, with finite numbers.
    arrays : mapping of str to ndarray
        Arrays of numbers.

    Returns
    -------
    bytes
        The file's content: the same for the same arguments.
    """
    from safetensors.numpy import save

    # safetensors writes the memory as it lies, so an array with gaps or in another order would be another array.
    arrays = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    sums = {key: _sum(array) for key, array in arrays.items()}
    document = {"format": FORMAT, **document}
    return save(arrays, {KEY: _text({**document, SUMS: {ITSELF: _sum_of_document(document), **sums}})})


class Container:
    """A file that is open: what it has is of one moment, even if another one takes its name meanwhile.

    Parameters
    ----------
    path : Path
        The file.
    file : object
        What safetensors has opened.

    Attributes
    ----------
    document : dict
        Its JSON document, of a format that this edcore knows.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self._path, self._file = path, file
        self.document = _document(path, (file.metadata() or {}).get(KEY))

    def arrays(self, keys: Iterable[str]) -> Arrays:
        """Return arrays of the file, in memory of their own.

        Parameters
        ----------
        keys : iterable of str
            Their names.

        Returns
        -------
        dict of str to ndarray
            The arrays.

        Raises
        ------
        DataFileError
            If one is not there, or not what its checksum is of.
        """
        there, keys = set(self._file.keys()), list(keys)
        if missing := [key for key in keys if key not in there]:
            raise damaged(self._path, f"it lacks {', '.join(missing)}")
        try:
            arrays = {key: np.array(self._file.get_tensor(key)) for key in keys}
        except Exception as error:  # of a dtype that NumPy lacks
            raise damaged(self._path, f"an array cannot be read ({error!s:.100})") from error
        for key, array in arrays.items():
            if self.document[SUMS].get(key) != _sum(array):
                raise damaged(self._path, f"{key} is not what its checksum is of")
        return arrays


@contextlib.contextmanager
def open_container(path: Path) -> Iterator[Container]:
    """Open a file for reading.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    Container
        What it has.

    Raises
    ------
    DataFileError
        If it cannot be read, is damaged, is none of edcore's, or is of a newer edcore.
    """
    with _opened(path) as file:
        yield Container(path, file)


def damaged(path: Path, what: str) -> DataFileError:
    """Return the error for a file of edcore's in which something is wrong."""
    fix = "Nothing was loaded. Take another copy of it, or train anew."
    return DataFileError(f"{path}: this file is damaged or was changed: {what}. {fix}")


def _document(path: Path, text: str | None) -> dict[str, Any]:
    """Return the document that a header has, checked but for what it says of a network."""
    if text is None:
        fix = "edcore reads only what edcore.io.save or edcore train --checkpoint has written."
        raise DataFileError(f"{path}: a safetensors file, but none of edcore's: its header has no {KEY!r}. {fix}")
    try:
        document = json.loads(text, parse_constant=_no_number)
        itself = _sum_of_document(document) if isinstance(document, dict) else ""
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its header is no JSON ({error!s:.100})") from error
    if not isinstance(document, dict) or type(document.get("format")) is not int or document["format"] < 1:
        raise damaged(path, "its header has no format number")
    if document["format"] > FORMAT:
        versions = document.get("versions")
        by = versions.get("edcore") if isinstance(versions, dict) else None
        raise DataFileError(
            f"{path}: written in format {document['format']} by edcore {by!s:.20}; this one reads formats up to "
            f"{FORMAT}. Install that edcore or a newer one."
        )
    sums = document.get(SUMS)
    if not isinstance(sums, dict) or sums.get(ITSELF) != itself:
        raise damaged(path, "its header is not what its checksum is of")
    return document


def _opened(path: Path) -> Any:
    """Return the file, opened by safetensors, which has checked that its arrays fill it to the last byte."""
    from safetensors import SafetensorError, safe_open

    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise DataFileError(f"{path}: no file; accepted: a file of edcore.io.save or edcore train --checkpoint.")
        with path.open("rb") as file:
            announced, size = int.from_bytes(file.read(8), "little"), os.fstat(file.fileno()).st_size
        if size < 8 or announced > size - 8:
            raise _foreign(path, f"{size:,} bytes, too few for a header" if size < 8 else "no header that fits into it")
        if announced > LARGEST_HEADER:
            fix = "It is none of edcore's, or was changed."
            raise DataFileError(f"{path}: a header of {announced:,} bytes; accepted: up to {LARGEST_HEADER:,}. {fix}")
        return safe_open(path, "np")
    except SafetensorError as error:
        raise _foreign(path, " ".join(str(error).split())) from error
    except DataFileError:
        raise
    except OSError as error:
        raise DataFileError(f"{path}: it cannot be read ({error.strerror or error}). Check its name.") from error


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document)


def _sum_of_document(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text({key: document[key] for key in document if key != SUMS}).encode()).hexdigest()


def _sum(array: npt.NDArray[Any]) -> str:
    """Return the checksum of an array: of its bytes, and of how they are read."""
    sha256 = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    sha256.update(array.reshape(-1).view(np.uint8).data)
    return sha256.hexdigest()


def _foreign(path: Path, what: str) -> DataFileError:
    accepted = "a whole file that edcore.io.save or edcore train --checkpoint has written"
    return DataFileError(f"{path}: truncated, damaged or no safetensors file ({what}); accepted: {accepted}.")


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON's")
