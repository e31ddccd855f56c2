"""Activations that were registered: what is accepted, and where their names go."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from array_api_compat import array_namespace as of

import edcore
from edcore import ED, EDClassifier, EDRegressor, Initial, Network, Rule
from edcore.core.activations import ACTIVATIONS, FUNCTIONS, register, registered
from edcore.core.weights import initialise
from edcore.diagnostics import diagnose, gradient
from edcore.errors import DataFileError, DivergedError, EDCoreError, InputError, UnknownNameError

X, TARGET = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]


def f(z, u0):
    return z / (u0 + abs(z))


def g(y):
    return (1 - abs(y)) ** 2


BOUNDS = {"lowest": -1, "highest": 1, "steepest": 1}


@pytest.fixture
def softsign():
    with registered("softsign", f, g, **BOUNDS):
        yield


@pytest.fixture
def softplus():
    """One whose bounds nobody knows."""
    with registered("softplus", lambda z, u0: of(z).log1p(of(z).exp(z)), lambda y: 1 - of(y).exp(-y)):
        yield


def test_the_same_functions_again(softsign):
    """A notebook's cell that runs twice makes new functions of the same text."""
    newer = lambda z, u0: z / (u0 + abs(z))  # noqa: E731
    register("softsign", newer, g, **BOUNDS)
    assert FUNCTIONS["softsign"].f is newer


@pytest.mark.parametrize(
    ("functions", "bounds"),
    [
        ((f, lambda y: 1 - abs(y)), BOUNDS),
        ((lambda z, u0: z / (1 + abs(z)), g), BOUNDS),
        ((f, g), BOUNDS | {"highest": 2}),
        ((f, g), {}),
    ],
)
def test_other_functions_need_another_name(softsign, functions, bounds):
    with pytest.raises(InputError, match="name: given 'softsign' with other functions than before"):
        register("softsign", *functions, **bounds)
    assert FUNCTIONS["softsign"] == (f, g, *BOUNDS.values())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_librarys_own_are_not_replaced(name):
    before = FUNCTIONS[name]
    with pytest.raises(InputError, match=f"name: given '{name}'; accepted: another name than sigmoid, tanh"):
        register(name, f, g)
    assert FUNCTIONS[name] is before


@pytest.mark.parametrize("name", ["", "soft plus", "2f", "_f", "é", "f" * 51, None, 3, ("f",), "f\n"])
def test_names(name):
    with pytest.raises(InputError, match="name: given"):
        register(name, f, g)


def noisy(z, u0):
    return z + np.random.default_rng().random(z.shape).astype(z.dtype)


def in_place(z, u0):
    z *= 2
    return z


WRONG = [
    ((None, g), "f: given None; accepted: a function"),
    ((f, 1.0), "g: given 1.0; accepted: a function"),
    ((lambda z: z, g), "f: given a function that raises TypeError: .*takes 1 positional argument"),
    ((f, lambda y: 1.0), "g: given a function that returns 1.0 for numpy.ndarray"),
    ((f, lambda y: y.sum(keepdims=True)), r"g: given a function that returns shape \(1, 1, 1\)"),
    ((lambda z, u0: z.astype("f8"), g), "f: given a function that returns float64 for float32"),
    ((lambda z, u0: z.tolist(), g), "f: given a function that returns builtins.list for numpy.ndarray"),
    ((lambda z, u0: np.sqrt(z), g), "f: given a function that is NaN or infinite at z = -30"),
    ((lambda z, u0: np.exp(z) / (1 + np.exp(z)), lambda y: y), "f: given a function that is NaN at z = 10000"),
    ((lambda z, u0: z, lambda y: 1 / y), "g: given a function that is NaN or infinite at z = 0"),
    ((lambda z, u0: z - z.mean(), g), "f: given a function that depends on the other numbers"),
    ((lambda z, u0: z - z.mean(axis=0, keepdims=True), g), "f: given a function that depends on the other numbers"),
    ((f, lambda y: y / abs(y).max()), "g: given a function that depends on the other numbers"),
    ((lambda z, u0: z if z.size > 1 else z[0], g), "f: given a function that"),
    ((noisy, g), "f: given a function that writes to its argument, or returns something else at each call"),
    ((lambda z, u0: np.maximum(z, 0, out=z), g), "f: given a function that writes to its argument"),
    ((in_place, g), "f: given a function that writes to its argument"),
    ((f, lambda y: in_place(y, 1)), "g: given a function that writes to its argument"),
    ((lambda z, u0: z if z > 0 else 0 * z, g), "f: given a function that raises ValueError"),
]


@pytest.mark.parametrize(("functions", "message"), WRONG, ids=range(len(WRONG)))
def test_functions_that_no_network_can_have(functions, message):
    with pytest.raises(InputError, match=message):
        register("wrong", *functions)
    assert "wrong" not in FUNCTIONS


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"highest": 0.5}, r"highest: given 0.5, where f\(z\) comes to 0.9"),
        ({"lowest": 0}, r"lowest: given 0, where f\(z\) comes to -0.9"),
        ({"steepest": 0.5}, r"steepest: given 0.5, where abs\(g\(y\)\) comes to 1;"),
        ({"lowest": np.nan}, "lowest: given nan"),
        ({"lowest": "0"}, "lowest: given '0'"),
        ({"highest": 1e200}, "highest: given 1e.200; accepted: a number of at most 1e.18, or math.inf"),
        ({"lowest": 1, "highest": -1}, "lowest: given 1; accepted: a number below highest=-1"),
        ({"steepest": 0}, "steepest: given 0; accepted: a number above 0"),
        ({"steepest": True}, "steepest: given True"),
        ({"highest": 10**400}, "highest: given"),
    ],
)
def test_bounds(bounds, message):
    with pytest.raises(InputError, match=message):
        register("softsign", f, g, **bounds)


def test_a_name_that_is_not_registered():
    fix = r"register a function of your own first: edcore.core.activations.register\('mish', f, g\)"
    for make in (lambda: Network(2, activation="mish"), lambda: ED(2, output_activation="mish")):
        with pytest.raises(UnknownNameError, match=f"activation: given 'mish'; accepted: .*{fix}"):
            make()
    with pytest.raises(UnknownNameError, match="activation: given 3; accepted"):
        Network(2, activation=3)


def test_networks_learn_with_it(softsign):
    for fields in (
        {"activation": "softsign"},
        {"activation": "softsign", "output_activation": "softsign", "rms": True},
    ):
        ed = ED(2, 8, 1, u0=1, rule=Rule(alpha=0.5, alpha_output=0.5), seed=1, backend="numpy", **fields)
        ed.fit(X, TARGET, epochs=400, batch_size=4)
        assert (ed.predict(X) > 0.5).tolist() == [False, True, True, False]


def test_targets_within_its_bounds(softsign):
    ed = ED(2, 3, output_activation="softsign", seed=0)
    ed.step([[0, 1]], [-0.5])
    with pytest.raises(InputError, match=r"target: given values from 1.5 to 1.5; accepted: -1 to 1, .* \(softsign\)"):
        ed.step([[0, 1]], [1.5])


def learn_often(learn, ed, kept):
    for _ in range(20):
        kept.append(ed.weights)
        learn()


@pytest.mark.parametrize("name", ["loop", "numpy"])
@pytest.mark.parametrize("method", ["step", "fit", "update"])
def test_weights_stay_finite_without_bounds(name, method):
    """f(z) is larger than z here, which no activation of the library's own has: the guard must not rely on that."""
    with registered("cubic", lambda z, u0: 8 + z + z * z * z, lambda y: 1 + y * y):
        ed = ED(2, 2, 1, activation="cubic", output_activation="cubic", seed=1, backend=name)
        learn = {
            "step": lambda: ed.step([[1, 1]], [3]),
            "fit": lambda: ed.fit([[1, 1]], [3]),
            "update": lambda: ed.update(3 - ed([[1, 1]])),
        }[method]
        kept = []
        with pytest.raises(DivergedError, match="alpha"):
            learn_often(learn, ed, kept)
        assert all((value == kept[-1][key]).all() for key, value in ed.weights.items())
        assert all(np.isfinite(value).all() for value in kept[-1].values())


@pytest.mark.parametrize("name", ["loop", "numpy"])
def test_a_bound_of_g_is_none_of_f(name):
    """f(z) is far larger than z: outputs that overflow are found, and so are weights that do."""
    with registered("steep", lambda z, u0: z * 1e18, lambda y: 0 * y + 1, steepest=1):
        fields = {"activation": "steep", "output_activation": "linear", "seed": 1, "backend": name}
        with pytest.raises(DivergedError, match="outputs|activities"):
            ED(2, 3, 2, **fields)([[1, 1]])
        ed = ED(2, 3, 0, rule=Rule(alpha=1e18, alpha_output=1e18), **fields)
        before = ed.weights
        outputs = ed([[1, 1]])
        with pytest.raises(DivergedError):
            ed.update(0 * outputs + 1e3)
        assert all((value == before[key]).all() for key, value in ed.weights.items())


def test_the_gradient_is_that_of_f(softsign):
    """Whatever g is, here f' without the factor 1 / u0."""
    network = Network(2, 3, 1, u0=0.5, activation="softsign", output_activation="linear", dtype="float64", outputs=2)
    weights, random = initialise(network, 0), np.random.default_rng(0)
    x, target = random.random((5, 2)), random.random((5, 2))

    def loss():
        outputs = gradient.outputs(network, gradient.forward(network, weights, x))
        return ((target - outputs) ** 2).sum() / 2 / len(x)

    states = gradient.forward(network, weights, x)
    descent = gradient.descent(network, weights, states, target - gradient.outputs(network, states))
    value = weights["input.weight"]
    for place in np.ndindex(value.shape):
        value[place] += 1e-5
        more = loss()
        value[place] -= 2e-5
        less = loss()
        value[place] += 1e-5
        assert descent["input.weight"][place] == pytest.approx((less - more) / 2e-5, rel=1e-5, abs=1e-8)


def test_diagnosis(softsign):
    ed = ED(2, 3, 1, activation="softsign", seed=0).fit(X, TARGET, epochs=3)
    found = diagnose(ed, X, TARGET)
    assert np.isfinite(found.saturation).all()
    assert not found.dead.any()


def test_files(softsign, tmp_path):
    file = tmp_path / "net.safetensors"
    ed = ED(2, 3, u0=0.5, activation="softsign", seed=0).fit(X, TARGET, epochs=3)
    edcore.io.save(ed, file)
    assert (edcore.io.load(file, backend="numpy").predict(X) == ed.predict(X)).all()
    kept = FUNCTIONS.pop("softsign")
    with pytest.raises(DataFileError, match=r"'softsign' is not registered here.*register\('softsign', f, g\)"):
        edcore.io.load(file)
    with pytest.raises(DataFileError, match="'softsign' is not registered here"):
        edcore.io.inspect(file)
    FUNCTIONS["softsign"] = kept._replace(g=lambda y: 1 - abs(y))
    with pytest.raises(DataFileError, match="'softsign' is another function than here"):
        edcore.io.load(file)
    FUNCTIONS["softsign"] = kept
    assert (edcore.io.load(file).weights["input.weight"] == ed.weights["input.weight"]).all()


def test_files_of_the_librarys_own_are_as_before(tmp_path):
    file = tmp_path / "net.safetensors"
    edcore.io.save(ED(2, 3, seed=0), file)
    assert b"registered" not in file.read_bytes()


def test_pickles(softsign):
    ed = ED(2, 3, activation="softsign", seed=0)
    ed.predict(X)
    kept = pickle.dumps(ed)
    assert (pickle.loads(kept).predict(X) == ed.predict(X)).all()
    function = FUNCTIONS.pop("softsign")
    with pytest.raises(UnknownNameError, match="softsign.*register"):
        pickle.loads(kept)
    FUNCTIONS["softsign"] = function._replace(g=lambda y: 1 - abs(y))
    with pytest.raises(EDCoreError, match="'softsign' is another function. Register the function that the network"):
        pickle.loads(kept)
    FUNCTIONS["softsign"] = function


@pytest.mark.parametrize("name", ["softsign", "softplus"])
def test_estimators(request, name):
    request.getfixturevalue(name)
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 4))
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    found = EDClassifier(activation=name, random_state=0, max_iter=20).fit(x, y)
    assert found.score(x, y) > 0.9
    assert found.ed_.rule.alpha > 0
    regressor = EDRegressor(activation=name, random_state=0, max_iter=50).fit(x, x[:, 0] + x[:, 1])
    assert regressor.score(x, x[:, 0] + x[:, 1]) > 0.8


def test_workers_have_what_is_registered_in_a_module_that_they_import(tmp_path):
    (tmp_path / "cells_of_mine.py").write_text(
        "from edcore import ED\nfrom edcore.core.activations import register\n"
        "register('softsign', lambda z, u0: z / (u0 + abs(z)), lambda y: (1 - abs(y)) ** 2)\n"
        "def score(seed):\n"
        "    return float(ED(2, 3, activation='softsign', seed=seed).predict([[0, 1]])[0])\n"
    )
    code = (
        "import joblib\nfrom cells_of_mine import score\nif __name__ == '__main__':\n"
        "    found = joblib.Parallel(2)(joblib.delayed(score)(seed) for seed in (0, 1))\n"
        "    assert found == [score(0), score(1)]\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    (tmp_path / "main.py").write_text(code)
    subprocess.run([sys.executable, str(tmp_path / "main.py")], check=True, env=environment)


def test_initial_weights_are_those_of_every_network(softsign):
    same = initialise(Network(2, 3, initial=Initial(weight=0.5)), 0)
    other = initialise(Network(2, 3, activation="softsign", initial=Initial(weight=0.5)), 0)
    assert all((other[key] == value).all() for key, value in same.items())
