"""Targets for files of samples: .npy, .csv, and the IDX files of MNIST, plain and compressed, in their folder."""

import contextlib
import gzip
import os
import pickle
import warnings
from unittest import mock

import numpy as np

from edcore import datasets
from edcore.datasets import idx
from edcore.datasets.tables import ENDINGS, read_table
from edcore.datasets.user_files import TEXT, read_samples
from edcore.errors import DataFileError, EDCoreError, InputError
from fuzz.choices import Choices


def npy(data, folder):
    """Take the bytes as a .npy."""
    return _samples(data, folder / "x.npy") is not None


def npy_header(data, folder):
    """Change dtype, order, shape or version in the header of a valid .npy."""
    choices = Choices(data)
    descr = choices.pick(["<f8", "<f4", ">f8", "|b1", "<i8", "|u1", "<f2", "|O", "<c16", "<U3", "|V0", "<M8[s]", "|S0"])
    shape = choices.pick(
        ["(2, 2)", "(4,)", "()", "(2, 0)", "(0, 2)", "(2**40, 2)", "(99999999999, 9999999999)", "(-1, 2)"]
    )
    if choices.below(2):
        shape = f"({choices.below(2**32)}, {choices.below(2**32)})"
    order = choices.pick(["False", "True", "None", "[]"])
    header = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}"
    place = choices.below(len(header))
    header = (
        header[:place] + choices.bytes(choices.below(4)).decode("latin-1") + header[place + choices.below(4) :] + "\n"
    )
    version = choices.pick([1, 2, 3])
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    content = b"\x93NUMPY" + bytes((version, 0)) + size + header.encode("utf-8" if version == 3 else "latin-1")
    return (
        _samples(content + choices.pick([np.arange(4.0).tobytes(), pickle.dumps(Canary()), b""]), folder / "x.npy")
        is not None
    )


def csv(data, folder):
    """Take the bytes as a .csv; where only commas part its cells, Python's float reads the same numbers from them."""
    found = _samples(data, folder / "x.csv")
    if found is None:
        return False
    with contextlib.suppress(ValueError):  # quotes, other separators and encodings
        lines = [line.split(",") for line in data.decode("utf-8-sig").splitlines() if line.strip()]
        rows = np.array([[float(cell.strip()) for cell in line] for line in lines[len(lines) - len(found) :]])
        if rows.shape == found.shape:
            np.testing.assert_array_equal(found, rows)
    return True


def table(data, folder):
    """Take the bytes as a user's table, with any ending; its cells as texts have as many rows and the same columns."""
    ending = ENDINGS[data[0] % len(ENDINGS)] if data else ".csv"
    (folder / f"t{ending}").write_bytes(data[1:])
    try:
        found = read_table(folder / f"t{ending}")
    except EDCoreError:
        return False
    assert 0 not in found.shape
    if ending in TEXT:
        texts = read_table(folder / f"t{ending}", texts=list(found))
        assert (list(texts), len(texts)) == (list(found), len(found))
        assert all(cell is np.nan or isinstance(cell, str) or cell != cell for name in texts for cell in texts[name])
    return True


def idx_images(data, folder):
    """Take the bytes as the images of an otherwise valid folder."""
    return _images(data, folder, "train-images-idx3-ubyte")


def idx_gzip(data, folder):
    """Take the bytes as compressed images: changed after compression, or compressed as they are."""
    choices = Choices(data)
    content = choices.bytes(choices.below(64)) if choices.below(2) else IMAGES
    content = gzip.compress(content, 1, mtime=0)
    for _ in range(choices.below(4)):
        place = choices.below(len(content))
        content = content[:place] + choices.bytes(choices.below(4)) + content[place + choices.below(4) :]
    return _images(content + choices.rest(), folder, "train-images-idx3-ubyte.gz")


def idx_folder(data, folder):
    """Take the bytes as names and contents of the files of a folder."""
    choices = Choices(data)
    raw, names = folder / "MNIST" / "raw", [name + ending for name in idx.FILES for ending in ("", ".gz")]
    raw.mkdir(parents=True)
    try:
        for name in idx.FILES:
            (raw / name).write_bytes(IMAGES if "images" in name else LABELS)
        for _ in range(choices.below(4)):
            file = raw / choices.pick(names)
            file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink(missing_ok=True)
            match choices.below(6):
                case 0:
                    pass
                case 1:
                    file.mkdir(exist_ok=True)
                case 2:
                    os.mkfifo(file)
                case 3:
                    file.symlink_to(choices.pick([".", file.name, "t10k-labels-idx1-ubyte", "/dev/null", "/nowhere"]))
                case _:
                    file.write_bytes(
                        choices.pick([IMAGES, LABELS])[: choices.below(6000)] + choices.bytes(choices.below(20))
                    )
        return _dataset(folder, choices)
    finally:
        _empty(folder)


def _samples(content, path):
    path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of encodings, and of an index that is left out
            found = read_samples(path)
    except DataFileError:
        found = None
    else:
        assert found.ndim == 2
        assert len(found)
        assert found.dtype.kind in "biuf"
    assert path.read_bytes() == content
    path.unlink()
    return found


def _images(content, folder, name):
    path = folder / name
    labels = folder / "labels"
    path.write_bytes(content)
    labels.write_bytes(LABELS)
    try:
        x, y = idx._pair(path, labels)
    except DataFileError:
        return False
    finally:
        assert path.read_bytes() == content
        path.unlink()
        labels.unlink()
    assert x.shape == (len(y), 784)
    return True


def _dataset(folder, choices):
    classes = choices.pick([None, (0, 1), (1, 0, 2), (0, 300)])
    try:
        with mock.patch.object(idx, "_download", no_download):
            data = datasets.mnist(folder, classes)
    except (DataFileError, InputError):
        return False
    assert len(data.x_train) == len(data.y_train)
    assert len(data.x_test) == len(data.y_test)
    assert data.x_train.max(initial=0) <= 1
    return True


def no_download(kind, root, problem):
    """Stand in for torchvision, which must not load anything here."""
    raise DataFileError(problem)


def _empty(folder):
    for path, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(path, name))
        for name in folders:
            link = os.path.join(path, name)
            (os.unlink if os.path.islink(link) else os.rmdir)(link)


def _idx(array):
    return bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes()


IMAGES = _idx((np.arange(3 * 784) % 256).astype(np.uint8).reshape(3, 28, 28))
LABELS = _idx(np.array([0, 1, 2], np.uint8))


class Ran(BaseException):
    """Code from a file has run. No `except Exception` hides it."""


def ran():
    raise Ran


class Canary:
    """An object that raises `Ran` when it is unpickled."""

    def __reduce__(self):
        return ran, ()
