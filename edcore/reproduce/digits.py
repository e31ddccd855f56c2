"""Fujita's EDLA of 2025 on scikit-learn's digits: test accuracy by epochs, with four hidden cells for each class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edcore.comparison.baselines import HOW, METHODS, Baseline, Learner, Method, rates_in_words
from edcore.comparison.controls import FROZEN, READOUT
from edcore.contract.compilation import clock
from edcore.core.network import Network
from edcore.core.presets import PRESETS
from edcore.core.randomness import permutation
from edcore.datasets import catalogue as datasets
from edcore.datasets.catalogue import Dataset
from edcore.model.classes import accuracy, targets
from edcore.model.ed import ED
from edcore.reproduce.options import Options, backend_of, draw, from_cells
from edcore.reproduce.outcome import EDCORE, Outcome, Published, Score

CLASSES, WIDTH, BATCH = 10, 2, 128
SEEDS = 10
ENDS = (20, 100, 500)
BEST = "best"
PUBLISHED = {"20": 93.33, "100": 95.56, "500": 95.00, BEST: 96.67}
RATES: dict[Method, tuple[float, float]] = {"back-propagation": (10.0, 10.0), "direct feedback alignment": (3.0, 3.0)}
"""Learning rates of the hidden cells and of the output."""


def digits(options: Options) -> Outcome:
    """Return the accuracy on a fifth of the digits, by epochs."""
    ends, seeds = options.pick(ENDS, ENDS[:1]), range(1, options.count(SEEDS) + 1)
    data = datasets.digits()
    network = Network(data.features, WIDTH, heads=CLASSES, **PRESETS["edla"].network)
    rows = []
    _curve(ED(data.features, WIDTH, rule="edla", heads=CLASSES, seed=0, backend=options.backend), data, 1)  # compiles
    for method in options.chosen((EDCORE, *METHODS, FROZEN, READOUT)):
        curves, seconds = [], 0.0
        for seed in seeds:
            options.announce(f"seed {seed}: {method}")
            learner: Learner
            if method in METHODS:
                learner = Baseline(network, method, RATES[method], seed)
            else:
                ed = ED(data.features, WIDTH, rule="edla", heads=CLASSES, seed=seed, backend=options.backend)
                learner = from_cells(ed, method)
            # A readout is fitted to the end at once, so it is the same after all epochs.
            curve, took = _curve(learner, _split(data, seed), 1 if method == READOUT else ends[-1])
            if method == READOUT:
                curve *= ends[-1]
            curves.append(curve)
            seconds += took
        scores = {str(end): tuple(curve[end - 1] for curve in curves) for end in ends}
        for setting, values in {**scores, BEST: tuple(map(max, curves))}.items():
            published = Published("Fujita 2025", PUBLISHED[setting]) if method == EDCORE else None
            by = backend_of(learner)
            rows.append(Score(setting, method, values, seconds=seconds, published=published, backend=by))
    rows.sort(key=lambda score: list(PUBLISHED).index(score.setting))
    return Outcome(
        name="edla-digits",
        title="scikit-learn's digits with 4 hidden cells a class, EDLA (Fujita 2025): test accuracy by epochs",
        measure="accuracy on 360 test images (%)",
        axis="epochs",
        rows=rows,
        notes=[
            f"edcore: preset `edla`, {CLASSES} heads of 64 → 2 + 2 → 1 cells, learning rate 1, batches of {BATCH}, "
            "float32. Each seed has its own fifth of the 1,797 images as test images, and its own weights; which "
            "images these are makes most of the spread. Fujita's figures are of one run.",
            f"*{BEST}* is the best of the {ends[-1]} epochs, picked by the test images themselves, as Fujita has it. "
            "It says more than can be expected of new images.",
            "The controls: untrained, the four cells of a class have weights of at most 0.0001 and are all but "
            "constant. With them frozen ED stays at chance, and a linear model, fitted to the end, reads half of the "
            "images from them. So it is the hidden cells that learn.",
            "Seconds are those of training for all epochs; tests are not counted.",
            f"{HOW} Learning rates (hidden cells, output): {rates_in_words(RATES)}; chosen among 6 pairs each.",
        ],
        quick=options.quick,
    )


def _split(data: Dataset, seed: int) -> Dataset:
    """Return all images in another split, 80 to 20."""
    x, y = np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])
    order = permutation(seed, 0, len(x))
    test, train = np.split(order, [len(data.x_test)])
    return replace(data, x_train=x[train], y_train=y[train], x_test=x[test], y_test=y[test])


def _curve(learner: Learner, data: Dataset, epochs: int) -> tuple[list[float], float]:
    """Return the accuracy in percent after each epoch, and the seconds of training."""
    target = targets(data.y_train, CLASSES).astype("float32")
    draw(learner, data.x_train)
    accuracies, seconds = [], 0.0
    for _ in range(epochs):
        start = clock()
        learner.fit(data.x_train, target, batch_size=BATCH)
        seconds += clock() - start
        accuracies.append(100 * accuracy(learner, data.x_test, data.y_test))
    return accuracies, seconds
