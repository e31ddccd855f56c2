"""Counts of n-grams, beside which a network that has learnt a text is judged."""

from collections import Counter

import numpy as np
import pytest

from edcore.comparison import ngram_bits, ngrams
from edcore.datasets import Text
from edcore.errors import InputError


def slow_ngram_bits(text, weights):
    """Return the bits per character by dictionaries, with the weight of each n and bucket of contexts."""
    codes, k = text.codes.tolist(), len(text.characters)

    def counts(n):
        grams = [tuple(codes[i - n + 1 : i + 1]) for i in range(n - 1, text.cut)]
        return Counter(grams), Counter(gram[:-1] for gram in grams)

    tables, bits = [counts(n) for n in range(1, len(weights) + 1)], [0.0] * len(weights)
    for i in range(text.cut, len(codes)):
        shares = np.full(k, 1 / k)
        for n, (grams, contexts) in enumerate(tables, 1):
            context = tuple(codes[i - n + 1 : i])
            if times := contexts[context]:
                weight = weights[n - 1][times.bit_length()]
                counted = np.array([grams[(*context, code)] for code in range(k)]) / times
                shares = weight * counted + (1 - weight) * shares
            assert shares.sum() == pytest.approx(1)
            bits[n - 1] -= np.log2(shares[codes[i]]) / (len(codes) - text.cut)
    return bits


def test_ngrams_give_the_bits_of_counts_in_dictionaries(monkeypatch):
    fitted, inner = [], ngrams._weights
    monkeypatch.setattr(ngrams, "_weights", lambda *given: fitted.append(inner(*given)) or fitted[-1])
    words = np.random.default_rng(0).choice(["rose ", "a ", "is ", "is not ", "thorn.\n"], 600)
    text = Text("".join(words), context=4, characters=9)
    found = ngram_bits(text, 4)
    assert found == pytest.approx(slow_ngram_bits(text, fitted), rel=1e-9)
    assert found[0] > found[1] > found[2] > found[3]


def test_ngrams_of_noise_are_the_entropy_of_a_draw():
    noise = Text("".join(np.random.default_rng(3).choice(list("abcdefgh"), 20_000)), context=2)
    assert ngram_bits(noise, 3) == pytest.approx([3, 3, 3], abs=0.03)


def test_ngrams_refuse_what_is_no_text():
    with pytest.raises(InputError, match=r"^text: given 'abc'"):
        ngram_bits("abc")
    with pytest.raises(InputError, match=r"^most: given 0"):
        ngram_bits(Text("ab, cd. " * 20), 0)
