"""Interpolated n-gram counts of a text, beside which a network that predicts the next character is judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import whole_number
from edcore.datasets.text import Text
from edcore.errors import InputError, shown

HELD_BACK = 10
"""One in so many characters that are learnt, the last ones, serve to fit the weights of the interpolation."""

STEPS = 100
"""Steps of expectation and maximisation for these weights, each of one unknown."""


def ngram_bits(text: Text, most: int = 5) -> tuple[float, ...]:
    """Return the bits per character of the part of a text that is held out, by counts of 1, 2, … characters.

    The counts of n characters give the probability λ count(h c) / count(h) + (1 - λ) p(c), where h are the n - 1
    characters before c, and p is the same with one character less, at last 1 / characters (Jelinek and Mercer 1980).
    Contexts h that came 1, 2 to 3, 4 to 7, … times have each their own λ. It is fitted by expectation and maximisation
    on the last tenth of the part that is learnt, with counts of the rest. Then all of that part is counted.

    Parameters
    ----------
    text : Text
        The text. Contexts reach back into the part that is learnt, as those of a network do.
    most : int
        The most characters that are counted together, at least 1.

    Returns
    -------
    tuple of float
        Bits per character with 1 to `most` characters.

    Raises
    ------
    InputError
        If an argument is not accepted.

    Examples
    --------
    >>> from edcore.comparison import ngram_bits
    >>> from edcore.datasets import Text
    >>> [round(bits, 1) for bits in ngram_bits(Text("a rose is a rose is a rose, " * 20, context=4), 3)]
    [2.8, 0.8, 0.1]
    """
    if not isinstance(text, Text):
        raise InputError("text", shown(text), "an edcore.datasets.Text(…)")
    return bits_of_counts(text.codes.astype(np.int64), text.cut, len(text.characters), whole_number("most", most, 1))


def bits_of_counts(codes: npt.NDArray[np.int64], cut: int, k: int, most: int) -> tuple[float, ...]:
    """Return what `ngram_bits` does of codes below k, of which those before `cut` are learnt."""
    kept = cut - max(1, cut // HELD_BACK)
    fitted, tested = np.full(cut - kept, 1 / k), np.full(len(codes) - cut, 1 / k)
    contexts = np.zeros(len(codes), np.intp)
    found = []
    for _ in range(most):
        _, grams = np.unique(contexts * k + codes, return_inverse=True)
        times, share = _counted(contexts, grams, slice(kept), slice(kept, cut))
        weights = _weights(times, share, fitted)
        fitted += weights[_bucket(times)] * (share - fitted)
        times, share = _counted(contexts, grams, slice(cut), slice(cut, None))
        tested += weights[_bucket(times)] * (share - tested)
        found.append(float(np.log2(1 / tested).mean()))
        contexts = np.concatenate([[grams.max() + 1], grams[:-1]])  # before the first character there is none
    return tuple(found)


def _counted(
    contexts: npt.NDArray[np.intp], grams: npt.NDArray[np.intp], learnt: slice, wanted: slice
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return how often the context of each wanted character was learnt, and how often this character followed it."""
    times = np.bincount(contexts[learnt], minlength=contexts.max() + 1)[contexts[wanted]]
    followed = np.bincount(grams[learnt], minlength=grams.max() + 1)[grams[wanted]]
    return times, followed / np.maximum(times, 1)


def _bucket(times: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Return 0 for a context that was not learnt, and for others the number of bits of how often it was."""
    return np.frexp(times)[1]


def _weights(
    times: npt.NDArray[np.intp], share: npt.NDArray[np.float64], below: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the weight of the counts in each bucket, beside the probabilities `below` of a shorter context.

    Two characters more in each bucket, one of each kind, keep weights from 0 and 1, and so bits from infinity. A bucket
    that the fitted characters do not have gets the weight of the next lower one, and that of no counts has 0.
    """
    bucket = _bucket(times)
    weights, there = np.full(64, 0.5), np.bincount(bucket, minlength=64)
    for _ in range(STEPS):
        of_counts = weights[bucket] * share
        part = of_counts / (of_counts + (1 - weights[bucket]) * below)
        weights = (np.bincount(bucket, part, 64) + 1) / (there + 2)
    weights[0] = 0
    nearest = np.maximum.accumulate(np.where(there > 0, np.arange(64), 0))
    return weights[nearest]
