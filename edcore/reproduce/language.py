"""A language model that learns by ED: the next character of a text, beside counts, controls and baselines."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from edcore.comparison.baselines import HOW, METHODS, rates_in_words
from edcore.comparison.controls import FROZEN, READOUT
from edcore.comparison.ngrams import ngram_bits
from edcore.core.presets import PRESETS
from edcore.datasets.text import TOPICS, Text
from edcore.parallel.tasks import run_tasks
from edcore.reproduce.language_runs import (
    ADAM,
    BASELINES,
    BATCH,
    CELLS,
    COUNTS,
    GAIN,
    INITIAL,
    LINEAR,
    LINEAR_RATE,
    PARTS,
    RATES,
    READ,
    READOUT_RATE,
    RULE,
    SATURATED,
    TOLD,
    WATCHED,
    Found,
    Trial,
    read,
    run,
)
from edcore.reproduce.options import Options
from edcore.reproduce.outcome import EDCORE, Outcome, Score, standard_errors_below

ONE, DEPTH, CHANGED, READ_FROM = "one hidden layer", "several hidden layers", "one thing changed", "read from a layer"
GROUPS = (COUNTS, ONE, DEPTH, READ_FROM, CHANGED)
"""The groups of settings, in their order."""

SEEDS: dict[str, int] = {ADAM: 2, "back-propagation": 3, "direct feedback alignment": 3}
"""The most seeds of methods that take long."""

MAIN = Trial(ONE, "width 256", (EDCORE, *METHODS, ADAM, LINEAR, FROZEN, READOUT), seeds=5, shown=True)
LONG = Trial(ONE, "512, context 8, twice as long", seeds=2, width=512, context=8, steps=8_000, shown=True)
DEEP_WEIGHT, READ_DEPTH = 0.5, 2
DEEP = {"rms": True, "initial": replace(INITIAL, weight=DEEP_WEIGHT, excitatory=1.5, inhibitory=0.5)}
"""With these, several hidden layers learn at all: the sums of a layer are divided by their root mean square."""
SHALLOW = Trial(DEPTH, "depth 0", (EDCORE, FROZEN), steps=2_000, cells=DEEP, frozen_rate=5.0)
DEEPER = replace(SHALLOW, frozen_rate=0.1)

PLAIN = {**PRESETS["modulo"].network, "activation": "sigmoid"}
SIGMOIDS = {**PLAIN, "output_activation": "sigmoid"}
"""The preset with softmax, and as it is: its outputs are independent sigmoids."""

TRIALS = (
    MAIN,
    *(Trial(ONE, f"width {width:,}", width=width) for width in (64, 512, 1024)),
    LONG,
    SHALLOW,
    replace(DEEPER, setting="depth 1", depth=1),
    replace(DEEPER, setting="depth 2", depth=READ_DEPTH, reads=True),
    *(replace(SHALLOW, setting=f"depth {depth}", depth=depth, methods=(EDCORE,), seeds=1) for depth in (4, 8)),
    Trial(CHANGED, "preset, softmax", rule=PRESETS["modulo"].rule, cells=PLAIN),
    Trial(CHANGED, "preset, sigmoid outputs", rule=PRESETS["modulo"].rule, cells=SIGMOIDS),
    Trial(CHANGED, "the same, depth 1", rule=PRESETS["modulo"].rule, cells=SIGMOIDS, depth=1),
    Trial(CHANGED, "sigmoid cells", cells={"activation": "sigmoid"}),
    Trial(CHANGED, "rms", cells={"rms": True}),
    Trial(CHANGED, "constant rates", decay=False),
    Trial(CHANGED, "3 times the rates", rule=replace(RULE, alpha=30.0, alpha_output=3.0)),
    Trial(CHANGED, "a third of the rates", rule=replace(RULE, alpha=10 / 3, alpha_output=1 / 3)),
    Trial(CHANGED, "not centred", rule=replace(RULE, centred=False)),
    Trial(CHANGED, "no floor", rule=replace(RULE, floor=None)),
    Trial(CHANGED, "first weights of 6", cells={"initial": replace(INITIAL, weight=6.0)}),
    Trial(CHANGED, "context of 8", context=8),
    Trial(CHANGED, "context of 4", context=4),
)


def language(options: Options) -> Outcome:
    """Return the bits per character of the part of a text that is held out."""
    chosen = options.chosen((EDCORE, COUNTS, *BASELINES, LINEAR, FROZEN, READOUT))
    text, trials = read(options.text, MAIN.context), options.pick(TRIALS, (MAIN, SHALLOW))
    tasks = {
        (number, method, seed): (trial, method, seed, options.text, options.backend, options.quick)
        for number, trial in enumerate(trials)
        for method in trial.methods
        if method in chosen
        for seed in range(1, options.count(min(SEEDS.get(method, trial.seeds), trial.seeds), 1) + 1)
    }
    found: dict[tuple[int, str, int], Found] = {}
    # A worker on each core, as a network of this size has too little work for two threads.
    for key, one in run_tasks(run, tasks, n_jobs=-1):
        found[key] = one
        trial, (_, method, seed) = trials[key[0]], key
        options.announce(f"{trial.group}, {trial.setting}, {method}, seed {seed}: {one.bits:.3f} bits")
    found = {key: found[key] for key in tasks}  # in their order, not in that in which they were done
    rows = [] if COUNTS not in chosen else _counted(text)
    curves, texts = dict[str, list[list[float]]](), dict[str, str]()
    for number, method in dict.fromkeys((number, method) for number, method, _ in tasks):
        trial = trials[number]
        runs = [found[key] for key in tasks if key[:2] == (number, method)]
        values, seconds = tuple(one.bits for one in runs), sum(one.seconds for one in runs)
        by = runs[0].backend
        rows.append(Score(trial.setting, method, values, seconds=seconds, group=trial.group, backend=by))
        rows += [Score(layer, of, (bits,), group=READ_FROM) for layer, of, bits in runs[0].layers if of in chosen]
        if trial == MAIN:
            points = zip(*(one.curve for one in runs), strict=True)
            curves[method] = [[*map(fmean, zip(*seeds, strict=True))] for seeds in points]
        if runs[0].written:
            texts[trial.setting] = runs[0].written
    rows.sort(key=lambda score: GROUPS.index(score.group))
    return Outcome(
        name="language",
        title="A language model that learns by ED: the next character of a text",
        measure="bits per held-out character, of which less is better",
        axis="setting",
        rows=rows,
        digits=3,
        notes=[*_verdict(rows), *_notes(text), *_states(trials, found)],
        quick=options.quick,
        curves=curves,
        texts=texts,
    )


def _counted(text: Text) -> list[Score]:
    """Return the scores of interpolated counts of 1, 2, … characters."""
    return [Score(f"{n}-gram", COUNTS, (bits,), group=COUNTS) for n, bits in enumerate(ngram_bits(text), 1)]


def _states(trials: tuple[Trial, ...], found: dict[tuple[int, str, int], Found]) -> list[str]:
    """Return a sentence on the cells of each network of ED."""
    states = [(trials[key[0]], one.state) for key, one in found.items() if one.state]
    listed = "; ".join(f"{trial.group}, {trial.setting}: {state}" for trial, state in states)
    return [f"{STATES} {listed}."] if listed else []


def _verdict(rows: list[Score]) -> list[str]:
    """Return sentences on ED beside the counts and its controls, in the first setting."""
    main = {score.method: score for score in rows if (score.group, score.setting) == (MAIN.group, MAIN.setting)}
    ours = main.pop(EDCORE, None)
    if ours is None or ours.mean is None:
        return []
    lines = []
    bounds = {score.setting: score.mean for score in rows if score.method == COUNTS}
    bounds |= {method: score.mean for method, score in main.items()}
    for name, bound in bounds.items():
        if bound is not None:
            apart = standard_errors_below(ours, bound)
            far = f", {abs(apart):,.0f} of its standard errors," if abs(apart) < 1e9 else ""
            side = "below" if apart > 0 else "above"
            lines.append(f"{name} {bound:.3f}: ED{far} {side}")
    cells = f"ED with one hidden layer of {MAIN.width} + {MAIN.width} cells"
    return [f"{cells} comes to {ours.mean:.3f} bits. {'; '.join(lines)}."]


STATES = (
    f"The state of the hidden layers at the end, of the first seed: cells with a slope below {SATURATED:g}, the share "
    "of the mean over the samples in the mean square of the activities, and weights within 0.1 % of the floor."
)

PYTHONS = " Every Python has this text (`pydoc_data.topics`), each version its own."


def _notes(text: Text) -> list[str]:
    """Return how it was done."""
    held_out = len(text.codes) - text.cut
    kind = f'{CELLS["activation"]} cells of u0 {CELLS["u0"]:g}, `output_activation="softmax"`'
    return [
        f"The text: {text.name}, {len(text.codes):,} characters (SHA-256 {text.digest[:16]}…). The last {held_out:,} "
        f"are held out. The {len(text.characters) - 1} most frequent characters have their own codes, all others share "
        f"one.{PYTHONS * (text.name == TOPICS)}",
        "Counts: the probability of a character after n − 1 others, interpolated with those of shorter contexts "
        "(Jelinek and Mercer 1980), see `edcore.comparison.ngram_bits`.",
        f"ED: the last {MAIN.context} characters as one-hot inputs (`one_hot={len(text.characters)}`), {kind}, and the "
        f"rule of the preset `modulo` with learning rates {RULE.alpha:g} and {RULE.alpha_output:g} (output). They fall "
        f"to 0 in a straight line. {MAIN.steps:,} steps of {BATCH} samples: each sample about once. First weights as "
        "in the preset, but with + and − cells alike.",
        f"Several hidden layers: {SHALLOW.steps:,} steps, `rms=True`, first weights of {DEEP_WEIGHT:g}, and the "
        "preset's unequal + and − cells. Without these a second hidden layer does more harm. Frozen cells there: first "
        f"rates {SHALLOW.frozen_rate:g} and {DEEPER.frozen_rate:g} (beyond depth 0); larger ones are unstable.",
        f"The linear model has no hidden cells: it is a softmax of the same inputs, first rate {LINEAR_RATE:g}. "
        f"Hidden layers frozen: ED's output layer alone learns, first rate {MAIN.frozen_rate:g}. The readout of "
        f"untrained cells has weights of either sign and plain gradient steps, first rate {READOUT_RATE:g}.",
        f"Read from a layer: a logistic regression on the activities of each hidden layer, for {READ:,} training "
        f"samples, predicts {TOLD:,} held-out characters (depth {READ_DEPTH}; trained by ED, and untrained). It has "
        "few samples, so its bits compare layers with each other, and say nothing about the network.",
        f"{HOW} Their error is ED's, target minus softmax, so they follow the gradient of the cross-entropy. First "
        f"rates: {rates_in_words(RATES)}; input weights {GAIN:g} times as large. All rates fall as ED's. The "
        "baselines are plain NumPy, which multiplies the zeros of the inputs too: their seconds say nothing about the "
        "methods.",
        f"Rates fall in {PARTS} equal parts of a run. Curves: the bits of the first {WATCHED:,} held-out characters "
        "after each part, in the mean of the seeds.",
    ]
