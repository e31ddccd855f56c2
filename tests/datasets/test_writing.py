"""Networks that continue texts: what is drawn, what stands before a short start, and what is refused."""

from collections import Counter

import numpy as np
import pytest

import edcore
from edcore.datasets import Text, write_text
from edcore.errors import EDCoreError, InputError

TEXT = Text("abc " * 30, context=3)
K = len(TEXT.characters)


@pytest.fixture
def seen(monkeypatch):
    """Have a network of set outputs, and return the list of the contexts that it is given."""
    contexts = []

    def make(outputs, characters=TEXT.characters, context=3):
        k = len(characters)
        ed = edcore.ED(context * k, k, 0, one_hot=k, outputs=k, rule="modulo", seed=1, backend="numpy")

        def predict(self, x):
            assert x.dtype == np.float32
            contexts.append("".join(characters[int(code)] for code in x[0]))
            return np.array([outputs], np.float32)

        monkeypatch.setattr(edcore.ED, "predict", predict)
        return ed

    make.contexts = contexts
    return make


@pytest.mark.parametrize(
    ("start", "first"),
    [("cab", "cab"), ("abcabc a", "c a"), ("", "   "), ("a", "  a")],
)
def test_the_last_part_of_the_start_is_the_first_context(seen, start, first):
    ed = seen([1, 0, 0, 0, 0])
    assert "".join(write_text(ed, TEXT.characters, start, length=4)) == 4 * TEXT.characters[0]
    assert seen.contexts[0] == first
    assert seen.contexts[1] == first[1:] + TEXT.characters[0]


def test_line_ends_stand_before_a_short_start_if_the_network_knows_them_else_others(seen):
    next(write_text(seen([1, 0, 0, 0], ("a", "\n", " ", "�")), ("a", "\n", " ", "�"), "a"))
    next(write_text(seen([1, 0, 0], ("a", "b", "�")), ("a", "b", "�"), "a"))
    assert seen.contexts == ["\n\na", "��a"]


def test_a_start_with_line_ends_of_windows(seen):
    next(write_text(seen([1, 0, 0, 0], ("a", "\n", " ", "�")), ("a", "\n", " ", "�"), "a\r\na"))
    assert seen.contexts == ["a\na"]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_characters_come_as_often_as_their_probabilities_say(seen, temperature):
    p = np.array([0.5, 0.3, 0.15, 0.05, 0.0])
    found = Counter(write_text(seen(p), TEXT.characters, length=6000, temperature=temperature, seed=5))
    wanted = p ** (1 / temperature) / (p ** (1 / temperature)).sum()
    shares = np.array([found[one] for one in TEXT.characters]) / 6000
    np.testing.assert_allclose(shares, wanted, atol=4 * np.sqrt(0.25 / 6000))
    assert found[TEXT.characters[4]] == 0


def test_the_likeliest_character_comes_at_temperature_0_and_outputs_need_no_sum_of_1(seen):
    assert set(write_text(seen([0.1, 0.2, 0.7, 0.3, -4]), TEXT.characters, temperature=0)) == {TEXT.characters[2]}
    found = Counter(write_text(seen([-1, 2, 6, -9, 0]), TEXT.characters, length=4000, seed=1))
    assert found.keys() == {TEXT.characters[1], TEXT.characters[2]}
    assert found[TEXT.characters[2]] / 4000 == pytest.approx(0.75, abs=0.03)


def test_a_low_temperature_does_not_lose_all_probabilities(seen):
    assert set(write_text(seen([1e-30, 2e-30, 0, 0, 0]), TEXT.characters, temperature=1e-3, seed=1)) == {
        TEXT.characters[1]
    }


def test_each_character_is_computed_when_it_is_asked_for(seen):
    written = write_text(seen([1, 0, 0, 0, 0]), TEXT.characters, length=10**9)
    assert not seen.contexts
    next(written)
    assert len(seen.contexts) == 1


def test_the_same_seed_writes_the_same(seen):
    ed = seen([0.3, 0.3, 0.2, 0.1, 0.1])
    first, again, other = ("".join(write_text(ed, TEXT.characters, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_outputs_that_are_not_finite(seen):
    with pytest.raises(EDCoreError, match="not finite"):
        list(write_text(seen([np.nan, 0, 0, 0, 0]), TEXT.characters))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"characters": "abc"}, "characters: given 'abc'; accepted: the characters of a text"),
        ({"characters": None}, "characters: given None"),
        (
            {"characters": ("a", "b", "�")},
            "ed: given a network with one_hot=5 and 5 outputs; accepted: one with one_hot=3",
        ),
        ({"start": "xyz"}, "start: given 'x', 'y', 'z'"),
        ({"start": b"a"}, "start: given b'a'"),
        ({"start": "\ud800"}, r"start: given '\\ud800'"),
        ({"length": -1}, "length: given -1"),
        ({"temperature": -0.1}, "temperature: given -0.1"),
        ({"temperature": float("nan")}, "temperature: given nan"),
        ({"seed": -1}, "seed: given -1"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(seen, options, said):
    with pytest.raises(InputError, match=f"^{said}"):
        write_text(seen([1, 0, 0, 0, 0]), **{"characters": TEXT.characters, **options})
    with pytest.raises(InputError, match="^ed: given"):
        write_text(edcore.ED(3, seed=1), TEXT.characters)
