"""Pictures and figures of networks whose layers have several widths."""

import sys

import numpy as np
import pytest

from edcore import ED, datasets
from edcore.diagnostics import diagnose
from edcore.errors import InputError

pytest.importorskip("matplotlib")
from edcore import plots

XOR = datasets.xor()


@pytest.fixture
def ed():
    return ED(2, (6, 3, 3, 5), rule="split", u0=1.0, seed=1, backend="numpy")


def test_pictures(ed):
    shapes = [ax.images[0].get_array().shape for ax in plots.weights(ed).axes if ax.images][:5]
    assert shapes == [(4, 12), (12, 6), (6, 6), (6, 10), (10, 2)]
    labels = [label.get_text() for label in plots.activities(ed, XOR.x_train).axes[0].get_yticklabels()]
    assert labels == ["hidden 1", "hidden 2", "hidden 3", "hidden 4", "output"]
    plots.receptive_fields(ED(4, (3, 2), seed=1), cells=[2])
    with pytest.raises(InputError, match="0 to 2, the cells of a stream"):
        plots.receptive_fields(ED(4, (3, 5), seed=1), cells=[3])
    plots.network(ed, XOR.x_train[1], target=XOR.y_train[1])
    plots.step(ed, XOR.x_train[1], XOR.y_train[1])


def test_animation_of_layers_has_rows_that_meet_in_the_middle(ed, tmp_path):
    animation = plots.animate("layers", ed, XOR.x_train, XOR.y_train, epochs=2, frames=2)
    animation.save(tmp_path / "a.gif")
    assert (tmp_path / "a.gif").stat().st_size > 1000


def test_diagnosis_measures_each_layer(ed, monkeypatch):
    ed.fit(XOR.x_train, XOR.y_train, epochs=3)
    found = diagnose(ed, XOR.x_train, XOR.y_train)
    monkeypatch.setattr(sys.modules["edcore.diagnostics.diagnose"], "SLAB_LAYERS", 1)
    by_layer = diagnose(ed, XOR.x_train, XOR.y_train)
    assert len(found.growth) == 5
    for name in ("saturation", "sign_changes", "growth", "balance"):
        np.testing.assert_allclose(getattr(by_layer, name), getattr(found, name), rtol=1e-12)


def test_activities_and_updates(ed):
    cells = [value.shape[-1] for value in ed.activities(XOR.x_train).values()]
    assert cells == [4, 12, 6, 6, 10, 2]
    updates = ed.updates(XOR.x_train, XOR.y_train)
    assert {key: value.shape for key, value in updates.items()} == ed.network.weight_shapes
    own = [np.ones((1, 4, size)) for size in cells[1:]]
    ed(XOR.x_train)
    ed.update(own)
    ed(XOR.x_train)
    with pytest.raises(InputError, match=r"error\[1\]"):
        ed.update([own[0], own[0], *own[2:]])
