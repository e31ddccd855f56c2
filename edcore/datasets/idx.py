"""Read the files of MNIST and Fashion-MNIST (IDX format) from torchvision's folders, and download missing ones."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.contract.memory import host_memory
from edcore.errors import DataFileError

IMAGE = (28, 28)
PARTS = ("train", "t10k")
IMAGES, LABELS = "{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"
FILES = tuple(kind.format(part) for part in PARTS for kind in (IMAGES, LABELS))

CHUNK = 2**20

MOST_BYTES = 10
"""Bytes of memory for each value: as it is in the file, twice, and as a number."""

Samples = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""The stored values, of shape (samples, features), and the label of each sample."""


def read_folder(root: Path, kind: str, download: bool) -> tuple[Samples, Samples]:
    """Return the training and the test samples in ``<root>/<kind>/raw``, or in the folder of the files itself.

    Without `download`, missing files are an error.
    """
    given, place = root, root.absolute()
    if place.name == kind or (place.name == "raw" and place.parent.name == kind):
        root = place.parent if place.name == kind else place.parents[1]
    raw, others = root / kind / "raw", {"MNIST", "FashionMNIST"} - {kind}
    folders = [raw, raw.parent, *([given] if others.isdisjoint(place.parts[-2:]) else [])]
    try:
        files = next(filter(None, (_files(folder) for folder in folders)), None)
        missing = ", ".join(file for file in FILES if not _find(raw, file))
    except OSError as error:
        raise DataFileError(f"{raw}: cannot be searched ({error}). Give another data_dir.") from error
    if files is None:
        problem = f"{raw}: missing {missing}; accepted: {', '.join(FILES)}, each plain or as .gz."
        if not download:
            raise DataFileError(f"{problem} Put them there.")
        _download(kind, root, problem)
        files = _files(raw)
    if files is None:
        raise DataFileError(f"{raw}: torchvision downloaded no {missing}. Put them there.")
    train, test = (_pair(*files[part : part + 2]) for part in (0, 2))
    return train, test


def _files(folder: Path) -> list[Path] | None:
    """Return the paths of all four files in a folder, or None."""
    found = [path for file in FILES if (path := _find(folder, file))]
    return found if len(found) == len(FILES) else None


def _find(folder: Path, file: str) -> Path | None:
    """Return a file by torchvision's name or by Kaggle's, also in a folder of that name, plain or .gz."""
    names = file, file.replace("-idx", ".idx")
    places = [*names, *(f"{one}/{other}" for one in names for other in names)]
    paths = (folder / f"{place}{ending}" for place in places for ending in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def _download(kind: str, root: Path, problem: str) -> None:
    # Errors of many kinds: a torchvision that does not fit its PyTorch breaks on import, and a download in any way.
    try:
        from torchvision import datasets
    except Exception as error:
        way = 'Put them there, or let torchvision download them: pip install "edcore[torchvision]"'
        raise DataFileError(f"{problem} {way} (importing torchvision failed: {error}).") from error
    try:
        getattr(datasets, kind)(str(root), download=True)
    except Exception as error:
        way = "Check the network and that the folder can be written to, or put the files there"
        reason = " ".join(str(error).split())  # torchvision's message has several lines
        raise DataFileError(f"{problem} {way}: torchvision could not download them ({reason}).") from error


def _pair(images_path: Path, labels_path: Path) -> Samples:
    labels = _idx(labels_path, 1)

    def check(shape: tuple[int, ...]) -> None:
        """Refuse other images, and more or fewer, before they are unpacked."""
        if shape[1:] != IMAGE:
            raise _damaged(images_path, f"images of shape {shape[1:]}", f"images of shape {IMAGE}")
        if shape[0] != len(labels):
            given = f"{shape[0]} images, and {len(labels)} labels in {labels_path.name}"
            raise _damaged(images_path, given, "one label for each image")

    images = _idx(images_path, 3, check)
    if labels.max() > 9:
        raise _damaged(labels_path, f"label {labels.max()}", "labels 0 to 9")
    return images.reshape(len(images), math.prod(IMAGE)), labels


def _idx(
    path: Path, dimensions: int, check: Callable[[tuple[int, ...]], None] = lambda shape: None
) -> npt.NDArray[np.uint8]:
    """Read an IDX file: 0, 0, dtype code, number of dimensions, each of them as 4 big-endian bytes, the values."""
    magic, size = bytes((0, 0, 8, dimensions)), 4 + 4 * dimensions
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(size)
            if header[:4] != magic:
                accepted = f"{magic!r}, for unsigned bytes in {dimensions} dimensions"
                raise _damaged(path, f"magic number {header[:4]!r}", accepted)
            if len(header) < size:
                raise _damaged(path, f"{len(header)} bytes", f"a header of {size} bytes")
            shape = tuple(int(length) for length in np.frombuffer(header[4:], ">u4"))
            if not all(shape):  # with a 0, the other lengths may be larger than any array's
                raise _damaged(path, f"shape {shape}", "at least one value")
            check(shape)
            need, free = MOST_BYTES * math.prod(shape), host_memory().free
            if need > free:
                given = f"shape {shape}, which needs {need / 2**30:,.1f} GiB of memory"
                raise _damaged(path, given, f"at most the {free / 2**30:,.1f} GiB that are free")
            content = _read(file, math.prod(shape))
            more = file.read(1)
    except DataFileError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error), "a readable file, and gzip if its name ends in .gz") from error
    if more or len(content) < math.prod(shape):
        given = f"more than {size + len(content)} bytes" if more else f"{size + len(content)} bytes"
        raise _damaged(path, given, f"{size + math.prod(shape)}, as its header says for shape {shape}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read(file: io.BufferedIOBase, size: int) -> bytearray:
    """Return `size` bytes, or fewer if the file ends."""
    content = bytearray()
    # In chunks: a damaged header may announce more than memory holds, and a small .gz may unpack to more.
    while part := file.read(min(size - len(content), CHUNK)):
        content += part
    return content


def _damaged(path: Path, given: str, accepted: str) -> DataFileError:
    fix = "Replace the file, or delete it; then torchvision downloads it again."
    return DataFileError(f"{path}: given {given}; accepted: {accepted}. {fix}")
