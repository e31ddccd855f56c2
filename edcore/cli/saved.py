"""The command ``edcore inspect``: show the header of a file of a network, an estimator or a pipeline."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from edcore.cli.options import JsonOption
from edcore.cli.show import characters_in_words, shape_in_words
from edcore.console import plain_console, print_json, print_pairs
from edcore.datasets.text import are_characters
from edcore.io import Saved, networks
from edcore.training.checkpoint import RunState, run_of

CELLS = ("activation", "output_activation", "u0", "rms", "n_bias", "bias", "inhibitory_output")
"""The fields of a network that describe its cells."""

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A file of edcore train --checkpoint or edcore.io.save.")
]


def inspect(file: FileArgument, json: JsonOption = False) -> None:
    """Print the header of a file. No weight is read, nothing is computed."""
    saved = networks.inspect(file)
    run = run_of(saved)
    if json:
        values = {field.name: getattr(saved, field.name) for field in fields(saved)} | {
            "path": str(saved.path),
            "network": asdict(saved.network),
            "rule": asdict(saved.rule),
            "estimator": saved.estimator and asdict(saved.estimator),
            "parameters": saved.network.parameters,
        }
        print_json(values)
        return
    print_pairs(plain_console(), _describe(saved, run))


def _describe(saved: Saved, run: RunState | None) -> dict[str, str]:
    """Return the header in words, by the names of the rows."""
    network, rule = saved.network, saved.rule
    rows = {
        "file": f"{saved.path}, {saved.bytes:,} bytes",
        **shape_in_words(network),
        "heads": f"{network.heads:,}, each with {network.outputs:,} of the outputs",
        "parameters": f"{network.parameters:,}, {network.dtype}",
        "cells": _fields(network, CELLS),
        "initial": _fields(network.initial, tuple(field.name for field in fields(network.initial))),
        "rule": _fields(rule, tuple(field.name for field in fields(rule))),
        "seed": str(saved.seed),
    }
    if (estimator := saved.estimator) is not None:
        rows["holds"] = f"{'a pipeline' if len(estimator.steps) > 1 else 'an estimator'} for {estimator.task}"
        rows["steps"] = ", ".join(estimator.steps)
        rows["features"] = f"{estimator.features:,}"
        if estimator.feature_names is not None:
            rows["features"] += f": {', '.join(estimator.feature_names)}"
        if estimator.target is not None:
            rows["target"] = estimator.target
        if estimator.classes is not None:
            rows["classes"] = ", ".join(map(str, estimator.classes))
        for options in (saved.run or {}).values():
            if isinstance(options, dict):
                rows["options"] = ", ".join(f"{name}={value}" for name, value in options.items())
    if are_characters(saved.classes):
        rows["characters"] = f"{characters_in_words(saved.classes)}; context {network.features:,}"
    elif saved.classes is not None:
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
