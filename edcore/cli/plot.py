"""The commands ``edcore plot`` and ``edcore report``, and how every command draws and announces its files."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console

from edcore.cli.options import PICTURES, check_different, check_new, check_picture, complete_from, flag, write_file
from edcore.cli.show import Snapshots, describe
from edcore.console import plain_console
from edcore.errors import EDCoreError, InputError, UnknownNameError
from edcore.interrupts import Stop
from edcore.io import Saved, networks
from edcore.io.estimators import last_of
from edcore.training import setup
from edcore.training.checkpoint import run_of
from edcore.training.setup import TrainingRun

SUMMARY = "summary"

OF_TABLES = "curve", "confusion"
"""The kinds of pictures that a run on a table has; the first stands for a summary."""


class Drawing(NamedTuple):
    """A file to draw: the option that names it, and what returns its content, for the ending of its name."""

    option: str
    path: Path
    content: Callable[[str], bytes]

    def announced(self) -> str:
        """Return the line that announces it."""
        return f"{'writing' if self.path.suffix.lower() == '.html' else 'drawing'} {self.path} …"


def draw(
    drawings: Sequence[Drawing], console: Console, stop: Stop, *, force: bool, kept: Path | None = None
) -> list[EDCoreError]:
    """Draw files one after the other, announce each, and return the errors of those that fail.

    A signal stops it. Then it says what was not written, and how to draw it from the file in which the run is kept.
    """
    from edcore.plots.canvas import plain_text  # here, so that the other commands start faster

    failed: list[EDCoreError] = []
    for number, one in enumerate(drawings):
        start = time.perf_counter()
        try:
            with stop.at_once():
                console.print(one.announced(), end=" ", soft_wrap=True)
                with plain_text():
                    content = one.content(one.path.suffix[1:].lower())
            write_file(one.option, one.path, content, new=not force)
        except KeyboardInterrupt:
            say_unwritten(drawings[number:], console, kept)
            break
        except EDCoreError as error:
            failed.append(error)
        except Exception as error:  # matplotlib has errors of all kinds
            if stop.pending:  # a library made an error of the signal
                say_unwritten(drawings[number:], console, kept)
                break
            reason = f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
            failed.append(EDCoreError(f"--{one.option}: {one.path} cannot be drawn ({reason})."))
        else:
            console.print(f"done in {time.perf_counter() - start:.1f} s")
            continue
        console.print("failed")
    return failed


def draw_alone(drawing: Drawing, console: Console, force: bool) -> None:
    """Draw the last file of a command: an error or a signal ends the command."""
    with Stop() as stop:
        stop.ending = True
        if failed := draw([drawing], console, stop, force=force):
            raise failed[0]
    if stop.late:
        raise typer.Exit(128 + stop.late)


def say_unwritten(drawings: Sequence[Drawing], console: Console, kept: Path | None = None) -> None:
    """Print which files were not written, as a signal came before, and the commands that make them of a kept run."""
    if drawings:
        console.print()
    for one in drawings:
        command = "report" if one.path.suffix.lower() == ".html" else "plot"
        later = f"; to make it: {shlex.join(['edcore', command, str(kept), '--out', str(one.path)])}" if kept else ""
        console.print(f"not written: {one.path}{later}", soft_wrap=True)


def rendered(figure: Any, ending: str) -> bytes:
    """Return a figure as the content of a file."""
    from edcore.plots import canvas

    return canvas.rendered(figure, ending)


def report_of(run: TrainingRun, snapshots: Snapshots) -> bytes:
    """Return the report of a run, as one HTML page."""
    from edcore.plots.report import html

    found, at, setting = snapshots.found, snapshots.at, describe(run.ed, run.data)
    page = html(run.ed, run.data, run.learnt, diagnoses=found, at=at, setting=setting, command=run.command)
    return page.encode()


def figure_of(run: TrainingRun, kind: str, snapshots: Snapshots) -> Any:
    """Return a picture of a run."""
    from edcore.plots.kinds import KINDS
    from edcore.plots.panels import Result

    return KINDS[kind].draw(Result(run.ed, run.data, run.learnt, snapshots.found, snapshots.at))


def learning_curve_of(estimator: Any) -> Any:
    """Return the learning curve of an estimator."""
    from edcore.plots import learning_curve

    return learning_curve(estimator)


def _kinds() -> Iterable[str]:
    from edcore.plots.kinds import KINDS

    return KINDS


RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A file of edcore train --checkpoint.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")]
DataDirOption = Annotated[
    Path | None, typer.Option(help="Folder that holds MNIST/raw or FashionMNIST/raw.", show_default="that of the run")
]
BackendOption = Annotated[str, flag("backend")]
DeviceOption = Annotated[str | None, flag("device")]


def plot(
    run: RunArgument,
    kind: Annotated[
        str,
        typer.Option(
            help="summary, curve, confusion, fields, boundary, layers, network, activities, weights, mistakes or "
            "outputs. A run on a table has curve and confusion.",
            autocompletion=complete_from(_kinds),
        ),
    ] = SUMMARY,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .png, .svg or .pdf.", show_default="RUN.png, or RUN-KIND.png"),
    ] = None,
    force: ForceOption = False,
    data: Annotated[
        str | None, typer.Option(metavar="FILE", help="The table of a run on a table.", show_default="that of the run")
    ] = None,
    data_dir: DataDirOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = None,
) -> None:
    """Draw a picture of a run that was kept, also while it goes on. The file of the run does not change."""
    saved = networks.inspect(run)
    path = out or run.with_name(f"{run.stem}{'' if kind == SUMMARY else f'-{kind}'}.png")
    _check(run, path, PICTURES, force)
    if kind not in _kinds():
        raise UnknownNameError("kind", kind, tuple(_kinds()))
    given = _given(data=data, data_dir=data_dir, backend=backend, device=device)
    if saved.estimator is None:
        figure = _of_run(_read(saved, given), kind)
    else:
        figure = _of_table(saved, OF_TABLES[0] if kind == SUMMARY else kind, given)
    draw_alone(Drawing("out", path, lambda ending: rendered(figure(), ending)), plain_console(), force)


def report(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="An .html.", show_default="RUN.html")] = None,
    force: ForceOption = False,
    data_dir: DataDirOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = None,
) -> None:
    """Write one page on a run that was kept, also while it goes on. The file of the run does not change."""
    saved = networks.inspect(run)
    path = out or run.with_suffix(".html")
    _check(run, path, (".html",), force)
    if saved.estimator is not None:
        fix = "edcore plot draws its learning curve."
        raise InputError("RUN", f"{str(run)!r}, which holds an estimator", "the file of a run on a data set", fix)
    found = _read(saved, _given(data_dir=data_dir, backend=backend, device=device))
    draw_alone(Drawing("out", path, lambda _: report_of(found, _snapshots(found))), plain_console(), force)


def _check(run: Path, path: Path, endings: tuple[str, ...], force: bool) -> None:
    """Refuse, before anything is computed, a file that cannot be written, or exists."""
    check_different(RUN=run, out=path)
    check_picture("out", path, endings)
    check_new("out", path, force)


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that are not left to the run."""
    return {name: value for name, value in options.items() if value not in (None, "auto")}


def _read(saved: Saved, given: dict[str, Any]) -> TrainingRun:
    """Return the run of a file, with its data set."""
    if run_of(saved) is None:
        fix = "It holds a network without a run; in Python, edcore.plots draws it."
        raise InputError("RUN", repr(str(saved.path)), "a file of edcore train --checkpoint", fix)
    if "data" in given:
        raise InputError("data", repr(given["data"]), "the table of a run on a table", "Leave it out.")
    return setup.resume(saved.path, given, fewer_epochs=False)


def _of_run(run: TrainingRun, kind: str) -> Callable[[], Any]:
    """Return a function that draws a picture of a run."""
    from edcore.plots.kinds import KINDS, check_kind
    from edcore.plots.panels import Result

    check_kind(kind, Result(run.ed, run.data, run.learnt))
    return lambda: figure_of(run, kind, _snapshots(run, wanted=KINDS[kind].diagnosed))


def _snapshots(run: TrainingRun, wanted: bool = True) -> Snapshots:
    return Snapshots(run.ed, run.data, wanted).add_last(run.learnt)


def _of_table(saved: Saved, kind: str, given: dict[str, Any]) -> Callable[[], Any]:
    """Return a function that draws a picture of a run on a table, or of an estimator."""
    if "data_dir" in given:
        raise InputError("data_dir", repr(str(given["data_dir"])), "the folder of a data set", "Leave it out.")
    if kind not in OF_TABLES:
        raise InputError("kind", f"{kind} for an estimator", f"one of {', '.join(OF_TABLES)}")
    if kind == "curve":
        _, model = networks.read_model(saved.path, given.get("backend"), given.get("device"))
        return lambda: learning_curve_of(last_of(model))
    from edcore.estimators import table_run
    from edcore.plots import confusion_matrix

    if table_run.TABLE not in (saved.run or {}):
        fix = "The file of this estimator does not say where its samples are: --kind curve needs none."
        raise InputError("kind", f"{kind} for {str(saved.path)!r}", "a file of edcore train --data --checkpoint", fix)
    run = table_run.resume(saved.path, given, fewer_epochs=False)
    if run.table.task != "classification":
        raise InputError("kind", f"{kind} for a regressor", "classes", "Regressors have --kind curve.")
    true, predicted = (part.tolist() for part in run.tested())
    classes = [*dict.fromkeys([*run.estimator.classes_.tolist(), *true])]
    places = {label: place for place, label in enumerate(classes)}
    right, found = ([places[label] for label in part] for part in (true, predicted))
    return lambda: confusion_matrix(right, found, classes)
