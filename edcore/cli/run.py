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

from edcore.arguments import whole_number
from edcore.cli.options import check_different, check_package, check_picture, check_writable, nearest, write_file
from edcore.cli.show import RunReport, Snapshots, setting, show_diagnosis
from edcore.console import plain_console
from edcore.errors import DivergedError, InputError
from edcore.files.locking import locked
from edcore.interrupts import Stop
from edcore.training import loop as training
from edcore.training.checkpoint import Checkpoint
from edcore.training.loop import Progress
from edcore.training.setup import Started, begun, resumed


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
        whole_number("every", self.every, 1)
        check_different(checkpoint=self.kept, plot=self.plot, report=self.report, tensorboard=self.tensorboard)
        check_different(resume=self.resume, plot=self.plot, report=self.report, tensorboard=self.tensorboard)
        check_picture("plot", self.plot)
        check_picture("report", self.report, (".html",))
        check_writable("checkpoint", self.checkpoint)
        if self.tensorboard:
            if not nearest(self.tensorboard).is_dir():
                raise InputError("tensorboard", repr(str(self.tensorboard)), "a folder, there already or not")
            check_package("tensorboardX", "tensorboard", "--tensorboard")

    def check_new(self) -> None:
        """Refuse a checkpoint that is there already, but for the one that the run goes on from."""
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
    with locked(files.kept):  # before anything is read that another run may be about to replace
        files.check_new()
        return _carried_out(context, files, diagnose, json)


def _carried_out(context: typer.Context, files: Files, diagnose: bool, json: bool) -> int:
    """Do what `carry_out` does, once nobody else keeps a run in its file."""
    started = resumed(context, files.resume) if files.resume else begun(context.params, kept=bool(files.kept))
    ed, data, run, learnt = started.ed, started.data, started.run, started.learnt
    kept = None
    if files.kept:
        kept = Checkpoint(files.kept, files.every, ed, data, run, _warn, new=not _same(files.kept, files.resume))
    console = plain_console(stderr=json)
    shown, snapshots = RunReport(console, learnt), Snapshots(ed, data, wanted=bool(files.plot or files.report))
    stop = Stop()
    with ExitStack() as stack:
        steps: Iterator[Progress] = training.train(
            ed, data, epochs=run.epochs, batch_size=run.batch_size, eval_every=run.eval_every, learnt=tuple(learnt)
        )
        steps = _recorded(steps, learnt)
        if files.tensorboard:
            from edcore.training.tensorboard import Logbook

            steps = stack.enter_context(Logbook(files.tensorboard, started.command, len(learnt), _warn)).logged(steps)
        if kept:
            try:
                # Now, so that a folder or a disk that does not take it is known before anything is learnt.
                kept.write(learnt)
            except FileExistsError:
                files.check_new()  # it has come up in the meantime
                raise
            steps = kept.kept(steps, learnt)
        stack.enter_context(stop)
        try:
            shown.follow(stop.until(snapshots.taken(steps)))
        except KeyboardInterrupt:  # the second one, or one while nothing could be held back: a batch may be half learnt
            shown.summarise(ed, data)
            if kept:
                console.print(f"\n{files.kept} stands at batch {kept.written:,}", soft_wrap=True)
            return 128 + (stop.signal or signal.SIGINT)
        except DivergedError:
            if kept:
                _warn(f"{files.kept} stands at batch {kept.written:,}, as it was written last.")
            raise
        except (OSError, SystemExit):  # whoever was shown it has gone, and learning is between two batches
            if kept:
                kept.write(learnt)
            raise
        if kept:
            stop.ending = True
            kept.write(learnt)
    shown.summarise(ed, data)
    if files.kept:
        console.print(f"\nkept in {files.kept}: edcore predict {files.kept} DATA uses it", soft_wrap=True)
    if diagnose and not stop.signal:
        show_diagnosis(ed, data, console)
    _draw(files, started, snapshots)
    if json:
        told = shown.as_dict(ed, data) | {"command": started.command}
        typer.echo(json_format.dumps(told, allow_nan=False))
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
        from edcore.plots.report import html

        page = html(ed, data, learnt, diagnoses=found, at=at, setting=setting(ed, data), command=started.command)
        write_file("report", files.report, page.encode())


def _recorded(steps: Iterator[Progress], learnt: list[Progress]) -> Iterator[Progress]:
    """Go through a run, and add each batch to those learnt."""
    for progress in steps:
        learnt.append(progress)
        yield progress


def _same(one: Path, other: Path | None) -> bool:
    return other is not None and one.exists() and other.exists() and one.samefile(other)


def _warn(line: str) -> None:
    typer.echo(f"edcore: {line}", err=True)
