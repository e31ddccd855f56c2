"""A program that has every kind of network learn too fast, and checks each as `test_guard` does.

    python tests/helpers/diverging.py numpy numba loop

It prints one JSON object: how many there were, and in how many learning diverged.
"""

import itertools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from edcore import Rule
from edcore.core.activations import ACTIVATIONS
from model.test_guard import RATES, SCALES, check_stopped, network

KINDS = {
    "activation": ACTIVATIONS,
    "output_activation": ACTIVATIONS,
    "rms": [False, True],
    "error": ["signed", "split"],
    "order": ["batch", "online"],
    "dtype": ["float32", "float64"],
    "alpha": RATES,
    "scale": SCALES[::2],
}


def main(backends):
    """Check all kinds on each backend."""
    tried, diverged = 0, 0
    for backend, *values in itertools.product(backends, *KINDS.values()):
        kind = dict(zip(KINDS, values, strict=True))
        alpha = kind.pop("alpha")
        rule = Rule(kind.pop("error"), alpha=alpha, alpha_output=alpha, order=kind.pop("order"))
        diverged += check_stopped(lambda b=backend, k=kind, r=rule: network(b, rule=r, **k)) is not None
        tried += 1
    print(json.dumps({"tried": tried, "diverged": diverged}))


if __name__ == "__main__":
    main(sys.argv[1:])
