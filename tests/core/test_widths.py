"""Networks whose layers have several widths."""

import dataclasses
import itertools

import numpy as np
import pytest
from array_api_compat import array_namespace

from edcore import ED, Network, Rule
from edcore.adapters import ArrayAPIBackend
from edcore.contract import known
from edcore.contract.memory import traced
from edcore.contract.stages import divide, initialise_stage, join_weights
from edcore.core import forward, trace, update
from edcore.core.presets import variant
from edcore.core.weights import draw_layer, initialise
from edcore.errors import InputError
from edcore_loop.loops import LoopBackend

SEVERAL = Network(in_=3, width=(5, 2, 4), heads=2, outputs=2, n_bias=2)


def test_each_hidden_layer_has_arrays_of_its_own():
    assert SEVERAL.depth == 2
    assert SEVERAL.weight_shapes == {
        "input.weight": (2, 6, 10),
        "input.bias": (2, 2, 10),
        "hidden.1.weight": (2, 10, 4),
        "hidden.1.bias": (2, 2, 4),
        "hidden.2.weight": (2, 4, 8),
        "hidden.2.bias": (2, 2, 8),
        "output.weight": (2, 8, 4),
        "output.bias": (2, 2, 4),
    }
    assert SEVERAL.parameters == sum(value.size for value in initialise(SEVERAL, seed=0).values())
    for layer in SEVERAL.layers:
        assert layer.where(1) == (1,)
        cells = len(layer.source_signs), len(layer.target_signs)
        assert SEVERAL.weight_shapes[f"{layer.name}.weight"] == (2, *cells)
        assert len(layer.teachers) == cells[1]
    assert SEVERAL.layers[1].teachers == (0, 1, 0, 1)
    assert SEVERAL.hidden_layers == "3 hidden layers of 5 + 5, 2 + 2 and 4 + 4 cells (depth 2)"
    assert Network(1, width=(1, 2, 3, 9, 4)).hidden_layers == "5 hidden layers of 1 + 1 to 9 + 9 cells (depth 4)"
    assert traced(SEVERAL) == 2 * (2 * (5 + 2 + 4) + 4)


def test_equal_widths_are_one_width():
    one = Network(3, width=4, depth=2)
    for same in ((4, 4, 4), [4, 4, 4], np.array([4, 4, 4])):
        assert Network(3, same) == one
        assert hash(Network(3, same)) == hash(one)
    assert Network(3, width=(4,)) == Network(3, width=4, depth=0)
    assert hash(Network(3, [np.int64(4), 2])) == hash(Network(3, (4, 2), 1))
    assert dataclasses.replace(SEVERAL, heads=1).width == SEVERAL.width


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": ()}, r"width: given \(\); accepted: .* such as \(512, 128\)"),
        ({"width": (3, 0)}, "width: given 0; accepted: .* one for each layer"),
        ({"width": (3, 2.5)}, "width: given 2.5; accepted"),
        ({"width": (3, (2, 1))}, r"width: given \(2, 1\); accepted"),
        ({"width": "32"}, "width: given '32'; accepted"),
        ({"width": (3, 2), "depth": 0}, "depth: given 0; accepted: 1, beside 2 widths"),
        ({"width": (3,), "depth": 1}, "depth: given 1; accepted: 0, beside 1 width"),
        ({"width": (4, 4), "depth": 3}, "depth: given 3; accepted: 1"),
        ({"width": (4, 1), "outputs": 2}, r"width: given \(4, 1\); accepted: at least 2"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Network(3, **arguments)


def test_widths_win_over_the_depth_of_a_preset():
    for rule in ("signed", "kaneko", "modulo"):
        network, _ = variant(rule, None, None, {"in_": 2, "width": (5, 3, 2)})
        assert (network.width, network.depth) == ((5, 3, 2), 2)
    assert ED(2, (7,)).network == ED(2, 7, 0).network
    with pytest.raises(InputError, match="hidden_depth: given 4; accepted: 1, beside 2 widths"):
        ED(2, (7, 3), 4)
    with pytest.raises(InputError, match="hidden_width: given -1"):
        ED(2, (7, -1))
    assert repr(ED(2, (7, 3), rule="edla", seed=1)).startswith("ED(in_=2, hidden_width=(7, 3), rule='edla'")


def test_each_layer_is_drawn_from_its_own_stream():
    weights = initialise(SEVERAL, seed=7)
    for number, layer in enumerate(SEVERAL.layers):
        for head in range(2):
            weight, bias = draw_layer(SEVERAL, layer, number, head, 7, None)
            np.testing.assert_array_equal(weights[f"{layer.name}.weight"][head], weight)
            np.testing.assert_array_equal(weights[f"{layer.name}.bias"][head], bias)
    # The input layer does not depend on the widths behind it.
    other = initialise(dataclasses.replace(SEVERAL, width=5), seed=7)
    np.testing.assert_array_equal(weights["input.weight"], other["input.weight"])


@pytest.mark.parametrize("rule", [Rule(), Rule("split"), Rule(centred=True, floor=0.05)])
@pytest.mark.parametrize("rms", [False, True])
def test_the_method_agrees_with_the_oracle(rule, rms):
    outputs = 1 if rule.error == "split" else 2
    network = dataclasses.replace(SEVERAL, outputs=outputs, rms=rms, u0=1.0, dtype="float64")
    random, loop = np.random.default_rng(0), LoopBackend()
    weights = initialise(network, 1, rule.floor)
    x, error = random.random((5, 3)), random.uniform(-1, 1, (5, network.columns))
    right, activities = loop.trace(network, weights, x)
    given, cells = trace(network, weights, x)
    np.testing.assert_allclose(given, right, rtol=1e-12)
    np.testing.assert_array_equal(forward(network, weights, x), given)
    expected = loop.update(network, rule, weights, activities, error)
    learned = update(network, rule, weights, cells, error)
    assert learned.keys() == network.weight_shapes.keys()
    for key, value in expected.items():
        assert not np.array_equal(value, weights[key])
        np.testing.assert_allclose(learned[key], value, rtol=1e-10, atol=1e-14)


def test_stages_divide_and_join_them():
    network = Network(3, (5, 2, 4, 4), heads=2)
    whole = initialise(network, 3)
    for count in range(1, 6):
        stages = divide(network, count)
        assert [(a.stop, b.start) for a, b in itertools.pairwise(stages)] == [
            (stage.stop, stage.stop) for stage in stages[:-1]
        ]
        assert sum(stage.parameters for stage in stages) == network.parameters
        parts = [initialise_stage(stage, 3) for stage in stages]
        for stage, part in zip(stages, parts, strict=True):
            assert {key: value.shape for key, value in part.items()} == stage.weight_shapes
            assert stage.of(whole).keys() == part.keys()
            assert stage.part.parameters >= stage.parameters
        joined = join_weights(parts)
        assert [*joined] == [*whole]
        for key, value in whole.items():
            np.testing.assert_array_equal(joined[key], value)


def test_a_backend_that_does_not_name_them_refuses_them():
    assert known(SEVERAL, Rule()) == "it has no width (5, 2, 4); it has one width for all layers"
    assert known(SEVERAL, Rule(), width=None) is True
    assert known(Network(3, 9), Rule()) is True


@pytest.mark.parametrize("backend", ["numpy", "array_api_strict", "numba", "torch", "jax"])
def test_backends_learn_them(backend):
    pytest.importorskip(backend)
    x, target = np.random.default_rng(0).random((2, 7, 3)).astype(np.float32)
    expected = ED(3, (5, 2, 4), 2, heads=3, rule="split", u0=2.0, seed=1, backend="loop")
    ed = ED(3, (5, 2, 4), heads=3, rule="split", u0=2.0, seed=1, backend=backend)
    for one in (expected, ed):
        one.step(x[:4], target[:4])
        one.fit(x, target, epochs=2, batch_size=3)
    for key, value in expected.weights.items():
        np.testing.assert_allclose(ed.weights[key], value, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ed.predict(x), expected.predict(x), rtol=1e-4, atol=1e-5)


def test_a_backend_with_a_pass_of_its_own_has_to_name_them():
    class Own(ArrayAPIBackend):
        def forward(self, network, weights, x):
            raise NotImplementedError

    class Named(Own):
        has_several_widths = True

    xp = array_namespace(np.empty(0))
    assert "no width (5, 2, 4)" in Own(xp).supports(SEVERAL, Rule())
    assert Named(xp).supports(SEVERAL, Rule()) is True
    from edcore_cupy.backend import CuPyBackend

    assert not CuPyBackend.has_several_widths
