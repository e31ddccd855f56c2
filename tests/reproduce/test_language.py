"""The language model beside counts, controls and baselines."""

import json
import math

import numpy as np
import pytest

from edcore.comparison.controls import FROZEN, READOUT
from edcore.datasets import Text
from edcore.errors import UnknownNameError
from edcore.reproduce import catalogue, language, page
from edcore.reproduce.language_runs import COUNTS, LINEAR, LinearModel, Run, Trial, readouts
from edcore.reproduce.options import Options
from edcore.reproduce.outcome import EDCORE, Outcome, Score, standard_errors_below

VERSE = "the cat sat on the mat, and the rat sat on the cat, and then the hat sat on the rat. " * 60


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "verse.txt"
    path.write_text(VERSE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def outcome(file):
    pytest.importorskip("sklearn")
    return catalogue.reproduce("language", Options(seeds=1, quick=True, text=file, backend="numpy"))


def test_each_method_has_a_row_and_a_curve(outcome):
    for method in language.MAIN.methods:
        score = outcome.score(language.ONE, "width 256", method)
        assert score.seeds == 1
        assert 0 < score.mean < 20
        assert len(outcome.curves[method]) == 20
        assert outcome.curves[method][-1][0] == 40 * 128
    ours = outcome.score(language.ONE, "width 256", EDCORE).mean
    assert ours < outcome.score(COUNTS, "1-gram", COUNTS).mean


def test_the_page_has_the_tables_and_what_was_written(outcome):
    text = page.markdown(outcome)
    assert "## Written by ED, width 256" in text
    assert "verse.txt, 5,100 characters" in text
    assert "edcore reproduce language --quick" in text
    (written,) = outcome.texts.values()
    assert len(written) == 16 + 400
    again = Outcome.from_dict(json.loads(json.dumps(outcome.as_dict())))
    assert again.curves == outcome.curves
    assert again.texts == outcome.texts
    assert again.rows == outcome.rows


def test_the_picture_is_drawn(outcome):
    pytest.importorskip("matplotlib")
    from edcore.plots.reproduction import png

    assert png(outcome)[:8] == b"\x89PNG\r\n\x1a\n"


def test_rows_of_other_methods_stay(outcome, file):
    options = Options(seeds=1, quick=True, text=file, backend="numpy", methods=(LINEAR, COUNTS))
    new = catalogue.reproduce("language", options)
    both = new.beside(outcome)
    assert {score.method for score in new.rows} == {LINEAR, COUNTS}
    assert {score.method for score in both.rows} == {score.method for score in outcome.rows}
    assert both.curves.keys() == outcome.curves.keys()
    with pytest.raises(UnknownNameError, match="methods: given 'linaer'"):
        catalogue.reproduce("language", Options(quick=True, text=file, methods=("linaer",)))


def test_a_linear_model_learns_what_follows():
    text = Text("abcd" * 200, context=2)
    x, y = text.x("float32"), text.y
    model = LinearModel(len(text.characters), text.context)
    model.rates = 0.0, 5.0
    before = model.predict(x)
    assert np.allclose(before, 1 / len(text.characters))
    model.fit(x, np.eye(len(text.characters), dtype=np.float32)[y], batch_size=32)
    assert (model.predict(x).argmax(axis=1) == y).all()


def test_rates_fall_in_a_straight_line_or_stay():
    text = Text(VERSE, context=4)
    for decay, last in ((True, 10.0 * 0.025), (False, 10.0)):
        run = Run(Trial("", "", width=32, context=4, decay=decay, shown=True), EDCORE, 1, text, "numpy")
        run.learn(20)
        assert run.learner.rule.alpha == pytest.approx(last)
        assert run.curve[-1][1] < run.curve[0][1]


def test_each_hidden_layer_is_read():
    pytest.importorskip("sklearn")
    text = Text(VERSE, context=4)
    trial = Trial("", "", width=32, depth=1, context=4)
    found = readouts(trial.network(text, 1, "numpy"), text, 1)
    assert list(found) == ["hidden 1", "hidden 2"]
    assert all(0 < bits < math.log2(len(text.characters)) for bits in found.values())


def test_standard_errors_below_a_bound():
    assert standard_errors_below(Score("", "", (1.0, 3.0)), 4.0) == pytest.approx(2.0)
    assert standard_errors_below(Score("", "", (1.0, 3.0)), 0.0) == pytest.approx(-2.0)
    assert standard_errors_below(Score("", "", (1.0,)), 2.0) == math.inf
    assert standard_errors_below(Score("", "", (3.0,)), 2.0) == -math.inf


def test_controls_are_named_as_elsewhere():
    assert {FROZEN, READOUT} < set(language.MAIN.methods)
