"""What the pictures of layers, outputs, mistakes and several runs show."""

import itertools
import sys

import numpy as np
import pytest

import edcore
from edcore import ED
from edcore.errors import InputError
from edcore.training import History
from edcore.training.loop import Progress

pytest.importorskip("matplotlib")

from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

from edcore import plots
from edcore.plots.canvas import COLOURS, EXCITATORY, INHIBITORY, METHODS, class_colours, method_styles
from edcore.plots.layers import chosen_layers

LAYERS = ("input.weight", "hidden.weight", "output.weight")
random = np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="module")
def no_pyplot():
    before = "matplotlib.pyplot" in sys.modules
    yield
    assert before or "matplotlib.pyplot" not in sys.modules


def drawn(function, *arguments, **options):
    figure = function(*arguments, **options)
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    return figure


def rows(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def histograms(ax):
    """Each filled histogram, from the top: its colour, and the heights of its bars above their row."""
    filled = [patch for patch in ax.patches if patch.get_fill()]
    return [
        (to_hex(patch.get_facecolor()[:3]).upper(), patch.get_data().values - patch.get_data().baseline)
        for patch in filled
    ]


# Activities and weights


def test_activities_are_a_histogram_for_each_sign_of_each_layer():
    ed = ED(3, 4, 2, u0=1.0, seed=0)
    x = random.random((10, 3))
    ax = drawn(plots.activities, ed, x).axes[0]
    assert rows(ax) == ["hidden 1", "hidden 2", "hidden 3", "output"]
    assert [colour for colour, _ in histograms(ax)] == [EXCITATORY, INHIBITORY] * 4
    assert ax.get_title(loc="left") == "Activities of 10 samples\n3 hidden layers of 4 + 4 cells (depth 2)"
    # The output layer has one + cell, whose activity is the output: each bar is as high as its share of samples.
    _, heights = histograms(ax)[-2]
    counts, _ = np.histogram(ed.predict(x), np.linspace(0, 1, len(heights) + 1))
    np.testing.assert_allclose(heights / heights.sum(), counts / counts.sum(), rtol=1e-6, atol=1e-9)


def test_a_head_has_its_activities_and_weights():
    ed = ED(3, 4, 0, heads=2, seed=0)
    x = random.random((10, 3))
    first, second = (histograms(drawn(plots.activities, ed, x, head=head).axes[0]) for head in (0, 1))
    assert any((a != b).any() for (_, a), (_, b) in zip(first, second, strict=True))
    images = [drawn(plots.weights, ed, head=head).axes[0].images[0].get_array() for head in (0, 1)]
    for head, image in enumerate(images):
        np.testing.assert_allclose(image, ed.weights["input.weight"][head], rtol=1e-6)


def test_many_samples_are_thinned_and_said():
    ax = drawn(plots.activities, ED(2, 2, 0, seed=0), random.random((300, 2))).axes[0]
    assert ax.get_title(loc="left").startswith("Activities of 200 samples")


def test_weights_are_matrices_with_blue_and_red_around_0():
    ed = ED(2, 4, 1, seed=0)
    scaled = ed.weights
    scaled["hidden.weight"] *= 3  # the largest are in the middle
    ed.load_weights(scaled)
    figure = drawn(plots.weights, ed)
    panels = figure.axes[:3]
    assert [ax.get_title() for ax in panels] == ["x → hidden 1", "hidden 1 → 2", "hidden 2 → output"]
    weights = ed.weights
    for ax, expected in zip(panels, (weights["input.weight"], weights["hidden.weight"][:, 0]), strict=False):
        (image,) = ax.images
        np.testing.assert_allclose(image.get_array(), expected[0], rtol=1e-6)
        assert -image.norm.vmin == image.norm.vmax > 0
        assert image.norm.vmax == pytest.approx(max(abs(weights[key]).max() for key in LAYERS), rel=0.05)
        reds, _, blues, _ = image.to_rgba(np.array([[image.norm.vmax, -image.norm.vmax]]))[0].T
        assert (reds[0] > blues[0], reds[1] < blues[1]) == (True, True)
    assert rows(panels[1]) == ["4 +", "4 −"]


def test_of_a_deep_stack_some_layers_are_drawn_and_named():
    ed = ED(3, 2, 40, seed=0)
    chosen = chosen_layers(42)
    assert (len(chosen), chosen[:5], chosen[-1]) == (12, [0, 1, 2, 3, 4], 41)
    assert chosen_layers(12) == list(range(12))
    ax = drawn(plots.activities, ed, random.random((5, 3))).axes[0]
    assert rows(ax) == [*(f"hidden {number + 1}" for number in chosen[:-1]), "output"]
    assert "12 of 42 layers drawn" in ax.get_title(loc="left")
    figure = drawn(plots.weights, ed)
    assert [axes.get_title() for axes in figure.axes[1:12]] == [
        *(f"hidden {number} → {number + 1}" for number in chosen[1:-1]),
        "hidden 41 → output",
    ]
    for number, axes in zip(chosen[1:-1], figure.axes[1:11], strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), ed.weights["hidden.weight"][0, number - 1], rtol=1e-6)
    assert "12 of 42 layers drawn" in figure.get_suptitle()


def test_networks_without_signs_at_the_output_or_with_wide_activities_are_drawn():
    ed = ED(3, 4, 1, activation="relu", output_activation="linear", inhibitory_output=False, seed=0)
    ax = drawn(plots.activities, ed, 5 * random.random((6, 3))).axes[0]
    assert ax.get_xlim()[1] > 1.5
    assert drawn(plots.weights, ed).axes[2].get_xticklabels()[0].get_text() == "1 +"


# Outputs


def test_outputs_of_one_cell_by_class_in_the_colours_of_classes():
    data = edcore.datasets.digits(classes=(0, 1))
    ed = ED(64, seed=0).fit(data.x_train, data.y_train, epochs=3)
    ax = drawn(plots.outputs, ed, data.x_test, data.y_test, data.classes).axes[0]
    assert rows(ax) == ["0", "1"]
    (first, low), (second, high) = histograms(ax)
    assert (first, second) == COLOURS[:2]
    assert low[:20].sum() > low[20:].sum()
    assert high[20:].sum() > high[:20].sum()


def test_of_several_outputs_each_is_drawn_for_its_class_and_the_others():
    ed = ED(2, 4, 0, outputs=3, rule="modulo", u0=2.0, seed=0)
    x, y = 4 * random.random((30, 2)) - 2, np.arange(30) % 3
    ax = drawn(plots.outputs, ed, x, y, ["a", "$b$", "c"]).axes[0]
    assert rows(ax) == ["a", "$b$", "c"]
    found = histograms(ax)
    assert [colour for colour, _ in found[1::2]] == list(COLOURS[:3])
    edges = np.linspace(0, 1, len(found[0][1]) + 1)
    for k in range(3):
        for samples, (_, heights) in zip((y != k, y == k), found[2 * k : 2 * k + 2], strict=True):
            counts, _ = np.histogram(ed.predict(x)[samples, k], edges)
            assert (counts > 0).sum() > 3
            np.testing.assert_allclose(heights / heights.sum(), counts / counts.sum(), rtol=1e-6, atol=1e-9)


# Mistakes


def test_mistakes_are_the_images_with_both_classes():
    x = random.random((5, 25))
    ax = drawn(plots.mistakes, x, [0, 1, 2, 1, 0], [0, 2, 2, 0, 0], ["a", "$b$", "c"]).axes[0]
    assert [text.get_text() for text in ax.texts] == ["$b$ → c", "$b$ → a"]
    for image, number in zip(ax.images, (1, 3), strict=True):
        np.testing.assert_array_equal(image.get_array(), x[number].reshape(5, 5))
    assert ax.get_title(loc="left") == "2 of 5 wrong: true class → predicted class"


def test_mistakes_of_labels_and_of_a_shape():
    ax = drawn(plots.mistakes, random.random((2, 6)), ["cat", "dog"], ["dog", "dog"], shape=(2, 3)).axes[0]
    assert [text.get_text() for text in ax.texts] == ["cat → dog"]
    assert ax.images[0].get_array().shape == (2, 3)


def test_long_names_stand_below_each_other_and_inside_their_image():
    names = [f"a long name of class {number}" for number in range(3)]
    figure = drawn(plots.mistakes, random.random((30, 25)), np.arange(30) % 3, (np.arange(30) + 1) % 3, names)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts[:8]]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_no_mistake_is_said():
    ax = drawn(plots.mistakes, random.random((3, 25)), [0, 1, 1], [0, 1, 1]).axes[0]
    assert [text.get_text() for text in ax.texts] == ["No mistakes: all 3 are right."]
    assert not ax.images


def test_of_many_mistakes_the_first_are_drawn():
    ax = drawn(plots.mistakes, random.random((50, 25)), np.zeros(50, int), np.ones(50, int)).axes[0]
    assert len(ax.images) == 40
    assert ax.get_title(loc="left") == "50 of 50 wrong, the first 40: true class → predicted class"


# Several runs


def entries(errors, accuracies=()):
    scores = dict(accuracies)
    return [
        Progress(1, batch, len(errors), 4 * batch, error, 0.1 * batch, scores.get(batch))
        for batch, error in enumerate(errors, 1)
    ]


def test_runs_with_accuracies_are_compared_by_them():
    runs = {
        "ED": entries([0.5, 0.4], {1: 0.5, 2: 0.9}),
        "direct feedback alignment": entries([0.3], {1: 0.6}),
        "$mine$": entries([0.3], {1: 0.7}),
    }
    ax = drawn(plots.compare, runs).axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0.5, 0.9], [0.6], [0.7]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(runs)
    colours = [line.get_color() for line in ax.lines]
    assert colours[:2] == [METHODS["ED"], METHODS["direct feedback alignment"]]
    assert len({*colours}) == 3
    assert len({line.get_marker() for line in ax.lines}) == 3
    assert ax.get_ylabel() == "accuracy on test samples"


def test_runs_without_accuracies_are_compared_by_their_errors():
    runs = {"a": entries([0.5, 0.4, 0.3]), "b": History.of(entries([0.2, 0.1], {1: 0.5}))}
    ax = drawn(plots.compare, runs).axes[0]
    assert [line.get_ydata().round(6).tolist() for line in ax.lines] == [[0.5, 0.4, 0.3], [0.2, 0.1]]
    assert ax.get_ylabel().startswith("error")
    long = drawn(plots.compare, {"long": entries([0.5] * 100 + [0.3] * 100)}, of="error").axes[0]
    assert len({*long.lines[0].get_ydata().round(6)}) > 2  # smoothed: the step has become a slope


def test_estimators_are_compared_over_their_epochs():
    class Fitted:
        loss_curve_ = (0.5, 0.2)

    ax = drawn(plots.compare, {"one": Fitted()}).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epochs", "loss")
    with pytest.raises(InputError, match="runs: given .*epochs.*batches"):
        plots.compare({"one": Fitted(), "other": entries([0.5])})


def test_methods_keep_their_colour_and_others_get_another():
    styles = method_styles(["Kaneko's program", "edcore", "back-propagation"])
    assert styles["edcore"]["color"] == METHODS["ED"]
    assert styles["back-propagation"]["color"] == METHODS["back-propagation"]
    assert styles["Kaneko's program"]["color"] not in {METHODS["ED"], METHODS["back-propagation"]}
    assert len({*map(str, styles.values())}) == 3


def test_others_are_grey_beside_all_methods():
    styles = method_styles([*METHODS, "ED split", "logistic regression"])
    assert styles["ED split"]["color"] == styles["logistic regression"]["color"] not in {*METHODS.values()}
    assert len({*map(str, styles.values())}) == len(METHODS) + 2


def test_classes_have_a_colour_each():
    assert class_colours(3) == list(COLOURS[:3])
    assert len({to_rgba(colour) for colour in class_colours(12)}) == 12


def test_the_two_classes_of_one_output_have_their_colours_on_the_plane_too():
    x = np.array([[0.0, 0.0], [1.0, 1.0]])
    ax = drawn(plots.decision_boundary, lambda points: points[:, 0], x, [0, 1]).axes[0]
    shades = ax.collections[0]
    ends = [shades.cmap(shades.norm(output))[:3] for output in (0.0, 1.0)]
    dots = [one.get_facecolor()[0, :3] for one in ax.collections if one.get_label() in ("0", "1")]
    assert [to_hex(colour).upper() for colour in dots] == list(COLOURS[:2])
    for end, dot in zip(ends, dots, strict=True):
        np.testing.assert_allclose(end, dot, atol=0.25)


# What is refused, and axes that are given


IMAGES = np.zeros((3, 25))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.activities(ED(2, 2, 0), np.zeros((1, 3))), r"^x: given shape \(1, 3\)"),
        (lambda: plots.activities(ED(2, 2, 0), np.zeros((0, 2))), "^x: given no sample"),
        (lambda: plots.activities(ED(2, 2, 0), np.zeros((1, 2)), head=1), "^head: given 1; accepted: 0 to 0"),
        (lambda: plots.activities("ed", np.zeros((1, 2))), "^ed: "),
        (lambda: plots.weights(ED(2, 2, 0), head=-1), "^head: given -1"),
        (lambda: plots.outputs(ED(2, 2, 0), np.zeros((2, 2)), [0]), r"^y: given shape \(1,\)"),
        (lambda: plots.outputs(ED(2, 2, 0), np.zeros((2, 2)), [0, 0.5]), "^y: given .* float64"),
        (lambda: plots.outputs(ED(2, 2, 0), np.zeros((2, 2)), [0, 2]), "^y: given classes 0 to 2; accepted: 0 to 1"),
        (lambda: plots.outputs(ED(2, 2, 0), np.zeros((2, 2)), [0, 1], ["a"]), "^classes: given 1 names"),
        (lambda: plots.mistakes(IMAGES, [0, 1], [0, 1]), "^x: given 3 images; accepted: 2"),
        (lambda: plots.mistakes(IMAGES, [0, 1, 1], [0, 1]), "^predicted: given 2"),
        (lambda: plots.mistakes(IMAGES, [0, 1, 1], [0.2, 1, 1]), "^predicted: given fractions"),
        (lambda: plots.mistakes(IMAGES + np.nan, [0, 1, 1], [0, 1, 1]), "^x: "),
        (lambda: plots.mistakes(IMAGES[:, :6], [0, 1, 1], [0, 1, 1]), r"^x: given 6 features.*shape=\(rows"),
        (lambda: plots.mistakes(IMAGES, [0, 1, 1], [0, 1, 1], shape=(5, 4)), r"^shape: given \(5, 4\)"),
        (lambda: plots.mistakes(IMAGES, [0, 1, 1], [0, 1, 1], shape=5), "^shape: given 5"),
        (lambda: plots.compare({}), "^runs: given dict of 0"),
        (lambda: plots.compare(entries([0.5])), "^runs: given list of 1"),
        (lambda: plots.compare({"a": 5}), r"^runs\['a'\]: given int"),
        (lambda: plots.compare({"a": []}), r"^runs\['a'\]: given no batch"),
        (lambda: plots.compare({"a": entries([0.5])}, of="accuracy"), "^of: given 'accuracy'; .*'a' has no accuracy"),
        (lambda: plots.compare({"a": entries([0.5])}, of="loss"), "^of: given 'loss'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_they_are_drawn_on_axes_that_are_given():
    figure = Figure()
    panes = figure.subplots(2, 2).ravel()
    calls = [
        plots.activities(ED(2, 2, 0, seed=0), np.zeros((1, 2)), ax=panes[0]),
        plots.outputs(ED(2, 2, 0, seed=0), np.zeros((2, 2)), [0, 1], ax=panes[1]),
        plots.mistakes(IMAGES, [0, 1, 1], [0, 1, 0], ax=panes[2]),
        plots.compare({"a": entries([0.5])}, ax=panes[3]),
    ]
    assert all(returned is figure for returned in calls)
    figure.draw_without_rendering()
