"""Let a network that predicts the next character continue a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edcore.arguments import real, whole_number
from edcore.core.randomness import checked_seed
from edcore.datasets.text import OTHER, are_characters, code_points, encode, normalised
from edcore.errors import EDCoreError, InputError, listed, shown
from edcore.model.classes import LEAST
from edcore.model.ed import ED, checked_ed

MOST_NAMED = 8
"""Unknown characters that a sentence names."""


def write_text(
    ed: ED,
    characters: Sequence[str],
    start: str = "",
    *,
    length: int = 200,
    temperature: float = 1.0,
    seed: int | None = None,
) -> Iterator[str]:
    """Return the characters with which a network continues a text, one after the other.

    Each is drawn from the probabilities p that the network gives for it, after the characters before it.

    Parameters
    ----------
    ed : ED
        A network that has learnt a `Text`: its outputs are one for each character, its x has the codes of the
        characters before. Outputs that are no probabilities (softmax) are divided by their sum, without those below 0.
    characters : sequence of str
        The characters in the order of their codes, as `Text.characters` or the `classes` of a file have them.
    start : str
        The text to continue. Of a text that is longer than the context the last part counts. Before a shorter one stand
        line ends; blanks, or "�", if the network has learnt no line ends.
    length : int
        Characters to write, at least 0.
    temperature : float
        The probabilities are p**(1 / temperature), divided by their sum: below 1 the likely characters come more often.
        With 0 it is always the most likely one.
    seed : int, optional
        Seed of the draws. Left out, a fresh one.

    Returns
    -------
    iterator of str
        Each character is computed when it is asked for. "�" stands for one that is not in `characters`.

    Raises
    ------
    InputError
        If an argument is not accepted, the network predicts no characters, or has not learnt one of `start`.
    EDCoreError
        During the iteration, if outputs are not finite.

    Examples
    --------
    >>> import edcore
    >>> from edcore.datasets import Text, write_text
    >>> text = Text("a rose is a rose is a rose, " * 20, context=8)
    >>> k = len(text.characters)
    >>> ed = edcore.ED(in_=8 * k, one_hot=k, outputs=k, rule="modulo", seed=1)
    >>> data = text.dataset()
    >>> for progress in edcore.training.train(ed, data, epochs=20):
    ...     pass
    >>> "".join(write_text(ed, text.characters, "a rose", length=16, temperature=0))
    ' is a rose is a '
    """
    network = checked_ed(ed).network
    if not isinstance(characters, Sequence) or not are_characters(characters):
        accepted = "the characters of a text, as edcore.datasets.Text(…).characters or the classes of a file are"
        raise InputError("characters", shown(characters), accepted)
    if not network.one_hot == network.columns == len(characters):
        given = f"a network with one_hot={network.one_hot} and {network.columns:,} outputs"
        accepted = f"one with one_hot={len(characters)} and {len(characters):,} outputs, one for each character"
        raise InputError("ed", given, accepted, "Let it learn a text, as edcore train --text does.")
    if not isinstance(start, str):
        raise InputError("start", shown(start), "a text")
    start = normalised(start)
    if unknown := sorted(set(start) - set(characters)):
        fix = f"Leave them out; {OTHER!r} stands for a character that it has not learnt."
        raise InputError("start", listed(unknown, MOST_NAMED), "characters that the network has learnt", fix)
    length, temperature = whole_number("length", length, 0), real("temperature", temperature)
    first = next((one for one in "\n " if one in characters), OTHER)
    padded = first * network.features + start
    context = encode(code_points("start", padded), characters)[-network.features :].astype(network.dtype)
    return _written(ed, characters, context, length, temperature, checked_seed(seed))


def _written(
    ed: ED, characters: Sequence[str], context: npt.NDArray[Any], length: int, temperature: float, seed: int
) -> Iterator[str]:
    """Yield the characters that follow a context."""
    draws = np.random.Generator(np.random.PCG64(seed))
    for _ in range(length):
        outputs = ed.predict(context[None])[0].astype(np.float64)
        if not np.isfinite(outputs).all():
            raise EDCoreError("The outputs of the network are not finite. Train it again with smaller learning rates.")
        code = int(outputs.argmax())
        if temperature:
            # Divided by the largest one, before the power could make zeros of all of them.
            shares = np.cumsum((np.maximum(outputs, LEAST) / max(outputs.max(), LEAST)) ** (1 / temperature))
            code = int(np.searchsorted(shares, draws.random() * shares[-1], side="right"))
        context = np.append(context[1:], context.dtype.type(code))
        yield characters[code]
