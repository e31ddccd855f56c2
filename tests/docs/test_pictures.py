"""The drawings of the pages are what their code draws, in two languages, and say what is to be seen."""

import importlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parents[2] / "docs"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The folder into which the code of the drawings has written."""
    monkeypatch.syspath_prepend(DOCS)
    importlib.import_module("pictures").draw(tmp_path)
    return tmp_path


def test_the_drawings_are_what_their_code_draws(drawn):
    for path in drawn.iterdir():
        assert path.read_bytes() == (DOCS / "_static" / path.name).read_bytes(), f"run python docs/pictures.py: {path}"


def test_a_drawing_has_its_twins(drawn):
    names = {path.name for path in drawn.iterdir()}
    for kind in {name.split("-")[0] for name in names}:
        assert {f"{kind}{end}.svg" for end in ("-light", "-dark", "-ja-light", "-ja-dark")} <= names


def test_a_drawing_is_described_in_its_language(drawn):
    for path in drawn.iterdir():
        root = ElementTree.parse(path).getroot()
        japanese = "-ja-" in path.name
        assert root.get(LANGUAGE) == ("ja" if japanese else "en"), path
        for part in ("title", "desc"):
            assert (max(root.find(SVG + part).text) > "ぁ") == japanese, path


def test_the_picture_of_depth_has_a_mark_for_each_result():
    root = ElementTree.parse(DOCS / "_static" / "depth-light.svg").getroot()
    marks = [item for item in root if item.get("stroke-width") == "2"]
    hollow = [item for item in marks if item.get("fill") != item.get("stroke")]
    # In each of the two panels 7 depths of ED and 6 of each other method, and beside the names 3 marks.
    assert len(marks) == 2 * (7 + 6 + 6) + 3 + 3
    assert len(hollow) == 2 * (1 + 2 + 2)  # a single seed: ED at 4096, the others at 256 and 1024
