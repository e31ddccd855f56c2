"""Texts: their characters as numbers, windows, the part that is held out, and files."""

import gzip
import io
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from edcore.datasets import Text, python_topics, read_text
from edcore.errors import DataFileError, EDCoreError, InputError, OutOfMemoryError

JAPANESE = "吾輩は猫である。名前はまだ無い。\nどこで生れたかとんと見当がつかぬ。"


def test_codes_are_those_of_the_most_frequent_characters_and_the_last_one_of_all_others():
    text = Text("aaabbc" * 5 + "xyz", characters=3, context=2, held_out=0.1)
    assert text.characters == ("a", "b", "�")
    assert text.codes.tolist() == [0, 0, 0, 1, 1, 2] * 5 + [2, 2, 2]
    assert text.decode(text.codes[-5:]) == "b����"
    assert text.codes.dtype == np.uint8
    assert not text.codes.flags.writeable


def test_characters_come_from_the_part_that_is_learnt():
    text = Text("ab" * 45 + "zzzzzzzzzz", context=4)
    assert text.characters == ("a", "b", "�")
    assert set(text.codes[text.cut :].tolist()) == {2}


def test_each_window_precedes_its_character_and_takes_no_memory():
    text = Text("".join(map(chr, range(97, 117))), context=3, held_out=0.25)
    x, y = text.x("float64"), text.y
    assert x.shape == (17, 3)
    assert x.strides == (8, 8)
    assert not x.flags.owndata
    for sample, (window, following) in enumerate(zip(x, y, strict=True)):
        assert window.tolist() == text.codes[sample : sample + 3].tolist()
        assert following == text.codes[sample + 3]


def test_the_last_part_is_held_out_and_each_of_its_characters_is_tested_once():
    content = "".join(np.random.default_rng(1).choice(list("abcdefg \n"), 1000))
    text = Text(content, context=7, held_out=0.2)
    data = text.dataset("float32")
    assert text.cut == 800
    assert data.classes == text.characters
    assert data.x_train.strides == (4, 4)
    assert data.x_train.dtype == np.float32
    assert text.decode(data.y_train) == content[7:800]
    assert text.decode(data.y_test) == content[800:]
    assert text.decode(data.x_train[-1]) == content[792:799]
    assert text.decode(data.x_test[0]) == content[793:800]


def test_japanese_text_and_a_large_vocabulary():
    text = Text(JAPANESE, context=4)
    assert text.decode(text.codes[: text.cut]) == JAPANESE[: text.cut]
    assert set(text.characters[:4]) == set("は。でと")
    many = Text("".join(map(chr, range(0x4E00, 0x4E00 + 400))), characters=300, context=2)
    assert many.codes.dtype == np.uint16
    assert len(many.characters) == 300


def test_the_characters_of_another_text_are_taken():
    first = Text("abcabcabcabc", context=2)
    second = Text("cccabxcabcabx", context=2, characters=first.characters)
    assert second.characters == first.characters
    assert second.decode(second.codes) == "cccab�cabcab�"


def test_line_ends_of_all_kinds_and_the_mark_at_the_begin():
    same = [
        Text(content, context=2)
        for content in ("ab\nab\nabcde", "ab\r\nab\r\nabcde", "ab\rab\rabcde", "\ufeffab\nab\nabcde")
    ]
    assert len({text.digest for text in same}) == 1
    assert all(text.codes.tolist() == same[0].codes.tolist() for text in same)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"content": b"abc"}, r"content: given b'abc'"),
        ({"content": "short"}, r"content: given text with 5 characters; accepted: at least 10\. Give a longer text"),
        ({"content": "", "context": 1}, r"content: given text with 0 characters"),
        ({"content": "a" * 100}, r"content: given text with only one character"),
        ({"content": "ab\ud800" * 100}, r"content: given '\\ud800' at character 3"),
        ({"characters": 2}, r"characters: given 2; accepted: a whole number of at least 3"),
        ({"characters": 10**6}, r"characters: given 1,000,000; accepted: a whole number from 3 to 65,536"),
        ({"characters": True}, r"characters: given True"),
        ({"characters": "abc"}, r"characters: given 'abc'; .*'�' is the last"),
        ({"characters": ["a", "bc", "�"]}, r"characters: given \['a', 'bc', '�'\]"),
        ({"characters": ["a", "a", "�"]}, r"characters: given \['a', 'a', '�'\]"),
        ({"characters": 3.5}, r"characters: given 3\.5"),
        ({"context": 0}, r"context: given 0; accepted: a whole number of at least 1"),
        ({"held_out": 1}, r"held_out: given 1\.0; accepted: a number above 0 and below 1"),
        ({"held_out": 0}, r"held_out: given 0"),
        ({"name": None}, r"name: given None"),
    ],
)
def test_what_is_no_text_is_refused(options, said):
    with pytest.raises(InputError, match=f"^{said}"):
        Text(**{"content": "ab, cd. " * 20, **options})


def test_the_shortest_text_that_is_accepted_has_a_sample_of_each_kind():
    for context, held_out in ((1, 0.5), (16, 0.1), (3, 0.9), (5, 0.01)):
        with pytest.raises(InputError) as refused:
            Text("ab", context=context, held_out=held_out)
        least = int(re.search(r"at least (\d+)", str(refused.value))[1])
        data = Text(("abc" * least)[:least], context=context, held_out=held_out).dataset()
        assert len(data.x_train) >= 1
        assert len(data.x_test) >= 1
        with pytest.raises(InputError):
            Text(("abc" * least)[: least - 1], context=context, held_out=held_out)


def test_a_text_cannot_be_changed():
    with pytest.raises(EDCoreError, match="Text.context cannot be set"):
        Text("abcdefghijk", context=2).context = 3


def test_a_text_for_which_there_is_no_memory(monkeypatch):
    monkeypatch.setattr("edcore.datasets.text.host_room", lambda: 2**20)
    monkeypatch.setattr("edcore.datasets.text.BYTES", 2**28)
    with pytest.raises(OutOfMemoryError, match=r"100 characters need 25\.0 GiB, and 0\.0 are free"):
        Text("ab" * 50, context=4)


def test_files_in_utf8_are_read_with_any_ending_packed_or_from_a_pipe(tmp_path, monkeypatch):
    content = JAPANESE.encode()
    (tmp_path / "neko").write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    (tmp_path / "neko.md").write_bytes(content)
    (tmp_path / "neko.txt.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    wanted = Text(JAPANESE, context=4).digest
    for name in (tmp_path / "neko", tmp_path / "neko.md", tmp_path / "neko.txt.gz", "-"):
        assert read_text(name, context=4).digest == wanted


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"an empty file\. Give a text\."),
        (b"too short", r"given .*with 9 characters; accepted: at least 10\."),
        ("カナ".encode("cp932") * 50, r"byte 1, 0x83, .*UTF-8 .*iconv -f SHIFT_JIS"),
        ("née ".encode("latin-1") * 50, r"byte 2, 0xe9, "),
        ("text ".encode("utf-16") * 50, r"byte 1, 0xff, "),
        (b"abc\0" * 50, r"byte 4, 0x00, "),
    ],
)
def test_what_is_not_utf8_is_refused_with_its_byte(tmp_path, content, said):
    (tmp_path / "my.txt").write_bytes(content)
    with pytest.raises(DataFileError, match=said) as refused:
        read_text(tmp_path / "my.txt")
    assert "my.txt" in str(refused.value)


def test_a_file_that_is_not_there_and_a_folder(tmp_path):
    with pytest.raises(DataFileError, match=r"none\.txt: it cannot be read"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(DataFileError, match="a folder; accepted: a file, or - for standard input"):
        read_text(tmp_path)


def test_the_text_of_python():
    text = python_topics(context=8)
    assert len(text.characters) == 64
    assert "statement" in text.decode(text.codes)
    if sys.version_info[:3] == (3, 11, 7):
        assert len(text.codes) == 465_048
        assert text.digest == "2a95af4ac93f5b719944030ce3769070ddf827d847cba42192afa8da989e5dc4"
