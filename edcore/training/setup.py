"""How a run of ``edcore train`` starts: from its options, or from a checkpoint."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from edcore.arguments import real, whole_number
from edcore.core.network import Initial
from edcore.core.presets import preset
from edcore.datasets import catalogue as datasets
from edcore.datasets.catalogue import Dataset
from edcore.errors import BackendUnavailableError, InputError
from edcore.model.ed import ED
from edcore.training import loop as training
from edcore.training.checkpoint import Run, check_data, fingerprint, longer, read
from edcore.training.loop import Progress

WIDTH, DEPTH = 32, 32
SCHEDULES = {"digits": (10, 4), "mnist": (1, 64), "fashion_mnist": (1, 64)}
PATTERN_SCHEDULE = (1000, 64)  # of XOR and parity: few samples, many passes
"""Epochs and batch size of each data set where none are given."""

OPTIONS = (
    *("dataset", "data_dir", "classes", "dtype", "seed"),
    *("width", "depth", "activation", "u0", "rms", "initial_weight", "initial_fan_in"),
    *("rule", "alpha", "alpha_output"),
)
"""Options that a run keeps as they were given. None but data_dir can change on the way."""


@dataclass(frozen=True, slots=True)
class Started:
    """A run, ready to go on.

    Parameters
    ----------
    ed : ED
        The network.
    data : Dataset
        What it learns.
    run : Run
        What the run was told.
    learnt : list of Progress
        The batches learnt already. Those to come are added to it.
    """

    ed: ED
    data: Dataset
    run: Run
    learnt: list[Progress]

    @property
    def command(self) -> str:
        """The command that repeats the run."""
        run, given = self.run, []
        schedule = {"batch_size": run.batch_size, "epochs": run.epochs, "eval_every": run.eval_every}
        where = {"backend": self.ed.backend, "device": self.ed.device}
        for name, value in (run.options | schedule | where).items():
            option = f"--{name.replace('_', '-')}"
            if value is True or value is False:
                given.append(option if value else f"--no-{option.removeprefix('--')}")
            elif value is not None:
                given += [option, str(value)]
        return shlex.join(["edcore", "train", *given])


def begun(options: Mapping[str, Any], kept: bool, data: Dataset | None = None) -> Started:
    """Return a new run.

    Parameters
    ----------
    options : mapping
        Those of ``edcore train``.
    kept : bool
        Whether there will be a checkpoint, which needs the fingerprint of the data.
    data : Dataset, optional
        What `data_of` has returned for these options. Left out, it is loaded.

    Returns
    -------
    Started
        The run, with nothing learnt.
    """
    data = data or data_of(options)
    usual_epochs, usual_batch_size = SCHEDULES.get(data.name, PATTERN_SCHEDULE)
    rule, outputs = options["rule"], training.heads(len(data.classes))
    variant = preset(rule, options["alpha"], options["alpha_output"])
    depth = options["depth"]
    ed = ED(
        in_=data.features,
        hidden_width=options["width"],
        hidden_depth=DEPTH if depth is None and "depth" not in variant.network else depth,
        alpha=options["alpha"],
        alpha_output=options["alpha_output"],
        heads=1 if rule == "modulo" else outputs,
        outputs=outputs if rule == "modulo" else 1,
        rule=rule,
        dtype=options["dtype"],
        u0=options["u0"],
        activation=options["activation"],
        rms=options["rms"],
        initial=_initial(options, variant.network.get("initial", Initial())),
        seed=options["seed"],
        backend=options["backend"],
        device=options["device"],
    )
    epochs = whole_number("epochs", usual_epochs if options["epochs"] is None else options["epochs"], 1)
    batch_size = options["batch_size"]
    batch_size = whole_number("batch_size", usual_batch_size if batch_size is None else batch_size, 1)
    told = {name: options[name] for name in OPTIONS} | {"seed": ed.seed, "data_dir": str(options["data_dir"])}
    run = Run(
        options=told,
        epochs=epochs,
        batch_size=batch_size,
        eval_every=whole_number("eval_every", options["eval_every"], 1),
        samples=len(data.x_train),
        data=fingerprint(data) if kept else "",
    )
    return Started(ed, data, run, [])


def resumed(context: typer.Context, file: Path) -> Started:
    """Return the run of a checkpoint.

    Parameters
    ----------
    context : Context
        Has the options of ``edcore train``, and where each of them comes from.
    file : Path
        The checkpoint.

    Returns
    -------
    Started
        The run, with what it has learnt.
    """
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name: context.params[name] for name, source in sources.items() if source and source.name != "DEFAULT"}
    try:
        ed, run, learnt = read(file, given.get("backend", "auto"), given.get("device"))
    except BackendUnavailableError as error:
        if "backend" in given:
            raise
        fix = "--backend has the run go on on another one, to bits of its own."
        raise BackendUnavailableError(f"{error} It was the backend of {file}; {fix}") from error
    for name, there in _settled(ed, run).items():
        if name in given and _meant(name, given[name]) != _meant(name, there):
            fix = "Leave it out. A new run needs no --resume."
            raise InputError(name, f"{given[name]!r} beside --resume", f"{there!r}, as in {file}", fix)
    epochs = given.get("epochs", 0)
    if epochs > run.epochs or getattr(sources["epochs"], "name", "") == "COMMANDLINE":  # a --config may be older
        run, learnt = longer(run, learnt, epochs)
    if "eval_every" in given:
        run = replace(run, eval_every=whole_number("eval_every", given["eval_every"], 1))
    if "data_dir" in given:
        run = replace(run, options=run.options | {"data_dir": str(given["data_dir"])})
    data = data_of({**run.options, "dtype": ed.network.dtype})
    check_data(file, run, data)
    return Started(ed, data, run, learnt)


def _settled(ed: ED, run: Run) -> dict[str, Any]:
    """Return the options that cannot change when a run goes on, with the values that are in effect."""
    network, rule = ed.network, ed.rule
    return {
        **{name: run.options[name] for name in ("dataset", "classes", "rule")},
        "dtype": network.dtype,
        "seed": ed.seed,
        "batch_size": run.batch_size,
        "width": network.width,
        "depth": network.depth,
        "activation": network.activation,
        "u0": network.u0,
        "rms": network.rms,
        "initial_weight": network.initial.weight,
        "initial_fan_in": network.initial.fan_in,
        "alpha": rule.alpha,
        "alpha_output": rule.alpha_output,
    }


def _meant(name: str, value: Any) -> Any:
    """Return what an option means, however it was typed."""
    return _labels(value) if name == "classes" else value


def data_of(options: Mapping[str, Any]) -> Dataset:
    """Return the data set that the options ask for."""
    labels = _labels(options["classes"])
    return datasets.load(options["dataset"], data_dir=options["data_dir"], classes=labels, dtype=options["dtype"])


def _labels(classes: str) -> tuple[int, ...] | None:
    """Return the labels that --classes lists, None for all."""
    if classes == "all":
        return None
    try:
        return tuple(int(label) for label in classes.split(","))
    except ValueError:
        accepted = "whole numbers with commas between them, such as 0,1, or all"
        raise InputError("classes", repr(classes), accepted) from None


def _initial(options: Mapping[str, Any], usual: Initial) -> Initial | None:
    """Return the initial weights that the options ask for, None for the preset's."""
    given: dict[str, Any] = {
        field: real(name, options[name])
        for field, name in (("weight", "initial_weight"), ("fan_in", "initial_fan_in"))
        if options[name] is not None
    }
    return replace(usual, **given) if given else None
