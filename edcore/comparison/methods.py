"""The methods of a comparison by name: the settings that each tries, and how it learns the samples of one seed."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from edcore.comparison.baselines import Baseline, Method
from edcore.comparison.controls import FROZEN, READOUT, Readout
from edcore.comparison.part import Part, Shape, core_of, seeded, usual_ed
from edcore.comparison.problem import Problem
from edcore.comparison.torch_steps import TorchBaseline, suits
from edcore.contract.compilation import clock
from edcore.core.presets import PRESETS, preset
from edcore.core.rule import Rule
from edcore.errors import DivergedError, InputError, UnknownNameError, shown
from edcore.estimators.base import BaseED
from edcore.model.classes import predict_in_parts

Setting: TypeAlias = dict[str, float]

EDS = {"ED": None, **{f"ED {name}": name for name in PRESETS}}
"""The names of ED, with the defaults of the estimators and with a preset, and the rule of each."""

LINEAR = {"classification": "logistic regression", "regression": "ridge regression"}

SHORT = {
    "bp": "back-propagation",
    "adam": "back-propagation with Adam",
    "dfa": "direct feedback alignment",
    "frozen": FROZEN,
    "readout": READOUT,
    **{name: f"ED {name}" for name in PRESETS},
}
"""Names that are shorter to type; "linear" is logistic or ridge regression."""

USUAL = ("ED", "ED signed", "ED split", "ED edla", "ED modulo", "bp", "adam", "dfa", "frozen", "readout", "linear")
"""The methods if none are named. Presets have rates for classes, not for numbers; Kaneko's learns one by one."""

FACTOR, PENALTY_FACTOR = 3.0, 10.0
"""From one setting that is tried to the next: of learning rates, and of a regression's penalty."""

RATES: dict[Method, tuple[float, float]] = {
    "back-propagation": (0.3, 0.3),
    "back-propagation with Adam": (0.001, 0.001),
    # The output error reaches the hidden layers undiminished by the weights and the slope of the output.
    "direct feedback alignment": (0.03, 0.3),
}
"""The learning rates in the middle of those that are tried: of the hidden layers, and of the output layer."""

LINEAR_SHARE = 0.1
"""The share of these for plain steps of linear outputs, whose slope is not that of a sigmoid."""


class Learnt(NamedTuple):
    """What a method has learnt of one seed: its predictions for the test samples, if it has not diverged."""

    predicted: npt.NDArray[Any] | None
    seconds: float = 0.0
    backend: str = ""


def powers(factor: float, trials: int) -> list[float]:
    """Return so many powers of a factor, around 1."""
    return [factor ** (number - (trials - 1) // 2) for number in range(trials)]


class Learner(ABC):
    """A method: it tries settings, and learns with one of them."""

    @abstractmethod
    def settings(self, part: Part, trials: int) -> list[Setting]:
        """Return the settings to try, the usual one in the middle; a single one is taken as it is."""

    @abstractmethod
    def learn(self, part: Part, setting: Setting) -> Learnt:
        """Learn the samples, and predict those to test on."""


class Given(Learner):
    """An estimator of the user, as it is."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def settings(self, part: Part, trials: int) -> list[Setting]:
        """Return the one setting that it has."""
        return [{}]

    def learn(self, part: Part, setting: Setting) -> Learnt:
        """Learn the samples as the user has them."""
        return _fitted(seeded(self.estimator, part.seed), part.raw, part.y, part.raw_test)


class TunedED(Learner):
    """An ED whose learning rates are tried, or one whose hidden layers are frozen."""

    def __init__(self, estimator: Any, given: bool = False, frozen: bool = False) -> None:
        self.estimator, self.given, self.frozen = estimator, given, frozen

    def settings(self, part: Part, trials: int) -> list[Setting]:
        """Return multiples of both of its rates."""
        fitted = part.one_epoch(self.estimator, self.given)
        rule = core_of(fitted).ed_.rule
        return [
            {"alpha": 0.0 if self.frozen else factor * rule.alpha, "alpha_output": factor * rule.alpha_output}
            for factor in powers(FACTOR, trials)
        ]

    def learn(self, part: Part, setting: Setting) -> Learnt:
        """Learn with these rates."""
        estimator = seeded(self.estimator, part.seed)
        core = core_of(estimator)
        if isinstance(core.rule, Rule):
            core.set_params(rule=replace(core.rule, alpha=setting["alpha"], alpha_output=setting["alpha_output"]))
        else:
            core.set_params(**setting)
        x, x_test = (part.raw, part.raw_test) if self.given else (part.x, part.x_test)
        return _fitted(estimator, x, part.y, x_test)


class Gradient(Learner):
    """Back-propagation or direct feedback alignment, with the cells of the first ED and the samples that it gets."""

    def __init__(self, method: Method) -> None:
        self.method = method

    def settings(self, part: Part, trials: int) -> list[Setting]:
        """Return multiples of both rates."""
        hidden, output = RATES[self.method]
        if part.task == "regression" and self.method != "back-propagation with Adam":
            hidden, output = LINEAR_SHARE * hidden, LINEAR_SHARE * output
        return [{"rate": factor * hidden, "output rate": factor * output} for factor in powers(FACTOR, trials)]

    def learn(self, part: Part, setting: Setting) -> Learnt:
        """Learn with rates that fall linearly to 0, as those of the estimators."""
        shared, epochs, rates = part.shared, part.shape.max_iter, (setting["rate"], setting["output rate"])
        start = clock()
        kind = TorchBaseline if (by_torch := suits(shared.ed.network)) else Baseline
        baseline = kind(shared.ed.network, self.method, rates, shared.ed.seed)
        with np.errstate(all="ignore"):  # outputs that are not finite are seen below
            for epoch in range(epochs):
                share = 1 - epoch / epochs
                baseline.rates = share * rates[0], share * rates[1]
                baseline.fit(shared.x, shared.target, batch_size=part.shape.batch_size)
            seconds = clock() - start
            outputs = predict_in_parts(baseline, shared.x_test)
        return Learnt(shared.read(outputs), seconds, "torch" if by_torch else "numpy")


class UntrainedReadout(Learner):
    """A readout of the cells of the first ED, which do not learn."""

    def settings(self, part: Part, trials: int) -> list[Setting]:
        """Return multiples of the penalty."""
        return [{"penalty": factor} for factor in powers(PENALTY_FACTOR, trials)]

    def learn(self, part: Part, setting: Setting) -> Learnt:
        """Fit the readout."""
        shared, start = part.shared, clock()
        readout = Readout(shared.untrained(), setting["penalty"]).fit(shared.x, shared.target)
        seconds = clock() - start
        return Learnt(shared.read(readout.predict(shared.x_test)), seconds, "scikit-learn")


class Linear(Learner):
    """Logistic or ridge regression on the standardised features."""

    def settings(self, part: Part, trials: int) -> list[Setting]:
        """Return multiples of the penalty."""
        return [{"penalty": factor} for factor in powers(PENALTY_FACTOR, trials)]

    def learn(self, part: Part, setting: Setting) -> Learnt:
        """Fit the regression."""
        penalty = setting["penalty"]
        last = LogisticRegression(C=1 / penalty, max_iter=1000) if part.task == "classification" else Ridge(penalty)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of classes that are far apart
            return _fitted(make_pipeline(StandardScaler(), last), part.x, part.y, part.x_test)


def learners(names: Any, problem: Problem, shape: Shape) -> tuple[dict[str, Learner], Any]:
    """Return the methods by their names, and the first ED among them with whether it is the user's, or None."""
    task = problem.task
    if names is None:  # one network with all outputs has a cell for each class at least
        presets = [name for name in EDS if EDS[name]] if task == "regression" else []
        if task == "classification" and len(np.unique(problem.y)) > shape.hidden_width:
            presets = ["ED modulo"]
        names = [name for name in USUAL if name not in presets]
    if not isinstance(names, Mapping):
        listed = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
        if isinstance(names, str) or not listed or not all(isinstance(name, str) for name in listed):
            accepted = "names, as ['ED', 'back-propagation'], or a mapping of names to estimators"
            raise InputError("methods", shown(names), accepted)
        names = dict.fromkeys(listed)
    if not names:
        raise InputError("methods", "none", "at least one name")
    short = {**SHORT, "linear": LINEAR[task]}
    known = (*EDS, *get_args(Method), FROZEN, READOUT, LINEAR[task])
    found: dict[str, Any] = {}
    for name, estimator in names.items():
        full = short.get(name, name) if estimator is None else name
        if full in found:
            raise InputError("methods", f"{full!r} twice", "each method once")
        if estimator is None and full not in known:
            raise UnknownNameError("methods", name, (*known, *short), "For another one, map a name to an estimator.")
        fits_and_predicts = hasattr(estimator, "fit") and hasattr(estimator, "predict")
        if estimator is not None and (isinstance(estimator, type) or not fits_and_predicts):
            raise InputError(f"methods[{name!r}]", shown(estimator), "an estimator with fit and predict, or None")
        found[full] = estimator
    made: dict[str, Learner] = {}
    first = None
    for name, estimator in found.items():
        if estimator is not None:
            made[name] = Given(estimator)
            first = first or ((estimator, True) if isinstance(core_of(estimator), BaseED) else None)
        elif name in EDS:
            rule = EDS[name]
            if task == "regression" and rule and preset(rule).rule.centred:
                raise InputError("methods", repr(name), "methods that learn numbers", "A centred rule learns no mean.")
            made[name] = TunedED(ed := usual_ed(task, shape, rule))
            first = first or (ed, False)
    others: dict[str, Any] = {READOUT: UntrainedReadout(), LINEAR[task]: Linear()}
    others |= {method: Gradient(method) for method in get_args(Method)}
    others[FROZEN] = TunedED(*(first or (usual_ed(task, shape), False)), frozen=True)
    return {name: made[name] if name in made else others[name] for name in found}, first


def _fitted(estimator: Any, x: Any, y: npt.NDArray[Any], x_test: Any) -> Learnt:
    """Fit an estimator, and predict."""
    start = clock()
    try:
        estimator.fit(x, y)
    except DivergedError:
        return Learnt(None, clock() - start)
    seconds = clock() - start
    core = core_of(estimator)
    backend = core.ed_.backend if isinstance(core, BaseED) else type(core).__module__.partition(".")[0]
    return Learnt(np.asarray(estimator.predict(x_test)), seconds, backend.replace("sklearn", "scikit-learn"))
