"""What ``edcore train --tensorboard`` writes: events that TensorBoard shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from edcore.training import Progress

__all__ = ["Logbook"]


class Logbook:
    """A folder of events. TensorBoard shows the runs of several such folders beside each other.

    Parameters
    ----------
    folder : Path
        The folder, there already or not.
    command : str
        What repeats the run, shown as a text.
    learnt : int
        Batches learnt before the run goes on: what was logged of later ones is left out.
    """

    def __init__(self, folder: Path, command: str, learnt: int) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=learnt + 1 if learnt else None)
        if not learnt:
            self._writer.add_text("command", command)

    def __enter__(self) -> Logbook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.close()

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
            self._writer.add_scalar("error/batch", progress.error, progress.batch)
            if progress.accuracy is not None:
                self._writer.add_scalar("accuracy/test", progress.accuracy, progress.batch)
                speed = progress.samples / progress.seconds if progress.seconds else 0.0
                self._writer.add_scalar("speed/samples per second", speed, progress.batch)
            yield progress
