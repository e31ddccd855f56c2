"""The commands ``edcore inspect`` and ``edcore predict``: what stands in a file, and what its network tells."""

from __future__ import annotations

import csv
import io
import json as json_format
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.table import Table

from edcore.cli.options import (
    BackendOption,
    DeviceOption,
    JsonOption,
    check_different,
    check_writable,
    dataset_names,
    write_file,
)
from edcore.console import plain_console
from edcore.datasets import catalogue as datasets
from edcore.datasets.user_files import read_samples
from edcore.errors import EDCoreError, InputError
from edcore.io import Saved, networks
from edcore.model.classes import ROWS_AT_ONCE, predicted_classes
from edcore.training.checkpoint import Run, run_of

CELLS = ("activation", "output_activation", "u0", "rms", "n_bias", "bias", "inhibitory_output")
"""Fields of a network."""

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A file of edcore train --checkpoint or edcore.io.save.")
]


def inspect(
    file: FileArgument,
    json: JsonOption = False,
) -> None:
    """Tell what stands in the header of a network's file: no array is read, nothing is computed."""
    saved = networks.inspect(file)
    run = run_of(saved)
    if json:
        values = {field.name: getattr(saved, field.name) for field in fields(saved)} | {
            "path": str(saved.path),
            "network": asdict(saved.network),
            "rule": asdict(saved.rule),
            "parameters": saved.network.parameters,
        }
        typer.echo(json_format.dumps(values))
        return
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    for name, value in _told(saved, run).items():
        table.add_row(name, "".join(c if c.isprintable() else repr(c)[1:-1] for c in value))  # no terminal's commands
    plain_console().print(table)


def predict(
    file: FileArgument,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A .csv or .npy with a row for each sample, scaled as in training; or the name of a data set, for "
            "its test samples.",
            autocompletion=dataset_names,
        ),
    ],
    outputs: Annotated[bool, typer.Option("--outputs", help="Print the outputs and not the classes.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write them into a .csv or .npy instead.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with classes and outputs.")] = False,
    data_dir: Annotated[Path, typer.Option(help="Folder of the data sets mnist and fashion_mnist.")] = Path("data"),
    backend: BackendOption = "auto",
    device: DeviceOption = None,
) -> None:
    """Tell the class of each sample, by a network that was trained before."""
    check_writable("out", out, (".csv", ".npy"))
    check_different(FILE=file, out=out)
    check_different(DATA=Path(data), out=out)
    saved, arrays = networks.read(file)
    ed = networks.build(saved, arrays, backend, device)
    x, y = _samples(data, saved, data_dir)
    _warn_of_scale(x, saved)
    found = np.concatenate([ed.predict(x[start : start + ROWS_AT_ONCE]) for start in range(0, len(x), ROWS_AT_ONCE)])
    if not np.isfinite(found).all():
        raise EDCoreError(f"DATA: outputs for {data} are not finite. Scale it as what {file} was trained on.")
    told = None if saved.classes is None else np.array(saved.classes)[predicted_classes(found)]
    right = None if y is None or told is None else float((told == y).mean())
    wanted = found if outputs or told is None else told
    if json:
        values = {"classes": None if told is None else told.tolist(), "outputs": found.tolist(), "accuracy": right}
        typer.echo(json_format.dumps(values))
    elif not out:
        typer.echo(_as_csv(wanted), nl=False)
    if out:
        write_file("out", out, _as_csv(wanted).encode() if out.suffix == ".csv" else _as_npy(wanted))
    if right is not None and not json:
        typer.echo(f"edcore: {right:.2%} of {len(x):,} test samples are told right", err=True)


def _samples(data: str, saved: Saved, data_dir: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """Return the samples, and the label of each where they are those of a data set."""
    features = saved.network.in_
    if Path(data).suffix:
        x, y = read_samples(Path(data)), None
        if Path(data).suffix == ".csv" and x.shape[1] > 2 and (x[0] == np.arange(x.shape[1])).all():
            line = (
                f"the first line of {data} counts from 0. It is taken for a sample; if it names the columns, remove it."
            )
            typer.echo(f"edcore: {line}", err=True)
    else:
        labels = None if saved.classes is None else [label for label in saved.classes if isinstance(label, int)]
        try:
            if labels == []:
                raise InputError("classes", repr(saved.classes), "whole numbers, as the labels of data sets are")
            found = datasets.load(data, data_dir=data_dir, classes=labels, dtype=saved.network.dtype)
        except InputError as error:
            accepted = f"a .csv, a .npy, or a data set with the classes of {saved.path}"
            raise InputError("DATA", repr(data), accepted, f"As a data set: {error}") from error
        x, y = found.x_test, np.array(found.classes)[found.y_test]
    if x.shape[1] != features:
        raise InputError("DATA", f"{data} with {x.shape[1]:,} features", f"{features:,}, as {saved.path} has learnt")
    return x, y


def _warn_of_scale(x: npt.NDArray[Any], saved: Saved) -> None:
    """Warn of samples that are scaled in another way than those that were learnt."""
    if saved.x_range is None:
        return
    (low, high), least, most = saved.x_range, float(x.min()), float(x.max())
    slack = (high - low) / 2
    if least < low - slack or most > high + slack:
        typer.echo(
            f"edcore: the samples have values from {least:g} to {most:g}, and those that were learnt had {low:g} to "
            f"{high:g}: scale them as those were, or the classes mean nothing.",
            err=True,
        )


def _as_csv(values: npt.NDArray[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(values.reshape(len(values), -1).tolist())
    return text.getvalue()


def _as_npy(values: npt.NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.save(content, values, allow_pickle=False)
    return content.getvalue()


def _told(saved: Saved, run: Run | None) -> dict[str, str]:
    """Return the rows of the table."""
    network, rule = saved.network, saved.rule
    told = {
        "file": f"{saved.path}, {saved.bytes:,} bytes",
        "network": f"{network.in_:,} inputs, {network.depth:,} hidden layers of 2 x {network.width:,} cells, "
        f"{network.columns:,} output{'s' * (network.columns != 1)}",
        "heads": f"{network.heads:,}, each with {network.outputs:,} of the outputs",
        "parameters": f"{network.parameters:,}, {network.dtype}",
        "cells": _fields(network, CELLS),
        "initial": _fields(network.initial, tuple(field.name for field in fields(network.initial))),
        "rule": _fields(rule, tuple(field.name for field in fields(rule))),
        "seed": str(saved.seed),
    }
    if saved.classes is not None:
        told["classes"] = ", ".join(map(str, saved.classes))
    if saved.x_range is not None:
        told["learnt from"] = "values from {:g} to {:g}".format(*saved.x_range)
    if run is not None:
        told["run"] = (
            f"{run.batch:,} of {run.batches:,} batches learnt, of {run.batch_size:,}, in {run.epochs:,} epochs"
        )
        told["options"] = ", ".join(f"{name}={value}" for name, value in run.options.items() if value is not None)
    told["computed on"] = f"{saved.backend}, {saved.device}"
    told["written by"] = ", ".join(f"{name} {version}" for name, version in saved.versions.items())
    return told


def _fields(value: Any, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name}={getattr(value, name)}" for name in names)
