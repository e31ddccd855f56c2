"""What the pictures show: labels, the data of lines and images, and that pyplot is left alone."""

import io
import itertools
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

import edcore
from edcore import ED, EDCoreError, Rule, diagnostics
from edcore.diagnostics.diagnosis import Diagnosis
from edcore.errors import InputError
from edcore.model.classes import targets
from edcore.training.history import History
from edcore.training.loop import Progress, train

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from edcore import plots
from edcore.plots import panels as panels_module
from edcore.plots.panels import Result, panels
from edcore.plots.sample import activities as sample_cells


@pytest.fixture(scope="module")
def zeros_and_ones():
    return edcore.datasets.digits(classes=(0, 1))


@pytest.fixture(autouse=True, scope="module")
def no_pyplot():
    """Nothing here loads pyplot: what its tables do not hold, cannot leak."""
    before = "matplotlib.pyplot" in sys.modules
    yield
    assert before or "matplotlib.pyplot" not in sys.modules


def entries(errors, accuracies=(), first=1, total=None):
    """A run with these errors, and accuracies by batch."""
    scores = dict(accuracies)
    return [
        Progress(1, batch, total or len(errors), 4 * batch, error, 0.1 * batch, scores.get(batch))
        for batch, error in enumerate(errors, first)
    ]


def rendered(figure):
    """Return the figure as an SVG, once it has been a PNG and a PDF as well."""
    files = {kind: io.BytesIO() for kind in ("png", "pdf", "svg")}
    for kind, file in files.items():
        figure.savefig(file, format=kind)
    starts = {kind: file.getvalue()[:4] for kind, file in files.items()}
    assert starts == {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xm"}
    return files["svg"].getvalue()


def drawn(function, *arguments, **options):
    """Return the figure, which is one that was drawn, and no pyplot's."""
    figure = function(*arguments, **options)
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # lays out all texts, where a formula that is none would be found
    return figure


def found(depth, dead=(), growth=1.0, saturation=0.1, at=0.0):
    layers = depth + 2
    figures = {name: np.zeros(layers) for name in ("sign_changes", "balance", "update")}
    figures |= {"saturation": np.full(layers, saturation) + at, "growth": np.full(layers, growth)}
    flags = np.isin(np.arange(layers), list(dead))
    shape = edcore.Network(1, 2, depth)
    return Diagnosis(
        shape, Rule(), **figures, at_floor=None, angle=np.full(layers, np.nan), dead=flags, numbers=np.arange(layers)
    )


# The learning curve


def test_a_short_run_is_drawn_as_it_is():
    figure = drawn(plots.learning_curve, entries([0.5, 0.3, 0.2], {2: 0.7, 3: 0.9}))
    error, accuracy = figure.axes
    (line,) = error.lines
    assert line.get_xydata().tolist() == [[1, 0.5], [2, 0.3], [3, 0.2]]
    assert accuracy.lines[0].get_xydata().tolist() == [[2, 0.7], [3, 0.9]]
    assert error.get_xlabel() == "batches learnt"
    assert [text.get_text() for text in error.get_legend().get_texts()] == ["error", "accuracy on test samples"]
    assert line.get_linestyle() != accuracy.lines[0].get_linestyle()  # told apart in grey, too


def test_a_run_with_bits_shows_them_in_place_of_the_accuracy():
    run = entries([0.5, 0.3, 0.2], {2: 0.7, 3: 0.9})
    with_bits = [replace(entry, bits=entry.accuracy and 4 - entry.accuracy) for entry in run]
    for each in (with_bits, History.of(with_bits)):
        _, bits = drawn(plots.learning_curve, each).axes
        assert bits.lines[0].get_xdata().tolist() == [2, 3]
        assert bits.lines[0].get_ydata().tolist() == pytest.approx([3.3, 3.1])
        assert bits.get_ylabel() == "bits on test samples"
    some = [*run[:2], with_bits[2]]  # not all evaluations have them
    assert drawn(plots.learning_curve, some).axes[1].get_ylabel() == "accuracy on test samples"


def test_one_batch():
    figure = drawn(plots.learning_curve, entries([0.5], {1: 0.5}))
    assert figure.axes[0].lines[0].get_marker() == "."


def test_a_run_that_was_never_evaluated_has_no_accuracy():
    assert len(drawn(plots.learning_curve, entries([0.5, 0.4])).axes) == 1


def test_the_smooth_error_is_the_mean_around_each_batch():
    errors = np.random.default_rng(0).random(200)
    raw, smooth = drawn(plots.learning_curve, entries(errors)).axes[0].lines
    assert raw.get_ydata().tolist() == errors.tolist()
    expected = [errors[max(0, i - 2) : i + 3].mean() for i in range(200)]
    np.testing.assert_allclose(smooth.get_ydata(), expected)
    assert smooth.get_label() == "mean over 5 batches"


def test_ten_thousand_batches_stay_readable_and_small():
    errors = np.random.default_rng(0).random(10_000)
    errors[7777] = 3.0
    figure = drawn(plots.learning_curve, entries(errors, dict.fromkeys(range(50, 10_001, 50), 0.5)))
    axes = figure.axes[0]
    assert len(axes.lines[0].get_xdata()) == 1000
    assert axes.lines[0].get_xdata()[-1] == 10_000
    assert axes.collections[0].get_paths()[0].vertices[:, 1].max() == 3.0  # a band keeps what stands out
    assert len(rendered(figure)) < 300_000


def test_the_band_is_as_wide_as_the_errors_are():
    axes = drawn(plots.learning_curve, entries(np.tile([0.1, 0.3], 550))).axes[0]
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert set(heights.round(6).tolist()) == {0.1, 0.3}
    x = axes.collections[0].get_paths()[0].vertices[:, 0]
    assert len(np.unique(x)) == 275


def test_errors_that_are_no_numbers_are_left_out():
    errors = [0.5] * 60 + [np.nan] * 60 + [np.inf, 0.5]
    raw, smooth = drawn(plots.learning_curve, entries(errors, {122: float("nan"), 60: 0.5})).axes[0].lines
    assert np.isfinite(raw.get_ydata()).sum() == 61
    np.testing.assert_allclose(smooth.get_ydata()[np.isfinite(smooth.get_ydata())], 0.5)


@pytest.mark.parametrize("first", [4, 1])
def test_a_resumed_run_goes_on(first):
    """Whether its batches are counted on or from 1 again."""
    run = entries([0.5, 0.4, 0.3], {3: 0.5}) + entries([0.2, 0.1], {first + 1: 0.9}, first=first)
    error, accuracy = drawn(plots.learning_curve, run).axes
    assert error.lines[0].get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert accuracy.lines[0].get_xdata().tolist() == [3, 5]


def test_a_run_that_was_resumed_after_batch_500_starts_there():
    (line,) = drawn(plots.learning_curve, entries([0.2, 0.1], first=501)).axes[0].lines
    assert line.get_xdata().tolist() == [501, 502]


class Fitted:
    loss_curve_ = (0.5, 0.25)
    validation_scores_ = (0.6, 0.8)


def test_an_estimator():
    error, score = drawn(plots.learning_curve, Fitted()).axes
    assert error.lines[0].get_xydata().tolist() == [[1, 0.5], [2, 0.25]]
    assert score.lines[0].get_xydata().tolist() == [[1, 0.6], [2, 0.8]]
    assert (error.get_xlabel(), error.get_ylabel(), score.get_ylabel()) == ("epochs", "loss", "validation score")


@pytest.mark.parametrize("scores", [None, []])
def test_an_estimator_without_scores(scores):
    fitted = Fitted()
    fitted.validation_scores_ = scores
    assert len(drawn(plots.learning_curve, fitted).axes) == 1


def test_a_history_of_epochs(zeros_and_ones):
    data = zeros_and_ones
    history = edcore.History(train=(data.x_train, data.y_train), test=(data.x_test, data.y_test))
    with pytest.raises(InputError, match="^run: given a History of no epoch"):
        plots.learning_curve(history)
    ed = ED(seed=0).fit(data.x_train, data.y_train, epochs=3, callbacks=history)
    error, score = drawn(plots.learning_curve, history).axes
    assert error.lines[0].get_xydata().tolist() == [[n, loss] for n, loss in enumerate(history["loss"], 1)]
    assert score.lines[0].get_ydata().tolist() == history["test_accuracy"]
    assert (error.get_xlabel(), score.get_ylabel()) == ("epochs", "accuracy on test samples")
    alone = edcore.History()
    ed.fit(data.x_train, data.y_train, epochs=100, callbacks=alone)
    (error,) = drawn(plots.learning_curve, alone).axes
    assert error.lines[0].get_xdata()[0] == 4
    assert [text.get_text() for text in error.get_legend().get_texts()] == ["loss of each epoch", "mean over 3 epochs"]
    assert "accuracy" in drawn(plots.compare, {"a": history}).axes[0].get_ylabel()
    assert "loss" in drawn(plots.compare, {"a": history, "b": alone, "c": Fitted()}).axes[0].get_ylabel()


def test_runs_that_are_refused():
    with pytest.raises(InputError, match=r"^run: given no batch; accepted: at least one .*\. Train first\.$"):
        plots.learning_curve([])
    with pytest.raises(InputError, match=r"^run: given list; accepted: a sequence of edcore\.training\.Progress, or"):
        plots.learning_curve([0.5, 0.4])
    with pytest.raises(InputError, match=r"^run: given ED; "):
        plots.learning_curve(ED(2))
    fitted = Fitted()
    fitted.validation_scores_ = [1.0]
    with pytest.raises(InputError, match="2 losses and 1 validation scores"):
        plots.learning_curve(fitted)
    fitted.loss_curve_ = []
    with pytest.raises(InputError, match="one loss for each epoch"):
        plots.learning_curve(fitted)


# The confusion matrix


def test_counts_of_each_class_are_written():
    figure = drawn(plots.confusion_matrix, [0, 0, 0, 1, 2], [0, 0, 1, 1, 1], classes=(7, 3, 5))
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["2", "1", "0", "0", "1", "0", "0", "1", "0"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[2 / 3, 1 / 3, 0], [0, 1, 0], [0, 1, 0]])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["7", "3", "5"]
    assert axes.get_title(loc="left") == "Confusion matrix: 60.00% of 5 right"


def test_labels_may_be_names_and_are_no_formulas():
    figure = drawn(plots.confusion_matrix, ["$a_b", r"$z\no$"], ["$a_b", "$a_b"])
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["$a_b", r"$z\no$"]


def test_ten_classes_are_readable_and_forty_are_not_numbered():
    ten = drawn(plots.confusion_matrix, np.arange(10).repeat(100), np.arange(10).repeat(100))
    assert min(text.get_fontsize() for text in ten.axes[0].texts) >= 9
    assert not drawn(plots.confusion_matrix, range(40), range(40)).axes[0].texts


def test_a_class_without_samples_and_long_names():
    figure = drawn(plots.confusion_matrix, [0, 0], [0, 0], classes=("a" * 40, "b" * 40))
    assert figure.axes[0].get_xticklabels()[0].get_text() == "a" * 15 + "…"
    assert figure.axes[0].images[0].get_array().tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("true", "predicted", "classes", "sentence"),
    [
        ([0, 1], [0], None, r"^predicted: given 1 classes; accepted: 2, as many as in true\.$"),
        ([], [], None, r"^true: given shape \(0,\); accepted: shape \(samples,\), at least one\."),
        ([[0, 1]], [0], None, r"^true: given shape \(1, 2\); .* argmax"),
        ([0, 1], [0.2, 0.7], None, r"^predicted: given fractions; accepted: classes\. .* > 0\.5, .* argmax"),
        ([0, 1], ["a", "b"], None, r"^predicted: given dtype <U1; accepted: labels as in true, of dtype int64\.$"),
        ([0, 2], [0, 1], ("a", "b"), r"^true: given classes up to 2; accepted: 0 to 1, the indices in classes\.$"),
    ],
)
def test_what_are_no_classes_is_refused(true, predicted, classes, sentence):
    with pytest.raises(InputError, match=sentence):
        plots.confusion_matrix(true, predicted, classes)


# Receptive fields


def tile(image, row, column, side, gap=1):
    """One cell's image, out of those of its group."""
    top, left = gap + row * (side + gap), gap + column * (side + gap)
    return np.asarray(image.get_array())[top : top + side, left : left + side]


def test_a_field_is_the_sum_of_both_streams():
    ed = ED(64, 4, 0, heads=3, seed=0, backend="numpy")
    figure = drawn(plots.receptive_fields, ed, head=1, cells=[2, 0])
    excitatory, inhibitory = figure.axes[0].images
    weight = ed.weights["input.weight"][1].astype(float)
    for image, first in ((excitatory, 0), (inhibitory, 4)):
        for place, cell in enumerate((2, 0)):
            expected = (weight[:64, first + cell] + weight[64:, first + cell]).reshape(8, 8)
            np.testing.assert_allclose(tile(image, 0, place, 8), expected)
    assert excitatory.get_clim() == inhibitory.get_clim()
    assert sum(excitatory.get_clim()) == 0
    assert [text.get_text() for text in figure.axes[0].texts] == ["2 excitatory cells", "2 inhibitory cells"]
    assert figure.axes[0].get_title(loc="left") == "Receptive fields of the first layer, head 1"


@pytest.mark.parametrize(("features", "shape", "size"), [(784, None, 28), (25, None, 5), (4, (2, 2), 2)])
def test_images(features, shape, size):
    figure = drawn(plots.receptive_fields, ED(features, 3, 0, seed=0), shape)
    gap = max(1, size // 8)
    assert figure.axes[0].images[0].get_array().shape == (2 * size + 3 * gap, 2 * size + 3 * gap)


def test_no_more_than_64_cells_are_drawn_unless_they_are_named():
    figure = drawn(plots.receptive_fields, ED(64, 100, 0, seed=0))
    assert figure.axes[0].texts[0].get_text() == "64 excitatory cells"
    assert drawn(plots.receptive_fields, ED(64, 100, 0, seed=0), cells=[99]).axes[0].texts[1].get_text() == (
        "1 inhibitory cell"
    )


@pytest.mark.parametrize("features", [1, 2, 16, 30])
def test_what_is_no_image_is_a_heat_map(features):
    """A row for each cell, the excitatory ones above."""
    ed = ED(features, 5, 0, rule="modulo", outputs=2, seed=0)
    axes = drawn(plots.receptive_fields, ed).axes[0]
    weight = ed.weights["input.weight"][0].astype(float)
    np.testing.assert_allclose(axes.images[0].get_array(), (weight[:features] + weight[features:]).T)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["5 excitatory cells", "5 inhibitory cells"]


def test_fields_that_are_all_zero():
    ed = ED(64, 2, 0, seed=0)
    ed.load_weights({key: 0 * value for key, value in ed.weights.items()})
    assert drawn(plots.receptive_fields, ed).axes[0].images[0].get_clim() == (-1, 1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shape": (8, 9)}, r"^shape: given \(8, 9\); accepted: \(rows, columns\) of 64 features\. Leave it out"),
        ({"shape": 64}, r"^shape: given 64; "),
        ({"head": 2}, r"^head: given 2; accepted: 0 to 1, as there are 2 heads\.$"),
        ({"cells": [4]}, r"^cells: given \[4\]; accepted: at least one number of 0 to 3, the cells of a stream\.$"),
        ({"cells": []}, r"^cells: given \[\]; "),
        ({"cells": [-1]}, r"^cells: given -1; "),
    ],
)
def test_fields_that_are_not_there_are_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        plots.receptive_fields(ED(64, 4, 0, heads=2, seed=0), **options)


def test_a_network_without_a_first_x_has_no_fields():
    with pytest.raises(InputError, match=r"^in_: "):
        plots.receptive_fields(ED(seed=0))


# The layer map


@pytest.mark.parametrize("depth", [0, 2, 40, 4096])
@pytest.mark.parametrize("snapshots", [1, 5])
def test_any_depth(depth, snapshots):
    figure = drawn(plots.layer_map, [found(depth, at=0.01 * n) for n in range(snapshots)], at=range(snapshots))
    saturation, growth = figure.axes[:2]
    names = [text.get_text() for text in saturation.get_yticklabels()]
    assert (names[0], names[-1]) == ("1", "output")
    assert names[1:-1] == ([] if depth == 0 else ["1", "2"] if depth == 2 else names[1:-1])
    assert len(names) <= 12
    assert [axes.get_title(loc="left") for axes in (saturation, growth)] == ["Saturation", "Growth"]
    if snapshots == 1:
        assert saturation.lines[0].get_ydata().tolist() == list(range(depth + 2))
    else:
        assert growth.images[0].get_array().shape == (depth + 2, snapshots)
        assert [text.get_text() for text in growth.get_xticklabels()] == ["0", "1", "2", "3", "4"]
    if depth == 4096:
        assert len(rendered(figure)) < 300_000


def test_dead_layers_are_hatched_runs():
    several = drawn(plots.layer_map, [found(6, dead=[3, 4]), found(6, dead=[1, 3, 4, 6])])
    for axes in several.axes[:2]:
        boxes = [(*patch.get_xy(), patch.get_height()) for patch in axes.patches if patch.get_hatch()]
        assert boxes == [(-0.5, 2.5, 2), (0.5, 0.5, 1), (0.5, 2.5, 2), (0.5, 5.5, 1)]
        assert axes.get_title(loc="left").endswith("(hatched: dead)")
    one = drawn(plots.layer_map, found(6, dead=[3, 4]))
    assert [patch.get_hatch() for patch in one.axes[0].patches] == ["///"]


def test_growth_is_centred_at_1():
    for factor in (3.0, 50.0):
        image = drawn(plots.layer_map, [found(2), found(2, growth=factor)]).axes[1].images[0]
        assert image.norm(1.0) == pytest.approx(0.5)
        assert image.norm(factor) == pytest.approx(1)


@pytest.mark.parametrize(("growth", "scale"), [(2.0, "linear"), (2e4, "log")])
def test_large_growth_of_one_diagnosis_is_logarithmic(growth, scale):
    axes = drawn(plots.layer_map, found(2, growth=growth)).axes[1]
    assert axes.get_xscale() == scale
    assert axes.get_xlim()[0] < 1 < growth < axes.get_xlim()[1]


def test_what_is_no_number_or_zero():
    odd = [found(2, saturation=np.nan, growth=np.inf), found(2, saturation=0.0, growth=0.0), found(2)]
    image = drawn(plots.layer_map, odd).axes[0].images[0]
    assert np.ma.getmaskarray(image.get_array())[:, 0].all()
    for one in odd:
        drawn(plots.layer_map, one)
    drawn(plots.layer_map, odd[:2])


@pytest.mark.parametrize(("depth", "scale", "written"), [(198, "linear", "25"), (4096, "symlog", "1,000")])
def test_the_first_layers_of_a_deep_stack_can_be_seen(depth, scale, written):
    axes = drawn(plots.layer_map, found(depth)).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert axes.get_yscale() == scale
    assert (names[0], names[-1]) == ("1", "output")
    assert written in names
    assert ("5" in names) == (scale == "symlog")


def test_layers_that_were_not_measured_look_as_the_nearest():
    numbers = np.array([0, 1, 2, 10, 19, 20, 21])
    some = replace(found(5, dead=[3]), network=edcore.Network(1, 2, 20), numbers=numbers)
    line = drawn(plots.layer_map, some)
    assert line.axes[0].lines[0].get_ydata().tolist() == numbers.tolist()
    assert line.axes[0].get_ylim() == (21.5, -0.5)
    (hatched,) = line.axes[0].patches
    assert (hatched.get_y(), hatched.get_height()) == (6.5, 8)
    shown = drawn(plots.layer_map, [some, replace(some, saturation=some.saturation + numbers)]).axes[0].images[0]
    column = shown.get_array()[:, 1]
    assert len(column) == 22
    assert column[7:15].tolist() == [column[10]] * 8
    assert column[6] == column[2] != column[7]
    with pytest.raises(InputError, match=r"^diagnoses: given those of other layers"):
        plots.layer_map([some, found(20)])


@pytest.mark.parametrize(
    ("diagnoses", "options", "sentence"),
    [
        ([], {}, r"^diagnoses: given none; .* edcore\.diagnostics\.diagnose\.$"),
        ([1], {}, r"^diagnoses: given int; "),
        ([found(1), found(2)], {}, r"^diagnoses: given networks of depth 1, 2; "),
        ([found(1)], {"at": [1, 2]}, r"^at: given 2 numbers; accepted: 1, one for each diagnosis\.$"),
        ([found(1)], {"axes": [None]}, r"^axes: given 1 axes; accepted: two"),
    ],
)
def test_diagnoses_that_are_refused(diagnoses, options, sentence):
    with pytest.raises(InputError, match=sentence):
        plots.layer_map(diagnoses, **options)


# The decision boundary

CORNERS = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]


def test_one_output_is_shaded():
    figure = drawn(plots.decision_boundary, lambda points: points[:, 0], CORNERS, [0, 0, 1, 1], ("left", "right"))
    axes = figure.axes[0]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["left", "right"]
    (line,) = (one for one in axes.collections if list(getattr(one, "levels", [])) == [0.5])
    np.testing.assert_allclose(line.get_paths()[0].vertices[:, 0], 0.5, atol=1e-9)
    dots = [one.get_offsets().tolist() for one in axes.collections if len(one.get_offsets()) == 2]
    assert dots == [CORNERS[:2], CORNERS[2:]]


def test_outputs_beyond_0_and_1_and_outputs_that_are_all_equal():
    for function in (lambda points: 3 * points[:, 0] - 1, lambda points: 0 * points[:, 0]):
        drawn(plots.decision_boundary, function, CORNERS, [0, 0, 1, 1])


@pytest.mark.parametrize("labels", [(0, 1, 2), ("a", "b", "c$d$")])
def test_labels_are_regions(labels):
    names = np.array(labels)
    figure = drawn(
        plots.decision_boundary,
        lambda points: names[(points.sum(axis=1) > [[0.5], [1.5]]).sum(axis=0)],
        CORNERS,
        names[[0, 1, 1, 2]],
    )
    axes = figure.axes[0]
    regions = axes.images[0].get_array()
    assert [regions[0, 0], regions[100, 100], regions[-1, -1]] == [0, 1, 2]
    assert len({tuple(one.get_paths()[0].vertices.ravel()) for one in axes.collections}) == 3  # three markers


@pytest.mark.parametrize("heads", [1, 3, 9])
def test_an_ed(heads):
    ed = ED(2, 9, 0, heads=heads, seed=0, backend="numpy")
    y = np.arange(4) % max(heads, 2)
    axes = drawn(plots.decision_boundary, ed, CORNERS, y).axes[0]
    assert len(axes.images) == (heads > 1)
    if heads > 1:
        centre = ed.predict(np.array([[-0.1, -0.1]])).argmax()
        assert axes.images[0].get_array()[0, 0] == centre


def test_an_estimator_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    x = np.array(CORNERS * 5)
    two, three = np.array(["no", "yes"] * 10), np.array(["a", "b", "b", "c"] * 5)
    shaded = drawn(plots.decision_boundary, LogisticRegression().fit(x, two), x, two).axes[0]
    assert not shaded.images
    assert [text.get_text() for text in shaded.get_legend().get_texts()] == ["no", "yes"]
    for estimator in (LogisticRegression(), LinearSVC()):
        assert len(drawn(plots.decision_boundary, estimator.fit(x, three), x, three).axes[0].images) == 1


def test_one_sample_and_a_feature_that_is_constant():
    drawn(plots.decision_boundary, lambda points: points[:, 0], [[3.0, 3.0]], [0])


@pytest.mark.parametrize(
    ("predict", "x", "y", "classes", "sentence"),
    [
        (
            len,
            np.zeros((4, 3)),
            [0] * 4,
            None,
            r"^x: given shape \(4, 3\); accepted: shape \(samples, 2\), .* pick two",
        ),
        (len, np.zeros((0, 2)), [], None, r"^x: given shape \(0, 2\); "),
        (len, [[0, np.nan]], [0], None, r"^x: given NaN or infinity; accepted: finite numbers\.$"),
        (len, CORNERS, [0], None, r"^y: given shape \(1,\); accepted: shape \(4,\), one class for each sample\.$"),
        (7, CORNERS, [0] * 4, None, r"^predict: given int; accepted: an ED, an estimator with predict, or a function"),
        (lambda p: p[:5, 0], CORNERS, [0] * 4, None, r"^predict: given a function that returns shape \(5,\); "),
        (lambda p: p[:, 0] * np.nan, CORNERS, [0] * 4, None, r"^predict: given a function that returns NaN or "),
        (lambda p: p[:, 0], CORNERS, [0, 1, 2, 0], None, r"^y: given classes \[0, 1, 2\]; accepted: .* \[0, 1\]\.$"),
        (lambda p: p[:, 0], CORNERS, [0] * 4, "abc", r"^classes: given 3 names; accepted: 2, one for each class\.$"),
    ],
)
def test_what_is_no_plane_is_refused(predict, x, y, classes, sentence):
    with pytest.raises(InputError, match=sentence):
        plots.decision_boundary(predict, x, y, classes)


# The summary


def trained(data, depth=0, batches=3, **options):
    """A network that has learnt some batches, with what it went through and a diagnosis."""
    ed = ED(data.features, 10, depth, seed=0, backend="numpy", **options)
    run = [progress for progress, _ in zip(train(ed, data, batch_size=8, eval_every=2), range(batches), strict=False)]
    wanted = targets(data.y_train[:8], ed.network.columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", diagnostics.DeadStackWarning)
        return ed, data, run, [diagnostics.diagnose(ed, data.x_train[:8], wanted)]


TITLES = {
    "curve": "Learning curve",
    "confusion": "Confusion matrix",
    "fields": "Receptive fields",
    "boundary": "Decision boundary",
    "layers": "Saturation",
}


def titles(figure):
    firsts = (part.axes[0].get_title(loc="left") if part.axes else "" for part in figure.subfigs)
    return [name for title in firsts for name, start in TITLES.items() if title.startswith(start)]


@pytest.mark.parametrize(
    ("name", "depth", "options", "expected"),
    [
        ("digits", 0, {"heads": 10}, ["curve", "confusion", "fields", "layers"]),
        ("digits", 40, {"rule": "modulo", "outputs": 10}, ["curve", "confusion", "fields", "layers"]),
        ("xor", 0, {}, ["curve", "confusion", "boundary", "layers"]),
        ("parity4", 40, {}, ["curve", "confusion", "layers"]),
    ],
)
def test_the_summary_has_what_fits(name, depth, options, expected):
    ed, data, run, diagnoses = trained(edcore.datasets.load(name), depth, **options)
    figure = drawn(plots.training_summary, ed, data, run, diagnoses)
    assert titles(figure) == expected
    assert figure.get_suptitle().startswith(f"{name}: {ed.network.columns} output")


def test_the_summary_of_two_classes_without_a_diagnosis(zeros_and_ones):
    ed, data, run, _ = trained(zeros_and_ones)
    figure = drawn(plots.training_summary, ed, data, run)
    assert titles(figure) == ["curve", "confusion", "fields"]
    rendered(figure)
    counts = [int(text.get_text()) for text in figure.subfigs[1].axes[0].texts]
    right = ((ed.predict(data.x_test) > 0.5) == data.y_test).sum()
    assert (sum(counts), counts[0] + counts[3]) == (len(data.x_test), right)


@pytest.mark.parametrize(
    ("activation", "output", "predicted"),
    [("tanh", -3.0, 0), ("relu", 3.0, 1), ("linear", 3.0, 1), ("linear", -3.0, 0)],
)
def test_outputs_below_0_and_above_1_are_one_of_two_classes(zeros_and_ones, activation, output, predicted):
    ed = ED(64, 2, 0, output_activation=activation, seed=0, backend="numpy")
    weights = {key: 0 * value for key, value in ed.weights.items()}
    weights["output.bias"][..., 0] = output
    ed.load_weights(weights)
    assert not np.isin(ed.predict(zeros_and_ones.x_test).round(), [0, 1]).any()
    figure = drawn(plots.training_summary, ed, zeros_and_ones, [])
    counts = [int(text.get_text()) for text in figure.subfigs[0].axes[0].texts]
    assert np.reshape(counts, (2, 2))[:, predicted].tolist() == np.bincount(zeros_and_ones.y_test).tolist()
    assert sum(counts) == len(zeros_and_ones.x_test)


def test_the_summary_says_when_its_diagnoses_were_made():
    ed, data, run, diagnoses = trained(edcore.datasets.xor())
    figure = drawn(plots.training_summary, ed, data, run, diagnoses * 2, at=[0, 3])
    axes = figure.subfigs[3].axes[0]
    assert (axes.get_xlabel(), [text.get_text() for text in axes.get_xticklabels()]) == ("batches learnt", ["0", "3"])


def test_the_summary_of_a_run_that_never_began(zeros_and_ones):
    ed, data, _, _ = trained(zeros_and_ones, batches=0)
    assert titles(drawn(plots.training_summary, ed, data, [])) == ["confusion", "fields"]


def test_a_large_network_is_tested_on_fewer_samples_and_says_so(monkeypatch):
    monkeypatch.setattr(panels_module, "WORK", 1)
    ed, data, run, _ = trained(edcore.datasets.digits(), heads=10)
    figure = drawn(plots.training_summary, ed, data, run)
    title = figure.subfigs[1].axes[0].get_title(loc="left")
    assert title.endswith("of 200 right\n(on 200 of the 360 test samples, evenly picked)")
    assert "on 200 of the 360 test samples" in list(panels(Result(ed, data, run)))[1].reading


def test_pictures_are_drawn_on_axes_that_are_given():
    figure = Figure()
    panes = figure.subplots(2, 3).ravel()
    calls = [
        plots.learning_curve(entries([0.5], {1: 0.5}), panes[0]),
        plots.confusion_matrix([0, 1], [0, 1], ax=panes[1]),
        plots.receptive_fields(ED(64, 2, 0, seed=0), ax=panes[2]),
        plots.decision_boundary(ED(2, 2, 0, seed=0), CORNERS, [0, 0, 1, 1], ax=panes[3]),
        plots.layer_map(found(2), axes=panes[4:]),
    ]
    assert all(returned is figure for returned in calls)
    rendered(figure)


# Without matplotlib, and without pyplot


def test_without_matplotlib_it_says_how_to_install_it(monkeypatch):
    loaded = [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]
    for name in [*loaded, "edcore.plots.figure"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        EDCoreError, match=r'matplotlib, which is not installed\. Install it with: pip install "edcore\[plots\]"\.$'
    ):
        plots.learning_curve(entries([0.5]))


def test_pictures_load_no_pyplot_and_the_module_no_matplotlib():
    code = """
import sys
from edcore import plots
early = "matplotlib" in sys.modules
figure = plots.confusion_matrix([0, 1], [0, 1])
figure.savefig("/dev/null", format="png")
print(early, "matplotlib.pyplot" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("at", "written"),
    [
        ([1000 * number for number in range(1, 9)], ["2,000", "5,000", "8,000"]),
        ([1, 2, 3], ["1", "2", "3"]),
        ([50, 100, 150, 200, 250, 300], ["100", "200", "300"]),
    ],
)
def test_the_numbers_below_a_heat_map_have_room(at, written):
    axes = drawn(plots.layer_map, [found(2)] * len(at), at=at).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == written
    assert [at[int(place)] for place in axes.get_xticks()] == [int(text.replace(",", "")) for text in written]


@pytest.mark.parametrize(("columns", "every"), [(2, 12000), (6, 50), (7, 150), (8, 150), (8, 2500)])
def test_the_numbers_below_the_heat_map_of_a_summary_do_not_touch(zeros_and_ones, columns, every):
    ed = ED(in_=64, hidden_depth=2, seed=0)
    at = [every * number for number in range(1, columns + 1)]
    summary = plots.training_summary(ed, zeros_and_ones, [], [found(2, dead=[1])] * columns, at=at)
    summary.draw_without_rendering()
    for axes in summary.subfigs[-1].axes[:2]:
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert boxes
        assert all(right.x0 - left.x1 > 4 for left, right in itertools.pairwise(boxes))


def test_outputs_of_softmax_are_drawn_as_probabilities():
    ed = ED(3, 4, 0, outputs=2, output_activation="softmax", activation="linear", seed=0, backend="numpy")
    ed.load_weights({key: value * 9 for key, value in ed.weights.items()})  # the sums are far beyond 1
    x = np.random.default_rng(0).random((5, 3))
    cells = sample_cells(ed.network, ed.weights, x[:1], 0)
    np.testing.assert_allclose(cells[-1][:2], ed.predict(x[:1])[0], rtol=1e-4)
    figure = plots.activities(ed, x)
    rows = [patch.get_data() for patch in figure.axes[0].patches]
    assert rows[-1].values.max() == rows[-1].values.min()  # no inhibitory cells of the output
