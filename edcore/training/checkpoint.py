"""Runs of ``edcore train`` in files: where a run stands, and how it goes on as if it had never stopped.

A checkpoint is a file of `edcore.io`, so everything that reads a network reads it. Beside the network it has what the
run was told, and the progress after each batch. Random numbers have no state of their own: the order of samples
follows from the seed and the number of the epoch.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import whole_number
from edcore.datasets.catalogue import Dataset
from edcore.errors import DataFileError, EDCoreError, InputError
from edcore.files.container import damaged
from edcore.io import Saved, networks
from edcore.model.classes import heads
from edcore.model.ed import ED
from edcore.training.loop import Progress

ERROR, SECONDS, ACCURACY = "run.error", "run.seconds", "run.accuracy"
"""Keys of what `Progress` has for each batch; an accuracy that was not measured is NaN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run was told, on what data, and how far it has come.

    Parameters
    ----------
    options : dict
        Options of ``edcore train`` as they were given, but for those below; None where the default was taken.
    epochs, batch_size, eval_every : int
        As for `edcore.training.train`.
    samples : int
        Training samples.
    data : str
        The fingerprint of the data set, see `edcore.training.checkpoint.fingerprint`.
    batch : int
        Batches learnt.
    """

    options: dict[str, str | float | bool | None]
    epochs: int
    batch_size: int
    eval_every: int
    samples: int
    data: str
    batch: int = 0

    @property
    def batches(self) -> int:
        """Batches of the whole run."""
        return self.epochs * math.ceil(self.samples / self.batch_size)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Run:
        """Return the run of which a header tells; a ValueError, TypeError or KeyError where it tells of none."""
        run = cls(**{field.name: values[field.name] for field in fields(cls)})
        for name in ("epochs", "batch_size", "eval_every", "samples"):
            whole_number(name, values[name], 1)
        options = run.options.values()
        if not isinstance(run.data, str) or any(
            type(value) not in (str, int, float, bool, type(None)) for value in options
        ):
            raise TypeError("wrong options or data")
        for name in ("dataset", "classes", "data_dir", "rule"):
            if not isinstance(run.options[name], str):
                raise TypeError(f"{name} is {run.options[name]!r:.50}")
        if whole_number("batch", run.batch, 0) > run.batches:
            raise ValueError(f"{run.batch} batches of {run.batches}")
        return run


class Checkpoint:
    """The file that a run is kept in.

    Parameters
    ----------
    path : Path
        The file.
    every : int
        Batches from one time that it is written to the next.
    ed : ED
        The network that learns.
    data : Dataset
        What it learns.
    run : Run
        What the run was told.
    warn : callable
        Called with a sentence where the file could not be written while the run goes on.
    new : bool
        Whether the file must not be there yet.
    """

    def __init__(
        self, path: Path, every: int, ed: ED, data: Dataset, run: Run, warn: Callable[[str], None], new: bool
    ) -> None:
        self._path, self._every = path, every
        self._ed, self._run, self._warn = ed, run, warn
        self._classes, self._x_range = data.classes, (float(data.x_train.min()), float(data.x_train.max()))
        self._mark = None if new else _mark(path)
        self._new = new
        self._clock = time.perf_counter()  # at the start, or after the latest evaluation
        self.written = -1  # batches learnt when it was written last

    def write(self, learnt: Sequence[Progress]) -> None:
        """Write where the run stands, unless that is what the file has.

        Parameters
        ----------
        learnt : sequence of Progress
            All batches learnt so far.

        Raises
        ------
        DataFileError
            If it cannot be written. Then what was there before is as it was.
        InputError
            If a weight is not finite, or another run has written the file meanwhile. Likewise.
        FileExistsError
            If the file is to be new, and is there.
        """
        if self.written == len(learnt):
            return
        if self._mark is not None and _mark(self._path) not in (None, self._mark):
            fix = "Give each run a --checkpoint of its own."
            raise InputError("checkpoint", repr(str(self._path)), "a file that no other run writes meanwhile", fix)
        accuracy = [math.nan if progress.accuracy is None else progress.accuracy for progress in learnt]
        seconds = [progress.seconds for progress in learnt]
        if learnt and learnt[-1].accuracy is None:  # its seconds are those of the latest evaluation
            seconds[-1] += time.perf_counter() - self._clock
        networks.write(
            self._path,
            self._ed,
            classes=self._classes,
            x_range=self._x_range,
            run=asdict(replace(self._run, batch=len(learnt))),
            arrays={
                ERROR: np.array([progress.error for progress in learnt], np.float64),
                SECONDS: np.array(seconds, np.float64),
                ACCURACY: np.array(accuracy, np.float64),
            },
            new=self._new,
        )
        self.written, self._mark, self._new = len(learnt), _mark(self._path), False

    def kept(self, run: Iterator[Progress], learnt: Sequence[Progress]) -> Iterator[Progress]:
        """Go through a run and write it every so many batches.

        Parameters
        ----------
        run : iterator of Progress
            The run.
        learnt : sequence of Progress
            All batches learnt so far, the one that the run has just come to included.

        Yields
        ------
        Progress
            Those of the run.
        """
        for progress in run:
            if progress.batch % self._every == 0:
                try:
                    self.write(learnt)
                except DataFileError as error:  # a disk that is full now need not be so at the next time
                    self._warn(f"{error} The run goes on, and tries again.")
            yield progress
            if progress.accuracy is not None:
                self._clock = time.perf_counter()


def read(path: str | os.PathLike[str], backend: str, device: str | None) -> tuple[ED, Run, list[Progress]]:
    """Return what a checkpoint has: the network, what the run was told, and the batches learnt.

    Parameters
    ----------
    path : path
        The file.
    backend : str
        The backend to go on with; ``"auto"`` is the one that the file was written with, so that the bits are the same.
    device : str or None
        The device to go on on.

    Returns
    -------
    ed : ED
        The network.
    run : Run
        What the run was told.
    learnt : list of Progress
        The batches learnt.

    Raises
    ------
    DataFileError
        If the file cannot be read or is damaged.
    InputError
        If it is the file of a network and of no run.
    BackendUnavailableError
        If the backend cannot run here.
    """
    saved, arrays = networks.read(path, (ERROR, SECONDS, ACCURACY))
    run = run_of(saved)
    if run is None:
        fix = "edcore predict takes it; edcore.io.load loads it."
        raise InputError("resume", repr(str(path)), "a file of edcore train --checkpoint", fix)
    figures = [arrays[key] for key in (ERROR, SECONDS, ACCURACY)]
    if any(array.shape != (run.batch,) or array.dtype != np.float64 for array in figures):
        raise damaged(saved.path, "the progress of its batches")
    if saved.classes is None or heads(len(saved.classes)) != saved.network.columns:
        raise damaged(saved.path, "the classes of its outputs")
    if backend == "auto":
        backend, device = saved.backend, device or saved.device or None
    return networks.build(saved, arrays, backend, device), run, _progress(run, *figures)


def run_of(saved: Saved) -> Run | None:
    """Return the run of a file; None where the file holds a network alone."""
    if saved.run is None:
        return None
    try:
        return Run.from_dict(saved.run)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise damaged(saved.path, f"its run: {' '.join(what.split()):.200}") from error


def fingerprint(data: Dataset) -> str:
    """Return a checksum of all samples: a run goes on to the same bits only on the same data.

    Parameters
    ----------
    data : Dataset
        The data set.

    Returns
    -------
    str
        SHA-256, in hexadecimal digits.
    """
    sha256 = hashlib.sha256(repr((data.name, data.classes)).encode())
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        sha256.update(f"{array.dtype.str} {array.shape}".encode())
        sha256.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return sha256.hexdigest()


def check_data(path: Path, run: Run, data: Dataset) -> None:
    """Refuse data on which a run did not start.

    Parameters
    ----------
    path : Path
        The checkpoint.
    run : Run
        What the run was told.
    data : Dataset
        The data set.

    Raises
    ------
    EDCoreError
        If they are other data.
    """
    if fingerprint(data) != run.data:
        raise EDCoreError(
            f"{path}: the run started on other data than those of {data.name} that are found here, so it cannot go on. "
            "Give the folder of the same data as --data-dir."
        )


def _mark(path: Path) -> tuple[int, int] | None:
    """Return what tells one writing of a file from another; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _progress(run: Run, errors: Any, seconds: Any, accuracies: npt.NDArray[np.float64]) -> list[Progress]:
    """Return the progress of each batch; the counts follow from its number."""
    in_epoch, found = math.ceil(run.samples / run.batch_size), []
    columns = (errors.tolist(), seconds.tolist(), accuracies.tolist())
    for index, (error, at, accuracy) in enumerate(zip(*columns, strict=True)):
        epoch, within = divmod(index, in_epoch)
        samples = epoch * run.samples + min((within + 1) * run.batch_size, run.samples)
        told = None if math.isnan(accuracy) else accuracy
        found.append(Progress(epoch + 1, index + 1, run.batches, samples, error, at, told))
    return found


def longer(run: Run, learnt: list[Progress], epochs: int) -> tuple[Run, list[Progress]]:
    """Return a run, and what it has learnt, with another number of epochs."""
    run = replace(run, epochs=whole_number("epochs", epochs, 1))
    return run, [replace(progress, batches=run.batches) for progress in learnt]
