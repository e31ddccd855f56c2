"""Controls that tell whether hidden layers have learnt something: layers that are frozen, and untrained cells.

`freeze` keeps the input layer and the hidden layers of an ED as they begin; its output layer learns by ED. `Readout`
leaves all cells untrained, and fits a linear readout of either sign to the last of them, as well as that can be done.
`SteppedReadout` fits it step by step, for those who count epochs. An ED whose hidden layers learn something is above
all of them.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edcore.arrays import HostWeights
from edcore.comparison.baselines import Baseline, Learning
from edcore.core.network import Network
from edcore.diagnostics.gradient import (
    LayerState,
    backward_activation,
    forward_layer,
    input_state,
    output_signal,
    outputs,
)
from edcore.model.classes import ROWS_AT_ONCE
from edcore.model.ed import ED

Floats: TypeAlias = npt.NDArray[Any]

FROZEN = "hidden layers frozen"
READOUT = "linear readout of untrained cells"
"""The names of the controls, in all tables and pictures."""

OUTPUT = "output.weight", "output.bias"


def freeze(ed: ED) -> ED:
    """Let only the output layer of an ED learn, from now on; return it."""
    ed.rule = replace(ed.rule, alpha=0.0)
    return ed


class SteppedReadout(Baseline):
    """The readout of an ED's untrained cells that learns by plain gradient steps, in the loop of all methods."""

    def __init__(self, ed: ED, rate: float) -> None:
        super().__init__(ed.network, "back-propagation", (0.0, rate), ed.seed)
        # ED's own output weights are of fixed signs, and often saturate the output, where a gradient vanishes.
        self.weights = ed.weights | {key: self.weights[key] for key in OUTPUT}

    def predict(self, x: Floats) -> Floats:
        """Return the outputs for x (batch, in_): (batch,) for one column, else (batch, columns)."""
        state = LayerState(x, hidden_activities(self.network, self.weights, x), None)
        found = outputs(self.network, [forward_layer(self.network, self.network.layer("output"), self.weights, state)])
        return found[:, 0] if self.network.columns == 1 else found

    def _begin(self, x: Floats) -> Learning:
        """Return all heads, with the activities of their cells, which never change: to compute them once is enough."""
        output, cells = {key: self.weights[key] for key in OUTPUT}, hidden_activities(self.network, self.weights, x)
        return super()._begin(x)._replace(weights=output, fixed=[cells])

    def _learn(self, part: Learning, x: Floats, target: Floats, rows: npt.NDArray[np.intp]) -> Floats:
        """Learn some samples by the weights of the output layer alone; return their errors (batch, columns)."""
        network, weights, layer = part.network, part.weights, part.network.layer("output")
        sources = LayerState(x, part.fixed[0][:, rows], None)
        state = forward_layer(network, layer, weights, sources)
        error = target - outputs(network, [state])
        signal = self.rates[1] * output_signal(network, error) / len(rows)
        sums = backward_activation(network, layer, state, signal)
        weights["output.weight"] += sources.y.swapaxes(-1, -2) @ sums
        weights["output.bias"] += network.bias * sums.sum(axis=1, keepdims=True)
        return error


class Readout:
    """A readout of an ED's untrained cells, fitted to the end: logistic for targets that are classes, else ridge.

    Each output reads the cells of its own head, standardised. `penalty` is that of scikit-learn's estimators, alpha of
    Ridge and 1 / C of LogisticRegression. A call of `fit` begins anew, whatever its epochs, batches and tolerance.
    """

    def __init__(self, ed: ED, penalty: float = 1.0) -> None:
        self.network, self.weights, self.penalty = ed.network, ed.weights, penalty
        self.epochs = np.zeros(ed.network.heads, np.intp)
        self._fitted: list[Any] = []  # for each head

    def fit(
        self,
        x: Floats,
        target: Floats,
        *,
        epochs: int = 1,
        batch_size: int = 64,
        shuffle: bool = True,
        tolerance: float = 0.0,
    ) -> Readout:
        """Fit the readout of each head to all samples; the options are those of `ED.fit`, and change nothing."""
        target = target.reshape(len(x), self.network.heads, self.network.outputs)
        cells = hidden_activities(self.network, self.weights, x)
        self._fitted = [
            fitted_readout(cells[head], target[:, head], self.penalty) for head in range(self.network.heads)
        ]
        self.epochs += epochs
        return self

    def predict(self, x: Floats) -> Floats:
        """Return the outputs for x: of classes, their probabilities."""
        cells = hidden_activities(self.network, self.weights, x)
        found = [read(one) for read, one in zip(self._fitted, cells, strict=True)]
        outputs = np.concatenate(found, axis=1)
        return outputs[:, 0] if self.network.columns == 1 else outputs


def hidden_activities(network: Network, weights: HostWeights, x: Floats) -> Floats:
    """Return the activities of the last hidden layer, (heads, samples, cells), computed in parts."""
    found = []
    for start in range(0, len(x), ROWS_AT_ONCE):
        state = input_state(network, x[start : start + ROWS_AT_ONCE].astype(network.dtype, copy=False))
        for layer in network.layers[:-1]:
            state = forward_layer(network, layer, weights, state)
        found.append(np.broadcast_to(state.y, (network.heads, *state.y.shape[1:])))
    return np.concatenate(found, axis=1)


def fitted_readout(cells: Floats, target: Floats, penalty: float) -> Any:
    """Return what reads (samples, outputs) from the cells of one head."""
    from sklearn.exceptions import ConvergenceWarning  # here, as scikit-learn is slow to load
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Without a hidden layer that learns, a column of zeros alone, or of one class, is what a readout answers.
    varied = (target != target[0]).any(axis=0)
    if not varied.any():
        return lambda cells: np.repeat(target[:1], len(cells), axis=0)
    if not _are_classes(target):
        ridge = make_pipeline(StandardScaler(), Ridge(penalty)).fit(cells, target)
        return lambda cells: ridge.predict(cells).reshape(len(cells), -1)
    y = target[:, 0] if target.shape[1] == 1 else target.argmax(axis=1)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(C=1 / penalty, max_iter=1000))
    with warnings.catch_warnings():
        # Where classes are far apart the steps go on for ever, and change no predicted class.
        warnings.simplefilter("ignore", ConvergenceWarning)
        logistic.fit(cells, y)
    if target.shape[1] == 1:
        return lambda cells: logistic.predict_proba(cells)[:, 1:]
    columns = logistic.classes_

    def read(cells: Floats) -> Floats:
        outputs = np.zeros((len(cells), target.shape[1]))
        outputs[:, columns] = logistic.predict_proba(cells)
        return outputs

    return read


def _are_classes(target: Floats) -> bool:
    """Return whether the targets are 0 or 1, and of several outputs one of them is 1 for each sample."""
    return bool(np.isin(target, (0, 1)).all() and (target.shape[1] == 1 or (target.sum(axis=1) == 1).all()))
