"""Carry out a run of ``edcore train``: train, show the progress, write the files, and stop at a signal."""

from __future__ import annotations

import json as json_format
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import typer

from edcore import training
from edcore.arguments import whole_number
from edcore.cli.options import (
    check_different,
    check_package,
    check_picture,
    check_writable,
    nearest_existing,
    write_file,
)
from edcore.cli.show import ProgressDisplay, Snapshots, describe, show_diagnosis
from edcore.console import plain_console
from edcore.errors import DivergedError, EDCoreError, InputError
from edcore.interrupts import Stop
from edcore.training import History, Progress
from edcore.training.checkpoint import Checkpoint
from edcore.training.setup import TrainingRun


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """The files that a run reads and writes, from the options of ``edcore train``."""

    plot: Path | None
    report: Path | None
    tensorboard: Path | None
    checkpoint: Path | None
    every: int  # batches from one write of the checkpoint to the next
    resume: Path | None
    config: Path | None

    @property
    def saved(self) -> Path | None:
        """The checkpoint that the run writes."""
        return self.checkpoint or self.resume

    @property
    def replaces(self) -> bool:
        """Whether the run replaces the checkpoint that it goes on from, perhaps under another name."""
        one, other = self.saved, self.resume
        return bool(one and other and one.exists() and other.exists() and one.samefile(other))

    def check(self) -> None:
        """Refuse, before anything is learnt, a file that cannot be written or that another option would overwrite."""
        whole_number("every", self.every, 1)
        written = {"plot": self.plot, "report": self.report, "tensorboard": self.tensorboard}
        for name, path in (("config", self.config), ("checkpoint", self.saved), ("resume", self.resume)):
            check_different(**{name: path}, **written)
        check_picture("plot", self.plot)
        check_picture("report", self.report, (".html",))
        check_writable("checkpoint", self.checkpoint)
        if self.tensorboard:
            if not nearest_existing(self.tensorboard).is_dir():
                raise InputError("tensorboard", repr(str(self.tensorboard)), "a folder, which may be new")
            check_package("tensorboardX", "tensorboard", "--tensorboard")

    def check_new(self) -> None:
        """Refuse to overwrite a checkpoint, except the one that the run goes on from."""
        if self.checkpoint and self.checkpoint.exists() and not self.replaces:
            fix = f"If it holds a run, --resume {self.checkpoint} goes on with it."
            raise InputError("checkpoint", repr(str(self.checkpoint)), "the name of a new file", fix)


def carry_out(run: TrainingRun, files: RunFiles, *, diagnose: bool, json: bool) -> int:
    """Train to the end, or until a signal comes, and return the exit code: 0, or 128 plus the signal's number."""
    ed, data, state, learnt = run.ed, run.data, run.state, run.learnt
    checkpoint = None
    if files.saved:
        checkpoint = Checkpoint(files.saved, files.every, ed, data, state, _warn, new=not files.replaces)
    console = plain_console(stderr=json)
    shown, snapshots = ProgressDisplay(console, learnt), Snapshots(ed, data, wanted=bool(files.plot or files.report))
    stop, failed = Stop(), list[EDCoreError]()  # what fails at the end keeps nothing else from being done
    with ExitStack() as stack:
        steps: Iterator[Progress] = training.train(
            ed,
            data,
            epochs=state.epochs,
            batch_size=state.batch_size,
            eval_every=state.eval_every,
            learnt=[learnt.latest] if learnt.latest else [],
        )
        steps = _record(steps, learnt)
        if files.tensorboard:
            from edcore.training.tensorboard import EventLog

            steps = stack.enter_context(EventLog(files.tensorboard, run.command, len(learnt), _warn)).log(steps)
        if checkpoint:
            try:
                checkpoint.write(learnt, retry=True)  # a disk that refuses it costs no training
            except FileExistsError:
                files.check_new()  # another program has written the file since the first check
                raise
            steps = checkpoint.save_during(steps, learnt)
        stack.enter_context(stop)
        try:
            shown.follow(stop.until(snapshots.follow(steps)))
        except KeyboardInterrupt:
            # The second signal, or one in a thread that cannot hold it back: a batch may be half learnt, so the
            # checkpoint stays as it was last written.
            shown.summarise(ed, data)
            if checkpoint:
                console.print(f"\n{files.saved} stands at batch {checkpoint.written:,}", soft_wrap=True)
            return 128 + (stop.signal or signal.SIGINT)
        except DivergedError:
            if checkpoint:
                _warn(f"{files.saved} stands at batch {checkpoint.written:,}, where it was last written.")
            raise
        except InputError:  # another program has written the checkpoint
            shown.summarise(ed, data)
            raise
        except (OSError, SystemExit):  # the reader of stdout has gone; this comes between two batches
            if checkpoint:
                checkpoint.write(learnt, retry=True)
            raise
        if checkpoint:
            stop.ending = True
            try:
                checkpoint.write(learnt, retry=True)
            except EDCoreError as error:
                failed.append(error)
    shown.summarise(ed, data)
    if files.saved and not failed:
        console.print(f"\nsaved in {files.saved}; to use it: edcore predict {files.saved} DATA", soft_wrap=True)
    if json:
        summary = shown.as_dict(ed, data) | {"command": run.command}
        typer.echo(json_format.dumps(summary, allow_nan=False))
    if diagnose and not stop.signal:
        try:
            show_diagnosis(ed, data, console)
        except EDCoreError as error:
            failed.append(error)
    failed += _draw(files, run, snapshots)
    for one in failed[:-1]:
        _warn(str(one))
    if failed:
        raise failed[-1]
    return 128 + stop.signal if stop.signal else 0


def _draw(files: RunFiles, run: TrainingRun, snapshots: Snapshots) -> Iterator[EDCoreError]:
    """Draw the run, and write its report; yield an error for each that fails."""
    ed, data, learnt = run.ed, run.data, run.learnt
    from edcore.plots.canvas import plain_text, rendered  # here, so that the other commands start faster

    def plot(kind: str) -> bytes:
        from edcore.plots import training_summary

        return rendered(training_summary(ed, data, learnt, snapshots.found, at=snapshots.at), kind)

    def report(kind: str) -> bytes:
        from edcore.plots.report import html

        setting, found, at = describe(ed, data), snapshots.found, snapshots.at
        return html(ed, data, learnt, diagnoses=found, at=at, setting=setting, command=run.command).encode()

    draw: Callable[[str], bytes]
    for name, path, draw in (("plot", files.plot, plot), ("report", files.report, report)):
        if path:
            try:
                if learnt.latest:
                    snapshots.add(learnt.latest)
                with plain_text():
                    content = draw(path.suffix[1:].lower())
                write_file(name, path, content)
            except EDCoreError as error:
                yield error
            except Exception as error:  # matplotlib has errors of all kinds
                reason = f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
                yield EDCoreError(f"--{name}: {path} cannot be drawn ({reason}).")


def _record(steps: Iterator[Progress], learnt: History) -> Iterator[Progress]:
    """Yield the steps of a run, and add each to `learnt`."""
    for progress in steps:
        learnt.add(progress)
        yield progress


def _warn(line: str) -> None:
    typer.echo(f"edcore: {line}", err=True)
