"""The command ``edcore predict``: use the network, the estimator or the pipeline of a file."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import typer

from edcore import datasets
from edcore.cli.options import (
    BackendOption,
    DeviceOption,
    check_different,
    check_writable,
    complete_from,
    write_file,
)
from edcore.cli.saved import FileArgument
from edcore.console import print_json, say, write
from edcore.datasets.delimited import NUMBER
from edcore.datasets.tables import read_table
from edcore.datasets.text import are_characters
from edcore.datasets.user_files import STDIN, read_samples
from edcore.environment import check_package
from edcore.errors import EDCoreError, InputError, listed, printable
from edcore.io import Saved, SavedEstimator, networks
from edcore.io.estimators import last_of
from edcore.model.classes import predict_in_parts, predicted_classes
from edcore.training.options import dataset_names

NAMED = 8
"""Columns that a sentence names."""

Values = npt.NDArray[Any]


class Samples(NamedTuple):
    """What is to be predicted from, and the right answers where they are known."""

    x: Any
    y: Values | None = None
    what: str = "samples"


class Found(NamedTuple):
    """What is predicted: classes, or the targets of a regressor, or neither; the outputs, and the classes' shares."""

    outputs: Values
    classes: Values | None = None
    targets: Values | None = None
    shares: Values | None = None
    names: tuple[Any, ...] = ()


def predict(
    file: FileArgument,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="For a file of a pipeline or an estimator that knows the names of its columns: a table with these "
            "columns (.csv, .tsv, .parquet, …), or - for a CSV from standard input. Else a .csv or .npy with a row for "
            "each sample, for a network scaled as in training; or the name of a data set, for its test samples.",
            autocompletion=complete_from(dataset_names),
        ),
    ],
    outputs: Annotated[bool, typer.Option("--outputs", help="Print the outputs and not the classes.")] = False,
    proba: Annotated[bool, typer.Option("--proba", help="Print a share for each class, below their names.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write them into a .csv or .npy instead.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with classes and outputs.")] = False,
    data_dir: Annotated[Path, typer.Option(help="Folder of the data sets mnist and fashion_mnist.")] = Path("data"),
    backend: BackendOption = "auto",
    device: DeviceOption = None,
) -> None:
    """Predict the class, or the number, of each sample with what was trained before."""
    check_writable("out", out, (".csv", ".npy"))
    check_different(FILE=file, out=out)
    check_different(DATA=None if data == STDIN else Path(os.path.expanduser(data)), out=out)
    with _warnings_in_lines():
        # Left to itself, an estimator computes with its own backend, to the same bits.
        saved, model = networks.read_model(file, None if backend == "auto" else backend, device)
        _check_options(saved, outputs, proba)
        if are_characters(saved.classes):
            fix = "edcore write continues a text with this one."
            raise InputError("FILE", f"{str(file)!r}, which has learnt a text", "a network for samples", fix)
        samples = _load(data, saved, model, data_dir)
        found = _of_network(samples.x, saved, model) if saved.estimator is None else _of_model(samples.x, data, model)
    if not np.isfinite(found.outputs).all():
        raise EDCoreError(f"DATA: outputs for {data} are not finite. Scale it like the data that {file} has learnt.")
    score, name, text = _score(samples, found)
    if json:
        print_json(_as_json(found, saved) | ({name: score} if name else {}))
    header = found.names if proba else ()
    first = found.shares if proba else found.outputs if outputs else found.classes
    wanted = next(one for one in (first, found.targets, found.outputs) if one is not None)
    if not out and not json:
        write(_as_csv(*_in_lines(wanted, header)))
    if out:
        as_text = out.suffix.lower() == ".csv"
        write_file("out", out, _as_csv(wanted, header).encode() if as_text else _as_npy(wanted))
    if score is not None and not json:
        say(text, stderr=True)


@contextlib.contextmanager
def _warnings_in_lines() -> Iterator[None]:
    """Print each warning as a line, also before an error, which it may explain."""
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("default")
        try:
            yield
        finally:
            for sentence in dict.fromkeys(" ".join(str(one.message).split()) for one in raised):
                say(sentence, stderr=True)


def _check_options(saved: Saved, outputs: bool, proba: bool) -> None:
    """Refuse options that exclude each other, or that a file cannot follow."""
    if proba and (saved.estimator is None or saved.estimator.classes is None):
        what = "a network" if saved.estimator is None else "a regressor"
        fix = "--outputs prints the outputs of a network."
        raise InputError("proba", f"a file of {what}, {saved.path}", "a file of a classifier", fix)
    if proba and outputs:
        raise InputError("proba", "--proba and --outputs", "one of them", "--json has both.")


def _load(data: str, saved: Saved, model: Any, data_dir: Path) -> Samples:
    """Return the samples, and what is to be predicted where the data have it."""
    estimator, path = saved.estimator, Path(data)
    there = data == STDIN or (data not in dataset_names() and os.path.exists(os.path.expanduser(data)))
    if not path.suffix and not there:
        return _load_data_set(data, saved, data_dir)
    if estimator is not None and estimator.feature_names is not None and path.suffix.lower() != ".npy":
        return _load_table(data, saved.path, estimator, model)
    x = read_samples(data, gaps=estimator is not None and last_of(model) is not model)
    features = saved.network.features if estimator is None else estimator.features
    if data != STDIN and path.suffix.lower() == ".csv" and x.shape[1] > 2 and (x[0] == np.arange(x.shape[1])).all():
        # The names of columns may be numbers, which look like a sample.
        warning = "counts from 0. It is taken for a sample; if it names the columns, remove it."
        say(f"the first line of {data} {warning}", stderr=True)
    if x.shape[1] != features:
        rows, fix = np.arange(len(x)), ""
        if x.shape[1] == features + 1 and any((x[:, 0] == rows + first).all() for first in (0, 1)):
            fix = "Its first column numbers the samples: leave it out."
        raise InputError(
            "DATA", f"{data} with {x.shape[1]:,} features", f"{features:,}, as {saved.path} has learnt", fix
        )
    if estimator is not None and estimator.feature_names is not None:
        check_package("pandas", "table", f"{saved.path}, which has names of columns,")
        import pandas

        return Samples(pandas.DataFrame(x, columns=list(estimator.feature_names)))
    return Samples(x)


def _load_data_set(data: str, saved: Saved, data_dir: Path) -> Samples:
    """Return the test samples of a data set, and their labels."""
    known = saved.classes if saved.estimator is None else saved.estimator.classes
    labels = None if known is None else [label for label in known if type(label) is int]
    try:
        if labels == [] or (saved.estimator is not None and labels is None):
            raise InputError("classes", repr(known), "whole numbers, as the labels of data sets are")
        found = datasets.load(data, data_dir=data_dir, classes=labels, dtype=saved.network.dtype)
    except InputError as error:
        accepted = f"a .csv, a .npy, or a data set with the classes of {saved.path}"
        raise InputError("DATA", repr(data), accepted, f"As a data set: {error}") from error
    features = saved.network.features if saved.estimator is None else saved.estimator.features
    if (given := found.x_test.shape[1]) != features:
        raise InputError("DATA", f"{data} with {given:,} features", f"{features:,}, as {saved.path} has learnt")
    return Samples(found.x_test, np.array(found.classes)[found.y_test], "test samples")


def _load_table(data: str, file: Path, estimator: SavedEstimator, model: Any) -> Samples:
    """Return the columns of a table that the first step takes, by their names, and the column that is predicted."""
    names, target = list(estimator.feature_names or ()), estimator.target
    texts = _text_columns(model)
    if target is not None and any(isinstance(each, str) for each in estimator.classes or ()):
        texts.append(target)
    frame = read_table(data, texts=texts)
    for note in frame.attrs.get("notes", ()):
        say(note, stderr=True)
    there, unused = list(map(str, frame.columns)), _unused_columns(model, names)
    if missing := [name for name in names if name not in there and name not in unused]:
        fix = f"{data} has {_listed(there)}."
        raise InputError("DATA", f"{data} without {_listed(missing)}", f"a table with the columns of {file}", fix)
    if more := [name for name in there if name not in names and name != target]:
        say(f"{data}: {_listed(more)} {'is' if len(more) == 1 else 'are'} no feature: left out", stderr=True)
    y: Values | None = None
    if target in there and (target in unused or target not in names):
        y = frame[target].astype(object).where(frame[target].notna(), None).to_numpy(object)
    return Samples(frame[[name for name in names if name in there]], y, "rows")


def _unused_columns(model: Any, names: list[str]) -> set[str]:
    """Return the columns that a table for `fit` had and that its first step drops."""
    used = set(names)
    with contextlib.suppress(Exception):  # wrong attributes, of which `transform` will complain
        first = model[0]
        places = first._transformer_to_input_indices
        used = {names[place] for name, step, _ in first.transformers_ if step != "drop" for place in places[name]}
    return set(names) - used


def _text_columns(model: Any) -> list[str]:
    """Return the columns that were texts in training: as numbers, which they may look like, they are no category."""
    found: list[str] = []
    with contextlib.suppress(Exception):  # wrong attributes, of which `transform` will complain
        for _, step, columns in getattr(model[0], "transformers_", ()) if last_of(model) is not model else ():
            encoder = next(
                (one for _, one in getattr(step, "steps", [("", step)]) if hasattr(one, "categories_")), None
            )
            for name, known in zip(columns, encoder.categories_, strict=True) if encoder is not None else ():
                found += [name] if isinstance(name, str) and any(isinstance(one, str) for one in known) else []
    return found


def _listed(columns: list[str]) -> str:
    """Return the names of columns for a sentence."""
    return f"the column{'s' * (len(columns) != 1)} {listed(columns, NAMED)}"


def _of_network(x: Values, saved: Saved, ed: Any) -> Found:
    """Return what a network predicts."""
    _check_scale(x, saved)
    outputs = predict_in_parts(ed, x)
    if saved.classes is None:
        return Found(outputs)
    # As objects: an array of texts takes as much for each as the longest needs, and drops a NUL at its end.
    labels = np.array(saved.classes, object)[predicted_classes(outputs)]
    return Found(outputs, labels.astype(np.int64) if isinstance(labels[0], int) else labels, names=saved.classes)


def _of_model(x: Any, data: str, model: Any) -> Found:
    """Return what an estimator or a pipeline predicts."""
    estimator = last_of(model)
    try:
        if estimator is not model and len(model.steps) > 1:
            x = model[:-1].transform(x)
        predicted, outputs = estimator.predict(x), estimator._outputs(x, "predict")
        if not hasattr(estimator, "classes_"):
            return Found(outputs, targets=predicted)
        labels = predicted.astype(object) if predicted.dtype.kind == "U" else predicted
        return Found(outputs, labels, shares=estimator.predict_proba(x), names=tuple(estimator.classes_.tolist()))
    except Exception as error:  # steps of scikit-learn raise errors of all kinds
        reason = _wrong_cell(x)
        if isinstance(error, EDCoreError) and not reason:
            raise
        reason = reason or " ".join(str(error).split())[:300].rstrip(".")
        fix = "Correct these cells, or remove their rows."
        raise InputError("DATA", f"{data} ({reason})", "cells of the kinds that were learnt", fix) from error


def _wrong_cell(x: Any) -> str:
    """Return where a table has its first gap or text, which no network takes; an empty text if it has none."""
    if not hasattr(x, "columns"):
        return ""
    texts = x.map(lambda cell: isinstance(cell, str) and not NUMBER.fullmatch(cell)).to_numpy()
    for wrong in (x.isna().to_numpy(), texts):
        if len(places := np.argwhere(wrong)):
            row, column = places[0].tolist()
            what = repr(x.iloc[row, column]) if wrong is texts else "a gap"
            return f"{what} in row {row + 1:,}, column {x.columns[column]!r}"
    return ""


def _check_scale(x: Values, saved: Saved) -> None:
    """Warn of samples whose scale differs from that of the training data; refuse them if most do."""
    if saved.x_range is None:
        return
    (low, high), least, most = saved.x_range, float(x.min()), float(x.max())
    slack = (high - low) / 2
    outside = int(((x < low - slack) | (x > high + slack)).any(axis=1).sum())
    if not outside:
        return
    given = f"values from {least:g} to {most:g}, where the training data had {low:g} to {high:g}"
    fix = "Scale the samples like the training data. Saved as an estimator, io.save(classifier, …), not "
    fix += "io.save(classifier.ed_, …), a file keeps scaling and labels."
    if outside > len(x) / 2:
        given = f"{given}: the predictions would mean nothing"
        raise InputError("DATA", given, "samples in the scale of the training data", fix)
    warning = f"{outside:,} of {len(x):,} samples have {given}. Their predictions may mean nothing. {fix}"
    say(f"warning: {warning}", stderr=True)


def _score(samples: Samples, found: Found) -> tuple[float | None, str, str]:
    """Return how right the predictions are, or None, and its name, and a sentence with it."""
    y, predicted = samples.y, found.classes if found.classes is not None else found.targets
    name = "accuracy" if found.targets is None else "r2"
    if y is None or predicted is None:
        return None, name, ""
    known = np.array([each is not None for each in y.tolist()], bool)
    y, predicted = y[known], predicted[known]
    if found.targets is None:
        if not len(y):
            return None, name, ""
        same = y == predicted
        if not np.any(same) and y.dtype.kind != predicted.dtype.kind:  # 1 and "1"
            same = y.astype(str) == predicted.astype(str)
        right = float(np.mean(same))
        return right, name, f"{right:.2%} of {len(y):,} {samples.what} are predicted right"
    from sklearn.metrics import r2_score

    try:
        numbers = y.astype(np.float64)
    except ValueError:
        return None, name, ""
    if len(numbers) < 2 or predicted.ndim > 1:
        return None, name, ""
    score = float(r2_score(numbers, predicted))
    return score, name, f"R² is {score:.4f} on {len(numbers):,} {samples.what}"


def _as_json(found: Found, saved: Saved) -> dict[str, Any]:
    """Return what is predicted as JSON has it."""
    if found.targets is not None:
        return {"targets": found.targets.tolist(), "outputs": found.outputs.tolist()}
    labels = None if found.classes is None else found.classes.tolist()
    shares = {} if found.shares is None else {"names": list(found.names), "proba": found.shares.tolist()}
    return {"classes": labels, "outputs": found.outputs.tolist(), **shares}


def _in_lines(values: Values, header: tuple[Any, ...]) -> tuple[Values, tuple[Any, ...]]:
    """Return what is printed, with printable labels: none commands a terminal, and a line is a sample."""
    in_line = np.frompyfunc(lambda label: printable(label) if isinstance(label, str) else label, 1, 1)
    return in_line(values) if values.dtype == object else values, tuple(in_line(np.array(header, object)))


def _as_csv(values: Values, header: tuple[Any, ...] = ()) -> str:
    text = io.StringIO()
    texts = {*header, *(values.ravel().tolist() if values.dtype == object else ())}
    # Python 3.11 quotes no carriage return by itself, and readers take one for the end of a line.
    quoted = any("\r" in label for label in texts if isinstance(label, str))
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerows([header] if header else [])
    writer.writerows(values.reshape(len(values), -1).tolist())
    return text.getvalue()


def _as_npy(values: Values) -> bytes:
    content = io.BytesIO()
    np.save(content, values.astype(str) if values.dtype == object else values, allow_pickle=False)
    return content.getvalue()
