"""Learning that diverges is stopped: the error names the step and the layer, and the weights stay finite."""

import itertools
import pickle
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edcore
from edcore import ED, Initial, Rule
from edcore.core import method as core
from edcore.core.activations import ACTIVATIONS
from edcore.core.randomness import permutation
from edcore.dispatch import registry
from edcore.errors import DataFileError, DivergedError, EDCoreError, InputError, UnknownNameError
from edcore.model import guard as guard_module
from edcore.model.divergence import first_in_activities, first_in_weights

DATA = edcore.datasets.parity(3)
X, Y = DATA.x_train, np.stack([DATA.y_train, 1 - DATA.y_train], axis=1)
EPOCHS, BATCH = 5, 4
HUGE = {"float32": 1e37, "float64": 1e305}
RATES = [1e18, 1e9, 30.0]
SCALES = [0.9, 0.5, 0.2, 0.0]  # of the initial weights, as powers of HUGE


def network(backend="numpy", scale=0.0, **options):
    shape = {"in_": 3, "hidden_width": 3, "hidden_depth": 2, "heads": 2, "seed": 1}
    ed = ED(**(shape | options), backend=backend)
    if scale:
        ed.load_weights(
            {key: (value * HUGE[ed.network.dtype] ** scale).astype(value.dtype) for key, value in ed.weights.items()}
        )
    return ed


def finite(weights):
    return all(np.isfinite(value).all() for value in weights.values())


def same(one, other):
    return all(np.array_equal(one[key], other[key]) for key in one)


def batches(ed, epochs=EPOCHS):
    """The rows of each batch that fit learns, with its epoch and its number, from 1."""
    size = 1 if ed.rule.order == "online" else BATCH
    for epoch in range(epochs):
        order = permutation(ed.seed, epoch, len(X))
        for batch, start in enumerate(range(0, len(X), size), 1):
            yield epoch + 1, batch, order[start : start + size]


def unguarded(ed):
    """Return the first step in which outputs or weights are not finite, and the weights before it, with no guard."""
    network, backend = ed.network, ed.bind()
    weights = backend.from_host(ed.weights)
    with np.errstate(all="ignore"):
        for epoch, batch, rows in batches(ed):
            before = backend.to_host(weights)
            outputs, trace = backend.trace(network, weights, X[rows].astype(network.dtype))
            outputs = np.asarray(outputs)
            broken = not np.isfinite(outputs).all()
            weights = backend.update(network, ed.rule, weights, trace, Y[rows].astype(network.dtype) - outputs)
            if broken or not finite(backend.to_host(weights)):
                return (epoch, batch), before
    return None, backend.to_host(weights)


def check_stopped(make):
    """Check that fit and step stop in the step in which learning without a guard goes wrong, with what was learnt."""
    step, weights = unguarded(make())
    fitted, stepped = make(), make()
    found = []
    try:
        fitted.fit(X, Y, epochs=EPOCHS, batch_size=BATCH)
    except DivergedError as error:
        found.append(error)
        assert same(fitted.weights, make().weights)  # these epochs are one call to the backend
        assert fitted.epochs.tolist() == [0, 0]
    try:
        for at in batches(stepped):
            stepped.step(X[at[2]], Y[at[2]])
    except DivergedError as error:
        found.append(error.at(*at[:2]))
    assert [(error.epoch, error.batch) for error in found] == ([step] * 2 if step else [])
    assert len({(error.part, error.layer, error.heads) for error in found}) <= 1
    assert same(stepped.weights, weights)
    assert finite(fitted.weights)
    return step


VARIANTS = {
    "activation": st.sampled_from(ACTIVATIONS),
    "output_activation": st.sampled_from(["sigmoid", "tanh", "relu", "relu6", "linear"]),
    "rms": st.booleans(),
    "n_bias": st.sampled_from([1, 2]),
    "inhibitory_output": st.booleans(),
}


@settings(max_examples=80, deadline=None)
@given(
    options=st.fixed_dictionaries(VARIANTS),
    error=st.sampled_from(["signed", "split"]),
    order=st.sampled_from(["batch", "online"]),
    reduction=st.sampled_from(["mean", "sum"]),
    floor=st.sampled_from([None, 1e-4]),
    dtype=st.sampled_from(["float32", "float64"]),
    alpha=st.sampled_from(RATES),
    scale=st.sampled_from(SCALES),
)
def test_the_step_that_diverges_is_named(options, error, order, reduction, floor, dtype, alpha, scale):
    floor = None if scale else floor  # weights that are loaded must not be below it
    rule = Rule(error, alpha=alpha, alpha_output=alpha, order=order, reduction=reduction, floor=floor)
    check_stopped(lambda: network(rule=rule, dtype=dtype, scale=scale, **options))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", ["loop", "numba", "torch", "jax"])
def test_the_step_that_diverges_is_named_on_each_backend(backend, dtype):
    if not any(status.name == backend and status.ready for status in registry.list_backends()):
        pytest.skip(f"{backend} is not ready here")
    steps = []
    activations, orders = ["sigmoid", "relu", "linear"], ["batch", "online"]
    if backend == "jax":  # which compiles for each
        activations, orders = ["linear"], ["batch"]
    for activation, order, alpha, scale in itertools.product(activations, orders, [1e18, 30.0], [0.4, 0.0]):
        rule = Rule("split", alpha=alpha, alpha_output=1.0, order=order)
        options = {"activation": activation, "output_activation": "linear" if activation == "linear" else "sigmoid"}
        steps.append(check_stopped(lambda o=options, r=rule, s=scale: network(backend, s, rule=r, dtype=dtype, **o)))
    assert sum(step is not None for step in steps) >= len(steps) / 3


@settings(max_examples=60, deadline=None)
@given(
    options=st.fixed_dictionaries(VARIANTS),
    seed=st.integers(0, 5),
    kinds=st.lists(st.sampled_from(["step", "fit", "update", "large x", "rule"]), min_size=1, max_size=12),
    rule=st.builds(
        Rule,
        st.sampled_from(["signed", "split"]),
        alpha=st.sampled_from([0.8, 1e3]),
        reduction=st.sampled_from(["mean", "sum"]),
        floor=st.sampled_from([None, 0.5]),
    ),
)
def test_the_bound_is_never_below_the_norm_of_the_weights(options, seed, kinds, rule):
    ed = network(seed=seed, rule=rule, **options)
    random = np.random.default_rng(seed)
    for kind in kinds:
        try:
            match kind:
                case "fit":
                    ed.fit(X, Y, epochs=3, batch_size=3)
                case "update":
                    ed.update(random.normal(scale=1e4, size=ed(X).shape))
                case "rule":
                    ed.rule = Rule(rule.error, alpha=ed.rule.alpha * 2, floor=rule.floor)
                case _:
                    ed.step(X * (1e8 if kind == "large x" else 1), Y)
        except DivergedError:
            break
        if ed._guard is not None and ed._guard.rule is ed.rule:
            norm = np.sqrt(sum((value.astype(np.float64) ** 2).sum() for value in ed.weights.values()))
            assert ed._guard._norm >= norm * (1 - 1e-5)


def test_ordinary_learning_looks_at_the_weights_once(monkeypatch):
    ed = network("numpy")
    backend, looks = ed.bind(), []
    real = type(backend).to_host
    monkeypatch.setattr(backend, "to_host", lambda weights: looks.append(1) or real(backend, weights))
    for _ in range(50):
        ed.step(X, Y)
        ed.update(Y - ed(X))
        ed.fit(X, Y, epochs=10, batch_size=3)
    assert len(looks) == 1


def test_cells_without_a_bound_are_looked_at_no_more_than_once_a_step_or_call(monkeypatch):
    ed = network("numpy", activation="relu", alpha=1e-3, alpha_output=1e-3, initial=Initial(weight=0.1))
    backend, looks = ed.bind(), []
    real = type(backend).to_host
    monkeypatch.setattr(backend, "to_host", lambda weights: looks.append(1) or real(backend, weights))
    ed.fit(X, Y, epochs=100)
    assert len(looks) == 1
    for _ in range(10):
        ed.step(X, Y)
    assert len(looks) <= 11


def test_saturated_outputs_do_not_hide_infinite_weights():
    x, y = np.tile(X, (1000, 1)).astype(np.float32), np.ones((8000, 2), np.float32)
    rule = Rule(alpha=0.0, alpha_output=1e18, reduction="sum")

    def make():
        ed = network(rule=rule, bias=1e18)
        ed.load_weights({key: 0 * value for key, value in ed.weights.items()})
        return ed

    ed = make()
    with np.errstate(all="ignore"):
        outputs, trace = core.trace(ed.network, ed.weights, x)
        weights = core.update(ed.network, rule, ed.weights, trace, y - outputs)
        assert not finite(weights)
        assert core.forward(ed.network, weights, x).tolist() == y.tolist()
    for learn in (partial(ed.fit, batch_size=len(x)), ed.step):
        with pytest.raises(DivergedError, match="learning has diverged.*: the weights of the output layer"):
            learn(x, y)
        assert same(ed.weights, make().weights)


def test_the_layer_is_the_first_in_the_pass():
    ed = network(activation="linear", hidden_depth=6)
    weights = ed.weights
    weights["hidden.weight"][1, 3:] = 1e30
    ed.load_weights(weights)
    for learn in (ed.fit, ed.step, lambda x, y: ed(x)):
        with pytest.raises(DivergedError) as caught:
            learn(X, Y)
        assert (caught.value.part, caught.value.layer, caught.value.heads) == (
            "activities",
            "hidden layer 6 of 7",
            (1,),
        )
    assert "the activities of hidden layer 6 of 7 (head 2 of 2) are NaN or infinite" in str(caught.value)
    assert same(ed.weights, weights)


def test_what_is_not_finite_is_found_in_each_layer():
    ed = network(hidden_depth=2)
    for key, place, layer in (
        ("input.bias", (0, 0, 1), 0),
        ("hidden.weight", (0, 1, 2, 2), 2),
        ("output.weight", (0, 0, 0), 3),
    ):
        weights = ed.weights
        weights[key][place] = np.nan
        for found in (first_in_weights(weights), first_in_activities(ed.network, weights, X)):
            assert found.layer == layer
            assert found.heads.tolist() == [True, False]
    flat = network(hidden_depth=0)
    assert first_in_weights(flat.weights) is None
    assert first_in_weights(ed.weights) is None
    assert first_in_activities(ed.network, ed.weights, X) is None


def test_the_epochs_before_stay(monkeypatch):
    monkeypatch.setattr("edcore.model.learning.VISITS", (8, 8))  # an epoch for each call
    make = lambda: network(activation="linear", output_activation="linear", hidden_depth=4, alpha=30.0)  # noqa: E731
    ed = make()
    with pytest.raises(DivergedError) as caught:
        ed.fit(X, Y, epochs=90)
    epochs = int(ed.epochs[0])
    assert epochs == caught.value.epoch - 1 > 0
    assert same(ed.weights, make().fit(X, Y, epochs=epochs).weights)
    assert f"The network has the weights from before epoch {epochs + 1}." in str(caught.value)


def test_heads_that_have_stopped_are_not_blamed():
    ed = network(activation="linear", output_activation="linear", hidden_depth=0, alpha=1e3, alpha_output=1e3)
    weights = ed.weights
    for value in weights.values():
        value[0] = 0.0
    ed.load_weights(weights)
    target = np.stack([0 * DATA.y_train, DATA.y_train], axis=1)
    with pytest.raises(DivergedError) as caught:
        ed.fit(X, target, epochs=50, tolerance=1e-3)
    assert caught.value.heads == (1,)


def test_an_error_of_the_users_own_is_watched():
    ed = network(activation="linear")
    before = ed.weights
    ed(X)
    with pytest.raises(DivergedError):
        ed.update(np.full((8, 2), 3e38, np.float32))
    assert same(ed.weights, before)
    ed.step(X, Y)  # and it goes on


def test_a_backend_that_overflows_where_numpy_does_not_is_caught(monkeypatch):
    ed = network(activation="linear")
    ed.step(X, Y)
    ed.load_weights({key: value * 1e12 for key, value in ed.weights.items()})
    backend = ed.bind()
    real = type(backend).trace
    monkeypatch.setattr(
        backend,
        "trace",
        lambda *arguments: (np.full((8, 2), [1.0, np.inf], np.float32), real(backend, *arguments)[1]),
    )
    monkeypatch.setattr(guard_module, "first_in_activities", lambda *arguments: None)
    with pytest.raises(DivergedError) as caught:
        ed.step(X, Y)
    assert (caught.value.layer, caught.value.heads) == ("the output layer", (1,))


def test_an_epoch_that_goes_well_step_by_step_is_named_without_a_step(monkeypatch):
    ed = network(activation="relu")
    backend = ed.bind()
    monkeypatch.setattr(backend, "update", lambda network, rule, weights, trace, error: weights)
    bad = {key: value * np.nan for key, value in ed.weights.items()}
    monkeypatch.setattr(backend, "fit", lambda *arguments: (bad, np.zeros(2, np.intp)))
    with pytest.raises(DivergedError) as caught:
        ed.fit(X, Y, epochs=9)
    assert (caught.value.epoch, caught.value.batch, caught.value.layer) == (1, None, "hidden layer 1 of 3")


def test_the_sentence_says_what_to_do():
    ed = network(activation="relu", alpha=1e18, heads=1, scale=0.4)
    with pytest.raises(DivergedError) as caught:
        ed.fit(X, DATA.y_train, epochs=9)
    sentence = str(caught.value)
    assert sentence.startswith("learning has diverged in batch 1 of epoch ")
    assert sentence.endswith("Try rms=True with alpha=1, alpha_output=0.1; inputs from 0 to 1 help too.")
    assert "head" not in sentence
    assert isinstance(caught.value, ArithmeticError)


@pytest.mark.parametrize(
    "error",
    [
        InputError("u0", "-1", "more"),
        UnknownNameError("rule", "kneko", ["kaneko"]),
        DataFileError("x: it is no file"),
        DivergedError("weights", "the input layer", (0, 2), 3, "All is well.", "Rest.", 3, 4),
        EDCoreError("no"),
    ],
)
def test_errors_reach_other_processes(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_many_heads_are_not_all_named():
    error = DivergedError("weights", "the input layer", tuple(range(20)), 30, "", "")
    assert "(heads 1, 2, 3, 4, 5, 6, 7, 8, … of 30)" in str(error)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e21), ("float64", 1e160)])
@pytest.mark.parametrize("backend", ["numpy", "loop", "numba", "torch"])
def test_sums_whose_squares_overflow_under_rms_give_no_finite_wrong_answer(backend, dtype, size):
    if not any(status.name == backend and status.ready for status in registry.list_backends()):
        pytest.skip(f"{backend} is not ready here")
    ed = network(backend, rms=True, dtype=dtype, initial=Initial(weight=0.1))
    x = np.array([[size, 0, size], [0.5, 0.2, 0.1]], dtype)
    with np.errstate(all="ignore"):
        outputs = ed.predict(x)
    right = ed.predict(x / np.array([[size / 1e5], [1]], dtype))  # sums are divided by their root: the same outputs
    if (backend, dtype) == ("loop", "float32"):  # it sums in float64
        np.testing.assert_allclose(outputs, right, rtol=1e-5)
        return
    assert np.isnan(outputs[0]).all()
    np.testing.assert_allclose(outputs[1], right[1], rtol=1e-6)
    before = ed.weights
    for learn in (lambda: ed(x), lambda: ed.step(x, Y[:2]), lambda: ed.fit(x, Y[:2])):
        with pytest.raises(DivergedError, match=r"hidden layer 1 of \d"):
            learn()
        assert same(ed.weights, before)
