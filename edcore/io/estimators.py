"""Estimators and pipelines in files: the tree of their steps, and the steps themselves from a table of known classes.

Nothing in a file says what is imported: it has names, and the table has the modules. A step is made with no call of its
``__init__``, and its attributes are set; none of these may be a method or other attribute of its class.
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from edcore.contract.backend import Backend
from edcore.dispatch import registry
from edcore.errors import InputError, shown
from edcore.files.container import Arrays
from edcore.io.encoders import check_one_hot
from edcore.io.values import NETWORK, Decoder, Encoder, UnknownValueError
from edcore.model.ed import ED

MODULES = {
    "edcore.estimators": ("EDClassifier", "EDRegressor"),
    "sklearn.compose": ("ColumnTransformer", "make_column_selector"),
    "sklearn.impute": ("KNNImputer", "MissingIndicator", "SimpleImputer"),
    "sklearn.pipeline": ("FeatureUnion", "Pipeline"),
    "sklearn.preprocessing": (
        *("Binarizer", "FunctionTransformer", "KBinsDiscretizer", "MaxAbsScaler", "MinMaxScaler", "Normalizer"),
        *("OneHotEncoder", "OrdinalEncoder", "PolynomialFeatures", "PowerTransformer", "QuantileTransformer"),
        *("RobustScaler", "StandardScaler", "TargetEncoder"),
    ),
}
TABLE = {name: module for module, names in MODULES.items() for name in names}
"""The classes that a file may name, and their modules."""

TASKS = {"EDClassifier": "classification", "EDRegressor": "regression"}
"""The estimators, and what each is for."""

NEVER = ("callbacks", "func", "inverse_func", "memory")
"""Parameters that are None in each file: they run code, or name a folder of pickles."""

KINDS = "an ED, a fitted EDClassifier or EDRegressor, or a Pipeline that ends with one of these"


@dataclass(frozen=True, slots=True)
class SavedEstimator:
    """What a file says of its estimator.

    Parameters
    ----------
    steps : tuple of str
        The steps in their order, each as ``"name: Class"``, and those in a step with its name before theirs, as in
        ``"columns/numbers: StandardScaler"``. The last, or the only one, is the estimator.
    task : {"classification", "regression"}
        What it predicts: classes or numbers.
    features : int
        Number of features that the first step takes.
    feature_names : tuple of str, or None
        Their names, if the data it learnt from had some.
    classes : tuple or None
        The classes of a classifier.
    target : str or None
        The name of the column that it predicts, if it was saved with that.
    """

    steps: tuple[str, ...]
    task: str
    features: int
    feature_names: tuple[str, ...] | None
    classes: tuple[Any, ...] | None
    target: str | None


class Step(NamedTuple):
    """A step as the file has it: its class's name, and its attributes."""

    name: str
    state: dict[str, Any]


def taken_apart(model: Any, name: str = "model") -> tuple[ED, Any, Arrays]:
    """Return the network, the tree and the arrays of a fitted estimator or pipeline, or refuse it."""
    estimator = model.steps[-1][1] if _class_name(model) == "Pipeline" and model.steps else model
    if _class_name(estimator) not in TASKS:
        kind = f"a Pipeline that ends with {shown(estimator)}" if estimator is not model else shown(model)
        raise InputError(name, kind, KINDS, "Of a search, save its best_estimator_.")
    if not estimator.__sklearn_is_fitted__():
        raise InputError(name, f"{shown(estimator)}, which is not fitted", KINDS, "Call fit first.")
    encoder = Encoder(_parts_of)
    try:
        tree = encoder.encode(model, _class_name(model))
    except UnknownValueError as error:
        classes = ", ".join(known for known in TABLE if known not in TASKS)
        fix = "Remove or replace this step, or keep the whole with joblib, whose files run code."
        raise InputError(name, str(error), f"plain values in the steps {classes}", fix) from error
    return estimator.ed_, tree, encoder.arrays


def put_together(tree: Any, arrays: Arrays, ed: ED) -> Any:
    """Return the model of a tree, whose network this is, or raise an error as `checked_tree` does."""
    model = Decoder(arrays, _made).decode(tree)
    estimator = last_of(model)
    estimator.ed_ = ed
    sample, names = np.zeros((1, ed.network.in_)), vars(estimator).pop("feature_names_in_", None)
    try:
        with np.errstate(all="ignore"):  # names would be warned of, as the sample has none
            estimator.predict(sample)
            if TASKS[type(estimator).__name__] == "classification":
                shares, classes = estimator.predict_proba(sample), len(estimator.classes_)
                if shares.shape[1] != classes:
                    raise ValueError(f"{classes} classes for {shares.shape[1]} shares")
    except Exception as error:  # of wrong attributes scikit-learn and NumPy raise many kinds
        raise ValueError(f"its estimator cannot predict ({error!s:.100})") from error
    if names is not None:
        estimator.feature_names_in_ = names
    return model


def last_of(model: Any) -> Any:
    """Return the estimator that a model ends with, or is."""
    return model.steps[-1][1] if type(model).__name__ == "Pipeline" else model


def checked_tree(tree: Any, arrays: Arrays, target: Any) -> SavedEstimator:
    """Return what a tree says of its estimator; no step is made.

    What is wrong in the tree is a LookupError, a TypeError, an AttributeError, a ValueError or an OverflowError.
    """
    model = Decoder(arrays, _recorded).decode(tree)
    last = _steps(model)[-1][1] if isinstance(model, Step) and model.name == "Pipeline" else model
    if not isinstance(last, Step) or last.name not in TASKS or last.state["ed_"] is not NETWORK:
        raise ValueError("the end of its tree is no estimator")
    first = _first(model)
    features, names = first.state["n_features_in_"], first.state.get("feature_names_in_")
    if type(features) is not int or (names is not None and not all(isinstance(each, str) for each in names.tolist())):
        raise TypeError("the number or the names of its features")
    if not isinstance(target, str | None):
        raise TypeError(f"the target {target!r:.50}")
    return SavedEstimator(
        steps=tuple(f"{place}: {name}" if place else name for place, name in _named(model, "")),
        task=TASKS[last.name],
        features=features,
        feature_names=None if names is None else tuple(names.tolist()),
        classes=tuple(last.state["classes_"].tolist()) if last.name == "EDClassifier" else None,
        target=target,
    )


def has_foreign_steps(tree: Any) -> bool:
    """Return whether some of a tree's steps are scikit-learn's."""
    return tree["step"][0] not in TASKS


def class_of(name: str) -> Any:
    """Return the class of a name in the table."""
    return getattr(importlib.import_module(TABLE[name]), name)


def _class_name(value: Any) -> str:
    """Return the name of a value's class if the table has this class, and else nothing."""
    kind = type(value)
    known = kind.__name__ in TABLE and kind.__module__.startswith(TABLE[kind.__name__])
    return kind.__name__ if known and class_of(kind.__name__) is kind else ""


def _parts_of(value: Any, where: str) -> tuple[str, dict[str, Any]] | None:
    """Return the class's name and the attributes of a step, without what no file has, or None for other values."""
    if not (name := _class_name(value)):
        return None
    state = dict(vars(value))
    dropped = [key for key in ("callbacks", "memory") if state.get(key) is not None]
    if not isinstance(state.get("random_state"), int | np.integer | str | None):
        dropped.append("random_state")
    if isinstance(backend := state.get("backend"), Backend):
        state["backend"], state["device"] = backend.info.name, state["device"] or backend.device
        if backend.info.name not in registry.installed():
            state |= {"backend": "auto", "device": None}
            dropped.append("backend")
    for key in dropped:
        words = f"'auto' instead of {shown(value.backend)}" if key == "backend" else f"no {key}"
        warnings.warn(
            f"{where}: the file has {words}: it holds plain values only. Set it again after load.", stacklevel=2
        )
        state[key] = "auto" if key == "backend" else None
    for key in NEVER:
        if state.get(key) is not None:
            raise UnknownValueError(f"{where}.{key} is {shown(state[key])}, which runs code")
    return name, state


def _check(name: str, state: dict[str, Any]) -> None:
    """Refuse a class that the table lacks, and attributes that no step has."""
    if name not in TABLE:
        raise ValueError(f"the unknown class {name!r:.50}")
    for key in state:
        if not key.isidentifier() or key.startswith("__"):
            raise ValueError(f"the attribute {key!r:.50} of {name}")
        if key in NEVER and state[key] is not None:
            raise ValueError(f"the parameter {key} of {name}")


def _recorded(name: str, state: dict[str, Any]) -> Step:
    _check(name, state)
    return Step(name, state)


def _made(name: str, state: dict[str, Any]) -> Any:
    """Return a step with these attributes."""
    _check(name, state)
    kind = class_of(name)
    if wrong := [key for key in state if hasattr(kind, key)]:
        raise ValueError(f"the attribute {wrong[0]} of {name}, which is not its own")
    step = kind.__new__(kind)
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    # Parameters that a newer version of the class has are not in the file.
    defaults = {one.name: one.default for one in parameters if one.default is not inspect.Parameter.empty}
    if missing := [one.name for one in parameters if one.name not in defaults and one.name not in state]:
        raise ValueError(f"no {missing[0]} of {name}")
    vars(step).update(defaults | state)
    if name == "OneHotEncoder":
        check_one_hot(step)
    return step


def _steps(step: Step) -> list[tuple[str, Any]]:
    """Return the names of the steps in a step, and these, or the texts that stand for one."""
    lists = {"Pipeline": "steps", "FeatureUnion": "transformer_list", "ColumnTransformer": "transformers_"}
    found = [(inner[0], inner[1]) for inner in step.state[lists[step.name]]] if step.name in lists else []
    for name, inner in found:
        if not isinstance(name, str) or not (isinstance(inner, Step) or inner is None or isinstance(inner, str)):
            raise TypeError(f"a step of {step.name}: {inner!r:.50}")
    return found


def _first(step: Any) -> Step:
    """Return the step whose number and names of features are those of the whole."""
    while isinstance(step, Step) and "n_features_in_" not in step.state:
        step = next((inner for _, inner in _steps(step) if isinstance(inner, Step)), None)
    if not isinstance(step, Step):
        raise TypeError(f"no step: {step!r:.50}")
    return step


def _named(step: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield the place and the class of each step in a step, or its own."""
    if not isinstance(step, Step):
        yield place, str(step)
        return
    inner = _steps(step)
    if step.name != "Pipeline" or not inner:
        yield place, step.name
    for name, each in inner:
        yield from _named(each, f"{place}/{name}" if place else name)
