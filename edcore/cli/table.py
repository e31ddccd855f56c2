"""A run of ``edcore train --data``: learn from a user's table, show the progress, and write the files."""

from __future__ import annotations

import math
import signal
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from edcore.cli.plot import Drawing, draw, learning_curve_of, rendered
from edcore.cli.run import RunFiles, warn
from edcore.cli.show import describe_network
from edcore.console import bar, plain_console, print_json, print_pairs
from edcore.contract.compilation import clock
from edcore.environment import VERSION
from edcore.errors import DataFileError, DivergedError, EDCoreError
from edcore.interrupts import Stop
from edcore.io import networks

if TYPE_CHECKING:  # scikit-learn is slow to load, and other commands need none
    from edcore.estimators import EpochRecord
    from edcore.estimators.table_run import TableRun

LINES = 10
"""Lines of progress."""

SECONDS = 30.0
"""Least time from one write of the file to the next while the run goes on."""


def saves_table(path: Path) -> bool:
    """Return whether a file holds an estimator, and so perhaps a run on a table."""
    return networks.inspect(path).estimator is not None


def learn_table(given: Mapping[str, Any], files: RunFiles, *, json: bool, fewer_epochs: bool) -> int:
    """Learn to the end, or until a signal comes, and return the exit code: 0, or 128 plus the signal's number."""
    from edcore.estimators import table_run

    run = table_run.resume(files.resume, given, fewer_epochs) if files.resume else table_run.begin(given)
    console = plain_console(stderr=json)
    features = len(run.pipeline[0].get_feature_names_out())
    for note in run.table.notes:
        console.print(note, soft_wrap=True)
    summary = f"{run.table.name}: {run.table.summary(features)}"
    console.print(summary, soft_wrap=True)
    progress = _Progress(console, run, files)
    with Stop() as stop:
        try:
            progress.follow(stop)
        except KeyboardInterrupt:
            if progress.unprinted:
                progress.save()
                raise progress.unprinted from None
            stop.signal = stop.signal or signal.SIGINT
        except DivergedError:
            if progress.written:
                warn(f"{files.saved} stands at epoch {progress.written:,}, where it was last written.")
            raise
        except SystemExit:  # the reader of stdout has gone
            progress.save()
            raise
        stop.ending = True
        unsaved, undrawn = progress.save(), list[EDCoreError]()
        results, stopped = _results(run, progress.seconds, features), bool(stop.signal)
        console.print()
        print_pairs(console, _in_words(run, results, by_signal=stopped))
        advice = files.saved_in("predict", "NEW.csv", stopped=stopped)
        if advice and not unsaved and (run.learnt or not files.saved):
            console.print(f"\n{advice}", soft_wrap=True)
        if json:
            print_json(results)
        if files.plot and run.learnt:
            drawing = Drawing("plot", files.plot, lambda kind: rendered(learning_curve_of(run.estimator), kind))
            console.print()
            undrawn = draw([drawing], console, stop, force=files.force, kept=None if unsaved else files.saved)
    if unsaved:
        raise unsaved
    if undrawn:
        raise undrawn[0]
    return 128 + stop.signal if stop.signal else 0


class _Progress:
    """Shows the epochs of a run, and writes its file."""

    def __init__(self, console: Console, run: TableRun, files: RunFiles) -> None:
        self.written = run.learnt if files.replaces else 0  # epochs in the file
        self.seconds = 0.0
        self.unprinted: OSError | None = None
        self._console, self._run, self._files = console, run, files
        self._new = not files.replaces
        self._clock = 0.0

    def follow(self, stop: Stop) -> None:
        """Learn, and show it; after the epoch during which a signal comes, raise a KeyboardInterrupt."""
        before, start = self._run.learnt, clock()
        self._clock = time.perf_counter()
        printed, since = before, start
        shares = range(1, LINES + 1)
        shown = {before + -(-(self._run.epochs - before) * share // LINES) for share in shares}
        with bar(self._console, clock) as shown_bar, warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            task = shown_bar.add_task("epochs", total=self._run.epochs, completed=before)

            def after_epoch(record: EpochRecord) -> None:
                nonlocal printed, since
                try:
                    if record.epoch in shown or stop.signal:
                        seconds = (clock() - since) / (record.epoch - printed)
                        self._console.print(self._line(record, seconds))
                        printed, since = record.epoch, clock()
                    shown_bar.update(task, completed=record.epoch)
                except OSError as error:  # to the estimator it would undo the run
                    self.unprinted = error
                    raise KeyboardInterrupt from error
                if self._files.saved and time.perf_counter() - self._clock > SECONDS:
                    if failed := self.save():
                        warn(f"{failed} The run goes on and tries again.")
                    self._clock = time.perf_counter()
                if stop.signal:
                    raise KeyboardInterrupt  # to the estimator the run is interrupted, and can go on as if it were not

            try:
                self._run.learn(after_epoch)
            finally:
                self.seconds = clock() - start
        for sentence in dict.fromkeys(str(one.message) for one in warned):
            warn(sentence)

    def save(self) -> DataFileError | None:
        """Write the file unless it has the epochs that are learnt; return the error if it cannot be written."""
        file, learnt = self._files.saved, self._run.learnt
        if not file or not learnt or self.written == learnt:
            return None
        try:
            self._run.save(file, new=self._new)
        except FileExistsError:
            self._files.check_new()  # another program has written the file since the first check
            raise
        except DataFileError as error:
            return error
        self.written, self._new = learnt, False
        return None

    def _line(self, record: EpochRecord, seconds: float) -> str:
        width = len(str(self._run.epochs))
        score = record.validation_score
        name = "accuracy" if self._run.table.task == "classification" else "R²"
        held_out = "" if score is None else f"  {name} of those held out {_short(score)}"
        speed = f"{len(self._run.rows[0]) / seconds:,.0f} rows/s" if seconds else ""
        return f"epoch {record.epoch:{width}}/{self._run.epochs}  loss {_short(record.loss)}{held_out}  {speed}"


def _results(run: TableRun, seconds: float, features: int) -> dict[str, Any]:
    """Return the results, the table and the network, as values for JSON."""
    estimator, (train, test) = run.estimator, run.rows
    best = getattr(estimator, "best_validation_score_", None)
    results: dict[str, Any] = {
        **(run.scores() if run.learnt else {}),
        "task": run.table.task,
        "epoch": run.learnt,
        "epochs": run.epochs,
        "seconds": seconds,
        "data": run.data,
        "target": run.table.target,
        "classes": estimator.classes_.tolist() if hasattr(estimator, "classes_") else None,
        "rows": run.table.rows,
        "train_rows": len(train),
        "test_rows": len(test),
        "numbers": run.table.numbers,
        "texts": run.table.texts,
        "features": features,
        "gaps": run.table.gaps,
        "notes": run.table.notes,
        "best_validation_score": best if best is not None and math.isfinite(best) else None,
        "seed": run.seed,
        "edcore": VERSION,
        "command": run.command,
    }
    if run.learnt:
        ed = estimator.ed_
        results |= {"network": asdict(ed.network), "parameters": ed.network.parameters, "rule": asdict(ed.rule)}
        results |= {"backend": ed.backend, "device": ed.device}
    return results


def _in_words(run: TableRun, results: Mapping[str, Any], by_signal: bool) -> dict[str, str]:
    """Return the results, the table and the network in words, by their names."""
    if not run.learnt:
        return {"stopped": "before the first epoch was learnt"}
    lines: dict[str, str] = {}
    if run.learnt < run.epochs:
        why = "" if by_signal else ", as no rows held out were predicted better"
        lines["stopped"] = f"after {run.learnt:,} of {run.epochs:,} epochs{why}"
    tested = results["test_rows"] or results["train_rows"]
    rows = f"{tested:,} {'test' if results['test_rows'] else 'training'} rows"
    if run.table.task == "classification":
        lines["accuracy"] = f"{results['accuracy']:.2%} of {rows}"
        guess = f"the class that comes most often, {results['most_frequent']!r}"
        lines["to compare"] = f"{guess}, has {results['baseline_accuracy']:.2%}"
        lines["classes"] = ", ".join(map(str, results["classes"]))
    else:
        score, error = results["r2"], results["mean_absolute_error"]
        lines["R²"] = f"{'not defined' if score is None else _short(score)} on {rows}"
        lines["mean error"] = f"{'too large' if error is None else f'{error:.4g}'}, of |target − prediction|"
        guess, error = results["baseline_r2"], results["baseline_mean_absolute_error"]
        of_guess = "not defined" if guess is None else _short(guess)
        lines["to compare"] = f"the mean of the training rows has R² {of_guess} and mean error {error:.4g}"
    lines["target"] = f"{run.table.target}, {run.table.task}"
    lines["learnt from"] = f"{results['train_rows']:,} rows in {run.learnt:,} epochs, {results['seconds']:,.2f} s"
    return lines | describe_network(run.estimator.ed_) | {"seed": str(run.seed)}


def _short(number: float) -> str:
    return f"{number:.4f}" if abs(number) < 1e6 else f"{number:.4g}"
