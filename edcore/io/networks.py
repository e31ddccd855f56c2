"""Save and load networks and estimators; any backend loads a file, on any machine."""

from __future__ import annotations

import functools
import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edcore.arguments import checked_path, yes_or_no
from edcore.arrays import HostWeights
from edcore.contract.backend import Backend
from edcore.errors import DataFileError, InputError, printable, shown
from edcore.files.atomic import write_atomically
from edcore.files.container import (
    FORMAT,
    LARGEST_HEADER,
    Arrays,
    Container,
    DamagedFileError,
    damaged,
    document_of,
    json_value,
    open_container,
    pack,
)
from edcore.io.estimators import has_foreign_steps, last_of, put_together, taken_apart
from edcore.io.header import Saved, checked_classes, header_of, parse_header, wrong_header
from edcore.io.values import PREFIX
from edcore.model.ed import ED
from edcore.model.inputs import checked_weights

SCIKIT_LEARN = "scikit-learn"

EPOCHS = "epochs"
"""Key of the array with the epochs of each head."""

LABELS, TREE = "classes", "estimator"
"""Entries of the document that may be too long for the header, which then has these names: arrays of the same names
have the entries as JSON in UTF-8."""


OTHER_FORMATS = re.compile(
    r"\.(ptc?|pth|onnx|pb|h5|hdf5|keras|gguf|pkl|pickle|joblib|skops|np[yz]|mat|parquet|feather|zarr|jsonl?|toml|ya?ml|ini"
    r"|[ct]sv|txt|log|md|py|ipynb|html?|png|svg|pdf|jpe?g|gif|xlsx?|ods|zip|gz|bz2|xz|zst|tar|tgz)",
    re.IGNORECASE,
)
"""Endings of files in other formats, for which programs would take a network's."""


def save(
    model: Any,
    path: str | os.PathLike[str],
    *,
    classes: Iterable[int | str] | None = None,
    target: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write a network, an estimator or a pipeline to a file, from which nothing is run when it is loaded.

    Parameters
    ----------
    model : ED, EDClassifier, EDRegressor or Pipeline
        A network whose number of inputs is known; or a fitted estimator, with its ranges and classes; or a fitted
        scikit-learn Pipeline that ends with one, and whose other steps are scikit-learn's scalers, encoders and
        imputers, also in a ColumnTransformer, a FeatureUnion or a Pipeline.
    path : path
        The file, by custom with the ending ``.safetensors``. Its folder must exist.
    classes : iterable of int or str, optional
        Of a network only: the label of each class, in the order of the outputs, two for one output, else one for each
        output. ``edcore predict`` prints them. An estimator has its own.
    target : str, optional
        Of an estimator or a pipeline only: the name of the column that it predicts. Where a table has this column,
        ``edcore predict`` compares the predictions with it.
    overwrite : bool
        Replace an existing file. It is replaced as a whole, or stays as it is if writing fails.

    Raises
    ------
    InputError
        If an argument is not accepted, a step is of a class that files do not have or has a function for a parameter,
        a weight is not finite, the file exists and `overwrite` is False, or `load` would refuse the file. Then nothing
        has changed.
    DataFileError
        If the file cannot be written. Then nothing has changed.

    Warns
    -----
    UserWarning
        If a parameter is left out that only learning needs and that is no plain value: callbacks, a source of random
        numbers, a pipeline's memory, a backend that is not installed. Set it again after `load`.

    Notes
    -----
    Arrays of other libraries become NumPy's: what is loaded takes NumPy arrays, also under scikit-learn's
    ``array_api_dispatch``.

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
    if isinstance(model, ED):
        labels = checked_classes(model.network, classes)
        if target is not None:
            raise InputError("target", shown(target), "None with an ED", "Save the estimator or the pipeline.")
    else:
        labels = None
        if classes is not None:
            raise InputError("classes", shown(classes), "None with an estimator", "It has its own classes.")
        if not isinstance(target, str | None):
            raise InputError("target", shown(target), "the name of a column, or None")
    try:
        file = checked_path("path", path)
        check_ending("path", file)
        write(file, model, classes=labels, target=target, new=not overwrite)
    except FileExistsError as error:
        fix = "Write overwrite=True to replace this one."
        raise InputError("path", repr(str(path)), "the name of a new file", fix) from error


def load(path: str | os.PathLike[str], *, backend: str | Backend | None = None, device: str | None = None) -> Any:
    """Return the network, the estimator or the pipeline of a file, ready to predict or to learn.

    Parameters
    ----------
    path : path
        A file of `save` or of ``edcore train --checkpoint``, written with any backend.
    backend, device : optional
        As for `ED`. They may differ from those that wrote the file, and replace the parameters of an estimator. Left
        out, they are ``"auto"`` for a network, and for an estimator its own parameters.

    Returns
    -------
    ED, EDClassifier, EDRegressor or Pipeline
        What was saved. A network has its weights, its rule, its seed and its epochs, an estimator also its parameters,
        ranges and classes. On the same backend and machine it predicts the same bits, and `fit` goes on (an estimator
        with ``warm_start``) as if it had never been saved.

    Raises
    ------
    DataFileError
        If the file cannot be read, is truncated, damaged, not edcore's, or of a newer edcore.
    InputError
        If the backend or the device is not accepted.
    BackendUnavailableError
        If a backend that was named cannot run here.

    Warns
    -----
    UserWarning
        If the steps of a pipeline were saved with another version of scikit-learn.
    """
    return read_model(path, backend, device)[1]


def read_model(path: str | os.PathLike[str], backend: str | Backend | None, device: str | None) -> tuple[Saved, Any]:
    """Return the header of a file, and its network, its estimator or its pipeline."""
    file = checked_path("path", path)
    with open_container(file) as container:
        document, size, arrays = _parts(file, container)
        saved = parse_header(file, document, size, arrays)
        weights = container.arrays([*saved.network.weight_shapes, EPOCHS])
    if saved.estimator is None:
        return saved, build(saved, weights, backend or "auto", device)
    _warn_of_scikit_learn(saved)
    model = _estimator(saved, document[TREE], {**arrays, **weights})
    estimator = last_of(model)
    if backend is not None:
        estimator.backend, estimator.device = backend, device
    elif device is not None:
        estimator.device = device
    with wrong_header(file):
        if not isinstance(estimator.backend, str | Backend) or not isinstance(estimator.device, str | None):
            raise TypeError(f"backend={estimator.backend!r:.50}, device={estimator.device!r:.50}")
    estimator.ed_ = build(saved, weights, estimator.backend, estimator.device)
    return saved, model


def inspect(path: str | os.PathLike[str]) -> Saved:
    """Return the header of a file. The weights are not read.

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
        return parse_header(file, *_parts(file, container))


def read(path: str | os.PathLike[str], prefix: str = "") -> tuple[Saved, Arrays]:
    """Return the header and the arrays of a file, with those whose keys begin with `prefix` if it is given."""
    file = checked_path("path", path)
    with open_container(file) as container:
        saved = parse_header(file, *_parts(file, container))
        others = [key for key in container.keys if prefix and key.startswith(prefix)]
        return saved, container.arrays([*saved.network.weight_shapes, EPOCHS, *others])


def _parts(path: Path, container: Container) -> tuple[dict[str, Any], int, Arrays]:
    """Return the document of an open file, its size, and the arrays of its estimator, if it has one."""
    document = container.document
    keys = [key for key in (LABELS, TREE) if document.get(key) == key]
    if document.get(TREE):
        keys += [key for key in container.keys if key.startswith(PREFIX)]
    arrays = container.arrays(keys)
    return _whole(path, document, arrays), path.stat().st_size, arrays


def _whole(path: Path, document: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return a document with the entries that were too long for a header and stand in arrays."""
    for key, words in ((LABELS, "its labels"), (TREE, "its estimator")):
        if document.get(key) == key:
            try:
                document = {**document, key: json_value(arrays[key].tobytes().decode())}
            except (ValueError, RecursionError) as error:
                raise damaged(path, f"{words} ({error!s:.100})") from error
    return document


def _estimator(saved: Saved, tree: Any, arrays: Arrays) -> Any:
    """Return the estimator or the pipeline of a file, with its network on the backend numpy."""
    with wrong_header(saved.path):
        own = {key: array for key, array in arrays.items() if key.startswith(PREFIX)}
        return put_together(tree, own, build(saved, arrays, "numpy", None))


@functools.cache
def _scikit_learn() -> str:
    return version(SCIKIT_LEARN)


def _warn_of_scikit_learn(saved: Saved) -> None:
    """Warn of steps of another version of scikit-learn, whose attributes may have another meaning."""
    if (written := saved.versions.get(SCIKIT_LEARN)) not in (None, here := _scikit_learn()):
        fix = "They may fail or predict something else. Install that version, or train again."
        warning = f"{saved.path}: its steps are of scikit-learn {written}; this is scikit-learn {here}. {fix}"
        warnings.warn(printable(warning), stacklevel=4)


def write(
    path: Path,
    model: Any,
    *,
    classes: tuple[int | str, ...] | None = None,
    target: str | None = None,
    x_range: tuple[float, float] | None = None,
    run: Mapping[str, Any] | None = None,
    arrays: Mapping[str, Any] | None = None,
    check: Callable[[Saved, Arrays], object] = lambda saved, arrays: None,
    new: bool = False,
) -> bytes:
    """Write a network, an estimator or a pipeline, with the options and arrays of a run if it has one.

    Return the header's bytes. What no reader would accept is an InputError, before the file is changed. `check` are a
    reader's further checks.
    """
    ed, tree, own = (model, None, {}) if isinstance(model, ED) else taken_apart(model)
    for key, array in (weights := ed.weights).items():
        if not np.isfinite(array).all():
            fix = "Learning has diverged; the file is unchanged. Smaller learning rates help."
            raise InputError("ed", f"NaN or infinite values in {key}", "finite weights", fix)
    try:
        arrays = {**weights, EPOCHS: ed.epochs.astype(np.int64), **own, **(arrays or {})}
        document = header_of(ed, classes, x_range, run)
        if tree is not None:
            document |= {"format": FORMAT, TREE: tree, "target": target}
            if has_foreign_steps(tree):
                document["versions"][SCIKIT_LEARN] = _scikit_learn()
        for key in (LABELS, TREE):
            if document.get(key) and len(json.dumps(json.dumps(document[key]))) > LARGEST_HEADER // 2:
                text, document[key] = json.dumps(document[key], ensure_ascii=False), key
                arrays[key] = np.frombuffer(text.encode(), np.uint8)
        content = pack(document, arrays)
        document = _whole(path, document_of(path, content), arrays)
        saved = parse_header(path, document, len(content), arrays)
        _check_arrays(saved, arrays)
        if tree is not None:
            _estimator(saved, document[TREE], arrays)
        check(saved, arrays)
    except (DataFileError, TypeError, ValueError, OverflowError, RecursionError) as error:
        reason = (error.what if isinstance(error, DamagedFileError) else str(error)).rstrip(".")
        fix = "Nothing was written. Set what is named here to another value."
        name, accepted = ("ed", "a network") if tree is None else ("model", "an estimator")
        raise InputError(
            name, f"what edcore.io.load would refuse: {reason}", f"{accepted} that can be read", fix
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
    ed = ED.from_network(
        network, saved.rule, seed=saved.seed, weights=weights, epochs=arrays[EPOCHS], backend=backend, device=device
    )
    ed.x_range = saved.x_range
    return ed


def _check_arrays(saved: Saved, arrays: Mapping[str, Any]) -> HostWeights:
    """Return the weights in the arrays of a file, or raise a DataFileError for a wrong array."""
    network, epochs = saved.network, arrays[EPOCHS]
    if epochs.dtype != np.int64 or epochs.shape != (network.heads,) or (epochs < 0).any():
        raise damaged(saved.path, "the epochs of its heads")
    try:
        return checked_weights(network, {key: arrays[key] for key in network.weight_shapes}, saved.rule.floor)
    except InputError as error:
        raise damaged(saved.path, str(error)) from error


def check_ending(name: str, path: Path) -> None:
    """Refuse the name of a new file whose ending stands for another format."""
    if OTHER_FORMATS.fullmatch(path.suffix):
        fix = (
            f"Files are in the format of safetensors, whatever their names. {str(path.with_suffix(''))!r} will do too."
        )
        raise InputError(name, repr(str(path)), f"a name such as {str(path.with_suffix('.safetensors'))!r}", fix)
