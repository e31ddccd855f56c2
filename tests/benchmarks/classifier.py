"""Time `EDClassifier().fit` on digits beside scikit-learn's MLPClassifier, in turns, with both accuracies, as Markdown.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python tests/benchmarks/classifier.py

Each turn is another split into samples to learn from and to test on. Both have their defaults; the MLP is timed on the
features as they are, and on standardised ones.
"""

import argparse
import time
import warnings

import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from edcore import EDClassifier
from edcore.environment import here


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=9)
    turns = parser.parse_args().turns
    warnings.simplefilter("ignore", ConvergenceWarning)
    makers = {
        "EDClassifier": lambda seed: EDClassifier(random_state=seed),
        "MLPClassifier": lambda seed: MLPClassifier(random_state=seed),
        "StandardScaler, MLPClassifier": lambda seed: make_pipeline(StandardScaler(), MLPClassifier(random_state=seed)),
    }
    x, y = load_digits(return_X_y=True)
    EDClassifier(max_iter=2).fit(x, y)  # its kernels are compiled
    seconds, scores = {name: [] for name in makers}, {name: [] for name in makers}
    for seed in range(turns):
        learnt, asked, known, answers = train_test_split(x, y, random_state=seed)
        for name, make in makers.items():
            estimator, start = make(seed), time.perf_counter()
            estimator.fit(learnt, known)
            seconds[name].append(time.perf_counter() - start)
            scores[name].append(estimator.score(asked, answers))
    where = here()
    print(
        f"{where.date[:10]}, {where.cpu}, {where.cores} cores, Python {where.python}, NumPy {np.__version__}, ", end=""
    )
    print(f"scikit-learn {sklearn.__version__}, commit {where.commit}; {turns} turns\n")
    print("| estimator | fit, s | fastest … slowest | × | accuracy |\n|---|---:|---:|---:|---:|")
    first = np.median(seconds["EDClassifier"])
    for name, times in seconds.items():
        middle = np.median(times)
        print(f"| {name} | {middle:.2f} | {min(times):.2f} … {max(times):.2f} | {first / middle:.2f} ", end="")
        print(f"| {np.mean(scores[name]):.2%} |")


if __name__ == "__main__":
    main()
