"""The article's job of 2024: the zeros and ones of MNIST, one pass, through networks of up to 4096 hidden layers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edcore.comparison.baselines import HOW, METHODS, Baseline, Learner, Method
from edcore.comparison.controls import FROZEN, READOUT
from edcore.contract.compilation import clock
from edcore.core.network import Network
from edcore.core.randomness import permutation
from edcore.datasets.catalogue import Dataset
from edcore.model.classes import accuracy
from edcore.model.ed import ED
from edcore.reproduce.options import Options, backend_of, from_cells
from edcore.reproduce.outcome import EDCORE, Outcome, Published, Score

WIDTH, BATCH = 32, 64
DEPTHS = (1, 4, 16, 64, 256, 1024, 4096)
SEEDS = {1: 10, 4: 10, 16: 10, 64: 10, 256: 10, 1024: 3, 4096: 1}
BASELINE_SEEDS = {1: 3, 4: 3, 16: 3, 64: 3, 256: 1, 1024: 1}
"""Seeds by depth. The baselines, layer by layer in NumPy, take minutes for one pass at their largest depth."""

PASS, PART = "after one pass", "within the pass"
MEASURED = {(1, None): 99.15, (16, 100): 98.5, (256, 40): 96.6}
"""Accuracy in percent of the article's algorithm in NumPy float64, by depth and batches (None for the pass)."""

RATES: dict[Method, dict[int, tuple[float, float]]] = {
    "back-propagation": {1: (0.1, 0.1), 4: (0.1, 0.1), 16: (0.03, 0.03), 64: (0.006, 0.006), 256: (0.001, 0.001)},
    "direct feedback alignment": {1: (0.03, 0.1), 4: (0.03, 0.1), 16: (0.01, 0.03), 64: (0.01, 0.01)},
}
"""Learning rates of the hidden layers and of the output layer, from a depth upward."""


def mnist01(options: Options) -> Outcome:
    """Return the accuracy on the 2,115 test images by depth."""
    data = options.mnist((0, 1))
    rows: list[Score] = []
    for depth in options.pick(DEPTHS, DEPTHS[:2]):
        for method in options.chosen((EDCORE, *METHODS, FROZEN, READOUT)):
            if method in METHODS and depth not in BASELINE_SEEDS:
                continue
            options.announce(f"depth {depth}: {method}")
            rows += _scores(data, depth, method, options)
    rows.sort(key=lambda score: score.group == PART)  # the scores of a panel together, and else in their order
    return Outcome(
        name="article-mnist01",
        title="Zeros and ones of MNIST by depth, the article of 2024: accuracy after one pass",
        measure="accuracy on 2,115 test images (%)",
        axis="hidden layers",
        rows=rows,
        notes=[
            f"edcore: preset `signed`, {WIDTH} cells per stream, float32, one pass over {len(data.x_train):,} images "
            f"in random batches of {BATCH}, as in the article. The article states no accuracies by depth: the figures "
            "beside ours are of its algorithm, written out in NumPy in float64, one run each.",
            "Seconds are those of training; tests are not counted. The kernels are compiled before.",
            "A deep network of the article is saturated: the input layer and the first few hidden layers learn, and "
            "all others, the output layer included, keep their initial weights "
            "([the measurement](../explanation/method.md#deep-networks)): "
            "`edcore train --diagnose` shows it.",
            "The controls: with all hidden layers frozen the network guesses, at every depth. From untrained cells a "
            "linear model (logistic regression, fitted to the end) reads little beyond the first layers. So what ED "
            "gets right is learnt. [Does depth learn?](../explanation/depth.md) tells in which layers.",
            f"{HOW} So neither activities nor gradients fade with depth to begin with: with biases of 0 "
            "back-propagation learnt nothing at depth 16 at any of 6 pairs of rates. Learning rates (hidden layers, "
            f"output), from a depth upward: {_rates_in_words()}; chosen among 1 to 6 pairs each at these depths. At "
            "depth 256, none of 4 pairs for back-propagation and of 4 for direct feedback alignment learnt anything in "
            f"one pass. They are left out at depth {DEPTHS[-1]}, where one pass would take them a quarter of an hour.",
        ],
        quick=options.quick,
    )


def _scores(data: Dataset, depth: int, method: str, options: Options) -> Iterator[Score]:
    """Yield one method's scores at a depth: after the pass, and within it if there is a figure to compare with."""
    batches = math.ceil(len(data.x_train) / BATCH)
    # A readout is fitted to the end at once, so within the pass there is none.
    marks = [*(count for deep, count in MEASURED if deep == depth and count and method != READOUT), batches]
    seeds = range(1, options.count(SEEDS[depth] if method in (EDCORE, FROZEN) else BASELINE_SEEDS.get(depth, 1), 1) + 1)
    if method in (EDCORE, FROZEN):
        _curve(_learner(data, depth, method, 0, options), data, 0, [1])  # compiles
    learners = [_learner(data, depth, method, seed, options) for seed in seeds]
    curves = [_curve(learner, data, seed, marks) for learner, seed in zip(learners, seeds, strict=True)]
    for mark, reached in zip(marks, zip(*curves, strict=True), strict=True):
        whole = mark == batches
        figure = MEASURED.get((depth, None if whole else mark))
        yield Score(
            str(depth) if whole else f"{depth}, {mark} batches",
            method,
            tuple(100 * right for right, _ in reached),
            seconds=sum(seconds for _, seconds in reached),
            group=PASS if whole else PART,
            published=Published("the article's algorithm", figure) if figure and method == EDCORE else None,
            backend=backend_of(learners[0]),
        )


def _learner(data: Dataset, depth: int, method: str, seed: int, options: Options) -> Learner:
    if method not in METHODS:
        return from_cells(ED(data.features, WIDTH, depth, seed=seed, backend=options.backend), method)
    rates = RATES[method]
    pair = rates[max(start for start in rates if start <= depth)]
    return Baseline(Network(data.features, WIDTH, depth), method, pair, seed)


def _curve(learner: Learner, data: Dataset, seed: int, marks: list[int]) -> list[tuple[float, float]]:
    """Make the pass; return the accuracy and the seconds of training after each of these numbers of batches."""
    order, target = permutation(seed, 0, len(data.x_train)), data.y_train.astype("float32")
    found, seconds = [], 0.0
    for first, last in zip([0, *marks], marks, strict=False):
        rows = order[first * BATCH : last * BATCH]
        start = clock()
        learner.fit(data.x_train[rows], target[rows], batch_size=BATCH, shuffle=False)
        seconds += clock() - start
        found.append((accuracy(learner, data.x_test, data.y_test), seconds))
    return found


def _rates_in_words() -> str:
    return "; ".join(
        f"{method} " + ", ".join(f"{depth}: {hidden:g} and {output:g}" for depth, (hidden, output) in rates.items())
        for method, rates in RATES.items()
    )
