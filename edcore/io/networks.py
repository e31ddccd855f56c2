"""Networks in files: what one backend has learnt, any other one loads, on any machine.

A file is in the format of safetensors: arrays and a header, in which a JSON document says what network they are of. It
is written whole or not at all, and nothing in it is executed when it is read.
"""

from __future__ import annotations

import math
import operator
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edcore.arguments import whole_number
from edcore.contract.backend import Backend
from edcore.core.network import Initial, Network
from edcore.core.rule import Rule, check_together
from edcore.environment import VERSION
from edcore.errors import DataFileError, InputError
from edcore.files.container import Arrays, damaged, open_container, pack
from edcore.files.atomic import write_atomically
from edcore.model.ed import ED
from edcore.model.inputs import checked_weights

EPOCHS = "epochs"
"""Key of the epochs of each head."""

RANDOM_STATE = "PCG64(SeedSequence(seed, spawn_key=(purpose, head, layer or epoch))), so seed and epoch are all of it"
"""For whoever reads a header with another program: see `edcore.core.randomness`."""

Value = TypeVar("Value", Network, Rule, Initial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a file says of itself, without its arrays.

    Parameters
    ----------
    path : Path
        The file.
    bytes : int
        Its size.
    network : Network
        The network.
    rule : Rule
        How it learns.
    seed : int
        Seed of its initial weights and of its shuffling: with the epochs, all there is to the state of its random
        numbers.
    classes : tuple of int or str, or None
        The label of each class that its outputs tell apart, if it was saved with them.
    x_range : tuple of float, or None
        The least and the largest value in the x that it was trained on, if it was saved with them.
    backend, device : str
        What it was computed on last. Any other can go on with it.
    versions : dict of str to str
        The versions of edcore, Python and NumPy that have written it.
    run : dict or None
        The options of a run of ``edcore train`` and how far it has come, if the file is one of its checkpoints.
    """

    path: Path
    bytes: int
    network: Network
    rule: Rule
    seed: int
    classes: tuple[int | str, ...] | None
    x_range: tuple[float, float] | None
    backend: str
    device: str
    versions: dict[str, str]
    run: dict[str, Any] | None


def save(
    ed: ED,
    path: str | os.PathLike[str],
    *,
    classes: Iterable[int | str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a network into a file.

    Parameters
    ----------
    ed : ED
        The network. Its number of inputs must be known.
    path : path
        The file, by custom with the ending ``.safetensors``. Its folder must be there.
    classes : iterable of int or str, optional
        The label of each class, in the order of the outputs, for ``edcore predict`` to name them: two for one output,
        else one for each output.
    overwrite : bool
        Replace a file that is there. It is replaced as a whole, or left as it is where something goes wrong.

    Raises
    ------
    InputError
        If an argument is not accepted, a weight is not finite, or the file is there and is not to be replaced.
    DataFileError
        If it cannot be written. Then nothing has changed.

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
    """Return the network of a file, ready to predict or to learn on.

    Parameters
    ----------
    path : path
        A file that `save` or ``edcore train --checkpoint`` has written, with any backend.
    backend, device
        As for `ED`: they need not be those that the file was written with.

    Returns
    -------
    ED
        The network, with its weights, its rule, its seed and its epochs: `ED.fit` goes on to the same bits as if
        there had been no file, on the same backend and machine.

    Raises
    ------
    DataFileError
        If the file cannot be read, is truncated or damaged, is none of edcore's, or is of a newer edcore.
    InputError
        If the backend or the device is not accepted.
    BackendUnavailableError
        If a backend that was asked for by name cannot run here.
    """
    return build(*read(path), backend, device)


def inspect(path: str | os.PathLike[str]) -> Saved:
    """Return what a file says of itself. Its arrays are not read.

    Parameters
    ----------
    path : path
        As for `load`.

    Returns
    -------
    Saved
        What stands in its header.

    Raises
    ------
    DataFileError
        As for `load`.
    """
    file = checked_path("path", path)
    with open_container(file) as container:
        return _saved(file, container.document)


def read(path: str | os.PathLike[str], of_runs: Iterable[str] = ()) -> tuple[Saved, Arrays]:
    """Return what a file has: its header and its arrays, those of a run included if it is one's checkpoint."""
    file = checked_path("path", path)
    with open_container(file) as container:
        saved = _saved(file, container.document)
        return saved, container.arrays([*saved.network.weight_shapes, EPOCHS, *(of_runs if saved.run else ())])


def _saved(file: Path, document: dict[str, Any]) -> Saved:
    """Return what a file's document says, checked."""
    try:
        network = _value(Network, {**document["network"], "initial": _value(Initial, document["network"]["initial"])})
        check_together(network, rule := _value(Rule, document["rule"]))
        return Saved(
            path=file,
            bytes=file.stat().st_size,
            network=network,
            rule=rule,
            seed=whole_number("seed", document["seed"], 0),
            classes=checked_classes(network, document["classes"]),
            x_range=_range(document["x_range"]),
            backend=_text(document["backend"]),
            device=_text(document["device"]),
            versions={_text(name): _text(version) for name, version in document["versions"].items()},
            run=None if document["run"] is None else dict(document["run"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise damaged(file, f"its header: {' '.join(what.split()):.200}") from error


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
    """Write a network and what else belongs to a run; all but the weights is checked already."""
    document = {
        "network": asdict(ed.network),
        "rule": asdict(ed.rule),
        "seed": ed.seed,
        "random_state": RANDOM_STATE,
        "classes": classes,
        "x_range": x_range,
        "backend": ed.backend,
        "device": ed.device or "",
        "versions": {"edcore": VERSION, "python": platform.python_version(), "numpy": np.__version__},
        "run": run and dict(run),
    }
    for key, array in (weights := ed.weights).items():
        if not np.isfinite(array).all():
            fix = "Learning has diverged, and what was saved before stays as it is. Smaller learning rates help."
            raise InputError("ed", f"NaN or infinite values in {key}", "finite weights", fix)
    content = pack(document, {**weights, EPOCHS: ed.epochs.astype(np.int64), **(arrays or {})})
    try:
        write_atomically(path, content, new=new)
    except FileExistsError:
        raise
    except OSError as error:
        fix = "What was there before is as it was. Give a file in a folder that can be written to, on a disk with room."
        raise DataFileError(f"{path}: it cannot be written ({error.strerror or error}). {fix}") from error


def build(saved: Saved, arrays: Arrays, backend: str | Backend, device: str | None) -> ED:
    """Return the network that a file's header and arrays make."""
    epochs = arrays[EPOCHS]
    if epochs.dtype != np.int64 or epochs.shape != (saved.network.heads,) or (epochs < 0).any():
        raise damaged(saved.path, "the epochs of its heads")
    try:
        weights = checked_weights(
            saved.network, {key: arrays[key] for key in saved.network.weight_shapes}, saved.rule.floor
        )
    except InputError as error:
        raise damaged(saved.path, str(error)) from error
    return ED.from_network(
        saved.network, saved.rule, seed=saved.seed, weights=weights, epochs=epochs, backend=backend, device=device
    )


def checked_path(name: str, path: Any) -> Path:
    """Return a path, or refuse what is none under the argument's name."""
    try:
        file = Path(path)
    except TypeError:
        file = None
    if file is None or "\0" in str(file):
        raise InputError(name, repr(path), "the path of a file")
    return file


def checked_classes(network: Network, classes: Iterable[Any] | None) -> tuple[int | str, ...] | None:
    """Return the labels of the classes, or refuse them: two for one output, else one for each output."""
    if classes is None:
        return None
    given = None if isinstance(classes, str) or not isinstance(classes, Iterable) else tuple(classes)
    wanted = max(2, network.columns)
    kinds: tuple[Callable[[Any], int | str], ...] = (_number, _text)
    for one_kind in kinds:
        try:
            labels = tuple(one_kind(label) for label in given or ())
        except (TypeError, OverflowError, UnicodeEncodeError):
            continue
        if len(labels) == len(set(labels)) == wanted:
            return labels
    accepted = f"{wanted} different labels, all whole numbers or all texts, for {network.columns} outputs"
    raise InputError("classes", repr(classes if given is None else given), accepted)


def _value(kind: type[Value], values: Any) -> Value:
    """Return a dataclass of these fields: all of them and no others."""
    names = {field.name for field in fields(kind)}
    if not isinstance(values, dict) or values.keys() != names:
        given = sorted(set(values) ^ names) if isinstance(values, dict) else values
        raise ValueError(f"{kind.__name__} has not just its fields: {given!r:.100}")
    return kind(**values)


def _number(label: Any) -> int:
    if isinstance(label, bool):
        raise TypeError
    return int(np.int64(operator.index(label)))


def _range(values: Any) -> tuple[float, float] | None:
    if values is None:
        return None
    low, high = map(float, values)
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"x_range is {values}")
    return low, high


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"no text: {value!r:.50}")
    value.encode()  # half of a pair of UTF-16 could neither be printed nor written into another file
    return value
