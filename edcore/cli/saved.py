"""The commands ``edcore inspect`` and ``edcore predict``: show the header of a network's file, use its network."""

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

from edcore import datasets
from edcore.cli.options import (
    BackendOption,
    DeviceOption,
    JsonOption,
    check_different,
    check_writable,
    complete_from,
    write_file,
)
from edcore.console import pairs_table, plain_console
from edcore.datasets.user_files import read_samples
from edcore.errors import EDCoreError, InputError
from edcore.io import Saved, networks
from edcore.model.classes import predict_in_parts, predicted_classes
from edcore.training.checkpoint import RunState, run_of
from edcore.training.options import dataset_names

CELLS = ("activation", "output_activation", "u0", "rms", "n_bias", "bias", "inhibitory_output")
"""The fields of a network that describe its cells."""

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A file of edcore train --checkpoint or edcore.io.save.")
]


def inspect(file: FileArgument, json: JsonOption = False) -> None:
    """Print the header of a network's file. No array is read, nothing is computed."""
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
    # The texts come from the file. Control characters in them would be commands to the terminal.
    rows = {
        name: "".join(c if c.isprintable() else repr(c)[1:-1] for c in value)
        for name, value in _describe(saved, run).items()
    }
    plain_console().print(pairs_table(rows))


def predict(
    file: FileArgument,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A .csv or .npy with a row for each sample, scaled as in training; or the name of a data set, for "
            "its test samples.",
            autocompletion=complete_from(dataset_names),
        ),
    ],
    outputs: Annotated[bool, typer.Option("--outputs", help="Print the outputs and not the classes.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write them into a .csv or .npy instead.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with classes and outputs.")] = False,
    data_dir: Annotated[Path, typer.Option(help="Folder of the data sets mnist and fashion_mnist.")] = Path("data"),
    backend: BackendOption = "auto",
    device: DeviceOption = None,
) -> None:
    """Predict the class of each sample with a network that was trained before."""
    check_writable("out", out, (".csv", ".npy"))
    check_different(FILE=file, out=out)
    check_different(DATA=Path(data), out=out)
    saved, arrays = networks.read(file)
    ed = networks.build(saved, arrays, backend, device)
    x, y = _load_samples(data, saved, data_dir)
    _warn_of_scale(x, saved)
    found = predict_in_parts(ed, x)
    if not np.isfinite(found).all():
        raise EDCoreError(f"DATA: outputs for {data} are not finite. Scale it like the data that {file} has learnt.")
    # As objects: an array of texts takes as much for each as the longest needs, and drops a NUL at its end.
    labels = None if saved.classes is None else np.array(saved.classes, object)[predicted_classes(found)]
    if labels is not None and isinstance(labels[0], int):
        labels = labels.astype(np.int64)
    accuracy = None if y is None or labels is None else float((labels == y).mean())
    wanted = found if outputs or labels is None else labels
    if json:
        classes = None if labels is None else labels.tolist()
        typer.echo(json_format.dumps({"classes": classes, "outputs": found.tolist(), "accuracy": accuracy}))
    elif not out:
        typer.echo(_as_csv(wanted), nl=False)
    if out:
        write_file("out", out, _as_csv(wanted).encode() if out.suffix == ".csv" else _as_npy(wanted))
    if accuracy is not None and not json:
        typer.echo(f"edcore: {accuracy:.2%} of {len(x):,} test samples are predicted right", err=True)


def _load_samples(data: str, saved: Saved, data_dir: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """Return the samples, and their labels if they come from a data set."""
    features = saved.network.in_
    if Path(data).suffix:
        x, y = read_samples(Path(data)), None
        if Path(data).suffix == ".csv" and x.shape[1] > 2 and (x[0] == np.arange(x.shape[1])).all():
            # The names of columns may be numbers, which look like a sample.
            warning = "counts from 0. It is taken for a sample; if it names the columns, remove it."
            typer.echo(f"edcore: the first line of {data} {warning}", err=True)
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
    """Warn of samples whose scale differs from that of the training data."""
    if saved.x_range is None:
        return
    (low, high), least, most = saved.x_range, float(x.min()), float(x.max())
    slack = (high - low) / 2
    if least < low - slack or most > high + slack:
        typer.echo(
            f"edcore: the samples have values from {least:g} to {most:g}, the training data had {low:g} to {high:g}. "
            "Scale the samples like the training data, or the classes mean nothing.",
            err=True,
        )


def _as_csv(values: npt.NDArray[Any]) -> str:
    text = io.StringIO()
    # Python 3.11 quotes no carriage return by itself, and readers take one for the end of a line.
    quoted = values.dtype == object and any("\r" in label for label in set(values.tolist()))
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerows(values.reshape(len(values), -1).tolist())
    return text.getvalue()


def _as_npy(values: npt.NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.save(content, values.astype(str) if values.dtype == object else values, allow_pickle=False)
    return content.getvalue()


def _describe(saved: Saved, run: RunState | None) -> dict[str, str]:
    """Return the header in words, by the names of the rows."""
    network, rule = saved.network, saved.rule
    rows = {
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
        rows["classes"] = ", ".join(map(str, saved.classes))
    if saved.x_range is not None:
        rows["learnt from"] = "values from {:g} to {:g}".format(*saved.x_range)
    if run is not None:
        batches = f"{run.batch:,} of {run.batches:,} batches"
        rows["run"] = f"{batches} learnt, with {run.batch_size:,} samples each, in {run.epochs:,} epochs"
        rows["options"] = ", ".join(f"{name}={value}" for name, value in run.options.items() if value is not None)
    rows["computed on"] = f"{saved.backend}, {saved.device}"
    rows["written by"] = ", ".join(f"{name} {version}" for name, version in saved.versions.items())
    return rows


def _fields(value: Any, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name}={getattr(value, name)}" for name in names)
