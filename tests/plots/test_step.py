"""One update as a strip: the activities, the error at each layer, and the changes of ED and of back-propagation."""

import numpy as np
import pytest

from edcore import ED, Rule
from edcore.errors import InputError

pytest.importorskip("matplotlib")

from edcore import plots

X, TARGET = [0.3, 0.9], 1


def network(**options):
    shape = {"in_": 2, "hidden_width": 3, "hidden_depth": 2, "u0": 2.0, "dtype": "float64", "seed": 4}
    return ED(**(shape | options))


def matrices(figure, method):
    """Return what the panels of a method's changes show, layer by layer."""
    rows = [[]]
    for ax in figure.axes:
        if ax.get_title().startswith("ΔW"):
            rows[-1].append(np.asarray(ax.images[0].get_array()))
        elif rows[-1]:
            rows.append([])  # the next method's error
    return rows[("ED", "back-propagation").index(method)]


def cells(ax, columns):
    """Return the values of each column of cells, + cells first."""
    shown = {}
    for image in ax.images:
        shown.setdefault(round(image.get_extent()[0]), []).append(np.asarray(image.get_array())[:, 0])
    return [np.concatenate(shown[number]) for number in range(columns)]


def layers(ed, weights):
    """Return the weights of each layer, with the biases as the last rows."""
    stack = [(weights["hidden.weight"][0, d], weights["hidden.bias"][0, d]) for d in range(ed.network.depth)]
    first, last = ((weights[f"{name}.weight"][0], weights[f"{name}.bias"][0]) for name in ("input", "output"))
    return [np.concatenate(parts) for parts in (first, *stack, last)]


@pytest.mark.parametrize("rule", ["signed", "split"])
def test_the_changes_of_ed_are_those_of_a_step(rule):
    ed, other = network(rule=rule), network(rule=rule)
    old = other.weights
    figure = plots.step(ed, X, TARGET)
    assert all((ed.weights[key] == old[key]).all() for key in old)
    other.step([X], [TARGET])
    new = other.weights
    expected = layers(ed, {key: new[key] - old[key] for key in old})
    for shown, change in zip(matrices(figure, "ED"), expected, strict=True):
        np.testing.assert_allclose(shown, change, atol=1e-15)
        assert shown.any()


def test_the_changes_of_back_propagation_are_the_slopes_of_the_squared_error():
    rule = Rule(alpha=0.5, alpha_output=2.0)
    ed = network(rule=rule)
    shown = matrices(plots.step(ed, X, TARGET), "back-propagation")

    def loss(weights):
        other = network(rule=rule)
        other.load_weights(weights)
        return 0.5 * float((TARGET - other.predict([X])[0]) ** 2)

    small = 1e-5
    slopes = {key: np.zeros_like(value) for key, value in ed.weights.items()}
    for key, slope in slopes.items():
        for place in np.ndindex(slope.shape):
            moved = [ed.weights, ed.weights]
            for weights, way in zip(moved, (small, -small), strict=True):
                weights[key][place] += way
            rate = 2.0 if key.startswith("output") else 0.5
            slope[place] = -rate * (loss(moved[0]) - loss(moved[1])) / (2 * small)
    for matrix, slope in zip(shown, layers(ed, slopes), strict=True):
        np.testing.assert_allclose(matrix, slope, atol=1e-8)
        assert abs(matrix).max() > 1e-6


def test_the_error_is_one_number_in_ed_and_passes_back_in_back_propagation():
    ed = network()
    figure = plots.step(ed, X, TARGET)
    error = TARGET - float(ed.predict([X])[0])
    forward, broadcast, *_ = figure.axes
    np.testing.assert_allclose(np.concatenate(cells(broadcast, 4)), error)
    (back,) = [ax for ax in figure.axes if ax.get_title(loc="left").startswith("Back-propagation")]
    *hidden, output = cells(back, 4)
    np.testing.assert_allclose(output, [error, 0])
    # What reaches the last hidden layer is −∂L/∂y there: along the weights of the output cell.
    y = float(ed.predict([X])[0])
    np.testing.assert_allclose(hidden[-1], ed.weights["output.weight"][0, :, 0] * error * y * (1 - y))
    assert len({round(value, 9) for layer in hidden for value in layer}) > 10
    assert cells(forward, 5)[0].tolist() == [*X, *X]
    assert cells(forward, 5)[-1][0] == pytest.approx(y)


def test_steps_are_counted_from_the_error_on():
    figure = plots.step(network(), X, TARGET)
    steps = [ax.get_title().splitlines()[1] for ax in figure.axes if ax.get_title().startswith("ΔW")]
    assert steps == ["step 1"] * 4 + ["step 4", "step 3", "step 2", "step 1"]


def test_ed_alone():
    titles = [ax.get_title(loc="left") for ax in plots.step(network(), X, TARGET, compare=False).axes]
    assert not any("Back-propagation" in title for title in titles)


def test_matrices_of_a_method_share_one_scale():
    figure = plots.step(network(), X, TARGET)
    limits = [ax.images[0].get_clim() for ax in figure.axes if ax.get_title().startswith("ΔW")]
    assert len(set(limits[:4])) == len(set(limits[4:])) == 1
    assert limits[0][1] == max(abs(matrix).max() for matrix in matrices(figure, "ED"))


def test_a_deep_network_is_sampled():
    ed = network(hidden_depth=40)
    figure = plots.step(ed, X, TARGET)
    titles = [ax.get_title().splitlines() for ax in figure.axes if ax.get_title().startswith("ΔW")]
    assert len(titles) == 12
    assert titles[6] == ["ΔW to hidden 1", "step 42"]
    assert titles[11] == ["ΔW to output", "step 1"]
    assert "6 of 42 layers" in figure.get_suptitle()


def test_several_outputs_teach_their_own_cells():
    ed = network(outputs=3, hidden_depth=0)
    errors = np.array([0, 1, 0]) - ed.predict([X])[0]
    figure = plots.step(ed, X, [0, 1, 0])
    np.testing.assert_allclose(cells(figure.axes[1], 2)[0], np.tile(errors, 2))


def test_one_of_several_heads():
    ed = network(heads=2)
    figure = plots.step(ed, X, [1, 0], head=1)
    error = 0 - ed.predict([X])[0, 1]
    np.testing.assert_allclose(np.concatenate(cells(figure.axes[1], 4)), error)
    assert "head 1" in figure.get_suptitle()


@pytest.mark.parametrize(
    ("options", "arguments", "words"),
    [
        ({}, {"x": [[0, 1], [1, 0]]}, "x: given .*one sample"),
        ({}, {"target": [0, 1]}, "target: given .*1 finite number"),
        ({}, {"head": 3}, "head: given 3"),
        ({}, {"compare": "yes"}, "compare: given 'yes'"),
        ({"rule": "modulo"}, {}, "ed: given a network with a centred rule"),
    ],
)
def test_what_is_no_step_is_refused(options, arguments, words):
    with pytest.raises(InputError, match=words):
        plots.step(network(**options), **({"x": X, "target": TARGET} | arguments))
