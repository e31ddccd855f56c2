"""The scores of EDClassifier and EDRegressor with their defaults, beside scikit-learn's estimators, as Markdown.

    python tests/benchmarks/defaults.py

Each data set is split five times, three quarters to learn from and one to test on. All estimators have their defaults,
but for the MLPs' column "converged": up to 5000 epochs in place of 200. scikit-learn's get standardised features, and
the MLPRegressor standardised targets. ED's defaults were chosen on these data sets, in other splits of them.
"""

import argparse
import time
import warnings

import numpy as np
import sklearn.datasets as sets
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from edcore import EDClassifier, EDRegressor

SEEDS = range(10, 15)  # of the splits; those from 0 served to choose the defaults
EPOCHS = 5000


def houses(n=3000):
    """Return data like California's houses: skewed features of unequal scale, two cities, and prices with a cap."""
    random = np.random.default_rng(0)
    income, rooms, people = random.lognormal(1.2, 0.5, n), random.gamma(6, 1, n), random.lognormal(7, 0.7, n)
    north, west = random.uniform(32, 42, n), random.uniform(114, 124, n)
    cities = ((34, 118, 4), (37.7, 122, 3))
    near = sum(1.5 * np.exp(-((north - a) ** 2 + (west - b) ** 2) / size) for a, b, size in cities)
    price = 0.4 * income + 0.3 * np.log(rooms) - 0.1 * np.log(people) + near + random.normal(0, 0.3, n)
    return np.stack([income, rooms, people, north, west], axis=1), np.clip(price, 0.15, 5)


CLASSES = {
    "digits": sets.load_digits(return_X_y=True),
    "iris": sets.load_iris(return_X_y=True),
    "wine": sets.load_wine(return_X_y=True),
    "breast_cancer": sets.load_breast_cancer(return_X_y=True),
    "make_moons": sets.make_moons(500, noise=0.2, random_state=0),
    "make_classification": sets.make_classification(800, 20, n_informative=8, n_classes=3, random_state=0),
}
NUMBERS = {
    "diabetes": sets.load_diabetes(return_X_y=True),
    "make_friedman1": sets.make_friedman1(1000, noise=1.0, random_state=0),
    "make_regression": sets.make_regression(500, 10, noise=10, random_state=0),
    "houses": houses(),
}


def classifiers(backend, seed):
    """Return name → classifier."""
    return {
        "EDClassifier": EDClassifier(backend=backend, random_state=seed),
        "EDClassifier, modulo": EDClassifier(rule="modulo", backend=backend, random_state=seed),
        "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier(random_state=seed)),
        "converged": make_pipeline(StandardScaler(), MLPClassifier(max_iter=EPOCHS, random_state=seed)),
        "LogisticRegression": make_pipeline(StandardScaler(), LogisticRegression()),
    }


def regressors(backend, seed):
    """Return name → regressor."""

    def mlp(**options):
        network = make_pipeline(StandardScaler(), MLPRegressor(random_state=seed, **options))
        return TransformedTargetRegressor(network, transformer=StandardScaler())

    return {
        "EDRegressor": EDRegressor(backend=backend, random_state=seed),
        "EDRegressor, early stopping": EDRegressor(early_stopping=True, backend=backend, random_state=seed),
        "MLPRegressor": mlp(),
        "converged": mlp(max_iter=EPOCHS),
        "LinearRegression": LinearRegression(),
    }


def table(data, estimators, backend, factor, digits):
    """Print a table: the mean over the splits, the lowest, and the seconds to learn once."""
    print("| data | " + " | ".join(estimators(backend, 0)) + " |")
    print("| --- |" + " ---: |" * len(estimators(backend, 0)))
    for name, (x, y) in data.items():
        cells = []
        for kind in estimators(backend, 0):
            scores, seconds = [], 0.0
            for seed in SEEDS:
                parts = train_test_split(x, y, random_state=seed, stratify=y if data is CLASSES else None)
                start = time.perf_counter()
                learnt = estimators(backend, seed)[kind].fit(parts[0], parts[2])
                seconds += time.perf_counter() - start
                scores.append(factor * learnt.score(parts[1], parts[3]))
            cells.append(f"{np.mean(scores):.{digits}f} ({np.min(scores):.{digits}f}), {seconds / len(SEEDS):.2g} s")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print()


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="auto")
    backend = parser.parse_args().backend
    warnings.simplefilter("ignore", ConvergenceWarning)  # the MLPs' 200 epochs are often too few for their tolerance
    EDClassifier(backend=backend, max_iter=1).fit(*CLASSES["digits"])  # compiles
    table(CLASSES, classifiers, backend, 100, 1)
    table(NUMBERS, regressors, backend, 1, 3)


if __name__ == "__main__":
    main()
