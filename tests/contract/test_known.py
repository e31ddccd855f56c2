"""What a backend does not know is refused by name, and never computed as something else."""

import dataclasses
import math
import os
import subprocess
import sys

import array_api_compat.numpy as xp
import numpy as np
import pytest
from array_api_compat import array_namespace as of

from edcore import ED, Network, Rule, list_backends
from edcore.adapters import ArrayAPIBackend, InPlaceBackend
from edcore.adapters.array_api import NUMPY
from edcore.arguments import assign
from edcore.contract import classic, known
from edcore.core.activations import ACTIVATIONS, registered
from edcore.core.network import Initial
from edcore.core.weights import initialise
from edcore.diagnostics import gradient
from edcore.dispatch.choose import choose_backend, make_request
from edcore.errors import BackendUnavailableError, EDCoreError, UnknownNameError
from edcore.model.guard import Guard
from edcore.testing.strategies import drawn_case
from edcore.testing.tolerance import Bounds, activity_off, derivative_off
from edcore_cupy.arrays import ArrayOperations

READY = [status.name for status in list_backends() if status.ready]
CORE = ("loop", "numpy", "array_api_strict", "jax")  # they compute the core's functions

CELLS = "sigmoid, tanh, relu, relu6, linear"
HAS_NOT = f"it has no activation 'softplus'; it has {CELLS} (activations that were registered are computed with "
UNKNOWN = [
    ("activation", "softplus", CELLS),
    ("output_activation", "softplus", CELLS),
    ("error", "absolute", "signed, split"),
    ("order", "shuffled", "batch, online"),
    ("reduction", "median", "mean, sum"),
    ("n_bias", 3, "1, 2"),
    ("dtype", "float16", "float32, float64"),
    ("dtype", "bfloat16", "float32, float64"),
    ("rms", "yes", "False, True"),
    ("centred", None, "False, True"),
    ("inhibitory_output", "no", "False, True"),
]


SOFTMAX = Network(2, 3, outputs=2, output_activation="softmax")


@pytest.fixture(params=[*READY, "in place"])
def backend(request):
    if request.param == "in place":  # as CuPy's plain array code does it
        return InPlaceBackend(xp, "cpu", NUMPY, ArrayOperations(xp, 2**20))
    return choose_backend(make_request(request.param, None), Network(1), Rule())


def made_up(field, value):
    """Return a network and a rule, one of them with a value that no version of edcore has."""
    network, rule = Network(2, 3), Rule()
    assign(rule if hasattr(rule, field) else network, field, value)
    return network, rule


@pytest.mark.parametrize(("field", "value", "has"), UNKNOWN)
def test_unknown_value_is_refused_by_name(backend, field, value, has):
    has += ", softmax" * (field == "output_activation" and backend.supports(SOFTMAX, Rule()) is True)
    assert backend.supports(*made_up(field, value)) == f"it has no {field} {value!r}; it has {has}"


def test_pair_that_excludes_each_other(backend):
    assert (
        backend.supports(Network(2, 3, outputs=2), Rule("split"))
        == "it has no error 'split' for 2 outputs, but for one"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Leaky(Network):
    leak: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Decaying(Rule):
    decay: float = 0.0


def test_subclass_may_mean_something_else(backend):
    assert backend.supports(Leaky(2, 3), Rule()) == "it knows Network alone, and not its subclass Leaky"
    assert backend.supports(Network(2, 3), Decaying()) == "it knows Rule alone, and not its subclass Decaying"


def test_new_field_that_is_not_at_its_default(monkeypatch, backend):
    monkeypatch.setattr("edcore.contract.backend.Network", Leaky)
    assert backend.supports(Leaky(2, 3), Rule()) is True
    assert backend.supports(Leaky(2, 3, leak=0.5), Rule()) == "it has no leak 0.5; it has 0.0"


@pytest.fixture
def softplus():
    """Register an activation."""
    with registered("softplus", lambda z, u0: of(z).log1p(of(z).exp(z)), lambda y: 1 - of(y).exp(-y)):
        yield


def by_hand(network, weights, x):
    """Return the outputs for one sample, in Python's own numbers."""
    y = [*x, *x]
    for name, place in (("input", (0,)), *(("hidden", (0, d)) for d in range(network.depth)), ("output", (0,))):
        w, b = weights[f"{name}.weight"][place].tolist(), weights[f"{name}.bias"][place].tolist()
        sums = [sum(y[i] * w[i][j] for i in range(len(y))) + b[0][j] for j in range(len(w[0]))]
        last = name == "output"
        y = [1 / (1 + math.exp(-2 * z / network.u0)) if last else math.log1p(math.exp(z)) for z in sums]
    return y[0]


def test_activation_that_is_added_to_the_core(softplus, backend):
    network = Network(2, 3, activation="softplus", initial=Initial(weight=0.2))
    answer = backend.supports(network, Rule())
    if backend.info.name not in CORE or isinstance(backend, InPlaceBackend):
        assert answer == f"{HAS_NOT}backend='numpy')"
        return
    assert answer is True
    weights = initialise(network, 0)
    outputs = backend.forward(network, backend.from_host(weights), np.asarray([[0.25, 0.75]], "f4"))
    assert float(outputs[0, 0]) == pytest.approx(by_hand(network, weights, (0.25, 0.75)), rel=1e-5)


def test_auto_takes_the_backend_that_has_it(softplus):
    ed = ED(2, hidden_width=3, activation="softplus", seed=0, initial=Initial(weight=0.2))
    assert ed.predict([[0.25, 0.75]])[0] == pytest.approx(by_hand(ed.network, ed.weights, (0.25, 0.75)), rel=1e-5)
    assert ed.backend == "numpy"
    for name in set(READY) & {"numba", "torch"}:
        with pytest.raises(BackendUnavailableError, match="it has no activation 'softplus'; it has sigmoid, tanh"):
            ED(2, activation="softplus", backend=name)


def test_it_learns_and_its_weights_stay_finite(softplus):
    ed = ED(2, hidden_width=3, activation="softplus", seed=0, initial=Initial(weight=0.2), alpha=0.05)
    x, target = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1]
    ed.fit(x, target, epochs=200, batch_size=4)
    assert ((ed.predict(x) > 0.5) == target).all()


def test_targets_of_an_output_that_is_added(softplus):
    ed = ED(2, hidden_width=3, output_activation="softplus", seed=0)
    ed.fit([[0, 1]], [7.5])  # no output is known to be out of its reach
    assert np.isfinite(ed.predict([[0, 1]])).all()


def test_every_backend_raises_in_an_update_by_an_unknown_rule(backend):
    case = drawn_case(Network(2, 3), Rule(), batch=2, scale=1, seed=0)
    for field in ("error", "reduction"):
        weights = backend.from_host(case.weights)
        _, trace = backend.trace(case.network, weights, case.x)
        with pytest.raises(UnknownNameError, match=f"{field}: given 'other'"):
            backend.update(case.network, made_up(field, "other")[1], weights, trace, case.error)
        expected = initialise(case.network, 0)
        assert all((value == expected[key]).all() for key, value in backend.to_host(weights).items())


def test_every_backend_raises_in_a_pass_through_unknown_cells(backend):
    weights, x = initialise(Network(2, 3), 0), np.zeros((1, 2), "f4")
    for field in ("activation", "output_activation"):
        network, _ = made_up(field, "softplus")
        with pytest.raises((UnknownNameError, KeyError)):
            backend.trace(network, backend.from_host(weights), x)


def test_order_is_looked_up():
    assert [Rule(order=order).samples_per_update(7) for order in ("batch", "online")] == [7, 1]
    with pytest.raises(UnknownNameError, match="order: given 'shuffled'; accepted: 'batch', 'online'"):
        made_up("order", "shuffled")[1].samples_per_update(7)


def test_distribution_is_looked_up():
    network = Network(1, initial=Initial())
    assign(network.initial, "distribution", "cauchy")
    with pytest.raises(UnknownNameError, match="distribution: given 'cauchy'; accepted: 'half_normal', 'uniform'"):
        initialise(network, 0)


def test_tolerance_raises_on_the_unknown():
    z = np.ones((1, 2))
    with pytest.raises(UnknownNameError, match="activation"):
        activity_off("softplus", z, z, z, 1.0)
    with pytest.raises(UnknownNameError, match="activation"):
        derivative_off("softplus", z, z, z, z)
    case = drawn_case(Network(2, 3, dtype="float64"), Rule(), batch=2, scale=1, seed=0)
    loop = choose_backend(make_request("loop", None), case.network, case.rule)
    _, trace = loop.trace(case.network, case.weights, case.x)
    with pytest.raises(UnknownNameError, match="reduction"):
        Bounds(case.network, case.weights).updated(made_up("reduction", "median")[1], trace, case.error)


def test_guard_raises_on_the_unknown(backend):
    for field in ("activation", "output_activation"):
        with pytest.raises(UnknownNameError, match="softplus"):
            Guard(backend, *made_up(field, "softplus"))


def test_gradient_raises_on_the_unknown():
    network, _ = made_up("activation", "softplus")
    weights, x = initialise(Network(2, 3, dtype="float64"), 0), np.ones((1, 2))
    states = gradient.forward(Network(2, 3), weights, x)
    with pytest.raises(UnknownNameError, match="softplus"):
        gradient.forward(network, weights, x)
    with pytest.raises(UnknownNameError, match="softplus"):
        gradient.descent(network, weights, states, np.ones((1, 1)))


def test_kernels_raise_on_an_unknown_number():
    variants = pytest.importorskip("edcore_numba.cpu.variants")
    y = np.zeros((1, 1, 2), "f4")
    with pytest.raises(ValueError, match="no such activation"):
        variants.apply_activation(y, 0, 0, 1, 99, False, y[:0], 0, np.float32(1))


@pytest.mark.parametrize("name", READY)
def test_names_of_activations_are_those_of_the_core(name):
    """Every built-in backend has all activations that a network may have."""
    backend = choose_backend(make_request(name, None), Network(1), Rule())
    for activation in ACTIVATIONS:
        assert backend.supports(Network(2, activation=activation, output_activation=activation), Rule()) is True
    assert backend.supports(SOFTMAX, Rule()) is True


def test_subclass_that_names_fewer():
    class Own(ArrayAPIBackend):
        activations = ("sigmoid",)

    class WithSoftmax(Own):
        activations, has_softmax = ("sigmoid",), True

    backend = Own(xp)
    assert backend.supports(SOFTMAX, Rule()) == "it has no output_activation 'softmax'; it has sigmoid"
    assert WithSoftmax(xp).supports(SOFTMAX, Rule()) is True
    assert backend.supports(Network(2), Rule()) is True
    assert backend.supports(Network(2, activation="relu"), Rule()) == "it has no activation 'relu'; it has sigmoid"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, True),
        ({"u0": 2.0, "n_bias": 2, "dtype": "float64"}, True),
        ({"activation": "relu"}, "it has no activation 'relu'; it has sigmoid"),
        ({"rms": True}, "it has no rms True; it has False"),
        ({"bias": 0.8}, "it has no bias 0.8; it has 1.0"),
        ({"outputs": 2}, "it has no outputs 2; it has 1"),
        ({"inhibitory_output": False}, "it has no inhibitory_output False; it has True"),
    ],
)
def test_classic(fields, reason):
    assert classic(Network(2, **fields), Rule("split")) == reason


def test_classic_rules():
    assert classic(Network(2), Rule(floor=0.0)) == "it has no floor 0.0; it has None"
    assert classic(Network(2), Rule(centred=True)) == "it has no centred True; it has False"
    assert classic(*made_up("n_bias", 3)) == "it has no n_bias 3; it has 1, 2"
    assert classic(*made_up("order", "shuffled")) == "it has no order 'shuffled'; it has batch, online"


def test_known_without_values_has_version_1():
    assert known(Network(2, activation="relu6", rms=True), Rule("split", floor=0.1)) is True


def test_simulated_gpu_refuses_the_unknown():
    pytest.importorskip("numba")
    code = """
import edcore
from edcore import Network, Rule
from edcore.arguments import assign
from edcore.dispatch.choose import choose_backend, make_request
backend = choose_backend(make_request("numba", "cudasim"), Network(1), Rule())
for field, value in (("activation", "softplus"), ("error", "absolute"), ("n_bias", 3)):
    network, rule = Network(2, 3), Rule()
    assign(rule if hasattr(rule, field) else network, field, value)
    print(backend.supports(network, rule))
edcore.core.activations.register("softplus", lambda z, u0: z / (1 + abs(z)), lambda y: (1 - abs(y)) ** 2)
print(backend.supports(Network(2, 3, activation="softplus"), Rule()))
"""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines() == [
        f"it has no activation 'softplus'; it has {CELLS}",
        "it has no error 'absolute'; it has signed, split",
        "it has no n_bias 3; it has 1, 2",
        f"{HAS_NOT}backend='numpy')",
    ]


@pytest.mark.parametrize("name", ["loop", "numpy", "numba"])
@pytest.mark.parametrize("device", ["cpu:0", "cpu:1", "cpu:99"])
def test_the_processor_is_one_device(name, device):
    with pytest.raises(BackendUnavailableError, match="the processor is one device, 'cpu'"):
        ED(2, backend=name, device=device).predict([[0, 1]])


@pytest.mark.parametrize("name", [*READY, "auto"])
@pytest.mark.parametrize(
    "device", ["cpu:99", "cpu:٠", "cpu:00", "cpu:-1", "cpu:", "CPU", "cpu ", "gpu", "meta", "cuda:0x1"]
)
def test_no_device_is_taken_as_another(name, device):
    with pytest.raises(EDCoreError, match="device|cpu:99"):
        ED(2, backend=name, device=device).predict([[0, 1]])
