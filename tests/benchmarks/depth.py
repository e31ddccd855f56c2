"""The effect of depth, and what keeps deep layers alive: accuracy and diagnosis at each depth, as Markdown and a plot.

    python tests/benchmarks/depth.py --plot docs/explanation/depth.png

All ten classes of scikit-learn's digits, with a network of its own for each (ten heads). Each network learns from the
same batches by each of RATES, the same in all layers. The rate with the best mean test accuracy counts, so figures are
a little too good, and equally so for all. Back-propagation takes plain gradient steps in networks of the same shape.
One process for each core does one run at a time.
"""

import argparse
import concurrent.futures
import datetime
import functools
import multiprocessing
import os
import platform
import subprocess
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import edcore
from edcore.core.randomness import permutation
from edcore.diagnostics.diagnose import DeadStackWarning, diagnose
from edcore.diagnostics.gradient import descent, forward, layer_part, outputs
from edcore.model.classes import accuracy, targets
from edcore.plots.canvas import COLOURS, METHODS

HEADS, EPOCHS, BATCH, SAMPLES = 10, 8, 32, 256
DEPTHS, WIDTH, RATES, SEEDS = (0, 1, 2, 4, 8, 16, 64), 16, (0.1, 0.8, 3.2, 12.8), (0, 1)
WIDTHS, DEPTH_OF_WIDTHS = (4, 8, 16, 32), 16
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Variant:
    """A kind of network, its colour in the plot, and how it learns."""

    name: str
    colour: str
    rule: str = "signed"
    network: dict = field(default_factory=dict)


GAINS = edcore.Initial(fan_in=0.5, excitatory=1.5, inhibitory=0.5)
BLUE, _, GREEN, PURPLE, LIGHT_BLUE, RED, _ = COLOURS
KINDS = [
    ("article", "black", {}),
    ("fan_in ½, gains", RED, {"initial": GAINS}),
    ("u0 = 2", LIGHT_BLUE, {"u0": 2.0}),
    ("u0 = 6", BLUE, {"u0": 6.0}),
    ("rms", PURPLE, {"rms": True}),
    ("fan_in ½, u0 = 2", GREEN, {"initial": edcore.Initial(fan_in=0.5), "u0": 2.0}),
]
ED = [Variant(name, colour, rule, kind) for rule in ("signed", "split") for name, colour, kind in KINDS]
BACK = [
    Variant("back-propagation, sigmoid", METHODS["back-propagation"], "gradient", {"u0": 2.0}),
    Variant("back-propagation, tanh", METHODS["back-propagation"], "gradient", {"u0": 2.0, "activation": "tanh"}),
]
OF_WIDTHS = [ED[0], ED[1], ED[2], ED[5]]


@dataclass
class Point:
    """The figures of one variant at one depth and width: means over the seeds."""

    accuracy: float
    rate: float
    living: float = np.nan  # share of hidden layers, at the start
    g: float = np.nan
    angle: float = np.nan


@functools.cache
def digits():
    data = edcore.datasets.digits()
    return data, targets(data.y_train, HEADS).astype(np.float32)


def trained(variant, depth, width, seed, rate):
    """Return the test accuracy of a network that has learnt at this rate."""
    if variant.rule == "gradient":
        return back_propagated(variant, depth, width, seed, rate)
    ed, (data, target) = drawn(variant, depth, width, seed, rate), digits()
    ed.fit(data.x_train, target, epochs=EPOCHS, batch_size=BATCH)
    return accuracy(ed, data.x_test, data.y_test)


def drawn(variant, depth, width, seed, rate):
    rule = edcore.Rule(variant.rule, alpha=rate, alpha_output=rate)
    return edcore.ED(digits()[0].features, width, depth, heads=HEADS, rule=rule, seed=seed, **variant.network)


def back_propagated(variant, depth, width, seed, rate):
    """Train from weights as textbooks have them: N(0, 1) / √sources, in units of the sigmoid's width."""
    data, target = digits()
    network = edcore.Network(data.features, width, depth, heads=HEADS, **variant.network)
    weights = {key: np.zeros(shape, np.float32) for key, shape in network.weight_shapes.items()}
    random = np.random.default_rng(seed)
    for layer in network.layers:
        matrix = layer_part(weights, layer, "weight")
        scale = network.u0 / 2 if layer.activation == "sigmoid" else 1
        matrix[...] = random.standard_normal(matrix.shape) * scale / np.sqrt(matrix.shape[1])
    for epoch in range(EPOCHS):
        order = permutation(seed, epoch, len(target))
        for rows in np.split(order, range(BATCH, len(order), BATCH)):
            x = data.x_train[rows]
            states = forward(network, weights, x)
            for key, step in descent(network, weights, states, target[rows] - outputs(network, states)).items():
                weights[key] += np.float32(rate) * step
    predicted = outputs(network, forward(network, weights, data.x_test)).argmax(axis=1)
    return float((predicted == data.y_test).mean())


def diagnosed(variant, depth, width, seed, _):
    """Return means over the hidden layers before training: the share that lives, g and the angle."""
    ed, (data, target) = drawn(variant, depth, width, seed, RATES[0]), digits()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadStackWarning)
        found = diagnose(ed, data.x_train[:SAMPLES], target[:SAMPLES])
    hidden = slice(1, -1)
    return 1 - found.dead[hidden].mean(), found.saturation[hidden].mean(), np.nanmean(found.angle[hidden])


def do(job):
    return job[0](*job[1:])


def measured():
    """Return the point of each (variant, depth, width)."""
    places = [(variant, depth, WIDTH) for variant in (*ED, *BACK) for depth in DEPTHS]
    places += [(variant, DEPTH_OF_WIDTHS, width) for variant in OF_WIDTHS for width in WIDTHS if width != WIDTH]
    jobs = [(trained, *place, seed, rate) for place in places for seed in SEEDS for rate in RATES]
    jobs += [(diagnosed, *p, seed, None) for p in places for seed in SEEDS if p[1] and p[0] not in BACK]
    jobs.sort(key=lambda job: -job[2] * job[3] ** 2)  # the longest first
    os.environ.update(ONE_THREAD)  # of the processes, which are started afresh
    fresh = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), mp_context=fresh) as processes:
        found = dict(zip(map(str, jobs), processes.map(do, jobs), strict=True))
    points = {}
    for place in places:
        reached = {rate: np.mean([found[str((trained, *place, seed, rate))] for seed in SEEDS]) for rate in RATES}
        rate = max(reached, key=reached.get)
        figures = [found.get(str((diagnosed, *place, seed, None)), ()) for seed in SEEDS]
        points[place[0].name, place[0].rule, *place[1:]] = Point(reached[rate], rate, *np.mean(figures, axis=0))
    return points


def table(heading, columns, rows):
    print(f"\n{heading}\n\n| | {' | '.join(map(str, columns))} |\n|---|{'---|' * len(columns)}")
    for name, cells in rows:
        print(f"| {name} | {' | '.join(cells)} |")


def shown(value, form):
    return "–" if np.isnan(value) else form.format(value)


def tables(points):
    forms = {
        "Test accuracy in percent, and the rate": lambda one: f"{100 * one.accuracy:.1f} ({one.rate:g})",
        "Living hidden layers before training, in percent": lambda one: shown(100 * one.living, "{:.0f}"),
        "Mean g of the hidden layers before training": lambda one: shown(one.g, "{:.1e}"),
        "Mean angle in the hidden layers before training": lambda one: shown(one.angle, "{:.0f}°"),
    }
    for heading, form in forms.items():
        rows = []
        for variant in (*ED, *BACK) if "accuracy" in heading else ED:
            name = f"{variant.name}, {variant.rule}" if variant in ED else variant.name
            rows.append((name, [form(points[variant.name, variant.rule, depth, WIDTH]) for depth in DEPTHS]))
        table(heading, DEPTHS, rows)
    rows = []
    for variant in OF_WIDTHS:
        found = [points[variant.name, variant.rule, DEPTH_OF_WIDTHS, width] for width in WIDTHS]
        cells = [f"{100 * one.accuracy:.1f}; {100 * one.living:.0f}; {one.g:.1e}" for one in found]
        rows.append((variant.name, cells))
    table(f"Width, depth {DEPTH_OF_WIDTHS}, signed: accuracy; living layers; mean g", WIDTHS, rows)


def draw(points, file):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    panels = [
        ("signed rule: test accuracy, %", "signed", lambda point: 100 * point.accuracy),
        ("split rule: test accuracy, %", "split", lambda point: 100 * point.accuracy),
        ("signed rule, hidden layers before training: mean g", "signed", lambda point: point.g),
        ("… and mean angle to steepest descent, °", "signed", lambda point: point.angle),
    ]
    for place, (title, rule, value) in zip(axes.flat, panels, strict=True):
        for variant in [*ED, *BACK] if "accuracy" in title else ED:
            if variant in BACK or variant.rule == rule:
                values = [value(points[variant.name, variant.rule, depth, WIDTH]) for depth in DEPTHS]
                style = {BACK[0].name: ".--", BACK[1].name: ".:"}.get(variant.name, ".-")
                place.plot(DEPTHS, values, style, color=variant.colour, label=variant.name)
        place.set_title(title, loc="left", fontsize="medium")
        place.set_xscale("symlog", linthresh=1, linscale=0.5)
        place.set_xticks(DEPTHS, map(str, DEPTHS))
        place.xaxis.minorticks_off()
        place.set_xlim(-0.1, 80)
        place.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        place.spines[["top", "right"]].set_visible(False)
    for place in axes[0]:
        place.set_ylim(60, 100)
    axes[1, 0].set_yscale("log")
    axes[1, 1].set_ylim(0, 100)
    for place in axes[1]:
        place.set_xlabel("depth (layers beyond the first hidden one)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(file, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="a .png file")
    arguments = parser.parse_args()
    start = time.perf_counter()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    data, _ = digits()
    print(f"digits, {len(data.x_train)} training and {len(data.x_test)} test images, {HEADS} heads of width {WIDTH},")
    print(f"{EPOCHS} epochs in batches of {BATCH}, float32, seeds {SEEDS}, rates {RATES};")
    print(f"{datetime.date.today()}, commit {commit.strip() or 'unknown'}, edcore {edcore.__version__},", end=" ")
    print(f"NumPy {np.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores {platform.machine()}")
    points = measured()
    tables(points)
    print(f"\n{time.perf_counter() - start:.0f} s")
    if arguments.plot:
        draw(points, arguments.plot)


if __name__ == "__main__":
    main()
