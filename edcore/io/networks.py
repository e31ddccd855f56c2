"""Save and load networks; any backend loads a file, on any machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edcore.arguments import yes_or_no
from edcore.arrays import HostWeights
from edcore.contract.backend import Backend
from edcore.errors import DataFileError, InputError
from edcore.files.atomic import write_atomically
from edcore.files.container import (
    LARGEST_HEADER,
    Arrays,
    Container,
    DamagedFileError,
    damaged,
    document_of,
    open_container,
    pack,
)
from edcore.io.header import Saved, checked_classes, header_of, parse_header
from edcore.model.ed import ED, checked_ed
from edcore.model.inputs import checked_weights

EPOCHS = "epochs"
"""Key of the array with the epochs of each head."""

LABELS = "classes"
"""Key of the array with the labels, as JSON in UTF-8, where they are too many for the header, which then has this."""


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
        If an argument is not accepted, a weight is not finite, the file exists and `overwrite` is False, or `load`
        would refuse the file. Then nothing has changed.
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
    overwrite = yes_or_no("overwrite", overwrite)
    classes = checked_classes(checked_ed(ed).network, classes)
    try:
        write(checked_path("path", path), ed, classes=classes, new=not overwrite)
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
        return _header(file, container)


def read(path: str | os.PathLike[str], prefix: str = "") -> tuple[Saved, Arrays]:
    """Return the header and the arrays of a file, with those whose keys begin with `prefix` if it is given."""
    file = checked_path("path", path)
    with open_container(file) as container:
        saved = _header(file, container)
        others = [key for key in container.keys if prefix and key.startswith(prefix)]
        return saved, container.arrays([*saved.network.weight_shapes, EPOCHS, *others])


def _header(path: Path, container: Container) -> Saved:
    """Return the header of an open file."""
    document = container.document
    arrays = container.arrays([LABELS]) if document.get("classes") == LABELS else {}
    return parse_header(path, _with_labels(path, document, arrays), path.stat().st_size)


def _with_labels(path: Path, document: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return a document with its labels, also if they are too many for a header and stand in an array."""
    if document.get("classes") != LABELS:
        return document
    try:
        return {**document, "classes": json.loads(arrays[LABELS].tobytes().decode())}
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its labels ({error!s:.100})") from error


def write(
    path: Path,
    ed: ED,
    *,
    classes: tuple[int | str, ...] | None = None,
    x_range: tuple[float, float] | None = None,
    run: Mapping[str, Any] | None = None,
    arrays: Mapping[str, Any] | None = None,
    check: Callable[[Saved, Arrays], object] = lambda saved, arrays: None,
    new: bool = False,
) -> bytes:
    """Write a network, with the options and arrays of a run if it has one, and return the header's bytes.

    What no reader would accept is an InputError, before the file is changed. `check` are a reader's further checks.
    """
    for key, array in (weights := ed.weights).items():
        if not np.isfinite(array).all():
            fix = "Learning has diverged; the file is unchanged. Smaller learning rates help."
            raise InputError("ed", f"NaN or infinite values in {key}", "finite weights", fix)
    try:
        arrays = {**weights, EPOCHS: ed.epochs.astype(np.int64), **(arrays or {})}
        document = header_of(ed, classes, x_range, run)
        if classes and len(json.dumps(json.dumps(classes))) > LARGEST_HEADER // 2:
            document["classes"] = LABELS
            arrays[LABELS] = np.frombuffer(json.dumps(classes, ensure_ascii=False).encode(), np.uint8)
        content = pack(document, arrays)
        saved = parse_header(path, _with_labels(path, document_of(path, content), arrays), len(content))
        _check_arrays(saved, arrays)
        check(saved, arrays)
    except (DataFileError, TypeError, ValueError, OverflowError) as error:
        reason = (error.what if isinstance(error, DamagedFileError) else str(error)).rstrip(".")
        fix = "Nothing was written. Set what is named here to another value."
        raise InputError(
            "ed", f"what edcore.io.load would refuse: {reason}", "a network that can be read", fix
        ) from error
    try:
        write_atomically(path, content, new=new)
    except FileExistsError:
        raise
    except OSError as error:
        fix = "The old file is unchanged. Give a file in a folder that can be written to, on a disk with room."
        raise DataFileError(f"{path}: it cannot be written ({error.strerror or error}). {fix}") from error
    return content[: 8 + int.from_bytes(content[:8], "little")]


def build(saved: Saved, arrays: Arrays, backend: str | Backend, device: str | None) -> ED:
    """Return the network of a header and arrays."""
    weights, network = _check_arrays(saved, arrays), saved.network
    return ED.from_network(
        network, saved.rule, seed=saved.seed, weights=weights, epochs=arrays[EPOCHS], backend=backend, device=device
    )


def _check_arrays(saved: Saved, arrays: Mapping[str, Any]) -> HostWeights:
    """Return the weights in the arrays of a file, or raise a DataFileError for a wrong array."""
    network, epochs = saved.network, arrays[EPOCHS]
    if epochs.dtype != np.int64 or epochs.shape != (network.heads,) or (epochs < 0).any():
        raise damaged(saved.path, "the epochs of its heads")
    try:
        return checked_weights(network, {key: arrays[key] for key in network.weight_shapes}, saved.rule.floor)
    except InputError as error:
        raise damaged(saved.path, str(error)) from error


def checked_path(name: str, path: Any) -> Path:
    """Return a path, or refuse the argument `name`."""
    try:
        file = Path(path)
    except TypeError:
        file = None
    if file is None or "\0" in str(file):
        raise InputError(name, repr(path), "the path of a file")
    return file
