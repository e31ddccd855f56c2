"""How a run of ``edcore train`` goes on, is shown, is kept and ends."""

from __future__ import annotations

import io
import json as json_format
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import typer

from edcore import training
from edcore.checkpoint import Checkpoint
from edcore.cli_diagnose import Snapshots, show_diagnosis
from edcore.cli_options import check_picture, check_writable, plain_console, write_file
from edcore.cli_report import RunReport, setting
from edcore.cli_start import Started, begun, resumed
from edcore.errors import InputError
from edcore.stopping import Stop
from edcore.training import Progress

__all__ = ["Files", "carry_out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where a run leaves something, and what it goes on from.

    Parameters
    ----------
    plot, report, tensorboard, checkpoint, resume : Path or None
        As the options of ``edcore train``.
    every : int
        Batches from one writing of the checkpoint to the next.
    """

    plot: Path | None
    report: Path | None
    tensorboard: Path | None
    checkpoint: Path | None
    every: int
    resume: Path | None

    @property
    def kept(self) -> Path | None:
        """The file that the run is kept in."""
        return self.checkpoint or self.resume

    def check(self) -> None:
        """Refuse, before anything is learnt, what could not be written afterwards, or would be lost."""
        check_picture("plot", self.plot)
        check_picture("report", self.report, (".html",))
        check_writable("checkpoint", self.checkpoint)
        if self.tensorboard and self.tensorboard.is_file():
            raise InputError("tensorboard", repr(str(self.tensorboard)), "a folder, there already or not")
        if self.checkpoint and self.checkpoint.exists() and not _same(self.checkpoint, self.resume):
            fix = f"--resume {self.checkpoint} goes on with the run in this one, if it has one."
            raise InputError("checkpoint", repr(str(self.checkpoint)), "the name of a new file", fix)


def carry_out(context: typer.Context, files: Files, *, diagnose: bool, json: bool) -> int:
    """Learn, show and keep a run to its end, or until it is told to stop.

    Parameters
    ----------
    context : Context
        Has the options of ``edcore train``.
    files : Files
        Where it leaves something.
    diagnose : bool
        Print figures of each layer.
    json : bool
        Print one JSON object on stdout; all else goes to stderr.

    Returns
    -------
    int
        The exit code: 0, or 128 and the number of the signal that has stopped the run.
    """
    files.check()
    started = resumed(context, files.resume) if files.resume else begun(context.params, kept=bool(files.kept))
    ed, data, run, learnt = started.ed, started.data, started.run, started.learnt
    kept = None
    if files.kept:
        kept = Checkpoint(files.kept, files.every, ed, data, run, _warn)
    console = plain_console(stderr=json)
    shown, snapshots = RunReport(console, learnt), Snapshots(ed, data, wanted=bool(files.plot or files.report))
    stop = Stop()
    try:
        with ExitStack() as stack:
            steps: Iterator[Progress] = training.train(
                ed, data, epochs=run.epochs, batch_size=run.batch_size, eval_every=run.eval_every, learnt=tuple(learnt)
            )
            steps = _recorded(steps, learnt)
            if kept:
                # Now, so that a folder or a disk that does not take it is known before anything is learnt.
                kept.write(learnt)
                steps = kept.kept(steps, learnt)
            if files.tensorboard:
                from edcore.logbook import Logbook

                steps = stack.enter_context(Logbook(files.tensorboard, started.command, len(learnt))).logged(steps)
            stack.enter_context(stop)
            shown.follow(stop.until(snapshots.taken(steps)))
    except KeyboardInterrupt:  # the second one, or one while nothing could be held back: a batch may be half learnt
        shown.summarise(ed, data)
        return 128 + signal.SIGINT
    if kept:
        kept.write(learnt)
    shown.summarise(ed, data)
    if files.kept:
        console.print(f"\nkept in {files.kept}: edcore predict {files.kept} DATA uses it", soft_wrap=True)
    if diagnose and not stop.signal:
        show_diagnosis(ed, data, console)
    _draw(files, started, snapshots)
    if json:
        typer.echo(json_format.dumps(shown.as_dict(ed, data) | {"command": started.command}))
    return 128 + stop.signal if stop.signal else 0


def _draw(files: Files, started: Started, snapshots: Snapshots) -> None:
    """Draw the run, and write the page on it."""
    ed, data, learnt = started.ed, started.data, started.learnt
    if not (files.plot or files.report):
        return
    if learnt:
        snapshots.take(learnt[-1])
    found, at = snapshots.found, snapshots.at
    if files.plot:
        from edcore.plots import training_summary

        picture = io.BytesIO()
        training_summary(ed, data, learnt, found, at=at).savefig(picture, format=files.plot.suffix[1:])
        write_file("plot", files.plot, picture.getvalue())
    if files.report:
        from edcore.report import html

        page = html(ed, data, learnt, diagnoses=found, at=at, setting=setting(ed, data), command=started.command)
        write_file("report", files.report, page.encode())


def _recorded(steps: Iterator[Progress], learnt: list[Progress]) -> Iterator[Progress]:
    for progress in steps:
        learnt.append(progress)
        yield progress


def _same(one: Path, other: Path | None) -> bool:
    return other is not None and other.exists() and one.samefile(other)


def _warn(line: str) -> None:
    typer.echo(f"edcore: {line}", err=True)
