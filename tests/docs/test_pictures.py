"""The drawings in docs/_static are those that docs/pictures.py draws, of the committed results."""

import importlib
from pathlib import Path
from xml.etree import ElementTree

DOCS = Path(__file__).parents[2] / "docs"


def test_committed_drawings_are_those_of_the_script(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(DOCS)
    pictures, depth_picture = (importlib.import_module(name) for name in ("pictures", "depth_picture"))
    for module in (pictures, depth_picture):
        monkeypatch.setattr(module, "FOLDER", tmp_path)
    pictures.main()
    drawn = {file.name for file in tmp_path.iterdir()}
    assert {f"{name}-{theme}.svg" for name in ("broadcast", "depth", "depth-ja") for theme in ("light", "dark")} < drawn
    for name in drawn:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert (DOCS / "_static" / name).read_text(encoding="utf-8") == text, name


def test_the_picture_of_depth_has_a_mark_for_each_result():
    root = ElementTree.fromstring((DOCS / "_static" / "depth-light.svg").read_text(encoding="utf-8"))
    marks = [item for item in root if item.get("stroke-width") == "2"]
    hollow = [item for item in marks if item.get("fill") != item.get("stroke")]
    # In each of the two panels 7 depths of ED and 6 of each other method, and beside the names 3 marks.
    assert len(marks) == 2 * (7 + 6 + 6) + 3 + 3
    assert len(hollow) == 2 * (1 + 2 + 2)  # a single seed: ED at 4096, the others at 256 and 1024
