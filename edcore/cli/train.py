"""The command ``edcore train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edcore.cli.options import FILES, ConfigOption, takes_train_options
from edcore.cli.run import RunFiles, carry_out
from edcore.cli.table import learn_table, saves_table
from edcore.errors import InputError
from edcore.files.locking import locked
from edcore.training import setup
from edcore.training.options import OF_TABLES, OF_TEXTS, SHOWN, TrainOptions
from edcore.training.texts import text_options


@takes_train_options
def train(
    command: typer.Context,
    diagnose: Annotated[
        bool,
        typer.Option(
            "--diagnose",
            help="Print at the end how saturated each layer is, and which are dead.",
            rich_help_panel=SHOWN,
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, and nothing else, on stdout.", rich_help_panel=SHOWN)
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the run: a .png, .svg or .pdf.", rich_help_panel=FILES),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write one page on the run: an .html.", rich_help_panel=FILES),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Overwrite the files of --plot and --report if they exist.", rich_help_panel=FILES
        ),
    ] = False,
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Log error and accuracy for TensorBoard.", rich_help_panel=FILES),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Keep the network and the state of the run in this file.", rich_help_panel=FILES
        ),
    ] = None,
    every: Annotated[
        int, typer.Option(help="Batches from one write of the checkpoint to the next.", rich_help_panel=FILES)
    ] = 50,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Go on with the run of a checkpoint, and keep it there: to the same bits as if it had never stopped.",
            rich_help_panel=FILES,
        ),
    ] = None,
    config: ConfigOption = None,
    **options: Any,
) -> None:
    """Train a network: with no options, a deep one on the zeros and ones of scikit-learn's digits.

    With --data and --target it learns to predict a column of your own table, with --text the next character of your own
    text, which edcore write then continues.

    Ctrl-C stops after the batch that is being learnt, with --data after the epoch; all files are still written, until
    it comes again.
    """
    files = RunFiles(
        plot=plot,
        report=report,
        tensorboard=tensorboard,
        checkpoint=checkpoint,
        every=every,
        resume=resume,
        config=config,
        force=force,
    )
    files.check()
    sources = {name: source.name for name in command.params if (source := command.get_parameter_source(name))}
    typed = {name for name, source in sources.items() if source != "DEFAULT"}
    given = {name: options[name] for name in options if name in typed}
    # Only a typed --epochs shortens a run: a file of options may be older than the checkpoint.
    fewer_epochs = sources.get("epochs") == "COMMANDLINE"
    with locked(files.saved):  # before anything is read that another run may be about to replace
        files.check_new()
        if any(name in typed for name in OF_TABLES) or (files.resume and saves_table(files.resume)):
            for name in ("diagnose", "report", "tensorboard", "every"):
                if name in typed:
                    raise InputError(name, "it for a table", "options of runs on a table", "Leave it out.")
            raise typer.Exit(learn_table(given, files, json=json, fewer_epochs=fewer_epochs))
        if files.resume:
            run = setup.resume(files.resume, given, fewer_epochs=fewer_epochs)
        else:
            begun = text_options(given) if any(name in typed for name in OF_TEXTS) else TrainOptions(**options)
            named_in = config if sources.get("data_dir") == "DEFAULT_MAP" else None
            run = setup.begin(begun, keep=bool(files.saved), named_in=named_in)
        code = carry_out(run, files, diagnose=diagnose, json=json)
    raise typer.Exit(code)
