"""Samples as the network learns them: dense at once, or a sparse matrix that is made dense a piece at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace
from scipy.sparse import issparse
from sklearn.model_selection import train_test_split

from edcore.arrays import Array, like, rows
from edcore.core.rule import Rule
from edcore.errors import InputError
from edcore.estimators.defaults import power_of
from edcore.estimators.inputs import dtype_of, readable
from edcore.estimators.scaling import moments_of, scale, span_of
from edcore.model.classes import predict_in_parts
from edcore.model.ed import ED
from edcore.model.pieces import fit_epoch, fit_in_pieces
from edcore.model.sample_weights import checked_weights_of

PIECE_BYTES = 2**25
"""Bytes of a sparse matrix's piece that is dense at one time; it has at least one batch, or one feature."""

Numbers = npt.NDArray[np.intp]
Weight = npt.NDArray[np.float64] | None
Pair = tuple[Array, Array]


@dataclass(frozen=True, slots=True)
class Samples:
    """Features, which are dense and scaled or a CSR matrix as it was given; targets; the weights of the samples."""

    x: Any
    target: Array
    weight: Weight
    scaled: Callable[[Array], Array]

    def rows(self, numbers: Numbers) -> Samples:
        """Return the samples with these numbers."""
        x = self.x[numbers] if issparse(self.x) else rows(self.x, numbers)
        weight = None if self.weight is None else self.weight[numbers]
        return replace(self, x=x, target=rows(self.target, numbers), weight=weight)

    def dense(self, numbers: Numbers) -> Array:
        """Return the features of these samples, dense and scaled."""
        return self.scaled(self.x[numbers].toarray()) if issparse(self.x) else rows(self.x, numbers)

    def pieces(self) -> Iterator[tuple[Array, Weight]]:
        """Yield the features in pieces, dense and scaled, and their weights."""
        for piece, part in dense_pieces(self.x):
            yield self.scaled(piece) if issparse(self.x) else piece, None if self.weight is None else self.weight[part]

    @property
    def power(self) -> float:
        """The mean over the samples of Σ x²."""
        total = weights = 0.0
        for piece, weight in self.pieces():
            share = float(piece.shape[0] if weight is None else weight.sum())
            total, weights = total + share * power_of(piece, weight), weights + share
        return total / weights

    def learn(self, ed: ED, rule: Rule, batch_size: int, shuffle: bool, relative: bool) -> npt.NDArray[np.float64]:
        """Learn one epoch under a rule; weights that are not relative are factors as they are.

        Returns each head's mean of abs(target − output), by the weights of the samples, each as it was visited.
        """
        options: dict[str, Any] = {"batch_size": batch_size, "shuffle": shuffle, "sample_weight": self.weight}
        options["rule"] = rule
        if issparse(self.x) or (self.weight is not None and not relative):
            piece = _rows_of(self.x) if issparse(self.x) else self.x.shape[0]
            return fit_in_pieces(ed, self.dense, self.target, piece=piece, relative=relative, **options)
        return fit_epoch(ed, self.x, self.target, **options)

    def outputs(self, ed: ED) -> Array:
        """Return the network's outputs."""
        return outputs_in_pieces(ed, self.x, self.scaled)

    def mean(self, values: Array) -> float:
        """Return the mean of values (samples,) or (samples, columns), by the weights of the samples."""
        xp = array_namespace(values)
        if self.weight is None:
            return float(xp.mean(values))
        share = like((self.weight / self.weight.max()).astype(dtype_of(values)), values)
        share = share / xp.mean(share)
        return float(xp.mean(values * (share if len(values.shape) == 1 else share[:, None])))


def outputs_in_pieces(ed: ED, x: Any, scaled: Callable[[Array], Array]) -> Array:
    """Return the outputs for features that are dense and scaled, or for a CSR matrix."""
    if not issparse(x):
        return predict_in_parts(ed, x)
    return np.concatenate([np.asarray(predict_in_parts(ed, scaled(piece))) for piece, _ in dense_pieces(x)])


def dense_pieces(x: Any) -> Iterator[tuple[Array, slice]]:
    """Yield the rows of a CSR matrix in dense pieces, or dense features as they are; and where each piece is."""
    if not issparse(x):
        yield x, slice(0, x.shape[0])
        return
    size = _rows_of(x)
    for start in range(0, x.shape[0], size):
        yield x[start : start + size].toarray(), slice(start, start + size)


def _rows_of(x: Any) -> int:
    """Return how many rows of a sparse matrix are dense at one time."""
    return max(1, PIECE_BYTES // (x.dtype.itemsize * x.shape[1]))


def split(
    strata: Numbers | None, samples: Samples, share: float, random: np.random.RandomState
) -> tuple[Numbers, Numbers]:
    """Return the samples to learn from, and those that are held out for validation: a share of each stratum."""
    numbers, alone = np.arange(samples.target.shape[0]), np.zeros(0, np.intp)
    held_out, classes = alone, ""
    if strata is not None:  # the one member of a class is learnt from
        members = np.bincount(strata)[strata]
        alone, numbers = numbers[members == 1], numbers[members > 1]
        strata = strata[numbers]
        classes = f" in {len(np.unique(strata))} classes of two samples or more"
    with contextlib.suppress(ValueError):  # there are too few samples, or too few of a class
        train, held_out = train_test_split(numbers, test_size=share, random_state=random, stratify=strata)
    if len(held_out) < 2:
        accepted = "a share that holds out two samples, leaves one, and has one of each class on both sides"
        fix = "Give another share or more samples, or set early_stopping=False."
        raise InputError("validation_fraction", f"{share!r} of {len(numbers):,} samples{classes}", accepted, fix)
    return np.concatenate([train, alone]), held_out


def ranges_of(input_range: Any, x: Any, weight: Weight, standard: bool) -> tuple[Pair | None, Pair | None]:
    """Return between which values features are kept, and the moments by which they are then standardised, or None.

    Of a sparse matrix some features are dense at one time.
    """
    if weight is not None and not np.ptp(weight):
        weight = None  # the same values to the bit
    if not issparse(x):
        span = span_of(input_range, x, weight)
        return span, moments_of(input_range, scale(x, span), weight) if standard else None
    if not isinstance(input_range, str):
        return ranges_of(input_range, x[:1].toarray(), None, standard)
    columns, size = x.tocsc(), max(1, PIECE_BYTES // (x.dtype.itemsize * x.shape[0]))
    blocks = (columns[:, start : start + size].toarray() for start in range(0, x.shape[1], size))
    parts = [ranges_of(input_range, block, weight, standard) for block in blocks]
    spans, moments = zip(*parts, strict=True)
    return _joined(spans), _joined(moments)


def _joined(pairs: tuple[Pair | None, ...]) -> Pair | None:
    there = [pair for pair in pairs if pair is not None]
    if not there:
        return None
    first, second = (np.concatenate(ends) for ends in zip(*there, strict=True))
    return first, second


def checked_sample_weight(value: Any, samples: int) -> Weight:
    """Return the weights that the user gives to the samples, at least 0; a single number is for all of them."""
    if value is None:
        return None
    value = readable("sample_weight", value)
    if isinstance(value, Number):
        value = np.full(samples, value)
    weight = checked_weights_of(value, samples)
    if not weight.any():
        raise InputError("sample_weight", "weights that are all zero", "some above zero")
    with np.errstate(over="ignore"):
        if not np.isfinite(weight.sum()):
            given = "weights whose sum is too large for float64"
            raise InputError("sample_weight", given, "a finite sum", "Divide them by their largest.")
    return weight
