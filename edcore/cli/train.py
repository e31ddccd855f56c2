"""The command ``edcore train``: its options, and what a run leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edcore.cli.options import BackendOption, ConfigOption, DeviceOption, DtypeOption, dataset_names, rule_names
from edcore.cli.run import Files, carry_out
from edcore.training.setup import DEPTH, PATTERN_SCHEDULE, SCHEDULES, WIDTH

DATA, NETWORK, LEARNING, SHOWN, FILES = "Data", "Network", "Learning", "What is shown", "Files"


def train(
    context: typer.Context,
    dataset: Annotated[
        str,
        typer.Option(
            help="digits, mnist, fashion_mnist, xor, or parity1 to parity20.",
            autocompletion=dataset_names,
            rich_help_panel=DATA,
        ),
    ] = "digits",
    data_dir: Annotated[
        Path, typer.Option(help="Folder that holds MNIST/raw or FashionMNIST/raw.", rich_help_panel=DATA)
    ] = Path("data"),
    classes: Annotated[
        str, typer.Option(help="Labels with commas between them, or all.", rich_help_panel=DATA)
    ] = "0,1",
    width: Annotated[int, typer.Option(help="Cells per stream of each layer.", rich_help_panel=NETWORK)] = WIDTH,
    depth: Annotated[
        int | None,
        typer.Option(
            help="Hidden layers.", show_default=f"{DEPTH}; 0 with kaneko, edla and modulo", rich_help_panel=NETWORK
        ),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            help="Of the cells: sigmoid, tanh, relu, relu6 or linear.",
            show_default="the rule's",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    u0: Annotated[
        float | None,
        typer.Option(
            help="Width of the sigmoid: the larger, the less saturated.",
            show_default="the rule's; 0.4 in the article's",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    rms: Annotated[
        bool | None,
        typer.Option(
            "--rms/--no-rms",
            help="Divide each layer's sums by their root mean square.",
            show_default="the rule's",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    initial_weight: Annotated[
        float | None,
        typer.Option(help="Scale of the initial weights.", show_default="the rule's", rich_help_panel=NETWORK),
    ] = None,
    initial_fan_in: Annotated[
        float | None,
        typer.Option(
            help="Divide them by the number of sources to this power; 0.5 suits any width.",
            show_default="the rule's; 0 in the article's",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            help="The variant: signed (the article's), split (with Kaneko's error), kaneko (his program), "
            "edla (Fujita's) or modulo (Diffusing Blame's: one network for all classes).",
            autocompletion=rule_names,
            rich_help_panel=LEARNING,
        ),
    ] = "signed",
    alpha: Annotated[
        float | None,
        typer.Option(
            help="Learning rate of all layers but the output layer.",
            show_default="the rule's",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    alpha_output: Annotated[
        float | None,
        typer.Option(help="Learning rate of the output layer.", show_default="the rule's", rich_help_panel=LEARNING),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Samples in a batch.", show_default=f"64; digits {SCHEDULES['digits'][1]}", rich_help_panel=LEARNING
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the training samples.",
            show_default=f"1; digits {SCHEDULES['digits'][0]}; xor and parity {PATTERN_SCHEDULE[0]}",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of the weights and of the shuffling.",
            show_default="a fresh one, printed",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    backend: BackendOption = "auto",
    device: DeviceOption = None,
    dtype: DtypeOption = "float32",
    eval_every: Annotated[int, typer.Option(help="Batches from one test to the next.", rich_help_panel=SHOWN)] = 50,
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
        int, typer.Option(help="Batches from one writing of the checkpoint to the next.", rich_help_panel=FILES)
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
) -> None:
    """Train a network: with no options, a deep one on the zeros and ones of scikit-learn's digits.

    Ctrl-C stops after the batch that is being learnt; checkpoint, plot and report are still written.
    """
    files = Files(plot=plot, report=report, tensorboard=tensorboard, checkpoint=checkpoint, every=every, resume=resume)
    raise typer.Exit(carry_out(context, files, diagnose=diagnose, json=json))
