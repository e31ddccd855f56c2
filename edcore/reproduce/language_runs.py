"""A run of `language`: a method that learns the next character of a text, and what it comes to."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from edcore.comparison.baselines import METHODS, Baseline, Learner, Method
from edcore.comparison.controls import FROZEN, READOUT, SteppedReadout, fitted_readout
from edcore.contract.compilation import clock
from edcore.core.activations import derivative, softmax
from edcore.core.network import Initial
from edcore.core.presets import PRESETS
from edcore.core.randomness import permutation
from edcore.core.rule import Rule
from edcore.datasets.text import Text, python_topics, read_text
from edcore.datasets.writing import write_text
from edcore.model.classes import bits_of, predict_in_parts
from edcore.model.ed import ED
from edcore.reproduce.options import backend_of, draw
from edcore.reproduce.outcome import EDCORE

COUNTS, LINEAR = "counts", "linear model of the inputs"
ADAM: Method = "back-propagation with Adam"
BASELINES: tuple[Method, ...] = (*METHODS, ADAM)

BATCH, PARTS, QUICK_STEPS = 128, 20, 40
"""Samples of a step, parts of a run, each with smaller learning rates than the last, and the steps of a quick look."""

WATCHED = 5_000
"""Held-out characters that are predicted after each part, the first ones."""

RATES: dict[Method, tuple[float, float]] = {
    "back-propagation": (16.0, 0.3),
    "direct feedback alignment": (8.0, 0.2),
    ADAM: (0.02, 0.003),
}
"""First learning rates of the baselines, of the hidden cells and of the output."""

LINEAR_RATE, READOUT_RATE = 20.0, 15.0
"""First learning rates of the linear model, and of the readout of untrained cells."""

GAIN = 8.0
"""Factor of the baselines' first weights of the input layer, of whose 2,048 sources 32 are 1."""

SATURATED = 1e-3
"""The slope below which a cell counts as saturated, of at most 1 (tanh) or 1/4 (sigmoid)."""

READ, TOLD = 6_000, 5_000
"""Samples to which the readout of a layer is fitted, and held-out characters that it predicts."""

INITIAL = Initial(weight=2.0, bias=0.0, fan_in=0.5)
CELLS = {"u0": 6.0, "activation": "tanh", "output_activation": "softmax", "initial": INITIAL}
RULE = replace(PRESETS["modulo"].rule, alpha=10.0, alpha_output=1.0)
"""The network and the rule with which ED learns where nothing else is said."""


@dataclass(frozen=True)
class Trial:
    """A setting: a network, and how it learns."""

    group: str
    setting: str
    methods: tuple[str, ...] = (EDCORE,)
    seeds: int = 2
    width: int = 256
    depth: int = 0
    context: int = 16
    steps: int = 4_000
    rule: Rule = RULE
    cells: Mapping[str, Any] = field(default_factory=dict)  # fields of the network that differ from CELLS
    frozen_rate: float = 40.0  # of ED's output layer over frozen cells
    decay: bool = True  # whether learning rates fall to 0 in a straight line
    shown: bool = False  # whether a curve is drawn, and a sample is written
    reads: bool = False  # whether each layer is read

    def network(self, text: Text, seed: int, backend: str) -> ED:
        """Return the ED of this setting."""
        k = len(text.characters)
        shape: dict[str, Any] = {"hidden_width": max(self.width, k), "hidden_depth": self.depth}
        shape |= {"one_hot": k, "outputs": k}
        fields = {**CELLS, **self.cells}
        fields.pop("depth", None)  # a preset has one
        return ED(text.context * k, **shape, **fields, rule=self.rule, seed=seed, backend=backend)


@dataclass(frozen=True)
class Found:
    """What a run has come to, in bits per held-out character."""

    bits: float
    seconds: float  # of training
    backend: str
    curve: list[list[float]]  # while it learns: samples, and the bits of the first held-out characters
    written: str  # what ED continues the training text with, where that is wanted
    layers: list[tuple[str, str, float]]  # a layer, a method and the bits that a readout of it comes to
    state: str = ""  # of ED's cells and weights, in words


def run(trial: Trial, method: str, seed: int, file: Path | None, backend: str, quick: bool) -> Found:
    """Let a method learn a setting, with one seed; workers call it by its name."""
    text = read(file, trial.context)
    one = Run(trial, method, seed, text, backend)
    one.learn(QUICK_STEPS if quick else trial.steps)
    layers, written, ed = list[tuple[str, str, float]](), "", one.learner
    if isinstance(ed, ED) and method == EDCORE and seed == 1:
        if trial.reads:
            for name, network in ((EDCORE, ed), (READOUT, trial.network(text, seed, backend))):
                layers += [(layer, name, bits) for layer, bits in readouts(network, text, seed).items()]
        if trial.shown:
            start = text.decode(text.codes[text.cut - text.context : text.cut])
            written = start + "".join(write_text(ed, text.characters, start, length=400, temperature=0.7, seed=1))
    state = cell_state(ed, text) if isinstance(ed, ED) and method == EDCORE and seed == 1 else ""
    return Found(one.bits(), one.seconds, backend_of(ed), one.curve, written, layers, state)


@functools.cache
def read(file: Path | None, context: int) -> Text:
    """Return the text of a file, or that of Python, with the windows of a context."""
    return python_topics(context=context) if file is None else read_text(file, context=context)


class Run:
    """One seed of a method in a setting."""

    def __init__(self, trial: Trial, method: str, seed: int, text: Text, backend: str) -> None:
        self.trial, self.text, self.seed = trial, text, seed
        self.seconds, self.curve = 0.0, list[list[float]]()
        self._x, self._y = text.x("float32"), text.y
        self.learner, self._rates = self._learner(method, trial.network(text, seed, backend))
        draw(self.learner, self._x[:BATCH])

    def _learner(self, method: str, ed: ED) -> tuple[Learner, tuple[float, float]]:
        """Return what learns, and its first learning rates."""
        rule, network = self.trial.rule, ed.network
        if method == LINEAR:
            return LinearModel(len(self.text.characters), self.text.context), (LINEAR_RATE, LINEAR_RATE)
        if method == READOUT:
            return SteppedReadout(ed, READOUT_RATE), (0.0, READOUT_RATE)
        if method in BASELINES:
            rates = RATES[method]
            return Baseline(network, method, rates, self.seed, GAIN), rates
        return ed, (0.0, self.trial.frozen_rate) if method == FROZEN else (rule.alpha, rule.alpha_output)

    def learn(self, steps: int) -> None:
        """Learn the samples of some steps, in an order of this seed."""
        wanted, train = steps * BATCH, self.text.train_samples
        orders = [permutation(self.seed, epoch, train) for epoch in range(-(-wanted // train))]
        one_hot = np.eye(len(self.text.characters), dtype=np.float32)
        parts = np.array_split(np.concatenate(orders)[:wanted].reshape(-1, BATCH), PARTS)
        samples = 0
        for number, batches in enumerate(parts):
            rows = batches.reshape(-1)
            self._set_rates(1 - (number + 0.5) / PARTS if self.trial.decay else 1.0)
            x, target = self._x[rows], one_hot[self._y[rows]]
            start = clock()
            self.learner.fit(x, target, batch_size=BATCH, shuffle=False)
            self.seconds += clock() - start
            samples += len(rows)
            if self.trial.shown:
                self.curve.append([samples, self.bits(WATCHED)])

    def bits(self, most: int | None = None) -> float:
        """Return the bits per character of the held-out part, or of its first characters."""
        held_out = slice(self.text.train_samples, None if most is None else self.text.train_samples + most)
        x, y = self._x[held_out], self._y[held_out]
        found = np.asarray(predict_in_parts(self.learner, x))
        found = found / found.sum(axis=1, keepdims=True)  # sigmoid outputs are no probabilities before
        return float(bits_of(found, y).mean())

    def _set_rates(self, factor: float) -> None:
        hidden, output = (factor * rate for rate in self._rates)
        if isinstance(self.learner, ED):
            self.learner.rule = replace(self.learner.rule, alpha=hidden, alpha_output=output)
        else:
            cast(Any, self.learner).rates = hidden, output


class LinearModel:
    """A softmax of the inputs, with no hidden cells, which learns by plain gradient steps of the cross-entropy."""

    def __init__(self, characters: int, context: int) -> None:
        self.rates = 0.0, 0.0
        self.epochs = np.zeros(1, np.intp)
        self._weights = np.zeros((context, characters, characters), np.float32)
        self._columns = np.arange(context)

    def fit(self, x: npt.NDArray[Any], target: npt.NDArray[Any], *, batch_size: int = 64, **_: Any) -> LinearModel:
        """Learn all samples in batches, in the order in which they come."""
        for start in range(0, len(x), batch_size):
            codes, wanted = x[start : start + batch_size].astype(np.intp), target[start : start + batch_size]
            error = wanted - self.predict(codes)
            np.add.at(self._weights, (self._columns, codes), (self.rates[1] / len(codes)) * error[:, None, :])
        self.epochs += 1
        return self

    def predict(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the probabilities of the characters that follow the codes x (batch, context)."""
        return np.asarray(softmax(self._weights[self._columns, x.astype(np.intp)].sum(axis=1)))


def cell_state(ed: ED, text: Text) -> str:
    """Return in words how far the hidden cells are saturated and alike, and how many weights are at the floor."""
    held_out = text.x(ed.network.dtype)[text.train_samples :][:1_000]
    hidden = [cells[0].astype(np.float64) for cells in list(ed.activities(held_out).values())[1:-1]]
    saturated = [float((derivative(ed.network.activation, y) < SATURATED).mean()) for y in hidden]
    common = [float((y.mean(axis=0) ** 2).sum() / (y**2).mean(axis=0).sum()) for y in hidden]
    parts = f"saturated {_percents(saturated)}, common mode {_percents(common)}"
    if ed.rule.floor:
        weights = [abs(value) for key, value in ed.weights.items() if key.endswith("weight") and value.size]
        low = sum(int((value <= ed.rule.floor * 1.001).sum()) for value in weights) / sum(map(np.size, weights))
        parts += f", weights at the floor {_percents([low])}"
    return parts


def _percents(shares: list[float]) -> str:
    return ", ".join(f"{100 * share:.0f}" for share in shares) + " %"


def readouts(ed: ED, text: Text, seed: int) -> dict[str, float]:
    """Return the bits per held-out character that a linear readout of each hidden layer comes to, by its name."""
    x, y, train = text.x(ed.network.dtype), text.y, text.train_samples
    rows = np.sort(permutation(seed, 0, train)[:READ])
    learnt, told = ed.activities(x[rows]), ed.activities(x[train : train + TOLD])
    target, wanted = np.eye(len(text.characters))[y[rows]], y[train : train + TOLD]
    found = {}
    for name in list(learnt)[1:-1]:
        read = fitted_readout(learnt[name][0], target, penalty=100.0)
        # A character that is not among the samples would take endless bits: each has a chance of one in a thousand.
        p = 0.999 * read(told[name][0]) + 0.001 / len(text.characters)
        found[name] = float(bits_of(p, wanted).mean())
    return found
