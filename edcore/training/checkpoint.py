"""Checkpoints of training runs: write the state of a run into a file, and read it to go on to the same bits.

A checkpoint is a file of `edcore.io`, so everything that reads a network reads it. Beside the network it holds the
options of the run and its history. The random numbers need no state: the order of the samples follows
from the seed and the number of the epoch.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from edcore.arguments import whole_number
from edcore.contract.compilation import clock
from edcore.datasets.catalogue import Dataset
from edcore.errors import DataFileError, EDCoreError, InputError
from edcore.files.atomic import with_retries
from edcore.files.checksum import checksum
from edcore.files.container import damaged, header_bytes
from edcore.io import Saved, networks
from edcore.io.header import checked_classes
from edcore.model.classes import heads
from edcore.model.ed import ED
from edcore.training.history import PREFIX, History
from edcore.training.loop import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The options of a run, its data, and how far it has come: the entry "run" in the header of a file."""

    options: dict[str, str | float | bool | None]  # `options.KEPT`, as they were given; None for a default
    epochs: int
    batch_size: int
    eval_every: int
    samples: int
    data: str  # the fingerprint of the data set
    batch: int = 0  # batches learnt

    @property
    def batches(self) -> int:
        """Batches of the whole run."""
        return self.epochs * math.ceil(self.samples / self.batch_size)

    @property
    def text(self) -> str | None:
        """The file of a run on a text."""
        return cast(str | None, self.options.get("text"))

    def progress(self, batch: int, error: float, seconds: float, accuracy: float | None) -> Progress:
        """Return the progress after a batch; its counts follow from its number."""
        epoch, within = divmod(batch - 1, math.ceil(self.samples / self.batch_size))
        samples = epoch * self.samples + min((within + 1) * self.batch_size, self.samples)
        return Progress(epoch + 1, batch, self.batches, samples, error, seconds, accuracy)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunState:
        """Return the state in a file header, or raise a KeyError, TypeError or ValueError."""
        state = cls(**{field.name: values[field.name] for field in fields(cls)})
        for name in ("epochs", "batch_size", "eval_every", "samples"):
            whole_number(name, values[name], 1)
        options = state.options.values()
        if not isinstance(state.data, str) or any(
            type(value) not in (str, int, float, bool, type(None)) for value in options
        ):
            raise TypeError("wrong options or data")
        for name in ("dataset", "classes", "data_dir", "rule"):
            if not isinstance(state.options[name], str):
                raise TypeError(f"{name} is {state.options[name]!r:.50}")
        if not isinstance(state.text, str | None):
            raise TypeError(f"text is {state.text!r:.50}")
        if whole_number("batch", state.batch, 0) > state.batches:
            raise ValueError(f"{state.batch} batches of {state.batches}")
        return state


class Checkpoint:
    """The file of a run. `warn` gets a sentence when a write fails and the run goes on; `new` refuses an old file."""

    def __init__(
        self, path: Path, every: int, ed: ED, data: Dataset, state: RunState, warn: Callable[[str], None], new: bool
    ) -> None:
        self._path, self._every = path, every
        self._ed, self._state, self._warn = ed, state, warn
        self._classes = checked_classes(ed.network, data.classes)
        self._x_range = (float(data.x_train.min()), float(data.x_train.max()))
        self._stamp = None if new else _stamp(path)
        self._header = b"" if new else header_bytes(path)
        self._new = new
        self._clock = clock()  # at the start, or after the latest evaluation
        self.written = -1  # batches learnt when it was last written

    def write(self, learnt: History, *, retry: bool = False) -> None:
        """Write the state of the run after these batches, unless the file has it. A failure leaves the file as it was.

        With `retry`, a write that fails is tried again after a short wait, a few times. It raises a DataFileError, an
        InputError for what no reader would accept or for a file that another run writes, or a FileExistsError for a new
        file that is there already.
        """
        if self.written == len(learnt):
            return
        self._check_unchanged()
        # A progress has the seconds at its latest evaluation. A resumed run adds to these, so add the rest.
        evaluated = not learnt.latest or learnt.latest.accuracy is not None
        more_seconds = 0.0 if evaluated else clock() - self._clock
        arrays = learnt.to_arrays(more_seconds)

        def write() -> None:
            self._header = networks.write(
                self._path,
                self._ed,
                classes=self._classes,
                x_range=self._x_range,
                run=asdict(replace(self._state, batch=len(learnt))),
                arrays=arrays,
                check=_run_in,
                new=self._new,
            )

        with_retries(write) if retry else write()
        self.written, self._stamp, self._new = len(learnt), _stamp(self._path), False

    def _check_unchanged(self) -> None:
        """Refuse a file that another program has written since this run read or wrote it."""
        # The lock beside the file keeps other runs away, but not other programs, and some file systems have no locks.
        if self._stamp is None or (now := _stamp(self._path)) in (None, self._stamp):
            return
        # Other times say little: `touch` sets them, and programs that keep copies. The header has all checksums.
        with contextlib.suppress(DataFileError):
            if header_bytes(self._path) == self._header:
                self._stamp = now
                return
        given = f"{str(self._path)!r}, but another run is writing this file"
        raise InputError("checkpoint", given, "a file for one run", "Give each run its own --checkpoint.")

    def save_during(self, steps: Iterator[Progress], learnt: History) -> Iterator[Progress]:
        """Yield the steps of a run, and write the file every few batches; `learnt` includes the current batch."""
        for progress in steps:
            if progress.batch % self._every == 0:
                try:
                    self.write(learnt)
                except DataFileError as error:  # a disk that is full now may have room at the next write
                    self._warn(f"{error} The run goes on and tries again.")
            yield progress
            if progress.accuracy is not None:
                self._clock = clock()


def read(path: str | os.PathLike[str], backend: str, device: str | None) -> tuple[ED, RunState, History]:
    """Return the network, the state and the history of the run in a checkpoint; "auto" is the backend that wrote it."""
    saved, arrays = networks.read(path, PREFIX)
    state, learnt = _run_in(saved, arrays)
    if backend == "auto":  # another backend would differ in the last bits
        backend, device = saved.backend, device or saved.device or None
    return networks.build(saved, arrays, backend, device), state, learnt


def _run_in(saved: Saved, arrays: Mapping[str, Any]) -> tuple[RunState, History]:
    """Return the state and the history of the run in a file, or raise an error for a wrong value in them."""
    state = run_of(saved)
    if state is None:
        fix = "It holds a network without a run: edcore predict uses it, in Python edcore.io.load."
        raise InputError("resume", repr(str(saved.path)), "a file of edcore train --checkpoint", fix)
    try:
        learnt = History.from_arrays(arrays, state.batch, state.progress)
    except (KeyError, ValueError) as error:
        reason = f"it lacks {error.args[0]}" if isinstance(error, KeyError) else f"the history of its run: {error}"
        raise damaged(saved.path, reason) from error
    if saved.classes is None or (heads(len(saved.classes), saved.network.output_activation) != saved.network.columns):
        raise damaged(saved.path, "the classes of its outputs")
    return state, learnt


def run_of(saved: Saved) -> RunState | None:
    """Return the state of the run in a file; None if the file holds only a network, or an estimator."""
    if saved.run is None or saved.estimator is not None:
        return None
    try:
        return RunState.from_dict(saved.run)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise damaged(saved.path, f"its run: {' '.join(reason.split()):.200}") from error


def fingerprint(data: Dataset, *, text: bool = False) -> str:
    """Return a checksum of all samples: a run goes on to the same bits only on the same data."""
    if text:  # whose file may be moved; all windows but the first follow from y
        return checksum((data.x_train[0], data.y_train, data.y_test), prefix=repr(data.classes))
    arrays = (data.x_train, data.y_train, data.x_test, data.y_test)
    return checksum(arrays, prefix=repr((data.name, data.classes)))


def check_data(path: Path, state: RunState, data: Dataset) -> None:
    """Refuse data that are not those on which the run in this checkpoint started."""
    if fingerprint(data, text=state.text is not None) != state.data:
        other, fix = "other samples", "the folder of the same data with --data-dir"
        if state.text:
            other, fix = "other characters", "the same text with --text"
        raise EDCoreError(f"{path}: {data.name} has {other} here than where the run started. Give {fix}.")


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return numbers that change whenever the file is written; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def with_epochs(state: RunState, learnt: History, epochs: int) -> RunState:
    """Return a run's state with another number of epochs, of which its history is told."""
    state = replace(state, epochs=whole_number("epochs", epochs, 1))
    learnt.set_batches(state.batches)
    return state
