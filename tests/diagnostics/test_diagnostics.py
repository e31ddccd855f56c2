"""What `diagnose` finds, on networks whose figures are known, and beside the core and the gradient on any others."""

import dataclasses
import importlib
import re
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edcore
from edcore import ED, Initial, Rule
from edcore.core import method as core
from edcore.core.activations import ACTIVATIONS
from edcore.core.network import LAYERS
from edcore.diagnostics.diagnose import DeadStackWarning, diagnose
from edcore.diagnostics.diagnosis import Diagnosis
from edcore.diagnostics.gradient import descent, forward
from edcore.errors import InputError
from edcore.testing.strategies import variants

MODULE = importlib.import_module("edcore.diagnostics.diagnose")  # by attribute, the name is the function


@pytest.fixture(scope="module")
def data():
    return edcore.datasets.digits(classes=(0, 1))


def network(n, rule, **changes):
    """An ED of this network and rule."""
    names = ("heads", "u0", "n_bias", "outputs", "activation", "output_activation", "rms", "bias", "inhibitory_output")
    fields = {name: getattr(n, name) for name in (*names, "initial", "dtype")} | changes
    return ED(n.in_, n.width, n.depth, rule=rule, backend="numpy", seed=3, **fields)


def quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return diagnose(*arguments, **options)


# Figures that are known


def even(output_signs=(1, 1, -1, -1), depth=1):
    """A network all of whose weights are of one magnitude, with the output's weights of these signs."""
    ed = ED(1, 2, depth, inhibitory_output=False, dtype="float64", u0=2.0, seed=0, backend="numpy")
    weights = {key: 0.3 * np.sign(value) for key, value in ed.weights.items()}
    weights["output.weight"][0, :, 0] = 0.3 * np.array(output_signs)
    ed.load_weights(weights)
    return ed


@pytest.mark.parametrize(
    ("output_signs", "depth", "angles"),
    [
        ((1, 1, -1, -1), 1, [0, 0, 0]),
        ((-1, -1, 1, 1), 1, [180, 180, 0]),
        ((1, -1, 1, -1), 0, [90, 0]),
        ((1, 1, 1, 1), 0, [90, 0]),
    ],
)
def test_the_angle_of_one_sample(output_signs, depth, angles):
    found = diagnose(even(output_signs, depth), [[0.7]], [1.0])
    # In all layers but the last, ED takes for granted that the − cells lower the output.
    np.testing.assert_allclose(found.angle, angles, atol=1e-6)


def test_the_angle_of_the_output_layer_leaves_out_the_cell_that_is_not_read(data):
    ed = ED(64, hidden_depth=0, u0=6.0, seed=0)
    assert diagnose(ed, data.x_train, data.y_train).angle[-1] < 1


def test_there_is_no_angle_without_an_error():
    ed = even()
    found = diagnose(ed, [[0.7]], ed.predict(np.array([[0.7]])))
    assert np.isnan(found.angle).all()
    assert not found.update.any()
    assert not found.dead.any()  # it would learn from another error
    assert [row[-3] for row in found.rows] == ["–"] * 3


def test_saturation_is_that_of_the_article(data):
    """The mean over the input layer and the hidden layers, as the page on the method has it."""
    for depth, expected in ((1, 0.016), (16, 0.002), (64, 0.0005)):
        runs = [quietly(ED(64, 32, depth, seed=seed, dtype="float64"), data.x_train, data.y_train) for seed in range(3)]
        mean = np.mean([found.saturation[:-1] for found in runs])
        assert float(f"{mean:.1g}" if expected < 0.01 else f"{mean:.2g}") == expected


@pytest.mark.parametrize(
    ("activation", "most"), [("sigmoid", 0.25), ("tanh", 1.0), ("relu", 0.5), ("relu6", 0.5), ("linear", 1.0)]
)
@pytest.mark.parametrize("rms", [False, True])
def test_saturation_is_the_activations_own(activation, most, rms):
    """Near 0 it is at its largest; half of the cells of relu are below."""
    ed = ED(2, 3, 1, activation=activation, rms=rms, seed=0, initial=Initial(weight=1e-9, bias=1e-9))
    found = quietly(ed, [[0.0, 0.0]], [1.0])
    np.testing.assert_allclose(found.saturation[:2], most, rtol=1e-6)


def test_changes_since_the_start():
    ed = ED(3, 4, 2, seed=5, backend="numpy")
    start = ed.weights
    weights = {key: value.copy() for key, value in start.items()}
    weights["input.weight"] *= 2
    flipped = weights["hidden.weight"][0, 1].reshape(-1)
    flipped[[0, 7, 20]] *= -1
    flipped[3] = 0
    ed.load_weights(weights)
    found = diagnose(ed, [[0.5, 0.1, 0.9]], [1.0])
    assert found.sign_changes.tolist() == [0, 0, 3 / 64, 0]
    np.testing.assert_allclose(found.growth[[0, 1, 3]], [2, 1, 1], rtol=1e-6)
    assert 0.9 < found.growth[2] < 1
    again = diagnose(ed, [[0.5, 0.1, 0.9]], [1.0], start=weights)
    assert not again.sign_changes.any()
    np.testing.assert_allclose(again.growth, 1, rtol=1e-6)


def test_balance():
    ed = even(output_signs=(1, 1, 1, -1))
    weights = ed.weights
    weights["input.weight"][weights["input.weight"] > 0] *= 5
    ed.load_weights(weights)
    np.testing.assert_allclose(diagnose(ed, [[0.7]], [1.0]).balance, [5, 1, 3])


def test_balance_is_infinite_where_there_is_no_negative_weight():
    assert diagnose(even(output_signs=(1, 1, 1, 1)), [[0.7]], [1.0]).balance[-1] == np.inf


def test_the_floor():
    ed = ED(1, 4, 1, rule=Rule(floor=0.1), seed=0, backend="numpy")
    weights = {key: 0.3 * np.sign(value) for key, value in ed.weights.items()}
    weights["hidden.weight"][0, 0, :2] = np.sign(weights["hidden.weight"][0, 0, :2]) * np.float32(0.1)
    ed.load_weights(weights)
    found = diagnose(ed, [[0.7]], [0.0])
    np.testing.assert_allclose(found.at_floor, [0, 0.25, 0])
    assert "floor" in found.columns
    assert found.rows[1][4] == "25.0%"
    assert found.floor_share == pytest.approx(16 / (2 * 8 + 8 * 8 + 8 * 2))  # the two rows of eight, of all weights
    assert str(found).endswith("\n16.7% of these weights are at the floor of 0.1.")
    few = dataclasses.replace(found, at_floor=found.at_floor[[0, 2]], numbers=found.numbers[[0, 2]])
    assert few.floor_share == 0


def test_no_floor(data):
    found = quietly(ED(64, seed=0), data.x_train, data.y_train)
    assert (found.at_floor, found.floor_share, found.floor_in_words) == (None, None, "")
    assert "floor" not in str(found)


# Beside the core and the gradient


def directly(ed, x, target, order="batch"):
    """Each layer's update and −gradient as wholes, as a dictionary of both for each layer's name."""
    n = ed.network
    weights = {key: value.astype(np.float64) for key, value in ed.weights.items()}
    with np.errstate(all="ignore"):
        outputs, trace = core.trace(n, weights, x)
        error = target - outputs
        rows = [slice(None)] if order == "batch" else [slice(b, b + 1) for b in range(len(x))]
        step = {key: np.zeros_like(value) for key, value in weights.items()}
        for part in rows:
            own = tuple(core.Cells(c.y[:, part], None if c.slope is None else c.slope[:, part]) for c in trace)
            learned = core.update(n, ed.rule, weights, own, error[part])
            step = {key: step[key] + learned[key] - weights[key] for key in step}
        downhill = descent(n, weights, forward(n, weights, x), error)
    for layer in n.layers:
        place = (slice(None),) if layer.position is None else (slice(None), layer.position)
        yield [
            np.concatenate([values[f"{layer.name}.weight"][place], values[f"{layer.name}.bias"][place]], axis=1)
            for values in (weights, step, downhill)
        ]


def agrees(ed, x, target, order="batch"):
    found = quietly(ed, x, target if ed.network.columns > 1 else target[:, 0])
    for number, (w, step, downhill) in enumerate(directly(ed, x, target, order)):
        size = np.linalg.norm(step) / np.linalg.norm(w)
        assert found.update[number] == pytest.approx(size, rel=1e-6, abs=1e-13)
        if number == len(found.dead) - 1:
            step, downhill = (values[..., : ed.network.outputs] for values in (step, downhill))
        if min(np.linalg.norm(step), np.linalg.norm(downhill)) > 1e-6:
            cosine = np.vdot(step, downhill) / np.linalg.norm(step) / np.linalg.norm(downhill)
            assert np.cos(np.radians(found.angle[number])) == pytest.approx(cosine, abs=1e-6)
    assert (found.saturation >= 0).all()
    assert not ((found.angle < 0) | (found.angle > 180)).any()


@given(variants(("float64",), gentle=True), st.sampled_from([1, 64]))
def test_any_network_in_any_slabs(case, slab):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "SLAB_LAYERS", slab)
        agrees(network(case.network, case.rule), case.x, np.full((len(case.x), case.network.columns), 0.75))


@given(variants(("float64",), order="online", gentle=True))
def test_an_online_rule_is_the_sum_over_its_samples(case):
    if case.rule.floor is None:
        agrees(network(case.network, case.rule), case.x, np.full((len(case.x), case.network.columns), 0.75), "online")


@pytest.mark.parametrize("slab", [1, 3, 64])
def test_slabs_of_a_deep_stack(data, monkeypatch, slab):
    monkeypatch.setattr(MODULE, "SLAB_LAYERS", slab)
    ed = ED(64, 5, 10, heads=2, u0=2.0, dtype="float64", seed=1, initial=Initial(fan_in=0.5), backend="numpy")
    agrees(ed, data.x_train[:20].astype(np.float64), np.full((20, 2), 0.25))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize("rule", ["signed", "split", "kaneko", "edla", "modulo"])
def test_every_variant(data, activation, rms, rule):
    outputs = {"heads": 2} if rule in ("split", "edla") else {"outputs": 2} if rule == "modulo" else {}
    ed = ED(64, 4, 2, rule=rule, activation=activation, rms=rms, seed=0, initial=Initial(fan_in=1.0), **outputs)
    y = data.y_train[:30]
    found = diagnose(ed, data.x_train[:30], np.eye(2)[y] if outputs else y)
    assert np.isfinite(found.saturation).all()
    assert np.isfinite(found.update).all()
    assert not found.dead.any()


# Dead layers


@pytest.mark.parametrize("rule", ["signed", "split"])
def test_the_articles_initial_weights_leave_a_deep_stack_dead(data, rule):
    with pytest.warns(
        DeadStackWarning,
        match=r"^\d\d of 65 hidden layers are dead: .* float32\..*initial=.*u0 above 0\.4.*rms=True",
    ) as said:
        found = diagnose(ED(64, 32, 64, rule=rule, seed=0), data.x_train, data.y_train)
    assert said[0].filename == __file__
    assert str(said[0].message) == found.warning
    assert found.dead_hidden == found.dead[:-1].sum() >= 55
    assert not found.dead[0]


@pytest.mark.parametrize(
    "gentle", [{"initial": Initial(fan_in=0.5)}, {"u0": 2.0}, {"u0": 6.0}, {"rms": True}, {"hidden_depth": 2}]
)
def test_what_the_warning_recommends_helps(data, gentle):
    found = diagnose(ED(64, 32, **{"hidden_depth": 64, **gentle}, seed=0), data.x_train, data.y_train)
    assert found.dead_hidden == 0
    assert found.warning is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rms", [False, True])
def test_dead_layers_are_those_that_no_error_changes(data, dtype, rms):
    ed = ED(64, 8, 12, dtype=dtype, rms=rms, u0=0.3, seed=2, backend="numpy")
    x = data.x_train[:40].astype(dtype)
    found = quietly(ed, x, data.y_train[:40])
    with np.errstate(over="ignore"):
        _, trace = core.trace(ed.network, ed.weights, x)
    changed = np.zeros(14, bool)
    for e in (1, -1):
        learned = core.update(ed.network, ed.rule, ed.weights, trace, np.full((40, 1), e, dtype))
        for part in ("weight", "bias"):
            w = {name: learned[f"{name}.{part}"] != ed.weights[f"{name}.{part}"] for name in LAYERS}
            changed[0] |= w["input"].any()
            changed[1:-1] |= w["hidden"][0].any(axis=(1, 2))
            changed[-1] |= w["output"].any()
    assert (~changed[found.dead]).all()
    if dtype == "float64":
        assert changed[~found.dead].all()
    assert found.dead.any()


def test_a_bias_of_zero_revives_no_layer(data):
    ed = ED(64, 32, 64, initial=Initial(bias=0.0), seed=0)
    assert quietly(ed, data.x_train, data.y_train).dead_hidden >= 50


@pytest.mark.parametrize(("dead", "warned"), [(1, False), (2, True), (3, True)])
def test_half_of_the_hidden_layers_are_warned_of(dead, warned):
    assert (made(3, dead=range(1, dead + 1)).warning is not None) == warned
    assert made(3, dead=range(1, dead + 1), alpha=0.0).warning is None


def test_the_ends_alone_are_no_stack():
    assert made(0, dead=[0, 1]).warning is None
    assert made(1, dead=[0, 2]).warning is None


def test_the_warning_recommends_nothing_that_is_so_already():
    warning = made(2, dead=[1, 2], rms=True, activation="tanh", initial=Initial(fan_in=1.0)).warning
    assert re.fullmatch(r"2 of 3 hidden layers are dead: .* float32\. What helps: fewer layers\.", warning)


# The table


def made(depth, dead=(), alpha=0.8, **options):
    layers = depth + 2
    figures = {name: np.arange(layers) / 100 for name in ("saturation", "sign_changes", "growth", "balance", "update")}
    flags = np.isin(np.arange(layers), list(dead))
    shape = edcore.Network(1, 2, depth, **options)
    return Diagnosis(
        shape,
        Rule(alpha=alpha),
        **figures,
        at_floor=None,
        angle=np.full(layers, np.nan),
        dead=flags,
        numbers=np.arange(layers),
    )


def test_a_small_network_has_a_row_for_each_layer():
    assert str(made(2, dead=[2])) == (
        "layer      mean g  flipped  growth  + / −  angle   update  dead\n"
        "hidden 1  0.0e+00    0.00%   0.000  0.000      –  0.0e+00\n"
        "hidden 2  1.0e-02    1.00%   0.010  0.010      –  1.0e-02\n"
        "hidden 3  2.0e-02    2.00%   0.020  0.020      –  2.0e-02  dead\n"
        "output    3.0e-02    3.00%   0.030  0.030      –  3.0e-02"
    )


@pytest.mark.parametrize(
    ("depth", "dead", "names"),
    [
        (0, [], ["hidden 1", "output"]),
        (9, [], [*(f"hidden {n}" for n in range(1, 11)), "output"]),
        (10, [], [*(f"hidden {n}" for n in range(1, 5)), "hidden 5 … 8", "hidden 9", "hidden 10", "hidden 11"]),
        (4096, range(3, 4098), ["hidden 1", "hidden 2", "hidden 3", "hidden 4 … 4097", "output"]),
        (5, [2, 3, 5], ["hidden 1", "hidden 2", "hidden 3 … 4", "hidden 5", "hidden 6", "output"]),
    ],
)
def test_successive_layers_share_a_row(depth, dead, names):
    assert [row[0] for row in made(depth, dead).rows][: len(names)] == names


def test_a_folded_row_has_the_means():
    row = made(10).rows[4]
    assert row[:4] == ("hidden 5 … 8", "5.5e-02", "5.50%", "0.055")


def test_the_middle_of_a_long_table_is_one_row():
    rows = made(100, dead=range(0, 102, 2)).rows
    assert len(rows) == 19
    assert [rows[9][0], rows[9][-1]] == ["hidden 10 … 93", "42 of 84"]


# What it leaves alone, and what it refuses


def test_nothing_of_the_network_changes(data):
    x, y = data.x_train[:32], data.y_train[:32]
    twins = [ED(64, 8, 3, seed=4) for _ in range(2)]
    for ed in twins:
        outputs = ed(x)
        before = ed.weights
        if ed is twins[1]:
            quietly(ed, data.x_train, data.y_train)
        assert all((ed.weights[key] == before[key]).all() for key in before)
        ed.update(y - outputs)
    assert all((twins[0].weights[key] == twins[1].weights[key]).all() for key in before)


def test_a_network_that_has_no_backend_yet_gets_none(data):
    ed = ED(64, 8, 1, seed=4)
    diagnose(ed, data.x_train, data.y_train)
    assert ed.backend == "auto"


def test_activities_that_overflow_are_no_numbers_in_the_table():
    ed = ED(2, 4, 16, activation="relu", seed=0, backend="numpy")
    ed.load_weights({key: value * np.float32(1e30) for key, value in ed.weights.items()})
    found = diagnose(ed, [[1.0, 1.0]], [1.0])
    assert np.isnan(found.update[-1])
    assert not found.dead[-1]
    assert "–" in str(found)


def test_memory_does_not_grow_with_the_activities(data):
    ed = ED(64, 8, 1024, seed=0, backend="numpy")
    activities = 1024 * 16 * len(data.x_train) * 8
    tracemalloc.start()
    try:
        quietly(ed, data.x_train, data.y_train)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < activities


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]], [1.0]), r"^x: given shape \(1, 1\); accepted: shape \(batch, 2\)\."),
        (([[1.0, np.nan]], [1.0]), r"^x: given 1 NaN or infinite values"),
        ((np.zeros((0, 2)), []), r"^x: given an empty batch; accepted: at least one sample\."),
        (([[1.0, 1.0]], [2.0]), r"^target: given values from 2\.0 to 2\.0; accepted: 0 to 1"),
        (([[1.0, 1.0]], [1.0, 0.0]), r"^target: given shape \(2,\)"),
        (([[1.0, 1.0]], [1.0], {}), r"^start: given no hidden\.bias, .*; accepted: exactly the keys input\.weight"),
        (([[1.0, 1.0]], [1.0], 3), r"^start: given int; accepted: a dictionary"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        diagnose(ED(2, 3, seed=0), *arguments)


def test_bad_start_weights_are_named():
    ed = ED(2, 3, seed=0)
    with pytest.raises(InputError, match=r"^start\['hidden\.bias'\]: given shape \(2,\); accepted: shape"):
        diagnose(ed, [[1.0, 1.0]], [1.0], start={**ed.weights, "hidden.bias": np.zeros(2)})


def test_a_centred_rule_learns_nothing_from_one_sample():
    found = diagnose(ED(2, 3, rule="modulo", seed=0), [[1.0, 1.0]], [1.0])
    assert not found.update.any()
    assert not found.dead.any()


def test_in_must_be_known():
    with pytest.raises(InputError, match="^in_: given None"):
        diagnose(ED(seed=0), [[1.0, 1.0]], [1.0])


# Of a deep stack, some layers


def test_the_layers_that_are_measured_have_the_figures_that_they_have_among_all():
    data = edcore.datasets.digits(classes=(0, 1))
    ed = ED(64, 4, 150, seed=3, u0=2.0, backend="numpy")  # three slabs of layers
    every, some = (quietly(ed, data.x_train[:9], data.y_train[:9], most_layers=most) for most in (None, 24))
    assert some.numbers[:8].tolist() == list(range(8))
    assert some.numbers[-8:].tolist() == list(range(144, 152))
    assert len(some.numbers) == 24
    assert set(np.diff(some.numbers[8:-8])) <= {18, 19, 20}
    for name in ("saturation", "sign_changes", "growth", "balance", "angle", "update", "dead"):
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name)[some.numbers], name)
    assert some.layers[9] == f"hidden {some.numbers[9] + 1}"
    assert some.layers[-1] == "output"
    assert (some.sampled, every.sampled) == (
        "Of 152 layers 24 were measured: some at each end, and others evenly picked between them.",
        "",
    )


def test_no_layer_is_left_out_of_a_stack_that_is_not_deeper():
    ed = ED(2, 2, 18, seed=0, backend="numpy")
    assert quietly(ed, [[0.0, 1.0]], [1.0], most_layers=20).sampled == ""
    with pytest.raises(InputError, match=r"^most_layers: given 19; accepted: a whole number of at least 20\."):
        quietly(ed, [[0.0, 1.0]], [1.0], most_layers=19)


def test_the_warning_counts_the_layers_that_were_measured():
    data = edcore.datasets.digits(classes=(0, 1))
    ed = ED(64, 32, 100, seed=0, backend="numpy")
    warning = quietly(ed, data.x_train[:50], data.y_train[:50], most_layers=20).warning
    assert re.match(r"1\d of 19 hidden layers that were measured are dead: ", warning)
