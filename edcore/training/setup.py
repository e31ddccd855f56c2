"""Set up a training run: a new one from its options, or one that goes on from a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edcore import datasets
from edcore.arguments import real, whole_number
from edcore.core.network import Initial
from edcore.core.presets import check_softmax, preset
from edcore.datasets import Dataset
from edcore.datasets.user_files import STDIN
from edcore.errors import BackendUnavailableError, DataFileError, InputError
from edcore.model.classes import heads, shape_of
from edcore.model.ed import ED
from edcore.training.checkpoint import RunState, check_data, fingerprint, read, with_epochs
from edcore.training.history import History
from edcore.training.options import (
    DEPTH,
    EVAL_EVERY,
    KEPT,
    OF_DATA_SETS,
    OF_TEXTS,
    PATTERN_SCHEDULE,
    SCHEDULES,
    TrainOptions,
    parsed_width,
    typed_command,
    width_in_words,
)
from edcore.training.texts import TESTS, VISITS, load_text


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A run that is ready to go on. The batches that it learns are added to `learnt`."""

    ed: ED
    data: Dataset
    state: RunState
    learnt: History

    @property
    def command(self) -> str:
        """The command that repeats the run."""
        state = self.state
        schedule = {"batch_size": state.batch_size, "epochs": state.epochs, "eval_every": state.eval_every}
        place = {"backend": self.ed.backend, "device": self.ed.device}
        options = {name: value for name, value in state.options.items() if not (state.text and name in OF_DATA_SETS)}
        return typed_command("train", (), options | schedule | place)


def begin(
    options: TrainOptions, *, keep: bool, data: Dataset | None = None, named_in: Path | None = None
) -> TrainingRun:
    """Return a new run; `keep` computes the fingerprint of its data, which a checkpoint needs.

    `named_in` is the file that names the folder of its data, if one does.
    """
    kept = {name: getattr(options, name) for name in KEPT} | {"data_dir": str(options.data_dir)}
    data = data or _load(kept, options.dtype, named_in)
    text, outputs = options.text is not None, heads(len(data.classes), options.output_activation)
    usual_epochs, usual_batch_size = SCHEDULES.get(data.name, PATTERN_SCHEDULE)
    if text:
        usual_epochs = max(1, round(VISITS / len(data.x_train)))
    variant = preset(options.rule, options.alpha, options.alpha_output)
    check_softmax(options.output_activation, options.rule)
    width, depth = parsed_width(options.width), options.depth
    if depth is None and isinstance(width, int) and "depth" not in variant.network:
        depth = DEPTH
    ed = ED(
        in_=data.features * (outputs if text else 1),
        one_hot=outputs if text else 0,
        hidden_width=width,
        hidden_depth=depth,
        alpha=options.alpha,
        alpha_output=options.alpha_output,
        rule=options.rule,
        dtype=options.dtype,
        u0=options.u0,
        activation=options.activation,
        output_activation=options.output_activation,
        rms=options.rms,
        initial=_initial(options, variant.network.get("initial", Initial())),
        seed=options.seed,
        backend=options.backend,
        device=options.device,
        **shape_of(outputs, options.rule, options.output_activation),
    )
    epochs = usual_epochs if options.epochs is None else options.epochs
    batch_size = usual_batch_size if options.batch_size is None else options.batch_size
    eval_every = EVAL_EVERY if options.eval_every is None else options.eval_every
    state = RunState(
        options=kept | {"seed": ed.seed},
        epochs=whole_number("epochs", epochs, 1),
        batch_size=whole_number("batch_size", batch_size, 1),
        eval_every=whole_number("eval_every", eval_every, 1),
        samples=len(data.x_train),
        data=fingerprint(data, text=text) if keep else "",
    )
    if text and options.eval_every is None:
        # To test all that is held out takes as long as to learn many batches.
        state = replace(state, eval_every=math.ceil(state.batches / TESTS))
    return TrainingRun(ed, data, state, History())


def resume(file: Path, given: Mapping[str, Any], fewer_epochs: bool) -> TrainingRun:
    """Return the run of a checkpoint, with the options that were given. `fewer_epochs` allows to shorten the run."""
    try:
        ed, state, learnt = read(file, given.get("backend", "auto"), given.get("device"))
    except BackendUnavailableError as error:
        if "backend" in given:
            raise
        fix = "To go on with another backend, whose results differ in the last bits, give --backend."
        raise BackendUnavailableError(f"{error} The run in {file} used it. {fix}") from error
    for name, value in given.items():
        if name in (OF_DATA_SETS if state.text else OF_TEXTS):
            accepted = f"options of a run on a {'text' if state.text else 'data set'}, as in {file}"
            raise InputError(name, f"{str(value)!r} beside --resume", accepted, "Leave it out.")
    if state.text == STDIN and "text" not in given:
        fix = "Give the same text as a file."
        raise InputError("text", "standard input", f"the text of the run in {file}", fix)
    for name, value in _fixed(ed, state).items():
        if name in given and _meaning(name, given[name]) != _meaning(name, value):
            fix = "Leave it out, or start a new run without --resume."
            raise InputError(name, f"{given[name]!r} beside --resume", f"{value!r}, as in {file}", fix)
    epochs = given.get("epochs", 0)
    if epochs > state.epochs or ("epochs" in given and fewer_epochs):
        state = with_epochs(state, learnt, epochs)
    if "eval_every" in given:
        state = replace(state, eval_every=whole_number("eval_every", given["eval_every"], 1))
    places = {name: str(given[name]) for name in ("data_dir", "text") if name in given}
    state = replace(state, options={**state.options, **places})
    data = _load(state.options, ed.network.dtype, file)
    check_data(file, state, data)
    return TrainingRun(ed, data, state, learnt)


def _load(options: Mapping[str, Any], dtype: str, named_in: Path | None) -> Dataset:
    """Return the data of a run with these options."""
    if options.get("text") is not None:
        try:
            return load_text(options, dtype)
        except DataFileError as error:
            if named_in is None:
                raise
            raise DataFileError(f"{named_in}: {error} If the text was moved, --text says where it is.") from error
    return load_data(options["dataset"], options["data_dir"], options["classes"], dtype, named_in)


def load_data(
    dataset: str, data_dir: str | Path, classes: str, dtype: str, named_in: str | Path | None = None
) -> Dataset:
    """Return the data set that the options name. Nothing is downloaded for a file that names where to."""
    labels, download = parse_classes(classes), named_in is None
    try:
        return datasets.load(dataset, data_dir=data_dir, classes=labels, dtype=dtype, download=download)
    except DataFileError as error:
        if download:
            raise
        fix = "Nothing is downloaded to where a file says: give the folder that has the data as --data-dir."
        raise DataFileError(f"{named_in}: {error} {fix}") from error


def parse_classes(classes: str) -> tuple[int, ...] | None:
    """Return the labels that --classes lists, or None for all."""
    if classes == "all":
        return None
    try:
        return tuple(int(label) for label in classes.split(","))
    except ValueError:
        accepted = "whole numbers with commas between them, such as 0,1, or all"
        raise InputError("classes", repr(classes), accepted) from None


def _fixed(ed: ED, state: RunState) -> dict[str, Any]:
    """Return the options that cannot change when a run goes on, with the values that are in effect."""
    network, rule = ed.network, ed.rule
    return {
        **{name: state.options[name] for name in ("dataset", "classes", "rule")},
        **{name: state.options.get(name) for name in OF_TEXTS if name != "text"},
        "decay": bool(state.options.get("decay")),
        **{name: getattr(network, name) for name in ("dtype", "depth", "u0", "rms")},
        **{name: getattr(network, name) for name in ("activation", "output_activation")},
        "width": width_in_words(network.width),
        "seed": ed.seed,
        "batch_size": state.batch_size,
        "initial_weight": network.initial.weight,
        "initial_fan_in": network.initial.fan_in,
        "alpha": rule.alpha,
        "alpha_output": rule.alpha_output,
    }


def _meaning(name: str, value: Any) -> Any:
    """Return the value of an option in one form: the classes "0,1" and "0, 1" are the same."""
    forms: dict[str, Any] = {"classes": parse_classes, "width": parsed_width}
    return forms[name](value) if name in forms else value


def _initial(options: TrainOptions, usual: Initial) -> Initial | None:
    """Return the initial weights that the options ask for; None if they leave them to the preset."""
    given: dict[str, Any] = {
        field: real(name, getattr(options, name))
        for field, name in (("weight", "initial_weight"), ("fan_in", "initial_fan_in"))
        if getattr(options, name) is not None
    }
    return replace(usual, **given) if given else None
