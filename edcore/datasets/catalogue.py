"""The data sets by name, all as a `Dataset`: scikit-learn's digits, MNIST's files, and the parity of bits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import assign, checked_path, dtype_name, whole_number, yes_or_no
from edcore.arrays import to_numpy
from edcore.datasets.idx import Samples, read_folder
from edcore.errors import InputError, UnknownNameError, shown
from edcore.model.inputs import checked

NAMES = ("digits", "fashion_mnist", "mnist", "parityN", "xor")
"""The names that `load` accepts; parityN stands for parity1 to parity20."""

FROM_FILES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
"""Data sets in files, and torchvision's names for them."""

ALL = "None (in a shell, --classes all) takes all of them."

IN_FLOAT32 = ("bool", "int8", "uint8", "int16", "uint16", "float16", "bfloat16", "float32")
MOST_BITS = 20  # 2**20 patterns of 20 float64 values are 160 MiB


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Samples to learn from and samples to test on.

    Parameters
    ----------
    name : str
        Name of the data set, as `load` takes it.
    x_train : ndarray, shape (samples, features)
        Training inputs in 0…1, float32 or float64.
    y_train : ndarray of int64, shape (samples,)
        The index of each sample's class in `classes`.
    x_test : ndarray, shape (test samples, features)
        Test inputs, like `x_train`.
    y_test : ndarray of int64, shape (test samples,)
        Their classes, like `y_train`.
    classes : tuple of int or str
        The labels that the classes have in the original data, at least two.

    Raises
    ------
    InputError
        If samples or labels are not accepted: there are none, or values that are no finite numbers or no class.

    Examples
    --------
    >>> from edcore.datasets import digits
    >>> data = digits(classes=(7, 3))
    >>> data
    Dataset(name='digits', classes=(7, 3))
    >>> data.features
    64
    """

    name: str
    x_train: npt.NDArray[Any] = field(repr=False)
    y_train: npt.NDArray[np.int64] = field(repr=False)
    x_test: npt.NDArray[Any] = field(repr=False)
    y_test: npt.NDArray[np.int64] = field(repr=False)
    classes: tuple[int | str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InputError("name", shown(self.name), "a text")
        assign(self, "classes", _checked_classes(self.classes))
        for part in ("train", "test"):
            x = _checked_samples(f"x_{part}", getattr(self, f"x_{part}"), None if part == "train" else self.features)
            y = _checked_indices(f"y_{part}", getattr(self, f"y_{part}"), len(x), len(self.classes))
            assign(self, f"x_{part}", x)
            assign(self, f"y_{part}", y)

    @property
    def features(self) -> int:
        """Number of values in one sample."""
        return int(self.x_train.shape[1])


def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] = "data",
    classes: Iterable[int] | None = None,
    dtype: npt.DTypeLike = "float32",
    download: bool = True,
) -> Dataset:
    """Return the data set of this name.

    Parameters
    ----------
    name : str
        ``"digits"``, ``"mnist"``, ``"fashion_mnist"`` (or ``"fashion-mnist"``), ``"xor"``, or ``"parity1"`` to
        ``"parity20"``.
    data_dir : path
        Folder of MNIST and Fashion-MNIST, as in `mnist`; the others need none.
    classes : iterable of int, optional
        The classes wanted, as in `digits`. XOR and parity accept only (0, 1).
    dtype : {"float32", "float64"}
        Precision of the inputs.
    download : bool
        Whether torchvision may download files that are missing.

    Returns
    -------
    Dataset
        The data set.

    Raises
    ------
    UnknownNameError
        If the name or the dtype is not one of these.
    InputError
        If the classes are not accepted.
    DataFileError
        If files are missing or damaged, as in `mnist`.

    Examples
    --------
    >>> from edcore.datasets import load
    >>> load("parity3").y_train.tolist()
    [0, 1, 1, 0, 1, 0, 0, 1]
    """
    known = name.replace("fashion-", "fashion_") if isinstance(name, str) else ""
    if known == "digits":
        return digits(classes, dtype)
    if known in FROM_FILES:
        return _from_files(known, data_dir, classes, dtype, yes_or_no("download", download))
    if known != "xor" and not known.startswith("parity"):
        raise UnknownNameError("dataset", name, NAMES)
    labels = _checked_labels(classes)
    if labels not in (None, (0, 1)):
        raise InputError("classes", repr(labels), "None or (0, 1) for this data set", "Leave classes out.")
    if known == "xor":
        return xor(dtype)
    bits = known.removeprefix("parity")
    if not re.fullmatch("[1-9][0-9]?", bits) or int(bits) > MOST_BITS:
        raise InputError("dataset", repr(known), f"parity1 to parity{MOST_BITS}", "Write the number of bits.")
    return parity(int(bits), dtype)


def digits(classes: Iterable[int] | None = None, dtype: npt.DTypeLike = "float32") -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits of 8 × 8 pixels, always split in the same way, 80 to 20.

    Parameters
    ----------
    classes : iterable of int, optional
        The digits wanted, at least two; y numbers them in this order. Left out, all ten.
    dtype : {"float32", "float64"}
        Precision of the inputs.

    Returns
    -------
    Dataset
        x of shape (samples, 64), in 0…1.

    Raises
    ------
    InputError
        If the classes are not accepted.
    UnknownNameError
        If the dtype is not one of these.

    Examples
    --------
    >>> from edcore.datasets import digits
    >>> data = digits()
    >>> data.x_train.shape, data.x_test.shape
    ((1437, 64), (360, 64))
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    labels, dtype = _checked_labels(classes), dtype_name(dtype)
    pixels, target = load_digits(return_X_y=True)
    # Split before classes are picked: a sample is in the same part whatever is picked beside it.
    x_train, x_test, y_train, y_test = train_test_split(pixels, target, test_size=0.2, random_state=0, stratify=target)
    return _picked("digits", (x_train, y_train), (x_test, y_test), 16, labels, dtype)


def mnist(
    data_dir: str | os.PathLike[str] = "data", classes: Iterable[int] | None = None, dtype: npt.DTypeLike = "float32"
) -> Dataset:
    """Return MNIST, 70,000 handwritten digits of 28 × 28 pixels, from the folder that torchvision keeps it in.

    edcore reads the four files in ``<data_dir>/MNIST/raw``, plain or .gz. If one is missing, torchvision downloads them
    all, if it is installed (``pip install "edcore[torchvision]"``).

    Parameters
    ----------
    data_dir : path
        The folder that holds the folder MNIST, torchvision's `root`; or the folder of the files, also with Kaggle's
        names, such as ``train-images.idx3-ubyte``.
    classes : iterable of int, optional
        The digits wanted, at least two; y numbers them in this order. Left out, all ten.
    dtype : {"float32", "float64"}
        Precision of the inputs.

    Returns
    -------
    Dataset
        x of shape (samples, 784), in 0…1.

    Raises
    ------
    DataFileError
        If a file is missing and cannot be downloaded, is damaged, or has another format.
    InputError
        If `data_dir` is not a path, or the classes are not accepted.
    UnknownNameError
        If the dtype is not one of these.

    Examples
    --------
    >>> from edcore.datasets import mnist
    >>> mnist("data", classes=(0, 1)).x_train.shape  # doctest: +SKIP
    (12665, 784)
    """
    return _from_files("mnist", data_dir, classes, dtype)


def fashion_mnist(
    data_dir: str | os.PathLike[str] = "data", classes: Iterable[int] | None = None, dtype: npt.DTypeLike = "float32"
) -> Dataset:
    """Return Fashion-MNIST, 70,000 pieces of clothing of 28 × 28 pixels, from ``<data_dir>/FashionMNIST/raw``.

    Parameters
    ----------
    data_dir, classes, dtype
        As for `mnist`.

    Returns
    -------
    Dataset
        x of shape (samples, 784), in 0…1.

    Raises
    ------
    DataFileError, InputError, UnknownNameError
        As for `mnist`.

    Examples
    --------
    >>> from edcore.datasets import fashion_mnist
    >>> fashion_mnist("data").x_train.shape  # doctest: +SKIP
    (60000, 784)
    """
    return _from_files("fashion_mnist", data_dir, classes, dtype)


def parity(bits: int, dtype: npt.DTypeLike = "float32") -> Dataset:
    """Return all patterns of some bits; the class is 1 where the number of ones is odd, else 0.

    Parameters
    ----------
    bits : int
        Number of bits, 1 to 20.
    dtype : {"float32", "float64"}
        Precision of the inputs.

    Returns
    -------
    Dataset
        x of shape (2**bits, bits): input i of pattern p is bit i of p, the least significant first. The test samples
        are the training samples, as no others exist.

    Raises
    ------
    InputError
        If `bits` is not a whole number from 1 to 20.
    UnknownNameError
        If the dtype is not one of these.

    Examples
    --------
    >>> from edcore.datasets import parity
    >>> data = parity(2)
    >>> data.x_train.tolist(), data.y_train.tolist()
    ([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0, 1, 1, 0])
    """
    bits = whole_number("bits", bits, 1)
    if bits > MOST_BITS:
        raise InputError("bits", str(bits), f"a whole number from 1 to {MOST_BITS}")
    return _patterns(f"parity{bits}", bits, dtype)


def xor(dtype: npt.DTypeLike = "float32") -> Dataset:
    """Return the four patterns of the exclusive or, the parity of two bits.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Precision of the inputs.

    Returns
    -------
    Dataset
        x of shape (4, 2); the test samples are the training samples.

    Raises
    ------
    UnknownNameError
        If the dtype is not one of these.

    Examples
    --------
    >>> from edcore.datasets import xor
    >>> xor().y_train.tolist()
    [0, 1, 1, 0]
    """
    return _patterns("xor", 2, dtype)


def _patterns(name: str, bits: int, dtype: npt.DTypeLike) -> Dataset:
    bit = (np.arange(2**bits)[:, None] >> np.arange(bits)) & 1
    both = bit.astype(dtype_name(dtype)), bit.sum(axis=1).astype(np.int64) % 2
    return Dataset(name, *both, *both, (0, 1))


def _checked_classes(classes: Any) -> tuple[Any, ...]:
    """Return the labels of classes as Python's own numbers and texts."""
    found = tuple(one.item() if isinstance(one, np.generic) else one for one in _listed(classes))
    if len(set(map(str, found))) < max(2, len(found)) or any(type(one) not in (int, str) for one in found):
        raise InputError("classes", shown(classes), "at least two different labels, whole numbers or texts")
    return found


def _listed(classes: Any) -> list[Any]:
    """Return the items; none of a text or of bytes, whose items would be letters and numbers."""
    return [] if isinstance(classes, str | bytes | bytearray) or not isinstance(classes, Iterable) else list(classes)


def _checked_samples(name: str, x: Any, features: int | None) -> npt.NDArray[Any]:
    """Return samples as an array of float32 or float64, whichever holds them."""
    small = str(getattr(x, "dtype", "")).rpartition(".")[2] in IN_FLOAT32
    samples = to_numpy(checked(name, x, (None, features), "float32" if small else "float64").array)
    if not samples.size:
        raise InputError(name, f"shape {samples.shape}", "at least one sample of at least one feature")
    return samples


def _checked_indices(name: str, y: Any, samples: int, classes: int) -> npt.NDArray[np.int64]:
    """Return the index of each sample's class."""
    indices = to_numpy(checked(name, y, (samples,), "float64", ", a label for each sample").array)
    wrong = np.flatnonzero((indices < 0) | (indices >= classes) | (indices % 1 != 0))
    if len(wrong) or np.asarray(y).dtype.kind not in "iu":
        given = f"{indices[wrong[0]]:g} for sample {wrong[0]}" if len(wrong) else f"dtype {np.asarray(y).dtype}"
        accepted = f"whole numbers from 0 to {classes - 1}, the index of each sample's class"
        raise InputError(name, given, accepted, "Leave out samples that have no label.")
    return np.asarray(y).astype(np.int64, copy=False)


def _checked_labels(classes: Iterable[int] | None) -> tuple[int, ...] | None:
    if classes is None:
        return None
    try:
        labels = tuple(whole_number("classes", label, 0) for label in _listed(classes))
    except InputError:
        labels = ()
    if len(set(labels)) < max(2, len(labels)):
        fix = f"Write (0, 1), for example, in a shell 0,1. {ALL}"
        raise InputError("classes", shown(classes), "at least two different labels, whole numbers from 0", fix)
    return labels


def _picked(name: str, train: Samples, test: Samples, top: int, labels: tuple[int, ...] | None, dtype: str) -> Dataset:
    """Return the samples of these labels, with values divided by `top`, the largest one."""
    present = tuple(np.union1d(train[1], test[1]).tolist())
    classes = present if labels is None else labels
    if not set(classes) <= set(present):
        names = ", ".join(map(str, present))
        raise InputError("classes", repr(classes), f"at least two of {names}, the labels of {name}", ALL)
    for part, (_, found) in (("training", train), ("test", test)):
        if not np.isin(found, classes).any():
            raise InputError("classes", repr(classes), f"labels that the {part} samples of {name} have", ALL)
    return Dataset(name, *_part(train, top, classes, dtype), *_part(test, top, classes, dtype), classes)


def _part(samples: Samples, top: int, classes: tuple[int, ...], dtype: str) -> Samples:
    values, labels = samples
    matches = labels[:, None] == np.asarray(classes)
    wanted = matches.any(axis=1)
    x = values[wanted].astype(dtype)
    x /= top
    return x, matches[wanted].argmax(axis=1).astype(np.int64)


def _from_files(name: str, data_dir: Any, classes: Any, dtype: npt.DTypeLike, download: bool = True) -> Dataset:
    labels, dtype = _checked_labels(classes), dtype_name(dtype)  # before a download, which can take minutes
    train, test = read_folder(checked_path("data_dir", data_dir, "folder"), FROM_FILES[name], download)
    return _picked(name, train, test, 255, labels, dtype)
