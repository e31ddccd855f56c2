"""Write the progress of a training run as events for TensorBoard."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from edcore.errors import DataFileError, InputError
from edcore.training.loop import Progress

EVENTS = "events.out.tfevents."
"""What the names of files of events begin with."""

FLUSH_SECONDS = 60.0
"""Seconds from one flush of the events to the next."""

MOST_READ = 2**14
"""Bytes of a file of events in which its command is looked for."""


class EventLog:
    """A folder of events. A resumed run hides older events of batches after `learnt`; a failure calls `warn` once."""

    def __init__(self, folder: Path, command: str, learnt: int, warn: Callable[[str], None]) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter
        from tensorboardX.summary import scalar, text

        self._folder, self._warn, self._event, self._scalar = folder, warn, Event, scalar
        self._flushed = time.monotonic()
        # Not tensorboardX's own SummaryWriter: it writes on a thread that ends at the first fault of the disk, and the
        # next event would then wait for ever.
        self._writer: Any = None
        if others := _of_other_runs(folder, command):
            fix = "Give it the folder that it began with, or a new one."
            raise InputError("tensorboard", f"{folder}, where {others} is of another run", "the run's own events", fix)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{EVENTS}{time.time():.6f}.{platform.node()}.{os.getpid()}"
            self._writer = RecordWriter(str(folder / name))
            self._write(file_version="brain.Event:2")
            if learnt:
                self._write(step=learnt + 1, session_log=SessionLog(status=SessionLog.START))
            else:
                # A folder's name may be no UTF-8.
                self._write(summary=text("command", command.encode("utf-8", "backslashreplace").decode("utf-8")))
            self._writer.flush()
        except Exception as error:  # not all of tensorboardX's errors are of the disk
            self._abandon()
            problem = f"{folder} cannot be written ({getattr(error, 'strerror', None) or error})"
            raise DataFileError(f"--tensorboard: {problem}. Give a folder on a disk with room.") from error

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._try(lambda: self._writer.close())

    def log(self, steps: Iterator[Progress]) -> Iterator[Progress]:
        """Yield the steps of a run, and log the error of each batch, and accuracy and speed at each evaluation."""
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
        """Write, unless an earlier write has failed."""
        if self._writer is None:
            return
        try:
            write()
        except Exception as error:  # not all of tensorboardX's errors are of the disk
            self._abandon()
            reason = getattr(error, "strerror", None) or error
            problem = f"{self._folder} cannot be written any more ({reason})"
            self._warn(f"--tensorboard: {problem}. The run goes on without it.")

    def _abandon(self) -> None:
        """Close the file and drop what could not be written."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(Exception):
                writer.close()


def _of_other_runs(folder: Path, command: str) -> str:
    """Return the name of a file of events that another run has begun, which its seed shows, or an empty text."""
    (seed,) = re.findall(r"--seed \d+", command)
    for file in sorted(folder.glob(f"{EVENTS}*")):
        with contextlib.suppress(OSError):
            with file.open("rb") as opened:
                begin = opened.read(MOST_READ)
            if b"edcore train " in begin and not re.search(rf"{seed}\b".encode(), begin):
                return file.name
    return ""
