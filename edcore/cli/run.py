"""Carry out a run of ``edcore train``: train, show the progress, write the files, and stop at a signal."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edcore import training
from edcore.arguments import whole_number
from edcore.cli.options import (
    check_different,
    check_new,
    check_picture,
    check_writable,
    nearest_existing,
)
from edcore.cli.plot import SUMMARY, Drawing, draw, figure_of, rendered, report_of, say_unwritten
from edcore.cli.show import ProgressDisplay, Snapshots, show_diagnosis
from edcore.console import plain_console, print_json, say
from edcore.environment import check_package
from edcore.errors import DivergedError, EDCoreError, InputError
from edcore.interrupts import Stop
from edcore.io.networks import check_ending
from edcore.training import History, Progress
from edcore.training.checkpoint import Checkpoint
from edcore.training.options import as_options
from edcore.training.setup import TrainingRun
from edcore.training.tensorboard import EVENTS


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
    force: bool  # overwrite the plot and the report

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
        for name, path in (("plot", self.plot), ("report", self.report)):
            check_new(name, path, self.force)
        check_writable("checkpoint", self.checkpoint)
        if self.checkpoint and not self.replaces:
            check_ending("checkpoint", self.checkpoint)
        if self.tensorboard:
            if not nearest_existing(self.tensorboard).is_dir():
                raise InputError("tensorboard", repr(str(self.tensorboard)), "a folder, which may be new")
            check_package("tensorboardX", "tensorboard", "--tensorboard")
            if not self.resume and any(self.tensorboard.glob(f"{EVENTS}*")):
                fix = f"Give each run a folder: --tensorboard {self.tensorboard}/NAME. TensorBoard shows all of them."
                given = f"{str(self.tensorboard)!r}, which has the events of another run"
                raise InputError("tensorboard", given, "a folder without events", fix)

    def check_new(self) -> None:
        """Refuse to overwrite a checkpoint, except the one that the run goes on from."""
        if self.checkpoint and self.checkpoint.exists() and not self.replaces:
            fix = f"If it holds a run, --resume {self.checkpoint} goes on with it."
            raise InputError("checkpoint", repr(str(self.checkpoint)), "the name of a new file", fix)

    @property
    def to_go_on(self) -> str:
        """How to go on with a run that was stopped, in words."""
        if not self.saved:
            return "the run was not kept; with --checkpoint FILE a run can go on"
        return f"to go on: {shlex.join(['edcore', 'train', '--resume', str(self.saved)])}"

    def saved_in(self, word: str, argument: str, *, stopped: bool) -> str:
        """Where the run is kept, and the command that uses it with this argument, in words."""
        if not self.saved:
            return self.to_go_on if stopped else ""
        use = f"to use it: {shlex.join(['edcore', word, str(self.saved)])} {argument}"
        return f"saved in {self.saved}; {self.to_go_on if stopped else use}"


def carry_out(run: TrainingRun, files: RunFiles, *, diagnose: bool, json: bool) -> int:
    """Train to the end, or until a signal comes, and return the exit code: 0, or 128 plus the signal's number."""
    ed, data, state, learnt = run.ed, run.data, run.state, run.learnt
    checkpoint = None
    if files.saved:
        checkpoint = Checkpoint(files.saved, files.every, ed, data, state, warn, new=not files.replaces)
    console = plain_console(stderr=json)
    shown, snapshots = ProgressDisplay(console, learnt), Snapshots(ed, data, wanted=bool(files.plot or files.report))
    drawings = []
    if files.plot:
        drawings.append(
            Drawing(
                "plot", files.plot, lambda kind: rendered(figure_of(run, SUMMARY, snapshots.add_last(learnt)), kind)
            )
        )
    if files.report:
        drawings.append(Drawing("report", files.report, lambda _: report_of(run, snapshots.add_last(learnt))))
    stop, failed = Stop(), list[EDCoreError]()  # what fails at the end keeps nothing else from being done
    with ExitStack() as stack, ExitStack() as logs:
        steps: Iterator[Progress] = training.train(
            ed,
            data,
            epochs=state.epochs,
            batch_size=state.batch_size,
            eval_every=state.eval_every,
            decay=bool(state.options.get("decay")),
            learnt=[learnt.latest] if learnt.latest else [],
        )
        steps = _record(steps, learnt)
        if files.tensorboard:
            from edcore.training.tensorboard import EventLog

            steps = logs.enter_context(EventLog(files.tensorboard, run.command, len(learnt), warn)).log(steps)
        if checkpoint:
            try:
                checkpoint.write(learnt, retry=True)  # a disk that refuses it costs no training
            except FileExistsError:
                files.check_new()  # another program has written the file since the first check
                raise
            steps = checkpoint.save_during(steps, learnt)
        stack.enter_context(stop)
        try:
            shown.follow(stop.until(snapshots.follow(steps)), state.batches)
        except KeyboardInterrupt:
            # The second signal, or one in a thread that cannot hold it back: a batch may be half learnt, so the
            # checkpoint stays as it was last written.
            shown.summarise(ed, data)
            stands = f"{files.saved} stands at batch {checkpoint.written:,}; " if checkpoint else ""
            console.print(f"\n{stands}{files.to_go_on}", soft_wrap=True)
            say_unwritten(drawings, console)
            return 128 + (stop.signal or signal.SIGINT)
        except DivergedError:
            if checkpoint:
                warn(f"{files.saved} stands at batch {checkpoint.written:,}, where it was last written.")
            raise
        except InputError:  # another program has written the checkpoint
            shown.summarise(ed, data)
            raise
        except (OSError, SystemExit):  # the reader of stdout has gone; this comes between two batches
            if checkpoint:
                checkpoint.write(learnt, retry=True)
            raise
        logs.close()
        stop.ending = True
        if checkpoint:
            try:
                checkpoint.write(learnt, retry=True)
            except EDCoreError as error:
                failed.append(error)
        shown.summarise(ed, data)
        use = ("write", "--start TEXT") if state.text else ("predict", "DATA")
        if not failed and (line := files.saved_in(*use, stopped=bool(stop.signal))):
            console.print(f"\n{line}", soft_wrap=True)
        if json:
            print_json(shown.as_dict(ed, data) | {"command": run.command})
        try:
            if diagnose and not stop.signal:
                with stop.at_once():
                    show_diagnosis(ed, data, console)
        except KeyboardInterrupt:
            say_unwritten(drawings, console, files.saved)
        except EDCoreError as error:
            failed.append(error)
        if drawings and not stop.late:
            console.print()
            failed += draw(drawings, console, stop, force=files.force, kept=None if failed else files.saved)
    for one in failed[:-1]:
        warn(str(one))
    if failed:
        raise failed[-1]
    return 128 + stop.signal if stop.signal else 0


def _record(steps: Iterator[Progress], learnt: History) -> Iterator[Progress]:
    """Yield the steps of a run, and add each to `learnt`."""
    for progress in steps:
        learnt.add(progress)
        yield progress


def warn(line: str) -> None:
    """Print a line on stderr, in the words of the command line."""
    say(as_options(line), stderr=True)
