"""`ED.update` with an error of its own for each layer."""

import array_api_compat.numpy as xp
import numpy as np
import pytest

from edcore import ED, Initial, Network, Rule, list_backends
from edcore.adapters.array_api import ArrayAPIBackend
from edcore.contract import LearnsByLayer
from edcore.core import update_layers
from edcore.core.weights import initialise
from edcore.diagnostics import gradient
from edcore.dispatch.choose import choose_backend, make_request
from edcore.errors import DivergedError, InputError, NoTraceError

READY = [status.name for status in list_backends() if status.ready]
HAVE = {"loop", "numpy", "array_api_strict"}
RANDOM = np.random.default_rng(3)
X = RANDOM.random((5, 3)).astype("f4")
INITIAL = Initial(weight=0.3)


def network(backend="numpy", **fields):
    fields = {"heads": 2, "seed": 1, "initial": INITIAL} | fields
    if not isinstance(fields.get("rule"), Rule):
        fields = {"alpha": 0.2, "alpha_output": 0.1} | fields
    return ED(3, 4, 2, backend=backend, **fields)


def change(ed, errors):
    """Return what an update adds to the weights."""
    before = ed.weights
    ed(X)
    ed.update(errors)
    return {key: value - before[key] for key, value in ed.weights.items()}


def close(found, expected, atol=1e-6):
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=atol, rtol=1e-5)


def errors_of(ed, random=RANDOM):
    return [random.uniform(-1, 1, (5, ed.network.columns)).astype("f4") for _ in range(4)]


@pytest.mark.parametrize("name", sorted(HAVE.intersection(READY)))
@pytest.mark.parametrize("rule", ["signed", "split", "modulo"])
def test_the_same_error_for_all_is_a_plain_update(name, rule):
    fields = {"outputs": 2} if rule == "modulo" else {}
    error = errors_of(network(rule=rule, **fields))[0]
    close(change(network(name, rule=rule, **fields), [error] * 4), change(network(name, rule=rule, **fields), error))


def test_a_plain_update_is_the_formula():
    ed = network(heads=1, dtype="float64")
    weights, (_, trace) = ed.weights, core_trace(ed)
    error = np.linspace(-0.5, 0.5, 5)
    ed(X)
    ed.update(error)
    for number, layer in enumerate(ed.network.layers):
        x, y = trace[number].y[0], trace[number + 1].y[0]
        alpha = ed.rule.alpha_output if layer.name == "output" else ed.rule.alpha
        delta = y * (1 - y) * (error[:, None] / 5 * alpha * np.asarray(layer.target_signs))
        expected = weights[f"{layer.name}.weight"][layer.where(0)] + x.T @ delta
        np.testing.assert_allclose(ed.weights[f"{layer.name}.weight"][layer.where(0)], expected, rtol=1e-13)


def core_trace(ed):
    from edcore.core import trace

    return trace(ed.network, ed.weights, X.astype("f8"))


def test_gains_and_masks():
    """A gain is a factor of what a layer learns; a mask of 0 keeps its bits."""
    error = errors_of(network())[0]
    plain = change(network(), error)
    own = change(network(), [2 * error, 0 * error, error, 0.5 * error])
    close({"input.weight": own["input.weight"]}, {"input.weight": 2 * plain["input.weight"]})
    assert not own["hidden.weight"][:, 0].any()
    close({"w": own["hidden.weight"][:, 1]}, {"w": plain["hidden.weight"][:, 1]})
    close({"w": own["output.bias"]}, {"w": 0.5 * plain["output.bias"]})


@pytest.mark.parametrize("name", sorted(HAVE.intersection(READY)))
@pytest.mark.parametrize("rms", [False, True])
def test_direct_feedback_alignment(name, rms):
    """With e · B · s_j each layer learns what `gradient.descent` computes with the matrices B, by other code."""
    cells = {"activation": "tanh", "output_activation": "tanh", "outputs": 2, "dtype": "float64"}
    ed = network(name, alpha=1.0, alpha_output=1.0, **cells)
    error = RANDOM.uniform(-0.5, 0.5, (5, 4))
    feedback = [RANDOM.normal(size=(2, 2, 8)) for _ in range(3)]
    states = gradient.forward(ed.network, ed.weights, X.astype("f8"))
    expected = gradient.descent(ed.network, ed.weights, states, error, feedback)
    by_head = error.reshape(5, 2, 2).swapaxes(0, 1)
    errors = [by_head @ matrix * np.asarray(ed.network.layer("hidden").target_signs) for matrix in feedback]
    errors.append(np.concatenate([by_head, 0 * by_head], axis=-1))
    close(change(ed, errors), expected, atol=1e-12)


def test_split_by_the_error_of_each_cell():
    """The excitatory sources of cell j learn where its error is above 0, the inhibitory ones where it is below."""
    ed = network(rule=Rule("split", alpha=1.0, alpha_output=1.0, reduction="sum"), heads=1, bias=0.5)
    errors = [RANDOM.uniform(-1, 1, (1, 5, cells)).astype("f4") for cells in (8, 8, 8, 2)]
    found = change(ed, errors)["input.weight"][0]
    for j in (0, 7):
        for i in (0, 5):
            e = errors[0][0, :, j]
            e = np.maximum(e, 0) if i < 3 else np.minimum(e, 0)
            y = network(heads=1, bias=0.5, rule=ed.rule)
            cells = core_cells(y)
            total = (X[:, i % 3] * e * cells[:, j] * (1 - cells[:, j])).sum() * (1 if j < 4 else -1)
            assert found[i, j] == pytest.approx(total, rel=1e-4, abs=1e-6)


def core_cells(ed):
    from edcore.core import trace

    return trace(ed.network, ed.weights, X)[1][1].y[0]


@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_of_samples_are_no_lists_of_layers(kind):
    """As many samples as layers, as numbers, lists or arrays: that is one error, as ever."""
    one, two = ED(2, 3, 0, seed=1, backend="numpy"), ED(2, 3, 0, heads=2, seed=1, backend="numpy")
    x = [[0, 1], [1, 0]]
    for ed, errors in ((one, [0.5, -0.25]), (two, [[0.5, 0.1], [-0.25, 0.3]])):
        start = ed.weights
        learned = []
        for given in (np.asarray(errors, "f4"), kind(errors), kind(np.asarray(row, "f4") for row in errors)):
            ed.load_weights(start)
            ed(x)
            ed.update(given)
            learned.append(ed.weights)
        for other in learned[1:]:
            assert all((other[key] == value).all() for key, value in learned[0].items())


def test_lists_of_lists_are_errors_of_layers():
    ed, other = (ED(2, 3, 0, seed=1, backend="numpy") for _ in range(2))
    for each, errors in ((ed, [[0.5, 0.1], [-0.25, 0.3]]), (other, np.asarray([[0.5, 0.1], [-0.25, 0.3]]))):
        each([[0, 1], [1, 0]])
        each.update(list(errors))
    assert (ed.weights["input.weight"] == other.weights["input.weight"]).all()


WRONG = [
    (lambda e: e[:3], r"error: given a list of 3 arrays; accepted: one array, or a list of 4: for the input layer, 2"),
    (lambda e: [*e, e[0]], r"error: given a list of 5 arrays"),
    (lambda e: [e[0], e[1][:4], *e[2:]], r"error\[1\]: given shape \(4, 2\)"),
    (lambda e: [e[0], e[1][:, 0], *e[2:]], r"error\[1\]: given shape \(5,\)"),
    (lambda e: [e[0], e[1][None], *e[2:]], r"error\[1\]: given shape \(1, 5, 2\).*\(2, 5, 8\).* cells of that layer"),
    (lambda e: [*e[:3], np.zeros((2, 5, 8))], r"error\[3\]: given shape \(2, 5, 8\).*\(2, 5, 2\)"),
    (lambda e: [*e[:3], np.nan * e[3]], r"error\[3\]: .*NaN"),
    (
        lambda e: [*e[:3], None],
        r"error\[3\]: given None; accepted: an array. A layer keeps its weights where its error",
    ),
    (lambda e: [None, *e[1:]], r"error\[0\]: given None"),
    (
        lambda e: [e[0], np.zeros((5, 8)), *e[2:]],
        r"error\[1\]: given shape \(5, 8\); accepted: shape \(2, 5, 8\), of heads",
    ),
    (lambda e: [*e[:3], e[3].astype(str)], r"error\[3\]"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_lists(wrong, message):
    ed = network()
    before = ed.weights
    ed(X)
    with pytest.raises(InputError, match=message):
        ed.update(wrong(errors_of(ed)))
    assert all((ed.weights[key] == value).all() for key, value in before.items())
    ed.update(errors_of(ed))  # the trace is still there


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            [np.zeros((5, 8)), *np.zeros((3, 5))],
            r"error\[0\]: given shape \(5, 8\); .*\(1, 5, 8\).* Write error\[0\]\[None\]\.",
        ),
        (np.zeros((4, 5)), r"error: given shape \(4, 5\); .* An error for each layer is a list: list\(error\)\."),
        (np.zeros((5, 1)), r"error: given shape \(5, 1\); .* One head has one axis: error\[:, 0\]"),
    ],
)
def test_wrong_errors_of_one_head(wrong, message):
    ed = network(heads=1)
    ed(X)
    with pytest.raises(InputError, match=message):
        ed.update(wrong)


def test_one_trace_for_one_update():
    ed = network()
    ed(X)
    ed.update(errors_of(ed))
    with pytest.raises(NoTraceError):
        ed.update(errors_of(ed))


def test_empty_and_online():
    ed = network()
    ed(X[:0])
    with pytest.raises(InputError, match="error: given an empty batch"):
        ed.update([np.zeros((0, 2))] * 4)
    ed = network(rule=Rule(order="online"))
    ed(X)
    with pytest.raises(InputError, match="error: given 5 samples"):
        ed.update(errors_of(ed))
    ed(X[:1])
    ed.update([error[:1] for error in errors_of(ed)])


@pytest.mark.parametrize("name", sorted(set(READY) - HAVE))
def test_others_refuse_them_by_name(name):
    ed = network(name)
    before = ed.weights
    ed(X)
    message = f"error: given a list with an error for each layer, on the backend '{name}'; .*backend='numpy'"
    with pytest.raises(InputError, match=message):
        ed.update(errors_of(ed))
    assert all((ed.weights[key] == value).all() for key, value in before.items())
    ed.update(errors_of(ed)[0])


@pytest.mark.parametrize("name", READY)
def test_who_has_the_method(name):
    backend = choose_backend(make_request(name, None), Network(1), Rule())
    assert isinstance(backend, LearnsByLayer) is (name in HAVE)


def test_subclass_with_an_update_of_its_own():
    class Own(ArrayAPIBackend):
        def update(self, network, rule, weights, trace, error):
            return super().update(network, rule, weights, trace, error)

    class Both(Own):
        update_layers = ArrayAPIBackend.update_layers

    assert not isinstance(Own(xp), LearnsByLayer)
    assert isinstance(Both(xp), LearnsByLayer)


@pytest.mark.parametrize("name", ["loop", "numpy"])
@pytest.mark.parametrize("layer", range(4))
def test_the_largest_error_counts_for_the_guard(name, layer):
    """One layer alone has huge errors, of which the weights overflow: that is found, and they are as they were."""
    ed = network(name, rule=Rule(alpha=1e9, alpha_output=1e9, reduction="sum"))
    errors = [0 * error for error in errors_of(ed)]
    ed(X)
    ed.update(errors)  # by which many updates are allowed beforehand
    before = ed.weights
    errors[layer] = np.full((2, 5, len(ed.network.layers[layer].target_signs)), 3e38, "f4")
    ed(X)
    with pytest.raises(DivergedError):
        ed.update(errors)
    assert all((ed.weights[key] == value).all() for key, value in before.items())


def test_arrays_of_another_library():
    torch = pytest.importorskip("torch")
    ed, other = network(), network()
    errors = errors_of(ed)
    close(change(other, [torch.asarray(error) for error in errors]), change(ed, errors), atol=0)


def test_depth_0_and_the_number_of_errors():
    shape = Network(2, 3, 0)
    weights = initialise(shape, 0)
    from edcore.core import trace

    _, cells = trace(shape, weights, X[:, :2])
    learned = update_layers(shape, Rule(), weights, cells, [np.zeros((5, 1), "f4"), np.ones((5, 1), "f4")])
    assert (learned["input.weight"] == weights["input.weight"]).all()
    assert (learned["output.weight"] != weights["output.weight"]).any()
    assert learned["hidden.weight"].shape == (1, 0, 6, 6)
    for errors in ([np.ones((5, 1), "f4")], [np.ones((5, 1), "f4")] * 3):
        with pytest.raises(ValueError, match="zip"):
            update_layers(shape, Rule(), weights, cells, errors)
