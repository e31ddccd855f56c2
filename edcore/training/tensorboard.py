"""What ``edcore train --tensorboard`` writes: events that TensorBoard shows."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from edcore.errors import DataFileError
from edcore.training.loop import Progress

FLUSH_SECONDS = 60.0
"""Seconds from one time that events are handed to the disk to the next."""


class Logbook:
    """A folder of events. TensorBoard shows the runs of several such folders beside each other.

    tensorboardX's own ``SummaryWriter`` writes on a thread that ends at the first fault of the disk; the next event
    would then wait for ever. So its events are written here, one by one.

    Parameters
    ----------
    folder : Path
        The folder, there already or not.
    command : str
        What repeats the run, shown as a text.
    learnt : int
        Batches learnt before the run goes on: what was logged of later ones is left out.
    warn : callable
        Called with a sentence where events can no longer be written; the run goes on without them.

    Raises
    ------
    DataFileError
        If nothing can be written from the start.
    """

    def __init__(self, folder: Path, command: str, learnt: int, warn: Callable[[str], None]) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter
        from tensorboardX.summary import scalar, text

        self._folder, self._warn, self._event, self._scalar = folder, warn, Event, scalar
        self._flushed = time.monotonic()
        self._writer: Any = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{time.time():.6f}.{platform.node()}.{os.getpid()}"
            self._writer = RecordWriter(str(folder / name))
            self._write(file_version="brain.Event:2")
            if learnt:
                self._write(step=learnt + 1, session_log=SessionLog(status=SessionLog.START))
            else:
                self._write(summary=text("command", command))
            self._writer.flush()
        except OSError as error:
            self._abandon()
            told = f"{folder} cannot be written ({error.strerror or error})"
            raise DataFileError(f"--tensorboard: {told}. Give a folder on a disk with room.") from error

    def __enter__(self) -> Logbook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._try(lambda: self._writer.close())

    def logged(self, steps: Iterator[Progress]) -> Iterator[Progress]:
        """Go through a run and log the error of each batch, and accuracy and speed at each evaluation.

        Parameters
        ----------
        steps : iterator of Progress
            The run.

        Yields
        ------
        Progress
            Those of the run.
        """
        for progress in steps:
            self._try(partial(self._log, progress))
            yield progress

    def _log(self, progress: Progress) -> None:
        self._add("error/batch", progress.error, progress.batch)
        if progress.accuracy is not None:
            self._add("accuracy/test", progress.accuracy, progress.batch)
            speed = progress.samples / progress.seconds if progress.seconds else 0.0
            self._add("speed/samples per second", speed, progress.batch)
        if time.monotonic() > self._flushed + FLUSH_SECONDS:
            self._writer.flush()
            self._flushed = time.monotonic()

    def _add(self, name: str, value: float, batch: int) -> None:
        self._write(step=batch, summary=self._scalar(name, value))

    def _write(self, **fields: Any) -> None:
        self._writer.write(self._event(wall_time=time.time(), **fields).SerializeToString())

    def _try(self, write: Callable[[], None]) -> None:
        """Write, if that can still be done."""
        if self._writer is None:
            return
        try:
            write()
        except OSError as error:
            self._abandon()
            told = f"{self._folder} cannot be written any more ({error.strerror or error})"
            self._warn(f"--tensorboard: {told}. The run goes on without it.")

    def _abandon(self) -> None:
        """Let go of the file, with what the disk has not taken."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.close()
