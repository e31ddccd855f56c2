"""Does depth learn? ED, its frozen twins and linear readouts from depth 0 to 4096: figures as JSON, tables and a plot.

    python tests/benchmarks/depth.py docs/explanation/depth.json --data-dir DATA   # measures what the file lacks
    python tests/benchmarks/depth.py docs/explanation/depth.json --plot docs/explanation/depth.png   # prints and draws

Each network learns to tell odd digits from even ones (scikit-learn's digits), and the zeros from the ones of MNIST as
in the article. Each way to learn takes the factor of the rule's learning rates that is best on a fifth of the training
samples, without which it learns then; test samples choose nothing. Beyond the depth CHOSEN the factor is that of
CHOSEN. One core does it all. The file is written after each network, so a run that was stopped goes on.
"""

import os

os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

import argparse
import json
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import edcore
from edcore.comparison.controls import Readout, freeze, hidden_activities
from edcore.core import method as core
from edcore.core.randomness import permutation
from edcore.diagnostics.diagnose import DeadStackWarning, diagnose
from edcore.environment import here
from edcore.plots.canvas import METHODS
from edcore.sweep.statistics import mean_of

WIDTH, DEPTHS, CHOSEN = 32, (0, 1, 4, 16, 64, 256, 1024, 4096), 64
SEEDS = {256: (1, 2, 3), 1024: (1,), 4096: (1,)}  # of the deepest; else FIVE
FIVE, VALIDATION = (1, 2, 3, 4, 5), (101, 102)
FACTORS, FROZEN_FACTORS = (0.25, 1.0, 4.0, 16.0), (1 / 64, 1 / 16, 1 / 4, 1.0, 4.0, 16.0)
"""Of the rule's learning rates. Where one layer learns alone, smaller rates may suit it."""

RULES = ("signed", "split")
INITIALS = {
    "article": {},
    "fan_in ½": {"initial": edcore.Initial(fan_in=0.5)},
    "rms": {"rms": True},
    "u0 = 2": {"u0": 2.0},
}
READ = 2000  # training samples of a readout, at most
MUCH = 0.01  # a layer has learnt if its weights have moved by this share of their norm
LINES = {
    "ed": ("ED", METHODS["ED"], "o-"),
    "first": ("ED, hidden layers beyond the first frozen", METHODS["ED"], "^--"),
    "frozen": ("ED, hidden layers frozen", METHODS["hidden layers frozen"], "s-"),
    "untrained": ("linear readout of untrained cells", METHODS["linear readout of untrained cells"], "v-"),
    "trained": ("linear readout of trained cells", METHODS["linear readout of untrained cells"], "x:"),
}


class Samples(NamedTuple):
    """Samples to learn and to test, in which way, and when to test."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    epochs: int
    batch: int


class Place(NamedTuple):
    """A network, and what it learns."""

    data: str
    rule: str
    initial: str
    depth: int


def load(folder):
    """Return both data sets by name."""
    digits, mnist = edcore.datasets.digits(), edcore.datasets.mnist(folder, classes=(0, 1))
    odd = [(y % 2).astype("float32") for y in (digits.y_train, digits.y_test)]
    return {
        "digits, odd or even": Samples(digits.x_train, odd[0], digits.x_test, odd[1], epochs=20, batch=32),
        "MNIST, 0 or 1": Samples(
            mnist.x_train, mnist.y_train.astype("float32"), mnist.x_test, mnist.y_test, epochs=1, batch=64
        ),
    }


def held_out(data):
    """Return the training samples alone, a fifth of them to test with."""
    test = len(data.x) // 5
    return data._replace(x=data.x[test:], y=data.y[test:], x_test=data.x[:test], y_test=data.y[:test])


def draw_network(place, data, seed, factor=1.0):
    rates = {"alpha": 0.8 * factor, "alpha_output": factor}
    given = {"rule": place.rule, "seed": seed, "backend": "numba", **rates, **INITIALS[place.initial]}
    return edcore.ED(data.x.shape[1], WIDTH, place.depth, **given)


def right(outputs, y):
    return float((np.round(outputs) == y).mean())


def batches(data, seed):
    """Yield the rows of each batch, in the order of ED.fit."""
    for epoch in range(data.epochs):
        order = permutation(seed, epoch, len(data.x))
        yield from np.split(order, range(data.batch, len(order), data.batch))


def train(place, data, seed, factor):
    """Let all layers learn."""
    return draw_network(place, data, seed, factor).fit(data.x, data.y, epochs=data.epochs, batch_size=data.batch)


def ed(place, data, seed, factor):
    return right(train(place, data, seed, factor).predict(data.x_test), data.y_test)


def frozen(place, data, seed, factor):
    """Let the output layer learn alone, from the cells that never change: as freeze(ed) does, but these run once."""
    ed = freeze(draw_network(place, data, seed, factor))
    weights = {key: value for key, value in ed.weights.items() if key.startswith("output")}
    train, test = (hidden_activities(ed.network, ed.weights, x) for x in (data.x, data.x_test))
    for rows in batches(data, seed):
        trace = tuple(core.run_layers(ed.network, weights, core.Cells(train[:, rows], None)))
        error = data.y[rows, None] - core.outputs(ed.network, trace[-1].y)
        weights = core.update(ed.network, ed.rule, weights, trace, error)
    *_, last = core.run_layers(ed.network, weights, core.Cells(test, None))
    return right(core.outputs(ed.network, last.y)[:, 0], data.y_test)


def first(place, data, seed, factor):
    """Let the input layer and the output layer learn: the layers between are set back after each batch."""
    ed = draw_network(place, data, seed, factor)
    kept = {key: value for key, value in ed.weights.items() if key.startswith("hidden")}
    for rows in batches(data, seed):
        ed.step(data.x[rows], data.y[rows])
        ed.load_weights(ed.weights | kept)
    return right(ed.predict(data.x_test), data.y_test)


WAYS = {"ed": (ed, FACTORS), "first": (first, FACTORS), "frozen": (frozen, FROZEN_FACTORS)}


def ways(place):
    """Return the ways to learn that differ here and do not take too long."""
    return [way for way in WAYS if way != "first" or 0 < place.depth <= CHOSEN]


def choose(place, data):
    """Return the best factor of each way, and the accuracy of each factor on the samples held out."""
    data, found = held_out(data), {}
    for way in ways(place):
        learn, factors = WAYS[way]
        seeds = VALIDATION if place.depth < CHOSEN else VALIDATION[:1]
        scores = [np.mean([learn(place, data, seed, factor) for seed in seeds]) for factor in factors]
        best = max(range(len(factors)), key=lambda n: (scores[n], -abs(np.log(factors[n]))))
        found[way] = {"factor": factors[best], "held out": [round(float(score), 4) for score in scores]}
    return found


def measure(place, data, seed, factors):
    """Return accuracies on the test samples, and how many hidden layers have changed and learnt."""
    found = {way: WAYS[way][0](place, data, seed, factors[way]["factor"]) for way in ways(place) if way != "ed"}
    start = draw_network(place, data, seed)
    before = start.weights
    trained = train(place, data, seed, factors["ed"]["factor"])
    found["ed"] = right(trained.predict(data.x_test), data.y_test)
    after, changed, learnt = trained.weights, [], []
    for old, new in zip(in_layers(before), in_layers(after), strict=True):
        changed.append(bool((old != new).any()))
        learnt.append(bool(np.linalg.norm(new - old) > MUCH * np.linalg.norm(old)))
    found |= {"changed": sum(changed[:-1]), "learnt": sum(learnt[:-1]), "output changed": changed[-1]}
    found["untrained"] = right(Readout(start).fit(data.x[:READ], data.y[:READ]).predict(data.x_test), data.y_test)
    found["trained"] = right(Readout(trained).fit(data.x[:READ], data.y[:READ]).predict(data.x_test), data.y_test)
    # The cells of the first hidden layer are those of a network that ends there.
    shallow = draw_network(place._replace(depth=0), data, seed)
    empty = {key: value[:, :0] for key, value in after.items() if key.startswith("hidden")}
    shallow.load_weights(after | empty)
    found["first trained"] = right(Readout(shallow).fit(data.x[:READ], data.y[:READ]).predict(data.x_test), data.y_test)
    return found


def in_layers(weights):
    """Yield the weights of each layer, without the biases."""
    yield weights["input.weight"]
    yield from weights["hidden.weight"][0]
    yield weights["output.weight"]


def logistic(data):
    """Return the accuracy of a linear readout of the pixels, as of cells."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(data.x, data.y)
    return float(model.score(data.x_test, data.y_test))


def look(place, data):
    """Return means over the hidden layers beyond the first before training: living layers, g, the angle."""
    ed = draw_network(place, data, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadStackWarning)
        found = diagnose(ed, data.x[:256], data.y[:256], most_layers=80)
    stack = slice(1, -1)
    living, g, angle = 1 - found.dead[stack].mean(), found.saturation[stack].mean(), np.nanmean(found.angle[stack])
    return {"living": float(living), "g": float(g), "angle": float(angle)}


def measure_all(file, folder, depths, only):
    """Measure what the file lacks, the shallow networks first."""
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"runs": []}
    found, sets, start = kept.setdefault("found", {}), load(folder), time.process_time()

    def once(place, what, compute, *more):
        of = found.setdefault(" | ".join(map(str, place)), {})
        if what not in of:
            of[what] = compute(place, sets[place.data], *more)
            file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"{time.process_time() - start:6.0f} s  {place}, {what}: {of[what]}", flush=True)
        return of[what]

    kept["runs"].append(asdict(here()))
    for depth in depths:
        for place in (Place(data, rule, name, depth) for data in sets for rule in RULES for name in INITIALS):
            if not all(word in place for word in only):
                continue
            factors = once(place._replace(depth=min(depth, CHOSEN)), "factors", choose)
            for seed in SEEDS.get(depth, FIVE):
                once(place, f"seed {seed}", measure, seed, factors)
            if 0 < depth <= 1024 and place.data.startswith("digits"):
                once(place, "before training", look)
    if "pixels" not in kept:  # a linear model of what goes in
        kept["pixels"] = {name: logistic(data) for name, data in sets.items()}
    kept["runs"][-1]["processor seconds"] = round(time.process_time() - start)
    file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


class Figures:
    """The content of the file."""

    def __init__(self, file):
        self.kept = json.loads(file.read_text(encoding="utf-8"))

    def of(self, *place):
        return self.kept["found"].get(" | ".join(map(str, place)), {})

    def mean(self, what, *place):
        """Return the mean over the seeds, and half the width of its 95 % interval; NaN where there is none."""
        seeds = (one for name, one in self.of(*place).items() if name.startswith("seed"))
        found = mean_of([one[what] for one in seeds if what in one])
        return np.array([found.value, found.half] if found else [None, None], float)


def shown(value, form="{:.1f}"):
    return "–" if np.isnan(value) else form.format(value)


def print_tables(figures):
    kinds, measures = [(rule, initial) for rule in RULES for initial in INITIALS], {k: v[0] for k, v in LINES.items()}
    measures["first trained"] = "linear readout of the first trained hidden layer"
    for data in dict.fromkeys(key.split(" | ")[0] for key in figures.kept["found"]):
        for what, name in measures.items():
            rows = []
            for kind in kinds:
                cells = []
                for depth in DEPTHS:
                    mean, half = 100 * figures.mean(what, data, *kind, depth)
                    cells.append(shown(mean) + ("" if np.isnan(half) else f" ± {half:.1f}"))
                rows.append((", ".join(kind), cells))
            print_table(f"{data}: {name}, test accuracy in percent", rows)
        for what in ("changed", "learnt"):
            rows = []
            for kind in kinds:
                means = [figures.mean(what, data, *kind, depth)[0] for depth in DEPTHS]
                rows.append((", ".join(kind), [shown(mean, "{:.4g}") for mean in means]))
            print_table(f"{data}: hidden layers that have {what}", rows)
        for way in WAYS:
            rows = []
            for kind in kinds:
                of = [figures.of(data, *kind, depth).get("factors", {}).get(way) for depth in DEPTHS]
                rows.append((", ".join(kind), [f"{one['factor']:g}" if one else "–" for one in of]))
            print_table(f"{data}: factor of the learning rates, {LINES[way][0]}", rows)
    for what, form in (("living", "{:.0%}"), ("g", "{:.2g}"), ("angle", "{:.0f}°")):
        rows = []
        for kind in kinds:
            of = [figures.of("digits, odd or even", *kind, depth).get("before training", {}) for depth in DEPTHS]
            rows.append((", ".join(kind), [shown(one.get(what, np.nan), form) for one in of]))
        print_table(f"digits, before training: {what}, the mean of the hidden layers beyond the first", rows)
    print(f"\nlogistic regression on the pixels: {figures.kept.get('pixels')}")
    for run in figures.kept["runs"]:
        print(run)


def print_table(heading, rows):
    print(f"\n{heading}\n\n| depth | {' | '.join(map(str, DEPTHS))} |\n|---|{'---|' * len(DEPTHS)}")
    for name, cells in rows:
        print(f"| {name} | {' | '.join(cells)} |")


def draw(figures, file):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    panels, data = figure.subplots(3, len(INITIALS), sharex=True, sharey="row"), "digits, odd or even"
    places = range(len(DEPTHS))
    for column, initial in enumerate(INITIALS):
        for axes, rule in zip(panels[:2, column], RULES, strict=True):
            for what, (name, colour, style) in LINES.items():
                means, halves = np.transpose([100 * figures.mean(what, data, rule, initial, depth) for depth in DEPTHS])
                axes.errorbar(places, means, np.nan_to_num(halves), fmt=style, color=colour, label=name, markersize=4)
            axes.set_title(f"{initial}, {rule}", loc="left", fontsize="medium")
            axes.set_ylim(44, 101)
        for rule, style in zip(RULES, ("o-", "s--"), strict=True):
            share = [100 * figures.mean("learnt", data, rule, initial, depth)[0] / (depth + 1) for depth in DEPTHS]
            panels[2, column].plot(places, share, style, color="black", markersize=4, label=f"{rule} rule")
        panels[2, column].set_ylim(-4, 104)
        panels[2, column].set_xlabel("depth")
    for axes in panels.flat:
        axes.set_xticks(places, map(str, DEPTHS), fontsize="x-small")
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[:2, 0]:
        axes.set_ylabel("test accuracy, %")
    panels[2, 0].set_ylabel("hidden layers\nthat have learnt, %")
    panels[2, 0].legend(frameon=False, fontsize="small")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(file, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="the .json file")
    parser.add_argument("--data-dir", type=Path, help="measure; the folder that holds MNIST/raw")
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS)
    parser.add_argument("--only", nargs="+", default=(), help="such as: signed article")
    parser.add_argument("--plot", type=Path, help="a .png file")
    arguments = parser.parse_args()
    if arguments.data_dir:
        np.seterr(over="ignore")  # of exp, where a sigmoid is saturated
        measure_all(arguments.file, arguments.data_dir, arguments.depths, arguments.only)
    print_tables(Figures(arguments.file))
    if arguments.plot:
        draw(Figures(arguments.file), arguments.plot)


if __name__ == "__main__":
    main()
