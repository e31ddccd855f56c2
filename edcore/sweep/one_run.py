"""One run of a sweep: it is made, learns, is tested, and becomes a row of figures."""

from __future__ import annotations

import functools
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arrays import HostWeights
from edcore.datasets.catalogue import Dataset
from edcore.environment import VERSION
from edcore.errors import DataFileError, EDCoreError
from edcore.model.classes import ROWS_AT_ONCE, accuracy, targets
from edcore.model.ed import ED
from edcore.sweep.options import Value, defaults
from edcore.training.setup import begun, data_of

Row: TypeAlias = dict[str, Any]
"""The figures of a run, by the names of their columns."""


LONGEST = 2000
"""Characters of the column ``failed``: a compiler's error can be a whole program, and a table's reader has a limit."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as it is handed to a worker.

    Parameters
    ----------
    number : int
        Its number in the sweep.
    seed : int
        Its seed.
    options : tuple of (str, value)
        The options that were given.
    version : str
        The version of edcore that hands it out.
    """

    number: int
    seed: int
    options: tuple[tuple[str, Value], ...]
    version: str


def carried_out(run: Run) -> Row:
    """Carry out a run and return its row.

    Parameters
    ----------
    run : Run
        The run.

    Returns
    -------
    dict
        Its row, without the column ``sweep``.

    Raises
    ------
    EDCoreError
        If the worker has another version of edcore. Any other error is told in the row.
    """
    if VERSION != run.version:
        fix = "Install the same one everywhere."
        raise EDCoreError(f"a worker has edcore {VERSION}, and this program has {run.version}. {fix}")
    options = dict(run.options)
    row: Row = {"run": run.number, "seed": run.seed, **options}
    row |= dict.fromkeys(("accuracy", "error", "learnt_epochs", "seconds", "weights"))
    row |= {"backend": options.get("backend", "auto"), "device": options.get("device"), "failed": None}
    try:
        return row | _learnt(run)
    except EDCoreError as error:
        return row | {"failed": _sentence(str(error))}
    except MemoryError:
        return row | {"failed": "there is not enough memory"}
    except Exception as error:  # a backend can raise anything, and the other runs are none the worse
        return row | {"failed": _sentence(f"{type(error).__name__}: {error}")}


def _sentence(text: str) -> str:
    """Return a text as one line that can be written in UTF-8, and read as one cell of a table."""
    line = " ".join(text.encode("utf-8", "backslashreplace").decode("utf-8").split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 2]} …"


def buildable(run: Run, local: bool) -> None:
    """Refuse a run that could not begin.

    Parameters
    ----------
    run : Run
        The run.
    local : bool
        Whether it is made here, so that its backend and its data must be here.
    """
    options = _options(run)
    if not local:
        options |= {"backend": "auto", "device": None}
    try:
        begun(options, kept=False, data=_data_of(options))
    except DataFileError:
        if local:
            raise


def _learnt(run: Run) -> Row:
    """Return what comes out of a run."""
    options = _options(run)
    data = _data_of(options)
    started = begun(options, kept=False, data=data)
    ed, told = started.ed, started.run
    ed.predict(data.x_train[:1])  # now it has its backend and its initial weights: that is no training
    target = targets(data.y_train, ed.network.columns)
    start = time.perf_counter()
    ed.fit(
        data.x_train,
        target,
        epochs=told.epochs,
        batch_size=told.batch_size,
        tolerance=options["tolerance"],
    )
    ed.synchronize()
    seconds = time.perf_counter() - start
    return {
        "accuracy": accuracy(ed, data.x_test, data.y_test),
        "error": _mean_error(ed, data.x_train, target),
        "learnt_epochs": int(ed.epochs.max()),
        "seconds": seconds,
        "weights": _sha256(ed.weights),
        "backend": ed.backend,
        "device": ed.device,
    }


def _options(run: Run) -> dict[str, Any]:
    """Return all options of a run, as ``edcore train`` has them."""
    return defaults() | {"tolerance": 0.0} | dict(run.options) | {"seed": run.seed}


def _data_of(options: dict[str, Any]) -> Dataset:
    return _data(*(options[name] for name in ("dataset", "data_dir", "classes", "dtype")))


@functools.lru_cache(maxsize=2)  # the runs that follow each other in a process mostly have the same
def _data(dataset: str, data_dir: str | Path, classes: str, dtype: str) -> Dataset:
    return data_of({"dataset": dataset, "data_dir": data_dir, "classes": classes, "dtype": dtype})


def _mean_error(ed: ED, x: npt.NDArray[Any], target: npt.NDArray[Any]) -> float:
    """Return the mean of abs(target − output) over all samples and outputs."""
    total = 0.0
    for start in range(0, len(x), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        total += float(abs(target[rows] - ed.predict(x[rows])).sum(dtype=np.float64))
    return total / target.size


def _sha256(weights: HostWeights) -> str:
    """Return a checksum of weights: the same on two machines if all bits are."""
    sha256 = hashlib.sha256()
    for key, value in weights.items():
        sha256.update(f"{key} {value.dtype} {value.shape} ".encode())
        sha256.update(np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes())
    return sha256.hexdigest()
