"""Animations: what their frames show, and the files and pages that they are written as."""

import base64
import io
import json
import os
import re
import shutil
import sys

import numpy as np
import pytest

import edcore
from edcore import ED, EDCoreError
from edcore.errors import InputError

pytest.importorskip("matplotlib")

import matplotlib
from PIL import Image

from edcore import plots

XOR = edcore.datasets.xor()


def network(**options):
    return ED(**({"in_": 2, "hidden_width": 2, "hidden_depth": 0, "rule": "split", "seed": 1} | options))


def learning(**options):
    return plots.animate("learning", network(), XOR.x_train, XOR.y_train, **({"epochs": 40, "frames": 3} | options))


def synapses(ax):
    return [artist for artist in ax.collections if str(artist.get_gid()).startswith("synapses")]


def halos(ax):
    """Return the numbers of the columns of cells at which the error arrives."""
    found = [str(artist.get_gid()).split() for artist in ax.collections]
    return [int(words[1]) for words in found if words[0] == "error"]


def test_learning_shows_the_weights_and_the_boundary_of_the_epochs_of_fit():
    ed = network()
    old = ed.weights
    animation = plots.animate("learning", ed, XOR.x_train, XOR.y_train, epochs=40, frames=3, batch_size=4)
    assert animation.frames == 3
    assert all((ed.weights[key] == old[key]).all() for key in old)
    learnt = network().fit(XOR.x_train, XOR.y_train, epochs=40, batch_size=4)
    drawing, plane, *_ = animation.draw(-1).axes
    error = np.abs(XOR.y_train - learnt.predict(XOR.x_train)).mean()
    assert plane.get_title(loc="left") == f"Epoch 40: error {error:.2f}"
    expected = plots.network(learnt).axes[0]
    for shown, alone in zip(synapses(drawing), synapses(expected), strict=True):
        np.testing.assert_allclose(shown.get_linewidths(), alone.get_linewidths(), rtol=1e-5)
        assert (shown.get_colors() == alone.get_colors()).all()
    assert animation.draw(1).axes[1].get_title(loc="left").startswith("Epoch 20:")
    first = animation.draw(0).axes
    assert first[1].get_title(loc="left").startswith("Epoch 0:")
    # One scale over all epochs: the weights of this rule grow, so the first are thinner than the last.
    widest = [max(max(layer.get_linewidths()) for layer in synapses(animation.draw(n).axes[0])) for n in (0, -1)]
    assert widest[0] < widest[1]


def test_the_error_reaches_all_layers_at_once_or_one_after_the_other():
    animation = plots.animate("broadcast", network(hidden_depth=1, dtype="float64"), [1, 0], 1)
    layers = 3
    assert animation.frames == 2 * layers + 1
    for number in range(layers + 1):
        for ax in animation.draw(number).axes:
            filled = [ax.collections[layers + column].get_facecolors()[:, 0].min() < 1 for column in range(layers + 1)]
            assert filled == [column <= number for column in range(layers + 1)]
            assert halos(ax) == []
    seen = [[halos(ax) for ax in animation.draw(number).axes] for number in range(layers + 1, 2 * layers + 1)]
    assert seen == [[[1, 2, 3], [3]], [[], [2]], [[], [1]]]
    ed, back = animation.draw(layers + 1).axes
    known = [[len({*layer.get_linewidths()}) > 1 for layer in synapses(ax)] for ax in (ed, back)]
    assert known == [[True, True, True], [False, False, True]]


def test_the_numbers_below_the_cells_are_the_error_that_arrives():
    ed = network(dtype="float64")
    error = 1 - float(ed.predict([[1, 0]])[0])
    broadcast, _ = plots.animate("broadcast", ed, [1, 0], 1).draw(3).axes
    assert [text.get_text() for text in broadcast.texts].count(f"+{error:.2g}") == 2


def test_layers_show_activities_and_growth_batch_by_batch():
    data = edcore.datasets.digits(classes=(0, 1))
    x, y = data.x_train[:100], data.y_train[:100]
    ed = ED(in_=64, hidden_width=4, hidden_depth=6, u0=6.0, dtype="float64", seed=0)
    animation = plots.animate("layers", ed, x, y, epochs=2, batch_size=50)
    assert animation.frames == 5  # the start, and four batches
    left, right, *_ = animation.draw(-1).axes
    learnt = ED(in_=64, hidden_width=4, hidden_depth=6, u0=6.0, dtype="float64", seed=0)
    start = learnt.weights
    learnt.fit(x, y, epochs=2, batch_size=50)
    growth = right.lines[0].get_xdata()
    assert len(growth) == 8
    expected = np.abs(learnt.weights["output.weight"]).mean() / np.abs(start["output.weight"]).mean()
    np.testing.assert_allclose(growth[-1], expected)
    assert left.images[0].get_array().shape == (7, 8)
    assert right.get_title(loc="left").startswith("Batch 4 of 4: error")
    np.testing.assert_allclose(animation.draw(0).axes[1].lines[0].get_xdata(), 1)


def test_weights_that_were_0_have_no_growth():
    ed = ED(in_=2, hidden_width=2, hidden_depth=0, initial=edcore.Initial(weight=0.0), seed=1)
    animation = plots.animate("layers", ed, XOR.x_train, XOR.y_train, batch_size=2)
    assert np.isnan(animation.draw(0).axes[1].lines[0].get_xdata()).all()


def test_a_gif_has_all_frames_and_no_pyplot(in_a_folder_of_its_own):
    before = "matplotlib.pyplot" in sys.modules
    learning().save("xor.gif", dpi=30)
    with Image.open("xor.gif") as image:
        assert image.n_frames == 3
        assert image.info["duration"] == 100
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        image.seek(2)
        assert image.info["duration"] > 1000  # the last one stays
    assert before or "matplotlib.pyplot" not in sys.modules


def test_a_page_has_all_frames_and_a_notebook_shows_it(in_a_folder_of_its_own):
    animation = learning(frames=2)
    animation.save("xor.HTML", dpi=30)
    with open("xor.HTML", encoding="utf-8") as file:
        page = file.read()
    frames = json.loads(re.search(r"frames = (\[.*\]);", page)[1])
    shown = [Image.open(io.BytesIO(base64.b64decode(frame))) for frame in frames]
    assert [image.format for image in shown] == ["PNG", "PNG"]
    assert shown[0].tobytes() != shown[1].tobytes()
    assert not re.search("https?:", page)  # it loads nothing
    alt = re.search('alt="(.*?)"', page)[1]
    assert "decision boundary" in alt
    assert f'alt="{alt}"' in animation._repr_html_()


def test_an_mp4_is_made_by_ffmpeg_of_all_frames(in_a_folder_of_its_own):
    with open("ffmpeg", "w", encoding="utf-8") as program:  # one that keeps what it is given
        program.write(f"#!{sys.executable}\nimport sys\nopen(sys.argv[-1], 'wb').write(sys.stdin.buffer.read())\n")
    os.chmod("ffmpeg", 0o755)
    with matplotlib.rc_context({"animation.ffmpeg_path": os.path.abspath("ffmpeg")}):
        animation = learning(frames=2)
        animation.save("xor.mp4", dpi=30)
    pixels = np.prod((animation.figure.get_size_inches() * 30).astype(int))
    with open("xor.mp4", "rb") as film:
        assert len(film.read()) == pytest.approx(2 * 4 * pixels, rel=0.05)


def test_an_mp4_without_ffmpeg_names_what_can_be_written(in_a_folder_of_its_own, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(EDCoreError, match=r"ffmpeg.*\.gif or \.html"):
        learning(frames=2).save("xor.mp4")
    assert os.listdir() == []


def test_another_ending_is_refused():
    with pytest.raises(InputError, match=r"name: given 'xor\.webm'; accepted: .*\.gif, \.html, \.mp4"):
        learning(frames=2).save("xor.webm")


@pytest.mark.parametrize(
    ("kind", "options", "arguments", "words"),
    [
        ("learn", {}, {}, "kind: given 'learn'"),
        ("learning", {"in_": 3}, {}, "ed: given 3 inputs; accepted: 2 inputs"),
        ("learning", {"hidden_width": 30}, {}, "hidden_width: given"),
        ("learning", {}, {"x": [[0, 1, 2]]}, "x: given"),
        ("learning", {}, {"epochs": 0}, "epochs: given 0"),
        ("learning", {}, {"frames": 1}, "frames: given 1"),
        ("layers", {}, {"batch_size": 0}, "batch_size: given 0"),
        ("broadcast", {}, {}, "x: given .*one sample"),
        ("broadcast", {"hidden_depth": 20}, {}, "hidden_depth: given 20"),
    ],
)
def test_what_cannot_be_shown_is_refused(kind, options, arguments, words):
    given = {"x": XOR.x_train, "target": XOR.y_train} | arguments
    with pytest.raises(InputError, match=words):
        plots.animate(kind, network(**options), **given)
