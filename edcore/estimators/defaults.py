"""The learning rates of an estimator that is given none: those of the normalised LMS rule.

One update with the rate α moves the sum of a cell by about α · g · Σ x² for a sample x, so learning overshoots above a
rate that falls with Σ x² (Nagumo and Noda 1967; Widrow and Hoff 1960). That sum is the number of features where these
are standardised; of a layer of cells it is their number times their mean square.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from edcore.arrays import Array, to_numpy
from edcore.core.activations import FUNCTIONS
from edcore.core.method import input_cells, run_layers
from edcore.core.network import Initial, Network
from edcore.core.rule import Rule
from edcore.model.ed import ED

U0 = 2.0
"""Width of the sigmoid: that of the logistic function, 1 / (1 + exp(-z))."""

TUNED = MappingProxyType({"rule": "signed", "hidden_depth": 0, "u0": U0, "n_bias": 2})
"""The arguments of `ED` that both estimators have where they are given no rule."""

HIDDEN, OUTPUT, LINEAR_HIDDEN, LINEAR_OUTPUT = 0.5, 1.5, 0.3, 0.05
"""Shares of the largest rates: of the cells and the outputs of a classifier, and of a regressor's, which are linear."""

BATCH = 16
"""An update by the mean over a batch goes this much farther than one by a single sample, as its errors are averaged."""

SIGMOID, OTHERS = 0.3, 2.0
"""The mean square of the activity of a cell: around 1/2 for a sigmoid, and larger for cells that have no bound."""


USUAL_SUMS = np.linspace(-2, 2, 41)
"""Where most sums are that have a spread of 1."""


def spread(bias: float) -> Initial:
    """Return initial weights that give sums of spread 1, however many sources, around biases up to `bias` apart."""
    return Initial(weight=1.0, bias=bias, fan_in=0.5)


CONSTANT = 0.01
"""The most by which a cell's activity differs between samples if it is taken for constant."""

FEW, SEEN = 10, 256
"""The least samples that say anything of that, and the most that are seen."""


def power_of(x: Array, weight: npt.NDArray[np.float64] | None = None) -> float:
    """Return the mean over the samples of Σ x²."""
    with np.errstate(over="ignore"):
        return float(np.average(np.sum(to_numpy(x).astype(np.float64) ** 2, axis=1), weights=weight))


def tuned_rule(ed: ED, power: float, batch: int) -> Rule:
    """Return the rule of a network, which learns by means, for samples of mean Σ x² = `power` in batches of `batch`."""
    network, largest = ed.network, np.finfo(np.float64).max
    linear = network.output_activation == "linear"
    cells = 2 * network.widest * (SIGMOID if network.activation == "sigmoid" else OTHERS)
    sources = max(2 * power, cells if network.depth else 0.0)  # both streams see x; all hidden layers have one rate
    # The slope counts twice: in what the cells learn, and in what that does to the output.
    steeper = (_steepness(network) / FUNCTIONS["sigmoid"].steepest) ** 2
    share, narrow = min(BATCH, batch), min(1.0, network.u0 / U0)
    alpha = share * narrow * (LINEAR_HIDDEN if linear else HIDDEN) / steeper / min(sources + network.n_bias, largest)
    output = share * (LINEAR_OUTPUT if linear else narrow * OUTPUT) / (cells + network.n_bias)
    return replace(ed.rule, alpha=alpha, alpha_output=output)


def _steepness(network: Network) -> float:
    """Return the largest g of the hidden cells: for a function without a bound, that at the sums of most samples."""
    function = FUNCTIONS[network.activation]
    if function.steepest < np.inf:
        return function.steepest
    return float(abs(function.g(function.f(USUAL_SUMS, network.u0))).max()) or 1.0


def warn_of_constant_cells(ed: ED, x: Array) -> None:
    """Warn if half of a layer's cells answer the same to all samples: such a network has learnt too fast."""
    seen = to_numpy(x[: min(SEEN, x.shape[0]), ...]).astype(np.float64)
    if len(seen) < FEW or not (seen != seen[0]).any():
        return
    weights = {key: value.astype(np.float64) for key, value in ed.weights.items()}
    with np.errstate(all="ignore"):
        layers = list(run_layers(ed.network, weights, input_cells(ed.network, seen)))[1:-1]
        shares = [float(np.mean(np.ptp(cells.y, axis=1) < CONSTANT)) for cells in layers]
    if max(shares) >= 0.5:
        warnings.warn(
            f"{max(shares):.0%} of the cells of layer {int(np.argmax(shares))} answer the same to all samples, so the "
            f"network tells few of them apart. Try smaller learning rates: alpha={ed.rule.alpha:.3g} and "
            f"alpha_output={ed.rule.alpha_output:.3g} now, for samples whose squares add up to {power_of(seen):.3g}; "
            "or rule=None, whose rates follow that sum.",
            ConvergenceWarning,
            stacklevel=3,
        )
