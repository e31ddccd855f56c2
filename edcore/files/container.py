"""The container of edcore's files: safetensors, that is arrays of plain numbers, with a JSON document in its header.

A file may come from anybody. So reading executes nothing, limits the size of the header, checks the document, and
compares it and each array with the checksums in the document.
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
from edcore.files.checksum import checksum

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

PLAIN, FORMAT = 1, 2
"""The versions of the format that this edcore writes and reads: the second, of files with more than a network, is the
newest. An edcore that knows only the first would predict with the network alone."""

KEY = "edcore"
"""The entry of the safetensors metadata that is the document."""

SUMS, ITSELF = "sha256", "header"
"""The entry of the document with the checksums of the arrays, and the entry in it with the document's own."""

LARGEST_HEADER = 2**20
"""Bytes; ours have a few thousand. safetensors reads a header whole before anything in it can be checked."""

ACCEPTED = "a file of edcore.io.save or edcore train --checkpoint"


def pack(document: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the bytes of a file; the same arguments always give the same bytes."""
    from safetensors.numpy import save

    # safetensors writes the memory as it lies, so it would write a transposed array with its values out of order.
    arrays = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    document = {"format": PLAIN, **document}
    sums = {ITSELF: _checksum_of_document(document), **{key: checksum([array]) for key, array in arrays.items()}}
    return save(arrays, {KEY: json.dumps({**document, SUMS: sums})})


class Container:
    """An open file; its content stays the same even if another file takes its name."""

    def __init__(self, path: Path, file: Any) -> None:
        self._path, self._file = path, file
        self.document = _checked_document(path, (file.metadata() or {}).get(KEY))
        self.keys: list[str] = list(file.keys())

    def arrays(self, keys: Iterable[str]) -> Arrays:
        """Return copies of these arrays, once their checksums are right."""
        keys = list(keys)
        if missing := [key for key in keys if key not in self.keys]:
            raise damaged(self._path, f"it lacks {', '.join(missing)}")
        try:
            arrays = {key: np.array(self._file.get_tensor(key)) for key in keys}
        except Exception as error:  # a dtype that NumPy lacks
            raise damaged(self._path, f"an array cannot be read ({error!s:.100})") from error
        for key, array in arrays.items():
            if self.document[SUMS].get(key) != checksum([array]):
                raise damaged(self._path, f"{key} does not match its checksum")
        return arrays


@contextlib.contextmanager
def open_container(path: Path) -> Iterator[Container]:
    """Open a file for reading, or raise a DataFileError if it is damaged, not edcore's, or of a newer edcore."""
    with _open_safetensors(path) as file:
        yield Container(path, file)


class DamagedFileError(DataFileError):
    """One of edcore's files has wrong content; `what` says which."""

    def __init__(self, path: Path, what: str) -> None:
        self.what = what
        fix = "Nothing was loaded. Use another copy, or train again."
        super().__init__(f"{path}: a damaged or changed file: {what}. {fix}")


damaged = DamagedFileError


def header_bytes(path: Path) -> bytes:
    """Return the header of a file as it stands there: files with the same one have the same content."""
    with open_container(path), path.open("rb") as file:
        size = file.read(8)
        return size + file.read(int.from_bytes(size, "little"))


def document_of(path: Path, content: bytes) -> dict[str, Any]:
    """Return the document in the bytes of `pack`, or raise the error that reading them as a file would raise."""
    size = int.from_bytes(content[:8], "little")
    _check_size(path, size)
    return _checked_document(path, json.loads(content[8 : 8 + size])["__metadata__"][KEY])


def _checked_document(path: Path, text: str | None) -> dict[str, Any]:
    """Return the document in a header; its entries on the network are not checked here."""
    if text is None:
        raise DataFileError(f"{path}: a safetensors file, but its header has no {KEY!r}; accepted: {ACCEPTED}.")
    try:
        document = json_value(text)
        itself = _checksum_of_document(document) if isinstance(document, dict) else ""
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its header is not JSON ({error!s:.100})") from error
    if not isinstance(document, dict) or type(document.get("format")) is not int or document["format"] < 1:
        raise damaged(path, "its header has no format number")
    # Before the checksum: a newer format may have other rules for that too, and its user needs to know of the version.
    if document["format"] > FORMAT:
        versions = document.get("versions")
        writer = versions.get("edcore") if isinstance(versions, dict) else None
        raise DataFileError(
            f"{path}: written in format {document['format']} by edcore {writer!s:.20}; this edcore reads formats up to "
            f"{FORMAT}. Install that version or a newer one."
        )
    sums = document.get(SUMS)
    if not isinstance(sums, dict) or sums.get(ITSELF) != itself:
        raise damaged(path, "its header does not match its checksum")
    return document


def json_value(text: str) -> Any:
    """Return the value of a text that is strict JSON, which knows no NaN."""
    return json.loads(text, parse_constant=_refuse_constant)


def _open_safetensors(path: Path) -> Any:
    """Return the file, opened by safetensors, which checks that its arrays fill it to the last byte."""
    from safetensors import SafetensorError, safe_open

    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for a writer
            raise DataFileError(f"{path}: not a file; accepted: {ACCEPTED}.")
        with path.open("rb") as file:
            announced, size = int.from_bytes(file.read(8), "little"), os.fstat(file.fileno()).st_size
        if size < 8 or announced > size - 8:
            raise _foreign(path, f"{size:,} bytes, too few for a header" if size < 8 else "no header that fits into it")
        _check_size(path, announced)
        return safe_open(path, "np")
    except SafetensorError as error:
        raise _foreign(path, " ".join(str(error).split())) from error
    except DataFileError:
        raise
    except OSError as error:
        raise DataFileError(f"{path}: it cannot be read ({error.strerror or error}). Check its name.") from error


def _check_size(path: Path, header: int) -> None:
    if header > LARGEST_HEADER:
        raise DataFileError(
            f"{path}: a header of {header:,} bytes; accepted: up to {LARGEST_HEADER:,}, as in {ACCEPTED}."
        )


def _foreign(path: Path, what: str) -> DataFileError:
    return DataFileError(f"{path}: truncated, damaged or not a safetensors file ({what}); accepted: {ACCEPTED}.")


def _checksum_of_document(document: Mapping[str, Any]) -> str:
    """Return the checksum of a document without its checksums."""
    text = json.dumps({key: document[key] for key in document if key != SUMS})
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number in JSON")
