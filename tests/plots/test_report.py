"""The report: what it says, that it needs nothing else, and that names from outside are text."""

import base64
import re
import warnings
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import edcore
from edcore import ED, diagnostics
from edcore.model.classes import targets
from edcore.plots import report
from edcore.training.loop import train

pytest.importorskip("matplotlib")

VOID = {"meta", "img", "link", "br", "hr"}


class Page(HTMLParser):
    """A page as what is needed here: its elements, their texts, and whether each is closed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    def text(self, tag):
        return [data for name, data in self.texts if name == tag]


def made(data, *, batches=None, diagnosed=True, setting=None, command="edcore train --seed 0", **options):
    """A report of a short run."""
    ed = ED(data.features, 4, seed=0, backend="numpy", **options)
    run = [
        progress
        for number, progress in enumerate(train(ed, data, batch_size=16, eval_every=5))
        if batches is None or number < batches
    ]
    found = []
    if diagnosed:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", diagnostics.DeadStackWarning)
            x, y = data.x_train[:32], data.y_train[:32]
            found = [diagnostics.diagnose(ed, x, targets(y, ed.network.columns))]
    text = report.html(ed, data, run, diagnoses=found, setting=setting or {"seed": "0"}, command=command)
    return text, Page(text), run, found


@pytest.fixture
def no_pictures(monkeypatch):
    """For what is not about pictures, which take their time."""
    monkeypatch.setattr(report, "panels", lambda *arguments: [])


@pytest.fixture(scope="module")
def deep():
    return made(edcore.datasets.digits(classes=(0, 1)), hidden_depth=64, u0=0.1)


def test_what_was_reached(deep):
    _, page, run, _ = deep
    facts = " ".join(page.text("td"))
    assert f"{run[-1].accuracy:.2%} of 72 test samples" in facts
    mean = np.mean([entry.error for entry in run[-3:]])
    assert len(run) == 18
    assert f"{mean:.4f}, mean |target − output| of the last 3 batches before it" in facts
    assert f"{run[-1].seconds:,.2f} s" in facts
    assert "288 samples in 18 batches, epoch 1" in facts
    assert "stopped" not in page.text("th")


def test_versions_setting_and_command(deep):
    _, page, _, _ = deep
    facts = " ".join(page.text("td"))
    assert f"edcore {edcore.__version__}, Python 3." in facts
    assert f"NumPy {np.__version__}" in facts
    assert {"backend", "device", "machine", "date", "seed"} <= set(page.text("th"))
    assert page.text("pre") == ["edcore train --seed 0"]


def test_a_fact_of_the_setting_is_not_said_twice(no_pictures):
    _, page, _, _ = made(edcore.datasets.xor(), setting={"backend": "numpy", "device": "cpu"})
    assert page.text("th").count("backend") == page.text("th").count("device") == 1


def test_each_picture_has_a_text_and_a_sentence(deep):
    text, page, _, _ = deep
    pictures = page.all("img")
    assert len(pictures) == text.count("<figcaption>") == 4
    assert all(len(picture["alt"]) > 40 for picture in pictures)
    for picture in pictures:
        kind, _, content = picture["src"].partition(";base64,")
        start = {"data:image/svg+xml": b"<?xml", "data:image/png": b"\x89PNG"}[kind]
        assert base64.b64decode(content).startswith(start)


def test_the_diagnosis_is_a_table_with_headings_and_its_warning(deep):
    _, page, _, (found,) = deep
    assert set(found.columns) <= set(page.text("th"))
    assert [row[0] for row in found.rows][-1] in page.text("th")
    assert f"Warning: {found.warning}" in page.text("p")
    scopes = [attrs.get("scope") for attrs in page.all("th")]
    assert set(scopes) == {"row", "col"}
    assert scopes.count("col") == len(found.columns)


def test_without_a_diagnosis_there_is_no_table_of_layers():
    text, page, _, _ = made(edcore.datasets.xor(), diagnosed=False)
    assert "Layers" not in page.text("h2")
    assert text.count("<figcaption>") == 3


def test_the_page_needs_nothing_else(deep):
    text, page, _, _ = deep
    assert text.startswith('<!doctype html>\n<html lang="en">')
    assert page.text("title") == page.text("h1") == ["Training report: digits"]
    assert not any(page.all(tag) for tag in ("script", "link", "iframe", "object"))
    assert not re.search(r"(?i)\b(src|href)=[\"'](?!data:)|url\(|@import|https?://", text)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert len(text) < 1_000_000


def test_what_users_write_is_text():
    bad = "<script>alert('x')</script> & \"$seed\" ${title} $\\bad$"
    data = replace(edcore.datasets.xor(), name=bad, classes=(bad, "<b>"))
    text, page, _, _ = made(data, setting={bad: bad}, command=bad)
    assert not page.all("script")
    assert not page.all("b")
    assert page.text("pre") == [bad]
    assert page.text("h1") == [f"Training report: {bad}"]
    assert bad in page.text("td")
    assert bad in page.text("th")
    assert "<script" not in text
    svgs = [src for src in (picture["src"] for picture in page.all("img")) if "svg+xml" in src]
    assert svgs
    assert all(b"<script" not in base64.b64decode(src.partition(",")[2]) for src in svgs)


def test_the_class_of_the_head_whose_cells_are_seen_is_named_as_text():
    data = edcore.datasets.digits()
    text, _, _, _ = made(replace(data, classes=("<i>", *range(1, 10))), heads=10, batches=2, diagnosed=False)
    assert "that of class &lt;i&gt;, " in text


def test_a_run_that_was_stopped(no_pictures):
    data = edcore.datasets.digits(classes=(0, 1))
    _, page, _, _ = made(data, batches=7)
    assert "after 7 of 18 batches" in page.text("td")
    assert "80 samples in 5 batches, epoch 1" in page.text("td")
    _, page, run, _ = made(data, batches=3)
    assert {"not evaluated", f"{run[-1].error:.4f}"} <= set(page.text("td"))


def test_a_run_that_never_began():
    _, page, _, _ = made(edcore.datasets.xor(), batches=0)
    assert "before the first batch was learnt" in page.text("td")
    assert len(page.all("img")) == 3


def test_a_large_picture_becomes_a_png(monkeypatch):
    monkeypatch.setattr(report, "SVG_BYTES", 10)
    _, page, _, _ = made(edcore.datasets.xor())
    assert all(picture["src"].startswith("data:image/png;base64,") for picture in page.all("img"))
