"""A history of `ED.fit`: a callback that keeps losses and accuracies, epoch by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import one_of
from edcore.arrays import Array, to_numpy
from edcore.core.network import Network
from edcore.errors import InputError
from edcore.model.callbacks import EpochRecord
from edcore.model.classes import predict_in_parts, predicted_classes, targets
from edcore.model.inputs import checked
from edcore.model.values import located, on_host

Floats = npt.NDArray[np.float64]

TEST = "test"
"""The name of a set that is given without one."""


class History:
    """A callback of `ED.fit` that keeps the loss of each epoch, and loss and accuracy on samples of your own.

    Parameters
    ----------
    x, target : array, optional
        Samples for which outputs are predicted after each epoch, such as test samples, under the name ``test``. Targets
        as for `ED.fit`; for several outputs, they may also be the classes of the samples, counted from 0.
    **sets : tuple of array
        Further samples by name, such as ``validation=(x, target)``.

    Raises
    ------
    InputError
        If the samples are not accepted; from the fit, if they do not suit its network, or if the history has epochs of
        another run.

    See Also
    --------
    edcore.training.History : The errors of a run of `edcore.training.train`, batch by batch.

    Notes
    -----
    The loss on samples is the mean of abs(target − output) after the epoch; ``loss`` is that of the training samples,
    each as the epoch came to it. There is an accuracy where targets are classes: 0 or 1 for one output, one-hot for
    several. Predictions take as long as those of `ED.predict`.

    `edcore.plots.learning_curve` and `edcore.plots.compare` draw histories: of several sets, the accuracy on the last.

    Examples
    --------
    >>> import edcore
    >>> data = edcore.datasets.digits(classes=(0, 1))
    >>> history = edcore.History(data.x_test, data.y_test)
    >>> ed = edcore.ED(seed=0).fit(data.x_train, data.y_train, epochs=5, callbacks=history)
    >>> history.columns
    ('epoch', 'loss', 'alpha', 'alpha_output', 'test_loss', 'test_accuracy')
    >>> len(history), history["test_accuracy"][-1] > 0.95
    (5, True)

    As a table, with pandas: ``pandas.DataFrame(history.to_dict())``.
    """

    def __init__(self, x: Array | None = None, target: Array | None = None, /, **sets: tuple[Array, Array]) -> None:
        given: dict[str, Any] = {name: (f"{name}[0]", f"{name}[1]", pair) for name, pair in sets.items()}
        if x is not None or target is not None:
            if TEST in sets:
                raise InputError(TEST, "two sets of this name", "one", "Give the second one another name.")
            given = {TEST: ("x", "target", (x, target))} | given
        self._sets = {name: _checked(name, *arguments) for name, arguments in given.items()}
        self._rows: list[dict[str, float]] = []

    def __call__(self, record: EpochRecord) -> None:
        """Keep an epoch."""
        if not isinstance(record, EpochRecord):
            raise InputError("record", type(record).__name__, "an EpochRecord, as fit hands it to callbacks")
        if record.estimator is not None and self._sets:
            fix = "An estimator measures validation_scores_ with early_stopping=True; History() keeps its losses."
            raise InputError("callbacks", "a History with samples, for an estimator", "one without samples", fix)
        if self._rows and record.epoch <= self._rows[-1]["epoch"]:
            given = f"a History of {self._rows[-1]['epoch']:,} epochs, for epoch {record.epoch:,}"
            raise InputError("callbacks", given, "one of this run", "Make a new one: edcore.History(…).")
        rule, row = record.rule, {"epoch": record.epoch, "loss": record.loss}
        row |= {name: getattr(rule, name, np.nan) for name in ("alpha", "alpha_output")}
        for name, (x, target, arguments) in self._sets.items():
            outputs = to_numpy(predict_in_parts(record.ed, x))
            wanted, classes = _wanted(target, record.ed.network, arguments)
            row[f"{name}_loss"] = float(abs(wanted - outputs).mean(dtype=np.float64))
            if classes is not None:
                row[f"{name}_accuracy"] = float((predicted_classes(outputs) == classes).mean())
        self._rows.append(row)  # whole, also if Ctrl-C ends the predictions

    def __len__(self) -> int:
        """Return the number of epochs."""
        return len(self._rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what is kept, of each set its loss and, where there is one, its accuracy."""
        return tuple(self._rows[0]) if self._rows else ("epoch", "loss", "alpha", "alpha_output")

    def __getitem__(self, column: str) -> list[float]:
        """Return a value for each epoch."""
        one_of("column", column, self.columns)
        return [row[column] for row in self._rows]

    def to_dict(self) -> dict[str, list[float]]:
        """Return all columns by name, as `pandas.DataFrame` takes them."""
        return {column: self[column] for column in self.columns}

    def __repr__(self) -> str:
        latest = [f"{name} {value:.4g}" for name, value in self._rows[-1].items()] if self._rows else []
        return f"<History of {len(self):,} epochs{': ' * bool(latest)}{', '.join(latest)}>"


def _checked(name: str, of_x: str, of_target: str, pair: Any) -> tuple[Array, Floats, str]:
    """Return x, the targets as numbers on the host, and the name of their argument."""
    if not isinstance(pair, tuple | list) or len(pair) != 2 or any(part is None for part in pair):
        fix = f"Write History({'x, target' if of_x == 'x' else f'{name}=(x, target)'})."
        raise InputError(name, f"{type(pair).__name__}", "a pair of x and target", fix)
    x = located(of_x, pair[0]).array
    target = on_host(of_target, pair[1])
    found = to_numpy(checked(of_target, target, (None,) * max(1, target.ndim), "float64").array)
    if len(x.shape) != 2 or not x.shape[0] or found.ndim > 2 or x.shape[0] != found.shape[0]:
        given = f"x of shape {tuple(x.shape)} and targets of shape {found.shape}"
        raise InputError(of_x, given, "x of shape (samples, features), and a target for each sample")
    return x, found, of_target


def _wanted(target: Floats, network: Network, name: str) -> tuple[Floats, npt.NDArray[np.intp] | None]:
    """Return the outputs that a network should have, and the classes that they stand for, if they do."""
    columns = network.columns
    whole = (target == np.floor(target)).all() and target.min() >= 0 and target.max() < max(2, columns)
    if target.ndim == 1 and whole:
        classes = target.astype(np.intp)
        return np.asarray(targets(classes, columns), np.float64), classes
    if target.shape[1:] == ((columns,) if columns > 1 else ()):
        one_hot = target.ndim == 2 and whole and (target.max(axis=1) == 1).all() and (target.sum(axis=1) == 1).all()
        return target, target.argmax(axis=1) if one_hot else None
    accepted = f"shape ({len(target)}, {columns}), or classes from 0 to {columns - 1}" if columns > 1 else "one axis"
    raise InputError(name, f"values of shape {target.shape}", accepted)
