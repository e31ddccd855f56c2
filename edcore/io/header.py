"""The header of a network's file: the network, its rule, its seed and what else is known without the arrays."""

from __future__ import annotations

import contextlib
import operator
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edcore.arguments import value_range, whole_number
from edcore.core.activations import FUNCTIONS, LEARNT_WITH, REGISTER, changed, fingerprint
from edcore.core.network import Initial, Network
from edcore.core.rule import Rule, check_together
from edcore.environment import VERSION
from edcore.errors import DataFileError, InputError, shown
from edcore.files.container import Arrays, damaged
from edcore.io.estimators import SavedEstimator, checked_tree
from edcore.model.ed import ED

RANDOM_STATE = "PCG64(SeedSequence(seed, spawn_key=(purpose, head, layer or epoch))), so seed and epoch are all of it"
"""For other programs that read the header; see `edcore.core.randomness`."""

Value = TypeVar("Value", Network, Rule, Initial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """The header of a file, without its arrays.

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
        Seed of its initial weights and of its shuffling. With the epochs, it is the whole state of the random numbers.
    classes : tuple of int or str, or None
        The label of each class, if the network was saved with them.
    x_range : tuple of float, or None
        The least and the largest value in the x that it was trained on, if it was saved with them.
    backend, device : str
        The backend and the device that computed it last. Any other can go on with it.
    versions : dict of str to str
        The versions of edcore, Python and NumPy that wrote it.
    run : dict or None
        The options and the progress of a run of ``edcore train``, if the file is a checkpoint of one.
    estimator : SavedEstimator or None
        The steps, the features and the classes, if it is the file of an estimator or of a pipeline.
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
    estimator: SavedEstimator | None = None


def header_of(
    ed: ED, classes: tuple[int | str, ...] | None, x_range: tuple[float, float] | None, run: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the document that stands in the header of a network's file."""
    return {
        "network": {name: value for name, value in asdict(ed.network).items() if (name, value) not in LATER.items()},
        "rule": asdict(ed.rule),
        "seed": ed.seed,
        "random_state": RANDOM_STATE,
        "classes": classes,
        "x_range": x_range or ed.x_range,
        "backend": ed.backend,
        "device": ed.device or "",
        "versions": {"edcore": VERSION, "python": platform.python_version(), "numpy": np.__version__},
        "run": run and dict(run),
        **({"registered": registered} if (registered := fingerprint(ed.network)) else {}),
    }


def parse_header(path: Path, document: dict[str, Any], size: int, arrays: Arrays) -> Saved:
    """Return the header of a file of this size, or raise a DataFileError if a value of its document is wrong.

    `arrays` are at least those of its estimator, if it has one.
    """
    with wrong_header(path):
        registered = dict(document.get("registered", {}))
        for name in registered.keys() - FUNCTIONS.keys():
            raise DataFileError(f"{path}: its activation {name!r} is not registered here. {REGISTER.format(name)}")
        network = _value(Network, {**document["network"], "initial": _value(Initial, document["network"]["initial"])})
        check_together(network, rule := _value(Rule, document["rule"]))
        if other := changed(network, registered):
            raise DataFileError(f"{path}: its activation {other!r} is another function than here. {LEARNT_WITH}")
        return Saved(
            path=path,
            bytes=size,
            network=network,
            rule=rule,
            seed=whole_number("seed", document["seed"], 0),
            classes=checked_classes(network, document["classes"]),
            x_range=value_range("x_range", document["x_range"]),
            backend=_text(document["backend"]),
            device=_text(document["device"]),
            versions={_text(name): _text(version) for name, version in document["versions"].items()},
            run=None if document["run"] is None else dict(document["run"]),
            estimator=checked_tree(tree, arrays, document.get("target"))
            if (tree := document.get("estimator"))
            else None,
        )


@contextlib.contextmanager
def wrong_header(path: Path) -> Iterator[None]:
    """Make a DataFileError of the errors that wrong values of a document raise."""
    try:
        yield
    except DataFileError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise damaged(path, f"its header: {' '.join(what.split()).rstrip('.'):.200}") from error


def checked_classes(network: Network, classes: Iterable[Any] | None) -> tuple[int | str, ...] | None:
    """Return the labels of the classes, or refuse them: two for one output, else one for each output."""
    if classes is None:
        return None
    # A text is no list of labels, and a set has no order.
    fine = isinstance(classes, Iterable) and not isinstance(classes, str | bytes | set | frozenset)
    try:
        given = tuple(classes) if fine else None
    except Exception:  # what says that it can be gone through need not be so, as an array with no axis
        given = None
    wanted = max(2, network.columns)
    kinds: tuple[Callable[[Any], int | str], ...] = (_number, _text)
    for kind in kinds:
        try:
            labels = tuple(kind(label) for label in given or ())
        except (TypeError, OverflowError, UnicodeEncodeError):
            continue
        if len(labels) == len(set(labels)) == wanted:
            return labels
    accepted = (
        f"{wanted} different labels, all whole numbers of 64 bits or all texts in UTF-8, for {network.columns} outputs"
    )
    raise InputError("classes", shown(classes if given is None else given), accepted)


LATER = {"one_hot": 0}
"""Fields of `Network` that files of before lack, with their values then; with these they are not written."""


def _value(kind: type[Value], values: Any) -> Value:
    """Return a dataclass with these values for its fields, which must be all of them and no others."""
    names = {field.name for field in fields(kind)}
    if isinstance(values, dict):
        values = (LATER if kind is Network else {}) | values
    if not isinstance(values, dict) or values.keys() != names:
        given = sorted(set(values) ^ names) if isinstance(values, dict) else values
        raise ValueError(f"{kind.__name__} has missing or unknown fields: {given!r:.100}")
    return kind(**values)


def _number(label: Any) -> int:
    if isinstance(label, bool):
        raise TypeError
    return int(np.int64(operator.index(label)))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a text: {shown(value):.50}")
    value.encode()  # half of a UTF-16 pair cannot be printed, nor written to another file
    return value
