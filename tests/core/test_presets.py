import dataclasses

import numpy as np
import pytest

from edcore import ED, PRESETS, Initial, Network, Rule
from edcore.core.presets import Preset, preset
from edcore.core.weights import initialise
from edcore.errors import InputError


def test_a_name_brings_its_rates_and_those_given_win():
    assert preset("signed").rule == Rule("signed", alpha=0.8, alpha_output=1.0)
    assert preset("split", 0.1, 0.2).rule == Rule("split", alpha=0.1, alpha_output=0.2)
    assert preset("kaneko", alpha=0.1).rule == Rule("split", alpha=0.1, alpha_output=0.8, order="online")


def test_a_rule_brings_its_own():
    own = Rule("split", alpha=0.3)
    assert preset(own) == Preset(own, {"n_bias": 2})
    assert preset(Rule()) == Preset(Rule())
    with pytest.raises(InputError, match=r"alpha: given 0.1; accepted: no value beside rule=Rule\(…\)"):
        preset(own, alpha=0.1)


@pytest.mark.parametrize("name", ["hebb", []])
def test_unknown_names(name):
    accepted = "'edla', 'kaneko', 'modulo', 'signed', 'split'"
    with pytest.raises(InputError, match=f"rule: given .*; accepted: {accepted}"):
        preset(name)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_a_network(name):
    ed = ED(3, 4, rule=name, seed=1, outputs=2 if name == "modulo" else 1)
    expected = dataclasses.replace(ed.network, **PRESETS[name].network)
    assert ed.network == expected
    assert ed.rule == PRESETS[name].rule


def test_what_is_given_wins_over_the_preset():
    ed = ED(3, 4, 2, rule="edla", activation="relu", output_activation="linear", u0=1, rms=True, n_bias=1, bias=0.5)
    n = ed.network
    assert (n.depth, n.activation, n.output_activation, n.u0, n.rms, n.n_bias, n.bias) == (
        *(2, "relu", "linear", 1.0),
        *(True, 1, 0.5),
    )
    assert ED(3, 4, rule="edla", inhibitory_output=True, initial=Initial(weight=2)).network.initial.weight == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rule": "edla", "outputs": 3}, "outputs: given 3 with a split rule; accepted: 1 with a split rule.*heads=3"),
        ({"rule": "modulo", "outputs": 9}, "width: given 4; accepted: at least 9, the number of outputs.*teach none"),
        ({"rule": "modulo", "outputs": 0}, "outputs: given 0; accepted: a whole number of at least 1"),
        ({"activation": "softmax"}, "activation: given 'softmax'; accepted: one of sigmoid, tanh, relu, relu6, linear"),
        ({"output_activation": "Linear"}, "output_activation: given 'Linear'.*Did you mean 'linear'"),
        ({"rms": 1}, "rms: given 1; accepted: True or False"),
        ({"bias": -1}, "bias: given -1; accepted: a finite number of at least 0"),
        ({"initial": "uniform"}, r"initial: given 'uniform'; accepted: an edcore.Initial\(…\)"),
    ],
)
def test_networks_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        ED(3, 4, **arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"centred": True, "order": "online"}, "centred: given True with order='online'.*nothing would ever be learnt"),
        ({"centred": "yes"}, "centred: given 'yes'; accepted: True or False"),
        ({"floor": -1e-4}, "floor: given -0.0001; accepted: a finite number of at least 0"),
        ({"floor": float("nan")}, "floor: given nan"),
    ],
)
def test_rules_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        Rule(**arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"distribution": "normal"}, "distribution: given 'normal'; accepted: 'half_normal', 'uniform'"),
        ({"weight": -1}, "weight: given -1"),
        ({"fan_in": "sqrt"}, "fan_in: given 'sqrt'"),
    ],
)
def test_initial_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        Initial(**arguments)


def test_initial_weights_follow_the_formula():
    plain = Network(5, 3, 1, dtype="float64")
    base = initialise(plain, 7)
    how = Initial("half_normal", weight=2.0, bias=0.25, fan_in=0.5, excitatory=1.5, inhibitory=0.5)
    drawn = initialise(dataclasses.replace(plain, initial=how), 7)
    for key, sources in (("input.weight", 10), ("hidden.weight", 6)):
        factor = np.where(base[key] > 0, 1.5, 0.5) * 2 / np.sqrt(sources)
        np.testing.assert_allclose(drawn[key], base[key] * factor, rtol=1e-14)
    np.testing.assert_allclose(drawn["output.weight"], base["output.weight"] * 2 / np.sqrt(6), rtol=1e-14)
    np.testing.assert_allclose(drawn["input.bias"], base["input.bias"] / 4, rtol=1e-14)
    uniform = initialise(dataclasses.replace(plain, initial=Initial("uniform", weight=3.0)), 7)
    assert 2 < abs(uniform["input.weight"]).max() < 3
    assert (np.sign(uniform["input.weight"]) == np.sign(base["input.weight"])).all()


def test_the_floor_raises_initial_weights():
    network = Network(5, 3, initial=Initial(weight=0.0, bias=0.0))
    drawn = initialise(network, 7, floor=1e-4)
    assert (abs(drawn["hidden.weight"]) == np.float32(1e-4)).all()
    assert not drawn["hidden.bias"].any()
    ed = ED(5, 3, rule=Rule(floor=1e-4), initial=Initial(weight=0.0), seed=1)
    assert (abs(ed.weights["input.weight"]) == np.float32(1e-4)).all()


def test_weights_below_the_floor_are_refused():
    ed = ED(2, 3, rule="modulo", seed=1)
    weights = ed.weights
    weights["input.weight"][0, 0, 0] *= -1
    with pytest.raises(InputError, match=r"weights\['input.weight'\]: given 1 values that are below the rule's floor"):
        ed.load_weights(weights)


def test_a_centred_rule_refuses_batches_of_one():
    x, y = np.ones((4, 2)), np.array([0, 1, 1, 0])
    ed = ED(2, 3, rule="modulo", seed=1, backend="numpy")
    with pytest.raises(
        InputError, match="batch_size: given 1 with a centred rule; accepted: at least 2.*ever be learnt"
    ):
        ed.fit(x, y, batch_size=1)
    before = ed.weights
    ed.step(x[:1], y[:1])  # such as what is left over at the end of an epoch
    assert all((ed.weights[key] == value).all() for key, value in before.items())


def test_negative_inputs_under_split_warn_and_are_computed():
    x, y = np.array([[-1.0, 0.5], [1.0, 0.5]]), np.array([1, 0])
    ed = ED(2, 3, 0, rule="split", seed=1, backend="numpy")
    before = ed.weights
    with pytest.warns(UserWarning, match="x has values below 0: under a split rule"):
        ed.step(x, y)
    assert (abs(ed.weights["input.weight"]) < abs(before["input.weight"])).any(), "a weight shrank, as documented"
    for rule in ("signed", Rule("split", floor=0.0)):
        ED(2, 3, 0, rule=rule, seed=1, backend="numpy").step(x, y)  # pytest would make an error of a warning


@pytest.mark.parametrize(
    ("activation", "low", "high"),
    [("sigmoid", -0.1, 1.1), ("tanh", -1.1, 1.1), ("relu", -0.1, None), ("relu6", -0.1, 6.1)],
)
def test_targets_that_no_output_reaches(activation, low, high):
    ed = ED(1, 2, output_activation=activation, seed=1, backend="numpy")
    for target in (low, high):
        if target is not None:
            with pytest.raises(InputError, match=rf"target: given values from .* as the outputs are \({activation}\)"):
                ed.step([[1.0], [1.0]], [0.5, target])
    ED(1, 2, output_activation="linear", seed=1, backend="numpy").step([[1.0]], [-100.0])


def test_several_outputs_of_several_heads_are_columns():
    ed = ED(3, 4, rule="modulo", outputs=2, heads=3, seed=1, backend="numpy")
    x = np.random.default_rng(1).random((5, 3))
    assert ed.predict(x).shape == (5, 6)
    alone = ED(3, 4, rule="modulo", outputs=2, seed=1, backend="numpy")
    np.testing.assert_allclose(alone.predict(x), ed.predict(x)[:, :2], rtol=1e-5)
    target = np.zeros((5, 6))
    assert ed.fit(x, target, epochs=2, tolerance=1e-9).epochs.tolist() == [2, 2, 2]
    with pytest.raises(InputError, match=r"target: given shape \(5, 3\); accepted: shape \(5, 6\), one for"):
        ed.step(x, np.zeros((5, 3)))
