"""The drawing of a network: a line for each synapse, cells by sign and activity, numbers, and a step's change."""

import numpy as np
import pytest

from edcore import ED

pytest.importorskip("matplotlib")

from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

from edcore import plots
from edcore.errors import InputError
from edcore.plots.canvas import ACTIVITY, EXCITATORY, INHIBITORY, new_figure

XOR = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])


def by_hand():
    """The network of the tutorial, with its weights."""
    ed = ED(in_=2, hidden_width=1, hidden_depth=0, rule="split", inhibitory_output=False, dtype="float64", seed=0)
    weights = ed.weights
    weights["input.weight"][0] = [[0.9, -0.1], [0.6, -0.2], [-0.9, 0.1], [-0.5, 0.4]]
    weights["input.bias"][0] = [[0.4, -0.5], [-0.1, 0.2]]
    weights["output.weight"][0, :, 0] = [0.8, -0.8]
    weights["output.bias"][0, :, 0] = [0.4, -0.9]
    ed.load_weights(weights)
    return ed


def part(ax, name):
    (found,) = [artist for artist in ax.collections if artist.get_gid() == name]
    return found


def synapses(ax):
    """Return the colour and the width of each line, layer by layer, by the ends that it joins."""
    layers = [artist for artist in ax.collections if str(artist.get_gid()).startswith("synapses")]
    lines = []
    for layer in layers:
        ends = [tuple(map(tuple, np.round(segment, 6))) for segment in layer.get_segments()]
        colours = [to_hex(colour) for colour in layer.get_colors()]
        lines.append(dict(zip(ends, zip(colours, layer.get_linewidths(), strict=True), strict=True)))
    return lines


def texts(ax):
    return [text.get_text() for text in ax.texts]


def overlapping(figure):
    """Return the pairs of texts that cover each other."""
    figure.draw_without_rendering()
    found = []
    for ax in figure.axes:
        legend = ax.get_legend()
        own = [*ax.texts, ax._left_title, *(legend.get_texts() if legend else [])]
        found += [(text.get_text(), text.get_window_extent()) for text in own if text.get_text()]
    return [
        (a, b)
        for place, (a, one) in enumerate(found)
        for b, other in found[place + 1 :]
        if one.x0 + 1 < other.x1 and other.x0 + 1 < one.x1 and one.y0 + 1 < other.y1 and other.y0 + 1 < one.y1
    ]


def test_each_synapse_is_one_line_with_the_colour_of_its_sign_and_the_width_of_its_size():
    ed = by_hand()
    (ax,) = plots.network(ed).axes
    first, last = synapses(ax)
    assert (len(first), len(last)) == (12, 4)
    weights = np.concatenate([ed.weights["input.weight"][0], ed.weights["input.bias"][0]]).ravel()
    lines = list(first.values())  # from the first source to its targets, and so on
    assert [colour for colour, _ in lines] == [(EXCITATORY if weight > 0 else INHIBITORY).lower() for weight in weights]
    widths = np.array([width for _, width in lines])
    assert (np.argsort(widths, kind="stable") == np.argsort(abs(weights), kind="stable")).all()
    assert widths.max() == max(width for _, width in last.values())  # 0.9 in both layers: one scale


def test_cells_have_edges_by_sign_and_are_filled_by_activity():
    ed = by_hand()
    (ax,) = plots.network(ed, [1, 0]).axes
    cells = part(ax, "cells 0")
    signs = [1, 1, -1, -1, 1, -1]
    expected = [to_rgba(EXCITATORY if sign > 0 else INHIBITORY) for sign in signs]
    np.testing.assert_allclose(cells.get_edgecolors(), expected)
    shades = [colormaps[ACTIVITY](0.9 * value) for value in (1, 0, 1, 0, 1, 1)]
    np.testing.assert_allclose(cells.get_facecolors(), shades)
    output = part(ax, "cells 2").get_facecolors()
    np.testing.assert_allclose(output, [colormaps[ACTIVITY](0.9 * float(ed.predict([[1, 0]])[0]))], atol=1e-6)
    (white,) = {tuple(colour) for colour in part(plots.network(ed).axes[0], "cells 0").get_facecolors()}
    assert to_hex(white) == "#ffffff"


def test_small_networks_have_names_activities_and_weights_in_figures():
    (ax,) = plots.network(by_hand(), [1, 0]).axes
    found = texts(ax)
    assert {"x1+", "x2−", "b+", "b−", "h+", "h−", "y", "0.82", "0.18", "0.51"} <= set(found)
    assert [found.count(text) for text in ("0.9", "−0.9", "−0.8", "−0.5")] == [1, 2, 1, 2]
    bare = texts(plots.network(by_hand(), [1, 0], numbers=False).axes[0])
    assert "−0.9" not in bare
    assert "0.51" in bare


def test_the_change_is_that_of_one_step_and_the_network_is_left_alone():
    ed, stepped = by_hand(), by_hand()
    old = ed.weights
    _, change = plots.network(ed, [1, 0], target=1).axes
    assert all((ed.weights[key] == old[key]).all() for key in old)
    stepped.step([[1, 0]], [1])
    moved = stepped.weights["input.weight"][0] - old["input.weight"][0]
    lines = synapses(change)[0]
    expected = {0: "#d9d9d9", 1: EXCITATORY.lower(), -1: INHIBITORY.lower()}
    for (start, end), (colour, _) in lines.items():
        sources = sorted({ends[0] for ends in lines}, key=lambda place: -place[1])
        targets = sorted({ends[1] for ends in lines}, key=lambda place: -place[1])
        source = sources.index(start)
        if source < 4:
            assert colour == expected[np.sign(moved[source, targets.index(end)])]
    found = texts(change)
    assert [found.count(text) for text in ("+0.058", "−0.058", "+0.1", "+0.122")] == [2, 2, 1, 1]  # the tutorial's
    assert change.get_title(loc="left") == "Change of one step: error +0.49"


@pytest.mark.parametrize(
    ("options", "x"),
    [
        ({"in_": 2, "hidden_width": 1, "hidden_depth": 0, "rule": "split"}, [1, 0]),
        ({"in_": 2, "hidden_width": 8, "hidden_depth": 0, "rule": "split"}, [1, 0]),
        ({"in_": 2, "hidden_width": 2, "hidden_depth": 3}, [1, 0]),
        ({"in_": 4, "hidden_width": 6, "hidden_depth": 0, "outputs": 3}, [1, 0, 0.3, 0.5]),
    ],
)
def test_no_text_covers_another(options, x):
    ed = ED(**options, seed=1)
    figure = plots.network(ed, x, target=[1] * ed.network.columns)
    assert overlapping(figure) == []


def test_numbers_on_request_do_not_cover_each_other_either():
    assert overlapping(plots.network(ED(in_=2, hidden_width=2, hidden_depth=1, seed=1), numbers=True)) == []


def test_one_of_several_heads_is_drawn():
    ed = ED(in_=2, hidden_width=2, hidden_depth=0, heads=3, dtype="float64", seed=1)
    (ax,) = plots.network(ed, [1, 0], head=2).axes
    assert ax.get_title(loc="left").endswith("head 2")
    shade = part(ax, "cells 2").get_facecolors()[0]
    np.testing.assert_allclose(shade, colormaps[ACTIVITY](0.9 * ed.predict([[1, 0]])[0, 2]), atol=1e-6)


def test_several_outputs_show_their_errors():
    ed = ED(in_=2, hidden_width=3, hidden_depth=0, outputs=3, dtype="float64", seed=1)
    errors = np.array([0, 1, 0]) - ed.predict([[1, 0]])[0]
    title = plots.network(ed, [1, 0], target=[0, 1, 0]).axes[1].get_title(loc="left")
    shown = [float(text.replace("−", "-")) for text in title.removeprefix("Change of one step: error ").split(", ")]
    np.testing.assert_allclose(shown, errors, rtol=0.05)


def test_it_draws_on_the_axes_it_gets():
    figure = new_figure((12, 4))
    axes = figure.subplots(1, 2)
    assert plots.network(by_hand(), [1, 0], target=1, ax=axes) is figure
    assert len(figure.axes) == 2
    assert isinstance(figure, Figure)
    one = new_figure((5, 4)).add_subplot()
    assert plots.network(by_hand(), ax=one) is one.figure


@pytest.mark.parametrize(
    ("options", "arguments", "words"),
    [
        ({"hidden_width": 21}, {}, r"hidden_width: given 21 \+ 21 cells; accepted: at most 40 .*plots\.weights"),
        ({"hidden_depth": 11}, {}, r"hidden_depth: given 11; accepted: at most 10"),
        ({"in_": 21}, {}, "in_: given 21 features"),
        ({}, {"target": 1}, "x: given None with a target"),
        ({}, {"x": [1, 0, 0]}, "x: given .*one sample, 2 finite numbers"),
        ({}, {"x": XOR}, r"x: given shape \(4, 2\)"),
        ({}, {"x": [1, float("nan")]}, "x: given"),
        ({}, {"x": [1, 0], "target": [1, 0]}, "target: given .*1 finite number"),
        ({}, {"head": 1}, "head: given 1; accepted: 0 to 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, arguments, words):
    ed = ED(**({"in_": 2, "hidden_width": 2, "hidden_depth": 0, "seed": 1} | options))
    with pytest.raises(InputError, match=words):
        plots.network(ed, **arguments)


def test_an_estimator_is_no_network():
    with pytest.raises(InputError, match=r"ed: given dict; accepted: an edcore\.ED"):
        plots.network({})


def test_a_network_without_bias_has_no_bias_cells():
    (ax,) = plots.network(ED(in_=2, hidden_width=1, hidden_depth=0, bias=0.0, seed=1)).axes
    assert [len(layer) for layer in synapses(ax)] == [8, 4]
    assert "b+" not in texts(ax)


def test_two_axes_are_needed_for_a_change():
    with pytest.raises(InputError, match="ax: .*two axes"):
        plots.network(by_hand(), [1, 0], target=1, ax=new_figure((5, 4)).add_subplot())


def test_a_bound_network_is_drawn():
    ed = ED(in_=2, hidden_width=2, hidden_depth=0, rule="split", seed=1)
    ed.fit(XOR, np.array([0, 1, 1, 0]), epochs=3)
    assert isinstance(plots.network(ed, XOR[1], target=1), Figure)
