"""`ED.activities` and `ED.updates`: what they return on each backend, and that they change nothing."""

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edcore
from edcore import ED, Initial, Rule
from edcore.contract.memory import Memory
from edcore.core.activations import ACTIVATIONS
from edcore.diagnostics import diagnose
from edcore.errors import DivergedError, InputError, NoTraceError, OutOfMemoryError

BACKENDS = ["loop", "numpy", "numba", "torch", "jax"]
X = np.random.default_rng(0).random((7, 3))
Y = np.array([[0, 1], [1, 0], [1, 1], [0, 0], [1, 0], [0, 1], [1, 1]])
RULES = {
    "signed": Rule(),
    "split": Rule("split"),
    "sum": Rule(reduction="sum", alpha=0.1),
    "online": Rule("split", order="online"),
    "centred": Rule(centred=True),
    "floor": Rule(floor=0.3, alpha=5.0),
    "online floor": Rule(order="online", floor=0.3, alpha=5.0),
}


def network(backend="numpy", **options):
    if find_spec(backend) is None and backend in ("numba", "torch", "jax"):
        pytest.skip(f"needs {backend}")
    shape = {"in_": 3, "hidden_width": 4, "hidden_depth": 2, "heads": 2, "seed": 3}
    return ED(**(shape | options), backend=backend)


def same(a, b):
    return all(np.array_equal(a[key], b[key]) for key in b) and a.keys() == b.keys()


def by_hand(ed, x):
    """Return the sigmoid's activities of each layer, with plain loops over heads and layers."""
    network, weights = ed.network, ed.weights
    found = {}
    for head in range(network.heads):
        cells = np.concatenate([x, x], axis=1).astype(network.dtype)
        for number, layer in enumerate(network.layers):
            where = layer.where(head)
            z = cells @ weights[f"{layer.name}.weight"][where] + network.bias * weights[f"{layer.name}.bias"][
                where
            ].sum(0)
            cells = 1 / (1 + np.exp(-2 * z / network.u0))
            name = "output" if number == network.depth + 1 else f"hidden {number + 1}"
            found.setdefault(name, []).append(cells)
    return {name: np.stack(heads) for name, heads in found.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_activities_are_those_of_each_layer(backend, dtype):
    ed = network(backend, dtype=dtype)
    found = ed.activities(X)
    assert list(found) == ["input", "hidden 1", "hidden 2", "hidden 3", "output"]
    np.testing.assert_array_equal(found["input"], np.broadcast_to(np.hstack([X, X]).astype(dtype), (2, 7, 6)))
    expected = by_hand(ed, X)
    for name, cells in expected.items():
        assert found[name].dtype == dtype
        np.testing.assert_allclose(found[name], cells, rtol=1e-4 if dtype == "float32" else 1e-12)
    np.testing.assert_allclose(found["output"][:, :, 0].T, ed.predict(X), rtol=1e-4, atol=1e-6)
    assert tuple(found)[1:] == diagnose(ed, X, Y).layers == ed.network.layer_names


def test_activities_of_other_shapes():
    flat = network(hidden_depth=0, heads=1, outputs=3, rms=True, inhibitory_output=False, activation="tanh", n_bias=2)
    found = flat.activities(X)
    assert {name: cells.shape for name, cells in found.items()} == {
        "input": (1, 7, 6),
        "hidden 1": (1, 7, 8),
        "output": (1, 7, 3),
    }
    np.testing.assert_allclose(found["output"][0], flat.predict(X), rtol=1e-6)
    assert flat.activities(X[:0])["hidden 1"].shape == (1, 0, 8)
    fresh = ED(seed=1, backend="numpy")
    assert fresh.activities(X)["output"].shape == (1, 7, 2)  # the first x says how many features there are
    assert fresh.network.in_ == 3
    unbound = network()
    found = unbound.activities(X)
    np.testing.assert_array_equal(found["output"], network().activities(X)["output"])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_updates_are_what_a_step_changes(backend, rule):
    for dtype, digits in (("float64", 1e-13), ("float32", 1e-5)):
        ed = network(backend, dtype=dtype, rule=RULES[rule])
        before, change = ed.weights, ed.updates(X, Y)
        assert same(ed.weights, before)
        ed.step(X, Y)
        after = ed.weights
        for key, value in change.items():
            assert (value.shape, value.dtype) == (before[key].shape, before[key].dtype)
            np.testing.assert_allclose(value, after[key] - before[key], rtol=0, atol=digits * abs(after[key]).max())
            assert value.any()


@settings(max_examples=60, deadline=None)
@given(
    options=st.fixed_dictionaries(
        {
            "activation": st.sampled_from(ACTIVATIONS),
            "output_activation": st.sampled_from(["sigmoid", "linear", "tanh"]),
            "rms": st.booleans(),
            "n_bias": st.sampled_from([1, 2]),
            "inhibitory_output": st.booleans(),
            "hidden_depth": st.integers(0, 3),
            "heads": st.integers(1, 3),
            "initial": st.just(Initial(fan_in=0.5)),
        }
    ),
    error=st.sampled_from(["signed", "split"]),
    order=st.sampled_from(["batch", "online"]),
    reduction=st.sampled_from(["mean", "sum"]),
    floor=st.sampled_from([None, 0.05]),
)
def test_updates_of_each_variant(options, error, order, reduction, floor):
    rule = Rule(error, alpha=0.01, alpha_output=0.02, order=order, reduction=reduction, floor=floor)
    ed = network(dtype="float64", rule=rule, **options)
    target = np.resize(Y, (7, options["heads"]))
    target = target[:, 0] if options["heads"] == 1 else target
    before, change = ed.weights, ed.updates(X, target)
    ed.step(X, target)
    for key, value in ed.weights.items():
        np.testing.assert_allclose(before[key] + change[key], value, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_change_that_the_weights_lose_is_seen(backend):
    ed = network(backend, rule=Rule(alpha=1e-12, alpha_output=1e-12))
    before, change = ed.weights, ed.updates(X, Y)
    ed.step(X, Y)
    kept = {key: ed.weights[key] - before[key] for key in before}
    assert (kept["hidden.weight"] == 0).all()
    assert 0 < abs(change["hidden.weight"]).max() < 1e-11
    exact = network(backend, dtype="float64", rule=ed.rule)
    exact.load_weights({key: value.astype("float64") for key, value in before.items()})
    for key, value in exact.updates(X, Y).items():
        np.testing.assert_allclose(change[key], value, rtol=1e-3, atol=1e-18)


def test_what_the_floor_stops_is_not_changed():
    ed = network(rule=RULES["floor"], dtype="float64")
    before, change = ed.weights, ed.updates(X, Y)
    size = abs(before["hidden.weight"] + change["hidden.weight"])
    assert size.min() == pytest.approx(0.3)
    assert (abs(size - 0.3) < 1e-12).sum() > 1
    assert (size > 0.31).any()


def test_the_trace_of_a_call_stays():
    for look in (lambda ed: ed.activities(X), lambda ed: ed.updates(X, Y)):
        ed, plain = network(), network()
        outputs = ed(X)
        look(ed)
        ed.update(Y - outputs)
        plain.step(X, Y)
        assert same(ed.weights, plain.weights)
        look(ed)
        with pytest.raises(NoTraceError):
            ed.update(Y - outputs)
        assert ed.epochs.tolist() == [0, 0]


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_arrays_of_other_libraries_and_lists(library):
    xp = pytest.importorskip(library)
    x, y = (xp.asarray(array.astype("float32")) for array in (X, Y))
    ed = ED(3, 4, heads=2, seed=3)
    ed(x)  # the network follows x's library, and is still looked at on the host
    for found in (ed.activities(X.tolist()), ed.activities(x)):
        assert type(found["hidden 1"]) is np.ndarray
        np.testing.assert_array_equal(found["hidden 1"], ed.activities(X)["hidden 1"])
    assert same(ed.updates(x, y), ed.updates(X, Y.tolist()))


def test_a_registered_activation():
    from edcore.core.activations import registered

    with registered("softsign", lambda z, u0: z / (1 + abs(z)), lambda y: (1 - abs(y)) ** 2):
        ed = network(activation="softsign", dtype="float64")
        before, change = ed.weights, ed.updates(X, Y)
        assert (abs(ed.activities(X)["hidden 2"]) < 1).all()
        ed.step(X, Y)
        np.testing.assert_allclose(
            change["input.weight"], ed.weights["input.weight"] - before["input.weight"], atol=1e-14
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ed: ed.activities(X[:, :2]), r"x: given shape \(7, 2\)"),
        (lambda ed: ed.activities(np.full((2, 3), np.nan)), "x: given 6 NaN"),
        (lambda ed: ed.updates(X, Y[:, 0]), r"target: given shape \(7,\)"),
        (lambda ed: ed.updates(X, Y + 1), "target: given values from 1.0 to 2.0"),
        (lambda ed: ed.updates(X[:0], Y[:0]), "x: given an empty batch"),
    ],
)
def test_bad_samples_are_refused(call, message):
    with pytest.raises(InputError, match=f"^{message}"):
        call(network())


def test_what_would_not_be_finite_is_a_divergence():
    ed = network(activation="linear", output_activation="linear")
    ed.load_weights({key: value * np.float32(1e13) for key, value in ed.weights.items()})
    with pytest.raises(DivergedError, match="hidden layer 3"):
        ed.activities(X)
    with pytest.raises(DivergedError):
        ed.updates(X, Y)
    fast = network(activation="linear", output_activation="linear", rule=Rule(alpha=1e18))
    fast.load_weights({key: value * np.float32(1e9) for key, value in fast.weights.items()})
    with pytest.raises(DivergedError, match="weights"):
        fast.updates(X, Y)


@pytest.mark.parametrize("look", ["activities", "updates"])
def test_too_little_memory_says_which_batch_would_fit(monkeypatch, look):
    ed = network(hidden_depth=64)
    call = {"activities": lambda x, y: ed.activities(x), "updates": ed.updates}[look]
    for name in ("host_memory", "host_room"):
        value = Memory(2**21, 2**30) if name == "host_memory" else 2**21
        monkeypatch.setattr(f"edcore.model.out_of_memory.{name}", lambda value=value: value)
    with pytest.raises(
        OutOfMemoryError, match=r"this machine is out of memory: .*7,000 .*A batch of \d+ would fit"
    ) as caught:
        call(np.tile(X, (1000, 1)), np.tile(Y, (1000, 1)))
    fitting = int(str(caught.value).partition("A batch of ")[2].split()[0])
    call(np.resize(X, (fitting, 3)), np.resize(Y, (fitting, 2)))
    with pytest.raises(OutOfMemoryError):
        call(np.resize(X, (fitting + 2, 3)), np.resize(Y, (fitting + 2, 2)))


def test_memory_that_runs_out_on_the_way(monkeypatch):
    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr("edcore.model.inspection.core.trace", fail)
    for call in (lambda ed: ed.activities(X), lambda ed: ed.updates(X, Y)):
        with pytest.raises(OutOfMemoryError, match="the activities of a batch of 7"):
            call(network())


def test_an_online_rule_holds_the_activities_of_one_sample(monkeypatch):
    ed = network(hidden_depth=64, rule=Rule(order="online"))
    monkeypatch.setattr("edcore.model.out_of_memory.host_memory", lambda: Memory(2**21, 2**30))
    monkeypatch.setattr("edcore.model.out_of_memory.host_room", lambda: 2**21)
    assert ed.updates(np.tile(X, (30, 1)), np.tile(Y, (30, 1))).keys() == ed.weights.keys()


def test_the_pictures_step_is_that_of_updates():
    pytest.importorskip("matplotlib")
    ed = edcore.ED(3, 4, 1, seed=0, backend="numpy")
    figure = edcore.plots.step(ed, X[0], 1, compare=False)
    change = ed.updates(X[:1], [1])
    matrix = figure.axes[2].images[0].get_array()
    np.testing.assert_allclose(matrix[:6], change["input.weight"][0], rtol=1e-5)
