"""Save and load networks; any backend loads a file, on any machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edcore.contract.backend import Backend
from edcore.errors import DataFileError, InputError
from edcore.files.atomic import write_atomically
from edcore.files.container import Arrays, damaged, open_container, pack
from edcore.io.header import Saved, checked_classes, header_of, parse_header
from edcore.model.ed import ED
from edcore.model.inputs import checked_weights

EPOCHS = "epochs"
"""Key of the array with the epochs of each head."""


def save(
    ed: ED, path: str | os.PathLike[str], *, classes: Iterable[int | str] | None = None, overwrite: bool = False
) -> None:
    """Write a network to a file.

    Parameters
    ----------
    ed : ED
        The network. Its number of inputs must be known.
    path : path
        The file, by custom with the ending ``.safetensors``. Its folder must exist.
    classes : iterable of int or str, optional
        The label of each class, in the order of the outputs: two for one output, else one for each output.
        ``edcore predict`` prints them.
    overwrite : bool
        Replace an existing file. It is replaced as a whole, or stays as it is if writing fails.

    Raises
    ------
    InputError
        If an argument is not accepted, a weight is not finite, or the file exists and `overwrite` is False.
    DataFileError
        If the file cannot be written. Then nothing has changed.

    Examples
    --------
    >>> import os, tempfile
    >>> import edcore
    >>> data = edcore.datasets.xor()
    >>> ed = edcore.ED(hidden_width=4, rule="split", seed=1).fit(data.x_train, data.y_train, epochs=50)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     edcore.io.save(ed, os.path.join(folder, "xor.safetensors"))
    ...     again = edcore.io.load(os.path.join(folder, "xor.safetensors"), backend="numpy")
    >>> again.network == ed.network, again.epochs.tolist()
    (True, [50])
    """
    if not isinstance(ed, ED):
        raise InputError("ed", type(ed).__name__, "an edcore.ED, such as the ed_ of an estimator")
    try:
        write(checked_path("path", path), ed, classes=checked_classes(ed.network, classes), new=not overwrite)
    except FileExistsError as error:
        fix = "Write overwrite=True to replace this one."
        raise InputError("path", repr(str(path)), "the name of a new file", fix) from error


def load(path: str | os.PathLike[str], *, backend: str | Backend = "auto", device: str | None = None) -> ED:
    """Return the network of a file, ready to predict or to learn.

    Parameters
    ----------
    path : path
        A file of `save` or of ``edcore train --checkpoint``, written with any backend.
    backend, device
        As for `ED`. They may differ from those that wrote the file.

    Returns
    -------
    ED
        The network, with its weights, its rule, its seed and its epochs. On the same backend and machine, `ED.fit`
        goes on to the same bits as if the network had never been saved.

    Raises
    ------
    DataFileError
        If the file cannot be read, is truncated, damaged, not edcore's, or of a newer edcore.
    InputError
        If the backend or the device is not accepted.
    BackendUnavailableError
        If a backend that was named cannot run here.
    """
    return build(*read(path), backend, device)


def inspect(path: str | os.PathLike[str]) -> Saved:
    """Return the header of a file. Its arrays are not read.

    Parameters
    ----------
    path : path
        As for `load`.

    Returns
    -------
    Saved
        The header.

    Raises
    ------
    DataFileError
        As for `load`.
    """
    file = checked_path("path", path)
    with open_container(file) as container:
        return parse_header(file, container.document)


def read(path: str | os.PathLike[str], prefix: str = "") -> tuple[Saved, Arrays]:
    """Return the header and the arrays of a file, with those whose keys begin with `prefix` if it is given."""
    file = checked_path("path", path)
    with open_container(file) as container:
        saved = parse_header(file, container.document)
        others = [key for key in container.keys if prefix and key.startswith(prefix)]
        return saved, container.arrays([*saved.network.weight_shapes, EPOCHS, *others])


def write(
    path: Path,
    ed: ED,
    *,
    classes: tuple[int | str, ...] | None = None,
    x_range: tuple[float, float] | None = None,
    run: Mapping[str, Any] | None = None,
    arrays: Mapping[str, Any] | None = None,
    new: bool = False,
) -> None:
    """Write a network, with the options and arrays of a run if it has one; only the weights are checked here."""
    document = header_of(ed, classes, x_range, run)
    for key, array in (weights := ed.weights).items():
        if not np.isfinite(array).all():
            fix = "Learning has diverged; the file is unchanged. Smaller learning rates help."
            raise InputError("ed", f"NaN or infinite values in {key}", "finite weights", fix)
    content = pack(document, {**weights, EPOCHS: ed.epochs.astype(np.int64), **(arrays or {})})
    try:
        write_atomically(path, content, new=new)
    except FileExistsError:
        raise
    except OSError as error:
        fix = "The old file is unchanged. Give a file in a folder that can be written to, on a disk with room."
        raise DataFileError(f"{path}: it cannot be written ({error.strerror or error}). {fix}") from error


def build(saved: Saved, arrays: Arrays, backend: str | Backend, device: str | None) -> ED:
    """Return the network of a header and arrays."""
    network, epochs = saved.network, arrays[EPOCHS]
    if epochs.dtype != np.int64 or epochs.shape != (network.heads,) or (epochs < 0).any():
        raise damaged(saved.path, "the epochs of its heads")
    try:
        weights = checked_weights(network, {key: arrays[key] for key in network.weight_shapes}, saved.rule.floor)
    except InputError as error:
        raise damaged(saved.path, str(error)) from error
    return ED.from_network(
        network, saved.rule, seed=saved.seed, weights=weights, epochs=epochs, backend=backend, device=device
    )


def checked_path(name: str, path: Any) -> Path:
    """Return a path, or refuse the argument `name`."""
    try:
        file = Path(path)
    except TypeError:
        file = None
    if file is None or "\0" in str(file):
        raise InputError(name, repr(path), "the path of a file")
    return file
