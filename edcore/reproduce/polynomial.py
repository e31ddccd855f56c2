"""Fujita's EDLA of 2025 on a noisy polynomial: R² on test points after 100 epochs."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.comparison.baselines import HOW, METHODS, Baseline, Learner, Method, rates_in_words
from edcore.comparison.controls import FROZEN, READOUT
from edcore.contract.compilation import clock
from edcore.core.activations import Activation
from edcore.core.network import Initial, Network
from edcore.core.presets import PRESETS
from edcore.model.ed import ED
from edcore.model.inputs import NEGATIVE
from edcore.reproduce.options import Options, backend_of, draw, from_cells
from edcore.reproduce.outcome import EDCORE, Outcome, Published, Score

Floats: TypeAlias = npt.NDArray[Any]

SEEDS = 10
EPOCHS, BATCH = 100, 32
POINTS, NOISE = 100, 5.0


@dataclass(frozen=True)
class PaperNetwork:
    """One network of the paper, and how all methods learn with it."""

    activation: Activation  # of the hidden cells
    width: int  # cells per stream
    alpha: float  # ED's learning rate
    published: float  # the paper's R²
    rates: dict[Method, tuple[float, float]]  # of the baselines: of the hidden cells, and of the output


SIGMOID: dict[Method, tuple[float, float]] = {
    "back-propagation": (0.1, 0.001),
    "direct feedback alignment": (0.03, 0.001),
}
NARROW_RELU: dict[Method, tuple[float, float]] = {
    "back-propagation": (0.01, 0.0003),
    "direct feedback alignment": (0.0003, 0.0003),
}
WIDE_RELU: dict[Method, tuple[float, float]] = {
    "back-propagation": (0.01, 0.0001),
    "direct feedback alignment": (0.0003, 0.0001),
}
NETWORKS = (
    PaperNetwork("sigmoid", 512, 1e-3, 0.9369, SIGMOID),
    PaperNetwork("sigmoid", 1024, 1e-3, 0.9369, SIGMOID),
    PaperNetwork("relu", 512, 1e-4, 0.9061, NARROW_RELU),
    PaperNetwork("relu", 1024, 1e-4, 0.9061, WIDE_RELU),
)


class Points(NamedTuple):
    """Training points and test points."""

    x: Floats
    y: Floats
    x_test: Floats
    y_test: Floats


def polynomial(options: Options) -> Outcome:
    """Return R² on 100 test points, by activation and cells."""
    rows = []
    for paper in options.pick(NETWORKS, NETWORKS[::2]):
        for method in options.chosen((EDCORE, *METHODS, FROZEN, READOUT)):
            options.announce(f"{paper.activation}, {paper.width} + {paper.width} cells: {method}")
            rows.append(_score(paper, method, options))
    return Outcome(
        name="edla-polynomial",
        title="A noisy polynomial, EDLA (Fujita 2025): R² after 100 epochs",
        measure=f"R² on {POINTS} test points",
        axis="hidden cells",
        rows=rows,
        digits=4,
        notes=[
            f"y = 0.5 x³ − 2 x² + x + sin x + noise of standard deviation {NOISE:g}, x ~ U(−5, 5); {POINTS} points to "
            f"learn from and {POINTS} to test on, drawn anew for each seed. Neither x nor y is scaled.",
            "edcore: preset `edla` with weights from U(0, 1), linear output, learning rate 1e-3 (ReLU 1e-4), batches "
            f"of {BATCH}, {EPOCHS} epochs, float32. “1024 hidden” may be read in two ways, so both are here. Fujita's "
            "figures are of one run.",
            "x has values below 0, where a split rule may shrink weights until they change their sign. From there on "
            "the paper and edcore differ: the paper's update has the sign that W has at the moment, edcore's has "
            "s_i · s_j, the sign that W began with.",
            "The controls: with frozen hidden cells ED is worse, so they help its own output layer. But a linear "
            "readout of untrained cells, fitted to the end by ridge regression, is better than ED and both baselines "
            "with sigmoids, and with the fewer ReLU cells: a thousand random cells are more than enough for a "
            "polynomial of one variable. So R² does not show that hidden cells have learnt what was not there before.",
            f"{HOW} Learning rates (hidden cells, output): sigmoid {rates_in_words(SIGMOID)}; ReLU "
            f"{rates_in_words(NARROW_RELU)}, with twice as many cells {rates_in_words(WIDE_RELU)}; "
            "chosen on seeds 11 to 20 among 2 to 6 pairs each.",
        ],
        quick=options.quick,
    )


def _score(paper: PaperNetwork, method: str, options: Options) -> Score:
    found, seconds = [], 0.0
    _learn(_learner(paper, method, 0, options), _points(0), 1)  # compiles
    for seed in range(1, options.count(SEEDS) + 1):
        points, learner = _points(seed), _learner(paper, method, seed, options)
        seconds += _learn(learner, points, options.pick(EPOCHS, 20))
        found.append(_r2(points.y_test, learner.predict(points.x_test)))
    published = Published("Fujita 2025", paper.published) if method == EDCORE else None
    cells = f"{paper.width} + {paper.width}"
    by = backend_of(learner)
    return Score(cells, method, tuple(found), 0, seconds, paper.activation, published, by)


def _learn(learner: Learner, points: Points, epochs: int) -> float:
    """Train, and return the seconds that it took."""
    draw(learner, points.x)
    start = clock()
    with warnings.catch_warnings():
        # The paper has negative inputs too, and reports the result with them.
        warnings.filterwarnings("ignore", re.escape(NEGATIVE))
        learner.fit(points.x, points.y, epochs=epochs, batch_size=BATCH)
    return clock() - start


def _learner(paper: PaperNetwork, method: str, seed: int, options: Options) -> Learner:
    options_of_both: dict[str, Any] = {
        "activation": paper.activation,
        "output_activation": "linear",
        "initial": Initial("uniform"),
    }
    if method not in METHODS:
        options_of_both |= {"alpha": paper.alpha, "alpha_output": paper.alpha, "seed": seed, "backend": options.backend}
        return from_cells(ED(1, paper.width, rule="edla", **options_of_both), method)
    network = replace(Network(1, paper.width, **PRESETS["edla"].network), **options_of_both)
    return next(Baseline(network, name, paper.rates[name], seed) for name in METHODS if name == method)


def _points(seed: int) -> Points:
    random = np.random.default_rng(seed)
    x = random.uniform(-5, 5, (2 * POINTS, 1))
    y = 0.5 * x**3 - 2 * x**2 + x + np.sin(x) + random.normal(0, NOISE, x.shape)
    x, y = x.astype("float32"), y[:, 0].astype("float32")
    return Points(x[:POINTS], y[:POINTS], x[POINTS:], y[POINTS:])


def _r2(target: Floats, outputs: Floats) -> float:
    """Return the share of the target's variance that the outputs explain, R²."""
    return float(1 - np.square(target - outputs).sum() / np.square(target - target.mean()).sum())
