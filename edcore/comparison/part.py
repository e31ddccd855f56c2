"""The samples of one seed, and the network that ED shares with other methods."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from edcore.comparison.problem import Problem, Rows
from edcore.estimators.classifier import EDClassifier
from edcore.estimators.regressor import EDRegressor
from edcore.estimators.scaling import nonzero, scale
from edcore.model.classes import predicted_classes, targets
from edcore.model.ed import ED


@dataclass(frozen=True, slots=True)
class Shape:
    """What all networks have in common."""

    hidden_width: int
    hidden_depth: int
    max_iter: int
    batch_size: int
    backend: str


class SharedNetwork(NamedTuple):
    """The network of an ED, and the samples as it gets them: what other methods share with it."""

    ed: ED  # after one epoch
    x: npt.NDArray[Any]
    x_test: npt.NDArray[Any]
    target: npt.NDArray[Any]
    classes: npt.NDArray[Any] | None
    mean: Any = 0.0  # of the targets of a regression
    deviation: Any = 1.0

    def untrained(self) -> ED:
        """Return the network with its initial weights."""
        return ED.from_network(self.ed.network, self.ed.rule, seed=self.ed.seed)

    def read(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """Return the predictions that outputs stand for; None if they are not finite."""
        if not np.isfinite(outputs).all():
            return None
        if self.classes is not None:
            return self.classes[predicted_classes(outputs)]
        return np.asarray(outputs * self.deviation + self.mean)


class Part:
    """The samples that a seed learns, and those that it predicts."""

    def __init__(self, problem: Problem, train: Rows, test: Rows, seed: int, shape: Shape, first: Any) -> None:
        self.seed, self.shape, self.task = seed, shape, problem.task
        self.raw, self.raw_test = problem.rows(train), problem.rows(test)
        self.y, self.y_test = problem.y[train], problem.y[test]
        self.x, self.x_test = self.raw, self.raw_test
        if problem.columns is not None:
            columns = clone(problem.columns).fit(self.raw)
            self.x, self.x_test = columns.transform(self.raw), columns.transform(self.raw_test)
        self._first = first

    @cached_property
    def shared(self) -> SharedNetwork:
        """The network that the other methods share with the first ED."""
        estimator, given = self._first if self._first else (usual_ed(self.task, self.shape), False)
        fitted = self.one_epoch(estimator, given)
        known, ed = core_of(fitted), core_of(fitted).ed_
        sources = (self.raw, self.raw_test) if given else (self.x, self.x_test)
        if isinstance(fitted, Pipeline) and len(fitted) > 1:
            sources = tuple(fitted[:-1].transform(one) for one in sources)
        span = None if known.data_min_ is None else (known.data_min_, known.data_max_)
        moments = None if known.data_mean_ is None else (known.data_mean_, known.data_std_)
        x, x_test = (scale(np.asarray(one).astype(ed.network.dtype), span, moments) for one in sources)
        if self.task == "classification":
            index = np.searchsorted(known.classes_, self.y)
            target = targets(index, ed.network.columns).astype(ed.network.dtype)
            return SharedNetwork(ed, x, x_test, target, known.classes_)
        mean, deviation = float(known.y_mean_[0]), float(nonzero(known.y_scale_)[0])
        target = ((self.y - mean) / deviation).astype(ed.network.dtype)
        return SharedNetwork(ed, x, x_test, target, None, mean, deviation)

    def one_epoch(self, estimator: Any, given: bool) -> Any:
        """Return an ED that has learnt one epoch: it has its network, its rates and the ranges of its features."""
        once = seeded(estimator, self.seed)
        core_of(once).set_params(max_iter=1, early_stopping=False, callbacks=None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return once.fit(self.raw if given else self.x, self.y)


def usual_ed(task: str, shape: Shape, rule: str | None = None) -> Any:
    """Return an estimator of this shape, which is not fitted."""
    kind = EDClassifier if task == "classification" else EDRegressor
    return kind(
        shape.hidden_width,
        shape.hidden_depth,
        rule=rule,
        max_iter=shape.max_iter,
        batch_size=shape.batch_size,
        backend=shape.backend,
    )


def core_of(estimator: Any) -> Any:
    """Return the last step of a pipeline, or the estimator itself."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def seeded(estimator: Any, seed: int) -> Any:
    """Return a copy of an estimator, not fitted, all of whose random states are this seed."""
    copy = clone(estimator)
    names = [name for name in copy.get_params() if name.rpartition("__")[2] == "random_state"]
    return copy.set_params(**dict.fromkeys(names, seed)) if names else copy
