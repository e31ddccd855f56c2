"""The comparison: the same splits and seeds for all methods, and as many settings tried by each."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from edcore.arguments import whole_number
from edcore.comparison.controls import READOUT
from edcore.comparison.methods import FACTOR, LINEAR, PENALTY_FACTOR, Given, Learner, Learnt, Setting, learners
from edcore.comparison.part import Part, Shape
from edcore.comparison.problem import FEW, Problem, problem_of
from edcore.comparison.result import Comparison, Scores
from edcore.core.randomness import permutation
from edcore.environment import here
from edcore.errors import EDCoreError, InputError, said, shown
from edcore.training.options import TEST_SIZE

EPOCHS, VISITS = 100, 500_000
"""Epochs if none are given, and samples that are learnt at most, each as often as it is: MNIST has 8 epochs."""

TRIALS = 5
Announce: TypeAlias = Callable[[int, int, str], object]
LARGEST_SEED = 2**32 - 1  # of scikit-learn


def compare(
    x: Any,
    y: Any,
    *,
    methods: Iterable[str] | Mapping[str, Any] | None = None,
    seeds: int | Iterable[int] = 10,
    test: tuple[Any, Any] | None = None,
    task: str | None = None,
    test_size: float = TEST_SIZE,
    hidden_width: int = 64,
    hidden_depth: int = 0,
    epochs: int | None = None,
    batch_size: int = 16,
    trials: int = TRIALS,
    backend: str = "auto",
    announce: Announce | None = None,
) -> Comparison:
    """Compare ED with other ways to learn, on the same splits, with the same seeds and as many settings tried by each.

    Parameters
    ----------
    x : array_like, shape (samples, features), or pandas.DataFrame
        The samples. Of a table, texts, gaps and more become features as by `edcore.estimators.table_pipeline`.
    y : array_like, shape (samples,)
        The class or the number of each sample.
    methods : list of str, or mapping of str to estimator or None, optional
        The methods by name, of which the first is compared with all others. ``"ED"`` is `EDClassifier` or `EDRegressor`
        with their defaults; ``"signed"``, ``"split"``, ``"kaneko"``, ``"edla"`` and ``"modulo"`` are ED with a preset;
        ``"bp"`` is back-propagation, ``"adam"`` the same with Adam's steps, ``"dfa"`` direct feedback alignment;
        ``"frozen"`` is the first ED with hidden layers that do not learn, ``"readout"`` a linear readout of its
        untrained cells; ``"linear"`` is logistic or ridge regression. In a mapping, a name may have an estimator of
        scikit-learn, such as ``EDClassifier(rule=…)`` or a pipeline, which is taken as it is; None stands for a name
        from the list. Left out, all but ``"kaneko"``, and for numbers no preset.
    seeds : int or iterable of int
        The number of seeds, counted from 0, or the seeds. Each gives all methods the same rows to learn from and to
        test on, the same order, and all networks that share cells the same seed of the weights.
    test : tuple (x, y), optional
        Samples to test on. Left out, each seed has its own: a share of the rows, the same of each class.
    task : {"classification", "regression"}, optional
        Left out: classification if y has texts, truth values, or at most 20 different whole numbers.
    test_size : float
        The share of the rows to test on; also of those to learn from by which settings are chosen.
    hidden_width, hidden_depth : int
        As for `EDClassifier`: those of all networks but your own estimators.
    epochs : int, optional
        Epochs of all networks but your own. Left out, 100, and fewer beyond 5,000 samples: 500,000 samples are learnt.
    batch_size : int
        Samples in a batch of these networks.
    trials : int
        Settings that each method tries: learning rates a factor 3 apart, or penalties a factor 10 apart. The best on a
        part of the first seed's training rows is taken for all seeds. With 1 the usual one is taken.
    backend : str
        The backend of ED. The gradient methods use PyTorch in wide networks, if it is installed, else NumPy.
    announce : callable, optional
        Called before each run with the number of runs that are done, of all runs, and what the next one is.

    Returns
    -------
    Comparison
        It prints as a table. `Comparison.as_dict` has all values, `Comparison.plot` draws them.

    Raises
    ------
    InputError
        If an argument is not accepted.
    EDCoreError
        If an estimator of yours raises an error.

    Examples
    --------
    >>> import edcore
    >>> data = edcore.datasets.digits(classes=(3, 8))
    >>> found = edcore.compare(data.x_train, data.y_train, methods=["ED", "frozen"], seeds=3, epochs=5, trials=1)
    >>> [one.method for one in found.scores], len(found["ED"].values)
    (['ED', 'hidden layers frozen'], 3)
    """
    problem = problem_of(x, y, test, task, test_size)
    options = {"hidden_width": hidden_width, "hidden_depth": hidden_depth, "epochs": epochs, "batch_size": batch_size}
    return compare_problem(problem, methods, seeds, options, trials=trials, backend=backend, announce=announce)


def compare_problem(
    problem: Problem,
    methods: Any,
    seeds: int | Iterable[int],
    options: Mapping[str, Any],
    *,
    trials: int = TRIALS,
    backend: str = "auto",
    announce: Announce | None = None,
) -> Comparison:
    """Compare the methods on a problem; `options` are those of all networks, by the names of `compare`."""
    environment = here()  # before it starts: a checkout may have moved on at the end
    numbers, trials = _seeds(seeds), whole_number("trials", trials, 1)
    samples = len(problem.split(numbers[0])[0])
    epochs = options.get("epochs")
    usual = max(1, min(EPOCHS, round(VISITS / samples)))
    shape = Shape(
        whole_number("hidden_width", options.get("hidden_width", 64), 1),
        whole_number("hidden_depth", options.get("hidden_depth", 0), 0),
        usual if epochs is None else whole_number("epochs", epochs, 1),
        whole_number("batch_size", options.get("batch_size", 16), 1),
        backend,
    )
    found, first = learners(methods, problem, shape)
    train, test = problem.split(numbers[0])
    inner = Part(problem, *problem.validation(train, numbers[0]), numbers[0], shape, first)
    settings = {name: one.settings(inner, trials) for name, one in found.items()}
    total = len(found) * len(numbers) + sum(len(tried) for tried in settings.values() if len(tried) > 1)
    done = itertools.count()

    def say(what: str) -> None:
        if announce:
            announce(next(done), total, what)

    chosen = {name: _chosen(name, one, problem, inner, settings[name], say) for name, one in found.items()}
    runs: dict[str, list[tuple[float | None, Learnt, str]]] = {name: [] for name in found}
    for seed in numbers:
        part = Part(problem, *problem.split(seed), seed, shape, first)
        for name, one in found.items():
            say(f"{name}, seed {seed}")
            runs[name].append(_run(name, one, problem, part, chosen[name][0]))
    scores = [_scores(name, runs[name], *chosen[name]) for name in found]
    fixed = problem.fixed is not None
    return Comparison(
        name=problem.name,
        task=problem.task,
        measure=problem.measure,
        seeds=numbers,
        scores=scores,
        overlap=0.0 if fixed else len(test) / len(train),
        environment=environment,
        notes=[*problem.notes, *_notes(problem, shape, found, numbers, trials, len(train), len(test))],
    )


def _seeds(seeds: Any) -> tuple[int, ...]:
    """Return the seeds of a number of them, or of a list."""
    if isinstance(seeds, str | bytes) or not isinstance(seeds, Iterable):
        return tuple(range(whole_number("seeds", seeds, 1)))
    found = tuple(whole_number("seeds", seed, 0) for seed in seeds)
    if not found or len(set(found)) < len(found) or max(found) > LARGEST_SEED:
        accepted = "their number, or different whole numbers from 0 to 2**32 - 1"
        raise InputError("seeds", shown(list(found)), accepted)
    return found


def _chosen(
    name: str, learner: Learner, problem: Problem, part: Part, settings: list[Setting], say: Callable[[str], object]
) -> tuple[Setting, int, bool]:
    """Return the setting that is best on what is held out, how many were tried, and if it is an extreme one."""
    if len(settings) == 1:
        return settings[0], 1, False
    tried = []
    for number, setting in enumerate(settings, 1):
        say(f"{name}, setting {number} of {len(settings)}")
        tried.append(_run(name, learner, problem, part, setting)[0])
    middle = (len(settings) - 1) // 2
    ranks = [(value, -abs(place - middle), place) for place, value in enumerate(tried) if value is not None]
    if not ranks:  # all have diverged; the result will say of how many seeds the least one does
        return settings[0], len(settings), True
    place = max(ranks)[2]  # of equal ones that which is nearest to the usual one
    return settings[place], len(settings), place in (0, len(settings) - 1)


def _run(
    name: str, learner: Learner, problem: Problem, part: Part, setting: Setting
) -> tuple[float | None, Learnt, str]:
    """Return the score of a run, what was learnt, and its first warning."""
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            learnt = learner.learn(part, setting)
    except Exception as error:  # an estimator of the user may raise anything
        if isinstance(error, EDCoreError) and not isinstance(learner, Given):
            raise
        raise EDCoreError(f"methods: {name!r} failed with seed {part.seed} ({said(error)}).") from error
    score = None if learnt.predicted is None else problem.score(name, part.y_test, learnt.predicted)
    if score is not None and not np.isfinite(score):
        score = None
    return score, learnt, str(warned[0].message) if warned else ""


def _scores(
    name: str, runs: list[tuple[float | None, Learnt, str]], setting: Setting, tried: int, edge: bool
) -> Scores:
    warned = [text for _, _, text in runs if text]
    first = f"warned in {len(warned)} of {len(runs)} runs, first: {' '.join(warned[0].split()):.300}" if warned else ""
    return Scores(
        method=name,
        values=tuple(score for score, _, _ in runs),
        seconds=tuple(learnt.seconds for _, learnt, _ in runs),
        setting=dict(setting),
        tried=tried,
        edge=edge,
        backend=", ".join(dict.fromkeys(learnt.backend for _, learnt, _ in runs if learnt.backend)),
        warned=first,
    )


def _notes(
    problem: Problem,
    shape: Shape,
    found: Mapping[str, Learner],
    seeds: tuple[int, ...],
    trials: int,
    train: int,
    test: int,
) -> list[str]:
    """Return sentences on how it was done."""
    count = f"{len(seeds)} seed{'s' * (len(seeds) != 1)}"
    if problem.tests_what_it_learns:
        rows = f"All methods learn all {train:,} samples and are tested on them; the {count} differ by their weights."
    elif problem.fixed is not None:
        rows = (
            f"All methods learn {train:,} samples and are tested on {test:,} others, the same for each of the {count}: "
            "intervals say how far weights and order matter, and nothing of other samples."
        )
    else:
        whose = f"Each of the {count} has its own" if len(seeds) > 1 else "The seed has a"
        kind = "stratified split" if problem.task == "classification" else "split"
        rows = f"{whose} {kind}, {train:,} rows to learn from and {test:,} to test on, the same for all methods."
    layers = f"each of {shape.hidden_depth + 1} hidden layers" if shape.hidden_depth else "one hidden layer"
    networks = (
        f"Networks have {shape.hidden_width} + {shape.hidden_width} cells in {layers}, and learn {shape.max_iter} "
        f"epochs in batches of {shape.batch_size}. "
        "The gradient methods and the untrained cells share the network, the scaled samples and the order of the first "
        "ED; gradients are those of the squared error, with weights of either sign and rates that fall to 0."
    )
    notes = [rows, networks]
    if trials > 1:
        whole = problem.tests_what_it_learns or train < FEW
        of = "all samples" if whole else f"{problem.test_size:.0%} of the rows that seed {seeds[0]} learns from"
        rates = [f"{trials} learning rates, a factor {FACTOR:g} apart"]
        if READOUT in found or LINEAR[problem.task] in found:
            rates.append(f"{trials} penalties, a factor {PENALTY_FACTOR:g} apart")
        notes.append(f"Each method tries as many settings ({', or '.join(rates)}) and keeps the best on {of}.")
    if len(seeds) > 1:
        text = "Intervals of means are Student's, at 95 %, over the seeds. Differences and p are of pairs"
        text += (
            "."
            if problem.fixed is not None
            else ", with a variance that is corrected for training rows which seeds share (Nadeau and Bengio 2003)."
        )
        notes.append(f"{text} Each p stands alone: of 20 methods that are equal, one has p below 0.05.")
    return notes


def few_samples(problem: Problem, most: int, seed: int = 0) -> Problem:
    """Return a problem with at most so many samples to learn from, for a quick look."""
    if problem.fixed is None:
        rows = permutation(seed, 0, len(problem.y))[:most]
        return replace(problem, x=problem.rows(rows), y=problem.y[rows])
    rows = np.r_[: min(problem.fixed, most), problem.fixed : min(len(problem.y), problem.fixed + most)]
    return replace(problem, x=problem.rows(rows), y=problem.y[rows], fixed=min(problem.fixed, most))
